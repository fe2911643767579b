package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// AuthProvider is one entry of the option auth.
type AuthProvider struct {
	Name string
	// Options is a JSON object.
	Options json.RawMessage
}

var authProviderName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// AuthProviders reads the option auth: the providers that are not disabled, by name.
func (c *Config) AuthProviders() ([]AuthProvider, error) {
	if len(c.Auth) == 0 {
		return nil, nil
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(c.Auth, &entries); err != nil {
		return nil, fmt.Errorf("The option auth must be an object that maps names of providers to their options.")
	}
	var list []AuthProvider
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if !authProviderName.MatchString(name) {
			return nil, fmt.Errorf("The option auth has the invalid provider name %q: a name is a letter, then letters, digits and underscores.", name)
		}
		var o struct {
			Enabled *bool `json:"enabled"`
		}
		if err := json.Unmarshal(entries[name], &o); err != nil || entries[name][0] != '{' {
			return nil, fmt.Errorf("The option auth.%s must be an object of options.", name)
		}
		if o.Enabled == nil || *o.Enabled {
			list = append(list, AuthProvider{Name: name, Options: entries[name]})
		}
	}
	return list, nil
}
