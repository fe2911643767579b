package objects

import (
	"context"
	"errors"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// client is cloud code's way to the objects.
type client struct {
	s *Service
	p *access.Principal
	// origin is where the hook that got the client comes from.
	origin *cloudcode.Origin
}

// Client returns a client for cloud code that acts as the principal.
func (s *Service) Client(p *access.Principal) cloudcode.Client {
	return &client{s: s, p: p, origin: &cloudcode.Origin{}}
}

// begin enters an operation, whose hooks are one deeper than the one that it
// is for, whatever context cloud code hands on.
func (c *client) begin(ctx context.Context, what, class string) (context.Context, error) {
	o := cloudcode.OriginOf(ctx)
	if o.Depth < c.origin.Depth {
		o = c.origin
	}
	deeper, err := o.Deeper(what, class)
	if err != nil {
		return nil, err
	}
	return cloudcode.WithOrigin(ctx, deeper), nil
}

// AsMaster implements cloudcode.Client.
func (c *client) AsMaster() cloudcode.Client {
	master := access.New(access.Principal{Kind: access.Master, InstallationID: c.p.InstallationID, IP: c.p.IP})
	return &client{s: c.s, p: master, origin: c.origin}
}

// Get implements cloudcode.Client.
func (c *client) Get(ctx context.Context, class, id string) (*parse.Object, error) {
	ctx, err := c.begin(ctx, "a get", class)
	if err != nil {
		return nil, err
	}
	o, err := c.s.Get(ctx, c.p, class, id, nil)
	if err != nil {
		return nil, reveal(err)
	}
	o.Fields.Load()
	return o, nil
}

// reveal makes an error one that cloud code may hand on to a client: what is
// not said in the protocol's terms stays in the log.
func reveal(err error) error {
	var pe *parse.Error
	if err == nil || errors.As(err, &pe) {
		return err
	}
	for _, ended := range [...]error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return ended // without what the database says about it
		}
	}
	return &parse.Error{Code: parse.InternalServerError, Message: "An internal server error occurred", Err: err}
}

// Find implements cloudcode.Client.
func (c *client) Find(ctx context.Context, class string, q query.Query) ([]*parse.Object, error) {
	ctx, err := c.begin(ctx, "a find", class)
	if err != nil {
		return nil, err
	}
	q.Count = false
	found, err := c.s.Find(ctx, c.p, class, &q)
	if err != nil {
		return nil, reveal(err)
	}
	for _, o := range found.Objects {
		o.Fields.Load()
	}
	return found.Objects, nil
}

// Count implements cloudcode.Client.
func (c *client) Count(ctx context.Context, class string, q query.Query) (int64, error) {
	ctx, err := c.begin(ctx, "a count", class)
	if err != nil {
		return 0, err
	}
	q.Limit, q.Count = 0, true
	found, err := c.s.Find(ctx, c.p, class, &q)
	if err != nil {
		return 0, reveal(err)
	}
	return found.Count, nil
}

// Create implements cloudcode.Client.
func (c *client) Create(ctx context.Context, class string, fields *parse.Map) (*parse.Object, error) {
	ctx, err := c.begin(ctx, "a create", class)
	if err != nil {
		return nil, err
	}
	saved, err := c.s.Create(ctx, c.p, &Write{Class: class, Body: fields})
	if err != nil {
		return nil, reveal(err)
	}
	return c.present(saved.Object)
}

// Update implements cloudcode.Client.
func (c *client) Update(ctx context.Context, class, id string, fields *parse.Map) (*parse.Object, error) {
	ctx, err := c.begin(ctx, "an update", class)
	if err != nil {
		return nil, err
	}
	saved, err := c.s.Update(ctx, c.p, &Write{Class: class, ID: id, Body: fields})
	if err != nil {
		return nil, reveal(err)
	}
	return c.present(saved.Object)
}

// present gives a copy that cloud code may change, without what it may not see.
func (c *client) present(o *parse.Object) (*parse.Object, error) {
	def := c.s.reg.Current().Class(o.ClassName)
	if def == nil {
		return o.Clone(), nil
	}
	// The caller wrote the object; a class that does not let him read others
	// still shows him what he wrote.
	pl, err := c.s.o.Gate.Authorize(c.p, &schema.Class{Name: def.Name, CLP: readable(def.CLP)}, schema.Get)
	if err != nil {
		return nil, err
	}
	rule, _ := c.s.rule(def.Name)
	return rule.Present(c.p, pl.Strip(o.Clone())), nil
}

// readable keeps of class-level permissions what hides fields.
func readable(clp *schema.CLP) *schema.CLP {
	if clp == nil {
		return nil
	}
	return &schema.CLP{
		Ops:       map[schema.Operation]*schema.Permission{schema.Get: {Public: true}},
		Protected: clp.Protected,
	}
}

// Delete implements cloudcode.Client.
func (c *client) Delete(ctx context.Context, class, id string) error {
	ctx, err := c.begin(ctx, "a delete", class)
	if err != nil {
		return err
	}
	return reveal(c.s.Delete(ctx, c.p, class, id))
}

// InTx implements cloudcode.Client.
func (c *client) InTx(ctx context.Context, f func(ctx context.Context, tx cloudcode.Client) error) error {
	var own error // what f says, which cloud code writes for clients
	err := c.s.InTx(ctx, func(ctx context.Context, tx *Service) error {
		own = f(ctx, &client{s: tx, p: c.p, origin: c.origin})
		return own
	})
	if own != nil && errors.Is(err, own) {
		return own
	}
	return reveal(err)
}
