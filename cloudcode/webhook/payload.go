package webhook

import (
	"net/http"
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// secretHeaders are those of a request that no webhook needs to know.
var secretHeaders = map[string]bool{
	"X-Parse-Master-Key": true, "X-Parse-Maintenance-Key": true, "Authorization": true, "Cookie": true,
}

func field(key string, v parse.Value) parse.MapField { return parse.MapField{Key: key, Value: v} }

// common are the members that all payloads have.
func common(m *parse.Map, r *cloudcode.Request) {
	m.Set("master", r.Caller.Master)
	m.Set("isReadOnly", r.Caller.ReadOnly)
	user(m, r, r.Headers.Get("X-Parse-Session-Token"))
	installation(m, r)
	m.Set("headers", headers(r.Headers))
	m.Set("ip", r.Caller.IP)
	ctx := r.Context
	if ctx == nil {
		ctx = &parse.Map{}
	}
	m.Set("context", ctx)
}

// user sets the member of who is asking, if that is known.
func user(m *parse.Map, r *cloudcode.Request, token string) {
	if r.Caller.User == nil {
		return
	}
	u := object(r.Caller.User)
	if token != "" {
		u.Set("sessionToken", token)
	}
	u.Delete("className")
	m.Set("user", u)
}

func installation(m *parse.Map, r *cloudcode.Request) {
	if r.Caller.InstallationID != "" {
		m.Set("installationId", r.Caller.InstallationID)
	}
}

// headers are those of the request by their names in small letters, as Node has them.
func headers(h http.Header) *parse.Map {
	m := &parse.Map{}
	for k, list := range h {
		if !secretHeaders[k] {
			m.Set(strings.ToLower(k), strings.Join(list, ", "))
		}
	}
	return m
}

// object is an object in the form of REST with its class.
func object(o *parse.Object) *parse.Map {
	m, err := parse.DecodeMap(o.AppendJSON(nil), parse.Limits{})
	if err != nil { // what was encoded can be decoded
		return &parse.Map{}
	}
	m.Set("className", o.ClassName)
	return m
}

func saved(r *cloudcode.SaveRequest) *parse.Map {
	m := parse.NewMap(field("triggerName", string(r.Trigger)), field("object", object(r.Object)))
	if r.Original != nil {
		m.Set("original", object(r.Original))
	}
	common(m, &r.Request)
	return m
}

func about(r *cloudcode.Request, o *parse.Object) *parse.Map {
	m := parse.NewMap(field("triggerName", string(r.Trigger)), field("object", object(o)))
	common(m, r)
	return m
}

// AfterSave is the payload of an after-save hook.
func AfterSave(r *cloudcode.SaveRequest) []byte {
	r.Trigger = cloudcode.TriggerAfterSave
	return parse.AppendJSON(nil, saved(r))
}

// AfterDelete is the payload of an after-delete hook.
func AfterDelete(r *cloudcode.DeleteRequest) []byte {
	r.Trigger = cloudcode.TriggerAfterDelete
	return parse.AppendJSON(nil, about(&r.Request, r.Object))
}
