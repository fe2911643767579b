package schema_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// FuzzParse: a schema file is read or refused with mistakes that have a place;
// what is read can be planned, applied, written and read again, and says the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"classes":[{"className":"A","fields":{"s":{"type":"String","required":true,"defaultValue":"x","validate":{"maxLength":3},"comment":"c"},"u":{"type":"Pointer","targetClass":"User"}},"ownerField":"u","ownerRoles":["r"],"indexes":{"i":{"s":1,"u":-1}},"indexOptions":{"i":{"unique":true}},"classLevelPermissions":{"find":{"*":true},"get":{"pointerFields":["u"]}}}]}`,
		`{"definitions":[{"className":"_User","fields":{"d":{"type":"Date","defaultValue":"2020-01-01T00:00:00.000Z"},"b":{"type":"Bytes","defaultValue":"aGk="}}}],"strict":true,"lockSchemas":true}`,
		`{"results":[{"className":"A","fields":{"objectId":{"type":"String"},"g":{"type":"GeoPoint"},"r":{"type":"Relation","targetClass":"A"},"o":{"type":"Object","colour":"red"}},"indexes":{"_id_":{"_id":1},"x":{"_p_g":1},"y":{"o.k":"hashed"}}}]}`,
		`{"classes":[{"className":"A"},{"className":"A"}]}`, `{"classes":{}}`, `{"classes":[null]}`, `[]`, ``, `{"classes":[]`, `{"classes":[{"className":"__proto__","fields":{"toString":{"type":"Zip"}}}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := schema.Parse("file", data)
		if err != nil {
			var fe *schema.FileError
			if !errors.As(err, &fe) || len(fe.Problems) == 0 {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		have := schema.NewSnapshot(0)
		steps, _, err := doc.Plan(have)
		if err != nil {
			t.Fatalf("no plan for a new database: %v", err)
		}
		next, err := schema.Apply(have, steps)
		if err != nil {
			t.Fatalf("the plan does not apply: %v", err)
		}
		if again, _, err := doc.Plan(next); err != nil || len(again) > 0 {
			t.Fatalf("after the plan: %v, %v", schema.Describe(next, again), err)
		}
		text, err := schema.FileOf("", next.Classes())
		if err != nil {
			t.Fatal(err)
		}
		same, err := schema.Parse("written", text)
		if err != nil {
			t.Fatalf("what was written is not read: %v\n%s", err, text)
		}
		if steps, _, err := same.Plan(next); err != nil || len(steps) > 0 {
			t.Fatalf("what was written says something else: %v, %v\n%s", schema.Describe(next, steps), err, text)
		}
	})
}

// FuzzChange: the body of a PUT or POST to /schemas gives steps that apply, or
// an error of the protocol; permissions that are taken say the same when they
// are read as stored.
func FuzzChange(f *testing.F) {
	for _, seed := range []string{
		`{"classLevelPermissions":{"find":{"*":true,"role:a":true,"requiresAuthentication":true,"pointerFields":["u"]},"readUserFields":["u"],"protectedFields":{"*":["s"],"userField:u":[]},"ACL":{"*":{"read":true},"currentUser":{"write":true}}}}`,
		`{"classLevelPermissions":null}`, `{"classLevelPermissions":{"find":{"*":false}}}`, `{"classLevelPermissions":{"protectedFields":[]}}`,
		`{"fields":{"s":{"__op":"Delete"},"n":{"type":"Number","required":true,"defaultValue":1,"odd":[1]},"u":{"type":"Pointer","targetClass":"_User"}}}`,
		`{"fields":{"x":{"type":"Relation"},"y":1}}`, `{"indexes":{"a":{"s":1,"o.k.l":-1},"i":{"__op":"Delete"}},"indexOptions":{"a":{"sparse":true}}}`,
		`{"ownerField":"u","ownerRoles":["a"],"comment":"c"}`, `{"ownerField":null}`, `{}`,
	} {
		f.Add(seed)
	}
	base := schema.Complete(&schema.Class{
		Name: "A", Fields: map[string]*schema.Field{
			"s": {Name: "s", Type: schema.String}, "u": {Name: "u", Type: schema.Pointer, TargetClass: "_User"}, "o": {Name: "o", Type: schema.Object},
		}, Indexes: []schema.Index{{Name: "i", Keys: []schema.IndexKey{{Field: "s"}}}},
	})
	f.Fuzz(func(t *testing.T, text string) {
		body, err := parse.DecodeMap([]byte(text), parse.DefaultLimits)
		if err != nil {
			return
		}
		have := schema.NewSnapshot(0, base)
		for name, plan := range map[string]func(*schema.Snapshot, string, *parse.Map) ([]schema.Step, error){
			"A": schema.Rules{}.PlanUpdate, "B": schema.Rules{AnyUserID: true, AnyIndexField: true}.PlanCreate,
		} {
			steps, err := plan(have, name, body)
			var pe *parse.Error
			if err != nil {
				if !errors.As(err, &pe) || strings.Contains(pe.Message, "%!") {
					t.Fatalf("%s: refused by %v", name, err)
				}
				continue
			}
			next, err := schema.Apply(have, steps)
			if err != nil {
				t.Fatalf("%s: the steps do not apply: %v", name, err)
			}
			c := next.Class(name)
			if c.CLP == nil {
				continue
			}
			stored, err := schema.CLPFromMap(c.CLP.Map(), nil)
			if err != nil {
				t.Fatalf("%s: stored permissions are not read: %v", name, err)
			}
			if !parse.Equal(stored.Map(), c.CLP.Map()) {
				t.Fatalf("%s: stored permissions say %s", name, parse.AppendJSON(nil, stored.Map()))
			}
		}
	})
}
