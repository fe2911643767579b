package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pargo-baas/pargo/internal/scenario"
)

// process is a pargo of its own.
type process struct {
	t    *testing.T
	args []string
	cmd  *exec.Cmd
	url  string
}

var served = regexp.MustCompile(`Health +(\S+)/health`)

// begin starts the process; it serves when begin returns.
func (p *process) begin() {
	p.t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(p.t.Context()), os.Args[0], p.args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = cmd
	p.url = ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := served.FindStringSubmatch(lines.Text()); m != nil {
			p.url = m[1]
		}
		if strings.Contains(lines.Text(), "Stop with Ctrl-C") {
			return
		}
	}
	p.t.Fatalf("%v does not serve: %v", p.args, cmd.Wait())
}

// kill ends it without any warning.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Error(err)
	}
	_ = p.cmd.Wait() // says that it was killed
}

// listener is a client of live queries.
type listener struct {
	t  *testing.T
	ws *websocket.Conn
}

func (p *process) listen(app string) *listener {
	p.t.Helper()
	ws, _, err := websocket.Dial(p.t.Context(), "ws"+strings.TrimPrefix(p.url, "http"), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = ws.CloseNow() })
	l := &listener{p.t, ws}
	for _, m := range []string{`{"op":"connect","applicationId":"` + app + `"}`, `{"op":"subscribe","requestId":1,"query":{"className":"Note","where":{}}}`} {
		if err := ws.Write(p.t.Context(), websocket.MessageText, []byte(m)); err != nil {
			p.t.Fatal(err)
		}
		l.next()
	}
	return l
}

func (l *listener) next() (op, name string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	_, data, err := l.ws.Read(ctx)
	if err != nil {
		l.t.Fatalf("no event: %v", err)
	}
	var f struct {
		Op     string
		Object struct{ Name string }
	}
	if err := json.Unmarshal(data, &f); err != nil {
		l.t.Fatalf("%s: %v", data, err)
	}
	return f.Op, f.Object.Name
}

// Three servers and one for live queries alone, on one database and one Redis:
// clients of all hear of the writes of all, once and in order; also after one of
// them was killed and started again.
func TestLiveQueriesAcrossProcesses(t *testing.T) {
	redis := os.Getenv("PARGO_TEST_REDIS_URL")
	if redis == "" {
		t.Skip("PARGO_TEST_REDIS_URL is not set: no live queries across processes")
	}
	var uri string
	for _, db := range scenario.Databases() {
		if db.Name == "mongodb" {
			uri = db.URI(t)
		}
	}
	// The channels are those of the application: runs of the test must not meet.
	app := "pargo" + strconv.FormatInt(time.Now().UnixNano(), 36)
	common := []string{
		"--databaseURI", uri, "--appId", app, "--masterKey", "master", "--host", "127.0.0.1", "--port", "0", "--passwordCost", "4",
		"--liveQueryServerOptions", fmt.Sprintf(`{"redisURL":%q}`, redis),
	}
	serve := append([]string{
		"serve", "--startLiveQueryServer", "--liveQuery", fmt.Sprintf(`{"classNames":["Note"],"redisURL":%q}`, redis),
		"--schema", `{"definitions":[{"className":"Note","fields":{"name":{"type":"String"}},"classLevelPermissions":{"find":{"*":true},"get":{"*":true},"create":{"*":true}}}]}`,
	}, common...)
	nodes := []*process{{t: t, args: serve}, {t: t, args: serve}, {t: t, args: serve}, {t: t, args: append([]string{"livequery"}, common...)}}
	for _, p := range nodes {
		p.begin()
	}
	t.Cleanup(func() {
		for _, p := range nodes {
			p.kill()
		}
	})
	listeners := make([]*listener, len(nodes))
	for i, p := range nodes {
		listeners[i] = p.listen(app)
	}
	write := func(p *process, name string) {
		t.Helper()
		if status, body := request(t, http.MethodPost, p.url+"/classes/Note", `{"name":"`+name+`"}`, "X-Parse-Application-Id", app); status != http.StatusCreated {
			t.Fatalf("%d %s", status, body)
		}
	}
	// Writes of different servers have no order; each waits for the one before.
	round := func(tag string, writers ...*process) {
		t.Helper()
		for i, p := range writers {
			for j := range 5 {
				write(p, fmt.Sprintf("%s%d.%d", tag, i, j))
			}
			for k, l := range listeners {
				for j := range 5 {
					want := fmt.Sprintf("%s%d.%d", tag, i, j)
					if op, name := l.next(); op != "create" || name != want {
						t.Fatalf("listener %d: %s of %q, want %q", k, op, name, want)
					}
				}
			}
		}
	}
	round("a", nodes[:3]...)
	nodes[1].kill()
	rest := listeners
	listeners = []*listener{rest[0], rest[2], rest[3]}
	round("b", nodes[0], nodes[2])
	nodes[1].begin()
	listeners = append(listeners, nodes[1].listen(app))
	round("c", nodes[:3]...)
	// Nothing was told twice: the next event of each is the last write.
	write(nodes[0], "last")
	for k, l := range listeners {
		if op, name := l.next(); op != "create" || name != "last" {
			t.Errorf("listener %d: %s of %q after all", k, op, name)
		}
	}
	if status, body := request(t, http.MethodGet, nodes[3].url+"/classes/Note", "", "X-Parse-Application-Id", app); status != http.StatusNotFound || !strings.Contains(body, "live queries only") {
		t.Errorf("the live-query node serves the API: %d %s", status, body)
	}
	if status, body := request(t, http.MethodGet, nodes[3].url+"/health", ""); status != http.StatusOK {
		t.Errorf("health: %d %s", status, body)
	}
}
