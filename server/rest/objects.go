package rest

import (
	"context"
	"errors"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

const userClass = schema.UserClass

// create is POST /classes/:className (reference 01 §5.2).
func create(ctx context.Context, c *call) (reply, error) {
	class := c.params[0]
	if class == userClass && !c.inTx {
		return signUp(ctx, c)
	}
	saved, err := c.objs.Create(ctx, c.principal, &objects.Write{Class: class, Body: c.body})
	if err != nil {
		return reply{}, err
	}
	return c.saved(class, saved), nil
}

// saved answers a write: 201 with a Location for a new object.
func (c *call) saved(class string, s *objects.Saved) reply {
	if c.inTx {
		c.late = s
	}
	r := reply{json: parse.AppendJSON(c.bufs.out[:0], s.Response)}
	c.bufs.out = r.json
	if s.Created {
		r.status = http.StatusCreated
		if !c.nested {
			path := "/classes/" + class + "/"
			if class == userClass {
				path = "/users/"
			}
			r.location = c.baseURL() + path + s.Object.ID
		}
	}
	return r
}

// baseURL is the URL of the mount path as the client sees it.
func (c *call) baseURL() string {
	if u := c.h.o.PublicURL; u != "" {
		return u
	}
	scheme := "http://"
	if c.req.TLS != nil {
		scheme = "https://"
	}
	return scheme + c.req.Host + c.h.o.MountPath
}

// update is PUT /classes/:className/:objectId (reference 01 §5.4).
func update(ctx context.Context, c *call) (reply, error) {
	class := c.params[0]
	if class == userClass {
		c.body.Delete("sessionToken") // never a field; clients send back what they have read
	}
	saved, err := c.objs.Update(ctx, c.principal, &objects.Write{Class: class, ID: c.params[1], Body: c.body})
	if err != nil {
		return reply{}, absent(class, foreignUser(class, c.params[1], c.principal, err))
	}
	return c.saved(class, saved), nil
}

// absent gives the update of an installation that is not there the text that
// SDKs look for: they then save it anew (reference 03 §16).
func absent(class string, err error) error {
	if class == schema.InstallationClass && parse.CodeOf(err) == parse.ObjectNotFound {
		return parse.Errorf(parse.ObjectNotFound, "Object not found for update.")
	}
	return err
}

// remove is DELETE /classes/:className/:objectId (reference 01 §5.5).
func remove(ctx context.Context, c *call) (reply, error) {
	class := c.params[0]
	if class == userClass && c.principal.UserID == "" && !c.principal.Bypass() {
		return reply{}, parse.Errorf(parse.SessionMissing, "Insufficient auth to delete user")
	}
	if err := c.objs.Delete(ctx, c.principal, class, c.params[1]); err != nil {
		return reply{}, foreignUser(class, c.params[1], c.principal, err)
	}
	return reply{json: emptyObject}, nil
}

var emptyObject = []byte("{}")

// foreignUser turns "not found" for a write to somebody else's _User into 206
// (reference 03 §4). A provider of authData may refuse with the same code, but
// says why.
func foreignUser(class, id string, p *access.Principal, err error) error {
	var pe *parse.Error
	if class == userClass && !p.Bypass() && errors.As(err, &pe) && *pe == *parse.ErrNotFound() {
		if p.UserID == "" {
			return parse.Denyf(parse.SessionMissing, "Cannot modify user %s.", id)
		}
		return parse.Denyf(parse.SessionMissing, "Insufficient auth.")
	}
	return err
}

// getParams are the only parameters that a get takes (reference 01 §5.3).
var getParams = map[string]bool{
	"keys": true, "include": true, "excludeKeys": true,
	"readPreference": true, "includeReadPreference": true, "subqueryReadPreference": true,
}

// get is GET /classes/:className/:objectId (reference 01 §5.3).
func get(ctx context.Context, c *call) (reply, error) {
	class, id := c.params[0], c.params[1]
	params, err := c.queryParams()
	if err != nil {
		return reply{}, err
	}
	var q *query.Query
	if params.Len() > 0 {
		for k := range params.All() {
			if !getParams[k] {
				return reply{}, parse.Errorf(parse.InvalidQuery, "Improper encode of parameter")
			}
		}
		if q, err = c.parseQuery(class, params); err != nil {
			return reply{}, err
		}
	}
	var o *parse.Object
	err = c.withRoom(ctx, func(m storage.Meter) (err error) {
		o, err = c.objs.GetWithin(ctx, c.principal, class, id, q, m)
		return weighed(m, o, err)
	})
	if err != nil {
		return reply{}, err
	}
	if class == userClass && id == c.principal.UserID && c.principal.SessionToken != "" {
		o = o.Clone()
		o.Set("sessionToken", c.principal.SessionToken)
	}
	return c.object(o), nil
}

// weighed weighs an object that will be in the answer a second time, as text.
func weighed(m storage.Meter, o *parse.Object, err error) error {
	if err != nil {
		return err
	}
	if n := o.Size(); n > countedAnswer {
		return m.Weigh(n)
	}
	return nil
}

// object answers one object.
func (c *call) object(o *parse.Object) reply {
	c.bufs.out = o.AppendJSON(c.bufs.out[:0])
	return reply{json: c.bufs.out}
}

// find is GET /classes/:className (reference 01 §8).
func find(ctx context.Context, c *call) (reply, error) {
	params, err := c.queryParams()
	if err != nil {
		return reply{}, err
	}
	q, err := c.parseQuery(c.params[0], params)
	if err != nil {
		return reply{}, err
	}
	var found *objects.Found
	err = c.withRoom(ctx, func(m storage.Meter) (err error) {
		found, err = c.objs.FindWithin(ctx, c.principal, c.params[0], q, m)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	if found.Plan == nil && c.large() {
		return reply{pieces: resultPieces(found)}, nil
	}
	out := append(c.bufs.out[:0], `{"results":`...)
	if found.Plan != nil {
		out = parse.AppendJSON(out, found.Plan)
	} else {
		out = appendResults(out, found)
	}
	c.bufs.out = appendEnd(out, found)
	return reply{json: c.bufs.out}, nil
}

func resultPieces(found *objects.Found) iter.Seq[[]byte] {
	return inPieces(len(found.Objects)+1, func(out []byte, i int) []byte {
		if i == 0 {
			out = append(out, `{"results":[`...)
		}
		if i == len(found.Objects) {
			return appendEnd(append(out, ']'), found)
		}
		return appendResult(out, found, i)
	})
}

// inPieces gives n parts, as appendPart appends them, in pieces of about chunkBytes.
func inPieces(n int, appendPart func(out []byte, i int) []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		out := make([]byte, 0, 2*chunkBytes)
		for i := range n {
			if out = appendPart(out, i); len(out) >= chunkBytes {
				if !yield(out) {
					return
				}
				out = out[:0]
			}
		}
		if len(out) > 0 {
			yield(out)
		}
	}
}

func appendResults(out []byte, found *objects.Found) []byte {
	out = append(out, '[')
	for i := range found.Objects {
		out = appendResult(out, found, i)
	}
	return append(out, ']')
}

func appendResult(out []byte, found *objects.Found, i int) []byte {
	if i > 0 {
		out = append(out, ',')
	}
	start := len(out)
	out = found.Objects[i].AppendJSON(out)
	// A redirected query tells the class of each result.
	if found.ClassName != "" && len(out)-start > 2 {
		out = append(out[:len(out)-1], `,"className":`...)
		out = append(parse.AppendJSON(out, found.ClassName), '}')
	}
	return out
}

// appendEnd appends what a find answers behind its results.
func appendEnd(out []byte, found *objects.Found) []byte {
	if found.HasCount {
		out = append(out, `,"count":`...)
		out = strconv.AppendInt(out, found.Count, 10)
	}
	if found.Cursor != "" {
		out = append(append(append(out, `,"cursor":"`...), found.Cursor...), '"') // base64
	}
	return append(out, '}')
}

func (c *call) scope() query.Scope {
	k := c.principal.Kind
	return query.Scope{Master: k == access.Master || k == access.ReadOnlyMaster, Maintenance: k == access.Maintenance, Explain: c.h.o.PublicExplain}
}

// queryParams merges the body and the URL parameters, of which the latter win
// (reference 01 §1.5).
func (c *call) queryParams() (*parse.Map, error) {
	if c.nested || c.req.URL.RawQuery == "" {
		return c.body, nil
	}
	values, err := url.ParseQuery(c.req.URL.RawQuery)
	if err != nil {
		return nil, &statusError{http.StatusBadRequest, "malformed query string"}
	}
	m := c.body.Clone()
	var bracketed []string
	for k, list := range inOrder(values) {
		if name, path, ok := strings.Cut(k, "["); ok && name != "" && strings.HasSuffix(path, "]") {
			bracketed = append(bracketed, k)
			continue
		}
		m.Set(k, urlValue(list[0]))
	}
	if bracketed != nil {
		tree, err := brackets(bracketed, values)
		if err != nil {
			return nil, err
		}
		for k, v := range tree.All() {
			m.Set(k, v)
		}
	}
	return m, nil
}

// inOrder goes through parameters by name, so that of several mistakes the same
// one is told each time.
func inOrder(values url.Values) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for _, k := range slices.Sorted(maps.Keys(values)) {
			if !yield(k, values[k]) {
				return
			}
		}
	}
}

// urlValue is the JSON in a URL parameter, or else the text itself.
func urlValue(s string) parse.Value {
	if s == "" {
		return s
	}
	// Most parameters are plain words: only what can be JSON is tried.
	switch ch := s[0]; {
	case ch == '{', ch == '[', ch == '"', ch == '-', ch >= '0' && ch <= '9', s == "true", s == "false", s == "null":
		if v, err := parse.Decode([]byte(s), parse.DefaultLimits); err == nil {
			return v
		}
	}
	return s
}
