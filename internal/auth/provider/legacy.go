package provider

import (
	"context"
	"errors"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// bearer is a provider of which the client brings a token that it has got
// itself: that the token was made for this application cannot be known. Such
// providers are deprecated and work only if an operator accepts that.
type bearer struct {
	name string
	// owner asks whose token it is.
	owner func(ctx context.Context, data *parse.Map) (id string, err error)
}

var _ cloudcode.AuthProvider = (*bearer)(nil)

// Authenticate implements [cloudcode.AuthProvider].
func (p *bearer) Authenticate(ctx context.Context, r *cloudcode.AuthRequest) (*cloudcode.AuthResponse, error) {
	want := r.Data.String("id")
	if want == "" {
		return nil, p.invalid()
	}
	id, err := p.owner(ctx, r.Data)
	if err != nil {
		return nil, err
	}
	if id != want {
		return nil, p.invalid()
	}
	return nil, nil
}

func (p *bearer) invalid() error { return invalid("%s auth is invalid for this user.", p.name) }

// accepted refuses a provider that an operator has not accepted.
func (c *common) accepted() error {
	if !c.EnableInsecureAuth {
		return errors.New("the provider cannot tell for whom a token was made: it works only with the option enableInsecureAuth")
	}
	return nil
}

// acceptedGlobally asks besides for the option of the server.
func (c *common) acceptedGlobally(e *Env) error {
	if !e.Insecure {
		return errors.New("the provider cannot tell for whom a token was made: it works only with the options enableInsecureAuth and enableInsecureAuthAdapters")
	}
	return c.accepted()
}
