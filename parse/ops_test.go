package parse_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/parse"
)

func TestApplyOps(t *testing.T) {
	cases := map[string]struct{ before, ops, after string }{
		"set":                          {`{"a":1}`, `{"b":"x"}`, `{"a":1,"b":"x"}`},
		"set null":                     {`{"a":1}`, `{"a":null}`, `{"a":null}`},
		"increment":                    {`{"n":1}`, `{"n":{"__op":"Increment","amount":-2.5}}`, `{"n":-1.5}`},
		"increment a missing field":    {`{}`, `{"n":{"__op":"Increment","amount":3}}`, `{"n":3}`},
		"increment beyond a double":    {`{"n":9007199254740993}`, `{"n":{"__op":"Increment","amount":2}}`, `{"n":9007199254740995}`},
		"add":                          {`{"a":[1]}`, `{"a":{"__op":"Add","objects":[1,2]}}`, `{"a":[1,1,2]}`},
		"add to a missing field":       {`{}`, `{"a":{"__op":"Add","objects":[1]}}`, `{"a":[1]}`},
		"add unique":                   {`{"a":[1,{"x":1}]}`, `{"a":{"__op":"AddUnique","objects":[1,{"x":1},2,2]}}`, `{"a":[1,{"x":1},2]}`},
		"add unique knows pointers":    {`{"a":[{"__type":"Pointer","className":"A","objectId":"x"}]}`, `{"a":{"__op":"AddUnique","objects":[{"objectId":"x","className":"A","__type":"Pointer"}]}}`, `{"a":[{"__type":"Pointer","className":"A","objectId":"x"}]}`},
		"remove":                       {`{"a":[1,2,1,3]}`, `{"a":{"__op":"Remove","objects":[1,9]}}`, `{"a":[2,3]}`},
		"remove from a missing field":  {`{}`, `{"a":{"__op":"Remove","objects":[1]}}`, `{"a":[]}`},
		"delete":                       {`{"a":1,"b":2}`, `{"a":{"__op":"Delete"}}`, `{"b":2}`},
		"delete a missing field":       {`{"b":2}`, `{"a":{"__op":"Delete"}}`, `{"b":2}`},
		"relations are skipped":        {`{"b":2}`, `{"r":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"A","objectId":"x"}]}}`, `{"b":2}`},
		"nested set":                   {`{"o":{"x":1}}`, `{"o.y":2}`, `{"o":{"x":1,"y":2}}`},
		"nested set makes the object":  {`{}`, `{"o.y.z":2}`, `{"o":{"y":{"z":2}}}`},
		"nested increment":             {`{"o":{"n":1}}`, `{"o.n":{"__op":"Increment","amount":1.5}}`, `{"o":{"n":2.5}}`},
		"nested delete":                {`{"o":{"n":1,"m":2}}`, `{"o.n":{"__op":"Delete"}}`, `{"o":{"m":2}}`},
		"nested delete of nothing":     {`{}`, `{"o.n":{"__op":"Delete"}}`, `{}`},
		"array by index":               {`{"a":[1,2]}`, `{"a.1":9}`, `{"a":[1,9]}`},
		"array element of an object":   {`{"a":[{"k":1}]}`, `{"a.0.k":2}`, `{"a":[{"k":2}]}`},
		"several operations at a time": {`{"n":1,"a":[]}`, `{"n":{"__op":"Increment","amount":1},"a":{"__op":"Add","objects":["x"]},"s":"t"}`, `{"n":2,"a":["x"],"s":"t"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := decode(t, tc.before).(*parse.Map)
			ops, err := parse.ParseOps(decode(t, tc.ops).(*parse.Map))
			if err != nil {
				t.Fatal(err)
			}
			o := (&parse.Object{Fields: *before}).Clone()
			if err := parse.ApplyOps(o, ops); err != nil {
				t.Fatal(err)
			}
			if got := string(o.AppendFields(nil)); got != tc.after {
				t.Errorf("want %s, got %s", tc.after, got)
			}
			if got := string(parse.AppendJSON(nil, before)); got != string(parse.AppendJSON(nil, decode(t, tc.before))) {
				t.Errorf("the value before must stay as it was, got %s", got)
			}
		})
	}
}

func TestApplyOpsRefuses(t *testing.T) {
	cases := map[string]struct {
		before, ops string
		code        parse.Code
	}{
		"increment a string":   {`{"n":"x"}`, `{"n":{"__op":"Increment","amount":1}}`, parse.IncorrectType},
		"add to a number":      {`{"n":1}`, `{"n":{"__op":"Add","objects":[1]}}`, parse.IncorrectType},
		"remove from a string": {`{"n":""}`, `{"n":{"__op":"Remove","objects":[1]}}`, parse.IncorrectType},
		"path into a number":   {`{"n":1}`, `{"n.x":1}`, parse.IncorrectType},
		"index beyond the end": {`{"a":[1]}`, `{"a.5":1}`, parse.IncorrectType},
		"index is no number":   {`{"a":[1]}`, `{"a.x":1}`, parse.IncorrectType},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			ops, err := parse.ParseOps(decode(t, tc.ops).(*parse.Map))
			if err != nil {
				t.Fatal(err)
			}
			o := &parse.Object{Fields: *decode(t, tc.before).(*parse.Map)}
			if err := parse.ApplyOps(o, ops); parse.CodeOf(err) != tc.code {
				t.Errorf("want code %d, got %v", tc.code, err)
			}
		})
	}
}

func TestParseOpsRefuses(t *testing.T) {
	cases := map[string]struct {
		code parse.Code
		text string
	}{
		`{"f":{"__op":"Increment","amount":"1"}}`:          {parse.InvalidJSON, "incrementing must provide a number"},
		`{"f":{"__op":"Increment"}}`:                       {parse.InvalidJSON, "incrementing must provide a number"},
		`{"f":{"__op":"Add","objects":1}}`:                 {parse.InvalidJSON, "objects to add must be an array"},
		`{"f":{"__op":"AddUnique"}}`:                       {parse.InvalidJSON, "objects to add must be an array"},
		`{"f":{"__op":"Remove","objects":{}}}`:             {parse.InvalidJSON, "objects to remove must be an array"},
		`{"f":{"__op":"AddRelation","objects":[]}}`:        {parse.InvalidJSON, "objects of a relation"},
		`{"f":{"__op":"AddRelation","objects":[1]}}`:       {parse.InvalidJSON, "objects of a relation"},
		`{"f":{"__op":"Batch","ops":1}}`:                   {parse.InvalidJSON, "ops of a Batch"},
		`{"f":{"__op":"Batch","ops":[{"__op":"Delete"}]}}`: {parse.InvalidJSON, "a Batch may hold"},
		`{"f":{"__op":"Explode"}}`:                         {parse.CommandUnavailable, "The Explode operator is not supported yet."},
		`{"f":{"__op":7}}`:                                 {parse.CommandUnavailable, "The 7 operator"},
		`{"f":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"A","objectId":"x"},{"__type":"Pointer","className":"B","objectId":"x"}]}}`: {parse.IncorrectType, "of one class"},
	}
	for in, want := range cases {
		_, err := parse.ParseOps(decode(t, in).(*parse.Map))
		if parse.CodeOf(err) != want.code || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: want %d %q, got %v", in, want.code, want.text, err)
		}
	}
}

func TestOpsKeepTheirWireForm(t *testing.T) {
	for _, in := range []string{
		`{"f":{"__op":"Increment","amount":1.5}}`, `{"f":{"__op":"Add","objects":[1]}}`, `{"f":{"__op":"AddUnique","objects":[1]}}`,
		`{"f":{"__op":"Remove","objects":[]}}`, `{"f":{"__op":"Delete"}}`,
		`{"f":{"__op":"Batch","ops":[{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"A","objectId":"x"}]},{"__op":"RemoveRelation","objects":[{"__type":"Pointer","className":"A","objectId":"y"}]}]}}`,
	} {
		m, err := parse.ParseOps(decode(t, in).(*parse.Map))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(parse.AppendJSON(nil, m)); got != in {
			t.Errorf("%s became %s", in, got)
		}
	}
}

func TestLookup(t *testing.T) {
	o := &parse.Object{ClassName: "A", ID: "x", CreatedAt: 5, Fields: *decode(t,
		`{"o":{"a":[{"k":1},2]},"p":{"__type":"Pointer","className":"B","objectId":"y"},"n":null}`).(*parse.Map)}
	cases := map[string]parse.Value{
		"objectId": "x", "createdAt": parse.Date(5), "o.a.0.k": 1.0, "o.a.1": 2.0, "p.objectId": "y", "p.className": "B", "n": nil,
	}
	for path, want := range cases {
		if got, ok := parse.Lookup(o, path); !ok || !parse.Equal(got, want) {
			t.Errorf("%s: %v, %v", path, got, ok)
		}
	}
	for _, path := range []string{"updatedAt", "o.b", "o.a.2", "o.a.x", "n.x", "p.z", "q", "o.a.-1"} {
		if v, ok := parse.Lookup(o, path); ok {
			t.Errorf("%s must be missing, is %v", path, v)
		}
	}
}

func TestCheckKeys(t *testing.T) {
	for in, ok := range map[string]bool{`{"a":{"b":[{"c":1}]}}`: true, `{"a":{"b.c":1}}`: false, `[{"$set":1}]`: false, `1`: true} {
		if err := parse.CheckKeys(decode(t, in)); (err == nil) != ok || err != nil && parse.CodeOf(err) != parse.InvalidNestedKey {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestNewObjectID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := parse.NewObjectID(10)
		if len(id) != 10 || seen[id] || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t.Fatalf("bad id %q", id)
		}
		seen[id] = true
	}
}

func TestSortCompareIsATotalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := values().Draw(t, "a"), values().Draw(t, "b"), values().Draw(t, "c")
		if parse.SortCompare(a, b) != -parse.SortCompare(b, a) {
			t.Fatal("not antisymmetric")
		}
		if parse.SortCompare(a, b) <= 0 && parse.SortCompare(b, c) <= 0 && parse.SortCompare(a, c) > 0 {
			t.Fatal("not transitive")
		}
		if parse.Equal(a, b) != parse.Equal(b, a) || !parse.Equal(a, a) {
			t.Fatal("Equal must be symmetric and reflexive")
		}
	})
}

func TestACL(t *testing.T) {
	acl, err := parse.ACLFromValue(decode(t, `{"*":{"read":true},"u":{"read":1,"write":true},"role:x":{"write":"yes"},"z":{"read":false},"__op":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(parse.AppendJSON(nil, acl.Value())); got != `{"*":{"read":true},"u":{"read":true,"write":true},"role:x":{"write":true}}` {
		t.Error(got)
	}
	for _, tc := range []struct {
		subjects []string
		write    bool
		want     bool
	}{
		{[]string{"*"}, false, true}, {[]string{"*"}, true, false}, {[]string{"*", "u"}, true, true}, {[]string{"*", "role:x"}, true, true}, {nil, false, false},
	} {
		if got := acl.Allows(tc.subjects, tc.write); got != tc.want {
			t.Errorf("%v write %v: %v", tc.subjects, tc.write, got)
		}
	}
	back := parse.ACLFromSubjects(acl.Subjects(false), acl.Subjects(true))
	if string(parse.AppendJSON(nil, back.Value())) != `{"*":{"read":true},"u":{"read":true,"write":true},"role:x":{"write":true}}` {
		t.Error("ACLFromSubjects must be the inverse of Subjects")
	}
	if locked, err := parse.ACLFromValue("nonsense"); err != nil || locked.Allows([]string{"*"}, false) {
		t.Error("a value that is no ACL locks")
	}
	if _, err := parse.ACLFromValue(decode(t, `{"*unresolved":{"read":true}}`)); parse.CodeOf(err) != parse.InvalidACL {
		t.Error(err)
	}
}
