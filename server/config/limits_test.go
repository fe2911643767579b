package config_test

import (
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/server/config"
)

// TestLimitRefusals: what is wrong with an option that limits requests stops the server.
func TestLimitRefusals(t *testing.T) {
	cases := []struct{ option, value, want string }{
		{"requestKeywordDenylist", `{}`, "Parse Server option requestKeywordDenylist must be an array."},
		{"requestKeywordDenylist", `"a"`, "Parse Server option requestKeywordDenylist must be an array."},
		{"requestKeywordDenylist", `["a"]`, "requestKeywordDenylist must be an array of objects."},
		{"requestKeywordDenylist", `[null]`, "requestKeywordDenylist must be an array of objects."},
		{"requestKeywordDenylist", `[{}]`, "has an entry without key and value: {}."},
		{"requestKeywordDenylist", `[{"key":"("}]`, `contains an invalid regex pattern: "(".`},
		{"requestKeywordDenylist", `[{"key":"a","values":1}]`, `has an entry with the unknown property "values".`},
		{"requestKeywordDenylist", `[{"value":{}}]`, "has an entry whose value is not a plain value."},
		{"requestComplexity", `[]`, "requestComplexity must be an object."},
		{"requestComplexity", `"many"`, "requestComplexity must be an object."},
		{"requestComplexity", `{"depth":1}`, "requestComplexity contains unknown property 'depth'."},
		{"requestComplexity", `{"queryDepth":0}`, "requestComplexity.queryDepth must be a positive integer or -1 to disable."},
		{"requestComplexity", `{"includeCount":1.5}`, "requestComplexity.includeCount must be a positive integer or -1 to disable."},
		{"requestComplexity", `{"graphQLDepth":"2"}`, "requestComplexity.graphQLDepth must be a positive integer or -1 to disable."},
		{"requestComplexity", `{"allowRegex":1}`, "requestComplexity.allowRegex must be a boolean."},
	}
	for _, tc := range cases {
		t.Run(tc.option+" "+tc.value, func(t *testing.T) {
			_, err := config.Load([]string{write(t, "c.json", `{"`+tc.option+`":`+tc.value+`}`)}, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
		})
	}
}
