package auth_test

import (
	"context"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

func TestSessionsByCaller(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.signUp("alice"), w.signUp("bob")
	id := w.sessions(master)[alice.token].ID
	maintenance := access.New(access.Principal{Kind: access.Maintenance})
	readOnly := access.New(access.Principal{Kind: access.ReadOnlyMaster})
	const noToken = "Session token required."

	type outcome struct{ Find, Get, Create, Update, Remove parse.Code }
	for name, tt := range map[string]struct {
		p    *access.Principal
		want outcome
		seen int
	}{
		"owner":       {w.as(alice), outcome{}, 1},
		"another":     {w.as(bob), outcome{Get: 101, Update: 101, Remove: 101}, 1},
		"nobody":      {nobody, outcome{209, 209, 209, 209, 209}, 0},
		"master":      {master, outcome{}, 2},
		"read-only":   {readOnly, outcome{Create: 119, Update: 119, Remove: 119}, 2},
		"maintenance": {maintenance, outcome{Find: 209, Get: 209, Remove: 209}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			var got outcome
			found, err := w.objs.Find(ctx, tt.p, session, allOf())
			if got.Find = parse.CodeOf(err); err == nil {
				diff(t, tt.seen, len(found.Objects))
			}
			_, err = w.objs.Get(ctx, tt.p, session, id, nil)
			got.Get = parse.CodeOf(err)
			saved, err := w.objs.Create(ctx, tt.p, &objects.Write{Class: session, Body: &parse.Map{}})
			if got.Create = parse.CodeOf(err); err == nil {
				defer func() {
					if err := w.objs.Delete(ctx, master, session, saved.Object.ID); err != nil {
						t.Error(err)
					}
				}()
			}
			if tt.p == nobody {
				wantError(t, err, parse.InvalidSessionToken, noToken)
			}
			_, err = w.update(tt.p, session, id, `{"device":"d"}`)
			got.Update = parse.CodeOf(err)
			if tt.p == nobody {
				wantError(t, err, parse.InvalidSessionToken, noToken)
			}
			if tt.want.Remove != 0 {
				got.Remove = parse.CodeOf(w.objs.Delete(ctx, tt.p, session, id))
			}
			diff(t, tt.want, got)
		})
	}
	p := w.as(alice)
	if err := w.objs.Delete(t.Context(), p, session, id); err != nil {
		t.Fatal(err)
	}
	w.dead(alice, invalidToken)
	w.as(bob)
}

func TestCreateSession(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	saved := w.create(w.as(alice), session, `{"user":`+pointer(user, "other")+`,"sessionToken":"r:mine","createdWith":{"action":"x"},`+
		`"expiresAt":{"__type":"Date","iso":"2099-01-01T00:00:00.000Z"},"installationId":"inst","note":"n"}`)
	m := member{alice.id, saved.Response.String("sessionToken")}
	if !regexp.MustCompile(`^r:[0-9a-f]{32}$`).MatchString(m.token) {
		t.Errorf("token %q", m.token)
	}
	saved.Response.Set("sessionToken", "T")
	saved.Response.Set("objectId", "I")
	diff(t, `{"objectId":"I","createdAt":"2030-01-01T00:00:00.000Z","user":`+pointer(user, alice.id)+`,"sessionToken":"T","createdWith":{"action":"create"},`+
		`"expiresAt":{"__type":"Date","iso":"2030-01-01T01:00:00.000Z"},"installationId":"inst","note":"n"}`, canonical(t, saved.Response,
		"objectId", "createdAt", "user", "sessionToken", "createdWith", "expiresAt", "installationId", "note"))
	diff(t, alice.id, w.as(m).UserID)
	w.as(alice)
	_, err := w.objs.Create(t.Context(), w.as(alice), &objects.Write{Class: session, Body: body(t, `{"ACL":{}}`)})
	wantError(t, err, parse.InvalidKeyName, "Cannot set ACL on a Session.")
	// As master what is sent is stored.
	w.create(master, session, `{"user":`+pointer(user, alice.id)+`,"sessionToken":"custom"}`)
	w.as(member{alice.id, "custom"})
}

// canonical writes a map with its keys in the given order.
func canonical(t *testing.T, m *parse.Map, keys ...string) string {
	t.Helper()
	out := &parse.Map{}
	for _, k := range keys {
		if v, ok := m.Get(k); ok {
			out.Set(k, v)
		}
	}
	diff(t, m.Len(), out.Len())
	return string(parse.AppendJSON(nil, out))
}

func TestSessionsThatNeverEnd(t *testing.T) {
	w := newWorld(t, func(o *auth.Options, _ *objects.Options) { o.SessionLength = 0 })
	alice := w.signUp("alice")
	w.create(w.as(alice), session, `{"expiresAt":{"__type":"Date","iso":"2000-01-01T00:00:00.000Z"}}`)
	for _, o := range w.sessions(master) {
		if o.Fields.Has("expiresAt") {
			t.Errorf("session %s", o.AppendJSON(nil))
		}
	}
	w.wait(1000 * time.Hour)
	w.as(alice)
}

func TestUpdateSession(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	me := w.as(alice)
	id := w.sessions(master)[alice.token].ID
	const date = `{"__type":"Date","iso":"2099-01-01T00:00:00.000Z"}`
	tests := []struct {
		body string
		p    *access.Principal
		key  string // refused
	}{
		{`{"note":"n"}`, me, ""},
		{`{"user":` + pointer(user, alice.id) + `}`, me, ""},
		{`{"user":` + pointer(user, "x") + `}`, me, "user"},
		{`{"user":null}`, me, "user"},
		{`{"user":{"__op":"Delete"}}`, me, "user"},
		{`{"installationId":"x"}`, me, "installationId"},
		{`{"installationId":null}`, me, "installationId"},
		{`{"installationId":"x"}`, master, "installationId"},
		{`{"sessionToken":"r:x"}`, me, "sessionToken"},
		{`{"sessionToken":"r:x"}`, master, "sessionToken"},
		{`{"expiresAt":` + date + `}`, me, "expiresAt"},
		{`{"createdWith":{"action":"x"}}`, me, "createdWith"},
		{`{"createdWith.action":"x"}`, me, "createdWith"},
		{`{"createdWith":{"action":"x"}}`, master, ""},
		{`{"expiresAt":` + date + `}`, master, ""},
	}
	for _, tt := range tests {
		t.Run(tt.body, func(t *testing.T) {
			_, err := w.update(tt.p, session, id, tt.body)
			if tt.key == "" {
				wantError(t, err, 0, "")
			} else {
				wantError(t, err, parse.InvalidKeyName, "Invalid key name: "+tt.key)
			}
		})
	}
	_, err := w.update(me, session, id, `{"ACL":{"*":{"read":true}}}`)
	wantError(t, err, parse.InvalidKeyName, "Cannot set ACL on a Session.")
	// The master key took effect on the cached session.
	w.wait(2 * time.Hour)
	w.as(alice)
}

func TestExpiry(t *testing.T) {
	w := newWorld(t, nil)
	cached, cold := w.signUp("cached"), w.signUp("cold")
	w.as(cached)
	w.wait(time.Hour - time.Millisecond)
	w.as(cached)
	w.wait(time.Millisecond)
	w.dead(cached, "Session token is expired.")
	w.dead(cold, "Session token is expired.")
	w.dead(member{}, invalidToken)
	w.dead(member{token: "r:00000000000000000000000000000000"}, invalidToken)
	w.as(w.login("cold"))
}

func TestOneSessionForEachInstallation(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	at := func(installation string) member {
		o, err := w.Login(t.Context(), access.New(access.Principal{InstallationID: installation}), body(t, `{"username":"alice","password":"pass-alice"}`))
		if err != nil {
			t.Fatal(err)
		}
		return member{o.ID, o.String("sessionToken")}
	}
	phone, tablet := at("phone"), at("tablet")
	w.as(phone)
	again := at("phone")
	w.dead(phone, invalidToken)
	for _, m := range []member{alice, tablet, again} {
		w.as(m)
	}
	// In a transaction the old session ends with the commit.
	w.as(tablet)
	var third member
	roll := errors.New("roll back")
	for _, fail := range []error{roll, nil} {
		err := w.objs.InTx(t.Context(), func(ctx context.Context, tx *objects.Service) error {
			saved, err := tx.Create(ctx, w.principal(alice), &objects.Write{Class: session, Body: body(t, `{"installationId":"tablet"}`)})
			if err != nil {
				return err
			}
			third = member{alice.id, saved.Response.String("sessionToken")}
			return fail
		})
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
		if fail != nil {
			w.as(tablet)
			w.dead(third, invalidToken)
		}
	}
	w.dead(tablet, invalidToken)
	w.as(third)
}

func TestCurrentSession(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.signUp("alice"), w.signUp("bob")
	o, err := w.CurrentSession(t.Context(), nobody, alice.token)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, alice.token, o.String("sessionToken"))
	if err := w.objs.Delete(t.Context(), master, user, bob.id); err != nil {
		t.Fatal(err)
	}
	for token, text := range map[string]string{
		"": "Session token required.", "r:x": "Session token not found.", bob.token: invalidToken,
	} {
		_, err := w.CurrentSession(t.Context(), nobody, token)
		wantError(t, err, parse.InvalidSessionToken, text)
	}
	w.wait(time.Hour)
	_, err = w.CurrentSession(t.Context(), nobody, alice.token)
	wantError(t, err, parse.InvalidSessionToken, "Session token is expired.")
}

func TestLogout(t *testing.T) {
	w := newWorld(t, nil)
	var hooked int
	w.app.AfterLogout(func(context.Context, *cloudcode.LogoutRequest) error {
		hooked++
		return nil
	})
	alice := w.signUp("alice")
	second := w.login("alice")
	p := w.as(alice)
	w.revoked.take()
	for range 2 { // the second time there is nothing to end
		if err := w.Logout(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	w.dead(alice, invalidToken)
	w.as(second)
	told, all := w.revoked.take()
	diff(t, []any{[]string{alice.id}, 0, 1}, []any{told, all, hooked})
	if err := w.Logout(t.Context(), nobody); err != nil {
		t.Error(err)
	}
}
