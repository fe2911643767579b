package mongo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func idsOf(objects []*parse.Object) string {
	var out []string
	for _, o := range objects {
		out = append(out, o.ID)
	}
	return strings.Join(out, " ")
}

func TestFindPages(t *testing.T) {
	s, _ := open(t)
	c := game()
	for i, id := range []string{"e", "d", "c", "b", "a"} {
		insert(t, s, c, object(id, f("num", float64(i/2)), f("str", "s"), f("obj", parse.NewMap(f("k", "v")))))
	}
	exact, inexact := query.Equal("str", "s"), query.Equal("obj.k", "v")
	asc, desc := []query.Sort{{Path: "objectId"}}, []query.Sort{{Path: "num", Desc: true}, {Path: "objectId"}, {Path: "num"}}
	tests := []struct {
		name string
		find storage.Find
		want string
	}{
		{"all", storage.Find{Order: asc, Limit: query.NoLimit}, "a b c d e"},
		{"two keys, one twice", storage.Find{Order: desc, Limit: query.NoLimit}, "a b c d e"},
		{"page", storage.Find{Where: exact, Order: asc, Skip: 1, Limit: 2}, "b c"},
		{"page after the matcher", storage.Find{Where: inexact, Order: asc, Skip: 1, Limit: 2}, "b c"},
		{"skip alone", storage.Find{Where: exact, Order: asc, Skip: 4, Limit: query.NoLimit}, "e"},
		{"skip all", storage.Find{Where: inexact, Skip: 9, Limit: query.NoLimit}, ""},
		{"none", storage.Find{Where: exact, Limit: 0}, ""},
		{"never", storage.Find{Where: query.Never{}, Limit: query.NoLimit}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.find.Class = c
			found, err := s.Find(t.Context(), &tt.find)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, idsOf(found)); diff != "" {
				t.Error(diff)
			}
		})
	}
	found, err := s.Find(t.Context(), &storage.Find{Class: c, Where: query.ByID("a"), Limit: 1, Keys: []string{"num", "ptr", "ACL", "new"}})
	if err != nil || len(found) != 1 || found[0].Fields.Len() != 1 || found[0].CreatedAt != 1000 {
		t.Errorf("keys: %v, %v", found, err)
	}
}

// A text that is sought but for case leads to no more than the filter lets by.
func TestFindFolded(t *testing.T) {
	s, _ := open(t)
	c := game()
	for id, name := range map[string]string{"a": "Ann", "b": "ann", "c": "anna", "d": "A.n"} {
		insert(t, s, c, object(id, f("str", name)))
	}
	folded := func(text string) *query.Compare { return &query.Compare{Path: "str", Op: query.Eq, Value: text} }
	pattern := func(p string) query.Node { return &query.Regex{Path: "str", Pattern: p, Options: "i"} }
	others := &query.Compare{Path: "objectId", Op: query.Ne, Value: "a"}
	tests := []struct {
		name   string
		where  query.Node
		folded string
		want   string
	}{
		{"any case", pattern("^ANN$"), "ANN", "a b"},
		{"others", query.AllOf(pattern("^aNN$"), others), "aNN", "b"},
		{"the text is no pattern", pattern(`^a\.n$`), "a.n", "d"},
		{"the text leads", pattern("^a"), "ANNA", "c"},
		{"the filter decides", pattern("^b"), "ann", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := s.Find(t.Context(), &storage.Find{
				Class: c, Where: tt.where, Folded: folded(tt.folded), Order: []query.Sort{{Path: "objectId"}}, Limit: query.NoLimit,
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, idsOf(found)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	s, _ := open(t)
	c := game()
	acl := parse.NewACL(parse.ACLEntry{Subject: "u", Read: true})
	for _, id := range []string{"a", "b", "c", "d"} {
		o := object(id, f("obj", parse.NewMap(f("k", id))))
		o.ACL = acl
		insert(t, s, c, o)
	}
	tests := []struct {
		name  string
		where query.Node
		want  string
	}{
		{"no permission", query.AllOf(query.ByID("a"), &query.Permission{Write: true, Subjects: []string{"u"}}), ""},
		{"permission", query.AllOf(query.ByID("a"), &query.Permission{Subjects: []string{"u"}}), "a"},
		{"again", query.ByID("a"), ""},
		{"after the matcher", query.Equal("obj.k", "b"), "b"},
		{"never", query.Never{}, ""},
		{"all", nil, "c d"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gone, err := s.Delete(t.Context(), c, tt.where)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, idsOf(gone)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	s, _ := open(t)
	c := game()
	_, _, err := s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("none"), Ops: parse.NewMap(f("num", 1.0)), UpdatedAt: 1})
	if !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("update of nothing: %v", err)
	}
	_, _, err = s.Update(t.Context(), &storage.Update{Class: c, Where: query.ByID("none"), Ops: parse.NewMap(f("arr", parse.Remove{Objects: parse.Array{1.0}})), UpdatedAt: 1})
	if !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("guarded update of nothing: %v", err)
	}
	insert(t, s, c, object("r", f("str", "a")))
	_, err = s.Find(t.Context(), &storage.Find{Class: c, Where: &query.Regex{Path: "str", Pattern: "("}, Limit: 1})
	if parse.CodeOf(err) != parse.InvalidQuery {
		t.Errorf("bad pattern: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"find":   func() error { _, err := s.Find(ctx, &storage.Find{Class: c, Limit: 1}); return err }(),
		"count":  func() error { _, err := s.Count(ctx, c, nil, nil); return err }(),
		"insert": s.Insert(ctx, c, []*parse.Object{object("a")}),
		"ping":   s.Ping(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRelations(t *testing.T) {
	s, _ := open(t)
	ctx, r := t.Context(), storage.Join{Class: "Game", Key: "fans"}
	for _, ids := range [][]string{{"z", "a"}, {"a", "m", "z"}, nil} {
		if err := s.AddRelated(ctx, r, "g1", ids); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddRelated(ctx, r, "g2", []string{"m"}); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveRelated(ctx, r, "g1", []string{"a", "none"}); err != nil {
		t.Fatal(err)
	}
	related, err := s.Related(ctx, r, "g1")
	if diff := cmp.Diff([]string{"z", "m"}, related); diff != "" || err != nil {
		t.Error(diff, err)
	}
	owning, err := s.Owning(ctx, r, []string{"m", "z"})
	if diff := cmp.Diff([]string{"g1", "g2"}, owning); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// Without transactions there is no Transactor to find.
func TestTransactor(t *testing.T) {
	s, _ := open(t)
	tr := storage.AsTransactor(s)
	if tr == nil {
		t.Skip("the server has no transactions")
	}
	c := game()
	failed := errors.New("failed")
	err := tr.InTx(t.Context(), func(ctx context.Context, tx storage.Store) error {
		if err := tx.Insert(ctx, c, []*parse.Object{object("a")}); err != nil {
			return err
		}
		if n, err := tx.Count(ctx, c, nil, nil); err != nil || n != 1 {
			t.Errorf("the transaction sees %d objects of its own, %v", n, err)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	if n, err := s.Count(t.Context(), c, nil, nil); err != nil || n != 0 {
		t.Errorf("%d objects after a rollback, %v", n, err)
	}
}

// TestPatternTime: a query with a pattern that is more than text has a bound of
// time, others have none.
func TestPatternTime(t *testing.T) {
	_, db := open(t)
	s := reopenWith(t, db, mongo.Options{PatternTime: time.Nanosecond})
	c := game()
	insert(t, s, c, object("a", f("str", "some text")))
	pattern := func(text string) query.Node {
		n, err := query.NewRegex("str", text, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for text, slow := range map[string]bool{`^some`: false, `me te`: false, `s.*x`: true, `(?=s)some`: true} {
		_, err := s.Find(t.Context(), &storage.Find{Class: c, Where: pattern(text), Limit: 1})
		if (parse.CodeOf(err) == parse.InvalidQuery) != slow || err != nil && !slow {
			t.Errorf("find %s: %v", text, err)
		}
		_, err = s.Count(t.Context(), c, pattern(text), nil)
		if (parse.CodeOf(err) == parse.InvalidQuery) != slow || err != nil && !slow {
			t.Errorf("count %s: %v", text, err)
		}
	}
	// Those that may go back for long wait for each other.
	if j, ok := s.(storage.Judge); !ok || !j.Costly(pattern(`(a+)+`)) || j.Costly(pattern(`a+`)) {
		t.Error("which patterns are costly is told wrongly")
	}
}
