package auth_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/auth"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// In each row everything that is checked later is wrong, too.
func TestSignUpErrorsInOrder(t *testing.T) {
	for name, folded := range map[string]bool{"names folded by queries": false, "by the database": true} {
		t.Run(name, func(t *testing.T) {
			testSignUpErrors(t, newWorld(t, func(o *auth.Options, _ *objects.Options) { o.FoldedNames = folded }))
		})
	}
}

func testSignUpErrors(t *testing.T, w *world) {
	t.Helper()
	w.signUp("taken")
	w.app.BeforeSave(user, func(_ context.Context, r *cloudcode.SaveRequest) error {
		if r.Object.Fields.Has("hook") {
			return cloudcode.Err(999, "hook")
		}
		return nil
	})
	readOnly := access.New(access.Principal{Kind: access.ReadOnlyMaster})
	tests := []struct {
		name string
		p    *access.Principal
		body string
		code parse.Code
		text string
	}{
		{"id of a role", readOnly, `{"objectId":"role:admin"}`, parse.OperationForbidden, "Invalid object ID."},
		{"read-only master", readOnly, `{"authData":null}`, parse.OperationForbidden, ""},
		{"no name", nobody, `{"authData":null,"email":"bad"}`, parse.UsernameMissing, "bad or missing username"},
		{"name is no string", nobody, `{"username":1,"password":"x"}`, parse.UsernameMissing, ""},
		{"empty name", nobody, `{"username":"","password":"x"}`, parse.UsernameMissing, ""},
		{"no usable provider", nobody, `{"authData":{"acme":{}}}`, parse.UsernameMissing, ""},
		{"null provider", nobody, `{"authData":{"acme":null}}`, parse.UsernameMissing, ""},
		{"no password", nobody, `{"username":"taken","authData":null}`, parse.PasswordMissing, "password is required"},
		{"password is no string", nobody, `{"username":"n","password":1}`, parse.PasswordMissing, ""},
		{"empty password", nobody, `{"username":"n","password":""}`, parse.PasswordMissing, ""},
		{"authData is null", nobody, `{"username":"taken","password":"x","authData":null}`, parse.UnsupportedService, "This authentication method is unsupported."},
		{"provider is a string", nobody, `{"username":"n","password":"x","authData":{"x":"str"}}`, parse.UnsupportedService, ""},
		{"unknown provider", nobody, `{"authData":{"acme":{"id":"1"}}}`, parse.UnsupportedService, ""},
		{"id of the provider", nobody, `{"authData":{"anonymous":{"id":1}},"emailVerified":true}`, parse.InvalidValue, "Invalid authData id for provider 'anonymous'."},
		{"verified by a client", nobody, `{"username":"taken","password":"x","emailVerified":true,"email":1}`, parse.OperationForbidden, "Clients aren't allowed to manually update email verification."},
		{"type", nobody, `{"username":"taken","password":"x","email":1}`, parse.IncorrectType, "schema mismatch for _User.email; expected String but got Number"},
		{"name taken", nobody, `{"username":"taken","password":"x","email":"bad"}`, parse.UsernameTaken, "Account already exists for this username."},
		{"name taken but for case", nobody, `{"username":"TAKEN","password":"x"}`, parse.UsernameTaken, ""},
		{"address", nobody, `{"username":"n","password":"x","email":"bad"}`, parse.InvalidEmailAddress, "Email address format is invalid."},
		{"address taken", nobody, `{"username":"n","password":"x","email":"taken@x.y"}`, parse.EmailTaken, "Account already exists for this email address."},
		{"address taken but for case", nobody, `{"username":"n","password":"x","email":"Taken@X.y"}`, parse.EmailTaken, ""},
		{"hook", nobody, `{"username":"n","password":"x","hook":1}`, 999, "hook"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.SignUp(t.Context(), tt.p, body(t, tt.body))
			wantError(t, err, tt.code, tt.text)
		})
	}
	diff(t, 1, len(w.sessions(master)))
}

func TestSignUpForbiddenByClass(t *testing.T) {
	w := newWorld(t, nil)
	w.signUp("taken")
	w.setCLP(user, &schema.CLP{Ops: map[schema.Operation]*schema.Permission{schema.Get: {Public: true}}})
	// The answer must not tell that the name is taken.
	_, err := w.SignUp(t.Context(), nobody, body(t, `{"username":"taken","password":"x"}`))
	wantError(t, err, parse.OperationForbidden, "")
}

func TestSignUpStores(t *testing.T) {
	private := func(id string) string { return `{"` + id + `":{"read":true,"write":true}}` }
	tests := []struct {
		name   string
		change func(*auth.Options)
		p      *access.Principal
		body   string
		acl    func(id string) string
		keys   string // of the answer
	}{
		{"private", nil, nobody, `{"username":"n","password":"x","sessionToken":"r:mine"}`, private, "objectId createdAt sessionToken"},
		{
			"public", func(o *auth.Options) { o.EnforcePrivateUsers = false }, nobody, `{"username":"n","password":"x"}`,
			func(id string) string { return `{"*":{"read":true},"` + id + `":{"read":true,"write":true}}` }, "objectId createdAt sessionToken",
		},
		{
			"own ACL", nil, nobody, `{"username":"n","password":"x","ACL":{"u":{"read":true}}}`,
			func(id string) string { return `{"u":{"read":true},"` + id + `":{"read":true,"write":true}}` }, "objectId createdAt sessionToken",
		},
		{"no address", nil, nobody, `{"username":"n","password":"x","email":""}`, private, "objectId createdAt sessionToken"},
		{"anonymous", nil, nobody, `{"authData":{"anonymous":{"id":"a"}}}`, private, "objectId createdAt authDataResponse username sessionToken"},
		{"by the server", nil, access.New(access.Principal{Kind: access.Master, InstallationID: "cloud"}), `{"username":"n","password":"x"}`, private, "objectId createdAt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(o *auth.Options, _ *objects.Options) {
				if tt.change != nil {
					tt.change(o)
				}
			})
			res, err := w.SignUp(t.Context(), tt.p, body(t, tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if !res.Saved.Created || res.LoggedIn {
				t.Errorf("created %t, logged in %t", res.Saved.Created, res.LoggedIn)
			}
			id := res.Saved.Object.ID
			o := w.stored(id)
			diff(t, tt.acl(id), string(parse.AppendJSON(nil, o.ACL.Value())))
			for _, key := range []string{"password", "sessionToken", "email"} {
				if o.Fields.Has(key) {
					t.Errorf("%s is stored", key)
				}
			}
			var keys []string
			for k := range res.Saved.Response.All() {
				keys = append(keys, k)
			}
			diff(t, sorted(tt.keys), sorted(strings.Join(keys, " ")))
			if name := res.Saved.Response.String("username"); strings.Contains(tt.keys, "username") && !regexp.MustCompile(`^[A-Za-z0-9]{25}$`).MatchString(name) {
				t.Errorf("generated name %q", name)
			}
		})
	}
}

func TestUsersNeedCredentialsOnEveryWay(t *testing.T) {
	w := newWorld(t, nil)
	for text, code := range map[string]parse.Code{
		`{"nick":"n"}`:     parse.UsernameMissing,
		`{"username":"n"}`: parse.PasswordMissing,
		`{"objectId":"role:admin","username":"n","password":"x"}`: parse.OperationForbidden,
	} {
		_, err := w.objs.Create(t.Context(), master, &objects.Write{Class: user, Body: body(t, text)})
		wantError(t, err, code, "")
	}
}

func TestAnonymousUsers(t *testing.T) {
	w := newWorld(t, nil)
	login := `{"authData":{"anonymous":{"id":"dev-1"}}}`
	first := w.signUpAs(nobody, login)
	res, err := w.SignUp(t.Context(), nobody, body(t, login))
	if err != nil || !res.LoggedIn || res.Saved.Created || res.Saved.Object.ID != first.id {
		t.Fatalf("got %+v, %v", res, err)
	}
	again := member{first.id, res.Saved.Response.String("sessionToken")}
	if again.token == first.token || res.Saved.Response.String("objectId") != first.id {
		t.Errorf("answer %s", parse.AppendJSON(nil, res.Saved.Response))
	}
	diff(t, `{"action":"login","authProvider":"anonymous"}`, createdWith(w, again))
	diff(t, `{"action":"signup","authProvider":"anonymous"}`, createdWith(w, first))
	w.as(first) // its session goes on
	other := w.signUp("other")
	_, err = w.SignUp(t.Context(), w.as(other), body(t, login))
	wantError(t, err, parse.AccountAlreadyLinked, "this auth is already used")
	_, err = w.update(w.as(other), user, other.id, login)
	wantError(t, err, parse.AccountAlreadyLinked, "")
	if _, err := w.objs.Get(t.Context(), nobody, user, first.id, nil); parse.CodeOf(err) != parse.ObjectNotFound {
		t.Errorf("a stranger reads an anonymous user: %v", err)
	}
	// With a name and a password the id opens nothing any more, even if the client keeps it.
	saved := w.mustUpdate(w.as(again), user, first.id, `{"username":"named","password":"pass-named"}`)
	if saved.Response.String("sessionToken") == "" || w.stored(first.id).Fields.Has("authData") {
		t.Errorf("answer %s, stored %s", parse.AppendJSON(nil, saved.Response), w.stored(first.id).AppendJSON(nil))
	}
	w.dead(first, invalidToken)
	if got := w.signUpAs(nobody, login); got.id == first.id {
		t.Error("the id still opens the account")
	}
	diff(t, first.id, w.login("named").id)
}

// Provider logins run beforeLogin; who changes his credentials meanwhile ends them.
func TestAnonymousLoginHooks(t *testing.T) {
	w := newWorld(t, nil)
	login := `{"authData":{"anonymous":{"id":"dev-1"}}}`
	m := w.signUpAs(nobody, login)
	bar := true
	w.app.BeforeLogin(func(_ context.Context, r *cloudcode.LoginRequest) error {
		if bar {
			return cloudcode.Err(parse.OperationForbidden, "barred")
		}
		w.mustUpdate(master, user, r.User.ID, `{"username":"named","password":"x"}`)
		return nil
	})
	_, err := w.SignUp(t.Context(), nobody, body(t, login))
	wantError(t, err, parse.OperationForbidden, "barred")
	w.as(m)
	bar = false
	_, err = w.SignUp(t.Context(), nobody, body(t, login))
	wantError(t, err, parse.ObjectNotFound, "")
	diff(t, 0, len(w.sessions(master)))
}

func TestAnonymousLocked(t *testing.T) {
	w := newWorld(t, nil)
	login := `{"authData":{"anonymous":{"id":"dev-1"}}}`
	m := w.signUpAs(nobody, login)
	w.mustUpdate(master, user, m.id, `{"ACL":{}}`)
	_, err := w.SignUp(t.Context(), nobody, body(t, login))
	wantError(t, err, parse.AccountAlreadyLinked, "")
}

func TestAuthData(t *testing.T) {
	w := newWorld(t, nil)
	m := w.signUp("alice")
	me := w.as(m)
	tests := []struct {
		name, body string
		code       parse.Code
		want       string // stored authData
	}{
		{"dotted", `{"authData.anonymous.id":"x"}`, parse.InvalidKeyName, ""},
		{"null", `{"authData":null}`, parse.UnsupportedService, ""},
		{"delete", `{"authData":{"__op":"Delete"}}`, parse.UnsupportedService, ""},
		{"unknown", `{"authData":{"acme":{"id":"1"}}}`, parse.UnsupportedService, ""},
		{"no id", `{"authData":{"anonymous":{}}}`, parse.InvalidValue, ""},
		{"link", `{"authData":{"anonymous":{"id":"1"}}}`, 0, `{"anonymous":{"id":"1"}}`},
		{"relink", `{"authData":{"anonymous":{"id":"2"}}}`, 0, `{"anonymous":{"id":"2"}}`},
		{"nothing", `{"authData":{}}`, 0, `{"anonymous":{"id":"2"}}`},
		{"unlink", `{"authData":{"anonymous":null}}`, 0, ""},
		{"link with a password", `{"password":"y","authData":{"anonymous":{"id":"1"}}}`, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.update(me, user, m.id, tt.body)
			wantError(t, err, tt.code, "")
			got := ""
			if v, ok := w.stored(m.id).Get("authData"); ok {
				got = string(parse.AppendJSON(nil, v))
			}
			diff(t, tt.want, got)
		})
	}
}

// Whoever comes second with an anonymous id is logged in.
func TestAnonymousRace(t *testing.T) {
	w := newWorld(t, nil)
	const clients = 16
	var wg sync.WaitGroup
	ids := make([]string, clients)
	for i := range clients {
		wg.Go(func() {
			res, err := w.SignUp(t.Context(), nobody, body(t, `{"authData":{"anonymous":{"id":"same"}}}`))
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = res.Saved.Object.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		diff(t, ids[0], id)
	}
	diff(t, clients, len(w.sessions(master)))
}

func TestSignUpRace(t *testing.T) {
	w := newWorld(t, nil)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			name := []string{"Same", "same"}[i%2]
			_, errs[i] = w.SignUp(t.Context(), nobody, body(t, `{"username":"`+name+`","password":"x"}`))
		})
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		wantError(t, err, parse.UsernameTaken, "")
	}
	diff(t, 1, made)
}

func TestSignUpOfAClientThatHasGone(t *testing.T) {
	w := newWorld(t, nil)
	_, err := w.SignUp(detached(t.Context()), nobody, body(t, `{"username":"n","password":"x"}`))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func createdWith(w *world, m member) string {
	w.t.Helper()
	o := w.sessions(master)[m.token]
	if o == nil {
		w.t.Fatal("no session of that token")
	}
	v, _ := o.Get("createdWith")
	return string(parse.AppendJSON(nil, v))
}

func sorted(words string) []string {
	list := strings.Fields(words)
	slices.Sort(list)
	return list
}
