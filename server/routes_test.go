package server_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/rest"
)

// routesDoc says how many scenarios each route has.
const routesDoc = "../docs/routes.md"

// requests counts what scenarios send by route: requests that differ in their
// test, name or form, on the embedded database, so that the number is the same
// wherever the tests run.
type requests struct {
	routes []string
	mu     sync.Mutex
	seen   map[string]map[string]bool // route, request; guarded by mu
}

// drawn are parts of requests that differ from run to run.
var drawn = regexp.MustCompile(`[A-Za-z0-9_-]{10,}|[0-9]+`)

func (q *requests) add(t *testing.T, method, path string, st *scenario.Step) {
	if strings.Contains(t.Name(), "/mongodb") || strings.Contains(t.Name(), "/postgresql") {
		return
	}
	path, query, _ := strings.Cut(path, "?")
	i := slices.IndexFunc(q.routes, func(r string) bool { return serves(r, method, path) })
	if i < 0 {
		return
	}
	what := fmt.Sprint(t.Name(), st.Name, st.As, st.Status, st.Code, st.Error, drawn.ReplaceAllString(query+fmt.Sprint(st.Query)+st.Body, "0"))
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.seen[q.routes[i]] == nil {
		q.seen[q.routes[i]] = map[string]bool{}
	}
	q.seen[q.routes[i]][what] = true
}

// serves reports whether a route is that of a request.
func serves(route, method, path string) bool {
	of, pattern, _ := strings.Cut(route, " ")
	want, have := strings.Split(pattern, "/"), strings.Split(strings.TrimSuffix(path, "/"), "/")
	return of == method && slices.EqualFunc(want, have, func(w, h string) bool {
		return w == h || strings.HasPrefix(w, ":") && h != ""
	})
}

func (q *requests) count(route string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.seen[route])
}

func TestMain(m *testing.M) {
	flag.Parse()
	q := &requests{routes: rest.Routes(), seen: map[string]map[string]bool{}}
	if whole() {
		scenario.Sent = q.add
	}
	code := m.Run()
	if code == 0 && whole() {
		if err := q.check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// whole reports whether all tests run, on one round.
func whole() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return !testing.Short()
}

var routeRow = regexp.MustCompile("(?m)^\\| `([A-Z]+ [^`]+)` \\| ([0-9]+) \\|$")

// check compares the docs with what was sent, or writes them. A route may have
// more scenarios than the docs say, never less.
func (q *requests) check() error {
	const begins = "| route | scenarios |\n|---|---|\n"
	text, err := os.ReadFile(routesDoc)
	if err != nil {
		return err
	}
	before, _, ok := strings.Cut(string(text), begins)
	if !ok {
		return fmt.Errorf("%s has no place for the table", routesDoc)
	}
	if *update {
		var b strings.Builder
		b.WriteString(before + begins)
		for _, route := range q.routes {
			fmt.Fprintf(&b, "| `%s` | %d |\n", route, q.count(route))
		}
		return os.WriteFile(routesDoc, []byte(b.String()), 0o600)
	}
	rows := routeRow.FindAllStringSubmatch(string(text), -1)
	if len(rows) == 0 {
		return fmt.Errorf("the table in %s has no rows: go test ./server -update", routesDoc)
	}
	for _, row := range rows {
		want, err := strconv.Atoi(row[2])
		switch got := q.count(row[1]); {
		case err != nil:
			return err
		case !slices.Contains(q.routes, row[1]):
			return fmt.Errorf("%s lists %s, which is no route: go test ./server -update", routesDoc, row[1])
		case got < want:
			return fmt.Errorf("%s says that %s has %d scenarios, which are %d: go test ./server -update", routesDoc, row[1], want, got)
		}
	}
	return nil
}
