package schema_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

func decode(t *testing.T, text string) *parse.Map {
	t.Helper()
	m, err := parse.DecodeMap([]byte(text), parse.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCLPErrors(t *testing.T) {
	t.Parallel()
	c, err := schema.ClassFromMap(decode(t, `{"className":"C","fields":{"o":{"type":"Pointer","targetClass":"_User"},"n":{"type":"Number"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ text, want string }{
		{`{"foo":{}}`, "foo is not a valid operation for class level permissions"},
		{`{"find":"x"}`, "'x' is not a valid value for class level permissions find - must be an object"},
		{`{"find":null}`, "'null' is not a valid value for class level permissions find - must be an object"},
		{`{"readUserFields":"x"}`, "'x' is not a valid value for class level permissions readUserFields - must be an array"},
		{`{"readUserFields":["nope"]}`, "'nope' is not a valid column for class level pointer permissions readUserFields"},
		{`{"writeUserFields":["n"]}`, "'n' is not a valid column for class level pointer permissions writeUserFields"},
		{`{"find":{"pointerFields":"x"}}`, "'x' is not a valid value for find[pointerFields] - expected an array."},
		{`{"find":{"pointerFields":["n"]}}`, "'n' is not a valid column for class level pointer permissions find"},
		{`{"find":{"bad key!":true}}`, "'bad key!' is not a valid key for class level permissions"},
		{`{"find":{"*":false}}`, "'false' is not a valid value for class level permissions acl find:*"},
		{`{"find":{"*":{}}}`, "'[object Object]' is not a valid value for class level permissions acl find:*"},
		{`{"ACL":{"*":true}}`, "'true' is not a valid value for class level permissions acl"},
		{`{"ACL":{"*":{"foo":true}}}`, "'foo' is not a valid key for class level permissions acl"},
		{`{"ACL":{"*":{"read":1}}}`, "'1' is not a valid value for class level permissions acl"},
		{`{"protectedFields":{"*":"x"}}`, "'x' is not a valid value for protectedFields[*] - expected an array."},
		{`{"protectedFields":{"*":["objectId"]}}`, "Default field 'objectId' can not be protected"},
		{`{"protectedFields":{"*":["nope"]}}`, "Field 'nope' in protectedFields:* does not exist"},
		{`{"find":{"*":true},"update":{"pointerFields":["o"]},"readUserFields":["o"],"protectedFields":{"userField:o":[],"*":["n"]},
		   "ACL":{"currentUser":{"read":true,"write":true}}}`, ""},
	} {
		p, err := schema.CLPFromMap(decode(t, tc.text), c)
		if got := errText(err); got != tc.want || err != nil && parse.CodeOf(err) != parse.InvalidJSON {
			t.Errorf("%s: %q, want %q", tc.text, got, tc.want)
		}
		if err != nil {
			continue
		}
		again, err := schema.CLPFromMap(p.Map(), c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(parse.AppendJSON(nil, p.Map())), string(parse.AppendJSON(nil, again.Map()))); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := schema.CLPFromMap(decode(t, `{"readUserFields":["gone"]}`), nil); err != nil {
		t.Errorf("stored permissions: %v", err)
	}
	want := `{"ACL":{"*":{"read":true,"write":true}},"find":{"*":true},"get":{"*":true},"count":{"*":true},"create":{"*":true},` +
		`"update":{"*":true},"delete":{"*":true},"addField":{"*":true},"protectedFields":{"*":[]}}`
	if got := string(parse.AppendJSON(nil, (*schema.CLP)(nil).Map())); got != want {
		t.Errorf("default: %s", got)
	}
}

func TestClassFromMap(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text, want string
		code       parse.Code
	}{
		{`{"className":"1x"}`, "Invalid classname: 1x, classnames can only have alphanumeric characters and _, and must start with an alpha character ", 103},
		{`{"className":"C","fields":{"1x":{"type":"String"}}}`, "invalid field name: 1x", 105},
		{`{"className":"C","fields":{"objectId":{"type":"Number"}}}`, "field objectId cannot be added", 136},
		{`{"className":"C","fields":{"a":{"type":"Zip"}}}`, "invalid field type: Zip", 111},
		{`{"className":"C","fields":{"a":{}}}`, "invalid JSON", 107},
		{`{"className":"C","fields":{"a":"String"}}`, "invalid JSON", 107},
		{`{"className":"C","fields":{"a":{"type":"Pointer"}}}`, "type Pointer needs a class name", 135},
		{`{"className":"C","fields":{"a":{"type":"Pointer","targetClass":1}}}`, "invalid JSON", 107},
		{`{"className":"C","fields":{"x":{"type":"GeoPoint"},"y":{"type":"GeoPoint"}}}`, "currently, only one GeoPoint field may exist in an object. Adding y when x already exists.", 111},
		{`{"className":"C","fields":{"x":{"type":"String","defaultValue":5}}}`, "schema mismatch for C.x default value; expected String but got Number", 111},
		{`{"className":"C","fields":{"x":{"type":"Relation","targetClass":"Foo","required":true}}}`, "The 'required' option is not applicable for Relation<Foo>", 111},
		{`{"className":"C","fields":{"x":{"type":"Relation","targetClass":"Foo","defaultValue":1}}}`, "The 'default value' option is not applicable for Relation<Foo>", 111},
		{`{"className":"C","indexes":{"i":{"zz":1}}}`, "Field zz does not exist, cannot add index.", 102},
		{`{"className":"C","ownerField":"x"}`, "ownerField 'x' must name a field of type Pointer<_User>", 111},
		{`{"className":"C","fields":{"x":{"type":"Number","validate":{"minimum":2},"defaultValue":1}}}`, "default value: x: must be >= 2 but found 1", 142},
		{`{"className":"C","fields":{"x":{"type":"Number","validate":{"minimum":"a"}}}}`, "compile validate: /minimum expected number, but got string", 107},
	} {
		_, err := schema.ClassFromMap(decode(t, tc.text))
		if got := errText(err); got != tc.want || parse.CodeOf(err) != tc.code {
			t.Errorf("%s:\n got %d %q\nwant %d %q", tc.text, parse.CodeOf(err), got, tc.code, tc.want)
		}
	}
	text := `{"className":"C","fields":{"o":{"type":"Pointer","targetClass":"_User","required":true,"hint":"x"},
		"n":{"type":"Number","defaultValue":2,"validate":{"minimum":1},"comment":"a number"},"d":{"type":"Date","defaultValue":{"__type":"Date","iso":"2020-01-02T03:04:05.678Z"}}},
		"indexes":{"i":{"_p_o":1,"n":-1}},"indexOptions":{"i":{"unique":true}},"ownerField":"o","ownerRoles":["admin"],"comment":"classes",
		"classLevelPermissions":{"find":{"requiresAuthentication":true}}}`
	c, err := schema.ClassFromMap(decode(t, text))
	if err != nil {
		t.Fatal(err)
	}
	first := string(parse.AppendJSON(nil, c.Map()))
	c, err = schema.ClassFromMap(decode(t, first))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, string(parse.AppendJSON(nil, c.Map()))); diff != "" {
		t.Error(diff)
	}
	for _, part := range []string{`"hint":"x"`, `"validate":{"minimum":1}`, `"indexes":{"i":{"o":1,"n":-1}}`, `"ownerField":"o"`, `"create":{}`} {
		if !strings.Contains(first, part) {
			t.Errorf("%s is not in %s", part, first)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	a := load(t, `{"cloud":"x","description":"d","classes":[{"className":"Note","fields":{"objectId":{"type":"String"},"user":{"type":"Pointer","targetClass":"User","required":true}}}]}`)
	if f := a.Classes[0].Field("user"); a.Cloud != "x" || a.Description != "d" || f.TargetClass != "_User" || !f.Required || a.Classes[0].CLP != nil {
		t.Errorf("classes: %+v", f)
	}
	b := load(t, `{"strict":true,"definitions":[{"className":"City","fields":{"at":{"type":"Date","defaultValue":"2020-01-02T03:04:05.678Z"},"b":{"type":"Bytes","defaultValue":"aGk="}},
		"classLevelPermissions":{"find":{"*":true},"addField":{"*":true}}},{"className":"User"}]}`)
	city, user := b.Classes[0], b.Classes[1]
	if !b.Strict || city.Field("at").Default != parse.Date(1577934245678) || string(city.Field("b").Default.(parse.Bytes)) != "hi" {
		t.Errorf("definitions: %+v", city.Map())
	}
	if city.CLP.Ops[schema.AddField].Public || user.Name != "User" || user.CLP == nil || len(user.CLP.Ops) != 1 {
		t.Error("definitions: clients never add fields; no permissions means master key alone")
	}
	text := `{"results":[` + string(parse.AppendJSON(nil, schema.SystemClass("_User").Map())) + `,` +
		`{"className":"Game","fields":{"s":{"type":"Number"}},"indexes":{"_id_":{"_id":1},"t":{"_fts":"text","_ftsx":1},"s":{"s":1}}}]}`
	c := load(t, text)
	if len(c.Classes) != 2 || len(c.Classes[1].Indexes) != 1 || len(c.Classes[0].Indexes) != 6 {
		t.Errorf("results: %v", c.Classes[1].Indexes)
	}
}

func TestFileErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, want string }{
		{"{\n \"classes\": [}", "s.json: line 2, column 14: invalid character '}' looking for beginning of value; correct the JSON there"},
		{`{}`, "s.json: the file has 0 of the lists classes, definitions and results; write exactly one of them"},
		{`[]`, "s.json: expected a JSON object; write one JSON object"},
		{
			`{"classes":[{"clasName":"A"},{"className":"B","fields":{"x":{"type":"Numbr"},"y":{"type":"String","required":1}}}]}`,
			"s.json: /classes/0: missing properties: 'className'; add 'className'\n" +
				"s.json: /classes/0: additionalProperties 'clasName' not allowed; correct the spelling or remove it\n" +
				"s.json: /classes/1/fields/x/type: value must be one of",
		},
		{
			`{"classes":[{"className":"A","fields":{"a":{"type":"Pointer"},"b":{"type":"Pointer","targetClass":"Nope"},"c":{"type":"Number","min":1}}},{"className":"A"}]}`,
			"s.json: /classes/0/fields/a: type Pointer needs a class name; add targetClass\n" +
				"s.json: /classes/0/fields/c/min: unknown field option min; use type, targetClass, required, defaultValue, validate or comment\n" +
				"s.json: /classes/1/className: class A is defined twice; join the two definitions\n" +
				"s.json: /classes/0/fields/b/targetClass: class Nope is not defined; define it in this file or correct the name",
		},
		{
			`{"classes":[{"className":"A","classLevelPermissions":{"protectedFields":{"*":["zz"]}}}]}`,
			"s.json: /classes/0/classLevelPermissions/protectedFields/*/0: Field 'zz' in protectedFields:* does not exist; docs/schema-file.md shows what is allowed",
		},
	} {
		_, err := schema.Parse("s.json", []byte(tc.text))
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s:\n got %v\nwant %s", tc.text, err, tc.want)
		}
	}
	if _, err := schema.LoadFile("no/such/file.json"); err == nil {
		t.Error("a missing file is accepted")
	}
}

func TestValidator(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fragment string
		value    parse.Value
		want     string
	}{
		{`{"minimum":0.01}`, 0.0, "f: must be >= 0.01 but found 0"},
		{`{"maximum":10}`, 11.0, "f: must be <= 10 but found 11"},
		{`{"exclusiveMaximum":10}`, 10.0, "f: must be < 10 but found 10"},
		{`{"minimum":5}`, nil, ""},
		{`{"minimum":5}`, math.NaN(), "f: must be a finite number"},
		{`{"multipleOf":5}`, math.Inf(1), "f: must be a finite number"},
		{`{"multipleOf":0.01}`, 1.005, "f: 1.005 not multipleOf 0.01"},
		{`{"multipleOf":0.01}`, 19.99, ""},
		{`{"enum":["a",1]}`, "b", `f: value must be one of "a", 1`},
		{`{"minLength":2}`, "é", "f: length must be >= 2, but got 1"},
		{`{"format":"date-time"}`, parse.Date(0), ""},
		{`{"items":{"type":"string"}}`, parse.Array{"a", 1.0}, "f: 1 expected string, but got number"},
		{`{"required":["a"]}`, parse.NewMap(), "f: missing properties: 'a'"},
		{`{"properties":{"latitude":{"minimum":0}}}`, parse.GeoPoint{Latitude: -1}, "f: latitude must be >= 0 but found -1"},
	} {
		v, err := schema.CompileValidator("f", []byte(tc.fragment))
		if err != nil {
			t.Fatal(err)
		}
		if got := errText(v.Validate(tc.value)); got != tc.want {
			t.Errorf("%s of %v: %q, want %q", tc.fragment, tc.value, got, tc.want)
		}
	}
	for _, bad := range []string{`{`, `{"type":"nope"}`, `{"$ref":"file:///etc/passwd"}`, `{"$ref":"http://127.0.0.1/x"}`, `{"pattern":"("}`, `{"minimum":1e999999999}`} {
		if _, err := schema.CompileValidator("f", []byte(bad)); err == nil {
			t.Errorf("%s compiles", bad)
		}
	}
}

// The checks without conversion must agree with the whole of JSON Schema.
func TestQuickAgreesWithFull(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rules := map[string]any{}
		for _, key := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} {
			if rapid.Bool().Draw(t, key) {
				rules[key] = float64(rapid.IntRange(-4, 4).Draw(t, key)) / 2
			}
		}
		for _, key := range []string{"minLength", "maxLength"} {
			if rapid.Bool().Draw(t, key) {
				rules[key] = rapid.IntRange(0, 4).Draw(t, key)
			}
		}
		if rapid.Bool().Draw(t, "pattern") {
			rules["pattern"] = "^[ab]*$"
		}
		quickText, _ := json.Marshal(rules)
		rules["allOf"] = []any{map[string]any{}} // a keyword beyond the quick ones
		fullText, _ := json.Marshal(rules)
		quick, err := schema.CompileValidator("f", quickText)
		if err != nil {
			t.Fatal(err)
		}
		full, err := schema.CompileValidator("f", fullText)
		if err != nil {
			t.Fatal(err)
		}
		v := rapid.OneOf(rapid.Map(rapid.IntRange(-6, 6), func(i int) parse.Value { return float64(i) / 2 }),
			rapid.Map(rapid.StringMatching("[abcé]{0,6}"), func(s string) parse.Value { return s }),
			rapid.Just(parse.Value(true))).Draw(t, "value")
		if q, f := quick.Validate(v), full.Validate(v); (q == nil) != (f == nil) {
			t.Fatalf("%s of %v: quick %v, full %v", quickText, v, q, f)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	v, err := schema.CompileValidator("amount", []byte(`{"exclusiveMinimum":0,"maximum":1000000}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var value parse.Value = 12.5
	for b.Loop() {
		if err := v.Validate(value); err != nil {
			b.Fatal(err)
		}
	}
}
