package rest

import (
	"context"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// schemas is GET /schemas (reference 01 §11.2).
func schemas(ctx context.Context, c *call) (reply, error) {
	snap, err := c.readSchemas(ctx)
	if err != nil {
		return reply{}, err
	}
	list := parse.Array{}
	for _, class := range snap.Classes() {
		if !schema.IsVolatile(class.Name) {
			list = append(list, schemaBody(class))
		}
	}
	return c.json(parse.NewMap(parse.MapField{Key: "results", Value: list})), nil
}

// schemaOf is GET /schemas/:className.
func schemaOf(ctx context.Context, c *call) (reply, error) {
	snap, err := c.readSchemas(ctx)
	if err != nil {
		return reply{}, err
	}
	name := c.params[0]
	class := snap.Class(name)
	if class == nil && schema.IsVolatile(name) {
		class = schema.SystemClass(name)
	}
	if class == nil {
		return reply{}, parse.Errorf(parse.InvalidClassName, "Class %s does not exist.", name)
	}
	return c.json(schemaBody(class)), nil
}

// readSchemas is for the master keys: the schema with all that other servers
// have announced, for a dashboard may speak to one after the other.
func (c *call) readSchemas(ctx context.Context) (*schema.Snapshot, error) {
	if err := c.masterOnly(true); err != nil {
		return nil, err
	}
	reg := c.h.objs.Registry()
	if err := reg.Refresh(ctx); err != nil {
		return nil, err
	}
	return reg.Current(), nil
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
	snap, err := c.h.objs.ChangeSchema(ctx, func(have *schema.Snapshot) ([]schema.Step, error) {
		return c.h.o.Schemas.PlanCreate(have, name, c.body)
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
	snap, err := c.h.objs.ChangeSchema(ctx, func(have *schema.Snapshot) ([]schema.Step, error) {
		return c.h.o.Schemas.PlanUpdate(have, name, c.body)
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
	if err := c.h.objs.DropClass(ctx, c.params[0]); err != nil {
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
	name, told := c.params[0], func([]parse.Change) {}
	if c.h.auth.Wants(name) {
		told = func(changes []parse.Change) { c.h.auth.Publish(ctx, changes) }
	}
	if err := c.h.objs.Purge(ctx, name, told); err != nil {
		return reply{}, err
	}
	return reply{json: emptyObject}, nil
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

// schemaBody is the wire form of a class, with the index that every class has
// if it has others.
func schemaBody(class *schema.Class) *parse.Map {
	m := class.Map()
	v, ok := m.Get("indexes")
	own, isMap := v.(*parse.Map)
	if !ok || !isMap {
		return m
	}
	indexes := parse.NewMap(parse.MapField{Key: schema.IDIndex, Value: parse.NewMap(parse.MapField{Key: "_id", Value: 1.0})})
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
