package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
	"github.com/pargo-baas/pargo/server/config"
)

// outageTime is for how long the database is away; longer by PARGO_OUTAGE_TIME.
func outageTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("PARGO_OUTAGE_TIME")
	if text == "" {
		return 500 * time.Millisecond
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("PARGO_OUTAGE_TIME: %v", err)
	}
	return d
}

// ledger is what clients were told about the objects that they created.
type ledger struct {
	mu      sync.Mutex
	changed sync.Cond
	next    int
	stored  map[int]bool // acknowledged
	unknown map[int]bool // may or may not be there
	refused int
	odd     []string // answers that must not be
}

// wait waits until enough clients were told something.
func (y *ledger) wait(t *testing.T, what string, enough func() bool) {
	t.Helper()
	limit := time.AfterFunc(time.Minute, func() {
		y.mu.Lock()
		defer y.mu.Unlock()
		y.odd = append(y.odd, "a minute has passed without "+what)
		y.changed.Broadcast()
	})
	defer limit.Stop()
	y.mu.Lock()
	defer y.mu.Unlock()
	for !enough() && len(y.odd) == 0 {
		y.changed.Wait()
	}
	if len(y.odd) > 0 {
		t.Fatal(y.odd)
	}
}

const lostWrite = "The connection to the database was lost: the write may or may not have been carried out."

func (y *ledger) create(s *scenario.Server) {
	y.mu.Lock()
	n := y.next
	y.next++
	y.mu.Unlock()
	r := httptest.NewRequest(http.MethodPost, "/parse/classes/Outage", strings.NewReader(fmt.Sprintf(`{"n":%d}`, n)))
	r.Header.Set("X-Parse-Application-Id", scenario.AppID)
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	var answer struct {
		Code  int    `json:"code"`
		Error string `json:"error"`
	}
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	y.mu.Lock()
	defer y.mu.Unlock()
	switch {
	case w.Code == http.StatusCreated:
		y.stored[n] = true
	case w.Code == http.StatusServiceUnavailable && answer.Code == 1 && w.Header().Get("Retry-After") == "1" && answer.Error == lostWrite:
		y.unknown[n] = true
	case w.Code == http.StatusServiceUnavailable && answer.Code == 1 && w.Header().Get("Retry-After") == "1" &&
		answer.Error == "The database cannot be reached at the moment.":
		y.refused++
	default:
		y.odd = append(y.odd, fmt.Sprintf("%d %s", w.Code, w.Body))
	}
	y.changed.Broadcast()
}

// The database goes away under load and comes back: clients are told so at
// once, nothing that was acknowledged is lost, nothing is stored twice, and the
// server needs no restart.
func TestOutage(t *testing.T) {
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		if db.Name == "sqlite" {
			t.Skip("is no server: see TestFullDisk of its package")
		}
		for _, how := range []string{"cut", "jammed"} {
			t.Run(how, func(t *testing.T) {
				u, err := url.Parse(db.URI(t))
				if err != nil {
					t.Fatal(err)
				}
				line := storagetest.Plug(t, u.Host)
				u.Host = line.Addr
				s := scenario.Start(t, u.String(), func(c *config.Config) {
					c.DatabaseOptions = json.RawMessage(`{"stallTimeoutMS":300}`)
					if db.Name == "mongodb" {
						c.DatabaseOptions = json.RawMessage(`{"stallTimeoutMS":300,"serverSelectionTimeoutMS":2000,"connectTimeoutMS":1000,"heartbeatFrequencyMS":500}`)
					}
				}, nil)
				s.Do(t, &scenario.Step{
					Method: http.MethodPost, Path: "/schemas/Outage", As: "master",
					Body: `{"className":"Outage","fields":{"n":{"type":"Number"}}}`,
				})
				y := &ledger{stored: map[int]bool{}, unknown: map[int]bool{}}
				y.changed.L = &y.mu
				stop := make(chan struct{})
				var clients sync.WaitGroup
				end := sync.OnceFunc(func() {
					close(stop)
					clients.Wait()
				})
				defer end()
				for range 8 {
					clients.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
								y.create(s)
							}
						}
					})
				}
				y.wait(t, "objects", func() bool { return len(y.stored) >= 40 })
				if how == "cut" {
					line.Cut()
				} else {
					line.Jam()
				}
				y.wait(t, "refusals", func() bool { return y.refused >= 100 })
				s.Do(t, &scenario.Step{Path: "/health", JSON: `{"status":"ok"}`})
				<-time.After(outageTime(t))
				y.mu.Lock()
				before := len(y.stored)
				y.mu.Unlock()
				line.Cut()
				line.Mend(t)
				y.wait(t, "new objects", func() bool { return len(y.stored) >= before+40 })
				end()

				seen := map[int]int{}
				for skip := 0; ; skip += 1000 {
					r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/parse/classes/Outage?limit=1000&order=n&skip=%d", skip), nil)
					r.Header.Set("X-Parse-Application-Id", scenario.AppID)
					w := httptest.NewRecorder()
					s.Handler.ServeHTTP(w, r)
					var page struct{ Results []struct{ N int } }
					if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
						t.Fatal(w.Code, w.Body, err)
					}
					for _, o := range page.Results {
						seen[o.N]++
					}
					if len(page.Results) < 1000 {
						break
					}
				}
				for n := range y.stored {
					if seen[n] == 0 {
						t.Errorf("acknowledged object %d is lost", n)
					}
				}
				for n, times := range seen {
					if times > 1 || !y.stored[n] && !y.unknown[n] {
						t.Errorf("object %d: stored %d times, acknowledged: %t, unknown: %t", n, times, y.stored[n], y.unknown[n])
					}
				}
				t.Logf("%d stored, %d unknown, %d refused", len(y.stored), len(y.unknown), y.refused)
			})
		}
	})
}
