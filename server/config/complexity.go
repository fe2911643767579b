package config

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Complexity is the option requestComplexity; -1 is no limit.
type Complexity struct {
	IncludeDepth, IncludeCount   int
	QueryDepth                   int
	SubqueryDepth, SubqueryLimit int
	BatchRequestLimit            int
	AllowRegex                   bool
}

// Complexity reads requestComplexity. The limits of GraphQL are checked and
// otherwise passed over: it is not served.
func (c *Config) Complexity() (Complexity, error) {
	out := Complexity{
		IncludeDepth: -1, IncludeCount: -1, QueryDepth: -1, SubqueryDepth: -1, SubqueryLimit: -1, BatchRequestLimit: -1, AllowRegex: true,
	}
	m, err := object(c.RequestComplexity)
	if err != nil {
		return out, fmt.Errorf("requestComplexity must be an object.")
	}
	var graphQL int
	into := map[string]*int{
		"includeDepth": &out.IncludeDepth, "includeCount": &out.IncludeCount, "queryDepth": &out.QueryDepth,
		"subqueryDepth": &out.SubqueryDepth, "subqueryLimit": &out.SubqueryLimit,
		"batchRequestLimit": &out.BatchRequestLimit, "graphQLDepth": &graphQL, "graphQLFields": &graphQL,
	}
	for _, name := range sorted(m) {
		v := m[name]
		if name == "allowRegex" {
			allow, ok := v.(bool)
			if !ok {
				return out, fmt.Errorf("requestComplexity.allowRegex must be a boolean.")
			}
			out.AllowRegex = allow
			continue
		}
		p, ok := into[name]
		if !ok {
			return out, fmt.Errorf("requestComplexity contains unknown property '%s'.", name)
		}
		n, ok := v.(float64)
		if !ok || n != float64(int(n)) || n < 1 && n != -1 {
			return out, fmt.Errorf("requestComplexity.%s must be a positive integer or -1 to disable.", name)
		}
		*p = int(n)
	}
	return out, nil
}

// object reads a JSON object; nothing and null are an empty one.
func object(raw json.RawMessage) (map[string]any, error) {
	var m map[string]any
	if len(raw) == 0 {
		return nil, nil
	}
	err := json.Unmarshal(raw, &m)
	return m, err
}

// sorted returns the keys of m in order, so that the first problem told is
// the same at each start.
func sorted(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
