package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/scenario"
)

// The difference fuzzer looks for ways to learn what one may not see. It starts
// one server with a database and one more for each secret in it, whose database
// differs in that secret alone. Random requests of random callers go to all of
// them. Whoever may not see a secret must get the same answers, and the same
// live-query events, from the two servers: whatever differs tells of it.
//
// PARGO_DIFFERENCE_TIME (a duration) lets it run longer than the rounds of the
// quick run; PARGO_DIFFERENCE_SEED starts elsewhere.

const (
	differenceSeed   = 20260
	differenceWorlds = 2  // fresh databases in the quick run
	differenceRounds = 75 // requests for each of them
	listenEvery      = 25 // requests between two looks at the events
)

func TestNoDifference(t *testing.T) {
	seed, deadline := uint64(differenceSeed), time.Time{}
	if s := os.Getenv("PARGO_DIFFERENCE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	if s := os.Getenv("PARGO_DIFFERENCE_TIME"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		deadline = time.Now().Add(d)
	}
	asked := tally{}
	for i := uint64(0); i < differenceWorlds || time.Now().Before(deadline); i++ {
		ok := t.Run(strconv.FormatUint(seed+i, 10), func(t *testing.T) {
			w := newWorlds(t, seed+i, inMemory)
			for n := 1; n <= differenceRounds && !t.Failed(); n++ {
				w.round(asked)
				if n%listenEvery == 0 {
					w.listen(asked)
				}
			}
		})
		if !ok {
			return
		}
	}
	t.Logf("answers: %v", asked)
	// A run that is refused everywhere proves nothing.
	for _, kind := range []string{"find", "get", "aggregate", "distinct", "update", "batch", "function", "sessions"} {
		if asked[kind+" 200"] == 0 {
			t.Errorf("no %s was answered", kind)
		}
	}
	if asked["returned"] == 0 {
		t.Error("nobody came back")
	}
}

// TestNoDifferenceOnDatabases is a short run where constraints are translated otherwise.
func TestNoDifferenceOnDatabases(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		if db.Name == "sqlite" {
			t.Skip("by TestNoDifference")
		}
		w := newWorlds(t, differenceSeed, db)
		for range 40 {
			w.round(tally{})
		}
		w.listen(tally{})
	})
}

// inMemory is the embedded database without a file.
var inMemory = scenario.Database{Name: "sqlite", URI: func(testing.TB) string { return "sqlite::memory:" }}

// TestDifferenceIsSeen: the fuzzer finds the secrets of those who may see them.
func TestDifferenceIsSeen(t *testing.T) {
	w := newWorlds(t, 1, inMemory)
	for i := range w.secrets {
		s := &w.secrets[i]
		r := request{Method: http.MethodGet, Path: s.path, Query: map[string]any{"where": map[string]any{}, "limit": 100}}
		if s.path != "/classes/_User" && s.relation == nil {
			r.Query["order"] = "objectId"
		}
		if s.relation != nil {
			r.Query["where"] = s.relation
		}
		if base, other := w.base().ask(t, "master", &r), w.all[i+1].ask(t, "master", &r); base == other {
			t.Errorf("%s: the master key sees no difference", s.name)
		}
	}
}

// tally counts answers by kind of request and status.
type tally map[string]int

// worlds are servers that differ in one secret each from the first.
type worlds struct {
	t       *testing.T
	rnd     *rand.Rand
	seed    uint64
	secrets []secret
	all     []*world
	beat    int
	done    []request // what was written, for the report
	// pages are finds by which a caller got a first page, to go on from later.
	pages map[string]request
}

// world is one server and the ears of the callers in it.
type world struct {
	s     *scenario.Server
	ears  map[string]*live
	comes map[string][]*returner // by caller
	pages map[string]string      // by caller, the cursor of w.pages
}

func (w *worlds) base() *world { return w.all[0] }

func newWorlds(t *testing.T, seed uint64, db scenario.Database) *worlds {
	t.Helper()
	w := &worlds{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), secrets: secrets(), pages: map[string]request{}}
	for range len(w.secrets) + 1 {
		w.all = append(w.all, &world{
			s:    scenario.Start(t, db.URI(t), differenceConfig, differenceCloud),
			ears: map[string]*live{}, comes: map[string][]*returner{}, pages: map[string]string{},
		})
	}
	w.each(func(_ int, x *world) {
		for i := range differenceSetUp {
			x.s.Do(t, &differenceSetUp[i])
		}
	})
	for i := range w.secrets {
		w.touch(i)
	}
	w.subscribe()
	w.subscribeReturners()
	return w
}

// each does something in all worlds, side by side.
func (w *worlds) each(do func(i int, x *world)) {
	var wg sync.WaitGroup
	for i, x := range w.all {
		wg.Go(func() { do(i, x) })
	}
	wg.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// touch gives a secret a new value, which is another one in its own world.
func (w *worlds) touch(i int) {
	n := w.rnd.IntN(4)
	w.each(func(j int, x *world) {
		for _, r := range w.secrets[i].set(n, j == i+1) {
			if a := x.ask(w.t, "master", &r); strings.HasPrefix(a.text, "5") {
				w.t.Errorf("%s: %s", r, a.text)
			}
		}
	})
}

// subscribe lets every caller watch random queries, the same in all worlds. The
// first watches the beacon, by which listen knows that it has heard all.
func (w *worlds) subscribe() {
	for _, who := range callers {
		frames := []string{`"query":{"className":"Doc","where":{"objectId":"beacon"}}`}
		for range 8 {
			q := map[string]any{"className": "Doc", "where": w.where("Doc", 1)}
			switch w.rnd.IntN(4) {
			case 0:
				q["keys"] = w.some(fieldsOf["Doc"])
			case 1:
				q["watch"] = w.some(fieldsOf["Doc"])
			}
			frames = append(frames, `"query":`+jsonText(q))
		}
		answers := make([][]string, len(w.all))
		w.each(func(i int, x *world) {
			ear := connect(w.t, x.s)
			x.ears[who] = ear
			for id, f := range frames {
				ear.send(fmt.Sprintf(`{"op":"subscribe","requestId":%d,%s,"sessionToken":%q}`, id, f, x.token(who)))
				answers[i] = append(answers[i], anonymous(ear.raw()))
			}
		})
		w.compare(who, func(i int) string {
			return "subscriptions " + strings.Join(frames, "\n") + "\n" + strings.Join(answers[i], "\n")
		}, nil)
	}
}

// listen compares the events that were sent since the last time.
func (w *worlds) listen(asked tally) {
	w.beat++
	heard := make([]map[string]string, len(w.all))
	w.comeBack(asked)
	w.each(func(i int, x *world) {
		x.s.Ask(w.t, &scenario.Step{Method: "PUT", Path: "/classes/Doc/beacon", As: "master", Body: fmt.Sprintf(`{"beat":%d}`, w.beat)})
		heard[i] = map[string]string{}
		for who, ear := range x.ears {
			heard[i][who] = ear.until(w.beat)
			for _, r := range x.comes[who] {
				heard[i][who] += "\n" + r.until(w.beat)
			}
		}
	})
	for _, who := range callers {
		w.compare(who, func(i int) string { return heard[i][who] }, func() string {
			var sb strings.Builder
			for _, r := range w.done {
				fmt.Fprintln(&sb, r)
			}
			return "events after\n" + sb.String()
		})
	}
	w.done = nil
	w.goAway()
}

// until reads events up to the beacon's, and returns them by subscription.
func (l *live) until(beat int) string {
	l.t.Helper()
	events := map[int][]string{}
	for {
		text := l.raw()
		var f frame
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			l.t.Fatalf("%s: %v", text, err)
		}
		switch {
		case f.RequestID == 0 && f.Object["beat"] == float64(beat):
			var all []string
			for _, id := range slices.Sorted(maps.Keys(events)) {
				all = append(all, events[id]...)
			}
			return strings.Join(all, "\n")
		case f.Object["objectId"] == "beacon": // told to the other subscriptions before or after
		default:
			events[f.RequestID] = append(events[f.RequestID], anonymous(text))
		}
	}
}

// round sends one request of one caller to all worlds.
func (w *worlds) round(asked tally) {
	if w.rnd.IntN(6) == 0 {
		w.touch(w.rnd.IntN(len(w.secrets)))
	}
	who := callers[w.rnd.IntN(len(callers))]
	if w.rnd.IntN(2) == 0 {
		w.turnPage(who, asked)
	}
	r := w.request()
	if r.Method != http.MethodGet {
		w.done = append(w.done, r)
	}
	answers := make([]answer, len(w.all))
	before := w.base().pages[who]
	w.each(func(i int, x *world) { answers[i] = x.ask(w.t, who, &r) })
	if w.base().pages[who] != before {
		w.pages[who] = r
	}
	asked[r.kind+" "+answers[0].status()]++
	if answers[0].status() == "500" {
		w.t.Fatalf("seed %d: %s asks %s: %s", w.seed, who, r, answers[0].text)
	}
	for i := range w.secrets {
		if !w.secrets[i].seenBy(who) && answers[0] != answers[i+1] {
			small := r
			if r.Method == http.MethodGet {
				small = w.shrink(who, i+1, r)
				answers[0], answers[i+1] = w.base().ask(w.t, who, &small), w.all[i+1].ask(w.t, who, &small)
			}
			w.t.Errorf("seed %d: %s learns of %s by\n  %s\n  found by %s\n- %s\n+ %s", w.seed, who, w.secrets[i].name, small, r, answers[0].text, answers[i+1].text)
		}
	}
}

// compare fails the test if a caller gets something else from a world whose
// secret he may not see.
func (w *worlds) compare(who string, got func(i int) string, context func() string) {
	w.t.Helper()
	for i := range w.secrets {
		if w.secrets[i].seenBy(who) || got(0) == got(i+1) {
			continue
		}
		about := ""
		if context != nil {
			about = context()
		}
		w.t.Errorf("seed %d: %s learns of %s by %s\n- %s\n+ %s", w.seed, who, w.secrets[i].name, about, got(0), got(i+1))
	}
}

// shrink leaves out of a request whatever the difference does not need.
func (w *worlds) shrink(who string, i int, r request) request {
	for again := true; again; {
		again = false
		for _, smaller := range without(r.Query) {
			try := r
			try.Query = smaller.(map[string]any)
			if w.base().ask(w.t, who, &try) != w.all[i].ask(w.t, who, &try) {
				r, again = try, true
				break
			}
		}
	}
	return r
}

// without returns copies of a JSON value that each lack one part of it.
func without(v any) []any {
	var out []any
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			c := maps.Clone(v)
			delete(c, k)
			out = append(out, c)
			for _, smaller := range without(v[k]) {
				c := maps.Clone(v)
				c[k] = smaller
				out = append(out, c)
			}
		}
	case []any:
		for i := range v {
			out = append(out, slices.Delete(slices.Clone(v), i, i+1))
			for _, smaller := range without(v[i]) {
				c := slices.Clone(v)
				c[i] = smaller
				out = append(out, c)
			}
		}
	}
	return out
}

// request is one request of the fuzzer.
type request struct {
	kind, Method, Path string
	Query              map[string]any
	Body               any
}

func (r request) String() string {
	return fmt.Sprintf("%s %s %s %s", r.Method, r.Path, jsonText(r.Query), jsonText(r.Body))
}

// answer is all that a caller sees of an answer.
type answer struct{ text string }

func (a answer) status() string { return a.text[:3] }

func (x *world) token(who string) string {
	if who == "" {
		return ""
	}
	return x.s.Var(who + ".token")
}

// ask sends a request, and one for the next page if there is one.
func (x *world) ask(t *testing.T, who string, r *request) answer {
	t.Helper()
	text := x.send(t, who, r)
	if m := nextPage.FindStringSubmatch(text); m != nil && r.kind == "find" {
		x.pages[who] = m[1]
		second := *r
		second.Query = maps.Clone(r.Query)
		second.Query["cursor"] = m[1]
		text += "\n" + x.send(t, who, &second)
	}
	return answer{anonymous(text)}
}

var nextPage = regexp.MustCompile(`"cursor":"([^"]*)"`)

func (x *world) send(t *testing.T, who string, r *request) string {
	t.Helper()
	target := "/parse" + r.Path
	if len(r.Query) > 0 {
		v := url.Values{}
		for k, q := range r.Query {
			text, ok := q.(string)
			if !ok {
				text = jsonText(q)
			}
			v.Set(k, text)
		}
		target += "?" + v.Encode()
	}
	body := ""
	if r.Body != nil {
		body = jsonText(r.Body)
	}
	req := httptest.NewRequestWithContext(t.Context(), r.Method, target, strings.NewReader(body))
	req.RemoteAddr = "127.0.0.1:1"
	req.Header.Set("X-Parse-Application-Id", scenario.AppID)
	switch who {
	case "":
	case "master":
		req.Header.Set("X-Parse-Master-Key", scenario.MasterKey)
	default:
		req.Header.Set("X-Parse-Session-Token", x.token(who))
	}
	rec := httptest.NewRecorder()
	x.s.Handler.ServeHTTP(rec, req)
	var sb strings.Builder
	fmt.Fprintf(&sb, "%d\n", rec.Code)
	for _, k := range slices.Sorted(maps.Keys(rec.Header())) {
		// The tag is a hash of the body, moments included; the rest is the same for all.
		if k != "Etag" && k != "X-Request-Id" && !strings.HasPrefix(k, "Access-Control-") {
			fmt.Fprintf(&sb, "%s: %v\n", k, rec.Header()[k])
		}
	}
	return sb.String() + rec.Body.String()
}

var accidental = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z|r:[0-9a-f]{32}|"(clientId|installationId)":"[^"]*"|pargo_scenario_\w+`)

// sealed is what a caller may hand back but cannot read; its length he can.
var sealed = regexp.MustCompile(`"(cursor|position)":"[^"]*"`)

// anonymous replaces what differs by accident: moments, tokens, ids of connections, what is sealed.
func anonymous(text string) string {
	text = sealed.ReplaceAllStringFunc(text, func(s string) string { return fmt.Sprintf("…%d…", len(s)) })
	return accidental.ReplaceAllString(text, "…")
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // made of maps, lists and plain values
	}
	return string(b)
}
