// Package appconfig is Parse.Config: the parameters of the application, which
// clients read and the master key writes (reference 06 §13).
package appconfig

import (
	"context"
	"errors"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

const (
	class       = "_GlobalConfig"
	fieldParams = "params"
	fieldFlags  = "masterKeyOnly"
	// attempts bounds how often a change is made anew because another one came
	// in between.
	attempts = 32
)

// Service reads and writes the configuration.
type Service struct{ objs *objects.Service }

// New returns a Service over the objects.
func New(objs *objects.Service) *Service { return &Service{objs: objs} }

var master = access.MasterKey()

// Config are the parameters, and which of them clients do not see.
type Config struct{ Params, MasterKeyOnly *parse.Map }

// Get returns what the caller may see; nil if nothing was ever set.
func (s *Service) Get(ctx context.Context, p *access.Principal) (*Config, error) {
	row, err := s.row(ctx)
	if row == nil || err != nil {
		return nil, err
	}
	c := read(row)
	if p.Kind == access.Master || p.Kind == access.ReadOnlyMaster {
		return c, nil
	}
	shown := &Config{Params: &parse.Map{}, MasterKeyOnly: &parse.Map{}}
	for k, v := range c.Params.All() {
		if flag, _ := c.MasterKeyOnly.Get(k); flag != true {
			shown.Params.Set(k, v)
		}
	}
	for k, v := range c.MasterKeyOnly.All() {
		if v != true {
			shown.MasterKeyOnly.Set(k, v)
		}
	}
	return shown, nil
}

func (s *Service) row(ctx context.Context) (*parse.Object, error) {
	o, err := s.objs.Get(ctx, master, class, schema.SingletonID, nil)
	if parse.CodeOf(err) == parse.ObjectNotFound {
		return nil, nil
	}
	return o, err
}

func read(row *parse.Object) *Config {
	part := func(name string) *parse.Map {
		v, _ := row.Get(name)
		if m, ok := v.(*parse.Map); ok {
			return m.Clone()
		}
		return &parse.Map{}
	}
	return &Config{part(fieldParams), part(fieldFlags)}
}

// Set merges parameters, which may be operations, into the stored ones. Each
// of them is shown to clients unless flags say otherwise.
func (s *Service) Set(ctx context.Context, p *access.Principal, params, flags *parse.Map) error {
	if p.Kind == access.ReadOnlyMaster {
		return parse.Denyf(parse.OperationForbidden, "read-only masterKey isn't allowed to update the config.")
	}
	var hook *cloudcode.ConfigRequest
	var now *Config
	for range attempts {
		row, err := s.row(ctx)
		if err != nil {
			return err
		}
		before := &Config{&parse.Map{}, &parse.Map{}}
		hook = &cloudcode.ConfigRequest{Request: s.objs.Request(ctx, p), Params: params, MasterKeyOnly: flags}
		if row != nil {
			before = read(row)
			hook.Original = before.Params
		}
		if err := s.objs.App().RunBeforeSaveConfig(ctx, hook); err != nil {
			return err
		}
		if now, err = before.with(params, flags); err != nil {
			return err
		}
		err = s.store(ctx, row, now)
		if err == nil {
			hook.Params, hook.MasterKeyOnly = now.Params, now.MasterKeyOnly
			if err := s.objs.App().RunAfterSaveConfig(ctx, hook); err != nil {
				hook.Log().ErrorContext(ctx, "afterSave of the configuration failed", "error", err)
			}
			return nil
		}
		if code := parse.CodeOf(err); code != parse.ObjectNotFound && code != parse.DuplicateValue {
			return err
		}
		// Changed by somebody else meanwhile: once more.
	}
	return errors.New("the configuration is changed by others all the time")
}

// with returns the configuration after a change.
func (c *Config) with(params, flags *parse.Map) (*Config, error) {
	ops, err := parse.ParseOps(params)
	if err != nil {
		return nil, err
	}
	o := &parse.Object{Fields: *c.Params.Clone()}
	if err := parse.ApplyOps(o, ops); err != nil {
		return nil, err
	}
	out := &Config{Params: &o.Fields, MasterKeyOnly: c.MasterKeyOnly.Clone()}
	for k := range params.All() {
		flag, _ := flags.Get(k)
		out.MasterKeyOnly.Set(k, flag == true)
	}
	return out, nil
}

func (s *Service) store(ctx context.Context, row *parse.Object, c *Config) error {
	body := parse.NewMap(parse.MapField{Key: fieldParams, Value: c.Params}, parse.MapField{Key: fieldFlags, Value: c.MasterKeyOnly})
	if row == nil {
		_, err := s.objs.Create(ctx, master, &objects.Write{Class: class, Body: body})
		return err
	}
	// Whether it has changed meanwhile is told by itself: Parse Server keeps no
	// dates of it.
	params, _ := row.Fields.Get(fieldParams)
	flags, _ := row.Fields.Get(fieldFlags)
	_, err := s.objs.Update(ctx, master, &objects.Write{
		Class: class, ID: row.ID, Body: body, If: query.AllOf(query.Equal(fieldParams, params), query.Equal(fieldFlags, flags)),
	})
	return err
}
