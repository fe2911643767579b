package livequery_test

import (
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
