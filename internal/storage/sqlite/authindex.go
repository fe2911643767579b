package sqlite

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/schema"
)

// An index for each provider makes an id of that provider open one account
// only. They are no part of the class, as they are not with Parse Server, and
// have its names.
const authIndexPrefix, authIndexSuffix = "_auth_data_", "_id"

func authIndex(provider string) *schema.Index {
	return &schema.Index{
		Name: authIndexPrefix + provider + authIndexSuffix, Unique: true, Sparse: true,
		Keys: []schema.IndexKey{{Field: "authData." + provider + ".id"}},
	}
}

// authIndexOf finds the index by what the database says of a violation; nil if
// it is none of these.
func (t *table) authIndexOf(what string) *schema.Index {
	if t.class.Name != schema.UserClass {
		return nil
	}
	name, ok := strings.CutPrefix(what, "index '"+indexName(t.class.Name, authIndexPrefix))
	if !ok {
		return nil
	}
	provider, ok := strings.CutSuffix(name, authIndexSuffix+"'")
	if !ok {
		return nil
	}
	return authIndex(provider)
}

// createAuthIndexes makes the indexes of all providers. Where users share an
// id already, it cannot be made; the server works without, as Parse Server does.
func (db *DB) createAuthIndexes(ctx context.Context, c *conn) error {
	users, err := loadClass(ctx, c, schema.UserClass)
	if err != nil || users == nil {
		return err
	}
	for _, provider := range db.providers {
		ix := authIndex(provider)
		n, err := c.queryString(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name = ?", indexName(users.Name, ix.Name))
		if err != nil {
			return err
		}
		if n != "0" {
			continue
		}
		err = createIndex(ctx, c, users, ix)
		var dup *storage.DuplicateError
		if errors.As(err, &dup) {
			db.log.WarnContext(ctx, "users may share an id of a provider: the index that forbids it cannot be made", "provider", provider, "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// makesUsers reports whether the steps make the class of users.
func makesUsers(steps []schema.Step) bool {
	return slices.ContainsFunc(steps, func(s schema.Step) bool {
		return s.Kind == schema.CreateClass && s.Class == schema.UserClass
	})
}

// authProviders are the providers that have an index: those that were asked
// for, and anonymous.
func authProviders(names []string) []string {
	list := append(slices.Clone(names), "anonymous")
	slices.Sort(list)
	return slices.Compact(list)
}
