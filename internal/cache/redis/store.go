package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/pargo-baas/pargo/internal/cache"
)

const (
	// patience is how long a call may take: whoever waits is a request.
	patience = 500 * time.Millisecond
	// pause is how long nobody tries again after a failure.
	pause = 250 * time.Millisecond
)

// ErrDown is the error of calls that are not tried because the server was out
// of reach a moment ago.
var ErrDown = errors.New("redis cannot be reached")

// Store is a connection to a Redis server. Make it with Open.
type Store struct {
	client *redis.Client
	log    *slog.Logger
	addr   string

	retryAt atomic.Int64 // Unix nanoseconds before which no call is tried
	out     *sender

	mu   sync.Mutex
	down bool                 // the outage was logged; guarded by mu
	subs map[*subscriber]bool // guarded by mu
	wg   sync.WaitGroup
}

var (
	_ cache.Cache = (*Store)(nil)
	_ cache.Bus   = (*Store)(nil)
)

// quiet stops go-redis from writing to standard error, where it tells of every
// single failed connection: this package logs outages by itself.
var quiet = sync.OnceFunc(logging.Disable)

// Open prepares the connection to a server named by a redis:// or rediss://
// URL. The server need not be there yet.
func Open(url string, log *slog.Logger) (*Store, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		// The error of url.Parse repeats the URL with its password.
		return nil, errors.New("not a redis:// or rediss:// URL")
	}
	quiet()
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = patience, patience, patience, patience
	o.MaxRetries, o.DialerRetries = -1, 1
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{client: redis.NewClient(o), log: log, addr: o.Addr, subs: map[*subscriber]bool{}}
	s.out = newSender(s)
	s.wg.Go(s.out.run)
	return s, nil
}

// Close sends what waits to be sent, for a moment at most, and disconnects.
func (s *Store) Close() error {
	s.out.close()
	s.mu.Lock()
	subs := make([]*subscriber, 0, len(s.subs))
	for sub := range s.subs {
		subs = append(subs, sub)
	}
	s.mu.Unlock()
	for _, sub := range subs {
		sub.Close()
	}
	s.wg.Wait()
	return s.client.Close()
}

// do runs one call, unless the server was out of reach a moment ago.
func (s *Store) do(ctx context.Context, call func(context.Context) error) error {
	if time.Now().UnixNano() < s.retryAt.Load() {
		return ErrDown
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := call(ctx)
	if err == nil || errors.Is(err, redis.Nil) {
		s.reached(nil)
		return err
	}
	if !errors.Is(err, context.Canceled) { // the caller's own doing
		s.retryAt.Store(time.Now().Add(pause).UnixNano())
		s.reached(err)
	}
	return err
}

// reached notes whether the server could be reached; the log tells of changes.
func (s *Store) reached(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && !s.down:
		s.down = true
		s.log.Warn("redis cannot be reached: counters and caches are those of this process until it is back", "address", s.addr, "error", err)
	case err == nil && s.down:
		s.down = false
		s.log.Info("redis is back", "address", s.addr)
	}
}

// Get implements cache.Cache.
func (s *Store) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	err = s.do(ctx, func(ctx context.Context) (err error) {
		value, err = s.client.Get(ctx, key).Bytes()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("get from redis: %w", err)
	}
	return value, true, nil
}

// Set implements cache.Cache.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if ttl <= 0 {
		return s.Delete(ctx, key)
	}
	if err := s.do(ctx, func(ctx context.Context) error { return s.client.Set(ctx, key, value, ttl).Err() }); err != nil {
		return fmt.Errorf("set in redis: %w", err)
	}
	return nil
}

// Delete implements cache.Cache.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	if err := s.do(ctx, func(ctx context.Context) error { return s.client.Del(ctx, keys...).Err() }); err != nil {
		return fmt.Errorf("delete in redis: %w", err)
	}
	return nil
}

// count adds one to a counter that begins its window with the first count. A
// script, because a counter without an end would be a limit for ever.
var count = redis.NewScript(`local n = redis.call("INCR", KEYS[1])
local left = redis.call("PTTL", KEYS[1])
if left < 0 then
  redis.call("PEXPIRE", KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {n, left}`)

// Count implements cache.Cache.
func (s *Store) Count(ctx context.Context, key string, window time.Duration) (n int, ends time.Time, err error) {
	var got []int64
	err = s.do(ctx, func(ctx context.Context) (err error) {
		got, err = count.Run(ctx, s.client, []string{key}, max(window.Milliseconds(), 1)).Int64Slice()
		return err
	})
	if err == nil && len(got) != 2 {
		err = fmt.Errorf("the script answered %d values", len(got))
	}
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("count in redis: %w", err)
	}
	return int(got[0]), time.Now().Add(time.Duration(got[1]) * time.Millisecond), nil
}

// Counters implements cache.Cache.
func (s *Store) Counters(ctx context.Context, keys ...string) ([]cache.Counter, error) {
	counts, left := make([]*redis.StringCmd, len(keys)), make([]*redis.DurationCmd, len(keys))
	err := s.do(ctx, func(ctx context.Context) error {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range keys {
				counts[i], left[i] = p.Get(ctx, key), p.PTTL(ctx, key)
			}
			return nil
		})
		return err // redis.Nil if one of the counters is not there
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read counters from redis: %w", err)
	}
	out, now := make([]cache.Counter, len(keys)), time.Now()
	for i := range keys {
		// A counter that is not there, or ends between the two, has counted nothing.
		if n, err := counts[i].Int(); err == nil && left[i].Val() > 0 {
			out[i] = cache.Counter{N: n, Ends: now.Add(left[i].Val())}
		}
	}
	return out, nil
}

// Ping asks the server whether it is there.
func (s *Store) Ping(ctx context.Context) error {
	return s.do(ctx, func(ctx context.Context) error { return s.client.Ping(ctx).Err() })
}
