package auth

import (
	"context"
	"fmt"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// anonymousProvider is the authData provider of users without credentials:
// the one who knows the id is the user.
const anonymousProvider = "anonymous"

// anonymousPath is where its id stands in a user.
const anonymousPath = "authData.anonymous.id"

func errUnsupportedProvider() error {
	return parse.Errorf(parse.UnsupportedService, "This authentication method is unsupported.")
}

func errLinked() error {
	return parse.Errorf(parse.AccountAlreadyLinked, "this auth is already used")
}

func errProviderID(provider string) error {
	return parse.Errorf(parse.InvalidValue, "Invalid authData id for provider '%s'.", provider)
}

// linked returns authData without the providers that are null, nil if none is left.
func linked(v parse.Value) parse.Value {
	m, ok := v.(*parse.Map)
	if !ok || m.Len() == 0 {
		return nil
	}
	var nulls []string
	for name, d := range m.All() {
		if d == nil {
			nulls = append(nulls, name)
		}
	}
	if len(nulls) == 0 {
		return m
	}
	if len(nulls) == m.Len() {
		return nil
	}
	m = m.Clone()
	for _, name := range nulls {
		m.Delete(name)
	}
	return m
}

// authDataOf returns a copy of the authData of a user, who may be nil.
func authDataOf(user *parse.Object) *parse.Map {
	if user != nil {
		v, _ := user.Get("authData")
		if m, ok := linked(v).(*parse.Map); ok {
			return m.Clone()
		}
	}
	return &parse.Map{}
}

// anonymousID returns the id that opens an anonymous user's account, or "".
func anonymousID(authData *parse.Map) string {
	v, _ := authData.Get(anonymousProvider)
	d, _ := v.(*parse.Map)
	return d.String("id")
}

// usable returns authData if it names a provider with data, else nil.
func usable(authData parse.Value) *parse.Map {
	m, _ := authData.(*parse.Map)
	for _, v := range m.All() {
		if d, ok := v.(*parse.Map); ok && d.Len() > 0 {
			return m
		}
	}
	return nil
}

// checkProvider checks what a client says about itself at a provider.
func (s *Service) checkProvider(provider string, data parse.Value) error {
	if provider != anonymousProvider || !s.o.EnableAnonymous {
		return errUnsupportedProvider()
	}
	if d, _ := data.(*parse.Map); d.String("id") == "" {
		return errProviderID(provider)
	}
	return nil
}

// byAnonymousID finds the users with an anonymous id; more than one is a fault
// of the database.
func byAnonymousID(ctx context.Context, store storage.Store, f storage.Find, id string) ([]*parse.Object, error) {
	f.Where = query.AllOf(query.Equal(anonymousPath, id), f.Where)
	f.Limit = 2
	list, err := store.Find(ctx, &f)
	if err != nil {
		return nil, fmt.Errorf("look for an anonymous user: %w", err)
	}
	return list, nil
}

// authData lets users link and unlink the one provider of this version
// (reference 03 §7, §8.2).
func (r *userRule) authData(ctx context.Context, w *objects.WriteState) error {
	kept := authDataOf(w.Before)
	was := anonymousID(kept)
	v, given := w.Body.Get("authData")
	// A password makes an anonymous user a named one; the id, which alone
	// would still open the account, goes.
	named := w.Update && w.Body.Has("password")
	if !given && (!named || was == "") {
		return nil
	}
	if given {
		m, ok := v.(*parse.Map)
		if !ok {
			return errUnsupportedProvider()
		}
		for provider, data := range m.All() {
			if data == nil {
				kept.Delete(provider)
				continue
			}
			if err := r.s.checkProvider(provider, data); err != nil {
				return err
			}
			kept.Set(provider, data)
		}
		if m.Len() > 0 {
			w.Response.Set("authDataResponse", &parse.Map{})
		}
	}
	if named {
		kept.Delete(anonymousProvider)
	}
	if id := anonymousID(kept); id != "" && id != was {
		others := storage.Find{Class: w.Class, Where: &query.Compare{Path: parse.KeyObjectID, Op: query.Ne, Value: w.ID}, Keys: []string{}}
		list, err := byAnonymousID(ctx, w.Store, others, id)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			return errLinked()
		}
	}
	switch {
	case kept.Len() > 0:
		w.Body.Set("authData", kept)
	case w.Update:
		w.Body.Set("authData", parse.Delete{})
	default:
		w.Body.Delete("authData")
	}
	return nil
}
