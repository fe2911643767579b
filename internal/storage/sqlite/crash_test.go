package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// crashEnv tells the test binary to be the writer that gets killed.
const crashEnv = "PARGO_CRASH_DATABASE"

// more are other things that the test binary can be told to do with a database.
var more = map[string]func(path string) error{}

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(path))
		os.Exit(1)
	}
	for name, do := range more {
		if path := os.Getenv(name); path != "" {
			if err := do(path); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

var crashClass = storagetest.NewClass("Crash", schema.Index{Name: "n_1", Keys: []schema.IndexKey{{Field: "n"}}})

// writeUntilKilled inserts from eight goroutines and prints the id of each
// object once its insert is acknowledged.
func writeUntilKilled(path string) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Options{Path: path})
	if err != nil {
		return err
	}
	if err := db.ApplySchema(ctx, []schema.Step{{Kind: schema.CreateClass, Class: crashClass.Name, Def: crashClass}}); err != nil {
		return err
	}
	failed := make(chan error)
	for range 8 {
		go func() {
			for n := 0.0; ; n++ {
				o := &parse.Object{ClassName: crashClass.Name, ID: parse.NewObjectID(12), CreatedAt: 1, UpdatedAt: 1}
				o.Set("n", n)
				o.Set("s", strings.Repeat("x", 200))
				if err := db.Insert(ctx, crashClass, []*parse.Object{o}); err != nil {
					failed <- err
					return
				}
				// One write call per id: never half a line of two goroutines.
				if _, err := os.Stdout.WriteString(o.ID + "\n"); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("kills twenty processes: not with -short")
	}
	path := filepath.Join(t.TempDir(), "crash.db")
	acknowledged := map[string]bool{}
	for round := range 20 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), crashEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for left := 1 + rand.IntN(150); lines.Scan(); left-- {
			acknowledged[lines.Text()] = true
			if left == 0 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the writer ended by itself")
		}
		verify(t, path, acknowledged, round)
	}
	t.Logf("%d acknowledged objects survived 20 kills", len(acknowledged))
}

func verify(t *testing.T, path string, acknowledged map[string]bool, round int) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Readers: 1})
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	if err := db.CheckIntegrity(t.Context()); err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	list, err := db.Find(t.Context(), &storage.Find{Class: crashClass, Limit: query.NoLimit})
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool, len(list))
	for _, o := range list {
		there[o.ID] = true
	}
	for id := range acknowledged {
		if !there[id] {
			t.Fatalf("round %d: acknowledged object %s is lost", round, id)
		}
	}
}
