package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Fields in which failed logins are counted, as in databases of Parse Server.
const (
	failedField = "_failed_login_count"
	lockedField = "_account_lockout_expires_at"
)

// Lockout locks accounts after failed logins (reference 03 §12); without a
// threshold it does not.
type Lockout struct {
	Duration time.Duration
	// Threshold is how many wrong passwords lock an account.
	Threshold int
	// UnlockOnReset unlocks it with a password reset.
	UnlockOnReset bool
}

// lockRounds bounds how often a failed login looks for the side of the
// threshold on which it is counted; it changes with resets of the count alone.
const lockRounds = 20

func (l *Lockout) on() bool { return l.Threshold > 0 }

func (l *Lockout) err() error {
	return parse.Errorf(parse.ObjectNotFound,
		"Your account is locked due to multiple failed login attempts. Please try again after %d minute(s)", int(l.Duration/time.Minute))
}

// holds reports whether a user is locked out.
func (l *Lockout) holds(user *parse.Object, now parse.Date) bool {
	n, _ := user.Number(failedField)
	v, _ := user.Get(lockedField)
	until, _ := v.(parse.Date)
	return int(n) >= l.Threshold && until > now
}

// admit refuses to look at the password of a locked account.
func (s *Service) admit(user *parse.Object) error {
	if l := &s.o.Lockout; l.on() && user != nil && l.holds(user, s.now()) {
		return l.err()
	}
	return nil
}

// attempted counts the outcome of a login. Of many at a time, those that end
// after the account was locked fail, with a right password, too: no more than
// Threshold guesses are answered.
func (s *Service) attempted(ctx context.Context, user *parse.Object, right bool) error {
	if !s.o.Lockout.on() || user == nil {
		return nil
	}
	switch {
	case !right:
		return s.failed(ctx, user)
	case s.twoFactors(user):
		return nil // half of a login: the count goes on until its codes are right, too
	}
	return s.succeeded(ctx, user)
}

// twoFactors reports whether a user has set up an additional provider.
func (s *Service) twoFactors(user *parse.Object) bool {
	for name := range authDataOf(user).All() {
		if s.rank(name, authDataOf(user)) > 0 {
			return true
		}
	}
	return false
}

// tried counts what came of the codes of a user: nobody finds out one by
// trying, not even with the password.
func (s *Service) tried(ctx context.Context, user *parse.Object, step cloudcode.AuthStep, err error) error {
	if !s.o.Lockout.on() || user == nil || !s.twoFactors(user) {
		return err
	}
	switch {
	case errors.Is(err, cloudcode.ErrWrongCode):
		if locked := s.failed(ctx, user); locked != nil {
			return locked
		}
	case err == nil && step == cloudcode.AuthLogin:
		return s.succeeded(ctx, user)
	}
	return err
}

// over matches users who have at least n failed logins; those without a count have none.
func over(n int) query.Node {
	return &query.Compare{Path: failedField, Op: query.Gte, Value: float64(n)}
}

func under(n int) query.Node {
	return &query.Or{Nodes: []query.Node{
		&query.Exists{Path: failedField}, &query.Compare{Path: failedField, Op: query.Lt, Value: float64(n)},
	}}
}

// failed counts one more failed login and, from the threshold on, locks the
// account with the same write.
func (s *Service) failed(ctx context.Context, user *parse.Object) error {
	l := &s.o.Lockout
	class := s.class(userClass)
	for range lockRounds {
		for _, locks := range [...]bool{false, true} {
			u := storage.Update{Class: class, Where: query.ByID(user.ID)}
			u.Ops = parse.NewMap(parse.MapField{Key: failedField, Value: parse.Increment{Amount: 1}})
			switch first := l.Threshold == 1; {
			case first && !locks:
				continue
			case locks:
				u.Ops.Set(lockedField, parse.NewDate(s.o.Now().Add(l.Duration)))
				if !first {
					u.Where = query.AllOf(u.Where, over(l.Threshold-1))
				}
			default:
				u.Where = query.AllOf(u.Where, under(l.Threshold-1))
			}
			_, after, err := s.objs.Store().Update(ctx, &u)
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("count a failed login: %w", err)
			}
			if n, _ := after.Number(failedField); int(n) > l.Threshold {
				return l.err()
			}
			return nil
		}
		if now, err := s.userByID(ctx, user.ID); err != nil || now == nil {
			return err // the user is gone
		}
	}
	return l.err()
}

// succeeded begins the count anew, unless the account was locked meanwhile.
func (s *Service) succeeded(ctx context.Context, user *parse.Object) error {
	l := &s.o.Lockout
	now, err := s.userByID(ctx, user.ID)
	if err != nil || now == nil {
		return err
	}
	if l.holds(now, s.now()) {
		return l.err()
	}
	if n, _ := now.Number(failedField); n == 0 {
		return nil
	}
	free := &query.Or{Nodes: []query.Node{
		under(l.Threshold), &query.Exists{Path: lockedField},
		&query.Compare{Path: lockedField, Op: query.Lte, Value: s.now()},
	}}
	_, _, err = s.objs.Store().Update(ctx, &storage.Update{
		Class: s.class(userClass), Where: query.AllOf(query.ByID(user.ID), free),
		Ops: parse.NewMap(parse.MapField{Key: failedField, Value: float64(0)}),
	})
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return l.err()
	case err != nil:
		return fmt.Errorf("begin the count of failed logins anew: %w", err)
	}
	return nil
}

// unlock ends a lock.
func (s *Service) unlock(ctx context.Context, userID string) error {
	_, _, err := s.objs.Store().Update(ctx, &storage.Update{
		Class: s.class(userClass), Where: query.ByID(userID),
		Ops: parse.NewMap(parse.MapField{Key: failedField, Value: float64(0)}, parse.MapField{Key: lockedField, Value: parse.Delete{}}),
	})
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("unlock account: %w", err)
	}
	return nil
}
