package fair_test

import (
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/fair"
)

func TestPace(t *testing.T) {
	var p fair.Pace
	now := time.Now()
	for _, tt := range []struct {
		after       time.Duration
		asked, want int
	}{
		{0, 50, 10},                    // at once
		{0, 5, 0},                      // none is left
		{250 * time.Millisecond, 5, 2}, // one each 100 ms
		{50 * time.Millisecond, 5, 1},
		{time.Hour, 50, 10}, // rest is not saved for ever
	} {
		now = now.Add(tt.after)
		got := 0
		for range tt.asked {
			if !p.Exceeds(now, 100*time.Millisecond, time.Second) {
				got++
			}
		}
		if got != tt.want {
			t.Errorf("after %v: %d of %d, want %d", tt.after, got, tt.asked, tt.want)
		}
	}
}
