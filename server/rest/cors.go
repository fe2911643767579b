package rest

import (
	"net/http"
	"slices"
	"strings"
)

const (
	corsMethods = "GET,PUT,POST,DELETE,OPTIONS"
	corsExpose  = "X-Parse-Job-Status-Id, X-Parse-Push-Status-Id"
	corsAllow   = "X-Parse-Master-Key, X-Parse-REST-API-Key, X-Parse-Javascript-Key, X-Parse-Application-Id, " +
		"X-Parse-Client-Version, X-Parse-Session-Token, X-Requested-With, X-Parse-Revocable-Session, " +
		"X-Parse-Request-Id, Content-Type, Pragma, Cache-Control"
)

// corsHeaders holds the header values of reference 01 §4.1, made once.
type corsHeaders struct {
	origins                        []string
	first, methods, allow, exposed []string
}

func newCORS(origins, headers []string) corsHeaders {
	if len(origins) == 0 {
		origins = []string{"*"}
	}
	allow := corsAllow
	if len(headers) > 0 {
		allow += ", " + strings.Join(headers, ", ")
	}
	return corsHeaders{
		origins: origins,
		first:   origins[:1],
		methods: []string{corsMethods},
		allow:   []string{allow},
		exposed: []string{corsExpose},
	}
}

// set writes the headers. Keys are canonical and values shared, so that it allocates nothing.
func (c *corsHeaders) set(h http.Header, r *http.Request) {
	origin := c.first
	if len(c.origins) > 1 {
		if o := r.Header.Get("Origin"); slices.Contains(c.origins, o) {
			origin = []string{o}
		}
		h["Vary"] = varyOrigin
	}
	h["Access-Control-Allow-Origin"] = origin
	h["Access-Control-Allow-Methods"] = c.methods
	h["Access-Control-Allow-Headers"] = c.allow
	h["Access-Control-Expose-Headers"] = c.exposed
}

var varyOrigin = []string{"Origin"}
