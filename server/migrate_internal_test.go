package server

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
)

func TestRetry(t *testing.T) {
	down := errors.New("the database is down")
	pauses := make([]time.Duration, 3)
	for name, tc := range map[string]struct {
		errs  []error // one for each call; then nil
		calls int
		want  error
	}{
		"works":           {nil, 1, nil},
		"works at last":   {[]error{down, down, down}, 4, nil},
		"fails":           {[]error{down, down, down, down}, 4, down},
		"a mistake":       {[]error{fmt.Errorf("plan: %w", parse.Errorf(parse.IncorrectType, "x"))}, 1, nil},
		"not unique":      {[]error{fmt.Errorf("store: %w", &storage.DuplicateError{Class: "A", Index: "i"})}, 1, nil},
		"code of its own": {[]error{fmt.Errorf("before: %w", hookError{down})}, 1, down},
	} {
		t.Run(name, func(t *testing.T) {
			calls, again := 0, 0
			err := retry(t.Context(), pauses, func() error {
				calls++
				if calls > len(tc.errs) {
					return nil
				}
				return tc.errs[calls-1]
			}, func(error) { again++ })
			if calls != tc.calls || again != calls-1 {
				t.Errorf("%d calls, told of %d; want %d", calls, again, tc.calls)
			}
			if tc.want != nil && !errors.Is(err, tc.want) || (err != nil) != (calls <= len(tc.errs)) {
				t.Errorf("error %v", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := retry(ctx, []time.Duration{time.Hour}, func() error { calls++; return down }, func(error) { cancel() })
	if !errors.Is(err, down) || calls != 1 {
		t.Errorf("after the end: %d calls, %v", calls, err)
	}
}
