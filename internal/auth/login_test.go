package auth_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

func TestLogin(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.signUp("alice"), w.signUp("bob")
	// Whose name is another's address.
	tricky := w.signUpAs(nobody, `{"username":"bob@x.y","password":"pass-tricky"}`)
	locked := w.signUp("locked")
	w.mustUpdate(master, user, locked.id, `{"ACL":{}}`)
	w.signUpAs(nobody, `{"authData":{"anonymous":{"id":"a"}}}`)
	anon := w.signUpAs(nobody, `{"username":"anon","authData":{"anonymous":{"id":"b"}}}`)

	const invalid = "Invalid username/password."
	tests := []struct {
		name, params string
		p            *access.Principal
		want         string // id
		code         parse.Code
		text         string
	}{
		{"nothing", `{}`, nobody, "", parse.UsernameMissing, "username/email is required."},
		{"empty name", `{"username":"","password":"x"}`, nobody, "", parse.UsernameMissing, ""},
		{"no password", `{"username":"alice"}`, nobody, "", parse.PasswordMissing, "password is required."},
		{"empty password", `{"username":"alice","password":""}`, nobody, "", parse.PasswordMissing, ""},
		{"password is an operator", `{"username":"alice","password":{"$ne":"x"}}`, nobody, "", parse.ObjectNotFound, invalid},
		{"name is an operator", `{"username":{"$ne":"x"},"password":"pass-alice"}`, nobody, "", parse.ObjectNotFound, invalid},
		{"address is a number", `{"username":"alice","email":1,"password":"pass-alice"}`, nobody, "", parse.ObjectNotFound, invalid},
		{"unknown", `{"username":"nobody","password":"x"}`, nobody, "", parse.ObjectNotFound, invalid},
		{"wrong password", `{"username":"alice","password":"pass-bob"}`, nobody, "", parse.ObjectNotFound, invalid},
		{"wrong case", `{"username":"Alice","password":"pass-alice"}`, nobody, "", parse.ObjectNotFound, invalid},
		{"no password set", `{"username":"anon","password":"x"}`, nobody, "", parse.ObjectNotFound, invalid},
		{"name", `{"username":"alice","password":"pass-alice"}`, nobody, alice.id, 0, ""},
		{"address", `{"email":"alice@x.y","password":"pass-alice"}`, nobody, alice.id, 0, ""},
		{"falsy name", `{"username":0,"email":"alice@x.y","password":"pass-alice"}`, nobody, alice.id, 0, ""},
		{"address as name", `{"username":"alice@x.y","password":"pass-alice"}`, nobody, alice.id, 0, ""},
		{"both", `{"username":"alice","email":"alice@x.y","password":"pass-alice"}`, nobody, alice.id, 0, ""},
		{"both of different users", `{"username":"alice","email":"bob@x.y","password":"pass-alice"}`, nobody, "", parse.ObjectNotFound, invalid},
		{"the name wins", `{"username":"bob@x.y","password":"pass-tricky"}`, nobody, tricky.id, 0, ""},
		{"over the address", `{"username":"bob@x.y","password":"pass-bob"}`, nobody, "", parse.ObjectNotFound, invalid},
		{"which still works as such", `{"email":"bob@x.y","password":"pass-bob"}`, nobody, bob.id, 0, ""},
		{"locked out", `{"username":"locked","password":"pass-locked"}`, nobody, "", parse.ObjectNotFound, invalid},
		{"locked out but for master", `{"username":"locked","password":"pass-locked"}`, master, locked.id, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(w.sessions(master))
			o, err := w.VerifyPassword(t.Context(), tt.p, body(t, tt.params))
			wantError(t, err, tt.code, tt.text)
			diff(t, before, len(w.sessions(master)))
			if err == nil {
				diff(t, []any{tt.want, false}, []any{o.ID, o.Fields.Has("sessionToken")})
			}
			o, err = w.Login(t.Context(), tt.p, body(t, tt.params))
			wantError(t, err, tt.code, tt.text)
			if err != nil {
				diff(t, before, len(w.sessions(master)))
				return
			}
			m := member{o.ID, o.String("sessionToken")}
			diff(t, tt.want, w.as(m).UserID)
			diff(t, `{"action":"login","authProvider":"password"}`, createdWith(w, m))
			for k := range o.Fields.All() {
				if strings.HasPrefix(k, "_") || k == "password" {
					t.Errorf("the answer has %s", k)
				}
			}
		})
	}
	if anon.id == "" {
		t.Error("an anonymous user may have a name")
	}
}

// A user who may not read himself still logs in.
func TestLoginUnseen(t *testing.T) {
	w := newWorld(t, nil)
	m := w.signUp("alice")
	w.setCLP(user, &schema.CLP{Ops: map[schema.Operation]*schema.Permission{schema.Get: {Subjects: map[string]bool{"role:x": true}}}})
	o, err := w.Login(t.Context(), nobody, body(t, `{"username":"alice","password":"pass-alice"}`))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, `{"objectId":"`+m.id+`","sessionToken":"`+o.String("sessionToken")+`"}`, string(o.AppendJSON(nil)))
	w.as(member{o.ID, o.String("sessionToken")})
	_, err = w.Me(t.Context(), w.as(m), nil, nil)
	wantError(t, err, parse.OperationForbidden, "")
}

func TestLoginHooks(t *testing.T) {
	w := newWorld(t, nil)
	var ran []string
	w.app.BeforeLogin(func(_ context.Context, r *cloudcode.LoginRequest) error {
		ran = append(ran, "before:"+r.User.String("username")+":"+r.Caller.UserID())
		if r.User.String("username") == "barred" {
			return cloudcode.Err(parse.OperationForbidden, "barred")
		}
		if r.User.Fields.Has("_hashed_password") {
			t.Error("a hook sees the hash")
		}
		return nil
	})
	w.app.AfterLogin(func(_ context.Context, r *cloudcode.LoginRequest) error {
		if !strings.HasPrefix(r.User.String("sessionToken"), "r:") {
			t.Error("a hook after the login does not see the token")
		}
		ran = append(ran, "after:"+r.User.String("username")+":"+r.Caller.User.String("username"))
		return nil
	})
	w.app.AfterLogout(func(_ context.Context, r *cloudcode.LogoutRequest) error {
		ran = append(ran, "logout:"+r.Caller.User.String("username"))
		return cloudcode.Err(parse.ScriptFailed, "too late")
	})
	w.signUp("alice")
	w.signUp("barred")
	m := w.login("alice")
	_, err := w.Login(t.Context(), nobody, body(t, `{"username":"barred","password":"pass-barred"}`))
	wantError(t, err, parse.OperationForbidden, "barred")
	// The error reaches the client, though the session is gone.
	wantError(t, w.Logout(t.Context(), w.as(m)), parse.ScriptFailed, "too late")
	w.dead(m, invalidToken)
	diff(t, []string{"before:alice:", "after:alice:alice", "before:barred:", "logout:alice"}, ran)
	diff(t, 2, len(w.sessions(master))) // of the two sign-ups
}

func TestLoginAs(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	kind := func(k access.Kind) *access.Principal { return access.New(access.Principal{Kind: k}) }
	tests := []struct {
		name, params string
		p            *access.Principal
		code         parse.Code
		text         string
	}{
		{"client", `{"userId":"` + alice.id + `"}`, w.as(alice), parse.OperationForbidden, "master key is required"},
		{"maintenance", `{"userId":"` + alice.id + `"}`, kind(access.Maintenance), parse.OperationForbidden, "master key is required"},
		{"read-only", `{"userId":"` + alice.id + `"}`, kind(access.ReadOnlyMaster), parse.OperationForbidden, "read-only masterKey isn't allowed to login as another user."},
		{"no id", `{}`, master, parse.InvalidValue, "userId must not be empty, null, or undefined"},
		{"unknown", `{"userId":"x"}`, master, parse.ObjectNotFound, "user not found"},
		{"master", `{"userId":"` + alice.id + `"}`, master, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := w.LoginAs(t.Context(), tt.p, body(t, tt.params))
			wantError(t, err, tt.code, tt.text)
			if err != nil {
				return
			}
			m := member{o.ID, o.String("sessionToken")}
			diff(t, alice.id, w.as(m).UserID)
			diff(t, `{"action":"login","authProvider":"masterkey"}`, createdWith(w, m))
		})
	}
}

func TestMe(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	w.mustUpdate(master, user, alice.id, `{"friends":{"__op":"AddRelation","objects":[`+pointer(user, "x")+`]},"sessionToken":"r:field"}`)
	fast, err := w.Me(t.Context(), w.as(alice), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := w.Me(t.Context(), w.as(alice), &query.Query{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !parse.Equal(fast, slow) {
		t.Errorf("cached %s\nread   %s", fast.AppendJSON(nil), slow.AppendJSON(nil))
	}
	diff(t, alice.token, fast.String("sessionToken"))
	if w.as(alice).User.Fields.Has("sessionToken") {
		t.Error("the cached user was changed")
	}
	_, err = w.Me(t.Context(), nobody, nil, nil)
	wantError(t, err, parse.InvalidSessionToken, invalidToken)
	// Only the master key can lock a user out of his own object.
	w.mustUpdate(w.as(alice), user, alice.id, `{"ACL":{}}`)
	w.as(alice)
	w.mustUpdate(master, user, alice.id, `{"ACL":{}}`)
	for _, q := range []*query.Query{nil, {}} {
		_, err = w.Me(t.Context(), w.as(alice), q, nil)
		wantError(t, err, parse.InvalidSessionToken, invalidToken)
	}
}

func TestHashes(t *testing.T) {
	w := newWorld(t, nil)
	maintenance := access.New(access.Principal{Kind: access.Maintenance})
	long := strings.Repeat("ä", 40) // 80 bytes
	hash := func(password string) string {
		h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		return string(h)
	}
	with := func(prefix string) string { return prefix + strings.TrimPrefix(hash("secret"), "$2a") }
	tests := []struct {
		name, hash, password string
		ok                   bool
	}{
		{"2a", with("$2a"), "secret", true},
		{"2b", with("$2b"), "secret", true},
		{"2x", with("$2x"), "secret", true},
		{"2y", with("$2y"), "secret", true},
		{"wrong", with("$2b"), "Secret", false},
		{"cut at 72 bytes", hash(long[:72]), long, true},
		{"differs after 72 bytes", hash(long[:72]), long[:72] + "other", true},
		{"differs before", hash(long[:72]), long[:70] + "other", false},
		{"no hash", "secret", "secret", false},
		{"empty hash", "", "secret", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := "u-" + strings.ReplaceAll(tt.name, " ", "-")
			m := w.signUp(name)
			w.mustUpdate(maintenance, user, m.id, `{"_hashed_password":"`+tt.hash+`"}`)
			_, err := w.Login(t.Context(), nobody, body(t, `{"username":"`+name+`","password":"`+tt.password+`"}`))
			want := parse.Code(0)
			if !tt.ok {
				want = parse.ObjectNotFound
			}
			wantError(t, err, want, "")
		})
	}
	m := w.signUpAs(nobody, `{"username":"long","password":"`+long+`"}`)
	if err := bcrypt.CompareHashAndPassword([]byte(w.stored(m.id).String("_hashed_password")), []byte(long[:72])); err != nil {
		t.Error(err)
	}
}

func TestPasswordChange(t *testing.T) {
	for _, keep := range []bool{false, true} {
		w := newWorld(t, nil)
		if keep {
			w = newWorld(t, keepSessions)
		}
		alice, bob := w.signUp("alice"), w.signUp("bob")
		second := w.login("alice")
		w.as(alice) // cached
		w.revoked.take()
		saved := w.mustUpdate(w.as(second), user, alice.id, `{"password":"pass-new"}`)
		fresh := member{alice.id, saved.Response.String("sessionToken")}
		w.as(fresh)
		w.as(bob)
		if keep {
			w.as(alice)
			w.as(second)
		} else {
			w.dead(alice, invalidToken)
			w.dead(second, invalidToken)
			if told, _ := w.revoked.take(); len(told) == 0 {
				t.Error("nobody was told")
			}
		}
		_, err := w.Login(t.Context(), nobody, body(t, `{"username":"alice","password":"pass-alice"}`))
		wantError(t, err, parse.ObjectNotFound, "")
		// By master: no new session.
		saved = w.mustUpdate(master, user, alice.id, `{"password":"pass-alice"}`)
		if saved.Response.Has("sessionToken") {
			t.Error("master got a session")
		}
		if !keep {
			w.dead(fresh, invalidToken)
		}
		w.login("alice")
		for _, b := range []string{`{"password":""}`, `{"password":null}`, `{"password":{"__op":"Delete"}}`} {
			_, err := w.update(master, user, alice.id, b)
			wantError(t, err, parse.PasswordMissing, "password is required")
		}
	}
}

// Sessions end even if the client has gone once the password is stored.
func TestPasswordChangeOfAClientThatHasGone(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	p := w.as(alice)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.pub.before = func([]parse.Change) { cancel() }
	_, err := w.objs.Update(ctx, p, &objects.Write{Class: user, ID: alice.id, Body: body(t, `{"password":"new"}`)})
	if err != nil && !errors.Is(err, context.Canceled) { // the session to start may fail
		t.Errorf("got %v", err)
	}
	w.dead(alice, invalidToken)
}

// A password that changes while somebody logs in with the old one ends that
// session, too.
func TestPasswordChangeWhileLoggingIn(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.signUp("alice")
	w.app.BeforeLogin(func(context.Context, *cloudcode.LoginRequest) error {
		w.mustUpdate(master, user, alice.id, `{"password":"changed"}`)
		return nil
	})
	_, err := w.Login(t.Context(), nobody, body(t, `{"username":"alice","password":"pass-alice"}`))
	wantError(t, err, parse.ObjectNotFound, "Invalid username/password.")
	diff(t, 0, len(w.sessions(master)))
}

func TestResetTokensEnd(t *testing.T) {
	w := newWorld(t, nil)
	maintenance := access.New(access.Principal{Kind: access.Maintenance})
	alice := w.signUp("alice")
	for _, b := range []string{`{"password":"x"}`, `{"email":"new@x.y"}`} {
		w.mustUpdate(maintenance, user, alice.id, `{"_perishable_token":"t"}`)
		w.mustUpdate(master, user, alice.id, `{"nick":"n"}`)
		diff(t, "t", w.stored(alice.id).String("_perishable_token"))
		w.mustUpdate(master, user, alice.id, b)
		if w.stored(alice.id).Fields.Has("_perishable_token") {
			t.Error(b)
		}
	}
}

func TestWritesOfUsers(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.signUp("alice"), w.signUp("bob")
	// Everybody may write him, says the ACL.
	w.mustUpdate(master, user, bob.id, `{"ACL":{"*":{"read":true,"write":true}}}`)
	tests := []struct {
		name, id, body string
		p              *access.Principal
		code           parse.Code
	}{
		{"another", bob.id, `{"nick":"n"}`, w.as(alice), parse.ObjectNotFound},
		{"a stranger", bob.id, `{"nick":"n"}`, nobody, parse.ObjectNotFound},
		{"oneself", bob.id, `{"nick":"n"}`, w.as(bob), 0},
		{"verified", bob.id, `{"emailVerified":true}`, w.as(bob), parse.OperationForbidden},
		{"verified by master", bob.id, `{"emailVerified":true}`, master, 0},
		{"taken name", bob.id, `{"username":"Alice"}`, w.as(bob), parse.UsernameTaken},
		{"own name in another case", bob.id, `{"username":"Bob"}`, w.as(bob), 0},
		{"no name", bob.id, `{"username":""}`, w.as(bob), parse.UsernameMissing},
		{"null name", bob.id, `{"username":null}`, w.as(bob), parse.UsernameMissing},
		{"deleted name", bob.id, `{"username":{"__op":"Delete"}}`, w.as(bob), parse.UsernameMissing},
		{"taken address", bob.id, `{"email":"ALICE@x.y"}`, w.as(bob), parse.EmailTaken},
		{"bad address", bob.id, `{"email":"x"}`, w.as(bob), parse.InvalidEmailAddress},
		{"no address", bob.id, `{"email":""}`, w.as(bob), 0},
		{"nor another", alice.id, `{"email":null}`, w.as(alice), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.update(tt.p, user, tt.id, tt.body)
			wantError(t, err, tt.code, "")
		})
	}
	for _, p := range []*access.Principal{nobody, w.as(alice)} {
		wantError(t, w.objs.Delete(t.Context(), p, user, bob.id), parse.ObjectNotFound, "")
	}
	if w.stored(bob.id).Fields.Has("email") {
		t.Error("an empty address is stored")
	}
	// A deleted user's sessions are dead at once, his requests under way fail.
	p := w.as(bob)
	if err := w.objs.Delete(t.Context(), p, user, bob.id); err != nil {
		t.Fatal(err)
	}
	w.dead(bob, invalidToken)
	_, err := w.update(p, user, bob.id, `{"nick":"m"}`)
	wantError(t, err, parse.ObjectNotFound, "")
}

func TestPresent(t *testing.T) {
	w := newWorld(t, nil)
	alice, bob := w.signUp("alice"), w.signUp("bob")
	w.mustUpdate(master, user, alice.id, `{"ACL":{"*":{"read":true}},"authData":{"anonymous":{"id":"1"}}}`)
	for name, tt := range map[string]struct {
		p    *access.Principal
		auth bool
	}{"stranger": {nobody, false}, "another": {w.as(bob), false}, "oneself": {w.as(alice), true}, "master": {master, true}} {
		o, err := w.objs.Get(t.Context(), tt.p, user, alice.id, nil)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, []any{name, tt.auth, false}, []any{name, o.Fields.Has("authData"), o.Fields.Has("_hashed_password")})
		found, err := w.objs.Find(t.Context(), tt.p, user, &query.Query{Where: query.Equal("authData.anonymous.id", "1"), Limit: 1})
		if tt.p == master {
			diff(t, 1, len(found.Objects))
		} else {
			wantError(t, err, parse.OperationForbidden, "")
		}
	}
}

// Fields that other servers left in the database stay there.
func TestPresentOldRows(t *testing.T) {
	w := newWorld(t, nil)
	class := w.objs.Registry().Current().Class(user)
	data := func(s string) parse.Value {
		if s == "" {
			return nil
		}
		return body(t, s)
	}
	for i, tt := range []struct{ stored, shown string }{
		{"", ""},
		{`{}`, ""},
		{`{"acme":null}`, ""},
		{`{"acme":{"id":"1"}}`, `{"acme":{"id":"1"}}`},
		{`{"acme":{"id":"2"},"anonymous":null}`, `{"acme":{"id":"2"}}`},
	} {
		o := &parse.Object{ClassName: user, ID: "old" + strconv.Itoa(i), CreatedAt: 1, UpdatedAt: 1}
		o.Set("username", o.ID)
		o.Set("password", "plain")
		o.Set("authData", data(tt.stored))
		if err := w.objs.Store().Insert(t.Context(), class, []*parse.Object{o}); err != nil {
			t.Fatal(err)
		}
		got, err := w.objs.Get(t.Context(), master, user, o.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := &parse.Object{ClassName: user, ID: o.ID, CreatedAt: 1, UpdatedAt: 1}
		want.Set("username", o.ID)
		if tt.shown != "" {
			want.Set("authData", data(tt.shown))
		}
		if !parse.Equal(want, got) {
			t.Errorf("stored %q: %s", tt.stored, got.AppendJSON(nil))
		}
	}
}

func TestClassSaysWhoReadsUsers(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := w.objs.Registry().Apply(t.Context(), func(have *schema.Snapshot) ([]schema.Step, error) {
		def := *have.Class(user)
		def.OwnerRoles, def.OwnerWriteRoles = []string{"reader"}, []string{"writer"}
		return []schema.Step{{Kind: schema.SetMeta, Class: user, Def: &def}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	m := w.signUpAs(nobody, `{"username":"alice","password":"x","ACL":{"*":{"read":true}}}`)
	want := `{"` + m.id + `":{"read":true,"write":true},"role:reader":{"read":true},"role:writer":{"read":true,"write":true}}`
	diff(t, want, string(parse.AppendJSON(nil, w.stored(m.id).ACL.Value())))
	w.mustUpdate(w.as(m), user, m.id, `{"ACL":{"*":{"read":true}}}`)
	diff(t, want, string(parse.AppendJSON(nil, w.stored(m.id).ACL.Value())))
	w.mustUpdate(master, user, m.id, `{"ACL":{"*":{"read":true}}}`)
	diff(t, `{"*":{"read":true}}`, string(parse.AppendJSON(nil, w.stored(m.id).ACL.Value())))
}
