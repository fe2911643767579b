package schema_test

import (
	"testing"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// FuzzCLP reads arbitrary class-level permissions: what is read is read the
// same again.
func FuzzCLP(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"find":{"*":true}}`, `{"find":{"requiresAuthentication":true},"get":{"role:x":true},"update":{"u":true}}`, `{"find":{"*":false}}`,
		`{"create":{"pointerFields":["owner"]}}`, `{"readUserFields":["owner"],"writeUserFields":["owner"]}`, `{"readUserFields":["n"]}`,
		`{"protectedFields":{"*":["n"],"role:x":[],"userField:owner":["n"],"authenticated":["n"]}}`, `{"protectedFields":{"*":["objectId"]}}`,
		`{"ACL":{"currentUser":{"read":true}}}`, `{"aggregate":{"*":true}}`, `{"addField":{}}`, `{"find":{"*":1}}`, `{"nonsense":{}}`, `{"find":null}`,
	} {
		f.Add(s)
	}
	class := &schema.Class{Name: "A", Fields: map[string]*schema.Field{
		"owner": {Name: "owner", Type: schema.Pointer, TargetClass: "_User"}, "n": {Name: "n", Type: schema.Number},
	}}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parse.DecodeMap([]byte(s), parse.DefaultLimits)
		if err != nil {
			return
		}
		clp, err := schema.CLPFromMap(m, class)
		if err != nil || clp == nil {
			return
		}
		text := parse.AppendJSON(nil, clp.Map())
		again, err := parse.DecodeMap(text, parse.DefaultLimits)
		if err != nil {
			t.Fatalf("%s gives %s: %v", s, text, err)
		}
		second, err := schema.CLPFromMap(again, class)
		if err != nil {
			t.Fatalf("%s gives %s, which is refused: %v", s, text, err)
		}
		if got := parse.AppendJSON(nil, second.Map()); string(got) != string(text) {
			t.Fatalf("%s gives %s and then %s", s, text, got)
		}
	})
}
