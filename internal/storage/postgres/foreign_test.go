package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pargo-baas/pargo/schema"
)

// TestForeignChange: a Parse Server is in the middle of a change of the schema
// when pargo makes one of the same class. Both must be there afterwards.
func TestForeignChange(t *testing.T) {
	number := func(name string) *schema.Field { return &schema.Field{Name: name, Type: schema.Number} }
	def := func(fields ...*schema.Field) *schema.Class {
		c := &schema.Class{Name: "Game", Fields: map[string]*schema.Field{}}
		for _, f := range fields {
			c.Fields[f.Name] = f
		}
		return schema.Complete(c)
	}
	create := schema.Step{Kind: schema.CreateClass, Class: "Game", Def: def(number("ours"))}
	const (
		theirTable = `CREATE TABLE "Game" ("objectId" text PRIMARY KEY, "createdAt" timestamptz, "updatedAt" timestamptz, "theirs" double precision, "_rperm" text[], "_wperm" text[])`
		theirRow   = `INSERT INTO "_SCHEMA" VALUES ('Game', '{"className":"Game","fields":{"objectId":{"type":"String"},"createdAt":{"type":"Date"},"updatedAt":{"type":"Date"},"theirs":{"type":"Number"},"_rperm":{"type":"Array","contents":{"type":"String"}},"_wperm":{"type":"Array","contents":{"type":"String"}}}}', true)`
		theirField = `UPDATE "_SCHEMA" SET "schema" = jsonb_set("schema", '{fields,theirs}', '{"type":"Number"}') WHERE "className" = 'Game'`
	)
	tests := []struct {
		name   string
		before []schema.Step
		theirs []string // in their transaction, before ours begins
		then   []string // when ours waits
		ours   schema.Step
	}{
		{"both create", nil, []string{theirTable}, []string{theirRow}, create},
		{"both create, theirs is nearly done", nil, []string{theirTable, theirRow}, nil, create},
		{
			"both add a field",
			[]schema.Step{{Kind: schema.CreateClass, Class: "Game", Def: def()}},
			[]string{`ALTER TABLE "Game" ADD COLUMN IF NOT EXISTS "theirs" double precision`},
			[]string{theirField},
			schema.Step{Kind: schema.AddFieldStep, Class: "Game", Field: number("ours")},
		},
		{
			"they record a field, ours are permissions",
			[]schema.Step{{Kind: schema.CreateClass, Class: "Game", Def: def(number("ours"))}},
			[]string{`ALTER TABLE "Game" ADD COLUMN IF NOT EXISTS "theirs" double precision`, theirField},
			nil,
			schema.Step{Kind: schema.SetCLP, Class: "Game", CLP: &schema.CLP{}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			uri := place(t)
			db := open(t, uri)
			if err := db.ApplySchema(t.Context(), tt.before); err != nil {
				t.Fatal(err)
			}
			c, err := pgx.Connect(t.Context(), uri)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close(t.Context()) }()
			tx, err := c.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			do := func(statements []string) {
				t.Helper()
				for _, sql := range statements {
					if _, err := tx.Exec(t.Context(), sql); err != nil {
						t.Fatal(err)
					}
				}
			}
			do(tt.theirs)
			done := make(chan error, 1)
			go func() { done <- db.ApplySchema(t.Context(), []schema.Step{tt.ours}) }()
			waitFor(t, tx)
			do(tt.then)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			classes, err := db.LoadSchema(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range classes {
				if c.Name != "Game" {
					continue
				}
				if c.Field("ours") == nil || c.Field("theirs") == nil {
					t.Errorf("fields %v", c.Fields)
				}
				if tt.ours.Kind == schema.SetCLP && c.CLP == nil {
					t.Error("the permissions are lost")
				}
				return
			}
			t.Error("the class is not there")
		})
	}
}

// waitFor returns when another connection waits for a lock of the transaction.
func waitFor(t *testing.T, tx pgx.Tx) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var n int
		if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}
