package livequery_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/query"
)

// A pattern that takes too long keeps quiet, and its subscription ends the
// third time; others of the class go on.
func TestSlowRegex(t *testing.T) {
	r := newRig(t, livequery.Options{QueryLimits: query.Limits{RegexTime: time.Millisecond}})
	s := r.connect(t, "")
	s.subscribe(1, `{"className":"Item","where":{"s":{"$regex":"^(?=a)(a|aa)+$"}},"keys":["n"]}`, "")
	s.subscribe(2, `{"className":"Item","where":{"s":{"$regex":"^(?=a)a"}},"keys":["n"]}`, "")
	s.fenceOn("Item")
	evil := strings.Repeat("a", 4000) + "b"
	kinds := func() []string {
		out := []string{}
		for _, f := range s.frames(r, "Item") {
			switch {
			case strings.Contains(f, `"requestId":2`):
				out = append(out, "other")
			case strings.HasPrefix(f, `{"op":"error"`) && strings.Contains(f, `"code":102`) && strings.Contains(f, `"requestId":1`):
				out = append(out, "ended")
			default:
				out = append(out, f)
			}
		}
		return out
	}
	for i, want := range [][]string{{"other"}, {"other"}, {"other", "ended"}, {"other"}} {
		r.publish(t, created(obj("x", nil, "s", evil, "n", 1.0)))
		if diff := cmp.Diff(want, kinds()); diff != "" {
			t.Errorf("change %d (-want +got):\n%s", i, diff)
		}
	}
	if st := r.hub.Stats(); st.DistinctQueries != 2 {
		t.Errorf("stats %+v", st)
	}
	s.send(`{"op":"unsubscribe","requestId":1}`)
	if f := s.next(); !strings.HasPrefix(f, `{"op":"unsubscribed"`) {
		t.Errorf("unsubscribe: %s", f)
	}
}

// Many patterns that take too long have the time of one together: others are
// told first, the rest are ended at once, and no new ones are let in.
func TestManySlowRegexes(t *testing.T) {
	r := newRig(t, livequery.Options{})
	const evils = 20
	query := func(n int) string {
		return fmt.Sprintf(`{"className":"Item","where":{"s":{"$regex":"^(?=a)(a|aa)+$|x%d"}},"keys":["n"]}`, n)
	}
	attacker := r.connect(t, "")
	for i := range evils {
		attacker.subscribe(i, query(i), "")
	}
	honest := r.connect(t, "")
	honest.subscribe(1, `{"className":"Item","where":{"n":1},"keys":["n"]}`, "")
	honest.subscribe(2, `{"className":"Item","where":{"s":{"$regex":"^a*b$"}},"keys":["n"]}`, "")
	honest.fenceOn("Item")
	evil := obj("x", nil, "s", strings.Repeat("a", 4000)+"b", "n", 1.0)
	r.publish(t, created(evil))
	if got := honest.frames(r, "Item"); len(got) != 2 || !strings.HasPrefix(got[0], `{"op":"create"`) || !strings.HasPrefix(got[1], `{"op":"create"`) {
		t.Errorf("the honest one gets %v", got)
	}
	// One or two have used up what all have for one change.
	if st := r.hub.Stats(); st.Expelled < evils-2 || st.DistinctQueries > 2+1+2 {
		t.Errorf("stats %+v", st)
	}
	for range evils - 2 {
		if f := attacker.next(); !strings.Contains(f, `"op":"error"`) || !strings.Contains(f, `"code":102`) || !strings.Contains(f, "The regular expression of the subscription takes too long") {
			t.Errorf("the attacker gets %s", f)
		}
	}
	refused := false
	for n := evils; !refused && n < 3*evils; n++ {
		other := r.connect(t, "")
		other.send(fmt.Sprintf(`{"op":"subscribe","requestId":1,"query":%s}`, query(n)))
		refused = strings.Contains(other.next(), `"error":"Regular expressions take too long at the moment. Try again soon.","code":155`)
		r.publish(t, created(evil))
		if got := honest.frames(r, "Item"); len(got) != 2 {
			t.Errorf("the honest one gets %v", got)
		}
	}
	if !refused {
		t.Error("such patterns are let in for ever")
	}
	honest.subscribe(3, `{"className":"Item","where":{"s":{"$regex":"^b*a$"}},"keys":["n"]}`, "")
}

// A class has a bounded number of patterns that may take long.
func TestCostlyRegexes(t *testing.T) {
	r := newRig(t, livequery.Options{MaxSubscriptions: 2000})
	s := r.connect(t, "")
	subscribe := func(n int, class string) string {
		s.send(fmt.Sprintf(`{"op":"subscribe","requestId":%d,"query":{"className":%q,"where":{"s":{"$regex":"(?=a)a%d"}}}}`, n, class, n))
		return s.next()
	}
	for i := range 1000 {
		if f := subscribe(i, "Item"); !strings.HasPrefix(f, `{"op":"subscribed"`) {
			t.Fatal(f)
		}
	}
	if f := subscribe(1000, "Item"); !strings.Contains(f, `"code":155`) {
		t.Errorf("one more: %s", f)
	}
	s.send(`{"op":"subscribe","requestId":2000,"query":{"className":"Item","where":{"s":{"$regex":"(?=a)a7"}},"keys":["n"]}}`)
	if f := s.next(); !strings.HasPrefix(f, `{"op":"subscribed"`) {
		t.Errorf("one that is there: %s", f)
	}
	if f := subscribe(1001, "Other"); !strings.HasPrefix(f, `{"op":"subscribed"`) {
		t.Errorf("another class: %s", f)
	}
	s.send(`{"op":"unsubscribe","requestId":1}`)
	s.next()
	if f := subscribe(1000, "Item"); !strings.HasPrefix(f, `{"op":"subscribed"`) {
		t.Errorf("in the place of another: %s", f)
	}
}

// Who comes back does not have a slow pattern matched with all he has missed.
func TestSlowRegexComesBack(t *testing.T) {
	r := lasting(t, 100)
	s := r.connect(t, "")
	s.send(`{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{"n":-1}},"resume":""}`)
	var reply struct{ Position string }
	if err := json.Unmarshal([]byte(s.next()), &reply); err != nil || reply.Position == "" {
		t.Fatalf("no position: %v", err)
	}
	s.fenceOn("Item")
	for range 50 {
		r.publish(t, created(obj("x", nil, "s", strings.Repeat("a", 4000)+"b")))
	}
	s.frames(r, "Item")
	for pattern, want := range map[string]string{`^(?=a)(a|aa)+$`: `"resumed":false`, `^(?=b)b`: `"resumed":true`} {
		s.send(fmt.Sprintf(`{"op":"subscribe","requestId":2,"query":{"className":"Item","where":{"s":{"$regex":%q}}},"resume":%q}`, pattern, reply.Position))
		if f := s.next(); !strings.Contains(f, want) {
			t.Errorf("%s: %s, want %s", pattern, f, want)
		}
	}
}
