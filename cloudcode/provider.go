package cloudcode

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"

	"github.com/pargo-baas/pargo/parse"
)

// AuthStep says at which point of a user's life a provider is asked.
type AuthStep uint8

// Steps.
const (
	// AuthSetUp: the user has nothing of this provider yet; he signs up or links it.
	AuthSetUp AuthStep = iota + 1
	// AuthLogin: somebody claims to be the user, and has yet to prove it.
	AuthLogin
	// AuthUpdate: the user, with a session, or the master key changes what is stored.
	AuthUpdate
	// AuthChallenge: somebody names the user to get a challenge for him.
	AuthChallenge
)

// AuthPolicy says what a provider counts for in a login.
type AuthPolicy uint8

// Policies.
const (
	// AuthDefault: the provider opens the account, as a password does.
	AuthDefault AuthPolicy = iota
	// AuthSolo: it is enough, even if the user has set up an additional provider.
	AuthSolo
	// AuthAdditional: a user who has set it up must give it in every login,
	// besides a password or another provider.
	AuthAdditional
)

// AuthRequest is what a provider is asked about one user.
type AuthRequest struct {
	Caller   Caller
	Provider string
	Step     AuthStep
	// Data is what the client sent as authData.<provider>, a copy that the
	// provider may change. nil in a challenge without authData.
	Data *parse.Map
	// Stored is what is stored for the user; nil: nothing. It must not be changed.
	Stored *parse.Map
	// User is the user as stored, without internal fields; nil for one who is
	// about to sign up. It must not be changed.
	User *parse.Object
	// Challenge is what the client sent as challengeData.<provider>.
	Challenge parse.Value
}

// AuthResponse is what comes of a request that was accepted.
type AuthResponse struct {
	// Reply is sent to the client as authDataResponse.<provider>; nil: nothing.
	Reply parse.Value
	// Save is stored in place of Data.
	Save *parse.Map
	// Keep leaves what is stored as it is; Save and Data are not regarded.
	Keep bool
}

// AuthProvider judges authData of one provider. It is used by many goroutines.
//
// Authenticate accepts a request by a nil error. A *parse.Error is answered to
// the client as it is; any other error is logged and answered as a failure
// without a reason. A nil response stores Data. What is stored has the string
// "id" by which the user is found again; only an AuthPoliced provider may do
// without. At [AuthLogin] a response with Save that comes with an error is
// stored before the error is answered: for a code that was sent out, say.
//
// At [AuthChallenge] the request identifies a user: an error makes him unknown.
type AuthProvider interface {
	Authenticate(ctx context.Context, r *AuthRequest) (*AuthResponse, error)
}

// AuthPreparer is an AuthProvider that completes r.Data, its id above all,
// before a user is looked for by it: it exchanges a code, for example. It must
// verify what it puts there.
type AuthPreparer interface {
	Prepare(ctx context.Context, r *AuthRequest) error
}

// AuthChallenger is an AuthProvider that answers POST /challenge. nil is answered as true.
type AuthChallenger interface {
	Challenge(ctx context.Context, r *AuthRequest) (parse.Value, error)
}

// AuthPresenter is an AuthProvider that shows users less, or something else,
// than what is stored. It returns stored itself if that may be seen. It must
// not change stored, nor wait for anything.
type AuthPresenter interface {
	Present(c Caller, stored *parse.Map) *parse.Map
}

// AuthPoliced is an AuthProvider with a policy other than AuthDefault; stored
// is what is stored for the user.
type AuthPoliced interface {
	Policy(stored *parse.Map) AuthPolicy
}

// ErrWrongCode is wrapped by the errors of an additional provider about codes
// that somebody may have guessed: they count as failed logins of the user.
var ErrWrongCode = errors.New("the code is wrong")

// providerName is what a provider may be called.
var providerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// ValidAuthProvider reports whether a provider may have the name.
func ValidAuthProvider(name string) bool { return providerName.MatchString(name) }

// AuthProvider registers a provider under a name: users sign in with it by
// authData.<name>. It stands in for a provider of the option auth with the
// same name. It panics if the name is not one of letters, digits and
// underscores that begins with a letter.
func (a *App) AuthProvider(name string, p AuthProvider) {
	if !ValidAuthProvider(name) {
		panic(fmt.Sprintf("cloudcode: %q is no name of a provider", name))
	}
	a.providersMu.Lock()
	defer a.providersMu.Unlock()
	if a.providers == nil {
		a.providers = map[string]AuthProvider{}
	}
	a.providers[name] = p
}

// AuthProviders returns the registered providers by name.
func (a *App) AuthProviders() map[string]AuthProvider {
	if a == nil {
		return nil
	}
	a.providersMu.Lock()
	defer a.providersMu.Unlock()
	return maps.Clone(a.providers)
}

// SMS sends a code to a telephone number, which has digits and a plus alone.
type SMS func(ctx context.Context, code, mobile string) error

// SendSMS registers what sends the codes of the provider mfa, which with the
// option SMS cannot do without.
func (a *App) SendSMS(f SMS) {
	a.providersMu.Lock()
	defer a.providersMu.Unlock()
	a.sms = f
}

// SMSSender returns what sends codes; nil: nothing does.
func (a *App) SMSSender() SMS {
	if a == nil {
		return nil
	}
	a.providersMu.Lock()
	defer a.providersMu.Unlock()
	return a.sms
}
