package cloudcode_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// one is a client with one object, which notes what is written.
type one struct {
	cloudcode.Client
	o       *parse.Object
	written []string
}

func (c *one) Get(_ context.Context, class, id string) (*parse.Object, error) {
	if class != c.o.ClassName || id != c.o.ID {
		return nil, parse.ErrNotFound()
	}
	return c.o, nil
}

func (c *one) Update(_ context.Context, _, _ string, fields *parse.Map) (*parse.Object, error) {
	c.written = append(c.written, string(parse.AppendJSON(nil, fields)))
	o := c.o.Clone()
	o.UpdatedAt++
	return o, parse.ApplyOps(o, fields)
}

func (c *one) Create(_ context.Context, class string, fields *parse.Map) (*parse.Object, error) {
	c.written = append(c.written, class+" "+string(parse.AppendJSON(nil, fields)))
	o := &parse.Object{ClassName: class, ID: "new"}
	return o, parse.ApplyOps(o, fields)
}

type account struct {
	ID        string
	Owner     parse.Pointer `parse:"owner,required"`
	Balance   float64       `parse:"balance,required"`
	Note      *string
	ClosedAt  time.Time
	UpdatedAt time.Time
	ACL       *parse.ACL
}

func (account) ParseClass() string { return "Account" }

func TestTypedUpdate(t *testing.T) {
	const stored = `{"balance":10,"note":"n","closedAt":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"},"other":1}`
	for name, tt := range map[string]struct {
		change func(*account) error
		want   []string
	}{
		"nothing": {func(*account) error { return nil }, nil},
		"some":    {func(a *account) error { a.Balance--; a.Note = nil; a.ClosedAt = time.Time{}; return nil }, []string{`{"balance":9,"note":{"__op":"Delete"},"closedAt":{"__op":"Delete"}}`}},
		"rights":  {func(a *account) error { a.ACL.Set("v", true, false); return nil }, []string{`{"ACL":{"u":{"read":true},"v":{"read":true}}}`}},
		"refused": {func(*account) error { return cloudcode.Err(119, "no") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := object(t, stored)
			o.ClassName, o.ACL = "Account", parse.NewACL(parse.ACLEntry{Subject: "u", Read: true})
			c := &one{o: o}
			got, err := cloudcode.Update(t.Context(), c, "p1", tt.change)
			if name == "refused" {
				if parse.CodeOf(err) != 119 {
					t.Fatal(err)
				}
			} else if err != nil || got.ID != "p1" || len(tt.want) > 0 && got.UpdatedAt.IsZero() {
				t.Fatalf("%+v, %v", got, err)
			}
			if diff := cmp.Diff(tt.want, c.written); diff != "" {
				t.Error(diff)
			}
			if text := string(parse.AppendJSON(nil, &o.Fields)); text != stored || len(o.ACL.Entries()) != 1 {
				t.Errorf("the object that was read became %s", text)
			}
		})
	}
	if _, err := cloudcode.Update(t.Context(), &one{o: object(t, stored)}, "p1", func(*account) error { return nil }); parse.CodeOf(err) != parse.ObjectNotFound {
		t.Errorf("another class: %v", err)
	}
}

func TestTypedCreate(t *testing.T) {
	c := &one{}
	got, err := cloudcode.Create(t.Context(), c, &account{ID: "mine", UpdatedAt: time.Unix(1, 0)})
	if err != nil || got.ID != "new" {
		t.Fatalf("%+v, %v", got, err)
	}
	// Of the required fields only an amount can be zero.
	if diff := cmp.Diff([]string{`Account {"balance":0}`}, c.written); diff != "" {
		t.Error(diff)
	}
	if class := cloudcode.ClassOf[account](); class != "Account" {
		t.Error(class)
	}
}
