package capture_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/mail"
	"github.com/pargo-baas/pargo/internal/mail/capture"
)

func open(t *testing.T, dir string) *capture.Adapter {
	t.Helper()
	a, err := capture.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestMailsAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail")
	a := open(t, dir)
	for i := range 503 {
		m := mail.Message{To: "a@x.y", Subject: fmt.Sprint("number ", i+1), Text: "t", HTML: "<p>h</p>"}
		if err := a.Send(t.Context(), &m); err != nil {
			t.Fatal(err)
		}
	}
	a = open(t, dir) // they outlive the server
	if err := a.Send(t.Context(), &mail.Message{To: "a@x.y", Subject: "last"}); err != nil {
		t.Fatal(err)
	}
	list, err := a.List()
	if err != nil || len(list) != 500 || list[0].Subject != "last" || list[0].ID != "504" || list[499].ID != "5" {
		t.Fatalf("%d mails, %v", len(list), err)
	}
	if list[1].HTML != "<p>h</p>" || list[1].Text != "t" || list[1].At.IsZero() {
		t.Errorf("got %+v", list[1])
	}
	info, err := os.Stat(filepath.Join(dir, "504.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, id := range []string{"1", "x", "../504", "", "0504", "-1"} {
		if m, err := a.Get(id); m != nil || err != nil {
			t.Errorf("%q: %v %v", id, m, err)
		}
	}
	if err := a.Clear(); err != nil {
		t.Fatal(err)
	}
	if list, err := a.List(); err != nil || len(list) != 0 {
		t.Errorf("after Clear: %v %v", list, err)
	}
}

func TestView(t *testing.T) {
	a := open(t, t.TempDir())
	h := a.Handler(slog.New(slog.DiscardHandler))
	do := func(method, path string, header map[string]string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		r.RemoteAddr, r.Host = "127.0.0.1:9", "localhost:1337"
		for k, v := range header {
			switch k {
			case "Host":
				r.Host = v
			case "Peer":
				r.RemoteAddr = v
			default:
				r.Header.Set(k, v)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := do("GET", "/dev/mail", nil); w.Code != 200 || !strings.Contains(w.Body.String(), "There are no mails yet") {
		t.Errorf("empty: %d %s", w.Code, w.Body)
	}
	m := mail.Message{To: "<b>@x.y", Subject: "<script>1</script>", Text: "<i>", HTML: "<script>2</script>"}
	if err := a.Send(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/dev/mail", "/dev/mail/1"} {
		w := do("GET", path, nil)
		if got := w.Body.String(); w.Code != 200 || strings.Contains(got, "<script>") || !strings.Contains(got, "&lt;script&gt;1") {
			t.Errorf("%s: %d %s", path, w.Code, got)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
			t.Errorf("%s: policy %s", path, csp)
		}
	}
	if w := do("GET", "/dev/mail/1.html", nil); !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "sandbox ") || strings.Contains(w.Header().Get("Content-Security-Policy"), "allow-scripts") {
		t.Errorf("HTML of a mail: %v", w.Header())
	}
	var list []capture.Mail
	if w := do("GET", "/dev/mail.json", nil); json.Unmarshal(w.Body.Bytes(), &list) != nil || len(list) != 1 || list[0].Subject != m.Subject {
		t.Errorf("as JSON: %s", w.Body)
	}
	if w := do("GET", "/dev/mail", map[string]string{"Accept": "application/json"}); json.Unmarshal(w.Body.Bytes(), &list) != nil {
		t.Errorf("as JSON: %s", w.Body)
	}
	for _, tc := range []struct {
		name, method, path string
		header             map[string]string
		status             int
	}{
		{"unknown", "GET", "/dev/mail/9", nil, 404},
		{"no HTML", "GET", "/dev/mail/9.html", nil, 404},
		{"another verb", "PUT", "/dev/mail", nil, 405},
		{"another machine", "GET", "/dev/mail", map[string]string{"Peer": "10.0.0.9:1"}, 403},
		{"a name pointed here", "GET", "/dev/mail", map[string]string{"Host": "evil.example.com"}, 403},
		{"a page of another site", "POST", "/dev/mail/clear", map[string]string{"Origin": "http://evil.example.com"}, 403},
		{"IPv6", "GET", "/dev/mail", map[string]string{"Peer": "[::1]:9", "Host": "[::1]:1337"}, 200},
		{"IPv6 without a port", "GET", "/dev/mail", map[string]string{"Host": "[::1]"}, 200},
		{"clear", "POST", "/dev/mail/clear", map[string]string{"Origin": "http://localhost:1337"}, 303},
		{"delete", "DELETE", "/dev/mail", nil, http.StatusNoContent},
	} {
		if w := do(tc.method, tc.path, tc.header); w.Code != tc.status {
			t.Errorf("%s: %d, want %d", tc.name, w.Code, tc.status)
		}
	}
	if list, err := a.List(); err != nil || len(list) != 0 {
		t.Errorf("after clear: %v %v", list, err)
	}
}
