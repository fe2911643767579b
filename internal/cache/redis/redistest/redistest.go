// Package redistest is what the tests of all packages that speak to Redis share.
package redistest

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// serverEnv names a Redis server for tests.
const serverEnv = "PARGO_TEST_REDIS_URL"

// patience is how long Wait waits.
const patience = 20 * time.Second

// Each runs a test on the double and on the real server, if there is one.
func Each(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) { f(t, "redis://"+miniredis.RunT(t).Addr()) })
	t.Run("server", func(t *testing.T) {
		url := os.Getenv(serverEnv)
		if url == "" {
			t.Skip(serverEnv + " is not set: not tested on a Redis server")
		}
		f(t, url)
	})
}

// URL returns that of the real server, if there is one, else of a double.
func URL(t *testing.T) string {
	t.Helper()
	if url := os.Getenv(serverEnv); url != "" {
		return url
	}
	return "redis://" + miniredis.RunT(t).Addr()
}

// Wait waits for a condition.
func Wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Logs is the writer of a log that tests read while it is written.
type Logs struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// Count returns how often a text is in the log.
func (l *Logs) Count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// String returns the log.
func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
