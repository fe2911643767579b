package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// open lets clients create classes, for scenarios that need no schema.
func open(c *config.Config) { c.AllowClientClassCreation = true }

func TestCredentials(t *testing.T) {
	noHeader := map[string]string{"X-Parse-Application-Id": ""}
	keys := func(c *config.Config) {
		open(c)
		c.JavaScriptKey, c.RESTAPIKey, c.ReadOnlyMasterKey, c.MaintenanceKey = "js", "rest", "readonly", "maintenance"
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "application id", Config: open, Steps: []scenario.Step{
			{Name: "health needs none", Path: "/health", Header: noHeader, JSON: `{"status":"ok"}`},
			{Name: "missing", Path: "/classes/A", Header: noHeader, Status: 403, JSON: `{"error":"unauthorized"}`},
			{Name: "unknown", Path: "/classes/A", Header: map[string]string{"X-Parse-Application-Id": "other"}, Status: 403},
			{Name: "by Basic auth with the master key", Path: "/serverInfo", Header: map[string]string{"X-Parse-Application-Id": "", "Authorization": "Basic YXBwOm1hc3Rlcg=="}, JSON: `{"features":"*","parseServerVersion":"9.10.0"}`},
			{Name: "malformed Basic auth is ignored", Path: "/classes/A", Header: map[string]string{"X-Parse-Application-Id": "", "Authorization": "Basic ???"}, Status: 403},
			{
				Name: "in the body, as the JS SDK sends it", Method: "POST", Path: "/classes/A", Header: map[string]string{"X-Parse-Application-Id": "", "Content-Type": "text/plain"},
				Body: `{"_method":"POST","_ApplicationId":"app","_ClientVersion":"js8.6.0","_InstallationId":"i","n":1}`, Status: 201,
			},
			{
				Name: "a find in the body", Method: "POST", Path: "/classes/A", Header: noHeader,
				Body: `{"_method":"GET","_ApplicationId":"app","where":{"n":1},"limit":1}`, JSON: `{"results":[{"n":1,"...":0}]}`,
			},
			{
				Name: "master key in the body", Method: "POST", Path: "/serverInfo", Header: noHeader,
				Body: `{"_method":"GET","_ApplicationId":"app","_MasterKey":"master"}`, JSON: `{"...":0,"parseServerVersion":"*"}`,
			},
			{Name: "wrong type in the body", Method: "POST", Path: "/classes/A", Header: noHeader, Body: `{"_ApplicationId":"app","_SessionToken":1}`, Status: 403},
			{Name: "body keys are data when the header names the app", Method: "POST", Path: "/classes/A", Body: `{"_ApplicationId":"app"}`, Code: parse.InvalidKeyName, Error: "Invalid field name: _ApplicationId."},
			{Name: "_noBody is dropped", Method: "POST", Path: "/classes/A", Body: `{"_noBody":true,"n":2}`, Status: 201},
			{Name: "context must be an object", Path: "/classes/A", Header: map[string]string{"X-Parse-Cloud-Context": "[]"}, Code: parse.InvalidJSON, Error: "Invalid object for context."},
		}},
		{Name: "client keys", Config: keys, Steps: []scenario.Step{
			{Name: "none", Path: "/classes/A", Status: 403},
			{Name: "wrong", Path: "/classes/A", Header: map[string]string{"X-Parse-REST-API-Key": "js"}, Status: 200},
			{Name: "unknown", Path: "/classes/A", Header: map[string]string{"X-Parse-REST-API-Key": "x"}, Status: 403},
			{Name: "rest", Path: "/classes/A", Header: map[string]string{"X-Parse-REST-API-Key": "rest"}},
			{Name: "by Basic auth", Path: "/classes/A", Header: map[string]string{"X-Parse-Application-Id": "", "Authorization": "Basic YXBwOmphdmFzY3JpcHQta2V5PWpz"}},
			{Name: "master needs none", Path: "/classes/A", As: "master"},
			{Name: "read-only master reads", Path: "/serverInfo", Header: map[string]string{"X-Parse-Master-Key": "readonly"}},
			{Name: "read-only master does not write", Method: "POST", Path: "/classes/A", Body: `{}`, Header: map[string]string{"X-Parse-Master-Key": "readonly"}, Code: parse.OperationForbidden, Error: "Permission denied"},
			{Name: "maintenance has no master routes", Path: "/serverInfo", Header: map[string]string{"X-Parse-Maintenance-Key": "maintenance"}, Status: 403},
		}},
		{Name: "master key from foreign addresses", Config: func(c *config.Config) { open(c); c.MasterKeyIPs = []string{"10.0.0.0/8"} }, Steps: []scenario.Step{
			{Name: "refused", Path: "/classes/A", As: "master", Status: 403, JSON: `{"error":"unauthorized"}`},
			{Name: "a client is not concerned", Path: "/classes/A"},
		}},
		{Name: "sanitized errors", Config: open, Steps: []scenario.Step{
			{Name: "master only", Path: "/serverInfo", Status: 403, JSON: `{"error":"Permission denied"}`},
		}},
		{Name: "plain errors", Config: func(c *config.Config) { open(c); c.EnableSanitizedErrorResponse = false }, Steps: []scenario.Step{
			{Name: "master only", Path: "/serverInfo", Status: 403, JSON: `{"error":"unauthorized: master key is required"}`},
		}},
		{Name: "allowed routes", Config: func(c *config.Config) { open(c); c.RouteAllowList = []string{"classes/Open", "batch"} }, Steps: []scenario.Step{
			{Name: "listed", Path: "/classes/Open"},
			{Name: "not listed", Path: "/classes/Closed", Code: parse.OperationForbidden},
			{Name: "not by batch", Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"GET","path":"/parse/users"}]}`, Code: parse.OperationForbidden},
			{Name: "master may", Path: "/classes/Closed", As: "master"},
			{Name: "nor health", Path: "/health", Code: parse.OperationForbidden},
			{Name: "master sees health", Path: "/health", As: "master"},
		}},
		{Name: "health among allowed routes", Config: func(c *config.Config) { open(c); c.RouteAllowList = []string{"health"} }, Steps: []scenario.Step{
			{Name: "listed", Path: "/health", JSON: `{"status":"ok"}`},
			{Name: "not listed", Path: "/classes/Open", Code: parse.OperationForbidden},
		}},
		{Name: "allowed routes, by alternatives", Config: func(c *config.Config) { open(c); c.RouteAllowList = []string{"users|users/me"} }, Steps: []scenario.Step{
			{Name: "the longer one", Path: "/users/me", Code: parse.InvalidSessionToken},
			{Name: "no other", Path: "/users/x", Code: parse.OperationForbidden},
		}},
		{Name: "no allowed routes", Config: func(c *config.Config) { open(c); c.RouteAllowList = []string{} }, Steps: []scenario.Step{
			{Name: "closed", Path: "/classes/Open", Code: parse.OperationForbidden},
			{Name: "master may", Path: "/classes/Open", As: "master"},
		}},
	})
}

func TestRequests(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{
		{Name: "paths and bodies", Config: open, Steps: []scenario.Step{
			{Name: "create", Method: "POST", Path: "/classes/A", Body: `{"n":1}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*"}`, Save: map[string]string{"objectId": "id"}},
			{Name: "double slash", Path: "//classes/A/{{id}}", JSON: `{"n":1,"...":0}`},
			{Name: "trailing slash", Path: "/classes/A/{{id}}/", JSON: `{"n":1,"...":0}`},
			{Name: "route in capitals", Path: "/CLASSES/A/{{id}}", JSON: `{"n":1,"...":0}`},
			{Name: "unknown route", Path: "/nope", Status: 404, JSON: `{"error":"Cannot GET /parse/nope"}`},
			{Name: "unknown verb", Method: "PATCH", Path: "/classes/A", Body: `{}`, Status: 404},
			{Name: "malformed JSON", Method: "POST", Path: "/classes/A", Body: `{"a":`, Status: 400, JSON: `{"error":"Unexpected end of JSON input"}`},
			{Name: "a bare string", Method: "POST", Path: "/classes/A", Body: `"x"`, Status: 400},
			{Name: "an array", Method: "POST", Path: "/classes/A", Body: `[1]`, Code: parse.InvalidKeyName},
			{Name: "empty body", Method: "POST", Path: "/classes/A", Status: 201},
			{Name: "a form", Method: "POST", Path: "/classes/A", Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, Body: `s=x+y`, Status: 201, Save: map[string]string{"objectId": "form"}},
			{Name: "the form's value", Path: "/classes/A/{{form}}", JSON: `{"s":"x y","...":0}`},
			{Name: "brackets in the query string", Path: "/classes/A", Query: map[string]string{"where[s]": "x y"}, JSON: `{"results":[{"s":"x y","...":0}]}`},
			{Name: "unknown parameter", Path: "/classes/A", Query: map[string]string{"wher": "{}"}, Code: parse.InvalidQuery, Error: "Invalid parameter for query: wher"},
			{Name: "unknown parameter of a get", Path: "/classes/A/{{id}}", Query: map[string]string{"where": "{}"}, Code: parse.InvalidQuery, Error: "Improper encode of parameter"},
			{Name: "where is not JSON", Path: "/classes/A", Query: map[string]string{"where": "{"}, Code: parse.InvalidJSON, Error: "where parameter is not valid JSON"},
		}},
		{Name: "size", Config: func(c *config.Config) { open(c); c.MaxUploadSize = "1kb" }, Steps: []scenario.Step{
			{Name: "within", Method: "POST", Path: "/classes/A", Body: `{"s":"` + strings.Repeat("x", 900) + `"}`, Status: 201},
			{Name: "over", Method: "POST", Path: "/classes/A", Body: `{"s":"` + strings.Repeat("x", 1100) + `"}`, Status: 413, JSON: `{"error":"request entity too large"}`},
		}},
	})
}

func TestHeaders(t *testing.T) {
	s := scenario.Start(t, "sqlite::memory:", func(c *config.Config) {
		open(c)
		c.AllowOrigin = []string{"https://a.example", "https://b.example"}
		c.AllowHeaders = []string{"X-Mine"}
	}, nil)
	send := func(method, path string, header map[string]string, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "/parse"+path, strings.NewReader(body))
		r.Header.Set("X-Parse-Application-Id", scenario.AppID)
		for k, v := range header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		return w
	}
	w := send(http.MethodOptions, "/anything", map[string]string{"Origin": "https://b.example", "X-Parse-Application-Id": "wrong"}, "")
	if w.Code != 200 || w.Body.String() != "OK" || w.Header().Get("Access-Control-Allow-Origin") != "https://b.example" {
		t.Errorf("preflight: %d %q %v", w.Code, w.Body, w.Header())
	}
	if h := w.Header().Get("Access-Control-Allow-Headers"); !strings.HasSuffix(h, ", X-Mine") {
		t.Errorf("allowed headers: %s", h)
	}
	w = send(http.MethodPost, "/classes/A", map[string]string{"Origin": "https://evil.example"}, `{"n":1}`)
	if got := w.Header().Get("Access-Control-Allow-Origin"); got != "https://a.example" {
		t.Errorf("foreign origin gets the first of the list, not %q", got)
	}
	location := w.Header().Get("Location")
	if !strings.HasPrefix(location, "http://example.com/parse/classes/A/") {
		t.Errorf("Location: %q", location)
	}
	path := strings.TrimPrefix(location, "http://example.com/parse")
	w = send(http.MethodGet, path, nil, "")
	tag := w.Header().Get("Etag")
	if ct := w.Header().Get("Content-Type"); ct != "application/json; charset=utf-8" || !strings.HasPrefix(tag, `W/"`) {
		t.Errorf("content type %q, etag %q", ct, tag)
	}
	if w = send(http.MethodGet, path, map[string]string{"If-None-Match": tag}, ""); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("conditional get: %d with %d bytes", w.Code, w.Body.Len())
	}
	if w = send(http.MethodHead, path, nil, ""); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

func TestBatch(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{Name: "batch", Config: open, Steps: []scenario.Step{
		{
			Name: "writes", Method: "POST", Path: "/batch", Body: `{"requests":[
			{"method":"POST","path":"/parse/classes/A","body":{"n":1}},{"method":"POST","path":"/parse//classes/A","body":{"n":2}},
			{"method":"POST","path":"/parse/classes/A","body":{"n":{"__op":"Explode"}}}]}`,
			JSON: `[{"success":{"objectId":"*","createdAt":"*"}},{"success":{"objectId":"*","createdAt":"*"}},{"error":{"code":108,"error":"*"}}]`,
			Save: map[string]string{"0.success.objectId": "a", "1.success.objectId": "b"},
		},
		{
			Name: "every verb", Method: "POST", Path: "/batch", Body: `{"requests":[
			{"method":"PUT","path":"/parse/classes/A/{{a}}","body":{"n":{"__op":"Increment","amount":5}}},
			{"method":"DELETE","path":"/parse/classes/A/{{b}}"},{"method":"GET","path":"/parse/classes/A/none"}]}`,
			JSON: `[{"success":{"updatedAt":"*","n":6}},{"success":{}},{"error":{"code":101,"error":"Object not found."}}]`,
		},
		{
			Name: "a find", Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"GET","path":"/parse/classes/A","body":{"where":{"n":6},"keys":"n"}}]}`,
			JSON: `[{"success":{"results":[{"objectId":"{{a}}","n":6,"createdAt":"*","updatedAt":"*"}]}}]`,
		},
		{Name: "nothing", Method: "POST", Path: "/batch", Body: `{"requests":[]}`, JSON: `[]`},
		{Name: "requests is no array", Method: "POST", Path: "/batch", Body: `{"requests":1}`, Code: parse.InvalidJSON, Error: "requests must be an array"},
		{Name: "path is no string", Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"GET","path":1}]}`, Code: parse.InvalidJSON, Error: "batch request path must be a string"},
		{Name: "path without prefix", Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"GET","path":"/classes/A"}]}`, Code: parse.InvalidJSON, Error: "cannot route batch path /classes/A"},
		{Name: "no such route", Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"POST","path":"/parse/nope"}]}`, Code: parse.InvalidJSON, Error: "cannot route POST /nope"},
		{Name: "nested", Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"POST","path":"/parse/batch","body":{"requests":[]}}]}`, Code: parse.InvalidJSON, Error: "nested batch requests are not allowed"},
		{Name: "master-only item", Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"GET","path":"/parse/serverInfo"}]}`, JSON: `[{"error":{"error":"Permission denied"}}]`},
	}}})
}

func TestBatchTransaction(t *testing.T) {
	s := scenario.Start(t, scenario.Databases()[0].URI(t), open, nil)
	for _, st := range []scenario.Step{
		{
			Name: "all", Method: "POST", Path: "/batch", Body: `{"transaction":true,"requests":[{"method":"POST","path":"/parse/classes/A","body":{"n":1}},{"method":"POST","path":"/parse/classes/A","body":{"n":2}}]}`,
			JSON: `[{"success":{"objectId":"*","createdAt":"*"}},{"success":{"objectId":"*","createdAt":"*"}}]`,
		},
		{Name: "or none", Method: "POST", Path: "/batch", Body: `{"transaction":true,"requests":[{"method":"POST","path":"/parse/classes/A","body":{"n":3}},{"method":"POST","path":"/parse/classes/A","body":{"n":"text"}}]}`, Code: parse.IncorrectType},
		{Name: "is seen", Path: "/classes/A", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":2}`},
	} {
		s.Do(t, &st)
	}
}
