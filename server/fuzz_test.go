package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// fuzzed is a server for a fuzz target, and its log of errors.
func fuzzed(f *testing.F) (http.Handler, *record) {
	f.Helper()
	cfg := config.Default()
	cfg.AppID, cfg.MasterKey, cfg.Host, cfg.Port, cfg.PasswordCost = "app", "master", "127.0.0.1", 0, 4
	cfg.DatabaseURI, cfg.DataDir, cfg.AllowClientClassCreation = "sqlite::memory:", f.TempDir(), true
	cfg.MasterKeyIPs = []string{"0.0.0.0/0"}
	cfg.Development, cfg.VerifyUserEmails = true, true // mails are kept
	cfg.LoginThrottleOptions = json.RawMessage("false")
	var log record
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	s, err := server.New(ctx, cfg, server.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))))
	if err != nil {
		cancel()
		f.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	f.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			f.Error(err)
		}
	})
	return s.Handler(), &log
}

// FuzzRequest sends arbitrary bodies, with credentials in headers, in the body
// or as Basic authorization: no answer is 500, and all are JSON.
func FuzzRequest(f *testing.F) {
	paths := []string{
		"/classes/A", "/classes/A/x", "/users", "/login", "/users/me", "/sessions/me", "/batch", "/functions/f", "/roles", "/installations",
		"/upgradeToRevocableSession", "/aggregate/A", "/config", "/schemas/B", "/logout", "/challenge", "/events/AppOpened",
		"/requestPasswordReset", "/verificationEmailRequest", "/sessions", "/schemas", "/push_audiences", "/cloud_code/jobs", "/purge/A",
	}
	for i, body := range []string{
		`{"_method":"GET","where":{"a":{"$gt":1}},"order":"-a,b","keys":"a,b.c","include":"p.q","limit":1,"skip":0,"count":1}`,
		`{"_ApplicationId":"app","_MasterKey":"master","_method":"PUT","a":{"__op":"Increment","amount":1},"ACL":{"*":{"read":true},"role:x":{"write":true}}}`,
		`{"_ApplicationId":"app","_SessionToken":"r:abc","_InstallationId":"i","_ClientVersion":"js1","_context":"{\"a\":1}","_noBody":true,"_method":"DELETE"}`,
		`{"_ApplicationId":["app"],"_method":{"a":1},"_ContentType":1}`, `{"_method":"HEAD"}`, `{"_method":"get\u0000"}`,
		`{"username":"u","password":"p","email":"u@x.y","authData":{"anonymous":{"id":"1"}},"ACL":{"u":{"read":1}}}`,
		`{"requests":[{"method":"POST","path":"/parse/classes/A","body":{"a":[{"__type":"Date","iso":"x"}]}}],"transaction":true}`,
		`{"_method":"GET","where":"{\"$or\":[{\"p\":{\"$inQuery\":{\"className\":\"A\",\"where\":{}}}}]}","order":["a"],"keys":["a"],"excludeKeys":"b","includeAll":"1","cursor":""}`,
		`{"ACL":{"*":{"read":true,"write":"x"}},"a.b":1,"r":{"__op":"AddRelation","objects":[{"__type":"Pointer","className":"A","objectId":"x"}]}}`,
		`{"className":"B","fields":{"a":{"type":"Pointer","targetClass":"A"}},"classLevelPermissions":{"find":{"*":true,"requiresAuthentication":true,"pointerFields":["a"]},"protectedFields":{"*":["a"],"userField:a":[]},"readUserFields":["a"]},"indexes":{"i":{"a":1}}}`,
		`{"email":"u@x.y","token":"t","username":{"$ne":1}}`, `{"params":{"a":1},"name":"n","query":"{}"}`,
		`[1,2]`, `"x"`, ``, "\x00", `{"a":1e999}`,
	} {
		f.Add(uint8(i), uint8(i), "r:abc", body)
	}
	f.Add(uint8(2), uint8(0), "YXBwOm1hc3Rlcg==", `{}`)
	h, log := fuzzed(f)
	f.Fuzz(func(t *testing.T, path, how uint8, token, body string) {
		target := "/parse" + paths[int(path)%len(paths)]
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		switch how % 4 {
		case 0:
			r.Header.Set("X-Parse-Application-Id", "app")
			r.Header["X-Parse-Session-Token"] = []string{token}
		case 1:
			r.Header.Set("X-Parse-Application-Id", "app")
			r.Header.Set("X-Parse-Master-Key", "master")
			r.Header["X-Parse-Cloud-Context"] = []string{token}
		case 2:
			r.Header["Authorization"] = []string{"Basic " + token}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Fatalf("%s: %d %s", target, w.Code, w.Body)
		}
		if b := w.Body.Bytes(); len(b) > 0 && strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !json.Valid(b) {
			t.Fatalf("%s answers no JSON: %s", target, b)
		}
		if text := log.text(); bytes.Contains([]byte(text), []byte("panic")) {
			t.Fatal(text)
		}
	})
}
