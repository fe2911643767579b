package storagetest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Model is a naive store in memory: lists, walked with [query.Matcher]. It is
// what adapters are compared with, and good enough for tests of packages above.
type Model struct {
	mu sync.Mutex
	// All below is guarded by mu.
	objects map[string][]*parse.Object
	members map[string][]member
	classes map[string]*schema.Class
	// typed: it keeps what a storage.Typed does.
	typed bool
}

type member struct{ owner, id string }

var _ storage.Store = (*Model)(nil)

// NewModel returns an empty store.
func NewModel() storage.Store {
	return &Model{objects: map[string][]*parse.Object{}, members: map[string][]member{}, classes: map[string]*schema.Class{}}
}

// newModelOf returns an empty store that keeps what another one does.
func newModelOf(s storage.Store) storage.Store {
	return &Model{objects: map[string][]*parse.Object{}, members: map[string][]member{}, classes: map[string]*schema.Class{}, typed: storage.IsTyped(s)}
}

// kept makes an object what it is once it is stored.
func (m *Model) kept(o *parse.Object) *parse.Object {
	if m.typed {
		plain(o)
	}
	return o
}

// plain removes nulls, and rounds numbers to doubles.
func plain(o *parse.Object) {
	for i := o.Fields.Len() - 1; i >= 0; i-- {
		switch f := o.Fields.At(i); v := f.Value.(type) {
		case nil:
			o.Fields.Delete(f.Key)
		case parse.Int:
			o.Fields.Set(f.Key, float64(v))
		}
	}
}

func clone(o *parse.Object) *parse.Object {
	c := o.Clone()
	c.ACL = o.ACL.Clone()
	return c
}

// matching returns the stored objects themselves.
func (m *Model) matching(class string, where query.Node) ([]*parse.Object, error) {
	matcher, err := query.Compile(where)
	if err != nil {
		return nil, err
	}
	var out []*parse.Object
	scan := matcher.Scan()
	for _, o := range m.objects[class] {
		if scan.Match(o) {
			out = append(out, o)
		}
	}
	return out, scan.Err()
}

// Find implements [storage.Store].
func (m *Model) Find(ctx context.Context, f *storage.Find) ([]*parse.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list, err := m.matching(f.Class.Name, f.Where)
	if err != nil {
		return nil, err
	}
	if n := query.TextOf(f.Where); n != nil && f.Score {
		score := n.Score()
		for i, o := range list {
			list[i] = clone(o)
			list[i].Set(query.ScoreField, score(o))
		}
	}
	slices.SortStableFunc(list, query.Less(f.Order))
	list = list[min(f.Skip, len(list)):]
	if f.Limit >= 0 {
		list = list[:min(f.Limit, len(list))]
	}
	for i, o := range list {
		list[i] = clone(o)
		if err := f.Keep(list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Count implements [storage.Store].
func (m *Model) Count(ctx context.Context, class *schema.Class, where query.Node, _ *query.Advice) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list, err := m.matching(class.Name, where)
	return int64(len(list)), err
}

// conflict looks for another object with the key of o in a unique index.
func conflict(class *schema.Class, list []*parse.Object, o *parse.Object) error {
	for _, other := range list {
		if other.ID == o.ID {
			return &storage.DuplicateError{Class: class.Name, Index: parse.KeyObjectID, Fields: []string{parse.KeyObjectID}}
		}
	}
	for _, ix := range class.Indexes {
		if !ix.Unique {
			continue
		}
		for _, other := range list {
			if sameKey(&ix, o, other) {
				d := &storage.DuplicateError{Class: class.Name, Index: ix.Name}
				for _, k := range ix.Keys {
					d.Fields = append(d.Fields, k.Field)
				}
				return d
			}
		}
	}
	return nil
}

func sameKey(ix *schema.Index, a, b *parse.Object) bool {
	present := false
	for _, k := range ix.Keys {
		x, _ := parse.Lookup(a, k.Field)
		y, _ := parse.Lookup(b, k.Field)
		present = present || x != nil
		s, isString := x.(string)
		t, both := y.(string)
		if ix.CaseInsensitive && isString && both {
			if !strings.EqualFold(s, t) {
				return false
			}
			continue
		}
		if !parse.Equal(x, y) {
			return false
		}
	}
	return present || !ix.Sparse
}

// Insert implements [storage.Store].
func (m *Model) Insert(ctx context.Context, class *schema.Class, objects []*parse.Object) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.objects[class.Name])
	for _, o := range objects {
		if err := conflict(class, list, o); err != nil {
			return err
		}
		list = append(list, m.kept(clone(o)))
	}
	m.objects[class.Name] = list
	return nil
}

// Update implements [storage.Store].
func (m *Model) Update(ctx context.Context, u *storage.Update) (before, after *parse.Object, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	hits, err := m.matching(u.Class.Name, u.Where)
	if err != nil {
		return nil, nil, err
	}
	if len(hits) == 0 {
		return nil, nil, storage.ErrNotFound
	}
	list := m.objects[u.Class.Name]
	at := slices.Index(list, hits[0])
	next := clone(hits[0])
	if u.Ops != nil {
		if err := parse.ApplyOps(next, u.Ops); err != nil {
			return nil, nil, err
		}
	}
	m.kept(next)
	if u.SetACL {
		next.ACL = u.ACL.Clone()
	}
	if u.UpdatedAt != 0 {
		next.UpdatedAt = u.UpdatedAt
	}
	if err := conflict(u.Class, slices.Delete(slices.Clone(list), at, at+1), next); err != nil {
		return nil, nil, err
	}
	list[at] = next
	return hits[0], clone(next), nil
}

// Delete implements [storage.Store].
func (m *Model) Delete(ctx context.Context, class *schema.Class, where query.Node) ([]*parse.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	hits, err := m.matching(class.Name, where)
	if err != nil {
		return nil, err
	}
	m.objects[class.Name] = slices.DeleteFunc(m.objects[class.Name], func(o *parse.Object) bool { return slices.Contains(hits, o) })
	return hits, nil
}

// AddRelated implements [storage.Store].
func (m *Model) AddRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.members[r.String()]
	for _, id := range relatedIDs {
		if e := (member{owningID, id}); !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	m.members[r.String()] = list
	return ctx.Err()
}

// RemoveRelated implements [storage.Store].
func (m *Model) RemoveRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.members[r.String()] = slices.DeleteFunc(m.members[r.String()], func(e member) bool {
		return e.owner == owningID && slices.Contains(relatedIDs, e.id)
	})
	return ctx.Err()
}

// Related implements [storage.Store].
func (m *Model) Related(ctx context.Context, r storage.Join, owningID string) (out []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.members[r.String()] {
		if e.owner == owningID {
			out = append(out, e.id)
		}
	}
	return out, ctx.Err()
}

// Owning implements [storage.Store].
func (m *Model) Owning(ctx context.Context, r storage.Join, relatedIDs []string) (out []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.members[r.String()] {
		if slices.Contains(relatedIDs, e.id) && !slices.Contains(out, e.owner) {
			out = append(out, e.owner)
		}
	}
	return out, ctx.Err()
}

// Links implements [storage.Store].
func (m *Model) Links(ctx context.Context, r storage.Join, owningIDs []string) (out []storage.Link, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.members[r.String()] {
		if owningIDs == nil || slices.Contains(owningIDs, e.owner) {
			out = append(out, storage.Link{Owner: e.owner, Member: e.id})
		}
	}
	return out, ctx.Err()
}

// LoadSchema implements [storage.Store].
func (m *Model) LoadSchema(ctx context.Context) ([]*schema.Class, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snapshot().Classes(), ctx.Err()
}

func (m *Model) snapshot() *schema.Snapshot {
	var list []*schema.Class
	for _, c := range m.classes {
		list = append(list, c)
	}
	return schema.NewSnapshot(0, list...)
}

// ApplySchema implements [storage.Store].
func (m *Model) ApplySchema(ctx context.Context, steps []schema.Step) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, st := range steps {
		switch {
		case st.Kind == schema.CreateClass && m.classes[st.Class] != nil:
			continue
		case st.Kind == schema.DropClass:
			delete(m.objects, st.Class)
			for join := range m.members {
				if strings.HasSuffix(join, ":"+st.Class) {
					delete(m.members, join)
				}
			}
		case st.Kind == schema.DropField:
			delete(m.members, storage.Join{Class: st.Class, Key: st.Field.Name}.String())
			for i, o := range m.objects[st.Class] {
				next := clone(o)
				next.Fields.Delete(st.Field.Name)
				m.objects[st.Class][i] = next
			}
		}
		next, err := schema.Apply(m.snapshot(), []schema.Step{st})
		if err != nil {
			return err
		}
		if m.classes[st.Class] = next.Class(st.Class); m.classes[st.Class] == nil {
			delete(m.classes, st.Class)
		}
	}
	return ctx.Err()
}

// Ping implements [storage.Store].
func (m *Model) Ping(ctx context.Context) error { return ctx.Err() }

// Close implements [storage.Store].
func (m *Model) Close() error { return nil }
