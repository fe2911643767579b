package livequery

import (
	"context"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
)

// request is what a hook is told about a client. A token that is not valid
// counts as none, as in the protocol.
func (c *client) request(ctx context.Context, token string) cloudcode.Request {
	p := access.New(access.Principal{InstallationID: c.installation, IP: c.ip})
	switch {
	case c.master:
		p = access.New(access.Principal{Kind: access.Master, InstallationID: c.installation, IP: c.ip})
	case token != "" && c.hub.opts.Auth != nil:
		if known, err := c.hub.opts.Auth.Principal(ctx, token, c.installation, c.ip); err == nil {
			p = known
		}
	}
	return c.hub.opts.Request(ctx, p)
}

// beforeConnect asks the hooks whether a client may connect.
func (c *client) beforeConnect(ctx context.Context) error {
	if !c.hub.opts.App.HasBeforeConnect() {
		return nil
	}
	st := c.hub.Stats()
	return c.hub.opts.App.RunBeforeConnect(ctx, &cloudcode.ConnectRequest{
		Request: c.request(ctx, c.token), ClientID: c.id, SessionToken: c.token, Clients: st.Clients, Subscriptions: st.Subscriptions,
	})
}

// beforeSubscribe asks the hooks of a class about a subscription, and returns
// the query that they leave.
func (c *client) beforeSubscribe(ctx context.Context, m, q *parse.Map) (*parse.Map, error) {
	class := q.String("className")
	if !c.hub.opts.App.HasBeforeSubscribe(class) {
		return q, nil
	}
	token := m.String("sessionToken")
	if token == "" {
		token = c.token
	}
	requestID, _ := m.Get("requestId")
	keys := stringList(q, "keys")
	if keys == nil {
		keys = stringList(q, "fields")
	}
	r := &cloudcode.SubscribeRequest{
		Request: c.request(ctx, token), Class: class, Op: m.String("op"), RequestID: requestID, SessionToken: token,
		Keys: keys, Watch: stringList(q, "watch"), Include: stringList(q, "include"),
	}
	if v, ok := q.Get("where"); ok {
		r.Where, _ = v.(*parse.Map)
	}
	r.Where = r.Where.Clone()
	if r.Where == nil {
		r.Where = &parse.Map{}
	}
	if err := c.hub.opts.App.RunBeforeSubscribe(ctx, r); err != nil {
		return nil, err
	}
	q = q.Clone()
	q.Delete("fields")
	q.Set("where", r.Where)
	for name, list := range map[string][]string{"keys": r.Keys, "watch": r.Watch, "include": r.Include} {
		if list == nil {
			q.Delete(name)
			continue
		}
		names := make(parse.Array, len(list))
		for i, s := range list {
			names[i] = s
		}
		q.Set(name, names)
	}
	return q, nil
}

// tell tells the monitors what the client does.
func (c *client) tell(event string) {
	if !c.hub.opts.App.HasMonitor() {
		return
	}
	st := c.hub.Stats()
	c.hub.opts.App.TellLiveQueryEvent(c.ctx, &cloudcode.LiveQueryEvent{
		Request: c.request(c.ctx, ""), Event: event, ClientID: c.id, SessionToken: c.token, Clients: st.Clients, Subscriptions: st.Subscriptions,
	})
}
