// Package scenario runs tables of requests against a whole pargo server, on
// every database that is at hand. A scenario says what a client sends and what
// it must get back; bodies are compared as JSON.
package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// Keys of every server under test.
const (
	AppID     = "app"
	MasterKey = "master"
)

// Step is one request and what is expected of it. In Path, Body and JSON,
// {{name}} stands for a variable saved by an earlier step.
type Step struct {
	Name string
	// Method and Path, below the mount path; "GET" if empty.
	Method, Path string
	// Query are URL parameters.
	Query map[string]string
	// Body is sent as it stands.
	Body string
	// As is "" for a client without a user, "master", or the name of a user
	// that an earlier step saved as <name>.token.
	As     string
	Header map[string]string
	// TypedJSON, if not "", is JSON for such a database.
	TypedJSON string
	// Untyped steps are about values that a database with columns of one type
	// does not keep as they are (docs/storage.md), and left out on such a one.
	Untyped bool
	// Status is the expected status; 0: any below 300.
	Status int
	// JSON is the expected body. The string "*" in it matches any value, and
	// "..." as a key allows more keys than are listed.
	JSON string
	// Code and Error are the expected Parse error.
	Code  parse.Code
	Error string
	// Lacks lists texts that the body must not contain.
	Lacks []string
	// Save puts fields of the answer, by dotted path, into variables.
	Save map[string]string
}

// Scenario is a story in steps on a fresh server.
type Scenario struct {
	Name string
	// Config changes the options of the server.
	Config func(*config.Config)
	// Cloud registers hooks.
	Cloud func(*cloudcode.App)
	// Options are more of the server.
	Options []server.Option
	Steps   []Step
}

// Server is a running server under test.
type Server struct {
	Handler http.Handler
	URL     string
	// Typed: the database has columns of one type.
	Typed bool
	vars  map[string]string
	stop  func()
}

// Database is one database that scenarios run on.
type Database struct {
	Name string
	// URI returns the databaseURI of a fresh database, which is removed when
	// the test ends.
	URI func(t testing.TB) string
}

// Databases returns the embedded database, and those whose server the
// environment names: MongoDB by PARGO_TEST_MONGO_URL, PostgreSQL by
// PARGO_TEST_POSTGRES_URL. The others skip their tests.
func Databases() []Database {
	list := []Database{{"sqlite", func(t testing.TB) string {
		return "sqlite:" + filepath.Join(t.TempDir(), "pargo.db")
	}}, {"mongodb", mongoURI}, {"postgresql", postgresURI}}
	return list
}

func mongoURI(t testing.TB) string {
	t.Helper()
	base := os.Getenv("PARGO_TEST_MONGO_URL")
	if base == "" {
		t.Skip("PARGO_TEST_MONGO_URL is not set: not tested on MongoDB")
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatalf("PARGO_TEST_MONGO_URL: %v", err)
	}
	name := "pargo_scenario_" + parse.NewObjectID(8)
	u.Path = "/" + name
	t.Cleanup(func() { drop(t, u.String(), name) })
	return u.String()
}

// drop removes a database of MongoDB once its server has stopped.
func drop(t testing.TB, uri, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Errorf("connect to drop %s: %v", name, err)
		return
	}
	if err := errors.Join(client.Database(name).Drop(ctx), client.Disconnect(ctx)); err != nil {
		t.Errorf("drop %s: %v", name, err)
	}
}

// postgresURI makes a schema in the database of tests: a database of its own
// would cost fifty times as much.
func postgresURI(t testing.TB) string {
	t.Helper()
	base := os.Getenv("PARGO_TEST_POSTGRES_URL")
	if base == "" {
		t.Skip("PARGO_TEST_POSTGRES_URL is not set: not tested on PostgreSQL")
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatalf("PARGO_TEST_POSTGRES_URL: %v", err)
	}
	name := "scenario_" + strings.ToLower(parse.NewObjectID(12))
	postgres(t, base, "CREATE SCHEMA "+name)
	t.Cleanup(func() { postgres(t, base, "DROP SCHEMA "+name+" CASCADE") })
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// postgres carries out one statement.
func postgres(t testing.TB, uri, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, uri)
	if err != nil {
		t.Errorf("connect to PostgreSQL: %v", err)
		return
	}
	_, err = c.Exec(ctx, sql)
	if err := errors.Join(err, c.Close(ctx)); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

// Each runs f for every database, side by side, as a subtest of its name, and
// returns when all have ended: while one database works, the test of another
// goes on. What f shares with the others it must guard.
func Each(t *testing.T, f func(t *testing.T, db Database)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, db := range Databases() {
		wg.Go(func() { t.Run(db.Name, func(t *testing.T) { f(t, db) }) })
	}
	wg.Wait()
}

// Run runs the scenarios on every database.
func Run(t *testing.T, scenarios []Scenario) {
	t.Helper()
	Each(t, func(t *testing.T, db Database) {
		if db.Name != "sqlite" {
			db.URI(t) // skips once for all, with its reason
		}
		for _, sc := range scenarios {
			t.Run(sc.Name, func(t *testing.T) {
				s := Start(t, db.URI(t), sc.Config, sc.Cloud, sc.Options...)
				for i := range sc.Steps {
					s.Do(t, &sc.Steps[i])
				}
			})
		}
	})
}

// Start starts a server and stops it at the end of the test.
func Start(t testing.TB, databaseURI string, change func(*config.Config), cloud func(*cloudcode.App), more ...server.Option) *Server {
	t.Helper()
	var opts []server.Option
	if cloud != nil {
		opts = append(opts, server.WithCloud(cloud))
	}
	opts = append(opts, more...)
	s, err := TryStart(t, databaseURI, change, opts...)
	if err != nil {
		t.Fatalf("start server: %v", err)
	}
	return s
}

// TryStart is Start for servers that may refuse to start. It may be called from
// many goroutines.
func TryStart(t testing.TB, databaseURI string, change func(*config.Config), opts ...server.Option) (*Server, error) {
	t.Helper()
	cfg := config.Default()
	cfg.AppID, cfg.MasterKey = AppID, MasterKey
	cfg.Host, cfg.Port = "127.0.0.1", 0
	cfg.DatabaseURI = databaseURI
	cfg.DataDir = t.TempDir()
	cfg.PasswordCost = 4
	if change != nil {
		change(&cfg)
	}
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelError}))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s, err := server.New(ctx, cfg, append([]server.Option{server.WithLogger(log)}, opts...)...)
	if err != nil {
		cancel()
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("stop server: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return &Server{Handler: s.Handler(), URL: s.URL(), Typed: strings.HasPrefix(databaseURI, "postgres"), vars: map[string]string{}, stop: stop}, nil
}

// Stop stops the server before the test ends.
func (s *Server) Stop() { s.stop() }

// testWriter sends the server's errors to the test's log.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("server: %s", strings.TrimSpace(string(p)))
	return len(p), nil
}

var variable = regexp.MustCompile(`\{\{([\w.]+)\}\}`)

func (s *Server) expand(t *testing.T, text string) string {
	t.Helper()
	return variable.ReplaceAllStringFunc(text, func(m string) string {
		v, ok := s.vars[m[2:len(m)-2]]
		if !ok {
			t.Fatalf("no variable %s", m)
		}
		return v
	})
}

// Var returns a saved variable.
func (s *Server) Var(name string) string { return s.vars[name] }

// SetVar sets a variable.
func (s *Server) SetVar(name, value string) { s.vars[name] = value }

// Do carries out one step and returns the body of the answer.
func (s *Server) Do(t *testing.T, st *Step) string {
	t.Helper()
	if st.Untyped && s.Typed {
		return ""
	}
	name := st.Name
	if name == "" {
		name = st.Method + " " + st.Path
	}
	status, got := s.send(t, name, st)
	s.check(t, name, st, status, got)
	return got
}

// Ask sends the request of a step and returns the body of the answer, whatever
// it is. Unlike Do, it may be called from many goroutines.
func (s *Server) Ask(t *testing.T, st *Step) string {
	t.Helper()
	_, got := s.send(t, st.Path, st)
	return got
}

// nextMillisecond returns in a later millisecond than it was called in. Objects
// of one millisecond have no order on a database that keeps no order of its own.
func nextMillisecond() {
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() == now; {
		runtime.Gosched()
	}
}

// Sent is told of the requests of all steps, if it is set before the tests begin.
var Sent func(t *testing.T, method, path string, st *Step)

func (s *Server) send(t *testing.T, name string, st *Step) (status int, body string) {
	t.Helper()
	method := st.Method
	if method == "" {
		method = http.MethodGet
	}
	if s.Typed && method == http.MethodPost {
		nextMillisecond()
	}
	path := s.expand(t, st.Path)
	if Sent != nil {
		Sent(t, method, path, st)
	}
	target := "/parse" + path
	if len(st.Query) > 0 {
		v := url.Values{}
		for k, q := range st.Query {
			v.Set(k, s.expand(t, q))
		}
		target += "?" + v.Encode()
	}
	var sent io.Reader
	if st.Body != "" {
		sent = strings.NewReader(s.expand(t, st.Body))
	}
	r := httptest.NewRequestWithContext(t.Context(), method, target, sent)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Parse-Application-Id", AppID)
	switch st.As {
	case "":
	case "master":
		r.Header.Set("X-Parse-Master-Key", MasterKey)
	default:
		token, ok := s.vars[st.As+".token"]
		if !ok {
			t.Fatalf("%s: no session of %s", name, st.As)
		}
		r.Header.Set("X-Parse-Session-Token", token)
	}
	for k, v := range st.Header {
		if v == "" {
			r.Header.Del(k)
			continue
		}
		r.Header.Set(k, s.expand(t, v))
	}
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (s *Server) check(t *testing.T, name string, st *Step, status int, got string) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s\n  answer: %d %s", name, fmt.Sprintf(format, args...), status, got)
	}
	want := st.Status
	if want == 0 && st.Code != 0 {
		want = http.StatusBadRequest
		if st.Code == parse.ObjectNotFound {
			want = http.StatusNotFound
		}
	}
	if want != 0 && status != want || want == 0 && status >= 300 {
		fail("want status %d", want)
		return
	}
	var answer any
	if strings.HasPrefix(got, "{") || strings.HasPrefix(got, "[") {
		if err := json.Unmarshal([]byte(got), &answer); err != nil {
			fail("the answer is not JSON: %v", err)
			return
		}
	}
	if st.Code != 0 {
		m, _ := answer.(map[string]any)
		if code, _ := m["code"].(float64); parse.Code(code) != st.Code {
			fail("want code %d", st.Code)
		}
		if text, _ := m["error"].(string); st.Error != "" && text != s.expand(t, st.Error) {
			fail("want error %q", st.Error)
		}
	}
	body := st.JSON
	if s.Typed && st.TypedJSON != "" {
		body = st.TypedJSON
	}
	if body != "" {
		var expected any
		if err := json.Unmarshal([]byte(s.expand(t, body)), &expected); err != nil {
			t.Fatalf("%s: the expected JSON is malformed: %v", name, err)
		}
		if diff := mismatch("", expected, answer); diff != "" {
			fail("%s", diff)
		}
	}
	for _, text := range st.Lacks {
		if strings.Contains(got, s.expand(t, text)) {
			fail("must not contain %q", text)
		}
	}
	for path, into := range st.Save {
		v, ok := dig(answer, path)
		if !ok {
			fail("has no %s", path)
			continue
		}
		s.vars[into] = fmt.Sprint(v)
	}
}

// dig follows a dotted path; array elements are numbers.
func dig(v any, path string) (any, bool) {
	for part := range strings.SplitSeq(path, ".") {
		switch c := v.(type) {
		case map[string]any:
			inner, ok := c[part]
			if !ok {
				return nil, false
			}
			v = inner
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i < 0 || i >= len(c) {
				return nil, false
			}
			v = c[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// mismatch tells the first difference, or "".
func mismatch(at string, want, got any) string {
	if want == "*" {
		return ""
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: want an object, got %v", at, got)
		}
		_, open := w["..."]
		for _, k := range sortedKeys(w) {
			if k == "..." {
				continue
			}
			gv, ok := g[k]
			if !ok {
				return fmt.Sprintf("%s.%s is missing", at, k)
			}
			if d := mismatch(at+"."+k, w[k], gv); d != "" {
				return d
			}
		}
		if open {
			return ""
		}
		for _, k := range sortedKeys(g) {
			if _, ok := w[k]; !ok {
				return fmt.Sprintf("%s.%s is not expected: %v", at, k, g[k])
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: want %d elements, got %v", at, len(w), got)
		}
		for i := range w {
			if d := mismatch(fmt.Sprintf("%s[%d]", at, i), w[i], g[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if want != got {
		return fmt.Sprintf("%s: want %v, got %v", at, want, got)
	}
	return ""
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
