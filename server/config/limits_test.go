package config_test

import (
	"strconv"
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
		{"rateLimit", `5`, "rateLimit must be an array or object"},
		{"rateLimit", `["x"]`, "rateLimit must be an array of objects"},
		{"rateLimit", `{}`, "rateLimit.requestPath must be defined"},
		{"rateLimit", `{"requestPath":"/a"}`, "rateLimit.requestTimeWindow must be defined"},
		{"rateLimit", `{"requestPath":"/a","requestTimeWindow":1}`, "rateLimit.requestCount must be defined"},
		{"rateLimit", rate(`"requestPath":1`), "rateLimit.requestPath must be a string"},
		{"rateLimit", rate(`"requestPath":"/a/*"`), `rateLimit.requestPath "/a/*" is not valid: missing parameter name at 4`},
		{"rateLimit", rate(`"requestPath":"/a?"`), `rateLimit.requestPath "/a?" is not valid: unexpected ? at 2`},
		{"rateLimit", rate(`"requestPath":"/a{b"`), `is not valid: unexpected end, expected }`},
		{"rateLimit", rate(`"requestPath":"/a}"`), `is not valid: unexpected } at 2`},
		{"rateLimit", rate(`"requestPath":"a"`), `is not valid: a path must begin with a slash`},
		{"rateLimit", rate(`"requestTimeWindow":"1"`), "rateLimit.requestTimeWindow must be a number"},
		{"rateLimit", rate(`"requestTimeWindow":0`), "rateLimit.requestTimeWindow must be between"},
		{"rateLimit", rate(`"requestCount":"1"`), "rateLimit.requestCount must be a number"},
		{"rateLimit", rate(`"requestCount":-1`), "rateLimit.requestCount must be a whole number"},
		{"rateLimit", rate(`"includeInternalRequests":1`), "rateLimit.includeInternalRequests must be a boolean"},
		{"rateLimit", rate(`"includeMasterKey":"x"`), "rateLimit.includeMasterKey must be a boolean"},
		{"rateLimit", rate(`"errorResponseMessage":1`), "rateLimit.errorResponseMessage must be a string"},
		{"rateLimit", rate(`"requestMethods":1`), "rateLimit.requestMethods must be a string or an array of strings"},
		{"rateLimit", rate(`"requestMethods":[1]`), "rateLimit.requestMethods must be an array of strings"},
		{"rateLimit", rate(`"requestMethods":"("`), "rateLimit.requestMethods contains an invalid regex pattern"},
		{"rateLimit", rate(`"zone":"city"`), "rateLimit.zone must be one of global, session, user, or ip"},
		{"rateLimit", rate(`"redisUrl":"x"`), "rateLimit.redisUrl must have a URL"},
		{"rateLimit", rate(`"requestpath":"/a"`), `Invalid rate limit option "requestpath"`},
		{"idempotencyOptions", `[]`, "idempotencyOptions must be an object"},
		{"idempotencyOptions", `{"ttl":0}`, "idempotency TTL value must be greater than 0 seconds"},
		{"idempotencyOptions", `{"ttl":"a"}`, "idempotency TTL value must be a number"},
		{"idempotencyOptions", `{"paths":"a"}`, "idempotency paths must be of an array of strings"},
		{"idempotencyOptions", `{"paths":[1]}`, "idempotency paths must be of an array of strings"},
		{"idempotencyOptions", `{"paths":["("]}`, `idempotency paths contain an invalid regex pattern: "("`},
		{"idempotencyOptions", `{"replay":1}`, "idempotency replay must be a boolean"},
		{"idempotencyOptions", `{"path":[]}`, `Invalid idempotency option "path"`},
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

// rate is an entry of rateLimit with one more, or another, member.
func rate(member string) string {
	return `[{"requestPath":"/x","requestTimeWindow":1000,"requestCount":1,` + member + `}]`
}

func TestRatePaths(t *testing.T) {
	for pattern, paths := range map[string]string{
		"/login":             "+/login +/LOGIN +/login/ -/login/x -/loginAs",
		"/functions/:name":   "+/functions/f -/functions/f/g -/functions/ -/functions",
		"/classes/*any":      "+/classes/A +/classes/A/x -/classes/",
		"/classes/A{/*id}":   "+/classes/A +/classes/A/ +/classes/A/x +/classes/a/x/y -/classes/AB",
		"/classes/A{/:id}":   "+/classes/A +/classes/A/x -/classes/A/x/y",
		"/*all":              "+/login +/classes/A/x",
		`/a\:b/:"some name"`: "+/a:b/c -/a:b -/ab/c",
		"/a.b":               "+/a.b -/axb",
	} {
		c := config.Default()
		c.RateLimit = []byte(`{"requestTimeWindow":1,"requestCount":1,"requestPath":` + strconv.Quote(pattern) + `}`)
		rules, err := c.RateLimits()
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		for p := range strings.FieldsSeq(paths) {
			if want := p[0] == '+'; rules[0].Path.MatchString(p[1:]) != want {
				t.Errorf("%s on %s: want %v", pattern, p[1:], want)
			}
		}
	}
}
