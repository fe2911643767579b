package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// What the difference fuzzer goes back to: pages of finds, and live queries of
// clients whose connection was away while others wrote.

// turnPage asks for the next page of a find whose first one is some requests
// old: meanwhile values have changed, hidden ones too.
func (w *worlds) turnPage(who string, asked tally) {
	if w.base().pages[who] == "" {
		return
	}
	r := w.pages[who]
	texts := make([]string, len(w.all))
	w.each(func(i int, x *world) {
		second := r
		second.Query = maps.Clone(r.Query)
		second.Query["cursor"] = x.pages[who]
		texts[i] = anonymous(x.send(w.t, who, &second))
	})
	asked["page "+texts[0][:3]]++
	w.compare(who, func(i int) string { return texts[i] }, func() string { return "the next page of " + r.String() })
}

// returner is a client that goes away without a word, and comes back.
type returner struct {
	*live
	who string
	// said are the queries. A client of its own kind hands positions back, an SDK
	// as it is comes back with its installation.
	said         []string
	positions    []string
	installation string
	refused      []bool
	beats        []any // of the beacon, as they heard last
	// heard are the events since the last look of those who hand positions back;
	// others may hear one twice, depending on when their last pong came: of them
	// all that they ever heard counts, once.
	heard []string
	away  bool
}

func (r *returner) resumes() bool { return r.installation == "" }

// subscribeReturners lets each caller watch as both kinds of clients. All their
// queries have the beacon in them, which ends what was missed.
func (w *worlds) subscribeReturners() {
	for _, who := range callers {
		for _, installation := range []string{"", "sdk-" + who} {
			var said []string
			for range 4 {
				said = append(said, jsonText(w.admitted(who)))
			}
			w.each(func(_ int, x *world) {
				r := &returner{who: who, said: said, installation: installation, positions: make([]string, len(said)), refused: make([]bool, len(said)), beats: make([]any, len(said)), heard: make([]string, len(said))}
				r.subscribe(w, x)
				x.comes[who] = append(x.comes[who], r)
			})
		}
	}
}

// admitted makes a query of a live query, most often one that is not refused.
func (w *worlds) admitted(who string) map[string]any {
	q := map[string]any{"className": "Doc"}
	for range 20 {
		where := map[string]any{"$or": []any{map[string]any{"objectId": "beacon"}, w.where("Doc", 1)}}
		q["where"] = where
		ask := request{Method: http.MethodGet, Path: "/classes/Doc", Query: map[string]any{"where": where}}
		if w.base().ask(w.t, who, &ask).status() == "200" {
			break
		}
	}
	switch visible := fieldsOf["Doc"][1:9]; w.rnd.IntN(4) {
	case 0:
		q["keys"] = []string{pick(w, fieldsOf["Doc"]...), "beat"}
	case 1:
		q["watch"] = []string{pick(w, visible...), "beat"}
	}
	return q
}

// subscribe connects and asks for all queries, from where they were left.
func (r *returner) subscribe(w *worlds, x *world) {
	members := ""
	if r.installation != "" {
		members = fmt.Sprintf(`,"installationId":%q`, r.installation)
	}
	r.live, r.away = connectWith(w.t, x.s, members), false
	for id, q := range r.said {
		resume := ""
		if r.resumes() {
			resume = fmt.Sprintf(`,"resume":%q`, r.positions[id])
		}
		r.send(fmt.Sprintf(`{"op":"subscribe","requestId":%d,"query":%s,"sessionToken":%q%s}`, id, q, x.token(r.who), resume))
	}
	for answered := 0; answered < len(r.said); {
		if f := r.take(); f.Op == "subscribed" || f.Op == "error" {
			answered++
		}
	}
}

// take reads a message, and notes it unless it is of the beacon.
func (r *returner) take() frame {
	r.t.Helper()
	text := r.raw()
	var f struct {
		frame
		Position string
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		r.t.Fatalf("%s: %v", text, err)
	}
	if f.Position != "" {
		r.positions[f.RequestID] = f.Position
	}
	r.refused[f.RequestID] = r.refused[f.RequestID] || f.Op == "error"
	if f.Object["objectId"] != "beacon" {
		r.heard[f.RequestID] += anonymous(text) + "\n"
	} else {
		r.beats[f.RequestID] = f.Object["beat"]
	}
	return f.frame
}

// until reads until all subscriptions that were not refused have told of the beacon.
func (r *returner) until(beat int) string {
	r.t.Helper()
	for id := range r.said {
		for !r.refused[id] && r.beats[id] != float64(beat) {
			r.take()
		}
	}
	var sb strings.Builder
	for id, q := range r.said {
		if r.resumes() {
			fmt.Fprintf(&sb, "resuming %s\n%s", q, r.heard[id])
			r.heard[id] = ""
			continue
		}
		all := strings.SplitAfter(r.heard[id], "\n")
		slices.Sort(all)
		r.heard[id] = strings.Join(slices.Compact(all), "")
		fmt.Fprintf(&sb, "returning %s\n%s", q, r.heard[id])
	}
	return sb.String()
}

// goAway breaks the connections of some.
func (w *worlds) goAway() {
	for _, who := range callers {
		for i := range w.base().comes[who] {
			if w.rnd.IntN(2) == 0 {
				w.each(func(_ int, x *world) {
					_ = x.comes[who][i].ws.CloseNow()
					x.comes[who][i].away = true
				})
			}
		}
	}
}

// comeBack connects those who are away.
func (w *worlds) comeBack(asked tally) {
	for _, list := range w.base().comes {
		for _, r := range list {
			if r.away {
				asked["returned"]++
			}
		}
	}
	w.each(func(_ int, x *world) {
		for _, who := range callers {
			for _, r := range x.comes[who] {
				if r.away {
					clear(r.refused)
					r.subscribe(w, x)
				}
			}
		}
	})
}
