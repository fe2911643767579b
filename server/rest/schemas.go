package rest

import (
	"context"
	"errors"
	"time"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// purgeBatch is how many objects a purge deletes at a time: it bounds memory
// and how long the embedded database has no time for others.
const purgeBatch = 500

// readBackTimeout bounds reading the schema after a change that failed, which
// must not end with the request.
const readBackTimeout = 30 * time.Second

// schemas is GET /schemas (reference 01 §11.2).
func schemas(_ context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	list := parse.Array{}
	for _, class := range c.h.objs.Registry().Current().Classes() {
		if !schema.IsVolatile(class.Name) {
			list = append(list, schemaBody(class))
		}
	}
	return c.json(parse.NewMap(parse.MapField{Key: "results", Value: list})), nil
}

// schemaOf is GET /schemas/:className.
func schemaOf(_ context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	name := c.params[0]
	class := c.h.objs.Registry().Current().Class(name)
	if class == nil && schema.IsVolatile(name) {
		class = schema.SystemClass(name)
	}
	if class == nil {
		return reply{}, parse.Errorf(parse.InvalidClassName, "Class %s does not exist.", name)
	}
	return c.json(schemaBody(class)), nil
}

// createSchema is POST /schemas and POST /schemas/:className.
func createSchema(ctx context.Context, c *call) (reply, error) {
	if err := c.mayChangeSchemas("create a schema", true); err != nil {
		return reply{}, err
	}
	name, err := c.schemaName()
	if err != nil {
		return reply{}, err
	}
	if name == "" {
		return reply{}, parse.Errorf(parse.MissingRequiredField, "POST /schemas needs a class name.")
	}
	snap, err := c.changeSchema(ctx, func(have *schema.Snapshot) ([]schema.Step, error) {
		return schema.PlanCreate(have, name, c.body)
	})
	if err != nil {
		return reply{}, err
	}
	return c.json(schemaBody(snap.Class(name))), nil
}

// updateSchema is PUT /schemas/:className.
func updateSchema(ctx context.Context, c *call) (reply, error) {
	if err := c.mayChangeSchemas("update a schema", true); err != nil {
		return reply{}, err
	}
	name, err := c.schemaName()
	if err != nil {
		return reply{}, err
	}
	snap, err := c.changeSchema(ctx, func(have *schema.Snapshot) ([]schema.Step, error) {
		return schema.PlanUpdate(have, name, c.body)
	})
	if err != nil {
		return reply{}, err
	}
	return c.json(schemaBody(snap.Class(name))), nil
}

// deleteSchema is DELETE /schemas/:className: of a class without objects.
func deleteSchema(ctx context.Context, c *call) (reply, error) {
	if err := c.mayChangeSchemas("delete a schema", false); err != nil {
		return reply{}, err
	}
	name := c.params[0]
	_, err := c.changeSchema(ctx, func(have *schema.Snapshot) ([]schema.Step, error) {
		steps, err := schema.PlanDrop(have, name)
		if err != nil || len(steps) == 0 {
			return nil, err
		}
		n, err := c.h.objs.Store().Count(ctx, have.Class(name), nil)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			return nil, parse.Errorf(parse.InvalidSchemaOperation, "Class %s is not empty, contains %d objects, cannot drop schema.", name, n)
		}
		return steps, nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{json: emptyObject}, nil
}

// purge is DELETE /purge/:className: all objects go, the class and the rows of
// its relations stay. No hook runs and no live query is told, as in Parse
// Server; whoever the objects had logged in is logged out.
func purge(ctx context.Context, c *call) (reply, error) {
	if err := c.mayChangeSchemas("purge a schema", false); err != nil {
		return reply{}, err
	}
	class := c.h.objs.Registry().Current().Class(c.params[0])
	if class == nil {
		return reply{json: emptyObject}, nil
	}
	store := c.h.objs.Store()
	for {
		found, err := store.Find(ctx, &storage.Find{Class: class, Limit: purgeBatch, Keys: []string{parse.KeyObjectID}})
		if err != nil {
			return reply{}, err
		}
		if len(found) == 0 {
			return reply{json: emptyObject}, nil
		}
		where := &query.Member{Path: parse.KeyObjectID, Op: query.In, Values: make([]parse.Value, len(found))}
		for i, o := range found {
			where.Values[i] = o.ID
		}
		gone, err := store.Delete(ctx, class, where)
		if err != nil {
			return reply{}, err
		}
		if !c.h.auth.Wants(class.Name) {
			continue
		}
		changes := make([]parse.Change, len(gone))
		for i, o := range gone {
			changes[i] = parse.Change{Class: class.Name, Action: parse.Deleted, Before: o}
		}
		c.h.auth.Publish(ctx, changes)
	}
}

// mayChangeSchemas admits the master key. lockable: the option lockSchemas
// forbids this change.
func (c *call) mayChangeSchemas(what string, lockable bool) error {
	if err := c.masterOnly(true); err != nil {
		return err
	}
	if lockable && c.h.o.LockSchemas {
		return parse.Errorf(parse.OperationForbidden, "Cannot perform this operation when schemas options is used.")
	}
	if c.principal.Kind == access.ReadOnlyMaster {
		return parse.Denyf(parse.OperationForbidden, "read-only masterKey isn't allowed to %s.", what)
	}
	return nil
}

// schemaName is the class that path and body name; "" if neither does.
func (c *call) schemaName() (string, error) {
	path, body := c.params[0], c.body.String("className")
	if path != "" && body != "" && path != body {
		return "", parse.Errorf(parse.InvalidClassName, "Class name mismatch between Body and Path.")
	}
	if path == "" {
		path = body
	}
	return path, nil
}

// changeSchema plans a change on the newest schema and carries it out. Where
// the database gives up half way, what it has done is read back.
func (c *call) changeSchema(ctx context.Context, plan func(*schema.Snapshot) ([]schema.Step, error)) (*schema.Snapshot, error) {
	var refused error
	reg := c.h.objs.Registry()
	snap, err := reg.Apply(ctx, func(have *schema.Snapshot) (steps []schema.Step, err error) {
		steps, refused = plan(have)
		return steps, refused
	})
	if err == nil || refused != nil {
		return snap, err
	}
	readBack, cancel := context.WithTimeout(context.WithoutCancel(ctx), readBackTimeout)
	defer cancel()
	if lerr := reg.Load(readBack); lerr != nil {
		c.h.o.Log.ErrorContext(ctx, "schema not read back after a failed change", "error", lerr)
	}
	var dup *storage.DuplicateError
	if errors.As(err, &dup) {
		return nil, parse.Errorf(parse.DuplicateValue, "Index %s cannot be unique: objects have the same value.", dup.Index)
	}
	return nil, err
}

// schemaBody is the wire form of a class, with the index that every class has
// if it has others.
func schemaBody(class *schema.Class) *parse.Map {
	m := class.Map()
	v, ok := m.Get("indexes")
	own, isMap := v.(*parse.Map)
	if !ok || !isMap {
		return m
	}
	indexes := parse.NewMap(parse.MapField{Key: "_id_", Value: parse.NewMap(parse.MapField{Key: "_id", Value: 1.0})})
	for name, keys := range own.All() {
		indexes.Set(name, keys)
	}
	m.Set("indexes", indexes)
	return m
}

// json answers a value.
func (c *call) json(v parse.Value) reply {
	c.bufs.out = parse.AppendJSON(c.bufs.out[:0], v)
	return reply{json: c.bufs.out}
}
