package parse_test

import (
	"strconv"
	"testing"

	"github.com/pargo-baas/pargo/parse"
)

func TestLoan(t *testing.T) {
	object := func(n int) *parse.Object {
		o := &parse.Object{ClassName: "C", ID: "x", ACL: parse.NewACL(parse.ACLEntry{Subject: "u", Read: true})}
		for i := range n {
			o.Set("f"+strconv.Itoa(i), float64(i))
		}
		return o
	}
	doc := string(object(3).AppendDocument(nil))
	lazy, err := parse.DecodeDocument("C", doc, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]*parse.Object{"few": object(3), "many": object(40), "lazy": lazy, "no fields": object(0), "no ACL": {ClassName: "C"}} {
		for what, tt := range map[string]struct {
			change      func(o *parse.Object) *parse.Object
			fields, acl bool
		}{
			"read":   {func(o *parse.Object) *parse.Object { o.Get("f0"); return o }, false, false},
			"set":    {func(o *parse.Object) *parse.Object { o.Set("f0", "new"); return o }, true, false},
			"add":    {func(o *parse.Object) *parse.Object { o.Set("new", 1.0); return o }, true, false},
			"copied": {func(o *parse.Object) *parse.Object { c := *o; c.Set("f0", "new"); return &c }, true, false},
			"cloned": {func(o *parse.Object) *parse.Object { c := o.Clone(); c.Set("f0", "new"); return c }, true, false},
			"other":  {func(*parse.Object) *parse.Object { return object(2) }, true, o.ACL == nil},
			"grown":  {func(o *parse.Object) *parse.Object { o.Fields.Grow(9); return o }, false, false},
			"no ACL": {func(o *parse.Object) *parse.Object { o.ACL = nil; return o }, false, o.ACL != nil},
			"ACL": {func(o *parse.Object) *parse.Object {
				if o.ACL == nil {
					o.ACL = parse.NewACL()
				}
				o.ACL.Set("v", true, true)
				return o
			}, false, true},
			"same ACL": {func(o *parse.Object) *parse.Object { o.ACL = o.ACL.Clone(); return o }, false, false},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				before := string(o.Clone().AppendDocument(nil))
				var l parse.Loan
				back := tt.change(l.Lend(o))
				if fields, acl := l.Returned(back); fields != tt.fields || acl != tt.acl {
					t.Errorf("fields %v, ACL %v", fields, acl)
				}
				if after := string(o.Clone().AppendDocument(nil)); after != before {
					t.Errorf("the object became %s", after)
				}
			})
		}
	}
}

// What is appended to an object stays out of its loans, and what is set in
// them out of it.
func TestAppendToLent(t *testing.T) {
	for _, n := range []int{0, 3, 15, 16, 30} {
		o := &parse.Object{ClassName: "C"}
		o.Fields.Grow(n + 4)
		for i := range n {
			o.Set("f"+strconv.Itoa(i), float64(i))
		}
		var a, b parse.Loan
		first, second := a.Lend(o), b.Lend(o)
		o.Fields.Append("later", 1.0)
		first.Set("later", 2.0)
		second.Set("mine", 3.0)
		for who, x := range map[string]*parse.Object{"object": o, "first": first, "second": second} {
			v, has := x.Get("later")
			want := map[string]any{"object": 1.0, "first": 2.0}[who]
			if v != want || has != (want != nil) || x.Fields.Len() != n+1 || x.Fields.Has("mine") != (who == "second") {
				t.Errorf("%d fields, %s: %s", n, who, x.AppendFields(nil))
			}
		}
	}
}
