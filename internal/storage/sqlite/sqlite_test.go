package sqlite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
)

func open(t testing.TB, o sqlite.Options) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func TestStore(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		storagetest.Run(t, "SQLite", func(t *testing.T) storage.Store {
			return open(t, sqlite.Options{Path: filepath.Join(t.TempDir(), "sub", "p.db"), Durability: sqlite.DurabilityNormal})
		})
	})
	t.Run("memory", func(t *testing.T) {
		storagetest.Run(t, "SQLite", func(t *testing.T) storage.Store { return open(t, sqlite.Options{}) })
	})
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "data", "p.db")
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{path: 0o600, path + "-wal": 0o600, filepath.Dir(path): 0o700} {
		if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %o", file, fi, err, want)
		}
	}
	if second, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("a second server on one database: %v, %v", second, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err == nil {
		t.Error("ping after close succeeded")
	}
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]sqlite.Options{
		"garbage": {Path: garbage}, "directory": {Path: dir}, "durability": {Path: path, Durability: "maybe"},
	} {
		if db, err := sqlite.Open(t.Context(), o); err == nil {
			t.Errorf("%s: opened %v", name, db.Close())
		}
	}
	if err := open(t, sqlite.Options{Path: path}).CheckIntegrity(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestProperty(t *testing.T) {
	storagetest.RunProperty(t, func(t *testing.T) storage.Store { return open(t, sqlite.Options{}) })
}
