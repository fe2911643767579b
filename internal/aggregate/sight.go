package aggregate

import (
	"maps"
	"slices"
)

// sight gathers, while a pipeline is compiled, which fields of the documents
// that come in are looked at, so that no others need be read. It holds stored
// names; after a stage whose output has nothing but what it computed, no more
// is added.
type sight struct {
	fields      map[string]bool
	all, closed bool
}

func (s *sight) see(name string) {
	if s.closed {
		return
	}
	if s.fields == nil {
		s.fields = map[string]bool{}
	}
	s.fields[name] = true
}

// whole says that documents are looked at as a whole.
func (s *sight) whole() { s.all = s.all || !s.closed }

// close says that of the documents nothing is left.
func (s *sight) close() { s.closed = true }

// names lists the fields in order; nil: all.
func (s *sight) names() []string {
	if s.all {
		return nil
	}
	if len(s.fields) == 0 {
		return []string{}
	}
	return s.named()
}

// named lists the fields that are looked at by their names.
func (s *sight) named() []string { return slices.Sorted(maps.Keys(s.fields)) }
