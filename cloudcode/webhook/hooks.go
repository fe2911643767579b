package webhook

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Hook is one webhook: of a function, or of a trigger of a class.
type Hook struct {
	Function string
	Class    string
	Trigger  cloudcode.Trigger
	URL      string
}

// Later reports whether the hook follows a write and is sent by itself,
// whatever becomes of it.
func (h *Hook) Later() bool {
	return h.Trigger == cloudcode.TriggerAfterSave || h.Trigger == cloudcode.TriggerAfterDelete
}

// Check tells what is wrong with a declaration, in the words of the protocol.
func (h *Hook) Check() error {
	bad := parse.Errorf(invalidHook, "invalid hook declaration")
	if h.URL == "" || (h.Function == "") == (h.Class == "" || h.Trigger == "") {
		return bad
	}
	if h.Function != "" {
		return nil
	}
	switch h.Trigger {
	case cloudcode.TriggerBeforeSave, cloudcode.TriggerAfterSave, cloudcode.TriggerBeforeDelete, cloudcode.TriggerAfterDelete,
		cloudcode.TriggerBeforeFind, cloudcode.TriggerAfterFind, cloudcode.TriggerBeforeLogin, cloudcode.TriggerAfterLogin,
		cloudcode.TriggerAfterLogout, cloudcode.TriggerBeforePasswordReset, cloudcode.TriggerBeforeConnect,
		cloudcode.TriggerBeforeSubscribe, cloudcode.TriggerAfterEvent:
	default:
		return bad
	}
	if h.Class == cloudcode.ConfigClass {
		return bad
	}
	if err := cloudcode.CheckTrigger(h.Trigger, h.Class); err != nil {
		return parse.Errorf(invalidHook, "%s", err.Error())
	}
	return nil
}

// invalidHook is the code of what is wrong with a declaration.
const invalidHook parse.Code = 143

// Register adds the hooks to an App, but for those that are sent later.
func Register(app *cloudcode.App, hooks []Hook, c *Client) {
	for _, h := range hooks {
		if h.Function != "" {
			app.Function(h.Function, func(ctx context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
				return c.call(ctx, &h, function(r))
			})
			continue
		}
		c.register(app, h)
	}
}

func function(r *cloudcode.FunctionRequest) *parse.Map {
	m := parse.NewMap(field("params", r.Params))
	common(m, &r.Request)
	m.Set("functionName", r.Name)
	return m
}

func (c *Client) register(app *cloudcode.App, h Hook) {
	ask := func(ctx context.Context, m *parse.Map) error {
		_, err := c.call(ctx, &h, m)
		return err
	}
	login := func(ctx context.Context, r *cloudcode.LoginRequest) error { return ask(ctx, about(&r.Request, r.User)) }
	switch h.Trigger {
	case cloudcode.TriggerBeforeSave:
		app.BeforeSave(h.Class, func(ctx context.Context, r *cloudcode.SaveRequest) error {
			v, err := c.call(ctx, &h, saved(r))
			if m, ok := v.(*parse.Map); ok && err == nil {
				return replace(r, m)
			}
			return err
		})
	case cloudcode.TriggerBeforeDelete:
		app.BeforeDelete(h.Class, func(ctx context.Context, r *cloudcode.DeleteRequest) error {
			return ask(ctx, about(&r.Request, r.Object))
		})
	case cloudcode.TriggerBeforeFind:
		app.BeforeFind(h.Class, func(ctx context.Context, r *cloudcode.FindRequest) error {
			m := parse.NewMap(field("triggerName", string(r.Trigger)), field("query", asked(r.Query)), field("count", r.Count), field("isGet", r.IsGet))
			common(m, &r.Request)
			return ask(ctx, m)
		})
	case cloudcode.TriggerAfterFind:
		app.AfterFind(h.Class, func(ctx context.Context, r *cloudcode.FoundRequest) error {
			list := make(parse.Array, len(r.Objects))
			for i, o := range r.Objects {
				m := object(o)
				m.Delete("className")
				list[i] = m
			}
			m := parse.NewMap(field("triggerName", string(r.Trigger)), field("object", nil), field("objects", list),
				field("query", asked(r.Query)), field("isGet", r.IsGet))
			common(m, &r.Request)
			return ask(ctx, m)
		})
	case cloudcode.TriggerBeforeLogin:
		app.BeforeLogin(login)
	case cloudcode.TriggerAfterLogin:
		app.AfterLogin(login)
	case cloudcode.TriggerAfterLogout:
		app.AfterLogout(func(ctx context.Context, r *cloudcode.LogoutRequest) error {
			return ask(ctx, about(&r.Request, r.Session))
		})
	case cloudcode.TriggerBeforePasswordReset:
		app.BeforePasswordReset(func(ctx context.Context, r *cloudcode.PasswordResetRequest) error {
			return ask(ctx, about(&r.Request, r.User))
		})
	case cloudcode.TriggerBeforeConnect:
		app.BeforeConnect(func(ctx context.Context, r *cloudcode.ConnectRequest) error { return ask(ctx, connecting(r)) })
	case cloudcode.TriggerBeforeSubscribe:
		app.BeforeSubscribe(h.Class, func(ctx context.Context, r *cloudcode.SubscribeRequest) error { return ask(ctx, subscribing(r)) })
	case cloudcode.TriggerAfterEvent:
		app.AfterEvent(h.Class, func(ctx context.Context, r *cloudcode.EventRequest) error { return ask(ctx, event(r)) })
	default: // those that are sent later; Check lets no others in
	}
}

// asked is a query in the form of the wire, as far as it can be told.
func asked(q *query.Query) *parse.Map {
	m := parse.NewMap(field("where", where(q.Where)))
	if q.Limit >= 0 {
		m.Set("limit", float64(q.Limit))
	}
	if q.Skip > 0 {
		m.Set("skip", float64(q.Skip))
	}
	return m
}

// replace puts what a hook returned in the place of what the request writes:
// what it did not return is not written.
func replace(r *cloudcode.SaveRequest, m *parse.Map) error {
	m = m.Clone()
	for _, key := range [...]string{"className", parse.KeyObjectID, parse.KeyCreatedAt, parse.KeyUpdatedAt} {
		m.Delete(key)
	}
	o := r.Object.Clone()
	if r.Original != nil {
		o.Fields, o.ACL = *r.Original.Fields.Clone(), r.Original.ACL
	} else {
		o.Fields = parse.Map{}
		for k, v := range r.Object.Fields.All() { // what the server itself keeps
			if len(k) > 0 && k[0] == '_' {
				o.Fields.Set(k, v)
			}
		}
	}
	if v, ok := m.Get(parse.KeyACL); ok {
		m.Delete(parse.KeyACL)
		acl, err := parse.ACLFromValue(v)
		if err != nil {
			return err
		}
		o.ACL = acl
	}
	ops, err := parse.ParseOps(m)
	if err != nil {
		return err
	}
	if err := parse.ApplyOps(o, ops); err != nil {
		return err
	}
	*r.Object = *o
	return nil
}

// call asks a hook and reads its answer.
func (c *Client) call(ctx context.Context, h *Hook, m *parse.Map) (parse.Value, error) {
	answer, err := c.Send(ctx, h.URL, "msg_"+parse.NewObjectID(20), parse.AppendJSON(nil, m))
	if err != nil {
		return nil, err
	}
	return Answer(answer)
}

// Answer reads the answer of a hook: its result, or the error that it tells.
func Answer(body []byte) (parse.Value, error) {
	if len(bytes.TrimSpace(body)) == 0 || !json.Valid(body) {
		return cloudcode.NoResult, nil // as in the protocol, an answer that says nothing
	}
	m, err := parse.DecodeMap(body, parse.DefaultLimits)
	if err != nil {
		return cloudcode.NoResult, nil //nolint:nilerr // as above
	}
	if e, ok := m.Get("error"); ok && parse.Truthy(e) {
		text := ""
		switch e := e.(type) {
		case string:
			text = e
		case *parse.Map:
			if text = e.String("message"); text == "" {
				text = string(parse.AppendJSON(nil, e))
			}
		default:
			text = string(parse.AppendJSON(nil, e))
		}
		return nil, parse.Errorf(parse.ScriptFailed, "%s", text)
	}
	if v, ok := m.Get("success"); ok {
		return v, nil
	}
	return cloudcode.NoResult, nil
}
