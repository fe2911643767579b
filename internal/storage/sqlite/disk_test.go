//go:build linux

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// diskEnv tells the test binary to be the writer whose disk is full: the limit
// on the length of files is one of the whole process.
const diskEnv = "PARGO_FULL_DISK_DATABASE"

func init() { more[diskEnv] = fillDisk }

// fillDisk writes until no more can be stored, makes room and goes on.
func fillDisk(path string) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Options{Path: path})
	if err != nil {
		return err
	}
	if err := db.ApplySchema(ctx, []schema.Step{{Kind: schema.CreateClass, Class: crashClass.Name, Def: crashClass}}); err != nil {
		return err
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: old.Max}); err != nil {
		return err
	}
	stored := 0
	insert := func() error {
		o := &parse.Object{ClassName: crashClass.Name, ID: parse.NewObjectID(12), CreatedAt: 1, UpdatedAt: 1}
		o.Set("n", float64(stored))
		o.Set("s", strings.Repeat("x", 5000))
		err := db.Insert(ctx, crashClass, []*parse.Object{o})
		if err == nil {
			stored++
		}
		return err
	}
	count := func() error {
		n, err := db.Count(ctx, crashClass, nil, nil)
		if err == nil && int(n) != stored {
			err = fmt.Errorf("%d objects, stored %d", n, stored)
		}
		return err
	}
	for err == nil && stored < 10000 {
		err = insert()
	}
	var full *storage.UnavailableError
	if !errors.As(err, &full) || !full.Writes {
		return fmt.Errorf("after %d objects: %w", stored, err)
	}
	if err := insert(); !errors.As(err, &full) {
		return fmt.Errorf("again: %w", err)
	}
	if err := count(); err != nil { // reads go on
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	for range 10 {
		if err := insert(); err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
	}
	if err := count(); err != nil {
		return err
	}
	if err := db.CheckIntegrity(ctx); err != nil {
		return err
	}
	if _, err := db.Find(ctx, &storage.Find{Class: crashClass, Limit: query.NoLimit}); err != nil {
		return err
	}
	return db.Close()
}

// A full disk refuses writes with an error that says so; what was stored stays,
// and writing goes on once there is room.
func TestFullDisk(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), diskEnv+"="+filepath.Join(t.TempDir(), "full.db"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
