package sqlgen

import (
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Hinted returns the index of a class that the advice means; nil for that of
// ids. has reports whether the database has an index, which a class may declare
// with keys that only other databases can index. One that is not there is the
// client's mistake, 102.
func Hinted(c *schema.Class, a *query.Advice, has func(*schema.Index) bool) (*schema.Index, error) {
	if a.Hint == schema.IDIndex || a.HintKeys != nil && sameKeys([]schema.IndexKey{{Field: parse.KeyObjectID}}, a.HintKeys) {
		return nil, nil
	}
	for i := range c.Indexes {
		ix := &c.Indexes[i]
		if (a.HintKeys == nil && ix.Name == a.Hint || a.HintKeys != nil && sameKeys(ix.Keys, a.HintKeys)) && has(ix) {
			return ix, nil
		}
	}
	what := a.Hint
	if a.HintKeys != nil {
		what = string(parse.AppendJSON(nil, a.HintKeys))
	}
	return nil, parse.Errorf(parse.InvalidQuery, "hint: class %s has no index %s", c.Name, what)
}

// sameKeys compares the keys of an index with a specification such as
// {"author":1,"_created_at":-1}, in names of the protocol or of Parse Server's storage.
func sameKeys(keys []schema.IndexKey, spec *parse.Map) bool {
	if spec.Len() != len(keys) {
		return false
	}
	for i, k := range keys {
		f := spec.At(i)
		name := strings.TrimPrefix(f.Key, "_p_")
		switch name {
		case "_id":
			name = parse.KeyObjectID
		case "_created_at":
			name = parse.KeyCreatedAt
		case "_updated_at":
			name = parse.KeyUpdatedAt
		}
		if name != k.Field {
			return false
		}
		switch dir := f.Value.(type) {
		case string:
			if dir != k.Kind {
				return false
			}
		case float64:
			if k.Kind != "" || (dir < 0) != k.Desc {
				return false
			}
		default:
			return false
		}
	}
	return true
}
