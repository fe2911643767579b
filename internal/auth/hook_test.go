package auth_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// A hook that sets a password must not get it stored, nor answered, as it is.
func TestAPasswordOfAHookIsHashed(t *testing.T) {
	w := newWorld(t, nil)
	w.app.BeforeSave(user, func(_ context.Context, r *cloudcode.SaveRequest) error {
		if r.Object.Fields.Has("password") {
			t.Error("hooks must not see a password")
		}
		r.Object.Set("password", "by-hook")
		return nil
	})
	m := w.signUp("hooked")
	check := func(stored *parse.Object) {
		t.Helper()
		if text := string(stored.AppendFields(nil)); strings.Contains(text, "by-hook") || stored.String("_hashed_password") == "" {
			t.Errorf("stored: %s", text)
		}
	}
	check(w.stored(m.id))
	if _, err := w.Login(t.Context(), nobody, body(t, `{"username":"hooked","password":"by-hook"}`)); err != nil {
		t.Errorf("login with the hook's password: %v", err)
	}
	saved := w.mustUpdate(w.principal(m), user, m.id, `{"email":"h@example.com"}`)
	if text := string(parse.AppendJSON(nil, saved.Response)); strings.Contains(text, "by-hook") {
		t.Errorf("answered: %s", text)
	}
	check(w.stored(m.id))
}
