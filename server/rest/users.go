package rest

import (
	"context"
	"net/http"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// signUp is POST /users (reference 03 §2). A sign-up by the credentials of an
// existing user is a login, and answers 200.
func signUp(ctx context.Context, c *call) (reply, error) {
	res, err := c.h.auth.SignUp(ctx, c.principal, c.body)
	if err != nil {
		return reply{}, err
	}
	r := c.saved(userClass, res.Saved)
	if res.LoggedIn {
		r.status, r.location = http.StatusOK, ""
	}
	return r, nil
}

// login is GET and POST /login (reference 03 §3).
func login(ctx context.Context, c *call) (reply, error) {
	params, err := c.loginParams()
	if err != nil {
		return reply{}, err
	}
	u, err := c.h.auth.Login(ctx, c.principal, params)
	if err != nil {
		return reply{}, err
	}
	return c.object(u), nil
}

// loginParams takes the body, or the whole query string if the body names no user.
func (c *call) loginParams() (*parse.Map, error) {
	if c.nested || c.body.Has("username") || c.body.Has("email") || c.req.URL.RawQuery == "" {
		return c.body, nil
	}
	m := &parse.Map{}
	values := c.req.URL.Query()
	for k := range values {
		m.Set(k, values.Get(k)) // never read as JSON: a password may look like a number
	}
	return m, nil
}

// loginAs is POST /loginAs (reference 03 §3.1).
func loginAs(ctx context.Context, c *call) (reply, error) {
	params, err := c.queryParams()
	if err != nil {
		return reply{}, err
	}
	u, err := c.h.auth.LoginAs(ctx, c.principal, params)
	if err != nil {
		return reply{}, err
	}
	return c.object(u), nil
}

// logout is POST /logout (reference 03 §3.2).
func logout(ctx context.Context, c *call) (reply, error) {
	if err := c.h.auth.Logout(ctx, c.principal); err != nil {
		return reply{}, err
	}
	return reply{json: emptyObject}, nil
}

// verifyPassword is GET and POST /verifyPassword (reference 03 §3.3).
func verifyPassword(ctx context.Context, c *call) (reply, error) {
	params, err := c.loginParams()
	if err != nil {
		return reply{}, err
	}
	u, err := c.h.auth.VerifyPassword(ctx, c.principal, params)
	if err != nil {
		return reply{}, err
	}
	return c.object(u), nil
}

// me is GET /users/me (reference 03 §3.4).
func me(ctx context.Context, c *call) (reply, error) {
	params, err := c.queryParams()
	if err != nil {
		return reply{}, err
	}
	var q *query.Query
	if params.Len() > 0 {
		if q, err = c.parseQuery(userClass, params); err != nil {
			return reply{}, err
		}
	}
	var u *parse.Object
	err = c.withRoom(ctx, func(m storage.Meter) (err error) {
		u, err = c.h.auth.Me(ctx, c.principal, q, m)
		return weighed(m, u, err)
	})
	if err != nil {
		return reply{}, err
	}
	return c.object(u), nil
}

// currentSession is GET /sessions/me (reference 03 §6.2).
func currentSession(ctx context.Context, c *call) (reply, error) {
	o, err := c.h.auth.CurrentSession(ctx, c.principal, c.token)
	if err != nil {
		return reply{}, err
	}
	return c.object(o), nil
}

// upgrade is POST /upgradeToRevocableSession (reference 03 §6.2).
func upgrade(ctx context.Context, c *call) (reply, error) {
	o, err := c.h.auth.Upgrade(ctx, c.principal)
	if err != nil {
		return reply{}, err
	}
	return c.object(o), nil
}
