package config

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Installation is the option installation.
type Installation struct {
	// Action is "delete" or "update": what becomes of an object whose id another one takes.
	Action string
	// MergePriority is "deviceToken" or "installationId": which of two objects survives.
	MergePriority string
	EnforceAuth   bool
}

// Installations reads the option installation.
func (c *Config) Installations() (Installation, error) {
	o := Installation{Action: "delete", MergePriority: "deviceToken"}
	if len(c.Installation) == 0 {
		return o, nil
	}
	var m map[string]any
	if err := json.Unmarshal(c.Installation, &m); err != nil || m == nil {
		return o, errors.New("installation must be an object.")
	}
	for _, name := range sorted(m) {
		v := m[name]
		if v == nil {
			continue
		}
		var err error
		switch name {
		case "duplicateDeviceTokenAction":
			o.Action, err = oneOf(name, v, "delete", "update")
		case "duplicateDeviceTokenMergePriority":
			o.MergePriority, err = oneOf(name, v, "deviceToken", "installationId")
		case "duplicateDeviceTokenActionEnforceAuth":
			b, ok := v.(bool)
			if !ok {
				err = fmt.Errorf("installation.%s must be a boolean.", name)
			}
			o.EnforceAuth = b
		default:
			err = fmt.Errorf("installation contains unknown property '%s'.", name)
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

func oneOf(name string, v any, a, b string) (string, error) {
	if v != a && v != b {
		return "", fmt.Errorf("installation.%s must be %q or %q.", name, a, b)
	}
	s, _ := v.(string)
	return s, nil
}
