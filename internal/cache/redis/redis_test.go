package redis_test

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/pargo-baas/pargo/internal/cache"
	"github.com/pargo-baas/pargo/internal/cache/redis"
	"github.com/pargo-baas/pargo/internal/cache/redis/redistest"
	"github.com/pargo-baas/pargo/parse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, url string, log *slog.Logger) *redis.Store {
	t.Helper()
	s, err := redis.Open(url, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestValues(t *testing.T) {
	redistest.Each(t, func(t *testing.T, url string) {
		s, ctx, key := open(t, url, nil), t.Context(), "test:"+parse.NewObjectID(10)
		if _, ok, err := s.Get(ctx, key); ok || err != nil {
			t.Fatalf("a value before it was set: %v, %v", ok, err)
		}
		if err := s.Set(ctx, key, []byte("v"), time.Minute); err != nil {
			t.Fatal(err)
		}
		if v, ok, err := s.Get(ctx, key); string(v) != "v" || !ok || err != nil {
			t.Fatalf("got %q, %v, %v", v, ok, err)
		}
		if err := s.Delete(ctx, key, key+"absent"); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := s.Get(ctx, key); ok || err != nil {
			t.Fatalf("deleted, but there: %v, %v", ok, err)
		}
		if err := s.Delete(ctx); err != nil {
			t.Fatalf("nothing to delete: %v", err)
		}
		if err := s.Set(ctx, key, []byte("v"), 0); err != nil {
			t.Fatalf("a value that has expired: %v", err)
		}
	})
}

func TestCounters(t *testing.T) {
	redistest.Each(t, func(t *testing.T, url string) {
		s, ctx, key := open(t, url, nil), t.Context(), "test:"+parse.NewObjectID(10)
		for range 3 {
			if _, _, err := s.Count(ctx, key, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Counters(ctx, key+"none", key)
		if err != nil || got[0] != (cache.Counter{}) || got[1].N != 3 || !got[1].Ends.After(time.Now()) {
			t.Errorf("%v, %v", got, err)
		}
		if err := s.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
	})
}

func TestValuesExpire(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, "redis://"+m.Addr(), nil)
	if err := s.Set(t.Context(), "k", []byte("v"), time.Second); err != nil {
		t.Fatal(err)
	}
	m.FastForward(2 * time.Second)
	if _, ok, err := s.Get(t.Context(), "k"); ok || err != nil {
		t.Errorf("an expired value: %v, %v", ok, err)
	}
}

func TestCountersAreShared(t *testing.T) {
	redistest.Each(t, func(t *testing.T, url string) {
		key := "rl:" + parse.NewObjectID(10)
		stores := []*redis.Store{open(t, url, nil), open(t, url, nil)}
		began := time.Now()
		var first time.Time
		for i := range 6 {
			n, ends, err := stores[i%2].Count(t.Context(), key, time.Hour)
			if err != nil || n != i+1 {
				t.Fatalf("count %d: got %d, %v", i+1, n, err)
			}
			if i == 0 {
				first = ends
			}
			if ends.Before(began.Add(59*time.Minute)) || ends.Sub(first).Abs() > time.Minute {
				t.Errorf("the window ends at %v, began at %v", ends, began)
			}
		}
		if err := stores[0].Delete(t.Context(), key); err != nil {
			t.Error(err)
		}
	})
}

func TestCountersBeginAnew(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, "redis://"+m.Addr(), nil)
	for range 3 {
		if _, _, err := s.Count(t.Context(), "k", time.Second); err != nil {
			t.Fatal(err)
		}
	}
	m.FastForward(2 * time.Second)
	if n, _, err := s.Count(t.Context(), "k", time.Second); n != 1 || err != nil {
		t.Errorf("after the window: %d, %v", n, err)
	}
}

// inbox gathers messages.
type inbox struct {
	mu   sync.Mutex
	got  []string // guarded by mu
	gaps int      // guarded by mu
}

func (b *inbox) receive(m []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m == nil {
		b.gaps++
		return
	}
	b.got = append(b.got, string(m))
}

func (b *inbox) messages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.got...)
}

func (b *inbox) missed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gaps
}

func connected(t *testing.T, sub cache.Subscription) {
	t.Helper()
	redistest.Wait(t, "the subscription stands", func() bool { return !sub.Since().IsZero() })
}

func TestMessagesArriveInOrder(t *testing.T) {
	redistest.Each(t, func(t *testing.T, url string) {
		a, b := open(t, url, nil), open(t, url, nil)
		channel := "test:" + parse.NewObjectID(10)
		var in, other inbox
		sub := b.Subscribe(channel, in.receive)
		connected(t, sub)
		connected(t, b.Subscribe(channel+"x", other.receive))
		const n = 500
		want := make([]string, n)
		for i := range want {
			want[i] = strconv.Itoa(i)
			a.Publish(channel, []byte(want[i]))
		}
		redistest.Wait(t, "all messages", func() bool { return len(in.messages()) == n })
		if got := strings.Join(in.messages(), " "); got != strings.Join(want, " ") {
			t.Errorf("got %s", got)
		}
		if got := other.messages(); len(got) != 0 {
			t.Errorf("another channel got %v", got)
		}
		since := sub.Since()
		if since.IsZero() || in.missed() != 1 {
			t.Errorf("unbroken since %v, %d gaps", since, in.missed())
		}
		sub.Close()
		a.Publish(channel, []byte("late"))
		if got := in.messages(); len(got) != n {
			t.Errorf("a closed subscription got %v", got[n:])
		}
	})
}

func TestMessagesAreSentBeforeClose(t *testing.T) {
	redistest.Each(t, func(t *testing.T, url string) {
		a, err := redis.Open(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		var in inbox
		connected(t, open(t, url, nil).Subscribe("test:close", in.receive))
		a.Publish("test:close", []byte("last"))
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		redistest.Wait(t, "the last message", func() bool { return len(in.messages()) == 1 })
	})
}

func TestOutage(t *testing.T) {
	m := miniredis.RunT(t)
	addr := m.Addr()
	var out redistest.Logs
	s := open(t, "redis://"+addr, slog.New(slog.NewTextHandler(&out, nil)))
	var in inbox
	sub := s.Subscribe("c", in.receive)
	connected(t, sub)
	before := sub.Since()
	counters := cache.WithLocalCounters(s, cache.NewMemory(1<<20, nil))
	if n, _, err := counters.Count(t.Context(), "k", time.Hour); n != 1 || err != nil {
		t.Fatalf("count: %d, %v", n, err)
	}

	m.Close()
	redistest.Wait(t, "the subscription notices", func() bool { return sub.Since().IsZero() })
	for i := range 50 { // each server counts for itself
		if n, _, err := counters.Count(t.Context(), "k", time.Hour); n != i+1 || err != nil {
			t.Fatalf("count without redis: %d, %v", n, err)
		}
	}
	if got, err := counters.Counters(t.Context(), "k"); err != nil || got[0].N != 50 {
		t.Errorf("counters without redis: %v, %v", got, err)
	}
	if _, _, err := s.Get(t.Context(), "k"); !errors.Is(err, redis.ErrDown) {
		t.Errorf("a call right after a failure: %v, want %v", err, redis.ErrDown)
	}
	s.Publish("c", []byte("kept"))
	if out.Count("cannot be reached") != 1 || out.Count("redis is back") != 0 {
		t.Errorf("the outage must be logged once: %s", out.String())
	}

	if err := m.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	redistest.Wait(t, "the subscription stands again", func() bool { return !sub.Since().IsZero() })
	if !sub.Since().After(before) {
		t.Error("an interrupted subscription claims to be unbroken")
	}
	if in.missed() != 2 {
		t.Errorf("told of %d gaps, want one for each connection", in.missed())
	}
	redistest.Wait(t, "counters are shared again", func() bool {
		_, _, err := s.Count(t.Context(), "other", time.Hour)
		return err == nil
	})
	redistest.Wait(t, "the end of the outage is logged", func() bool { return out.Count("redis is back") == 1 })
}

func TestWhatDoesNotFitIsTold(t *testing.T) {
	m := miniredis.RunT(t)
	addr := m.Addr()
	a, b := open(t, "redis://"+addr, nil), open(t, "redis://"+addr, nil)
	m.Close()
	const many = 5000
	for i := range many {
		a.Publish("c", []byte(strconv.Itoa(i)))
	}
	if err := m.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	// The message that some are lost comes last, or what is kept comes before
	// the subscription stands: either way a gap is told.
	var in inbox
	connected(t, b.Subscribe("c", in.receive))
	a.Publish("c", []byte("end"))
	redistest.Wait(t, "the end or a gap", func() bool {
		got := in.messages()
		return len(got) > 0 && got[len(got)-1] == "end" || in.missed() > 1
	})
	if got := in.messages(); len(got) >= many {
		t.Errorf("%d messages were kept", len(got))
	}
}

func TestURL(t *testing.T) {
	for _, url := range []string{"", "http://localhost", "redis://u:secret@host:port", "memory"} {
		_, err := redis.Open(url, nil)
		if err == nil {
			t.Errorf("%q is accepted", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}
