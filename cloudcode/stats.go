package cloudcode

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Observer is told of every hook, function and job that has run. It must not block.
type Observer interface {
	Observe(t Trigger, name string, d time.Duration, err error)
}

// SetObserver sets who is told besides the counters of [App.Stats].
func (a *App) SetObserver(o Observer) { a.observer.Store(&o) }

// Buckets are the upper bounds of the histogram of [HookStats], in order; a
// last bucket has no bound.
var Buckets = [...]time.Duration{
	100 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second,
}

// Stat counts the runs of the hooks of one trigger and class, of one function
// or of one job.
type Stat struct {
	trigger              Trigger
	name                 string
	calls, errors, nanos atomic.Int64
	buckets              [len(Buckets) + 1]atomic.Int64
}

// HookStats are the counters of a Stat at one moment.
type HookStats struct {
	Trigger Trigger       `json:"trigger"`
	Name    string        `json:"name"` // class, function or job
	Calls   int64         `json:"calls"`
	Errors  int64         `json:"errors"`
	Total   time.Duration `json:"totalNanoseconds"`
	// Buckets count the calls by their duration, see the variable Buckets.
	Buckets []int64 `json:"buckets"`
}

func (s *Stat) observe(a *App, d time.Duration, err error) {
	s.calls.Add(1)
	s.nanos.Add(int64(d))
	if err != nil {
		s.errors.Add(1)
	}
	i := 0
	for i < len(Buckets) && d > Buckets[i] {
		i++
	}
	s.buckets[i].Add(1)
	if o := a.observer.Load(); o != nil {
		(*o).Observe(s.trigger, s.name, d, err)
	}
}

// stat returns the counters of a trigger and a class.
func (a *App) stat(t Trigger, name string) *Stat {
	if a.parent != nil {
		return a.parent.stat(t, name)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.stats {
		if s.trigger == t && s.name == name {
			return s
		}
	}
	s := &Stat{trigger: t, name: name}
	a.stats = append(a.stats, s)
	return s
}

// Stats returns the counters of all hooks, functions and jobs, sorted by
// trigger and name.
func (a *App) Stats() []HookStats {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	list := slices.Clone(a.stats)
	a.mu.Unlock()
	out := make([]HookStats, len(list))
	for i, s := range list {
		out[i] = HookStats{
			Trigger: s.trigger, Name: s.name, Calls: s.calls.Load(), Errors: s.errors.Load(),
			Total: time.Duration(s.nanos.Load()), Buckets: make([]int64, len(s.buckets)),
		}
		for k := range s.buckets {
			out[i].Buckets[k] = s.buckets[k].Load()
		}
	}
	slices.SortFunc(out, func(a, b HookStats) int {
		if c := strings.Compare(string(a.Trigger), string(b.Trigger)); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}
