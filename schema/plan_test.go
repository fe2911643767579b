package schema_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// stored is a database with two classes beside those of the system.
func stored(t *testing.T) *schema.Snapshot {
	t.Helper()
	f, err := schema.Parse("stored", []byte(`{"results":[
		{"className":"A","fields":{"keep":{"type":"String"},"extra":{"type":"Number"},"typed":{"type":"String"},"fans":{"type":"Relation","targetClass":"_User"}},
		 "indexes":{"byKeep":{"keep":1},"byTyped":{"typed":-1},"old":{"keep":1,"extra":1}}},
		{"className":"B","fields":{"x":{"type":"String"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	classes := append(f.Classes, schema.SystemClass("_User"))
	return schema.NewSnapshot(1, classes...)
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const fields = `"fields":{"keep":{"type":"String","required":true},"typed":{"type":"Number"},"fans":{"type":"Relation","targetClass":"_User"},"more":{"type":"Date"}},"indexes":{"byKeep":{"keep":-1},"byTyped":{"typed":-1}}`
	const class = `[{"className":"A",` + fields + `}]`
	for name, tc := range map[string]struct {
		file     string
		steps    []string
		warnings []string
		err      string
	}{
		"own form": {
			file: `{"classes":` + class + `}`,
			err:  "schema mismatch for A.typed; it is stored as String but defined as Number: define it as stored, or give the new field another name",
		},
		"own form, everything allowed": {
			file: `{"classes":` + class + `,"deleteExtraFields":true,"recreateModifiedFields":true,"strict":true}`,
			steps: []string{
				"drop field A.extra with its data", "drop field A.typed with its data", "add field A.typed: Number",
				"change options of field A.keep: String", "add field A.more: Date",
				"drop index A.byKeep", "add index A.byKeep on -keep", "add index A.byTyped on -typed",
			},
			warnings: []string{"class B is stored but not defined"},
		},
		"definitions": {
			file: `{"definitions":` + class + `}`,
			steps: []string{
				"change options of field A.keep: String", "add field A.more: Date", "set permissions of class A",
				"drop index A.old", "drop index A.byKeep", "add index A.byKeep on -keep",
				"set permissions of class B", "set permissions of class _User",
			},
			warnings: []string{"schema mismatch for A.typed; it is stored as String but defined as Number; it stays as it is stored"},
		},
		"definitions, strict": {
			file: `{"definitions":` + class + `,"strict":true,"keepUnknownIndexes":true,"recreateModifiedFields":true}`,
			steps: []string{
				"drop field A.typed with its data", "add field A.typed: Number",
				"change options of field A.keep: String", "add field A.more: Date", "set permissions of class A",
				"drop index A.byKeep", "add index A.byKeep on -keep", "add index A.byTyped on -typed",
				"set permissions of class B", "set permissions of class _User",
			},
			warnings: []string{"field A.extra is stored but not defined", "class B is stored but not defined"},
		},
		"a new class": {
			file:  `{"classes":[{"className":"C","ownerField":"u","fields":{"u":{"type":"Pointer","targetClass":"User"}}}]}`,
			steps: []string{"create class C: 5 fields, 0 indexes"},
		},
		"owner": {file: `{"classes":[{"className":"B","comment":"b","fields":{}}]}`, steps: []string{"set owner and comment of class B"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have := stored(t)
			f, err := schema.Parse("file", []byte(tc.file))
			if err != nil {
				t.Fatal(err)
			}
			steps, warnings, err := f.Plan(have)
			if got := errText(err); got != tc.err {
				t.Fatalf("error %q, want %q", got, tc.err)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(tc.steps, schema.Describe(have, steps)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.warnings, warnings); diff != "" {
				t.Error(diff)
			}
			next, err := schema.Apply(have, steps)
			if err != nil {
				t.Fatal(err)
			}
			if again, _, err := f.Plan(next); err != nil || len(again) > 0 {
				t.Errorf("a second plan is not empty: %q %v", schema.Describe(next, again), err)
			}
		})
	}
}

// TestDefinitionsCloseOtherClasses: what a class allows stays, but for new fields.
func TestDefinitionsCloseOtherClasses(t *testing.T) {
	t.Parallel()
	f, err := schema.Parse("file", []byte(`{"definitions":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	have := stored(t)
	steps, _, err := f.Plan(have)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range steps {
		if st.Destroys() || st.Class == "A" && string(parse.AppendJSON(nil, st.CLP.Map())) != `{"find":{"*":true},"get":{"*":true},"count":{"*":true},`+
			`"create":{"*":true},"update":{"*":true},"delete":{"*":true},"addField":{},"protectedFields":{}}` {
			t.Errorf("%s: %s", st.Class, parse.AppendJSON(nil, st.CLP.Map()))
		}
	}
}
