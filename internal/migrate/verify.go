package migrate

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Tally is a class in short.
type Tally struct {
	Objects, Links int64
	Sum            Sum
}

// mostIDs bounds how many objects an error names.
const mostIDs = 10

func upTo(id string) query.Node {
	return &query.Compare{Path: parse.KeyObjectID, Op: query.Lte, Value: id}
}

// verify compares a class on both sides.
func (r *run) verify(ctx context.Context, j *job) error {
	if r.o.Merge {
		return r.verifyMerged(ctx, j)
	}
	var source, target Tally
	var errSource, errTarget error
	var wg sync.WaitGroup
	wg.Go(func() {
		source, errSource = tally(ctx, r.from, j.def, j.joins, func(n int) { r.tell(StageVerify, j.def.Name, n) })
	})
	wg.Go(func() { target, errTarget = tally(ctx, r.to, j.target, j.joins, func(int) {}) })
	wg.Wait()
	switch {
	case errSource != nil:
		return fmt.Errorf("read the source: %w", errSource)
	case errTarget != nil:
		return fmt.Errorf("read the target: %w", errTarget)
	}
	j.report.Objects, j.report.Links = source.Objects, source.Links
	all, err := r.from.Count(ctx, j.def, nil, nil)
	if err != nil {
		return fmt.Errorf("count class %s: %w", j.def.Name, err)
	}
	if all != source.Objects {
		return fmt.Errorf("class %s has %d objects, of which %d were read: the source has changed, or has ids that are no texts", j.def.Name, all, source.Objects)
	}
	if source != target {
		e := &DifferenceError{Class: j.def.Name, Source: source, Target: target}
		if e.IDs, err = r.different(ctx, j); err != nil {
			return err
		}
		return e
	}
	j.report.Hash = source.Sum.String()
	return nil
}

// tally reads a class.
func tally(ctx context.Context, s storage.Store, class *schema.Class, joins []storage.Join, read func(int)) (t Tally, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var buf []byte
	for p := range pages(ctx, s, class, "") {
		if p.err != nil {
			return t, p.err
		}
		for _, o := range p.objects {
			buf = canonical(buf[:0], o)
			t.Sum.add(buf)
		}
		t.Objects += int64(len(p.objects))
		for _, rel := range joins {
			members, err := links(ctx, s, rel, p.objects)
			if err != nil {
				return t, fmt.Errorf("read relation %s of class %s: %w", rel.Key, rel.Class, err)
			}
			for owner, list := range members {
				for _, m := range list {
					buf = appendText(appendText(appendText(buf[:0], rel.String()), owner), m)
					t.Sum.add(buf)
				}
				t.Links += int64(len(list))
			}
		}
		read(len(p.objects))
	}
	return t, ctx.Err()
}

// different finds some of the objects in which both sides differ.
func (r *run) different(ctx context.Context, j *job) (ids []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	compare := func(a storage.Store, classA *schema.Class, b storage.Store, classB *schema.Class) error {
		for p := range pages(ctx, a, classA, "") {
			if p.err != nil {
				return p.err
			}
			other, err := byID(ctx, b, classB, p.objects)
			if err != nil {
				return err
			}
			odd, err := r.oddLinks(ctx, j, p.objects)
			if err != nil {
				return err
			}
			for _, o := range p.objects {
				if len(ids) == mostIDs {
					return nil
				}
				if o2 := other[o.ID]; (odd[o.ID] || o2 == nil || string(canonical(nil, o)) != string(canonical(nil, o2))) && !slices.Contains(ids, o.ID) {
					ids = append(ids, o.ID)
				}
			}
		}
		return nil
	}
	if err := compare(r.from, j.def, r.to, j.target); err != nil {
		return nil, err
	}
	if len(ids) < mostIDs {
		err = compare(r.to, j.target, r.from, j.def)
	}
	return ids, err
}

// oddLinks tells of which owners the members differ.
func (r *run) oddLinks(ctx context.Context, j *job, owners []*parse.Object) (map[string]bool, error) {
	odd := map[string]bool{}
	for _, rel := range j.joins {
		a, err := links(ctx, r.from, rel, owners)
		if err != nil {
			return nil, err
		}
		b, err := links(ctx, r.to, rel, owners)
		if err != nil {
			return nil, err
		}
		for _, o := range owners {
			slices.Sort(a[o.ID])
			slices.Sort(b[o.ID])
			if !slices.Equal(a[o.ID], b[o.ID]) {
				odd[o.ID] = true
			}
		}
	}
	return odd, nil
}

// verifyMerged makes sure that the target has every object of the source, and
// counts those that it had with other contents.
func (r *run) verifyMerged(ctx context.Context, j *job) error {
	if small(j.def.Name) {
		return nil // what was there before them is not known
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for p := range pages(ctx, r.from, j.def, "") {
		if p.err != nil {
			return p.err
		}
		have, err := byID(ctx, r.to, j.target, p.objects)
		if err != nil {
			return err
		}
		for _, o := range p.objects {
			switch o2 := have[o.ID]; {
			case o2 == nil:
				return &DifferenceError{
					Class: j.def.Name, IDs: []string{o.ID},
					Source: Tally{Objects: int64(len(p.objects))}, Target: Tally{Objects: int64(len(have))},
				}
			case string(canonical(nil, o)) != string(canonical(nil, o2)):
				j.report.Kept++
			}
		}
		r.tell(StageVerify, j.def.Name, len(p.objects))
	}
	return ctx.Err()
}
