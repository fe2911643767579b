package storagetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// scale is a [storage.Meter] that takes up to limit bytes.
type scale struct{ weight, most, limit int }

var errTooHeavy = parse.Errorf(parse.RequestLimitExceeded, "too heavy")

// Weigh implements [storage.Meter].
func (s *scale) Weigh(n int) error {
	s.weight += n
	s.most = max(s.most, s.weight)
	if n > 0 && s.limit > 0 && s.weight > s.limit {
		return errTooHeavy
	}
	return nil
}

// testMeter: what finds return is weighed as it comes, and a find ends when it
// has become too heavy.
func testMeter(t *testing.T, s storage.Store) {
	const rows, text = 6, 40 << 10
	c := create(t, s, NewClass("Sample"))
	for i := range rows {
		o := object(t, c.Name, fmt.Sprintf("id%d", i), fmt.Sprintf(`{"n":%d,"t":%q,"a":[%d]}`, i, strings.Repeat("x", text), rows-i))
		insert(t, s, c, o)
	}
	for _, tt := range []struct {
		name           string
		find           storage.Find
		objects, most  int // the most that is kept at a time, in objects; 0: as many
		limit, refused int
	}{
		{name: "all", find: storage.Find{Limit: query.NoLimit}, objects: rows},
		{name: "a page", find: storage.Find{Limit: 2, Skip: 3, Order: []query.Sort{{Path: "n"}}}, objects: 2},
		{name: "none", find: storage.Find{Limit: 10, Where: query.Equal("n", 77.0)}},
		{name: "in an order of arrays", find: storage.Find{Limit: 1, Order: []query.Sort{{Path: "a"}}}, objects: 1, most: rows},
		{name: "too heavy", find: storage.Find{Limit: query.NoLimit}, limit: 3 * text, refused: 4},
		{name: "too heavy in an order of arrays", find: storage.Find{Limit: 5, Order: []query.Sort{{Path: "a"}}}, limit: 3 * text, refused: 4},
	} {
		for _, lazy := range []bool{false, true} {
			m := &scale{limit: tt.limit}
			f := tt.find
			f.Class, f.Lazy, f.Meter = c, lazy, m
			list, err := s.Find(t.Context(), &f)
			if tt.refused > 0 {
				if !errors.Is(err, errTooHeavy) || len(list) > 0 || m.most > tt.refused*(text+4<<10) {
					t.Errorf("%s: %d objects, %v, at most %d bytes", tt.name, len(list), err, m.most)
				}
				continue
			}
			if err != nil || len(list) != tt.objects || m.weight < tt.objects*text || m.weight > tt.objects*(text+4<<10) ||
				m.most > max(tt.objects, tt.most)*(text+4<<10) {
				t.Errorf("%s: %d objects, %v, %d bytes, at most %d", tt.name, len(list), err, m.weight, m.most)
			}
		}
	}

	const values = 4000
	o := object(t, c.Name, "many", `{"n":99,"s":"y","a":[`+strings.Repeat(`{"a":1},`, values)+`{"b":{"c":[null]}}],"o":{"k":1.5}}`)
	insert(t, s, c, o)
	f := storage.Find{Class: c, Where: query.Equal("n", 99.0), Limit: 1}
	plain, lazy := &scale{}, &scale{}
	var texts [2]string
	for i, m := range []*scale{plain, lazy} {
		f.Meter, f.Lazy = m, i == 1
		list, err := s.Find(t.Context(), &f)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d objects, %v", len(list), err)
		}
		list[0].Fields.Load()
		texts[i] = string(list[0].AppendFields(nil))
	}
	if texts[0] != texts[1] || !strings.Contains(texts[0], `{"b":{"c":[null]}}`) {
		t.Error("an object that is kept as text is another one")
	}
	if plain.weight < values*32 || lazy.weight > values*12 {
		t.Errorf("%d values weigh %d as they are, and %d as text", values, plain.weight, lazy.weight)
	}
}
