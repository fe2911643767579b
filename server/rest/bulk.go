package rest

import (
	"context"
	"runtime/debug"
	"strings"

	"github.com/pargo-baas/pargo/internal/objects"
)

// bulkKind says which of a route's calls in a batch can be done together.
type bulkKind uint8

const (
	bulkNone bulkKind = iota
	bulkCreate
	bulkUpdate
	bulkDelete
)

// task is a part of a batch that is carried out at once: one item, or all that
// do the same to objects of one class.
type task struct {
	kind  bulkKind
	class string
	items []*item
}

// bulk tells what an item can be done together with. The classes of the server
// have routes and rules of their own and are done one by one.
func (it *item) bulk() (bulkKind, string) {
	if class := it.call.params[0]; it.route.bulk != bulkNone && !strings.HasPrefix(class, "_") {
		return it.route.bulk, class
	}
	return bulkNone, ""
}

// grouped joins the items of a batch to tasks, whose order is free.
func grouped(items []item) []*task {
	type key struct {
		kind  bulkKind
		class string
	}
	tasks := make([]*task, 0, 1)
	of := map[key]*task{}
	for i := range items {
		it := &items[i]
		kind, class := it.bulk()
		k := key{kind, class}
		if t := of[k]; t != nil && kind != bulkNone {
			t.items = append(t.items, it)
			continue
		}
		t := &task{kind: kind, class: class, items: []*item{it}}
		of[k] = t
		tasks = append(tasks, t)
	}
	return tasks
}

// consecutive joins items to tasks without changing their order: creates that
// follow one another and that no hook looks at.
func consecutive(items []item) []*task {
	tasks := make([]*task, 0, len(items))
	for i := range items {
		it := &items[i]
		kind, class := it.bulk()
		if kind == bulkCreate && !it.call.objs.App().HasBeforeSave(class) {
			if n := len(tasks); n > 0 && tasks[n-1].kind == kind && tasks[n-1].class == class {
				tasks[n-1].items = append(tasks[n-1].items, it)
				continue
			}
		} else {
			kind = bulkNone
		}
		tasks = append(tasks, &task{kind: kind, class: class, items: []*item{it}})
	}
	return tasks
}

// run carries out a task. A panic is caught here, because it is in a goroutine of its own.
func (t *task) run(ctx context.Context) {
	defer func() {
		if v := recover(); v != nil {
			first := t.items[0]
			first.call.h.o.Log.ErrorContext(ctx, "panic in a batch", "route", first.route.pattern, "panic", v, "stack", string(debug.Stack()))
			for _, it := range t.items {
				it.err = errInternal
			}
		}
	}()
	if len(t.items) == 1 {
		it := t.items[0]
		it.reply, it.err = it.route.do(ctx, &it.call)
		return
	}
	c := &t.items[0].call
	var out []objects.Outcome
	switch t.kind {
	case bulkDelete:
		ids := make([]string, len(t.items))
		for i, it := range t.items {
			ids[i] = it.call.params[1]
		}
		out = c.objs.DeleteAll(ctx, c.principal, t.class, ids)
	case bulkUpdate:
		out = c.objs.UpdateAll(ctx, c.principal, t.writes())
	default:
		out = c.objs.CreateAll(ctx, c.principal, t.writes())
	}
	for i, it := range t.items {
		switch it.err = out[i].Err; {
		case it.err != nil:
		case t.kind == bulkDelete:
			it.reply = reply{json: emptyObject}
		default:
			it.reply = it.call.saved(t.class, out[i].Saved)
		}
	}
}

func (t *task) writes() []*objects.Write {
	list := make([]*objects.Write, len(t.items))
	for i, it := range t.items {
		c := &it.call
		list[i] = &objects.Write{Class: t.class, ID: c.params[1], Body: c.body}
	}
	return list
}
