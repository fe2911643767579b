package objects

import (
	"context"
	"slices"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

const (
	kindText = "text"
	// keyScore is where an answer has how well an object matches.
	keyScore = "score"
)

// ensureText makes a text index for the first search of a class. One that
// cannot be made is done without: the search then reads all objects.
func (r *reading) ensureText(ctx context.Context) error {
	n := query.TextOf(r.where)
	if n == nil || r.s.tx != nil || !wantsText(r.class, n) {
		return nil
	}
	tried := r.class.Name + "." + string(n.Path)
	if _, once := r.s.textTried.LoadOrStore(tried, true); once {
		return nil // it failed, or another request is at it
	}
	name := r.class.Name
	snap, err := r.s.ChangeSchema(ctx, func(have *schema.Snapshot) ([]schema.Step, error) {
		c := have.Class(name)
		if c == nil || !wantsText(c, n) {
			return nil, nil
		}
		ix := &schema.Index{Name: string(n.Path) + "_text", Keys: []schema.IndexKey{{Field: string(n.Path), Kind: kindText}}}
		return []schema.Step{{Kind: schema.AddIndex, Class: name, Index: ix}}, nil
	})
	if err != nil {
		if ctx.Err() != nil {
			r.s.textTried.Delete(tried)
			return ctx.Err()
		}
		r.s.o.Log.WarnContext(ctx, "text index not made, searches read all objects", "class", name, "field", n.Path, "error", err)
		return nil
	}
	r.s.textTried.Delete(tried)
	if c := snap.Class(name); c != nil {
		r.class = c
	}
	return nil
}

// wantsText reports whether a class gets a text index for a search: it has
// none, as a collection of MongoDB can have only one.
func wantsText(c *schema.Class, n *query.Text) bool {
	f := c.Field(string(n.Path))
	if f == nil || f.Type != schema.String && f.Type != schema.Array {
		return false
	}
	return !slices.ContainsFunc(c.Indexes, func(ix schema.Index) bool {
		return slices.ContainsFunc(ix.Keys, func(k schema.IndexKey) bool { return k.Kind == kindText })
	})
}

// scored reports whether the query asks how well objects match its search.
func (r *reading) scored() bool {
	return query.TextOf(r.where) != nil &&
		(r.scoreWanted() || slices.ContainsFunc(r.q.Order, func(s query.Sort) bool { return s.Path == query.ScoreField }))
}

// scoreWanted reports whether the answer is to have the score.
func (r *reading) scoreWanted() bool { return slices.Contains(r.q.Keys, query.ScoreKey) }

// takeScore takes the score from an object as a store returned it.
func takeScore(o *parse.Object) (parse.Value, bool) {
	v, ok := o.Fields.Get(query.ScoreField)
	if ok {
		o.Fields.Delete(query.ScoreField)
	}
	return v, ok
}
