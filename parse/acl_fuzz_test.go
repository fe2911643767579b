package parse_test

import (
	"testing"

	"github.com/pargo-baas/pargo/parse"
)

// FuzzACL reads arbitrary ACLs: what is read comes back as it was, by itself
// and through its lists of subjects.
func FuzzACL(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"*":{"read":true}}`, `{"u":{"read":true,"write":true},"role:x":{"write":true}}`, `{"u":{"read":false}}`, `{"u":{"read":"true"}}`,
		`{"u":null}`, `{"u":{"other":true}}`, `{"":{"read":true}}`, `{"u":{"read":true},"u":{"write":true}}`, `[]`, `{"role:":{"read":true}}`, `{"__type":"Pointer","className":"a","objectId":"b"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parse.Decode([]byte(s), parse.DefaultLimits)
		if err != nil {
			return
		}
		acl, err := parse.ACLFromValue(v)
		if err != nil {
			if parse.CodeOf(err) == 0 {
				t.Fatalf("%s: %v", s, err)
			}
			return
		}
		again, err := parse.ACLFromValue(acl.Value())
		if err != nil || !parse.Equal(acl.Value(), again.Value()) {
			t.Fatalf("%s: %s came back as %s, %v", s, parse.AppendJSON(nil, acl.Value()), parse.AppendJSON(nil, again.Value()), err)
		}
		lists := parse.ACLFromSubjects(acl.Subjects(false), acl.Subjects(true))
		for _, subject := range []string{parse.Public, "u", "role:x", ""} {
			for _, write := range []bool{false, true} {
				if one, two := acl.Allows([]string{subject}, write), lists.Allows([]string{subject}, write); one != two {
					t.Fatalf("%s: %q may: %v, by its lists %v", s, subject, one, two)
				}
			}
		}
	})
}
