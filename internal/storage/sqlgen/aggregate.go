package sqlgen

import (
	"math"
	"strings"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
)

// Page is the part of the rows that the first stages of a pipeline ask for.
type Page struct {
	Sort        *parse.Map // of the $sort, nil without
	Skip, Limit int        // Limit < 0: all
	Done        int        // how many stages it is made of
}

// PageOf reads the first stages; sortable says whether SQL can sort by a $sort.
func PageOf(stages []storage.Stage, sortable func(keys *parse.Map) bool) Page {
	p := Page{Limit: -1}
	take := func(s storage.Stage) bool {
		n, isNumber := s.Arg.(float64)
		isNumber = isNumber && n == math.Trunc(n) && n >= 0 && n < 1<<53
		switch {
		case s.Name == "$sort" && p.Sort == nil && p.Skip == 0 && p.Limit < 0:
			m, _ := s.Arg.(*parse.Map)
			if m.Len() == 0 || !sortable(m) {
				return false
			}
			p.Sort = m
			return true
		case s.Name == "$skip" && isNumber && p.Limit < 0:
			p.Skip += int(n)
			return true
		case s.Name == "$limit" && isNumber:
			if p.Limit < 0 || int(n) < p.Limit {
				p.Limit = int(n)
			}
			return true
		}
		return false
	}
	for p.Done < len(stages) && take(stages[p.Done]) {
		p.Done++
	}
	return p
}

// StoredField returns the field of a stored name, and whether the name is that
// of a pointer.
func StoredField(stored string) (field string, pointer bool) {
	switch stored {
	case "_id":
		return parse.KeyObjectID, false
	case "_created_at":
		return parse.KeyCreatedAt, false
	case "_updated_at":
		return parse.KeyUpdatedAt, false
	case parse.KeyObjectID, parse.KeyCreatedAt, parse.KeyUpdatedAt:
		return "", false // not by these names
	}
	return strings.CutPrefix(stored, "_p_")
}

// Group is a $group by one field, or by a constant, of simple accumulators.
type Group struct {
	// By is the stored name of the field; "": ID is the constant.
	By           string
	ID           parse.Value
	Accumulators []Accumulator
}

// Accumulator is an output of a Group: $sum, $avg, $min or $max over a field, or
// with Op "" the number of documents, times Times.
type Accumulator struct {
	Name, Op string
	Field    string // by its stored name
	Times    int64
}

// GroupOf reads a $group; ok is false for another one.
func GroupOf(m *parse.Map) (g *Group, ok bool) {
	g = &Group{}
	id, _ := m.Get("_id")
	switch id := id.(type) {
	case nil, bool, float64:
		g.ID = id
	case string:
		if name, isField := strings.CutPrefix(id, "$"); isField {
			g.By = name
		} else {
			g.ID = id
		}
	default:
		return nil, false
	}
	for name, v := range m.All() {
		if name == "_id" {
			continue
		}
		acc, _ := v.(*parse.Map)
		if acc.Len() != 1 {
			return nil, false
		}
		a, ok := accumulatorOf(acc.At(0).Key, acc.At(0).Value)
		if !ok {
			return nil, false
		}
		a.Name = name
		g.Accumulators = append(g.Accumulators, a)
	}
	return g, true
}

func accumulatorOf(op string, arg parse.Value) (a Accumulator, ok bool) {
	n, isNumber := arg.(float64)
	m, isMap := arg.(*parse.Map)
	switch {
	case op == "$count" && isMap && m.Len() == 0:
		return Accumulator{Times: 1}, true
	case op == "$sum" && isNumber && n == math.Trunc(n) && math.Abs(n) < 1<<20:
		return Accumulator{Times: int64(n)}, true
	}
	text, _ := arg.(string)
	name, isField := strings.CutPrefix(text, "$")
	switch op {
	case "$sum", "$avg", "$min", "$max":
		return Accumulator{Op: op, Field: name}, isField && name != ""
	}
	return a, false
}
