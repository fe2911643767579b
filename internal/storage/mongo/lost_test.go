package mongo_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
)

// When the server cannot be reached every operation fails with an error that
// says so, and none of those that mean a fault of the client: its text names hosts.
func TestLostServer(t *testing.T) {
	_, db := open(t)
	u, err := url.Parse(os.Getenv("PARGO_TEST_MONGO_URL"))
	if err != nil {
		t.Fatal(err)
	}
	line := storagetest.Plug(t, u.Host)
	u.Host, u.Path = line.Addr, "/"+db.Name()
	u.RawQuery = url.Values{"serverSelectionTimeoutMS": {"50"}, "directConnection": {"true"}}.Encode()
	s, err := mongo.Open(t.Context(), mongo.Options{URI: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	c := game()
	insert(t, s, c, object("a"))
	line.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := storage.Join{Class: "Game", Key: "fans"}
	for name, op := range map[string]func() error{
		"find":   func() error { _, err := s.Find(ctx, &storage.Find{Class: c, Limit: 1}); return err },
		"count":  func() error { _, err := s.Count(ctx, c, nil, nil); return err },
		"insert": func() error { return s.Insert(ctx, c, []*parse.Object{object("b")}) },
		"insert many": func() error {
			return s.Insert(ctx, c, []*parse.Object{object("c"), object("d")})
		},
		"update": func() error {
			_, _, err := s.Update(ctx, &storage.Update{Class: c, Ops: parse.NewMap(f("num", 1.0)), UpdatedAt: 2})
			return err
		},
		"delete":  func() error { _, err := s.Delete(ctx, c, nil); return err },
		"relate":  func() error { return s.AddRelated(ctx, r, "a", []string{"u"}) },
		"related": func() error { _, err := s.Related(ctx, r, "a"); return err },
		"schema":  func() error { _, err := s.LoadSchema(ctx); return err },
		"ping":    func() error { return s.Ping(ctx) },
	} {
		err := op()
		var pe *parse.Error
		var dup *storage.DuplicateError
		var away *storage.UnavailableError
		if err == nil || !errors.As(err, &away) || away.Writes || errors.As(err, &pe) || errors.As(err, &dup) || errors.Is(err, storage.ErrNotFound) ||
			errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
