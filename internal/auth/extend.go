package auth

import (
	"context"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

const (
	// extendPause is how long a session is not extended again after an attempt.
	extendPause = 500 * time.Millisecond
	// extendTimeout bounds an attempt, for which no request waits.
	extendTimeout = 10 * time.Second
)

// used extends the life of a session that is in use, once half of it is over
// (reference 03 §6.3). That happens in the background.
func (s *Service) used(ctx context.Context, e *entry) {
	if !s.o.ExtendOnUse || s.o.SessionLength == 0 || e.expires == 0 {
		return
	}
	now := s.o.Now()
	if parse.NewDate(now) < e.updated+parse.Date(s.o.SessionLength.Milliseconds()/2) {
		return
	}
	last := e.extended.Load()
	if now.UnixNano() < last+int64(extendPause) || !e.extended.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	s.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), extendTimeout)
		defer cancel()
		_, err := s.objs.Update(ctx, access.MasterKey(), &objects.Write{
			Class: sessionClass, ID: e.session,
			Body: parse.NewMap(parse.MapField{Key: "expiresAt", Value: parse.NewDate(now.Add(s.o.SessionLength))}),
		})
		if err != nil && parse.CodeOf(err) != parse.ObjectNotFound {
			s.o.Log.Warn("a session was not extended", "error", err)
		}
	})
}
