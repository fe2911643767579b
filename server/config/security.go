package config

import (
	"fmt"
	"slices"
	"strings"
)

// Groups of security checks.
const (
	GroupDatabase  = "Database"
	GroupServer    = "Parse Server Configuration"
	GroupOperation = "Operation"
)

var securityGroups = []string{GroupDatabase, GroupServer, GroupOperation}

// Security is the option security.
type Security struct {
	// EnableCheck serves GET /security; EnableCheckLog logs what it says at start.
	EnableCheck    bool `json:"enableCheck"`
	EnableCheckLog bool `json:"enableCheckLog"`
	// CheckGroups are the names of the groups of checks; none: all.
	CheckGroups []string `json:"checkGroups"`
}

// securityVariables are the environment variables of the parts of the option security.
var securityVariables = map[string]string{
	"PARSE_SERVER_SECURITY_CHECK_GROUPS":     "checkGroups",
	"PARSE_SERVER_SECURITY_ENABLE_CHECK":     "enableCheck",
	"PARSE_SERVER_SECURITY_ENABLE_CHECK_LOG": "enableCheckLog",
}

// Security reads the option security.
func (c *Config) Security() (Security, error) {
	var out Security
	raw := c.SecurityOptions
	if len(raw) == 0 || string(raw) == "null" {
		return out, nil
	}
	if err := strict(raw, &out); err != nil {
		return out, fmt.Errorf(`The option security must be {"enableCheck":…,"enableCheckLog":…,"checkGroups":[…]}: %w`, err)
	}
	for _, name := range out.CheckGroups {
		if !slices.Contains(securityGroups, name) {
			return out, fmt.Errorf("The option security.checkGroups names %q: there are %s.", name, strings.Join(securityGroups, ", "))
		}
	}
	return out, nil
}

// Checks reports whether a group of checks is asked for.
func (s *Security) Checks(group string) bool {
	return len(s.CheckGroups) == 0 || slices.Contains(s.CheckGroups, group)
}
