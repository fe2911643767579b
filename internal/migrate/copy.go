package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// writersAtOnce is how many parts of a page are written at a time.
const writersAtOnce = 4

// copy writes the objects of a class that the target does not have yet, and
// the members of their relations.
func (r *run) copy(ctx context.Context, j *job) error {
	name := j.def.Name
	k := r.marks.classes[name]
	if k.done {
		r.tell(StageCopy, name, int(j.report.Objects))
		return nil
	}
	if k.after != "" {
		before, err := r.from.Count(ctx, j.def, upTo(k.after), nil)
		if err != nil {
			return fmt.Errorf("count class %s: %w", name, err)
		}
		r.tell(StageCopy, name, int(before))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for p := range pages(ctx, r.from, j.def, k.after) {
		if p.err != nil {
			return p.err
		}
		if err := r.copyPage(ctx, j, p.objects); err != nil {
			return err
		}
		k.after = p.after()
		if err := r.marks.set(ctx, name, k); err != nil {
			return err
		}
		r.tell(StageCopy, name, len(p.objects))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	k.done = true
	return r.marks.set(ctx, name, k)
}

func (r *run) copyPage(ctx context.Context, j *job, objects []*parse.Object) error {
	missing := objects
	if small(j.def.Name) {
		var err error
		if missing, err = r.missing(ctx, j, objects); err != nil {
			return err
		}
		j.report.Present += int64(len(objects) - len(missing))
	}
	now := parse.NewDate(time.Now())
	alone := sparse(j.def)
	for _, o := range missing {
		for _, name := range alone {
			if v, ok := o.Fields.Get(name); ok && v == nil {
				o.Fields.Delete(name)
			}
		}
		if o.CreatedAt == 0 {
			o.CreatedAt = now
		}
		if o.UpdatedAt == 0 {
			o.UpdatedAt = now
		}
		for _, rel := range j.joins {
			o.Fields.Delete(rel.Key)
		}
	}
	if err := r.insert(ctx, j, missing); err != nil {
		return err
	}
	for _, rel := range j.joins {
		if err := r.copyLinks(ctx, rel, objects); err != nil {
			return fmt.Errorf("copy relation %s of class %s: %w", rel.Key, rel.Class, err)
		}
	}
	return nil
}

// sparse lists the fields of unique indexes that leave out objects without a
// value: to some databases a null is one there, which no two may have.
func sparse(class *schema.Class) (out []string) {
	for i := range class.Indexes {
		if ix := &class.Indexes[i]; ix.Unique && ix.Sparse {
			for _, k := range ix.Keys {
				out = append(out, k.Field)
			}
		}
	}
	return out
}

// missing returns those of the objects of a small class that the target lacks,
// by all that they hold.
func (r *run) missing(ctx context.Context, j *job, objects []*parse.Object) ([]*parse.Object, error) {
	have, err := next(ctx, r.to, j.target, "", 0)
	if err != nil {
		return nil, fmt.Errorf("read class %s of the target: %w", j.def.Name, err)
	}
	there := make(map[string]bool, len(have))
	for _, o := range have {
		there[string(canonical(nil, o))] = true
	}
	var out []*parse.Object
	for _, o := range objects {
		if !there[string(canonical(nil, o))] {
			out = append(out, o)
		}
	}
	return out, nil
}

// insert writes objects, several parts at a time. Those that are there already
// are counted; that is a failure where nothing should be.
func (r *run) insert(ctx context.Context, j *job, objects []*parse.Object) error {
	part := (len(objects) + writersAtOnce - 1) / writersAtOnce
	errs := make([]error, len(objects))
	var wg sync.WaitGroup
	for at := 0; at < len(objects); at += part {
		end := min(at+part, len(objects))
		wg.Go(func() { copy(errs[at:end], r.insertAll(ctx, j.target, objects[at:end])) })
	}
	wg.Wait()
	refused := map[int]error{}
	for i, err := range errs {
		var dup *storage.DuplicateError
		switch {
		case err == nil:
			j.report.Copied++
		case errors.As(err, &dup) && (r.report.Resumed || r.o.Merge):
			refused[i] = err
		default:
			return fmt.Errorf("write object %s of class %s: %w", objects[i].ID, j.def.Name, err)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	// A database names the first index that forbids an object, which need not
	// be that of the id.
	have, err := byID(ctx, r.to, j.target, objects)
	if err != nil {
		return err
	}
	for i, err := range refused {
		if have[objects[i].ID] == nil {
			return fmt.Errorf("write object %s of class %s: %w", objects[i].ID, j.def.Name, err)
		}
		j.report.Present++
	}
	return nil
}

// insertAll writes objects as one, which is faster, and each for itself only if
// some are there already, as they may be in the target of a merge.
func (r *run) insertAll(ctx context.Context, class *schema.Class, objects []*parse.Object) []error {
	if !r.o.Merge {
		err := r.to.Insert(ctx, class, objects)
		if err == nil {
			return make([]error, len(objects))
		}
		var away *storage.UnavailableError
		if errors.As(err, &away) || ctx.Err() != nil {
			return slices.Repeat([]error{err}, len(objects))
		}
	}
	return storage.InsertEach(ctx, r.to, class, objects)
}

// copyLinks writes the members that some owners have in a relation.
func (r *run) copyLinks(ctx context.Context, rel storage.Join, owners []*parse.Object) error {
	members, err := links(ctx, r.from, rel, owners)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, writersAtOnce)
	errs := make(chan error, len(members))
	for owner, list := range members {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if len(list) > 1 { // their order is told for one owner at a time
				var err error
				if list, err = r.from.Related(ctx, rel, owner); err != nil {
					errs <- err
					return
				}
			}
			if err := r.to.AddRelated(ctx, rel, owner, list); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// links returns the members of a relation by owner.
func links(ctx context.Context, s storage.Store, rel storage.Join, owners []*parse.Object) (map[string][]string, error) {
	ids := make([]string, len(owners))
	for i, o := range owners {
		ids[i] = o.ID
	}
	list, err := s.Links(ctx, rel, ids)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, l := range list {
		out[l.Owner] = append(out[l.Owner], l.Member)
	}
	return out, nil
}
