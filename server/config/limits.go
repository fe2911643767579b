package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
)

// Keyword is one entry of requestKeywordDenylist. A nil Key or Value is not
// asked for; a string is a regular expression, anything else is compared.
type Keyword struct {
	Key, Value any
	// Text is the entry in JSON, as refusals tell it.
	Text string
}

// Denylist reads requestKeywordDenylist.
func (c *Config) Denylist() ([]Keyword, error) {
	if len(c.RequestKeywordDenylist) == 0 {
		return nil, nil
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(c.RequestKeywordDenylist, &entries); err != nil {
		return nil, fmt.Errorf("Parse Server option requestKeywordDenylist must be an array.")
	}
	list := make([]Keyword, 0, len(entries))
	for _, raw := range entries {
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil || m == nil {
			return nil, fmt.Errorf("Parse Server option requestKeywordDenylist must be an array of objects.")
		}
		k := Keyword{Key: m["key"], Value: m["value"]}
		if k.Key == nil && k.Value == nil {
			return nil, fmt.Errorf("Parse Server option requestKeywordDenylist has an entry without key and value: %s.", raw)
		}
		for name, v := range m {
			if name != "key" && name != "value" {
				return nil, fmt.Errorf("Parse Server option requestKeywordDenylist has an entry with the unknown property %q.", name)
			}
			switch v := v.(type) {
			case string:
				if _, err := regexp.Compile(v); err != nil {
					return nil, fmt.Errorf("Parse Server option requestKeywordDenylist contains an invalid regex pattern: %q.", v)
				}
			case map[string]any, []any:
				return nil, fmt.Errorf("Parse Server option requestKeywordDenylist has an entry whose %s is not a plain value.", name)
			}
		}
		var text bytes.Buffer
		if err := json.Compact(&text, raw); err != nil {
			return nil, err
		}
		k.Text = text.String()
		list = append(list, k)
	}
	return list, nil
}
