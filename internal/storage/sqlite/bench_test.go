package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/parse"
)

func BenchmarkStore(b *testing.B) {
	storagetest.Bench(b, func(tb testing.TB) storage.Store {
		return open(tb, sqlite.Options{Path: filepath.Join(tb.TempDir(), "bench.db")})
	}, nil)
}

// BenchmarkLayout compares ways to keep the same rows: what to read an object
// from, and how to keep who may read it.
func BenchmarkLayout(b *testing.B) {
	db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "layout.db"))
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { _ = db.Close() })
	ctx := b.Context()
	exec := func(q string, args ...any) {
		b.Helper()
		if _, err := db.ExecContext(ctx, q, args...); err != nil {
			b.Fatal(err)
		}
	}
	exec(`CREATE TABLE t (id TEXT PRIMARY KEY, s TEXT, t TEXT, n REAL, b INTEGER, d INTEGER, a TEXT, p TEXT, doc TEXT, bars TEXT, list TEXT)`)
	exec(`CREATE INDEX t_s ON t (s)`)
	exec(`BEGIN`)
	c := storagetest.NewClass("Bench")
	for i := range 10_000 {
		o := storagetest.BenchObject(c, i)
		exec(`INSERT INTO t VALUES (?,?,?,?,?,?,?,?,?,?,?)`, o.ID, o.String("s"), o.String("t"), float64(i), i%2, 1_600_000_000_000,
			`["x","y",1]`, "q1", string(o.AppendFields(nil)), "|*|user1|", `["*","user1"]`)
	}
	exec(`COMMIT`)
	b.Run("read=columns", func(b *testing.B) { benchColumns(ctx, b, db) })
	b.Run("read=doc", func(b *testing.B) { benchDoc(ctx, b, db) })
	for name, cond := range map[string]string{
		"permission=instr":     `instr(bars, '|user2|') OR instr(bars, '|*|')`,
		"permission=json_each": `EXISTS (SELECT 1 FROM json_each(list) WHERE value IN ('user2', '*'))`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var n int
				if err := db.QueryRowContext(ctx, `SELECT count(*) FROM t WHERE `+cond).Scan(&n); err != nil || n != 10_000 {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func benchColumns(ctx context.Context, b *testing.B, db *sql.DB) {
	b.ReportAllocs()
	for b.Loop() {
		rows, err := db.QueryContext(ctx, `SELECT id, s, t, n, b, d, a, p FROM t WHERE s = 'group 7'`)
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			var id, s, t, a, p string
			var n float64
			var flag, d int64
			if err := rows.Scan(&id, &s, &t, &n, &flag, &d, &a, &p); err != nil {
				b.Fatal(err)
			}
			list, err := parse.Decode([]byte(a), parse.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			o := parse.Object{ID: id}
			for _, f := range []parse.MapField{
				{Key: "s", Value: s},
				{Key: "t", Value: t},
				{Key: "n", Value: n},
				{Key: "b", Value: flag != 0},
				{Key: "d", Value: parse.Date(d)},
				{Key: "a", Value: list},
				{Key: "p", Value: parse.Pointer{ClassName: "Other", ObjectID: p}},
			} {
				o.Set(f.Key, f.Value)
			}
		}
		if err := rows.Close(); err != nil || rows.Err() != nil {
			b.Fatal(err, rows.Err())
		}
	}
}

func benchDoc(ctx context.Context, b *testing.B, db *sql.DB) {
	b.ReportAllocs()
	for b.Loop() {
		rows, err := db.QueryContext(ctx, `SELECT id, doc FROM t WHERE s = 'group 7'`)
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			var id, doc string
			if err := rows.Scan(&id, &doc); err != nil {
				b.Fatal(err)
			}
			m, err := parse.DecodeMap([]byte(doc), parse.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			_ = parse.Object{ID: id, Fields: *m}
		}
		if err := rows.Close(); err != nil || rows.Err() != nil {
			b.Fatal(err, rows.Err())
		}
	}
}
