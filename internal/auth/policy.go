package auth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Fields in which a user's password and its past are kept, as in databases of Parse Server.
const (
	historyField = "_password_history"
	changedField = "_password_changed_at"
)

// PasswordPolicy is what a password must be (reference 03 §13). The zero value asks nothing.
type PasswordPolicy struct {
	// Pattern is a regular expression that a password has to match; "": any.
	Pattern string
	// Validate is asked besides; nil: nothing.
	Validate func(password string) bool
	// Message is for passwords that one of both refuses; "": that of Parse Server.
	Message string
	// NoUsername refuses passwords with the username in them.
	NoUsername bool
	// MaxAge is how long a password can be logged in with; 0: for ever.
	MaxAge time.Duration
	// History is how many passwords, the current one included, a new one must differ from.
	History int

	pattern *query.Matcher
}

// passwordSlot is the field under which the pattern sees a password.
const passwordSlot = "password"

// compile makes the pattern ready for use.
func (p *PasswordPolicy) compile() error {
	if p.Pattern == "" {
		return nil
	}
	re, err := query.NewRegex(passwordSlot, p.Pattern, "", 0)
	if err != nil {
		return fmt.Errorf("passwordPolicy.validatorPattern: %w", err)
	}
	p.pattern, err = query.Compile(re)
	return err
}

// accepts reports whether pattern and function let a password pass.
func (p *PasswordPolicy) accepts(password string) bool {
	if p.pattern != nil {
		o := &parse.Object{}
		o.Set(passwordSlot, password)
		if !p.pattern.Match(o) {
			return false
		}
	}
	return p.Validate == nil || p.Validate(password)
}

// policy checks a new password, in the clear, and notes its time.
func (r *userRule) policy(ctx context.Context, w *objects.WriteState, password string) error {
	p := &r.s.o.Policy
	if !p.accepts(password) {
		text := p.Message
		if text == "" {
			text = "Password does not meet the Password Policy requirements."
		}
		return parse.Errorf(parse.ValidationError, "%s", text)
	}
	if p.NoUsername {
		name := w.Body.String("username")
		if name == "" && w.Before != nil {
			name = w.Before.String("username")
		}
		if name != "" && strings.Contains(password, name) {
			return parse.Errorf(parse.ValidationError, "Password cannot contain your username.")
		}
	}
	if p.MaxAge > 0 {
		w.Body.Set(changedField, r.s.now())
	}
	if w.Before == nil || p.History <= 0 {
		return nil
	}
	return r.history(ctx, w, password)
}

// history refuses a password that was in use lately, and remembers the one
// that goes out of use.
func (r *userRule) history(ctx context.Context, w *objects.WriteState, password string) error {
	n := r.s.o.Policy.History
	v, _ := w.Before.Get(historyField)
	past, _ := v.(parse.Array)
	current := w.Before.String(hashField)
	for _, h := range append(past[:min(len(past), n-1):min(len(past), n-1)], current) {
		hash, _ := h.(string)
		if hash == "" {
			continue
		}
		same, err := r.s.hash.verify(ctx, password, hash)
		if err != nil {
			return err
		}
		if same {
			return parse.Errorf(parse.ValidationError, "New password should not be the same as last %d passwords.", n)
		}
	}
	if current == "" {
		return nil
	}
	if keep := max(0, n-2); len(past) > keep {
		past = past[len(past)-keep:]
	}
	w.Body.Set(historyField, append(past[:len(past):len(past)], current))
	return nil
}

// checkAge refuses a login with a password that has become too old. The age of
// a password from before the policy begins now.
func (s *Service) checkAge(ctx context.Context, user *parse.Object) error {
	age := s.o.Policy.MaxAge
	if age <= 0 {
		return nil
	}
	v, _ := user.Get(changedField)
	at, ok := v.(parse.Date)
	if !ok {
		_, _, err := s.objs.Store().Update(ctx, &storage.Update{
			Class: s.class(userClass), Where: query.ByID(user.ID),
			Ops: parse.NewMap(parse.MapField{Key: changedField, Value: s.now()}),
		})
		if err != nil {
			return fmt.Errorf("note the age of a password: %w", err)
		}
		return nil
	}
	if at.Time().Add(age).Before(s.o.Now()) {
		return parse.Errorf(parse.ObjectNotFound, "Your password has expired. Please reset your password.")
	}
	return nil
}
