package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/cloudcode/paymentgateway"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/internal/storage/postgres"
	"github.com/pargo-baas/pargo/internal/storage/sqlite"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
	"github.com/pargo-baas/pargo/server/config"
)

// bundles are the cloud-code bundles that come with the binary.
var bundles = map[string]func(*cloudcode.App){
	"payment-gateway": func(app *cloudcode.App) { paymentgateway.Register(app, paymentgateway.Options{}) },
}

// schemaFile reads the option schema: a path, or the definitions themselves; nil without one.
func schemaFile(raw json.RawMessage) (*schema.Document, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var path string
	if json.Unmarshal(raw, &path) == nil {
		return schema.LoadFile(path)
	}
	return schema.Parse("option schema", raw)
}

// buildApp registers the bundle that the options or the schema file name, and
// the cloud code of the embedding program.
func buildApp(cfg config.Config, file *schema.Document, more []func(*cloudcode.App)) (*cloudcode.App, error) {
	app := cloudcode.New()
	name := cfg.Cloud
	if name == "" && file != nil {
		name = file.Cloud
	}
	if name != "" {
		register, ok := bundles[name]
		if !ok {
			return nil, fmt.Errorf("unknown cloud-code bundle %q: there is %s", name, strings.Join(slices.Sorted(maps.Keys(bundles)), ", "))
		}
		register(app)
	}
	for _, register := range more {
		register(app)
	}
	if err := app.Err(); err != nil {
		return nil, fmt.Errorf("cloud code: %w", err)
	}
	return app, nil
}

// newGate reads the options on protected fields.
func newGate(cfg config.Config) (*access.Gate, error) {
	g := &access.Gate{OwnerExempt: cfg.ProtectedFieldsOwnerExempt, SaveExempt: cfg.ProtectedFieldsSaveResponseExempt}
	if len(cfg.ProtectedFields) > 0 {
		if err := json.Unmarshal(cfg.ProtectedFields, &g.Protected); err != nil {
			return nil, fmt.Errorf("option protectedFields: must map classes to groups to lists of fields: %w", err)
		}
	}
	// What an operator adds does not show what is hidden by default, unless he says
	// otherwise in so many words (reference 04 §5.1).
	if _, own := g.Protected[schema.UserClass][parse.Public]; !own || g.OwnerExempt {
		g.Hide(schema.UserClass, parse.Public, []string{"email"})
	}
	if len(cfg.UserSensitiveFields) > 0 {
		g.Hide(schema.UserClass, parse.Public, cfg.UserSensitiveFields)
	}
	return g, nil
}

func openStore(ctx context.Context, cfg config.Config, providers []string, log *slog.Logger) (storage.Store, error) {
	db, err := cfg.Database()
	if err != nil {
		return nil, err
	}
	use, err := cfg.DatabaseUse()
	if err != nil {
		return nil, err
	}
	switch db.Kind {
	case config.PostgreSQL:
		return postgres.Open(ctx, postgres.Options{
			URI: db.Location, Params: use.Postgres, AuthProviders: providers, MaxTime: use.MaxTime, Listen: use.SchemaHooks, Log: log,
		})
	case config.MongoDB:
		return mongo.Open(ctx, mongo.Options{
			URI: db.Location, CollectionPrefix: cfg.CollectionPrefix, AuthProviders: providers, MaxTime: use.MaxTime,
			Driver: use.Driver, Log: log,
		})
	}
	if db.Location != "" {
		if err := os.MkdirAll(filepath.Dir(db.Location), 0o700); err != nil {
			return nil, err
		}
	}
	return sqlite.Open(ctx, sqlite.Options{Path: db.Location, Durability: cfg.Durability, AuthProviders: providers, MaxTime: use.MaxTime, Log: log})
}
