package parse_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/parse"
)

func objects() *rapid.Generator[*parse.Object] {
	return rapid.Custom(func(t *rapid.T) *parse.Object {
		o := &parse.Object{ClassName: "A", ID: rapid.StringMatching(`[A-Za-z0-9"é]{1,10}`).Draw(t, "id")}
		if rapid.Bool().Draw(t, "times") {
			o.CreatedAt, o.UpdatedAt = 1577934245678, 1577934245679
		}
		if rapid.Bool().Draw(t, "acl") {
			o.ACL = parse.NewACL(parse.ACLEntry{Subject: rapid.SampledFrom([]string{"*", "u1", `role:a"}`}).Draw(t, "s"), Read: true})
		}
		for range rapid.IntRange(0, 8).Draw(t, "n") {
			o.Set(rapid.StringMatching(`[a-z_][a-z"\\\]},]{0,3}`).Draw(t, "k"), values().Draw(t, "v"))
		}
		return o
	})
}

// TestDocuments compares an object that is decoded lazily with one decoded at
// once, through everything that can be done with it.
func TestDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := objects().Draw(t, "o")
		doc := string(o.AppendDocument(nil))
		eager, err := parse.DecodeDocument("A", doc, false, nil)
		if err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		lazy, err := parse.DecodeDocument("A", doc, true, eager)
		if err != nil {
			t.Fatal(err)
		}
		for i := range o.Fields.Len() {
			f := o.Fields.At(i)
			if v, ok := lazy.Get(f.Key); !ok || !parse.Equal(v, f.Value) {
				t.Fatalf("%s: %s is %v, %v", doc, f.Key, v, ok)
			}
		}
		if lazy.Fields.Has("no such field") {
			t.Fatal("has what it has not")
		}
		if lazy.Fields.Lazy() && strings.Contains(doc, `"_":1`) {
			t.Fatal("a document with internal fields must be decoded")
		}
		for range rapid.IntRange(0, 3).Draw(t, "sets") {
			k, v := rapid.StringMatching(`[a-z]{1,2}`).Draw(t, "k"), values().Draw(t, "v")
			eager.Set(k, v)
			lazy.Set(k, v)
		}
		for _, x := range []*parse.Object{lazy, lazy.Clone()} {
			if want, got := string(eager.AppendJSON(nil)), string(x.AppendJSON(nil)); want != got {
				t.Fatalf("lazy shows %s\nnot %s", got, want)
			}
		}
		if rapid.Bool().Draw(t, "delete") {
			k := rapid.StringMatching(`[a-z]{1,2}`).Draw(t, "k")
			if eager.Fields.Delete(k) != lazy.Fields.Delete(k) {
				t.Fatal("Delete disagrees")
			}
		}
		if want, got := string(eager.AppendDocument(nil)), string(lazy.AppendDocument(nil)); want != got {
			t.Fatalf("lazy is kept as %s\nnot %s", got, want)
		}
		if lazy.Fields.Len() != eager.Fields.Len() || lazy.Fields.Lazy() {
			t.Fatal("not loaded")
		}
	})
}

func TestDamagedDocuments(t *testing.T) {
	for _, doc := range []string{``, `{}`, `{"objectId":1}`, `{"objectId":"x"`, `{"objectId":"x","createdAt":"?"}`, `{"objectId":"x","ACL":`, `{"objectId":"x","a"}`, `{"objectId":"x","a":1,}`, `{"objectId":"x","a":[}`} {
		if _, err := parse.DecodeDocument("A", doc, false, nil); err == nil {
			t.Errorf("%s was accepted", doc)
		}
		if o, err := parse.DecodeDocument("A", doc, true, nil); err == nil {
			o.Fields.Load() // must not panic
			_, _ = o.Get("a")
		}
	}
}

func BenchmarkDecodeDocument(b *testing.B) {
	m, err := parse.DecodeMap([]byte(sample), parse.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	o := &parse.Object{
		ClassName: "A", ID: "aB3dE5gH7j", CreatedAt: 1577934245678, UpdatedAt: 1577934245678, Fields: *m,
		ACL: parse.NewACL(parse.ACLEntry{Subject: "u1", Read: true, Write: true}),
	}
	doc := string(o.AppendDocument(nil))
	for _, lazy := range []bool{false, true} {
		b.Run(map[bool]string{false: "eager", true: "lazy"}[lazy], func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				x, err := parse.DecodeDocument("A", doc, lazy, o)
				if err != nil {
					b.Fatal(err)
				}
				buf = x.AppendJSON(buf[:0])
			}
		})
	}
}
