package livequery_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/parse"
)

// Hooks may refuse a connection or a subscription and change its query;
// monitors see what clients do.
func TestHooks(t *testing.T) {
	app := cloudcode.New()
	var mu sync.Mutex
	var seen []string
	app.OnLiveQueryEvent(func(_ context.Context, r *cloudcode.LiveQueryEvent) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Event)
	})
	app.BeforeConnect(func(_ context.Context, r *cloudcode.ConnectRequest) error {
		if r.SessionToken == "" || r.ClientID == "" {
			return cloudcode.Err(parse.OperationForbidden, "log in first")
		}
		return nil
	})
	app.BeforeSubscribe("Item", func(_ context.Context, r *cloudcode.SubscribeRequest) error {
		if r.Where.Has("secret") {
			return cloudcode.Err(parse.OperationForbidden, "not that")
		}
		if r.Where.Has("k") { // not the fence of the test
			r.Where.Set("owner", "ann")
			r.Keys = []string{"n"}
		}
		return nil
	})
	r := newRig(t, livequery.Options{App: app})
	s := r.dial(t)
	s.send(`{"op":"connect","applicationId":"a"}`)
	if f := s.next(); f != `{"op":"error","error":"log in first","code":119,"reconnect":false,"requestId":null}` {
		t.Error(f)
	}
	s.send(`{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{}}}`)
	if f := s.next(); f != `{"op":"error","error":"Can not find this client, make sure you connect to server before subscribing","code":2,"reconnect":true,"requestId":null}` {
		t.Error(f)
	}
	c := r.connect(t, `,"sessionToken":"r:ann"`)
	c.send(`{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{"secret":1}}}`)
	if f := c.next(); f != `{"op":"error","error":"not that","code":119,"reconnect":false,"requestId":1}` {
		t.Error(f)
	}
	c.subscribe(2, `{"className":"Item","where":{"k":"v"}}`, "")
	c.fenceOn("Item")
	r.publish(t, created(obj("x", nil, "k", "v", "n", 1.0)), created(obj("y", nil, "k", "v", "n", 2.0, "owner", "ann")))
	frames := c.frames(r, "Item")
	if len(frames) != 1 {
		t.Errorf("%d frames: %v", len(frames), frames)
	}
	mu.Lock()
	got := seen
	mu.Unlock()
	if diff := cmp.Diff([]string{"ws_connect", "ws_connect", "connect", "subscribe", "subscribe"}, got); diff != "" {
		t.Error(diff)
	}
}
