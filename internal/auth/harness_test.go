package auth_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Names of classes.
const (
	user    = "_User"
	session = "_Session"
	role    = "_Role"
)

var (
	master = access.MasterKey()
	nobody = access.Anonymous()
)

// world is the service on a database of its own, with a clock that stands still.
type world struct {
	*auth.Service
	t       testing.TB
	objs    *objects.Service
	app     *cloudcode.App
	pub     *relay
	revoked recorder
	mu      sync.Mutex
	now     time.Time // guarded by mu
}

// recorder gathers what OnRevoke is told.
type recorder struct {
	mu    sync.Mutex
	users []string // guarded by mu
	all   int      // guarded by mu
}

func (r *recorder) add(users []string, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users = append(r.users, users...)
	if all {
		r.all++
	}
}

// take returns what was told since the last time.
func (r *recorder) take() (users []string, all int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	users, all = r.users, r.all
	r.users, r.all = nil, 0
	return users, all
}

// relay is the publisher, which is wired before the service exists.
type relay struct {
	*auth.Service
	before func([]parse.Change) // if set, sees changes before the service does
}

func (r *relay) Publish(ctx context.Context, changes []parse.Change) {
	if r.before != nil {
		r.before(changes)
	}
	r.Service.Publish(ctx, changes)
}

func newWorld(t testing.TB, change func(*auth.Options, *objects.Options)) *world {
	t.Helper()
	return newWorldOn(t, func(s storage.Store) storage.Store { return s }, change)
}

// newWorldOn is newWorld with a store between the database and the service.
func newWorldOn(t testing.TB, wrap func(storage.Store) storage.Store, change func(*auth.Options, *objects.Options)) *world {
	t.Helper()
	ctx := t.Context()
	db, err := sqlite.Open(ctx, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	store := storage.Store(db)
	if _, bench := t.(*testing.B); !bench {
		store = storage.Checked(db)
	}
	store = wrap(store)
	reg := schema.NewRegistry(store)
	if err := reg.Load(ctx); err != nil {
		t.Fatal(err)
	}
	// The last guard against two users with one anonymous id.
	index := schema.Index{Name: "_auth_data_anonymous_id", Unique: true, Sparse: true, Keys: []schema.IndexKey{{Field: "authData.anonymous.id"}}}
	if _, err := reg.Apply(ctx, func(have *schema.Snapshot) ([]schema.Step, error) {
		if slices.ContainsFunc(have.Class(user).Indexes, func(ix schema.Index) bool { return ix.Name == index.Name }) {
			return nil, nil
		}
		return []schema.Step{{Kind: schema.AddIndex, Class: user, Index: &index}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	pub := &relay{}
	w := &world{t: t, app: cloudcode.New(), pub: pub, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	clock := func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.now
	}
	oo := objects.Options{Now: clock, Publisher: pub, AllowClientClassCreation: true, AllowCustomObjectID: true}
	ao := auth.Options{
		Now: clock, Passwords: auth.Algorithm{Cost: bcrypt.MinCost}, SessionLength: time.Hour,
		EnableAnonymous: true, EnforcePrivateUsers: true, RevokeSessionOnPasswordReset: true,
	}
	if change != nil {
		change(&ao, &oo)
	}
	w.objs = objects.New(store, reg, w.app, oo)
	if w.Service, err = auth.New(w.objs, ao); err != nil {
		t.Fatal(err)
	}
	pub.Service = w.Service
	w.OnRevoke(w.revoked.add)
	return w
}

// setCLP gives a class permissions.
func (w *world) setCLP(class string, clp *schema.CLP) {
	w.t.Helper()
	if _, err := w.objs.Registry().Apply(w.t.Context(), func(*schema.Snapshot) ([]schema.Step, error) {
		return []schema.Step{{Kind: schema.SetCLP, Class: class, CLP: clp}}, nil
	}); err != nil {
		w.t.Fatal(err)
	}
}

// wait lets time pass.
func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// body decodes what a client sends.
func body(t testing.TB, s string) *parse.Map {
	t.Helper()
	m, err := parse.DecodeMap([]byte(s), parse.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// member is a user with a session.
type member struct{ id, token string }

// signUp makes the user name with the password "pass-"+name.
func (w *world) signUp(name string) member {
	w.t.Helper()
	return w.signUpAs(nobody, `{"username":"`+name+`","password":"pass-`+name+`","email":"`+name+`@x.y"}`)
}

func (w *world) signUpAs(p *access.Principal, b string) member {
	w.t.Helper()
	res, err := w.SignUp(w.t.Context(), p, body(w.t, b))
	if err != nil {
		w.t.Fatal(err)
	}
	return member{res.Saved.Object.ID, res.Saved.Response.String("sessionToken")}
}

// login logs in whom signUp made.
func (w *world) login(name string) member {
	w.t.Helper()
	o, err := w.Login(w.t.Context(), nobody, body(w.t, `{"username":"`+name+`","password":"pass-`+name+`"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	return member{o.ID, o.String("sessionToken")}
}

// as resolves a token that must be good.
func (w *world) as(m member) *access.Principal {
	w.t.Helper()
	p, err := w.Principal(w.t.Context(), m.token, "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// dead fails the test unless the token gives 209 with the text.
func (w *world) dead(m member, text string) {
	w.t.Helper()
	_, err := w.Principal(w.t.Context(), m.token, "", "")
	wantError(w.t, err, parse.InvalidSessionToken, text)
}

const invalidToken = "Invalid session token"

func (w *world) create(p *access.Principal, class, b string) *objects.Saved {
	w.t.Helper()
	saved, err := w.objs.Create(w.t.Context(), p, &objects.Write{Class: class, Body: body(w.t, b)})
	if err != nil {
		w.t.Fatal(err)
	}
	return saved
}

func (w *world) update(p *access.Principal, class, id, b string) (*objects.Saved, error) {
	w.t.Helper()
	return w.objs.Update(w.t.Context(), p, &objects.Write{Class: class, ID: id, Body: body(w.t, b)})
}

func (w *world) mustUpdate(p *access.Principal, class, id, b string) *objects.Saved {
	w.t.Helper()
	saved, err := w.update(p, class, id, b)
	if err != nil {
		w.t.Fatal(err)
	}
	return saved
}

// sessions returns all sessions that the caller sees, by token.
func (w *world) sessions(p *access.Principal) map[string]*parse.Object {
	w.t.Helper()
	found, err := w.objs.Find(w.t.Context(), p, session, allOf())
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]*parse.Object{}
	for _, o := range found.Objects {
		out[o.String("sessionToken")] = o
	}
	return out
}

// stored returns a user as the database has him.
func (w *world) stored(id string) *parse.Object {
	w.t.Helper()
	list, err := w.objs.Store().Find(w.t.Context(), &storage.Find{
		Class: w.objs.Registry().Current().Class(user), Where: query.ByID(id), Limit: 1,
	})
	if err != nil || len(list) != 1 {
		w.t.Fatal(list, err)
	}
	return list[0]
}

func wantError(t testing.TB, err error, code parse.Code, text string) {
	t.Helper()
	if parse.CodeOf(err) != code {
		t.Fatalf("got %v, want code %d", err, code)
	}
	if code == 0 && err != nil {
		t.Fatal(err)
	}
	if text == "" {
		return
	}
	var pe *parse.Error
	if !errors.As(err, &pe) || pe.Message != text {
		t.Errorf("got %v, want %d %q", err, code, text)
	}
}

func pointer(class, id string) string {
	return `{"__type":"Pointer","className":"` + class + `","objectId":"` + id + `"}`
}

func diff(t testing.TB, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// detached is a context of a request that is already over.
func detached(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// keepSessions lets sessions survive a change of the password.
func keepSessions(o *auth.Options, _ *objects.Options) { o.RevokeSessionOnPasswordReset = false }

// allOf asks for all objects that the caller sees.
func allOf() *query.Query { return &query.Query{Limit: query.NoLimit} }

// principal is who a member is, made without the service: within a
// transaction on a database with one connection nobody else may read.
func (w *world) principal(m member) *access.Principal {
	return access.New(access.Principal{UserID: m.id, SessionToken: m.token})
}
