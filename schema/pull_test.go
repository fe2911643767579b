package schema_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/schema"
)

func TestFileOf(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file  string // in
		form  string
		has   []string
		lacks []string
	}{
		"own form": {
			file: `{"results":[{"className":"A","fields":{"objectId":{"type":"String"},"n":{"type":"Number","required":true,"defaultValue":3},"u":{"type":"Pointer","targetClass":"_User"}},
				"classLevelPermissions":{"find":{"*":true}},"indexes":{"_id_":{"_id":1},"i":{"_p_u":-1}}},
				{"className":"_User","fields":{"nick":{"type":"String"}}},{"className":"_Role","fields":{}},{"className":"_Hooks","fields":{}}]}`,
			form: `"classes"`, has: []string{`"n"`, `"u": -1`, `"nick"`}, lacks: []string{"objectId", "username", "_Role", "_Hooks"},
		},
		"permissions of a system class": {
			file: `{"classes":[{"className":"Role","classLevelPermissions":{"find":{"*":true}}}]}`,
			form: `"classes"`, has: []string{`"_Role"`}, lacks: []string{"users"},
		},
		"options of other tools": {file: `{"results":[{"className":"A","fields":{"n":{"type":"Number","colour":"red"}}}]}`, form: `"results"`, has: []string{`"colour": "red"`}},
		"unknown target":         {file: `{"results":[{"className":"A","fields":{"b":{"type":"Pointer","targetClass":"B"}}}]}`, form: `"results"`},
		"nothing":                {file: `{"classes":[]}`, form: `"classes"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := schema.Parse("in", []byte(tc.file))
			if err != nil {
				t.Fatal(err)
			}
			text, err := schema.FileOf("", f.Classes)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range append(tc.has, tc.form) {
				if !strings.Contains(string(text), want) {
					t.Errorf("lacks %s:\n%s", want, text)
				}
			}
			for _, surplus := range tc.lacks {
				if strings.Contains(string(text), surplus) {
					t.Errorf("has %s:\n%s", surplus, text)
				}
			}
			again, err := schema.Parse("out", text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			have := schema.NewSnapshot(1, f.Classes...)
			steps, err := schema.Diff(have, again.Classes)
			if diff := cmp.Diff([]string{}, schema.Describe(have, steps)); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

// TestFormsOf: a chosen form says the same as the database, and says so when it
// cannot.
func TestFormsOf(t *testing.T) {
	t.Parallel()
	f, err := schema.Parse("in", []byte(`{"definitions":[
		{"className":"A","fields":{"at":{"type":"Date","defaultValue":"2020-01-02T03:04:05.678Z"},"raw":{"type":"Bytes","defaultValue":"aGVsbG8="},"n":{"type":"Number","required":true}},
		 "indexes":{"i":{"n":1}},"classLevelPermissions":{"find":{"*":true},"get":{"requiresAuthentication":true}}},
		{"className":"Shut"},
		{"className":"_User","fields":{"nick":{"type":"String"}},"classLevelPermissions":{"create":{"*":true}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	have := schema.NewSnapshot(1, f.Classes...)
	for form, wants := range map[schema.Form][]string{
		schema.FormOwn:     {`"__type": "Date"`, `"classLevelPermissions"`},
		schema.FormDefined: {`"defaultValue": "2020-01-02T03:04:05.678Z"`, `"defaultValue": "aGVsbG8="`, `"addField": {}`},
		schema.FormDump:    {`"objectId"`, `"username"`},
	} {
		text, err := schema.FileOf(form, f.Classes)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range append(wants, `"`+string(form)+`"`) {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %s:\n%s", form, want, text)
			}
		}
		again, err := schema.Parse("out", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		steps, warnings, err := again.Plan(have)
		if err != nil || len(steps)+len(warnings) > 0 {
			t.Errorf("%s: %v %v %v", form, schema.Describe(have, steps), warnings, err)
		}
	}
	odd, err := schema.Parse("in", []byte(`{"results":[{"className":"A","fields":{"n":{"type":"Number","colour":"red"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := schema.FileOf(schema.FormOwn, odd.Classes); err == nil || !strings.Contains(err.Error(), "the form results can") {
		t.Errorf("options of other tools in pargo's form: %v", err)
	}
}
