package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestCommands(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{"classes":[{"className":"A","fields":{"x":{"type":"Text"}}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"version":           {[]string{"version"}, 0, "pargo ", ""},
		"help":              {[]string{"help"}, 0, "Usage:", ""},
		"nothing":           {nil, 2, "", "no command given"},
		"unknown command":   {[]string{"dance"}, 2, "", `unknown command "dance"`},
		"serve --help":      {[]string{"serve", "--help"}, 0, "PARSE_SERVER_DATABASE_URI", ""},
		"livequery --help":  {[]string{"livequery", "--help"}, 0, "Usage: pargo livequery", ""},
		"livequery alone":   {[]string{"livequery", "--port", "0"}, 1, "", "needs liveQueryServerOptions.redisURL"},
		"health --help":     {[]string{"health", "--help"}, 0, "Usage: pargo health", ""},
		"schema --help":     {[]string{"schema", "--help"}, 0, "Usage: pargo schema check FILE", ""},
		"schema check":      {[]string{"schema", "check", "../../schema.json"}, 0, "8 classes, no problems", ""},
		"schema check bad":  {[]string{"schema", "check", bad}, 1, "", "/classes/0/fields/x"},
		"schema plan none":  {[]string{"schema", "plan"}, 2, "", "pargo schema plan FILE"},
		"schema apply bad":  {[]string{"schema", "apply", bad, "--yes"}, 1, "", "/classes/0/fields/x"},
		"schema plan wrong": {[]string{"schema", "plan", "../../schema.json", "--colour", "red"}, 1, "", "unknown option '--colour'"},
		"schema dance":      {[]string{"schema", "dance"}, 2, "", "pargo schema check FILE"},
		"schema pull none":  {[]string{"schema", "pull", "--dataDir", filepath.Join(bad, "no")}, 1, "", "pargo.db"},
		"schema check none": {[]string{"schema", "check"}, 2, "", "pargo schema check FILE"},
		"wrong options":     {[]string{"serve", "--colour", "red", "--port", "99999"}, 1, "", "unknown option '--colour'"},
		"no server":         {[]string{"health", "--host", "127.0.0.1", "--port", "1"}, 1, "", "not reachable"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), tc.args, nil, &out, &errs)
			if code != tc.code || !strings.Contains(out.String(), tc.stdout) || !strings.Contains(errs.String(), tc.stderr) {
				t.Errorf("code %d\nstdout: %s\nstderr: %s", code, &out, &errs)
			}
		})
	}
}

func TestTheReasonIsTheLastLine(t *testing.T) {
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"serve", "--port", "99999"}, nil, io.Discard, &errs); code != 1 {
		t.Fatalf("code %d", code)
	}
	lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, "port must be between 0 and 65535") {
		t.Errorf("last line: %s", last)
	}
}

// output is a buffer that tests read while the program writes to it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
	c  chan struct{}
}

func newOutput() *output { return &output{c: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.c <- struct{}{}:
	default:
	}
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

var urlLine = regexp.MustCompile(`REST API +(\S+)`)

// start runs `pargo serve` on a free port and returns its URL once it serves.
func start(t *testing.T, dir string, flags ...string) (url string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	out := newOutput()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{
			"serve", "--dataDir", dir, "--host", "127.0.0.1", "--port", "0",
			"--schema", "../../schema.json", "--startLiveQueryServer", "--passwordCost", "4",
		}, flags...), nil, out, out)
	}()
	for {
		if strings.Contains(out.String(), "Stop with Ctrl-C") {
			return urlLine.FindStringSubmatch(out.String())[1], func() int { cancel(); return <-done }
		}
		select {
		case <-out.c:
		case code := <-done:
			t.Fatalf("ended with %d: %s", code, out)
		case <-time.After(20 * time.Second):
			cancel()
			t.Fatalf("does not serve: %s", out)
		}
	}
}

func request(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Parse-Application-Id", "pargo")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestAServerStopsCleanlyAndStartsAgainWithItsData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	url, stop := start(t, dir)
	status, body := request(t, http.MethodPost, url+"/users", `{"username":"a","password":"p","email":"a@example.com"}`)
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	var user struct{ SessionToken string }
	if err := json.Unmarshal([]byte(body), &user); err != nil {
		t.Fatal(err)
	}
	ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"op":"connect","applicationId":"pargo"}`)); err != nil {
		t.Fatal(err)
	}
	if _, msg, err := ws.Read(t.Context()); err != nil || !strings.Contains(string(msg), `"connected"`) {
		t.Fatalf("%s, %v", msg, err)
	}
	closed := make(chan error, 1)
	go func() {
		_, _, err := ws.Read(context.WithoutCancel(t.Context()))
		closed <- err
	}()
	if code := stop(); code != 0 {
		t.Errorf("a stopped server ends with %d", code)
	}
	if err := <-closed; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("websockets get a close frame, not %v", err)
	}
	url, stop = start(t, dir)
	status, body = request(t, http.MethodGet, url+"/users/me", "", "X-Parse-Session-Token", user.SessionToken)
	if status != http.StatusOK || !strings.Contains(body, `"username":"a"`) {
		t.Errorf("after a restart: %d %s", status, body)
	}
	if code := stop(); code != 0 {
		t.Errorf("second stop: %d", code)
	}
	info, err := os.Stat(filepath.Join(dir, "pargo.db"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("database file: %v, %v", info, err)
	}
}

// TestHealthOfAClosedServer: the server is asked with its key where its list of
// routes keeps others from asking.
func TestHealthOfAClosedServer(t *testing.T) {
	closed := []string{"--routeAllowList", "classes/.*", "--appId", "app", "--masterKey", "key"}
	url, stop := start(t, t.TempDir(), closed...)
	defer stop()
	if status, _ := request(t, "GET", url+"/health", ""); status == 200 {
		t.Error("anybody is told of the health")
	}
	port := url[strings.LastIndex(url, ":")+1 : strings.LastIndex(url, "/")]
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"health", "--host", "127.0.0.1", "--port", port}, closed...), nil, &out, &errs); code != 0 || !strings.Contains(out.String(), "ok") {
		t.Errorf("health: %d %s %s", code, &out, &errs)
	}
}

func TestTwoServersOnOnePort(t *testing.T) {
	url, stop := start(t, t.TempDir())
	defer stop()
	port := url[strings.LastIndex(url, ":")+1 : strings.LastIndex(url, "/")]
	var errs bytes.Buffer
	code := run(t.Context(), []string{"serve", "--dataDir", t.TempDir(), "--host", "127.0.0.1", "--port", port}, nil, io.Discard, &errs)
	if code != 1 || !strings.Contains(errs.String(), "address already in use") {
		t.Errorf("%d %s", code, &errs)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"health", "--host", "127.0.0.1", "--port", port}, nil, &out, io.Discard); code != 0 || !strings.Contains(out.String(), "ok") {
		t.Errorf("health: %d %s", code, &out)
	}
}
