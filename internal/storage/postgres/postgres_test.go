package postgres_test

import (
	"context"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/postgres"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
)

// place returns the URI of a schema of its own in the test database, which is
// removed when the test ends.
func place(t testing.TB) string {
	t.Helper()
	base := os.Getenv("PARGO_TEST_POSTGRES_URL")
	if base == "" {
		t.Skip("PARGO_TEST_POSTGRES_URL is not set: not tested on PostgreSQL")
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatalf("PARGO_TEST_POSTGRES_URL: %v", err)
	}
	name := "storage_" + parse.NewObjectID(10)
	run(t, base, `CREATE SCHEMA "`+name+`"`)
	t.Cleanup(func() { run(t, base, `DROP SCHEMA "`+name+`" CASCADE`) })
	q := u.Query()
	q.Set("search_path", `"`+name+`"`)
	u.RawQuery = q.Encode()
	return u.String()
}

// run carries out a statement on a connection of its own.
func run(t testing.TB, uri, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, uri)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func open(t testing.TB, uri string) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func openStore(t *testing.T) storage.Store { return open(t, place(t)) }

func TestStore(t *testing.T) { storagetest.Run(t, "PostgreSQL", openStore) }

func TestProperty(t *testing.T) { storagetest.RunProperty(t, openStore) }
