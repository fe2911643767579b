package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// hookServer answers webhooks by their path and counts them.
type hookServer struct {
	*httptest.Server
	mu    sync.Mutex
	calls map[string]int    // by path, guarded by mu
	told  chan string       // ids of objects that /after got
	key   map[string]string // the key that a path was called with, guarded by mu
}

func newHookServer(t *testing.T) *hookServer {
	t.Helper()
	h := &hookServer{calls: map[string]int{}, told: make(chan string, 100), key: map[string]string{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Params map[string]any `json:"params"`
			Object map[string]any `json:"object"`
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		h.calls[r.URL.Path]++
		h.key[r.URL.Path] = r.Header.Get("X-Parse-Webhook-Key")
		h.mu.Unlock()
		switch r.URL.Path {
		case "/double":
			n, _ := m.Params["n"].(float64)
			_ = json.NewEncoder(w).Encode(map[string]any{"success": 2 * n})
		case "/refuse":
			_, _ = io.WriteString(w, `{"error":{"code":999,"message":"not today"}}`)
		case "/stamp":
			m.Object["stamped"], m.Object["seen"] = true, m.Object["a"]
			_ = json.NewEncoder(w).Encode(map[string]any{"success": m.Object})
		case "/hear":
			_, _ = io.WriteString(w, `{}`)
		case "/after":
			id, _ := m.Object["objectId"].(string)
			h.told <- id
			_, _ = io.WriteString(w, `{"success":{}}`)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func TestWebhooks(t *testing.T) {
	h := newHookServer(t)
	function := func(name, path string) string {
		return `{"functionName":"` + name + `","url":"` + h.URL + path + `"}`
	}
	trigger := func(name, path string) string {
		return `{"className":"Thing","triggerName":"` + name + `","url":"` + h.URL + path + `"}`
	}
	scenario.Run(t, []scenario.Scenario{{
		Name: "declare and call",
		Config: func(c *config.Config) {
			c.AllowClientClassCreation, c.ReadOnlyMasterKey, c.WebhookKey = true, "readonly", "hook-key"
		},
		Cloud: func(app *cloudcode.App) { countAll(app, "Thing") },
		Steps: []scenario.Step{
			{Name: "clients list none", Path: "/hooks/functions", Status: 403},
			{Name: "none", Path: "/hooks/functions", As: "master", JSON: `[]`},
			{Name: "unknown", Path: "/hooks/functions/double", As: "master", Code: 143, Error: "no function named: double is defined"},
			{Name: "incomplete", Method: "POST", Path: "/hooks/functions", As: "master", Body: `{"functionName":"double"}`, Code: 143, Error: "invalid hook declaration"},
			{Name: "the read-only key declares none", Method: "POST", Path: "/hooks/functions", Header: asReadOnly, Body: function("double", "/double"), Code: parse.OperationForbidden},
			{Name: "declare", Method: "POST", Path: "/hooks/functions", As: "master", Body: function("double", "/double"), JSON: function("double", "/double")},
			{Name: "once", Method: "POST", Path: "/hooks/functions", As: "master", Body: function("double", "/double"), Code: 143, Error: "function name: double already exists"},
			{Name: "get", Path: "/hooks/functions/double", As: "master", JSON: function("double", "/double")},
			{Name: "call", Method: "POST", Path: "/functions/double", Body: `{"n":21}`, JSON: `{"result":42}`},
			{Name: "change", Method: "PUT", Path: "/hooks/functions/double", As: "master", Body: `{"url":"` + h.URL + `/refuse"}`, JSON: function("double", "/refuse")},
			{Name: "its error", Method: "POST", Path: "/functions/double", Body: `{"n":21}`, Code: parse.ScriptFailed, Error: "not today"},
			{Name: "change an unknown one", Method: "PUT", Path: "/hooks/functions/nope", As: "master", Body: `{"url":"u"}`, Code: 143, Error: "no function named: nope is defined"},
			{Name: "it wins over one in Go", Method: "POST", Path: "/hooks/functions", As: "master", Body: function("ran", "/double")},
			{Name: "called", Method: "POST", Path: "/functions/ran", Body: `{"n":1}`, JSON: `{"result":2}`},
			{Name: "remove", Method: "PUT", Path: "/hooks/functions/ran", As: "master", Body: `{"__op":"Delete"}`, JSON: `{}`},
			ran("nothing so far, by the one in Go", `{}`),
			{Name: "removed", Method: "PUT", Path: "/hooks/functions/ran", As: "master", Body: `{"__op":"Delete"}`, Code: parse.ObjectNotFound, Error: "Object not found."},

			{Name: "forbidden", Method: "POST", Path: "/hooks/triggers", As: "master", Body: `{"className":"_Session","triggerName":"beforeSave","url":"u"}`, Code: 143, Error: "Only the afterLogout trigger is allowed for the _Session class."},
			{Name: "before a save", Method: "POST", Path: "/hooks/triggers", As: "master", Body: trigger("beforeSave", "/stamp"), JSON: trigger("beforeSave", "/stamp")},
			{Name: "once", Method: "POST", Path: "/hooks/triggers", As: "master", Body: trigger("beforeSave", "/stamp"), Code: 143, Error: "class Thing already has trigger beforeSave"},
			{Name: "after a save", Method: "POST", Path: "/hooks/triggers", As: "master", Body: trigger("afterSave", "/after")},
			{Name: "before a delete", Method: "POST", Path: "/hooks/triggers", As: "master", Body: trigger("beforeDelete", "/refuse")},
			{Name: "list", Path: "/hooks/triggers", As: "master", JSON: `[` + trigger("afterSave", "/after") + `,` + trigger("beforeDelete", "/refuse") + `,` + trigger("beforeSave", "/stamp") + `]`},
			{Name: "get", Path: "/hooks/triggers/Thing/afterSave", As: "master", JSON: trigger("afterSave", "/after")},
			{Name: "get an unknown one", Path: "/hooks/triggers/Other/afterSave", As: "master", Code: 143, Error: "class Other does not exist"},
			{Name: "save", Method: "POST", Path: "/classes/Thing", Body: `{"a":1}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*","stamped":true,"seen":1}`, Save: map[string]string{"objectId": "thing"}},
			ran("Go and the webhook", `{"beforeSave Thing":1,"afterSave Thing":1}`),
			{Name: "stored", Path: "/classes/Thing/{{thing}}", JSON: `{"a":1,"stamped":true,"...":0}`},
			{Name: "an update shows it values and no operations", Method: "PUT", Path: "/classes/Thing/{{thing}}", Body: `{"a":{"__op":"Increment","amount":2}}`, JSON: `{"updatedAt":"*","a":3,"seen":3}`},
			ran("the get and the update", `{"beforeFind Thing":1,"afterFind Thing":1,"beforeSave Thing":1,"afterSave Thing":1}`),
			{Name: "delete", Method: "DELETE", Path: "/classes/Thing/{{thing}}", Code: parse.ScriptFailed, Error: "not today"},
			{Name: "another host", Method: "PUT", Path: "/hooks/triggers/Thing/beforeDelete", As: "master", Body: `{"url":"` + h.URL + `/broken"}`},
			{Name: "that fails", Method: "DELETE", Path: "/classes/Thing/{{thing}}", Code: parse.ScriptFailed, Error: "The webhook answered with status 500."},
			{Name: "remove", Method: "PUT", Path: "/hooks/triggers/Thing/beforeDelete", As: "master", Body: `{"__op":"Delete"}`, JSON: `{}`},
			{Name: "delete", Method: "DELETE", Path: "/classes/Thing/{{thing}}", JSON: `{}`},
		},
	}})
	h.mu.Lock()
	defer h.mu.Unlock()
	for path, key := range h.key {
		if key != "hook-key" {
			t.Errorf("%s was called with the key %q", path, key)
		}
	}
}

// Webhooks outlive the server that they were declared on, and what follows a
// write arrives.
func TestWebhooksAfterRestart(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		h := newHookServer(t)
		uri := db.URI(t)
		t.Run("first server", func(t *testing.T) {
			s := scenario.Start(t, uri, open, nil)
			s.Do(t, &scenario.Step{Method: "POST", Path: "/hooks/triggers", As: "master", Body: `{"className":"Thing","triggerName":"afterSave","url":"` + h.URL + `/after"}`})
			s.Do(t, &scenario.Step{Method: "POST", Path: "/hooks/functions", As: "master", Body: `{"functionName":"double","url":"` + h.URL + `/double"}`})
		})
		t.Run("second server", func(t *testing.T) {
			s := scenario.Start(t, uri, open, nil)
			s.Do(t, &scenario.Step{Method: "POST", Path: "/functions/double", Body: `{"n":2}`, JSON: `{"result":4}`})
			body := s.Do(t, &scenario.Step{Method: "POST", Path: "/classes/Thing", Body: `{}`, Status: 201})
			if id := <-h.told; !strings.Contains(body, `"`+id+`"`) {
				t.Errorf("the hook was told of %s", id)
			}
		})
	})
}

// Webhooks hear of connections, subscriptions and events, and may refuse them.
func TestWebhooksOfLiveQueries(t *testing.T) {
	h := newHookServer(t)
	s := scenario.Start(t, inMemory.URI(t), func(c *config.Config) {
		c.AllowClientClassCreation, c.WebhookKey, c.StartLiveQueryServer = true, "hook-key", true
		c.LiveQuery.ClassNames = []string{"Thing"}
	}, nil)
	declare := func(class, trigger, path string) {
		t.Helper()
		s.Do(t, &scenario.Step{
			Name: trigger, Method: "POST", Path: "/hooks/triggers", As: "master",
			Body: `{"className":"` + class + `","triggerName":"` + trigger + `","url":"` + h.URL + path + `"}`,
		})
	}
	change := func(class, trigger, path string) {
		t.Helper()
		s.Do(t, &scenario.Step{
			Name: trigger, Method: "PUT", Path: "/hooks/triggers/" + class + "/" + trigger, As: "master", Body: `{"url":"` + h.URL + path + `"}`,
		})
	}
	save := func() {
		t.Helper()
		s.Do(t, &scenario.Step{Name: "save", Method: "POST", Path: "/classes/Thing", Body: `{"a":1}`, Status: 201})
	}
	declare("@Connect", "beforeConnect", "/hear")
	declare("Thing", "beforeSubscribe", "/hear")
	declare("Thing", "afterEvent", "/hear")
	l := dial(t, s, "Thing", "")
	save()
	if f := l.next(); f.Op != "create" || f.Object["a"] != 1.0 {
		t.Errorf("%+v", f)
	}
	h.mu.Lock()
	calls := h.calls["/hear"]
	h.mu.Unlock()
	if calls != 3 {
		t.Errorf("%d calls, want one for the connection, one for the subscription and one for the event", calls)
	}
	refused := func(f frame) {
		t.Helper()
		if f.Op != "error" || f.Code != parse.ScriptFailed || f.Error != "not today" {
			t.Errorf("%+v", f)
		}
	}
	change("Thing", "afterEvent", "/refuse")
	save()
	refused(l.next())
	change("Thing", "beforeSubscribe", "/refuse")
	refused(l.subscribe(2, "Thing", `"where":{}`))
	change("@Connect", "beforeConnect", "/refuse")
	ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	l = &live{t: t, ws: ws}
	l.send(`{"op":"connect","applicationId":"` + scenario.AppID + `"}`)
	refused(l.next())
}
