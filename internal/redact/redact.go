// Package redact keeps secrets out of logs. All that is logged goes through
// its Handler, which looks at the type and the structure of each attribute:
// fields that hold a secret by their name or their tag, wherever they are in
// an object, a header, a struct or a URL, are replaced. Texts are not searched:
// what makes a text must not put a secret into it.
package redact

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// Mask stands where a secret was.
const Mask = "[redacted]"

// names are the fields, headers, parameters and attributes that hold a secret,
// in lower case without dashes and underscores, see plain.
var names = func() map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(`password hashedpassword passwordhistory newpassword confirmnewpassword oldpassword bindpassword
		sessiontoken token perishabletoken emailverifytoken accesstoken idtoken refreshtoken authtoken oauthtoken oauthverifier oauthtokensecret
		devicetoken signature assertion
		authdata authdataresponse challengedata secret clientsecret appsecret signingsecret consumersecret recovery credential codeverifier
		masterkey readonlymasterkey maintenancekey clientkey javascriptkey restapikey dotnetkey windowskey webhookkey filekey encryptionkey apikey privatekey keypairs
		xparsemasterkey xparsemaintenancekey xparsesessiontoken xparseclientkey xparsejavascriptkey xparserestapikey xparsewindowskey xparsewebhookkey
		authorization proxyauthorization cookie setcookie databaseuri redisurl`) {
		set[name] = true
	}
	return set
}()

// holds reports whether a field of that name holds a secret.
func holds(name string) bool {
	p := plain(name)
	return names[p] || strings.HasPrefix(p, "authdata")
}

// plain is a name in lower case without dashes and underscores. The last part
// of a dotted name counts.
func plain(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 && !strings.HasPrefix(name, "authData") {
		name = name[i+1:]
	}
	var b strings.Builder
	for i := range len(name) {
		switch ch := name[i]; {
		case ch == '-' || ch == '_':
		case ch >= 'A' && ch <= 'Z':
			b.WriteByte(ch - 'A' + 'a')
		default:
			b.WriteByte(ch)
		}
	}
	return b.String()
}

// Bounds of what is written of one value.
const (
	maxDepth = 10
	maxItems = 1000
)

// walker writes one value without its secrets.
type walker struct{ items int }

// Value returns v without its secrets, made of what encoding/json encodes as it stands.
func Value(v any) any { return (&walker{}).value(v, 0) }

func (w *walker) value(v any, depth int) any {
	if w.items++; depth > maxDepth || w.items > maxItems {
		return "…"
	}
	switch v := v.(type) {
	case nil, bool, string, int, int64, float64:
		return v
	case error:
		return Error(v)
	case time.Time, time.Duration, json.Number:
		return v
	case json.RawMessage:
		return w.raw(v, depth)
	case *url.URL:
		return URL(v.String())
	case *parse.Object:
		if v == nil {
			return nil
		}
		m := w.fields(&v.Fields, depth)
		m["className"], m["objectId"] = v.ClassName, v.ID
		return m
	case *parse.Map:
		if v == nil {
			return nil
		}
		return w.fields(v, depth)
	case parse.Array:
		out := make([]any, 0, min(len(v), maxItems))
		for _, e := range v {
			if w.items > maxItems {
				break
			}
			out = append(out, w.value(e, depth+1))
		}
		return out
	case encoding.TextMarshaler:
		if t, err := v.MarshalText(); err == nil {
			return string(t)
		}
	case fmt.Stringer:
		return v.String()
	}
	return w.reflected(reflect.ValueOf(v), depth)
}

func (w *walker) fields(m *parse.Map, depth int) map[string]any {
	out := make(map[string]any, m.Len())
	for name, v := range m.All() {
		if w.items > maxItems {
			break
		}
		out[name] = w.named(name, v, depth)
	}
	return out
}

// named is a member of a structure.
func (w *walker) named(name string, v any, depth int) any {
	if holds(name) {
		return Mask
	}
	return w.value(v, depth+1)
}

// raw is JSON that is not decoded; what is no JSON is not shown.
func (w *walker) raw(data []byte, depth int) any {
	if len(data) == 0 {
		return nil
	}
	v, err := parse.Decode(data, parse.DefaultLimits)
	if err != nil {
		return fmt.Sprintf("%d bytes", len(data))
	}
	return w.value(v, depth+1)
}

func (w *walker) reflected(v reflect.Value, depth int) any {
	switch v.Kind() { //nolint:exhaustive // what is left is told by its type alone
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return w.inner(v.Elem(), depth)
	case reflect.Struct:
		return w.structure(v, depth)
	case reflect.Map:
		out := map[string]any{}
		for it := v.MapRange(); it.Next() && w.items <= maxItems; {
			name := fmt.Sprint(Value(it.Key().Interface()))
			if holds(name) {
				out[name] = Mask
				continue
			}
			out[name] = w.inner(it.Value(), depth)
		}
		return out
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Sprintf("%d bytes", v.Len())
		}
		out := []any{}
		for i := 0; i < v.Len() && w.items <= maxItems; i++ {
			out = append(out, w.inner(v.Index(i), depth))
		}
		return out
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Uint()
	case reflect.Float32, reflect.Float64:
		return fmt.Sprint(v.Float())
	}
	return v.Type().String()
}

// inner goes on with a part of a value, by its own type where it can be had.
func (w *walker) inner(v reflect.Value, depth int) any {
	if v.CanInterface() {
		if v.Kind() == reflect.Struct && v.CanAddr() { // methods may be those of the pointer
			return w.value(v.Addr().Interface(), depth+1)
		}
		return w.value(v.Interface(), depth+1)
	}
	if w.items++; depth > maxDepth || w.items > maxItems {
		return "…"
	}
	return w.reflected(v, depth+1)
}

// structure shows the exported fields that are not tagged as secret.
func (w *walker) structure(v reflect.Value, depth int) any {
	switch x := v.Interface().(type) {
	case parse.Object:
		return w.value(&x, depth)
	case parse.Map:
		return w.value(&x, depth)
	case url.URL:
		return URL(x.String())
	}
	out := map[string]any{}
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		if _, secret := f.Tag.Lookup("secret"); secret || holds(f.Name) {
			out[f.Name] = Mask
			continue
		}
		out[f.Name] = w.inner(v.Field(i), depth)
	}
	return out
}

// Error is the text of an error without what the errors in its chain are known
// to repeat: URLs with their parameters and passwords.
func Error(err error) string {
	text := err.Error()
	for _, e := range chain(err, nil) {
		if u, ok := e.(*url.Error); ok { //nolint:errorlint // chain has taken it out
			text = strings.ReplaceAll(text, u.URL, URL(u.URL))
			// net/url and net/http quote it.
			quoted := fmt.Sprintf("%q", u.URL)
			text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], URL(u.URL))
		}
	}
	return text
}

func chain(err error, all []error) []error {
	for err != nil && len(all) < maxItems {
		all = append(all, err)
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				all = chain(e, all)
			}
			return all
		}
		err = errors.Unwrap(err)
	}
	return all
}

// URL is a URL without password and parameters; what cannot be parsed is not shown.
func URL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return Mask
	}
	if u.User != nil {
		u.User = url.User("redacted")
	}
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String()
}
