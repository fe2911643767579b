package livequery_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// TestQuery asks for what a subscription holds now.
func TestQuery(t *testing.T) {
	find := func(_ context.Context, p *access.Principal, class string, q *query.Query) ([]*parse.Object, error) {
		if p.UserID == "" {
			return nil, parse.Denyf(parse.OperationForbidden, "not for strangers")
		}
		return []*parse.Object{obj(p.UserID, nil, "class", class, "where", query.Canonical(q.Where), "keys", strings.Join(q.Keys, " "))}, nil
	}
	ask := func(s *socket, id string) string {
		s.send(`{"op":"query","requestId":` + id + `}`)
		return s.next()
	}
	r := newRig(t, livequery.Options{Find: find})
	s := r.dial(t)
	if f := ask(s, "1"); !strings.Contains(f, `"code":2`) {
		t.Errorf("before connect: %s", f)
	}
	s = r.connect(t, "")
	if f := ask(s, "1"); !strings.Contains(f, `"error":"Cannot find subscription with clientId ID subscriptionId 1.`) {
		t.Errorf("unknown: %s", f)
	}
	s.subscribe(1, `{"className":"Item","where":{"n":1},"keys":["x"]}`, `,"sessionToken":"r:ann"`)
	want := `{"op":"result","clientId":"ID","requestId":1,"results":[{"className":"Item","objectId":"ann","class":"Item","where":`
	if f := ask(s, "1"); !strings.HasPrefix(f, want) || !strings.Contains(f, `"keys":"x"`) {
		t.Errorf("as ann: %s", f)
	}
	s.subscribe(2, itemQuery, "")
	if f := ask(s, "2"); !strings.Contains(f, `"error":"Permission denied","code":119,"reconnect":false,"requestId":2`) {
		t.Errorf("refused: %s", f)
	}
	r.users.set("r:ann", "")
	r.hub.Revoke([]string{"ann"}, false)
	if f := ask(s, "1"); !strings.Contains(f, `"code":119`) {
		t.Errorf("after the session has ended: %s", f)
	}
	s = newRig(t, livequery.Options{}).connect(t, "")
	s.subscribe(1, itemQuery, "")
	if f := ask(s, "1"); !strings.Contains(f, "not served") {
		t.Errorf("without queries: %s", f)
	}
}
