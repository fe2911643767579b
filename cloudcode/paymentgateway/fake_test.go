package paymentgateway_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

var now = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

// world is a store in memory that runs hooks as pargo does: with ACLs cut down
// to "the owner in the field user reads and writes".
type world struct {
	app  *cloudcode.App
	tx   sync.Mutex // held by a transaction
	mu   sync.Mutex
	rows map[string][]*parse.Object
	ids  int
	fail map[string]error // class → error of Create
}

type client struct {
	w      *world
	caller cloudcode.Caller
	inTx   bool
}

func user(id string) *parse.Object { return &parse.Object{ClassName: "_User", ID: id} }

func (w *world) as(id string, roles ...string) *client {
	return &client{w: w, caller: cloudcode.Caller{User: user(id), Roles: roles}}
}

func (w *world) master() *client { return &client{w: w, caller: cloudcode.Caller{Master: true}} }

func (w *world) all(class string) []*parse.Object {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.rows[class])
}

func (c *client) call(ctx context.Context, name string, params *parse.Map) (*parse.Map, error) {
	v, err := c.w.app.RunFunction(ctx, &cloudcode.FunctionRequest{Request: cloudcode.Request{Caller: c.caller, Client: c}, Name: name, Params: params})
	m, _ := v.(*parse.Map)
	return m, err
}

func (c *client) sees(o *parse.Object) bool {
	owner, ok := o.Pointer("user")
	return c.caller.Master || !ok || owner.ObjectID == c.caller.UserID() || c.caller.HasRole("admin")
}

func (c *client) AsMaster() cloudcode.Client {
	return &client{w: c.w, caller: cloudcode.Caller{Master: true, User: c.caller.User}, inTx: c.inTx}
}

func (c *client) Get(_ context.Context, class, id string) (*parse.Object, error) {
	for _, o := range c.w.all(class) {
		if o.ID == id && c.sees(o) {
			return o, nil
		}
	}
	return nil, parse.ErrNotFound()
}

func (c *client) Find(_ context.Context, class string, q query.Query) ([]*parse.Object, error) {
	m, err := query.Compile(q.Where)
	if err != nil {
		return nil, err
	}
	var out []*parse.Object
	for _, o := range c.w.all(class) {
		if c.sees(o) && m.Match(o) {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, query.Less(q.Order))
	if limit := min(q.Limit, 3); q.Limit != query.NoLimit && len(out) > limit { // 3: a server's cap
		out = out[:limit]
	}
	return out, nil
}

func (c *client) Count(ctx context.Context, class string, q query.Query) (int64, error) {
	q.Limit = query.NoLimit
	found, err := c.Find(ctx, class, q)
	return int64(len(found)), err
}

func (c *client) save(ctx context.Context, class string, before *parse.Object, fields *parse.Map) (*parse.Object, error) {
	r := &cloudcode.SaveRequest{Request: cloudcode.Request{Caller: c.caller, Client: c}, Class: class, Original: before, Object: &parse.Object{ClassName: class}}
	if before != nil {
		r.Object = before.Clone()
	} else if !c.caller.Master && class != "_User" {
		r.Object.Set("user", user(c.caller.UserID()).Self())
	}
	for k, v := range fields.All() {
		r.Changed = append(r.Changed, k)
		if v == (parse.Delete{}) {
			r.Object.Fields.Delete(k)
			continue
		}
		r.Object.Set(k, v)
	}
	if err := c.w.app.RunBeforeSave(ctx, r); err != nil {
		return nil, err
	}
	if err := c.store(r.Object, before == nil); err != nil {
		return nil, err
	}
	return r.Object, c.w.app.RunAfterSave(ctx, r)
}

func (c *client) store(o *parse.Object, create bool) error {
	w := c.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if !create {
		rows := slices.Clone(w.rows[o.ClassName])
		i := slices.IndexFunc(rows, func(r *parse.Object) bool { return r.ID == o.ID })
		rows[i] = o
		w.rows[o.ClassName] = rows
		return nil
	}
	if err := w.fail[o.ClassName]; err != nil {
		return err
	}
	id := o.String("transaction_id")
	if id != "" && slices.ContainsFunc(w.rows[o.ClassName], func(r *parse.Object) bool { return r.String("transaction_id") == id }) {
		return parse.Errorf(parse.DuplicateValue, "duplicate")
	}
	w.ids++
	o.ID = "id" + strconv.Itoa(1000+w.ids)
	o.CreatedAt = parse.NewDate(now)
	w.rows[o.ClassName] = append(slices.Clip(w.rows[o.ClassName]), o)
	return nil
}

func (c *client) Create(ctx context.Context, class string, fields *parse.Map) (*parse.Object, error) {
	return c.save(ctx, class, nil, fields)
}

func (c *client) Update(ctx context.Context, class, id string, fields *parse.Map) (*parse.Object, error) {
	before, err := c.Get(ctx, class, id)
	if err != nil {
		return nil, err
	}
	return c.save(ctx, class, before, fields)
}

func (c *client) Delete(ctx context.Context, class, id string) error {
	o, err := c.Get(ctx, class, id)
	if err != nil {
		return err
	}
	r := &cloudcode.DeleteRequest{Request: cloudcode.Request{Caller: c.caller, Client: c}, Class: class, Object: o}
	if err := c.w.app.RunBeforeDelete(ctx, r); err != nil {
		return err
	}
	c.w.mu.Lock()
	c.w.rows[class] = slices.DeleteFunc(slices.Clone(c.w.rows[class]), func(r *parse.Object) bool { return r.ID == id })
	c.w.mu.Unlock()
	return c.w.app.RunAfterDelete(ctx, r)
}

func (c *client) InTx(ctx context.Context, fn func(context.Context, cloudcode.Client) error) error {
	if c.inTx {
		return errors.New("nested transaction")
	}
	c.w.tx.Lock()
	defer c.w.tx.Unlock()
	c.w.mu.Lock()
	saved := map[string][]*parse.Object{}
	for class, rows := range c.w.rows {
		saved[class] = slices.Clone(rows)
	}
	c.w.mu.Unlock()
	err := fn(ctx, &client{w: c.w, caller: c.caller, inTx: true})
	if err != nil {
		c.w.mu.Lock()
		c.w.rows = saved
		c.w.mu.Unlock()
	}
	return err
}
