package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	mongodriver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/internal/migrate"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/internal/storage/postgres"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// kind is a kind of database; open makes an empty one.
type kind struct {
	name string
	open func(t testing.TB) storage.Store
}

func kinds() []kind {
	return []kind{{"sqlite", openSQLite}, {"mongodb", openMongo}, {"postgresql", openPostgres}}
}

func closing(t testing.TB, s storage.Store, err error) storage.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openSQLite(t testing.TB) storage.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "m.db"), Durability: "normal"})
	return closing(t, s, err)
}

func openMongo(t testing.TB) storage.Store {
	t.Helper()
	base := os.Getenv("PARGO_TEST_MONGO_URL")
	if base == "" {
		t.Skip("PARGO_TEST_MONGO_URL is not set: not tested on MongoDB")
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	name := "pargo_migrate_" + parse.NewObjectID(8)
	u.Path = "/" + name
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		client, err := mongodriver.Connect(options.Client().ApplyURI(base))
		if err == nil {
			err = errors.Join(client.Database(name).Drop(ctx), client.Disconnect(ctx))
		}
		if err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	s, err := mongo.Open(t.Context(), mongo.Options{URI: u.String()})
	return closing(t, s, err)
}

func openPostgres(t testing.TB) storage.Store {
	t.Helper()
	base := os.Getenv("PARGO_TEST_POSTGRES_URL")
	if base == "" {
		t.Skip("PARGO_TEST_POSTGRES_URL is not set: not tested on PostgreSQL")
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	name := "pargo_migrate_" + strings.ToLower(parse.NewObjectID(8))
	admin := func(command string) {
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, base)
		if err == nil {
			_, err = conn.Exec(ctx, command)
			err = errors.Join(err, conn.Close(ctx))
		}
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	admin("CREATE DATABASE " + name)
	t.Cleanup(func() { admin("DROP DATABASE " + name + " WITH (FORCE)") })
	u.Path = "/" + name
	s, err := postgres.Open(t.Context(), postgres.Options{URI: u.String()})
	return closing(t, s, err)
}

// each runs f for every kind of database, side by side: while one works, the
// test of another goes on.
func each(t *testing.T, prefix string, f func(t *testing.T, k kind)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, k := range kinds() {
		wg.Go(func() { t.Run(prefix+k.name, func(t *testing.T) { f(t, k) }) })
	}
	wg.Wait()
}

// pairs runs f from every kind of database to every kind.
func pairs(t *testing.T, f func(t *testing.T, from, to storage.Store)) {
	t.Helper()
	for _, a := range kinds() {
		each(t, a.name+" to ", func(t *testing.T, b kind) { f(t, a.open(t), b.open(t)) })
	}
}

// targets runs f from SQLite to every kind of database.
func targets(t *testing.T, f func(t *testing.T, from, to storage.Store)) {
	t.Helper()
	each(t, "", func(t *testing.T, k kind) { f(t, openSQLite(t), k.open(t)) })
}

const games = 1203 // more than two pages

func field(name string, typ schema.Type, target ...string) *schema.Field {
	return &schema.Field{Name: name, Type: typ, TargetClass: strings.Join(target, "")}
}

func fields(list ...*schema.Field) map[string]*schema.Field {
	m := map[string]*schema.Field{}
	for _, f := range list {
		m[f.Name] = f
	}
	return m
}

// world are the classes of a source.
func world() []*schema.Class {
	score := field("score", schema.Number)
	score.Required, score.Default, score.Comment = true, 5.0, "points"
	game := schema.Complete(&schema.Class{
		Name: "Game", Comment: "what is played", OwnerField: "owner",
		Fields: fields(score, field("title", schema.String), field("open", schema.Boolean), field("when", schema.Date),
			field("list", schema.Array), field("data", schema.Object), field("place", schema.GeoPoint), field("area", schema.Polygon),
			field("owner", schema.Pointer, "_User"), field("fans", schema.Relation, "_User"), field("raw", schema.Bytes), field("image", schema.File)),
		CLP: &schema.CLP{
			Ops:            map[schema.Operation]*schema.Permission{schema.Find: {Public: true}, schema.Update: {Subjects: map[string]bool{"role:a": true}}},
			Protected:      map[string][]string{"*": {"raw"}},
			ReadUserFields: []string{"owner"},
		},
		Indexes: []schema.Index{
			{Name: "byScore", Keys: []schema.IndexKey{{Field: "score"}, {Field: "title", Desc: true}}},
			{Name: "title_1", Keys: []schema.IndexKey{{Field: "title"}}, Unique: true, Sparse: true},
		},
	})
	list := []*schema.Class{game, schema.Complete(&schema.Class{Name: "Empty", Fields: fields(field("a", schema.String))})}
	for _, name := range []string{"_User", "_Role", "_Session", "_GlobalConfig", "_Hooks", "_JobSchedule"} {
		list = append(list, schema.SystemClass(name))
	}
	return list
}

func object(class, id string, kv ...any) *parse.Object {
	o := &parse.Object{ClassName: class, ID: id, CreatedAt: 1_600_000_000_001, UpdatedAt: 1_600_000_000_002}
	for i := 0; i < len(kv); i += 2 {
		o.Fields.Set(kv[i].(string), kv[i+1])
	}
	return o
}

// fill puts the world into a source.
func fill(t *testing.T, s storage.Store) {
	t.Helper()
	ctx := t.Context()
	classes := world()
	byName := map[string]*schema.Class{}
	for _, c := range classes {
		byName[c.Name] = c
		if err := s.ApplySchema(ctx, []schema.Step{{Kind: schema.CreateClass, Class: c.Name, Def: c}}); err != nil {
			t.Fatal(err)
		}
	}
	insert := func(objects ...*parse.Object) {
		t.Helper()
		if err := s.Insert(ctx, byName[objects[0].ClassName], objects); err != nil {
			t.Fatal(err)
		}
	}
	list := make([]*parse.Object, games)
	for i := range list {
		o := object("Game", fmt.Sprintf("g%d", i), "score", float64(i)+0.5, "title", fmt.Sprintf("title %d", i), "open", i%2 == 0,
			"when", parse.Date(i), "list", parse.Array{float64(i), "x", nil, parse.Pointer{ClassName: "_User", ObjectID: "u1"}},
			"data", parse.NewMap(parse.MapField{Key: "z", Value: parse.Date(5)}, parse.MapField{Key: "a", Value: parse.NewMap(parse.MapField{Key: "b", Value: true})}),
			"place", parse.GeoPoint{Latitude: float64(i%90) / 2, Longitude: -1.25}, "raw", parse.Bytes{0, 1, byte(i)},
			"area", &parse.Polygon{Points: []parse.GeoPoint{{}, {Latitude: 1}, {Latitude: 1, Longitude: 1}, {}}},
			"owner", parse.Pointer{ClassName: "_User", ObjectID: "u1"}, "image", parse.File{Name: "i.png"})
		switch i % 4 {
		case 1:
			o.ACL = parse.NewACL()
		case 2:
			o.ACL = parse.NewACL(parse.ACLEntry{Subject: "u1", Read: true, Write: true}, parse.ACLEntry{Subject: "role:a", Read: true})
		case 3:
			o.Fields.Set("title", nil)
			o.Fields.Delete("list")
		}
		list[i] = o
	}
	insert(list...)
	insert(object("_User", "u1", "username", "ann", "email", "ann@example.com", "_hashed_password", "$2a$10$x", "_perishable_token", "p",
		"_email_verify_token_expires_at", parse.Date(77), "authData", parse.NewMap(parse.MapField{Key: "anonymous", Value: parse.NewMap(parse.MapField{Key: "id", Value: "1"})})))
	insert(object("_User", "u2", "username", "bob", "_password_history", parse.Array{"h1", "h2"}))
	insert(object("_Session", "s1", "sessionToken", "r:1", "user", parse.Pointer{ClassName: "_User", ObjectID: "u1"}, "expiresAt", parse.Date(1e12)))
	insert(object("_Role", "r1", "name", "a"))
	insert(object("_GlobalConfig", "1", "params", parse.NewMap(parse.MapField{Key: "p", Value: 1.0}), "masterKeyOnly", parse.NewMap(parse.MapField{Key: "p", Value: true})))
	insert(object("_Hooks", "h1", "functionName", "f", "url", "https://example.com"), object("_Hooks", "h2", "functionName", "g", "url", "https://example.com"))
	insert(object("_JobSchedule", "j1", "jobName", "clean", "repeatMinutes", 5.0))
	for owner, members := range map[string][]string{"g0": {"u2", "u1"}, "g7": {"u1"}} {
		if err := s.AddRelated(ctx, storage.Join{Class: "Game", Key: "fans"}, owner, members); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddRelated(ctx, storage.Join{Class: "_Role", Key: "users"}, "r1", []string{"u1"}); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, s storage.Store, name string) int64 {
	t.Helper()
	c := storagetest.ClassOf(t, s, name)
	if c == nil {
		return 0
	}
	n, err := s.Count(t.Context(), c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func reportOf(t *testing.T, r *migrate.Report, name string) migrate.ClassReport {
	t.Helper()
	for _, c := range r.Classes {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("nothing is told of %s", name)
	return migrate.ClassReport{}
}

func TestAllOfIt(t *testing.T) {
	pairs(t, func(t *testing.T, from, to storage.Store) {
		fill(t, from)
		var stages []migrate.Stage
		var last migrate.Progress
		r, err := migrate.Run(t.Context(), from, to, migrate.Options{Source: "x", Progress: func(p migrate.Progress) {
			if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
				stages = append(stages, p.Stage)
			}
			last = p
		}})
		if err != nil {
			t.Fatal(err)
		}
		if want := []migrate.Stage{migrate.StageCopy, migrate.StageIndexes, migrate.StageVerify}; !slices.Equal(stages, want) {
			t.Errorf("stages %v, want %v", stages, want)
		}
		if last.Done != last.Total || last.Total < games {
			t.Errorf("ended at %d of %d", last.Done, last.Total)
		}
		g := reportOf(t, r, "Game")
		if g.Objects != games || g.Copied != games || g.Links != 3 || g.Present != 0 || len(g.Hash) != 32 {
			t.Errorf("report %+v", g)
		}
		// What the hash regards as one is looked at here.
		for _, name := range []string{"Game", "Empty", "_User", "_Role", "_Session", "_JobSchedule"} {
			want, got := storagetest.ClassOf(t, from, name), storagetest.ClassOf(t, to, name)
			if diff := cmp.Diff(want.Map(), got.Map(), cmp.AllowUnexported(parse.Map{})); diff != "" {
				t.Errorf("class %s (-source +target):\n%s", name, diff)
			}
			if got.Comment != want.Comment || got.OwnerField != want.OwnerField {
				t.Errorf("class %s: comment %q, owner %q", name, got.Comment, got.OwnerField)
			}
		}
		game := storagetest.ClassOf(t, to, "Game")
		if game.Fields["score"].Comment != "points" {
			t.Error("the comment of a field is lost")
		}
		dup := object("Game", "new", "score", 1.0, "title", "title 0")
		var taken *storage.DuplicateError
		if err := to.Insert(t.Context(), game, []*parse.Object{dup}); !errors.As(err, &taken) || taken.Index != "title_1" {
			t.Errorf("the unique index is not there: %v", err)
		}
		fans, err := to.Related(t.Context(), storage.Join{Class: "Game", Key: "fans"}, "g0")
		if err != nil || !slices.Equal(fans, []string{"u2", "u1"}) {
			t.Errorf("fans %v, %v", fans, err)
		}
		users, err := to.Find(t.Context(), &storage.Find{Class: storagetest.ClassOf(t, to, "_User"), Where: query.Equal("username", "ann"), Limit: 1})
		if err != nil || len(users) != 1 || users[0].String("_hashed_password") != "$2a$10$x" || users[0].String("_perishable_token") != "p" {
			t.Errorf("user %v, %v", users, err)
		}
		if storagetest.ClassOf(t, to, migrate.CheckpointClass) != nil {
			t.Error("the checkpoints are still there")
		}
		var full *migrate.NotEmptyError
		if _, err := migrate.Run(t.Context(), from, to, migrate.Options{Source: "x"}); !errors.As(err, &full) || !slices.Contains(full.Classes, "Game") {
			t.Errorf("a second copy: %v", err)
		}
	})
}

// TestBrokenOff stops the copy at every stage and after each page, and goes on.
func TestBrokenOff(t *testing.T) {
	targets(t, func(t *testing.T, from, to storage.Store) {
		fill(t, from)
		stopped := 0
		for stops := 1; ; stops++ {
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			r, err := migrate.Run(ctx, from, to, migrate.Options{Source: "x", Progress: func(p migrate.Progress) {
				if calls++; calls == 2*stops {
					cancel()
				}
			}})
			cancel()
			if err == nil {
				if !r.Resumed || stopped < 4 {
					t.Errorf("resumed %v after %d stops", r.Resumed, stopped)
				}
				if g := reportOf(t, r, "Game"); g.Objects != games || g.Hash == "" {
					t.Errorf("report %+v", g)
				}
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			stopped++
			if _, err := migrate.Run(t.Context(), from, to, migrate.Options{Source: "y"}); !errors.Is(err, migrate.ErrOtherSource) {
				t.Fatalf("another source: %v", err)
			}
		}
		if n := count(t, to, "Game"); n != games {
			t.Errorf("%d games", n)
		}
		if n := count(t, to, "_Hooks"); n != 2 {
			t.Errorf("%d hooks", n)
		}
	})
}

// TestLostCheckpoint: what was written after the last checkpoint is found again.
func TestLostCheckpoint(t *testing.T) {
	targets(t, func(t *testing.T, from, to storage.Store) {
		fill(t, from)
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := migrate.Run(ctx, from, to, migrate.Options{Source: "x", Progress: func(p migrate.Progress) {
			if p.Class == "Game" && p.Done > 600 {
				cancel()
			}
		}}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		_, _, err := to.Update(t.Context(), &storage.Update{
			Class: storagetest.ClassOf(t, to, migrate.CheckpointClass), Where: query.Equal("objectId", "Game"),
			Ops: parse.NewMap(parse.MapField{Key: "after", Value: "g10"}), UpdatedAt: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := migrate.Run(t.Context(), from, to, migrate.Options{Source: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if g := reportOf(t, r, "Game"); g.Present == 0 || g.Copied == 0 || g.Hash == "" {
			t.Errorf("report %+v", g)
		}
	})
}

// TestDifference: a target that is not what the source is, is found out.
func TestDifference(t *testing.T) {
	game := func(id string) query.Node { return query.Equal("objectId", id) }
	tests := []struct {
		name  string
		spoil func(t *testing.T, s storage.Store, c *schema.Class) error
		id    string
	}{
		{"a field", func(t *testing.T, s storage.Store, c *schema.Class) error {
			_, _, err := s.Update(t.Context(), &storage.Update{Class: c, Where: game("g5"), Ops: parse.NewMap(parse.MapField{Key: "score", Value: 6.0})})
			return err
		}, "g5"},
		{"a date", func(t *testing.T, s storage.Store, c *schema.Class) error {
			_, _, err := s.Update(t.Context(), &storage.Update{Class: c, Where: game("g6"), Ops: &parse.Map{}, UpdatedAt: 5})
			return err
		}, "g6"},
		{"an ACL", func(t *testing.T, s storage.Store, c *schema.Class) error {
			_, _, err := s.Update(t.Context(), &storage.Update{Class: c, Where: game("g8"), Ops: &parse.Map{}, SetACL: true, ACL: parse.NewACL(), UpdatedAt: 1_600_000_000_002})
			return err
		}, "g8"},
		{"one less", func(t *testing.T, s storage.Store, c *schema.Class) error {
			_, err := s.Delete(t.Context(), c, game("g9"))
			return err
		}, "g9"},
		{"one more", func(t *testing.T, s storage.Store, c *schema.Class) error {
			return s.Insert(t.Context(), c, []*parse.Object{object("Game", "zz", "score", 1.0)})
		}, "zz"},
		{"a member", func(t *testing.T, s storage.Store, c *schema.Class) error {
			return s.RemoveRelated(t.Context(), storage.Join{Class: "Game", Key: "fans"}, "g7", []string{"u1"})
		}, "g7"},
	}
	each(t, "", func(t *testing.T, k kind) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				from, to := openSQLite(t), k.open(t)
				fill(t, from)
				spoiled := false
				_, err := migrate.Run(t.Context(), from, to, migrate.Options{Source: "x", Progress: func(p migrate.Progress) {
					if p.Stage == migrate.StageIndexes && !spoiled {
						spoiled = true
						if err := tt.spoil(t, to, storagetest.ClassOf(t, to, "Game")); err != nil {
							t.Error(err)
						}
					}
				}})
				var d *migrate.DifferenceError
				if !errors.As(err, &d) {
					t.Fatalf("no difference is found: %v", err)
				}
				if d.Class != "Game" || !slices.Equal(d.IDs, []string{tt.id}) {
					t.Errorf("found %s %v, want %s: %s", d.Class, d.IDs, tt.id, d)
				}
			})
		}
	})
}

func TestSomeClasses(t *testing.T) {
	from, to := openSQLite(t), openSQLite(t)
	fill(t, from)
	if _, err := migrate.Run(t.Context(), from, to, migrate.Options{Source: "x", Classes: []string{"Nowhere"}}); err == nil || !strings.Contains(err.Error(), "no class Nowhere") {
		t.Errorf("an unknown class: %v", err)
	}
	r, err := migrate.Run(t.Context(), from, to, migrate.Options{Source: "x", DryRun: true})
	if err != nil || reportOf(t, r, "Game").Objects != games || len(must(to.LoadSchema(t.Context()))) != 0 {
		t.Errorf("a dry run: %v, %+v", err, r)
	}
	r, err = migrate.Run(t.Context(), from, to, migrate.Options{Source: "x", Classes: []string{"_User"}})
	if err != nil || len(r.Classes) != 1 || count(t, to, "_User") != 2 || storagetest.ClassOf(t, to, "Game") != nil {
		t.Errorf("one class: %v, %+v", err, r)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestMerge(t *testing.T) {
	targets(t, func(t *testing.T, from, to storage.Store) {
		fill(t, from)
		if _, err := migrate.Run(t.Context(), from, to, migrate.Options{Source: "x"}); err != nil {
			t.Fatal(err)
		}
		game := storagetest.ClassOf(t, to, "Game")
		if _, _, err := to.Update(t.Context(), &storage.Update{Class: game, Where: query.Equal("objectId", "g5"), Ops: parse.NewMap(parse.MapField{Key: "score", Value: 6.0})}); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Delete(t.Context(), game, query.Equal("objectId", "g6")); err != nil {
			t.Fatal(err)
		}
		if err := to.Insert(t.Context(), game, []*parse.Object{object("Game", "own", "score", 1.0)}); err != nil {
			t.Fatal(err)
		}
		r, err := migrate.Run(t.Context(), from, to, migrate.Options{Source: "x", Merge: true})
		if err != nil {
			t.Fatal(err)
		}
		if g := reportOf(t, r, "Game"); g.Copied != 1 || g.Present != games-1 || g.Kept != 1 {
			t.Errorf("report %+v", g)
		}
		if n := count(t, to, "Game"); n != games+1 {
			t.Errorf("%d games", n)
		}
		if n := count(t, to, "_Hooks"); n != 2 {
			t.Errorf("%d hooks", n)
		}
	})
}

// A source without classes is a name misspelled rather than nothing to do.
func TestNoClasses(t *testing.T) {
	from, to := openSQLite(t), openSQLite(t)
	if _, err := migrate.Run(t.Context(), from, to, migrate.Options{Source: "x"}); !errors.Is(err, migrate.ErrNoClasses) {
		t.Errorf("error %v", err)
	}
}
