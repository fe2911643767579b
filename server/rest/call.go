package rest

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

// reply is the outcome of a handler: a status, a Location, and a JSON body
// that lives in the call's buffer.
type reply struct {
	status   int // 0: 200
	location string
	json     []byte
	// pieces, if not nil, is the body in place of json where that is large. It
	// gives the same each time; a piece is good until the next.
	pieces iter.Seq[[]byte]
}

// handlerFunc is a handler of the route table.
type handlerFunc func(ctx context.Context, c *call) (reply, error)

// call is one request, or one item of a batch. It is the http.ResponseWriter
// that gin gets.
type call struct {
	http.ResponseWriter
	h   *Handler
	req *http.Request
	// objs is the object service in force: within a batch transaction, that of the transaction.
	objs      *objects.Service
	principal *access.Principal
	// body is never nil once the call is open. Where the verb came from _method, override is true.
	body     *parse.Map
	override bool
	context  *parse.Map
	// token is the session token as it came; only /sessions/me resolves it by itself.
	token  string
	params [2]string
	nested bool // an item of a batch
	inTx   bool
	// late is what an item of a transaction has written: its answer is complete
	// with the commit.
	late  *objects.Saved
	wrote bool
	// at and status are what the request is counted as.
	at, status int
	bufs       *buffers
	share      share // of the memory for large bodies
	answer     answer
	part       part // of the answer of the batch that the call is an item of
	pass       fair.Pass
	addr       string // see ip
}

// buffers are reused from call to call.
type buffers struct{ in, out []byte }

// maxPooled is the largest buffer that is kept: a few huge requests must not
// pin their memory for ever.
const maxPooled = 256 << 10

var bufferPool = sync.Pool{New: func() any {
	return &buffers{in: make([]byte, 0, 4<<10), out: make([]byte, 0, 4<<10)}
}}

func newCall(h *Handler, w http.ResponseWriter, r *http.Request) *call {
	return &call{ResponseWriter: w, h: h, req: r, objs: h.objs, bufs: bufferPool.Get().(*buffers)}
}

func (c *call) release() {
	c.free()
	b := c.bufs
	if b == nil {
		return
	}
	c.bufs = nil
	if cap(b.in) > maxPooled || cap(b.out) > maxPooled {
		return
	}
	b.in, b.out = b.in[:0], b.out[:0]
	bufferPool.Put(b)
}

// free gives back the pass and the memory that is counted.
func (c *call) free() {
	c.pass.Leave()
	c.pass = fair.Pass{}
	c.h.bodies.free(&c.share)
	c.h.o.Answers.free(&c.answer)
}

// rewrite returns the request with a normalised path; HEAD becomes GET on a
// copy, because net/http looks at the original's method to drop the body.
func (c *call) rewrite(path string) *http.Request {
	r := c.req
	if r.Method == http.MethodHead {
		clone := *r
		clone.Method = http.MethodGet
		r = &clone
	}
	if path != r.URL.Path {
		u := *r.URL
		if u.RawPath != "" {
			// Normalising touches the mount path and the first segment alone,
			// which carry no escapes that matter.
			if raw, ok := c.h.normalise(u.RawPath); ok {
				u.RawPath = raw
			}
		}
		u.Path = path
		clone := *r
		clone.URL = &u
		r = &clone
	}
	return r
}

// route returns the path below the mount path.
func (c *call) route() string { return strings.TrimPrefix(c.req.URL.Path, c.h.o.MountPath) }

// open reads the body and the credentials: steps 3 to 9 of reference 01 §1.1.
func (c *call) open() error {
	cr := c.headerCredentials()
	known := cr.appID != "" && equalSecret(cr.appID, c.h.o.Keys.AppID)
	if c.isMultipart() { // the function reads its body itself
		if c.body = (&parse.Map{}); !known {
			return errUnauthorized
		}
		if err := c.admit(); err != nil {
			return err
		}
		return c.identify(&cr)
	}
	body, err := c.readBody()
	if err != nil {
		return err
	}
	c.body = body
	if !known {
		if known, err = cr.fromBody(c); err != nil {
			return err
		}
	}
	body.Delete("_noBody")
	if c.req.Method == http.MethodPost {
		if m, ok := body.Get("_method"); ok {
			body.Delete("_method")
			if s, ok := m.(string); ok && s != "" {
				c.override = true
				clone := *c.req
				clone.Method = strings.ToUpper(s)
				c.req = &clone
			}
		}
	}
	if !known {
		return errUnauthorized
	}
	return c.identify(&cr)
}

// readBody decodes the request's body once; none is an empty map.
func (c *call) readBody() (*parse.Map, error) {
	r := c.req
	if r.Body == nil || r.Body == http.NoBody {
		return &parse.Map{}, c.admit()
	}
	if r.ContentLength > c.h.o.MaxBody {
		return nil, c.tooLarge()
	}
	limited := http.MaxBytesReader(c.ResponseWriter, r.Body, c.h.o.MaxBody)
	buf := c.bufs.in[:0]
	for {
		if len(buf) == cap(buf) {
			var err error
			if buf, err = c.growBody(buf); err != nil {
				return nil, err
			}
		}
		n, err := limited.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, c.tooLarge()
		}
		c.Header().Set("Connection", "close")
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, &statusError{http.StatusRequestTimeout, "request timeout"}
		}
		return nil, &statusError{http.StatusBadRequest, "request aborted"}
	}
	c.bufs.in = buf
	if err := c.admit(); err != nil {
		return nil, err
	}
	turn, err := c.h.bodies.decode(r.Context(), &c.share, buf, c.ip)
	if err != nil {
		return nil, err
	}
	defer turn.Leave()
	if ct := r.Header.Get("Content-Type"); strings.HasPrefix(ct, "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(buf))
		if err != nil {
			return nil, &statusError{http.StatusBadRequest, "malformed form body"}
		}
		m := &parse.Map{}
		for k, v := range inOrder(form) {
			m.Set(k, v[0])
		}
		return m, nil
	}
	if len(strings.TrimSpace(string(buf[:min(len(buf), 16)]))) == 0 && len(strings.TrimSpace(string(buf))) == 0 {
		return &parse.Map{}, nil
	}
	v, err := parse.Decode(buf, parse.DefaultLimits)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case *parse.Map:
		return v, nil
	case parse.Array: // read as keys 0, 1 …, which no field may be called
		m := &parse.Map{}
		for i, e := range v {
			m.Set(strconv.Itoa(i), e)
		}
		return m, nil
	}
	return nil, &statusError{http.StatusBadRequest, "the body must be a JSON object"}
}

// ip is the address of the client.
func (c *call) ip() string {
	if c.addr == "" {
		c.addr = c.h.o.ClientIP(c.req)
	}
	return c.addr
}

// admit waits until the request is let in, where more come than can be served.
// It does not hold up those that still send their bodies.
func (c *call) admit() error {
	from := ""
	if c.h.o.Gate.Limiting() {
		from = access.ClientNetwork(c.ip())
	}
	pass, err := c.h.o.Gate.Enter(c.req.Context(), from)
	if err != nil {
		return errCrowded
	}
	c.pass = pass
	return nil
}

var errCrowded = &parse.Error{
	Code: parse.RequestLimitExceeded, Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
	Message: "Too many requests are being served at the moment. Try again soon.",
}

// tooLarge refuses a body without reading it.
func (c *call) tooLarge() error {
	c.Header().Set("Connection", "close")
	return &statusError{http.StatusRequestEntityTooLarge, "request entity too large"}
}

// growBody makes room for more of a body. What a client says of its length is
// believed only as it keeps its word: a promise costs it nothing.
func (c *call) growBody(buf []byte) ([]byte, error) {
	size := 2 * cap(buf)
	if n := c.req.ContentLength; n >= 0 && int64(size) > n { // one more byte finds the end
		size = int(max(n+1, int64(len(buf))+1))
	}
	if err := c.h.bodies.grow(&c.share, size); err != nil {
		c.Header().Set("Connection", "close")
		return nil, err
	}
	return append(make([]byte, 0, size), buf...), nil
}

// credentials are what a request says about its sender.
type credentials struct {
	appID, master, maintenance, token, installation string
	client                                          [4]string
	masterInHeader                                  bool
}

func (c *call) headerCredentials() credentials {
	h := c.req.Header
	cr := credentials{
		appID:        first(h, "X-Parse-Application-Id"),
		master:       first(h, "X-Parse-Master-Key"),
		maintenance:  first(h, "X-Parse-Maintenance-Key"),
		token:        first(h, "X-Parse-Session-Token"),
		installation: first(h, "X-Parse-Installation-Id"),
		client: [4]string{
			first(h, "X-Parse-Rest-Api-Key"), first(h, "X-Parse-Client-Key"),
			first(h, "X-Parse-Javascript-Key"), first(h, "X-Parse-Windows-Key"),
		},
	}
	if basic, ok := strings.CutPrefix(first(h, "Authorization"), "Basic "); ok {
		cr.basic(basic, c.h.o.Keys.AppID)
	}
	cr.masterInHeader = cr.master != ""
	return cr
}

// first reads a header by its canonical name.
func first(h http.Header, canonical string) string {
	if v := h[canonical]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// basic reads appId:masterKey or appId:javascript-key=KEY (reference 01 §2.4).
func (cr *credentials) basic(encoded, appID string) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return
	}
	id, key, ok := strings.Cut(string(raw), ":")
	if !ok || strings.Contains(key, ":") || !equalSecret(id, appID) {
		return
	}
	cr.appID = id
	if js, ok := strings.CutPrefix(key, "javascript-key="); ok {
		cr.client[2] = js
		return
	}
	cr.master = key
}

// fromBody takes the credentials out of the body (reference 01 §2.2). It
// reports whether the body names this application.
func (cr *credentials) fromBody(c *call) (bool, error) {
	b := c.body
	id, ok := b.Get("_ApplicationId")
	if !ok {
		return false, nil
	}
	if s, ok := id.(string); !ok || !equalSecret(s, c.h.o.Keys.AppID) {
		return false, errUnauthorized
	}
	if cr.master != "" && !equalSecret(cr.master, c.h.o.Keys.Master) {
		return false, errUnauthorized
	}
	var js string
	for key, into := range map[string]*string{
		"_JavaScriptKey": &js, "_InstallationId": &cr.installation, "_SessionToken": &cr.token,
		"_MasterKey": &cr.master, "_ContentType": nil,
	} {
		v, ok := b.Get(key)
		if !ok {
			continue
		}
		b.Delete(key)
		s, ok := v.(string)
		if !ok && v != nil {
			return false, errUnauthorized
		}
		if into != nil && (s != "" || key != "_MasterKey") {
			*into = s
		}
	}
	cr.client[2] = js
	for _, key := range [...]string{"_ApplicationId", "_ClientVersion", "_RevocableSession"} {
		b.Delete(key)
	}
	if v, ok := b.Get("_context"); ok {
		b.Delete("_context")
		m, err := contextFrom(v)
		if err != nil {
			return false, err
		}
		c.context = m
	}
	return true, nil
}

func contextFrom(v parse.Value) (*parse.Map, error) {
	if s, ok := v.(string); ok {
		m, err := parse.DecodeMap([]byte(s), parse.DefaultLimits)
		if err != nil {
			return nil, parse.Errorf(parse.InvalidJSON, "Invalid object for context.")
		}
		return m, nil
	}
	m, ok := v.(*parse.Map)
	if !ok && v != nil {
		return nil, parse.Errorf(parse.InvalidJSON, "Invalid object for context.")
	}
	return m, nil
}

// identify makes the principal: keys, addresses, client key, session (reference 01 §2.3 to §2.6).
func (c *call) identify(cr *credentials) error {
	k := &c.h.o.Keys
	ip := c.ip()
	if s := first(c.req.Header, "X-Parse-Cloud-Context"); s != "" && c.context == nil {
		m, err := contextFrom(s)
		if err != nil {
			return err
		}
		c.context = m
	}
	special := func(kind access.Kind, ips IPList) error {
		if !ips.Allows(ip) {
			return errUnauthorized
		}
		inst := cr.installation
		if inst == "" && cr.masterInHeader {
			inst = "cloud"
		}
		c.principal = access.New(access.Principal{Kind: kind, InstallationID: inst, IP: ip})
		return c.limitRate(sender{kind: kind, installed: inst, ip: ip})
	}
	switch {
	case k.Maintenance != "" && equalSecret(cr.maintenance, k.Maintenance):
		return special(access.Maintenance, c.h.o.MaintenanceIPs)
	case k.Master != "" && equalSecret(cr.master, k.Master):
		return special(access.Master, c.h.o.MasterIPs)
	case k.ReadOnlyMaster != "" && equalSecret(cr.master, k.ReadOnlyMaster):
		return special(access.ReadOnlyMaster, c.h.o.ReadOnlyIPs)
	}
	if len(k.Client) > 0 && !matchesAny(k.Client, cr.client[:]) {
		return errUnauthorized
	}
	if err := c.limitRate(sender{token: cr.token, installed: cr.installation, ip: ip}); err != nil {
		return err
	}
	c.token = cr.token
	if route := c.route(); cr.token == "" || route == "/login" || route == "/sessions/me" {
		c.principal = access.New(access.Principal{InstallationID: cr.installation, IP: ip})
		return nil
	}
	resolve := c.h.auth.Principal
	if c.route() == "/upgradeToRevocableSession" && auth.IsLegacy(cr.token) {
		resolve = c.h.auth.Legacy
	}
	p, err := resolve(c.req.Context(), cr.token, cr.installation, ip)
	if err != nil {
		return err
	}
	c.principal = p
	return nil
}

// equalSecret compares in a time that does not depend on where they differ.
func equalSecret(got, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

func matchesAny(want, got []string) bool {
	for _, w := range want {
		for _, g := range got {
			if equalSecret(g, w) {
				return true
			}
		}
	}
	return false
}

// statusError is an error outside of the Parse codes: {"error": text} with a status of its own.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

var (
	errUnauthorized = &statusError{http.StatusForbidden, "unauthorized"}
	errInternal     = errors.New("internal error")
)

// masterOnly refuses everybody but the master keys.
func (c *call) masterOnly(readOnlyToo bool) error {
	if k := c.principal.Kind; k == access.Master || readOnlyToo && k == access.ReadOnlyMaster {
		return nil
	}
	if c.h.o.Sanitize {
		return &statusError{http.StatusForbidden, "Permission denied"}
	}
	return &statusError{http.StatusForbidden, "unauthorized: master key is required"}
}

// finish writes the outcome of a handler.
func (c *call) finish(r reply, err error) {
	if err != nil {
		c.fail(err)
		return
	}
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.pieces != nil {
		c.writePieces(r.status, r.location, r.pieces)
		return
	}
	c.writeJSON(r.status, r.location, r.json)
}

var jsonType = []string{"application/json; charset=utf-8"}

var etagSeed = maphash.MakeSeed()

// retrySoon is the header Retry-After of answers with status 503, in seconds.
var retrySoon = []string{"1"}

func (c *call) writeJSON(status int, location string, body []byte) {
	n := -1
	if body != nil {
		n = len(body)
	}
	tag := ""
	if c.tagged(status) {
		tag = etag(n, maphash.Bytes(etagSeed, body))
	}
	if c.begin(status, location, n, tag) {
		c.write(body)
	}
}

// writePieces is writeJSON for a body that is encoded twice, for its length and
// to be sent, so that it is never there as a whole.
func (c *call) writePieces(status int, location string, pieces iter.Seq[[]byte]) {
	var sum maphash.Hash
	sum.SetSeed(etagSeed)
	n := 0
	for p := range pieces {
		n += len(p)
		_, _ = sum.Write(p) // never fails
	}
	tag := ""
	if c.tagged(status) {
		tag = etag(n, sum.Sum64())
	}
	if !c.begin(status, location, n, tag) {
		return
	}
	for p := range pieces {
		if !c.write(p) {
			return
		}
	}
}

// tagged reports whether an answer has an entity tag.
func (c *call) tagged(status int) bool {
	return status == http.StatusOK && c.req.Method == http.MethodGet && !c.override
}

func etag(n int, sum uint64) string { return fmt.Sprintf(`W/"%x-%x"`, n, sum) }

// begin writes the head of an answer of n bytes, -1 if it has no body, and
// reports whether the body is to follow.
func (c *call) begin(status int, location string, n int, tag string) bool {
	h := c.Header()
	h["Content-Type"] = jsonType
	if location != "" {
		h.Set("Location", location)
	}
	if tag != "" {
		h["Etag"] = []string{tag}
		if inm := first(c.req.Header, "If-None-Match"); inm != "" && strings.Contains(inm, tag[2:]) {
			h.Del("Content-Type")
			status, n = http.StatusNotModified, -1
		}
	}
	if n >= 0 {
		h["Content-Length"] = []string{strconv.Itoa(n)}
	}
	if status == http.StatusServiceUnavailable && h["Retry-After"] == nil {
		h["Retry-After"] = retrySoon
	}
	c.h.o.Answers.writes(&c.answer, c.ResponseWriter)
	c.wrote, c.status = true, status
	c.extend()
	c.ResponseWriter.WriteHeader(status)
	return n >= 0
}

// write sends a part of a body and reports whether the client is still there. One
// that has gone cannot be told; net/http closes the connection.
func (c *call) write(body []byte) bool {
	for len(body) > 0 {
		part := body[:min(len(body), chunkBytes)]
		if _, err := c.ResponseWriter.Write(part); err != nil {
			return false
		}
		if c.answer.took > 0 {
			c.answer.sent.Add(int64(len(part)))
		}
		if body = body[len(part):]; len(part) == chunkBytes {
			c.extend()
		}
		if c.answer.cut.Load() { // looked at after the time was extended: see cutOne
			return false
		}
	}
	return true
}

// chunkBytes is how much of an answer must be read in the time for an answer:
// who reads nothing does not hold a large one for longer.
const chunkBytes = 64 << 10

// extend gives the next part of the answer the time to be read.
func (c *call) extend() {
	if f := c.h.o.Extend; f != nil {
		f(c.ResponseWriter)
	}
}

// WriteHeader is for gin, which completes an answer that it has not seen
// written, and for what is not JSON.
func (c *call) WriteHeader(status int) {
	if !c.wrote {
		c.wrote, c.status = true, status
		c.ResponseWriter.WriteHeader(status)
	}
}

// fail writes an error.
func (c *call) fail(err error) {
	c.h.o.Answers.free(&c.answer) // nobody is to hold it by not reading this
	var pe *parse.Error
	if errors.As(err, &pe) && pe.RetryAfter > 0 {
		c.Header()["Retry-After"] = []string{strconv.FormatInt(seconds(pe.RetryAfter.Milliseconds()), 10)}
	}
	status, body := c.h.errorBody(c.req.Context(), c.req, err, c.bufs.out[:0])
	c.writeJSON(status, "", body)
}

// errorBody is the one place where errors become answers (reference 01 §3).
func (h *Handler) errorBody(ctx context.Context, r *http.Request, err error, dst []byte) (int, []byte) {
	var (
		pe *parse.Error
		se *statusError
		sx *parse.SyntaxError
	)
	switch {
	case errors.As(err, &pe):
		text := pe.Message
		if pe.Denied && h.o.Sanitize {
			h.o.Log.DebugContext(ctx, "refused", "method", r.Method, "path", r.URL.Path, "error", text)
			text = "Permission denied"
		}
		if pe.Err != nil {
			level := slog.LevelWarn
			if c := pe.Code; c == parse.InvalidJSON || c == parse.InvalidQuery || c == parse.DuplicateValue {
				level = slog.LevelDebug // what a client can cause at will must not fill the log
			}
			h.o.Log.Log(ctx, level, "request failed", "method", r.Method, "path", r.URL.Path, "error", pe.Message, "cause", pe.Err)
		}
		status := pe.Status
		switch {
		case status != 0:
		case pe.Code == parse.InternalServerError:
			status = http.StatusInternalServerError
		case pe.Code == parse.ObjectNotFound:
			status = http.StatusNotFound
		default:
			status = http.StatusBadRequest
		}
		dst = append(dst, `{"code":`...)
		dst = strconv.AppendInt(dst, int64(pe.Code), 10)
		dst = append(dst, `,"error":`...)
		dst = parse.AppendJSON(dst, text)
		return status, append(dst, '}')
	case errors.As(err, &se):
		dst = append(dst, `{"error":`...)
		dst = parse.AppendJSON(dst, se.text)
		return se.status, append(dst, '}')
	case errors.As(err, &sx):
		dst = append(dst, `{"error":`...)
		dst = parse.AppendJSON(dst, sx.Message)
		return http.StatusBadRequest, append(dst, '}')
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		// The client has gone; nobody reads this.
	default:
		h.o.Log.ErrorContext(ctx, "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	return http.StatusInternalServerError, append(dst, `{"code":1,"message":"Internal server error."}`...)
}

// notFound answers a path or verb that does not exist. Parse Server sends a
// page; JSON is what its SDKs can read (reference 04 §12).
func (c *call) notFound(w http.ResponseWriter) {
	h := w.Header()
	h["Content-Type"] = jsonType
	w.WriteHeader(http.StatusNotFound)
	body := parse.AppendJSON(append(c.bufs.out[:0], `{"error":`...), "Cannot "+c.req.Method+" "+c.req.URL.Path)
	_, _ = w.Write(append(body, '}'))
}
