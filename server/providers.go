package server

import (
	"maps"
	"slices"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/auth/provider"
	"github.com/pargo-baas/pargo/server/config"
)

// newProviders makes the providers of the option auth. Those of cloud code are
// added, and win.
func newProviders(cfg config.Config, app *cloudcode.App) (map[string]cloudcode.AuthProvider, error) {
	list, err := cfg.AuthProviders()
	if err != nil {
		return nil, err
	}
	own := app.AuthProviders()
	all := map[string]cloudcode.AuthProvider{}
	for _, entry := range list {
		if own[entry.Name] != nil {
			continue
		}
		p, err := provider.New(entry.Name, entry.Options, provider.Env{
			Insecure: cfg.EnableInsecureAuthAdapters,
			Secret:   []byte(cfg.MasterKey),
			SendSMS:  app.SMSSender(),
		})
		if err != nil {
			return nil, err
		}
		all[entry.Name] = p
	}
	maps.Copy(all, own)
	return all, nil
}

func providerNames(providers map[string]cloudcode.AuthProvider) []string {
	return slices.Sorted(maps.Keys(providers))
}
