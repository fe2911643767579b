package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// The names of users are unique without regard to case, but a database that
// Parse Server can work on need not have an index that says so. So whoever
// writes a name holds a lock on it while he looks for another user with it and
// writes: of two who want one name at the same moment, on whatever servers, one
// comes after the other. Parse Server knows nothing of the locks, but its own
// look-up finds what was written.

// claim is one value that is to be unique without regard to case.
type claim struct {
	index, field, value string
}

// key names the lock on a claim.
func (c *claim) key(class string) string {
	return class + "." + c.field + ":" + strings.ToLower(strings.ToUpper(c.value))
}

// claims lists the values that fields are about to get.
func claims(class *schema.Class, fields *parse.Map) (out []claim) {
	if class.Name != schema.UserClass {
		return nil
	}
	for i := range class.Indexes {
		ix := &class.Indexes[i]
		if !ix.Unique || !folds(class.Name, ix) || len(ix.Keys) != 1 {
			continue
		}
		field := ix.Keys[0].Field
		if v := fields.String(field); v != "" {
			out = append(out, claim{ix.Name, field, v})
		}
	}
	return out
}

// claimsOf lists the values of new objects, of which no two may be the same.
func claimsOf(class *schema.Class, objects []*parse.Object) (out []claim, err error) {
	if class.Name != schema.UserClass {
		return nil, nil
	}
	seen := map[string]bool{}
	for _, o := range objects {
		for _, c := range claims(class, &o.Fields) {
			key := c.key(class.Name)
			if seen[key] {
				return nil, &storage.DuplicateError{Class: class.Name, Index: c.index, Fields: []string{c.field}}
			}
			seen[key] = true
			out = append(out, c)
		}
	}
	return out, nil
}

// idOf finds the object that an update is for; "" if it names none.
func idOf(where query.Node) (id string) {
	query.Walk(where, func(n query.Node) bool {
		switch n := n.(type) {
		case *query.And:
			return true
		case *query.Compare:
			if s, ok := n.Value.(string); ok && n.Op == query.Eq && n.Path == parse.KeyObjectID {
				id = s
			}
		}
		return id == ""
	})
	return id
}

// alone runs write while nobody else writes the same names, and only if no
// other object than that of the id has them.
func (d *DB) alone(ctx context.Context, q querier, t *table, id string, wanted []claim, write func(context.Context, querier) error) error {
	if len(wanted) == 0 {
		return write(ctx, q)
	}
	// In one order, so that no two wait for one another.
	slices.SortFunc(wanted, func(a, b claim) int { return strings.Compare(a.key(t.class.Name), b.key(t.class.Name)) })
	return pgx.BeginFunc(ctx, q, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		for i := range wanted {
			b.Queue("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || $1, 1))", wanted[i].key(t.class.Name))
		}
		// A statement of its own sees what was written before the lock was had.
		for i := range wanted {
			c := t.byField[wanted[i].field]
			b.Queue("SELECT 1 FROM "+t.sql+" WHERE lower("+c.sql+") = lower($1) AND "+t.id+" <> $2 LIMIT 1", wanted[i].value, id)
		}
		answers := tx.SendBatch(ctx, b)
		for range wanted {
			if _, err := answers.Exec(); err != nil {
				_ = answers.Close()
				return err
			}
		}
		taken := -1
		for i := range wanted {
			tag, err := answers.Exec()
			if err != nil {
				_ = answers.Close()
				return err
			}
			if tag.RowsAffected() > 0 && taken < 0 {
				taken = i
			}
		}
		if err := answers.Close(); err != nil {
			return err
		}
		if taken >= 0 {
			return &storage.DuplicateError{Class: t.class.Name, Index: wanted[taken].index, Fields: []string{wanted[taken].field}}
		}
		return write(ctx, tx)
	})
}
