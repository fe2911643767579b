package server

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/pargo-baas/pargo/internal/cache/redis"
)

// shared are the Redis servers that options name, each connected once.
type shared struct {
	log    *slog.Logger
	stores map[string]*redis.Store
}

func newShared(log *slog.Logger) *shared {
	return &shared{log: log, stores: map[string]*redis.Store{}}
}

// redis returns the connection to the server of a URL.
func (s *shared) redis(url string) (*redis.Store, error) {
	if st := s.stores[url]; st != nil {
		return st, nil
	}
	st, err := redis.Open(url, s.log)
	if err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	s.stores[url] = st
	return st, nil
}

func (s *shared) close() error {
	var errs []error
	for _, st := range s.stores {
		errs = append(errs, st.Close())
	}
	return errors.Join(errs...)
}
