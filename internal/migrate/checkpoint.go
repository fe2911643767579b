package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// CheckpointClass is the class in which a target keeps how far its copy has
// come. Nobody but the master key sees it.
const CheckpointClass = "PargoMigration"

// sourceID is the id of the row that names the source; the others have the
// names of classes.
const sourceID = "source"

// Fields of the rows.
const (
	fieldSource = "source"
	fieldAfter  = "after"
	fieldDone   = "done"
)

// checkpoints is the definition of the class.
func checkpoints() *schema.Class {
	return schema.Complete(&schema.Class{
		Name: CheckpointClass, CLP: &schema.CLP{},
		Comment: "How far a migration to this database has come; goes when it is done.",
		Fields: map[string]*schema.Field{
			fieldSource: {Name: fieldSource, Type: schema.String},
			fieldAfter:  {Name: fieldAfter, Type: schema.String},
			fieldDone:   {Name: fieldDone, Type: schema.Boolean},
		},
	})
}

// mark is how far a class has come.
type mark struct {
	after string // the id of the last object that is certainly there
	done  bool
}

// marks are the checkpoints of a target.
type marks struct {
	store   storage.Store
	class   *schema.Class
	made    bool // the class is there
	source  string
	named   bool // the row of the source is there
	classes map[string]mark
}

// loadMarks reads the checkpoints that a target has.
func loadMarks(ctx context.Context, s storage.Store, have []*schema.Class) (*marks, error) {
	m := &marks{store: s, class: checkpoints(), classes: map[string]mark{}}
	if m.made = slices.ContainsFunc(have, func(c *schema.Class) bool { return c.Name == CheckpointClass }); !m.made {
		return m, nil
	}
	rows, err := s.Find(ctx, &storage.Find{Class: m.class, Limit: query.NoLimit})
	if err != nil {
		return nil, fmt.Errorf("read how far the copy has come: %w", err)
	}
	for _, o := range rows {
		if o.ID == sourceID {
			m.source, m.named = o.String(fieldSource), true
			continue
		}
		done, _ := o.Fields.Get(fieldDone)
		m.classes[o.ID] = mark{after: o.String(fieldAfter), done: done == true}
	}
	return m, nil
}

// begun reports whether a copy has begun to write.
func (m *marks) begun() bool { return m.named }

// create makes the class of checkpoints, if it is not there.
func (m *marks) create(ctx context.Context, source string) error {
	if !m.made {
		if err := m.store.ApplySchema(ctx, []schema.Step{{Kind: schema.CreateClass, Class: CheckpointClass, Def: m.class}}); err != nil {
			return err
		}
		m.made = true
	}
	if m.named {
		return nil
	}
	m.source, m.named = source, true
	return m.insert(ctx, sourceID, parse.MapField{Key: fieldSource, Value: source})
}

func (m *marks) insert(ctx context.Context, id string, fields ...parse.MapField) error {
	now := parse.NewDate(time.Now())
	return m.store.Insert(ctx, m.class, []*parse.Object{{
		ClassName: CheckpointClass, ID: id, CreatedAt: now, UpdatedAt: now, Fields: *parse.NewMap(fields...),
	}})
}

// set records how far a class has come.
func (m *marks) set(ctx context.Context, class string, k mark) error {
	fields := []parse.MapField{{Key: fieldAfter, Value: k.after}, {Key: fieldDone, Value: k.done}}
	var err error
	if _, known := m.classes[class]; known {
		_, _, err = m.store.Update(ctx, &storage.Update{
			Class: m.class, Where: query.Equal(parse.KeyObjectID, class), Ops: parse.NewMap(fields...), UpdatedAt: parse.NewDate(time.Now()),
		})
	} else {
		err = m.insert(ctx, class, fields...)
	}
	if err != nil {
		return errors.Join(errors.New("record how far the copy has come"), err)
	}
	m.classes[class] = k
	return nil
}

// drop removes the checkpoints.
func (m *marks) drop(ctx context.Context) error {
	err := m.store.ApplySchema(ctx, []schema.Step{{Kind: schema.DropClass, Class: CheckpointClass}})
	if err != nil {
		return fmt.Errorf("remove class %s: %w", CheckpointClass, err)
	}
	return nil
}
