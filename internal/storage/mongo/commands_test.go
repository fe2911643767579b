package mongo_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

var fans = storage.Join{Class: "Game", Key: "fans"}

// stored is a document that the cluster finds for all that is asked.
func stored(c command) bson.D {
	doc := bson.D{{Key: "_id", Value: "a"}, {Key: "_created_at", Value: time.UnixMilli(1000)}, {Key: "_updated_at", Value: time.UnixMilli(1000)}}
	switch c.name() {
	case "find":
		if strings.Contains(c.on(), "_Join") {
			doc = bson.D{{Key: "_id", Value: 1}, {Key: "relatedId", Value: "u"}, {Key: "owningId", Value: "a"}}
		}
		return batch("firstBatch", 0, doc)
	case "findAndModify":
		return bson.D{{Key: "ok", Value: 1}, {Key: "value", Value: doc}}
	}
	return nil
}

// work does what a store does to objects, each once.
func work(ctx context.Context, s storage.Store) error {
	c := game()
	update := &storage.Update{Class: c, Where: query.ByID("a"), Ops: parse.NewMap(f("num", 1.0)), UpdatedAt: 2}
	read := &storage.Update{Class: c, Where: query.ByID("a"), Ops: parse.NewMap(f("arr", parse.Remove{Objects: parse.Array{1.0}})), UpdatedAt: 2}
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	_, err := s.Find(ctx, &storage.Find{Class: c, Limit: 1, Advice: &query.Advice{Read: query.Nearest}})
	check(err)
	_, err = s.Count(ctx, c, nil, nil)
	check(err)
	_, err = storage.AsAggregator(s).Aggregate(ctx, &storage.Aggregate{Class: c}, func(*parse.Map) error { return nil })
	check(err)
	check(s.Insert(ctx, c, []*parse.Object{object("a")}))
	check(s.Insert(ctx, c, []*parse.Object{object("b"), object("c")}))
	check(errors.Join(storage.InsertEach(ctx, s, c, []*parse.Object{object("d"), object("e")})...))
	_, _, err = s.Update(ctx, update)
	check(err)
	_, _, err = s.Update(ctx, read)
	check(err)
	for _, u := range storage.UpdateEach(ctx, s, []*storage.Update{update, update, update}) {
		check(u.Err)
	}
	_, err = s.Delete(ctx, c, query.ByID("a"))
	check(err)
	_, err = s.Delete(ctx, c, nil)
	check(err)
	check(s.AddRelated(ctx, fans, "a", []string{"u"}))
	check(s.RemoveRelated(ctx, fans, "a", []string{"u"}))
	_, err = s.Related(ctx, fans, "a")
	check(err)
	_, err = s.Owning(ctx, fans, []string{"u"})
	check(err)
	_, err = s.Links(ctx, fans, []string{"a"})
	check(err)
	return errors.Join(errs...)
}

// All that is done in a transaction belongs to it, one command after the other,
// whatever context it is given; what is done beside it does not.
func TestTransaction(t *testing.T) {
	c := newCluster(t, 2)
	s := c.store(mongo.Options{}, "readPreference=secondary")
	defer func() { _ = s.Close() }()
	var busy, most atomic.Int32
	c.says(func(cmd command) bson.D {
		n := busy.Add(1)
		defer busy.Add(-1)
		most.Store(max(most.Load(), n))
		return stored(cmd)
	})
	err := storage.AsTransactor(s).InTx(t.Context(), func(ctx context.Context, tx storage.Store) error {
		if err := work(t.Context(), tx); err != nil {
			return err
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { _, _ = tx.Count(ctx, game(), nil, nil) })
		}
		wg.Wait()
		_, err := s.Count(ctx, schema.SystemClass("_Role"), nil, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if most.Load() != 1 {
		t.Errorf("%d commands of a session at once", most.Load())
	}
	all := c.asked()
	if len(all) < 25 {
		t.Fatalf("%d commands", len(all))
	}
	id := all[0].only("lsid", "txnNumber")
	for i, cmd := range all {
		want := `{"autocommit":false}`
		if i == 0 {
			want = `{"startTransaction":true,"autocommit":false}`
		}
		if cmd.on() == "_Role" {
			if got := cmd.only("autocommit", "txnNumber"); got != `{}` {
				t.Errorf("beside the transaction, but with %s", got)
			}
			continue
		}
		if got := cmd.only("startTransaction", "autocommit"); got != want || cmd.only("lsid", "txnNumber") != id || cmd.member != 0 {
			t.Errorf("command %d, %s of %s at member %d, has %s", i, cmd.name(), cmd.on(), cmd.member, got)
		}
	}
	if got := all[len(all)-1].only("commitTransaction", "writeConcern", "$db"); got != `{"commitTransaction":1,"writeConcern":{"w":"majority"},"$db":"admin"}` {
		t.Errorf("at the end: %s", got)
	}
}

// How a transaction ends: what is tried again, and what is told.
func TestTransactionEnds(t *testing.T) {
	c := newCluster(t, 1)
	s := c.store(mongo.Options{})
	defer func() { _ = s.Close() }()
	own := errors.New("of the caller")
	tests := []struct {
		name    string
		answers map[string][]bson.D // to the first commands of a name
		fails   error               // of the caller, after the insert
		want    string              // commands
		runs    int
		check   func(error) bool
	}{
		{name: "well", want: "insert commitTransaction", runs: 1},
		{name: "the caller fails", fails: own, want: "insert abortTransaction", runs: 1, check: func(err error) bool { return errors.Is(err, own) }},
		{
			name: "a conflict with another", answers: map[string][]bson.D{"insert": {refusal(112, "WriteConflict", "TransientTransactionError")}},
			want: "insert abortTransaction insert commitTransaction", runs: 2,
		},
		{
			name: "a duplicate", answers: map[string][]bson.D{"insert": {{
				{Key: "ok", Value: 1},
				{Key: "n", Value: 0},
				{Key: "writeErrors", Value: bson.A{bson.D{{Key: "index", Value: 0}, {Key: "code", Value: 11000}, {Key: "errmsg", Value: "E11000 duplicate key error collection: x.Game index: _id_ dup key"}}}},
			}}},
			want: "insert abortTransaction", runs: 1,
			check: func(err error) bool {
				var dup *storage.DuplicateError
				return errors.As(err, &dup) && dup.Index == "objectId"
			},
		},
		{
			name: "the commit may or may not have been", answers: map[string][]bson.D{"commitTransaction": {hangUp, hangUp, refusal(91, "ShutdownInProgress", "RetryableWriteError")}},
			want: "insert commitTransaction commitTransaction commitTransaction commitTransaction", runs: 1,
		},
		{
			name: "the transaction is gone at its commit", answers: map[string][]bson.D{"commitTransaction": {refusal(251, "NoSuchTransaction", "TransientTransactionError")}},
			want: "insert commitTransaction insert commitTransaction", runs: 2,
		},
		{
			name: "the commit is refused", answers: map[string][]bson.D{"commitTransaction": {refusal(10334, "too large")}},
			want: "insert commitTransaction", runs: 1, check: func(err error) bool { return parse.CodeOf(err) == 116 },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.says(func(cmd command) bson.D {
				if list := tt.answers[cmd.name()]; len(list) > 0 {
					tt.answers[cmd.name()] = list[1:]
					return list[0]
				}
				return nil
			})
			runs := 0
			err := storage.AsTransactor(s).InTx(t.Context(), func(ctx context.Context, tx storage.Store) error {
				runs++
				return errors.Join(tx.Insert(ctx, game(), []*parse.Object{object("a")}), tt.fails)
			})
			if tt.check == nil && err != nil || tt.check != nil && !tt.check(err) {
				t.Errorf("error %v", err)
			}
			var names []string
			for _, cmd := range c.asked() {
				names = append(names, cmd.name())
			}
			if diff := cmp.Diff(tt.want, strings.Join(names, " ")); diff != "" || runs != tt.runs {
				t.Errorf("%d runs, commands:\n%s", runs, diff)
			}
		})
	}
}

// A query is read where it says, else where the URI does; what a write hangs on
// comes from the primary.
func TestReadPreference(t *testing.T) {
	c := newCluster(t, 2)
	advice := func(p query.ReadPreference) *query.Advice { return &query.Advice{Read: p} }
	const primary, secondary, any = 0, 1, -1
	for _, tt := range []struct {
		uri    string
		advice *query.Advice
		member int
		mode   string
	}{
		{"", nil, primary, `{}`},
		{"", &query.Advice{Comment: "c"}, primary, `{}`},
		{"", advice(query.Primary), primary, `{}`},
		{"", advice(query.PrimaryPreferred), primary, `{"$readPreference":{"mode":"primaryPreferred"}}`},
		{"", advice(query.Secondary), secondary, `{"$readPreference":{"mode":"secondary"}}`},
		{"", advice(query.SecondaryPreferred), secondary, `{"$readPreference":{"mode":"secondaryPreferred"}}`},
		{"", advice(query.Nearest), any, `{"$readPreference":{"mode":"nearest"}}`},
		{"readPreference=secondary", nil, secondary, `{"$readPreference":{"mode":"secondary"}}`},
		{"readPreference=secondary", advice(query.Primary), primary, `{}`},
	} {
		s := c.store(mongo.Options{}, tt.uri)
		c.says(nil)
		_, err := s.Find(t.Context(), &storage.Find{Class: game(), Limit: 1, Advice: tt.advice})
		_, cerr := s.Count(t.Context(), game(), nil, tt.advice)
		_, aerr := storage.AsAggregator(s).Aggregate(t.Context(), &storage.Aggregate{Class: game(), Advice: tt.advice}, nil)
		if err := errors.Join(err, cerr, aerr); err != nil {
			t.Fatal(err)
		}
		asked := c.asked()
		if len(asked) != 3 {
			t.Fatalf("%d commands", len(asked))
		}
		for _, cmd := range asked {
			if got := cmd.only("$readPreference"); got != tt.mode || tt.member != any && cmd.member != tt.member {
				t.Errorf("URI %q, advice %+v: %s at member %d with %s", tt.uri, tt.advice, cmd.name(), cmd.member, got)
			}
		}

		c.says(stored)
		_, _, err = s.Update(t.Context(), &storage.Update{Class: game(), Where: query.ByID("a"), Ops: parse.NewMap(f("arr", parse.Remove{Objects: parse.Array{1.0}})), UpdatedAt: 2})
		_, derr := s.Delete(t.Context(), game(), query.AllOf(query.ByID("a"), query.Equal("arr", 1.0)))
		shared := s.(schema.Shared)
		_, verr := shared.SchemaVersion(t.Context())
		_, perr := shared.SchemaPrint(t.Context())
		if err := errors.Join(err, derr, verr, perr); err != nil {
			t.Fatal(err)
		}
		for _, cmd := range c.asked() {
			if got := cmd.only("$readPreference"); got != `{}` || cmd.member != primary {
				t.Errorf("URI %q: %s of %s at member %d with %s", tt.uri, cmd.name(), cmd.on(), cmd.member, got)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What is asked of the database beyond what to find goes with each command, once.
func TestAdvice(t *testing.T) {
	c := newCluster(t, 1)
	s := c.store(mongo.Options{MaxTime: 1500 * time.Millisecond})
	defer func() { _ = s.Close() }()
	class := game()
	keys := &query.Advice{HintKeys: parse.NewMap(f("ptr", 1.0), f("createdAt", -1.0), f("_p_x", 1.0)), Comment: "why"}
	const byKeys, byName = `"hint":{"_p_ptr":1,"_created_at":-1,"_p_x":1},"comment":"why"`, `"hint":"by_num"`
	for _, tt := range []struct {
		advice *query.Advice
		want   string
	}{{nil, `{}`}, {keys, `{` + byKeys + `}`}, {&query.Advice{Hint: "by_num"}, `{` + byName + `}`}} {
		for name, ask := range map[string]func(ctx context.Context) error{
			"find": func(ctx context.Context) error {
				_, err := s.Find(ctx, &storage.Find{Class: class, Limit: 1, Advice: tt.advice})
				return err
			},
			"find sorted here": func(ctx context.Context) error {
				_, err := s.Find(ctx, &storage.Find{Class: class, Order: []query.Sort{{Path: "arr"}}, Limit: 1, Advice: tt.advice})
				return err
			},
			"count": func(ctx context.Context) error { _, err := s.Count(ctx, class, nil, tt.advice); return err },
			"count by the matcher": func(ctx context.Context) error {
				_, err := s.Count(ctx, class, query.Equal("obj.k", "v"), tt.advice)
				return err
			},
			"aggregate": func(ctx context.Context) error {
				_, err := storage.AsAggregator(s).Aggregate(ctx, &storage.Aggregate{Class: class, Advice: tt.advice}, nil)
				return err
			},
		} {
			c.says(nil)
			if err := ask(t.Context()); err != nil {
				t.Fatal(err)
			}
			asked := c.asked()
			if len(asked) != 1 {
				t.Fatalf("%s: %d commands", name, len(asked))
			}
			if diff := cmp.Diff(tt.want, asked[0].only("hint", "comment")); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
			if n := strings.Count(asked[0].String(), "maxTimeMS"); n != 1 {
				t.Errorf("%s: %d bounds: %s", name, n, asked[0])
			}
			if ms, ok := asked[0].Lookup("maxTimeMS").AsInt64OK(); !ok || ms < 1 || ms > 1500 {
				t.Errorf("%s: a bound of %s", name, asked[0].only("maxTimeMS"))
			}
		}
	}

	c.says(func(command) bson.D { return refusal(50, "operation exceeded time limit") })
	for name, err := range map[string]error{
		"find":  func() error { _, err := s.Find(t.Context(), &storage.Find{Class: class, Limit: 1}); return err }(),
		"count": func() error { _, err := s.Count(t.Context(), class, nil, nil); return err }(),
	} {
		if parse.CodeOf(err) != parse.Timeout {
			t.Errorf("%s: %v", name, err)
		}
	}
	free := c.store(mongo.Options{})
	defer func() { _ = free.Close() }()
	c.says(nil)
	if _, err := free.Find(t.Context(), &storage.Find{Class: class, Limit: 1}); err != nil {
		t.Fatal(err)
	}
	if got := c.asked()[0].only("maxTimeMS"); got != `{}` {
		t.Errorf("without a bound: %s", got)
	}
}

// Indexes are made as Parse Server makes them.
func TestIndexCommands(t *testing.T) {
	c := newCluster(t, 1)
	s := c.store(mongo.Options{AuthProviders: []string{"google"}})
	defer func() { _ = s.Close() }()
	made := func(steps ...schema.Step) (out []string) {
		t.Helper()
		c.says(func(cmd command) bson.D {
			if cmd.name() == "find" && cmd.on() == "_SCHEMA" {
				return batch("firstBatch", 0, bson.D{{Key: "_id", Value: "Game"}, {Key: "ptr", Value: "*Foo"}, {Key: "str", Value: "string"}, {Key: "geo", Value: "geopoint"}})
			}
			return nil
		})
		if err := s.ApplySchema(t.Context(), steps); err != nil {
			t.Fatal(err)
		}
		for _, cmd := range c.asked("createIndexes") {
			out = append(out, cmd.only("createIndexes", "indexes"))
		}
		return out
	}
	add := func(ix schema.Index) schema.Step {
		return schema.Step{Kind: schema.AddIndex, Class: "Game", Index: &ix}
	}
	got := made(
		add(schema.Index{Name: "plain", Keys: []schema.IndexKey{{Field: "ptr"}, {Field: "createdAt", Desc: true}, {Field: "obj.k"}}}),
		add(schema.Index{Name: "one", Keys: []schema.IndexKey{{Field: "str"}}, Unique: true, Sparse: true}),
		add(schema.Index{Name: "fold", Keys: []schema.IndexKey{{Field: "str"}}, CaseInsensitive: true}),
		add(schema.Index{Name: "words", Keys: []schema.IndexKey{{Field: "str", Kind: "text"}}}),
		add(schema.Index{Name: "places", Keys: []schema.IndexKey{{Field: "geo", Kind: "2dsphere"}}}),
	)
	want := []string{
		`{"createIndexes":"Game","indexes":[{"key":{"_p_ptr":1,"_created_at":-1,"obj.k":1},"name":"plain"}]}`,
		`{"createIndexes":"Game","indexes":[{"key":{"str":1},"name":"one","sparse":true,"unique":true}]}`,
		`{"createIndexes":"Game","indexes":[{"key":{"str":1},"name":"fold","collation":{"locale":"en_US","strength":2}}]}`,
		`{"createIndexes":"Game","indexes":[{"key":{"str":"text"},"name":"words","language_override":"_text_language"}]}`,
		`{"createIndexes":"Game","indexes":[{"key":{"geo":"2dsphere"},"name":"places"}]}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	users := schema.SystemClass(schema.UserClass)
	got = made(schema.Step{Kind: schema.CreateClass, Class: users.Name, Def: users})
	for _, want := range []string{
		`{"createIndexes":"_User","indexes":[{"key":{"username":1},"name":"username_1","sparse":true,"unique":true}]}`,
		`{"createIndexes":"_User","indexes":[{"key":{"username":1},"name":"case_insensitive_username","sparse":true,"collation":{"locale":"en_US","strength":2}}]}`,
		`{"createIndexes":"_User","indexes":[{"key":{"_auth_data_google.id":1},"name":"_auth_data_google_id","sparse":true,"unique":true}]}`,
		`{"createIndexes":"_User","indexes":[{"key":{"_auth_data_anonymous.id":1},"name":"_auth_data_anonymous_id","sparse":true,"unique":true}]}`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("not made: %s\nbut %s", want, strings.Join(got, "\n"))
		}
	}
}

// Nothing is done to a collection whose name lacks the prefix.
func TestPrefix(t *testing.T) {
	c := newCluster(t, 1)
	s := c.store(mongo.Options{CollectionPrefix: "p_"})
	defer func() { _ = s.Close() }()
	c.says(stored)
	if err := work(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	users := schema.SystemClass(schema.UserClass)
	user := object("u", f("username", "Ann"))
	user.ClassName = users.Name
	_ = s.Insert(t.Context(), users, []*parse.Object{user}) // the name is taken, as the cluster says
	def := game()
	begin := c.asked()
	c.says(func(cmd command) bson.D {
		if cmd.name() == "findAndModify" {
			return stored(cmd)
		}
		return nil
	})
	err := s.ApplySchema(t.Context(), []schema.Step{
		{Kind: schema.CreateClass, Class: "Game", Def: def},
		{Kind: schema.DropField, Class: "Game", Field: def.Field("fans")},
		{Kind: schema.DropClass, Class: "Game"},
	})
	if err != nil {
		t.Fatal(err)
	}
	shared := s.(schema.Shared)
	_, unlock, err := shared.LockSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	_, err = shared.AnnounceSchema(t.Context())
	_, verr := shared.SchemaVersion(t.Context())
	_, lerr := s.LoadSchema(t.Context())
	if err := errors.Join(err, verr, lerr); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, cmd := range append(begin, c.asked()...) {
		on := cmd.on()
		if seen[on] = true; on != "" && !strings.HasPrefix(on, "p_") {
			t.Errorf("%s of %s", cmd.name(), on)
		}
	}
	for _, name := range []string{"p_Game", "p__SCHEMA", "p__Join:fans:Game", "p__pargo", "p__User", "p__PargoLease"} {
		if !seen[name] {
			t.Errorf("nothing was done to %s", name)
		}
	}
}
