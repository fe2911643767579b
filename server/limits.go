package server

import (
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/server/config"
)

// newDenylist makes the option requestKeywordDenylist ready for use.
func newDenylist(cfg config.Config) (*objects.Denylist, error) {
	entries, err := cfg.Denylist()
	if err != nil {
		return nil, err
	}
	list := objects.NewDenylist()
	for _, e := range entries {
		if err := list.Add(e.Key, e.Value, e.Text); err != nil {
			return nil, err
		}
	}
	return list, nil
}
