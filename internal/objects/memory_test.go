package objects_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// memory is a naive store that counts what it is asked.
type memory struct {
	mu      sync.Mutex
	classes map[string][]*parse.Object
	joins   map[storage.Join]map[string][]string
	schema  *schema.Snapshot
	// statements counts reads and writes of objects and joins.
	statements int
	// between, if set, runs once before the next Update or Delete: the other client.
	between func()
	// fail, if set, is asked before each insert.
	fail func(class string) error
}

var errBroken = errors.New("broken")

func newMemory() *memory {
	return &memory{classes: map[string][]*parse.Object{}, joins: map[storage.Join]map[string][]string{}, schema: schema.NewSnapshot(0)}
}

func (m *memory) matching(class string, where query.Node) ([]*parse.Object, error) {
	match, err := query.Compile(where)
	if err != nil {
		return nil, err
	}
	var out []*parse.Object
	for _, o := range m.classes[class] {
		if match.Match(o) {
			out = append(out, o)
		}
	}
	return out, nil
}

func (m *memory) Find(_ context.Context, f *storage.Find) ([]*parse.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statements++
	list, err := m.matching(f.Class.Name, f.Where)
	if err != nil {
		return nil, err
	}
	if len(f.Order) > 0 {
		slices.SortStableFunc(list, query.Less(f.Order))
	}
	list = list[min(f.Skip, len(list)):]
	if f.Limit >= 0 {
		list = list[:min(f.Limit, len(list))]
	}
	out := make([]*parse.Object, len(list))
	for i, o := range list {
		out[i] = o.Clone()
	}
	return out, nil
}

// InsertEach counts as one statement: that is what it is for.
func (m *memory) InsertEach(ctx context.Context, c *schema.Class, list []*parse.Object) []error {
	before := m.statements
	errs := make([]error, len(list))
	for i := range list {
		errs[i] = m.Insert(ctx, c, list[i:i+1])
	}
	m.statements = before + 1
	return errs
}

func (m *memory) UpdateEach(ctx context.Context, updates []*storage.Update) []storage.Updated {
	before := m.statements
	out := make([]storage.Updated, len(updates))
	for i, u := range updates {
		out[i].Before, out[i].After, out[i].Err = m.Update(ctx, u)
	}
	m.statements = before + 1
	return out
}

func (m *memory) Count(_ context.Context, c *schema.Class, where query.Node, _ *query.Advice) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statements++
	list, err := m.matching(c.Name, where)
	return int64(len(list)), err
}

func (m *memory) Insert(_ context.Context, c *schema.Class, list []*parse.Object) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statements++
	if m.fail != nil {
		if err := m.fail(c.Name); err != nil {
			return err
		}
	}
	for _, o := range list {
		for _, have := range m.classes[c.Name] {
			if have.ID == o.ID {
				return &storage.DuplicateError{Class: c.Name, Index: "objectId"}
			}
		}
		m.classes[c.Name] = append(m.classes[c.Name], o.Clone())
	}
	return nil
}

func (m *memory) other() {
	if f := m.between; f != nil {
		m.between = nil
		f()
	}
}

func (m *memory) Update(_ context.Context, u *storage.Update) (before, after *parse.Object, err error) {
	m.other()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statements++
	list, err := m.matching(u.Class.Name, u.Where)
	if err != nil {
		return nil, nil, err
	}
	if len(list) == 0 {
		return nil, nil, storage.ErrNotFound
	}
	after = list[0].Clone()
	if err := parse.ApplyOps(after, u.Ops); err != nil {
		return nil, nil, err
	}
	after.UpdatedAt = u.UpdatedAt
	if u.SetACL {
		after.ACL = u.ACL
	}
	all := m.classes[u.Class.Name]
	all[slices.Index(all, list[0])] = after
	return list[0].Clone(), after.Clone(), nil
}

func (m *memory) Delete(_ context.Context, c *schema.Class, where query.Node) ([]*parse.Object, error) {
	m.other()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statements++
	gone, err := m.matching(c.Name, where)
	m.classes[c.Name] = slices.DeleteFunc(m.classes[c.Name], func(o *parse.Object) bool { return slices.Contains(gone, o) })
	return gone, err
}

func (m *memory) join(j storage.Join) map[string][]string {
	if m.joins[j] == nil {
		m.joins[j] = map[string][]string{}
	}
	return m.joins[j]
}

func (m *memory) AddRelated(_ context.Context, j storage.Join, owner string, ids []string) error {
	m.statements++
	for _, id := range ids {
		if !slices.Contains(m.join(j)[owner], id) {
			m.join(j)[owner] = append(m.join(j)[owner], id)
		}
	}
	return nil
}

func (m *memory) RemoveRelated(_ context.Context, j storage.Join, owner string, ids []string) error {
	m.statements++
	m.join(j)[owner] = slices.DeleteFunc(m.join(j)[owner], func(id string) bool { return slices.Contains(ids, id) })
	return nil
}

func (m *memory) Related(_ context.Context, j storage.Join, owner string) ([]string, error) {
	m.statements++
	return slices.Clone(m.join(j)[owner]), nil
}

func (m *memory) Owning(_ context.Context, j storage.Join, ids []string) ([]string, error) {
	m.statements++
	var out []string
	for owner, members := range m.join(j) {
		if slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(members, id) }) {
			out = append(out, owner)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (m *memory) Links(_ context.Context, j storage.Join, owners []string) ([]storage.Link, error) {
	m.statements++
	var out []storage.Link
	for owner, members := range m.join(j) {
		for _, id := range members {
			if owners == nil || slices.Contains(owners, owner) {
				out = append(out, storage.Link{Owner: owner, Member: id})
			}
		}
	}
	return out, nil
}

func (m *memory) LoadSchema(context.Context) ([]*schema.Class, error) { return m.schema.Classes(), nil }

func (m *memory) ApplySchema(_ context.Context, steps []schema.Step) error {
	s, err := schema.Apply(m.schema, steps)
	if err == nil {
		m.schema = s
	}
	return err
}

func (m *memory) Ping(context.Context) error { return nil }
func (m *memory) Close() error               { return nil }

// transactional is a memory with transactions.
type transactional struct{ *memory }

func (m transactional) InTx(ctx context.Context, fn func(context.Context, storage.Store) error) error {
	classes, joins := map[string][]*parse.Object{}, map[storage.Join]map[string][]string{}
	for k, v := range m.classes {
		classes[k] = slices.Clone(v)
	}
	for k, v := range m.joins {
		joins[k] = maps.Clone(v)
	}
	if err := fn(ctx, m.memory); err != nil {
		m.classes, m.joins = classes, joins
		return err
	}
	return nil
}

// heard is a Publisher that remembers.
type heard struct {
	mu      sync.Mutex
	changes []parse.Change
}

func (*heard) Wants(class string) bool { return class != "Deaf" }
func (h *heard) Publish(_ context.Context, changes []parse.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes = append(h.changes, changes...)
}

// fixture is a service on a memory.
type fixture struct {
	*objects.Service
	mem   *memory
	app   *cloudcode.App
	heard *heard
}

func setup(tb testing.TB, o objects.Options, tx bool, classes ...*schema.Class) *fixture {
	tb.Helper()
	mem := newMemory()
	var store storage.Store = mem
	if tx {
		store = transactional{mem}
	}
	f := setupOn(tb, store, o, classes...)
	f.mem = mem
	return f
}

func setupOn(tb testing.TB, store storage.Store, o objects.Options, classes ...*schema.Class) *fixture {
	tb.Helper()
	f := &fixture{app: cloudcode.New(), heard: &heard{}}
	reg := schema.NewRegistry(store)
	if err := reg.Load(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	_, err := reg.Apply(tb.Context(), func(*schema.Snapshot) ([]schema.Step, error) {
		var steps []schema.Step
		for _, c := range classes {
			steps = append(steps, schema.Step{Kind: schema.CreateClass, Class: c.Name, Def: schema.Complete(c)})
		}
		return steps, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	if o.Publisher == nil {
		o.Publisher = f.heard
	}
	f.Service = objects.New(store, reg, f.app, o)
	return f
}

func def(name string, fields ...*schema.Field) *schema.Class {
	c := &schema.Class{Name: name, Fields: map[string]*schema.Field{}}
	for _, f := range fields {
		c.Fields[f.Name] = f
	}
	return c
}

func field(name string, t schema.Type) *schema.Field { return &schema.Field{Name: name, Type: t} }

func pointerTo(name, class string) *schema.Field {
	return &schema.Field{Name: name, Type: schema.Pointer, TargetClass: class}
}

func body(tb testing.TB, text string) *parse.Map {
	tb.Helper()
	m, err := parse.DecodeMap([]byte(text), parse.DefaultLimits)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return m
}

func user(id string, roles ...string) *access.Principal {
	return access.New(access.Principal{UserID: id, Roles: roles, User: &parse.Object{ClassName: "_User", ID: id}})
}

func (f *fixture) create(tb testing.TB, p *access.Principal, class, text string) *objects.Saved {
	tb.Helper()
	saved, err := f.Create(tb.Context(), p, &objects.Write{Class: class, Body: body(tb, text)})
	if err != nil {
		tb.Fatalf("create %s %s: %v", class, text, err)
	}
	return saved
}

func (f *fixture) update(tb testing.TB, p *access.Principal, class, id, text string) (*objects.Saved, error) {
	tb.Helper()
	return f.Update(tb.Context(), p, &objects.Write{Class: class, ID: id, Body: body(tb, text)})
}

func (f *fixture) find(tb testing.TB, p *access.Principal, class, params string) ([]*parse.Object, error) {
	tb.Helper()
	q, err := query.ParseQuery(body(tb, params), query.Limits{}, query.Scope{Master: p.Bypass()})
	if err != nil {
		return nil, err
	}
	found, err := f.Find(tb.Context(), p, class, q)
	if err != nil {
		return nil, err
	}
	return found.Objects, nil
}

func wantCode(tb testing.TB, err error, code parse.Code) {
	tb.Helper()
	if parse.CodeOf(err) != code {
		tb.Errorf("error = %v, want code %d", err, code)
	}
}

// OrdersCommits keeps the writes of one object from taking turns: between
// plays another client within a write.
func (m *memory) OrdersCommits() {}
