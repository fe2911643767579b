package cloudcode

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// Save is a [SaveRequest] whose objects are structs. What a before-hook
// changes in Object is stored; fields that the struct does not have are in
// SaveRequest.Object.
type Save[T any] struct {
	*SaveRequest
	Object   *T
	original lazy[T]
}

// Original returns the object as it was; nil on create. Fields that do not fit
// the struct, since they are older than it, are zero.
func (s *Save[T]) Original() *T {
	v, err := s.original.of(s.SaveRequest.Original)
	if err != nil && !s.original.told {
		s.original.told = true
		s.Log().Warn("the stored object does not fit the struct", "objectId", s.SaveRequest.Original.ID, "error", err)
	}
	return v
}

// lazy is an object that becomes a struct once somebody asks for it: most hooks
// do not ask for the original.
type lazy[T any] struct {
	v    *T
	err  error
	told bool
}

func (l *lazy[T]) of(o *parse.Object) (*T, error) {
	if l.v == nil && l.err == nil && o != nil {
		m, err := mappingOf(reflect.TypeFor[T]())
		if err != nil {
			l.err = err
			return nil, err
		}
		l.v, l.err = load[T](m, o)
	}
	return l.v, l.err
}

// Delete is a [DeleteRequest] whose object is a struct.
type Delete[T any] struct {
	*DeleteRequest
	Object *T
}

// Found is a [FoundRequest] whose objects are structs. They are for reading:
// to replace what the caller gets, set FoundRequest.Objects.
type Found[T any] struct {
	*FoundRequest
	Objects []*T
}

// Event is an [EventRequest] whose objects are structs. What a hook changes in
// them is sent.
type Event[T any] struct {
	*EventRequest
	Object   *T
	original lazy[T]
}

// Original returns the object as it was before; nil if the event has none. If
// it does not fit the struct the hook fails.
func (e *Event[T]) Original() *T {
	v, _ := e.original.of(e.EventRequest.Original)
	return v
}

// Call is a [FunctionRequest] whose parameters are a struct.
type Call[P any] struct {
	*FunctionRequest
	Params P
}

// None is the result of a typed function that has none.
type None struct{}

// typed registers hooks for a struct type.
func typed[T any](a *App, t Trigger, register func(m *mapping)) {
	m, err := mappingOf(reflect.TypeFor[T]())
	if err != nil {
		a.register(t, reflect.TypeFor[T]().Name(), false, err)
		return
	}
	register(m)
}

func load[T any](m *mapping, o *parse.Object) (*T, error) {
	if o == nil {
		return nil, nil
	}
	v := new(T)
	return v, m.object(o, reflect.ValueOf(v).Elem())
}

func saved[T any](m *mapping, f func(context.Context, *Save[T]) error) func(context.Context, *SaveRequest) error {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, r *SaveRequest) error {
		s := &Save[T]{SaveRequest: r}
		var err error
		if s.Object, err = load[T](m, r.Object); err != nil {
			return err
		}
		if err := f(ctx, s); err != nil {
			return err
		}
		m.write(r.Object, reflect.ValueOf(s.Object).Elem())
		return nil
	}
}

// BeforeSave registers [App.BeforeSave] for the class of a struct: the one
// that its method ParseClass or a tag `parse:"class=…"` names, or else its name.
// Fields are mapped by the tag `parse:"name"`, or else by their name with a
// small first letter; `parse:"-"` leaves one out, and `parse:"name,required"`
// makes [Create] send it even if it is zero. `pargo gen go` writes such structs.
func BeforeSave[T any](a *App, f func(ctx context.Context, r *Save[T]) error, opts ...Option) {
	typed[T](a, TriggerBeforeSave, func(m *mapping) { a.BeforeSave(m.class, saved(m, f), opts...) })
}

// AfterSave is [BeforeSave] for [App.AfterSave].
func AfterSave[T any](a *App, f func(ctx context.Context, r *Save[T]) error, opts ...Option) {
	typed[T](a, TriggerAfterSave, func(m *mapping) { a.AfterSave(m.class, saved(m, f), opts...) })
}

func deleted[T any](m *mapping, f func(context.Context, *Delete[T]) error) func(context.Context, *DeleteRequest) error {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, r *DeleteRequest) error {
		o, err := load[T](m, r.Object)
		if err != nil {
			return err
		}
		return f(ctx, &Delete[T]{DeleteRequest: r, Object: o})
	}
}

// BeforeDelete is [BeforeSave] for [App.BeforeDelete].
func BeforeDelete[T any](a *App, f func(ctx context.Context, r *Delete[T]) error, opts ...Option) {
	typed[T](a, TriggerBeforeDelete, func(m *mapping) { a.BeforeDelete(m.class, deleted(m, f), opts...) })
}

// AfterDelete is [BeforeSave] for [App.AfterDelete].
func AfterDelete[T any](a *App, f func(ctx context.Context, r *Delete[T]) error, opts ...Option) {
	typed[T](a, TriggerAfterDelete, func(m *mapping) { a.AfterDelete(m.class, deleted(m, f), opts...) })
}

// BeforeFind is [App.BeforeFind] for the class of a struct.
func BeforeFind[T any](a *App, f func(ctx context.Context, r *FindRequest) error, opts ...Option) {
	typed[T](a, TriggerBeforeFind, func(m *mapping) { a.BeforeFind(m.class, f, opts...) })
}

// AfterFind is [BeforeSave] for [App.AfterFind].
func AfterFind[T any](a *App, f func(ctx context.Context, r *Found[T]) error, opts ...Option) {
	typed[T](a, TriggerAfterFind, func(m *mapping) {
		if f == nil {
			a.AfterFind(m.class, nil, opts...)
			return
		}
		a.AfterFind(m.class, func(ctx context.Context, r *FoundRequest) error {
			list := make([]*T, len(r.Objects))
			for i, o := range r.Objects {
				var err error
				if list[i], err = load[T](m, o); err != nil {
					return err
				}
			}
			return f(ctx, &Found[T]{FoundRequest: r, Objects: list})
		}, opts...)
	})
}

// AfterEvent is [BeforeSave] for [App.AfterEvent].
func AfterEvent[T any](a *App, f func(ctx context.Context, r *Event[T]) error, opts ...Option) {
	typed[T](a, TriggerAfterEvent, func(m *mapping) {
		if f == nil {
			a.AfterEvent(m.class, nil, opts...)
			return
		}
		a.AfterEvent(m.class, func(ctx context.Context, r *EventRequest) error {
			e := &Event[T]{EventRequest: r}
			object, original := r.Object, r.Original
			var err error
			if e.Object, err = load[T](m, r.Object); err != nil {
				return err
			}
			if err := f(ctx, e); err != nil {
				return err
			}
			if e.original.err != nil {
				return e.original.err
			}
			// What a hook put in the place of an object stays as it is.
			if r.Object == object && object != nil && e.Object != nil {
				m.write(object, reflect.ValueOf(e.Object).Elem())
			}
			if was := e.original.v; r.Original == original && was != nil {
				m.write(original, reflect.ValueOf(was).Elem())
			}
			return nil
		}, opts...)
	})
}

// Func registers a function whose parameters are a struct and whose result is
// anything that has a counterpart in Parse; [None] for no result.
func Func[P, R any](a *App, name string, f func(ctx context.Context, r *Call[P]) (R, error), opts ...Option) {
	m, perr := mappingOf(reflect.TypeFor[P]())
	var out *codec
	var rerr error
	if reflect.TypeFor[R]() != reflect.TypeFor[None]() {
		out, rerr = codecOf(reflect.TypeFor[R](), nil)
	}
	if !a.register(TriggerFunction, name, f == nil, perr, rerr) {
		return
	}
	a.Function(name, func(ctx context.Context, r *FunctionRequest) (parse.Value, error) {
		c := &Call[P]{FunctionRequest: r}
		if err := m.decode(r.Params.Get, reflect.ValueOf(&c.Params).Elem()); err != nil {
			var wrong *mismatch
			if errors.As(err, &wrong) {
				return nil, invalid("Validation failed. Invalid type for %s. Expected: %s", wrong.field, strings.ToLower(wrong.wants))
			}
			return nil, err
		}
		result, err := f(ctx, c)
		if err != nil {
			return nil, err
		}
		if out == nil {
			return NoResult, nil
		}
		return out.encode(reflect.ValueOf(&result).Elem()), nil
	}, opts...)
}

// Get reads an object as a struct.
func Get[T any](ctx context.Context, c Client, id string) (*T, error) {
	m, err := mappingOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	o, err := c.Get(ctx, m.class, id)
	if err != nil {
		return nil, err
	}
	return load[T](m, o)
}

// Find reads objects as structs.
func Find[T any](ctx context.Context, c Client, q query.Query) ([]*T, error) {
	m, err := mappingOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	found, err := c.Find(ctx, m.class, q)
	if err != nil {
		return nil, err
	}
	list := make([]*T, len(found))
	for i, o := range found {
		if list[i], err = load[T](m, o); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Update reads an object as a struct, lets change change it, and writes the
// fields that it has changed, if there are any. It returns the object as it is
// stored then. Called by itself it may undo what others write in between:
// within [Client.InTx] it does not.
func Update[T any](ctx context.Context, c Client, id string, change func(v *T) error) (*T, error) {
	m, err := mappingOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	o, err := c.Get(ctx, m.class, id)
	if err != nil {
		return nil, err
	}
	var l parse.Loan // the object is not this hook's to change
	lent := l.Lend(o)
	v, err := load[T](m, lent)
	if err != nil {
		return nil, err
	}
	if err := change(v); err != nil {
		return nil, err
	}
	fields := m.changes(o, &l, lent, reflect.ValueOf(v).Elem())
	if fields.Len() == 0 {
		return v, nil
	}
	if o, err = c.Update(ctx, m.class, id, fields); err != nil {
		return nil, err
	}
	return load[T](m, o)
}

// ClassOf returns the class of a struct, as [BeforeSave] finds it.
func ClassOf[T any]() string {
	m, err := mappingOf(reflect.TypeFor[T]())
	if err != nil {
		return reflect.TypeFor[T]().Name()
	}
	return m.class
}

// Create stores a struct as a new object and returns it as stored. Fields that
// are zero are not sent, unless their tag says that they are required.
func Create[T any](ctx context.Context, c Client, v *T) (*T, error) {
	m, err := mappingOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	o, err := c.Create(ctx, m.class, m.body(reflect.ValueOf(v).Elem()))
	if err != nil {
		return nil, err
	}
	return load[T](m, o)
}
