package postgres

import (
	"context"

	"github.com/pargo-baas/pargo/internal/storage"
)

// AddRelated implements [storage.Store].
func (s *session) AddRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	if len(relatedIDs) == 0 {
		return ctx.Err()
	}
	for _, id := range append([]string{owningID}, relatedIDs...) {
		if err := checkText(r.Key, id); err != nil {
			return err
		}
	}
	return s.write(ctx, "add to", r.String(), func(ctx context.Context, q querier) error {
		sql := "INSERT INTO " + quote(r.String()) + ` ("relatedId", "owningId") SELECT id, $1 FROM unnest($2::text[]) AS u(id) ON CONFLICT DO NOTHING`
		_, err := q.Exec(ctx, sql, owningID, relatedIDs)
		if codeOf(err) == codeUndefinedTable && s.mu == nil {
			// A database may have the relation and not yet its table.
			if err = createJoin(ctx, q, r); err == nil {
				_, err = q.Exec(ctx, sql, owningID, relatedIDs)
			}
		}
		return err
	})
}

// RemoveRelated implements [storage.Store].
func (s *session) RemoveRelated(ctx context.Context, r storage.Join, owningID string, relatedIDs []string) error {
	if len(relatedIDs) == 0 {
		return ctx.Err()
	}
	return s.write(ctx, "remove from", r.String(), func(ctx context.Context, q querier) error {
		_, err := q.Exec(ctx, "DELETE FROM "+quote(r.String())+` WHERE "owningId" = $1 AND "relatedId" = ANY($2)`, owningID, texts(relatedIDs))
		return s.absent(err)
	})
}

// absent makes nothing of a table that is not there. In a transaction that is
// a failure, for which everything has to be given up.
func (s *session) absent(err error) error {
	if codeOf(err) == codeUndefinedTable && s.mu == nil {
		return nil
	}
	return err
}

// texts leaves out what the database cannot have stored.
func texts(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if checkText("", s) == nil {
			out = append(out, s)
		}
	}
	return out
}

// Related implements [storage.Store]. Rows lie in the order in which they were
// made, as far as the place of a removed one was not used again.
func (s *session) Related(ctx context.Context, r storage.Join, owningID string) (out []string, err error) {
	links, err := s.links(ctx, r, ` WHERE "owningId" = $1 ORDER BY ctid`, owningID)
	for _, l := range links {
		out = append(out, l.Member)
	}
	return out, err
}

// Owning implements [storage.Store].
func (s *session) Owning(ctx context.Context, r storage.Join, relatedIDs []string) (out []string, err error) {
	if len(relatedIDs) == 0 {
		return nil, ctx.Err()
	}
	links, err := s.links(ctx, r, ` WHERE "relatedId" = ANY($1) ORDER BY ctid`, texts(relatedIDs))
	seen := make(map[string]bool, len(links))
	for _, l := range links {
		if !seen[l.Owner] {
			seen[l.Owner] = true
			out = append(out, l.Owner)
		}
	}
	return out, err
}

// Links implements [storage.Store].
func (s *session) Links(ctx context.Context, r storage.Join, owningIDs []string) ([]storage.Link, error) {
	if owningIDs == nil {
		return s.links(ctx, r, "")
	}
	return s.links(ctx, r, ` WHERE "owningId" = ANY($1)`, texts(owningIDs))
}

func (s *session) links(ctx context.Context, r storage.Join, tail string, args ...any) (out []storage.Link, err error) {
	err = s.read(ctx, "read", r.String(), func(ctx context.Context, q querier) error {
		_, err := each(ctx, q, `SELECT "owningId", "relatedId" FROM `+quote(r.String())+tail, args, func(raw [][]byte, _ []int16) (bool, error) {
			out = append(out, storage.Link{Owner: string(raw[0]), Member: string(raw[1])})
			return true, nil
		})
		return s.absent(err)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// createJoin makes the table of a relation, and the index that finds the
// members of an owner: the key of Parse Server's table begins with the member.
func createJoin(ctx context.Context, q querier, r storage.Join) error {
	name := r.String()
	return execAll(ctx, q,
		"CREATE TABLE IF NOT EXISTS "+quote(name)+` ("relatedId" varchar(120), "owningId" varchar(120), PRIMARY KEY ("relatedId", "owningId"))`,
		"CREATE INDEX IF NOT EXISTS "+quote(shorten("_owning:"+name))+" ON "+quote(name)+` ("owningId")`)
}
