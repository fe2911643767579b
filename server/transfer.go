package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pargo-baas/pargo/internal/migrate"
	"github.com/pargo-baas/pargo/server/config"
)

// Transfer says what [TransferDatabase] does.
type Transfer struct {
	// From and To name the databases; of the options no others matter than
	// databaseURI and collectionPrefix.
	From, To config.Config
	// Classes are those to copy; nil: all.
	Classes []string
	// DryRun looks, and changes nothing. Merge allows a target that has objects.
	DryRun, Merge bool
	// Progress, if not nil, is told how far it is.
	Progress func(TransferProgress)
}

// What a transfer tells of itself.
type (
	// TransferProgress is how far a transfer is.
	TransferProgress = migrate.Progress
	// TransferReport is what was copied.
	TransferReport = migrate.Report
	// NotEmptyError is returned for a target that has objects already.
	NotEmptyError = migrate.NotEmptyError
	// DifferenceError is returned if both databases differ after the copy.
	DifferenceError = migrate.DifferenceError
)

// ErrOtherSource is returned for a target that holds the beginning of a copy of
// another source.
var ErrOtherSource = migrate.ErrOtherSource

// TransferDatabase copies a whole database to another one, of whatever kind, and
// compares them. No server may use either meanwhile. One that is broken off goes
// on when it is called again.
func TransferDatabase(ctx context.Context, t Transfer, log *slog.Logger) (_ *TransferReport, err error) {
	source, err := databaseName(t.From)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	target, err := databaseName(t.To)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	if source == target {
		return nil, errors.New("source and target are the same database")
	}
	if file, ok := absent(t.From); ok {
		return nil, fmt.Errorf("source: there is no database at %s", file)
	}
	if _, ok := absent(t.To); ok && t.DryRun {
		t.To.DatabaseURI = "sqlite::memory:" // none is made
	}
	from, err := openStore(ctx, t.From, nil, log)
	if err != nil {
		return nil, fmt.Errorf("open the source: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := openStore(ctx, t.To, nil, log)
	if err != nil {
		return nil, fmt.Errorf("open the target: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return migrate.Run(ctx, from, to, migrate.Options{
		Source: source, Classes: t.Classes, DryRun: t.DryRun, Merge: t.Merge, Progress: t.Progress,
	})
}

// absent reports whether the database is a file that is not there.
func absent(cfg config.Config) (file string, ok bool) {
	db, err := cfg.Database()
	if err != nil || db.Kind != config.SQLite {
		return "", false
	}
	_, err = os.Stat(db.Location)
	return db.Location, err != nil
}

// databaseName is a name for a database, without who logs in to it.
func databaseName(cfg config.Config) (string, error) {
	db, err := cfg.Database()
	if err != nil {
		return "", err
	}
	name := db.Location
	switch {
	case db.Kind == config.SQLite && name == "":
		return "", errors.New("a database in memory cannot be moved")
	case db.Kind == config.SQLite:
		if name, err = filepath.Abs(name); err != nil {
			return "", err
		}
	default:
		if u, err := url.Parse(name); err == nil {
			u.User, u.RawQuery = nil, ""
			name = u.String()
		}
	}
	sum := sha256.Sum256([]byte(name + "\x00" + cfg.CollectionPrefix))
	return hex.EncodeToString(sum[:]), nil
}
