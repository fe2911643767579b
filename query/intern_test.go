package query

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// TestSharedPatterns: equal patterns that live at the same time are one, and
// none stays once nobody has it.
func TestSharedPatterns(t *testing.T) {
	const mark = "shared"
	known := func() (n int) {
		compiled.mu.Lock()
		defer compiled.mu.Unlock()
		for k := range compiled.m {
			if strings.Contains(k.text, mark) {
				n++
			}
		}
		return n
	}
	var inUse []*Regex
	regex := func(text, options string, limit time.Duration) *Regex {
		t.Helper()
		// As part of a request that is long.
		n, err := NewRegex("s", (strings.Repeat("x", 1<<20) + text)[1<<20:], options, limit)
		if err != nil {
			t.Fatal(err)
		}
		inUse = append(inUse, n)
		return n
	}
	for _, text := range []string{mark + `(?=a)(a+)+$`, mark + `[a-z]+`} {
		first := regex(text, "", 0)
		if again := regex(text, "", DefaultRegexTime); again.compiled != first.compiled {
			t.Errorf("%s is compiled twice", text)
		} else if again.Pattern != text {
			t.Errorf("the text of %s is %s", text, again.Pattern)
		}
		for _, other := range []*Regex{regex(text, "i", 0), regex(text, "", -1), regex(text, "", time.Second), regex(text+"b", "", 0)} {
			if other.compiled == first.compiled {
				t.Errorf("%s with %q is taken for another", other.Pattern, other.Options)
			}
		}
	}
	for i := range 100 { // text alone is not kept
		regex(fmt.Sprintf("^%s%d", mark, i), "", 0)
	}
	if n := known(); n != 10 {
		t.Errorf("%d patterns are known, want 10", n)
	}
	runtime.KeepAlive(inUse)
	inUse = nil
	for deadline := time.Now().Add(10 * time.Second); known() > 0; runtime.Gosched() {
		runtime.GC()
		if time.Now().After(deadline) {
			t.Fatalf("%d patterns are left", known())
		}
	}
}

// TestSharedPatternsAtOnce: a shared pattern matches for many at once.
func TestSharedPatternsAtOnce(t *testing.T) {
	o := &parse.Object{ClassName: "A"}
	o.Set("s", "aaab")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				n, err := NewRegex("s", `^(?=a)a+b$|x{`+string(rune('1'+j%5))+`}`, "", 0)
				if err != nil {
					t.Error(err)
					return
				}
				m, err := Compile(n)
				if err != nil || !m.Match(o) {
					t.Errorf("%d: no match: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}
