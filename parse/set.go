package parse

import (
	"hash/maphash"
	"math"
	"math/bits"
)

// smallSet is up to how many values a Set compares one by one.
const smallSet = 16

// Set is a set of values under [Equal]. Looking a value up takes the same time
// however many there are, which a client's list of values may not decide. The
// zero Set is empty; it may be read, but not changed, concurrently.
type Set struct {
	values []Value
	seed   maphash.Seed
	key    uint64
	// heads leads from a hash to 1 + the place of the last value with it, next
	// from there to the one before; both are nil in a small set.
	heads map[uint64]int
	next  []int
}

// NewSet returns the set of a list.
func NewSet(list []Value) *Set {
	s := &Set{values: make([]Value, 0, len(list))}
	for _, v := range list {
		s.Add(v)
	}
	return s
}

// Has reports whether the set has a value equal to v. It does not allocate.
func (s *Set) Has(v Value) bool {
	if s.heads == nil {
		return contains(s.values, v)
	}
	return s.find(s.hash(v), v)
}

func (s *Set) find(h uint64, v Value) bool {
	for i := s.heads[h]; i > 0; i = s.next[i-1] {
		if Equal(s.values[i-1], v) {
			return true
		}
	}
	return false
}

// Add puts v into the set and reports whether it was not there.
func (s *Set) Add(v Value) bool {
	if s.heads == nil {
		if contains(s.values, v) {
			return false
		}
		s.values = append(s.values, v)
		if len(s.values) > smallSet {
			s.grow()
		}
		return true
	}
	h := s.hash(v)
	if s.find(h, v) {
		return false
	}
	s.values = append(s.values, v)
	s.link(h)
	return true
}

func (s *Set) grow() {
	s.seed = maphash.MakeSeed() // so that nobody can choose values that collide
	s.key = maphash.String(s.seed, "key")
	s.heads = make(map[uint64]int, cap(s.values))
	s.next = make([]int, 0, cap(s.values))
	for i := range s.values {
		s.link(s.hash(s.values[i]))
	}
}

// link enters the next value that is not yet in next.
func (s *Set) link(h uint64) {
	s.next = append(s.next, s.heads[h])
	s.heads[h] = len(s.next)
}

// hash is equal for values that are Equal.
func (s *Set) hash(v Value) uint64 {
	switch v := v.(type) {
	case float64:
		return s.number('n', v)
	case Int:
		return s.number('n', float64(v))
	case string:
		return s.mix('s', maphash.String(s.seed, v))
	case bool:
		if v {
			return s.mix('b', 1)
		}
	case Date:
		return s.mix('d', uint64(v))
	case Pointer:
		return s.mix('p', maphash.String(s.seed, v.ObjectID))
	case *Object:
		return s.mix('p', maphash.String(s.seed, v.ID))
	case File:
		return s.mix('f', maphash.String(s.seed, v.Name))
	case Bytes:
		return s.mix('y', maphash.Bytes(s.seed, v))
	case GeoPoint:
		return s.mix(s.number('g', v.Latitude), s.number('g', v.Longitude))
	case Array:
		h := s.mix('a', uint64(len(v)))
		for _, e := range v {
			h = s.mix(h, s.hash(e))
		}
		return h
	case *Map:
		sum := uint64(0) // the order of keys does not count
		for i := range v.Len() {
			f := v.At(i)
			sum += s.mix(maphash.String(s.seed, f.Key), s.hash(f.Value))
		}
		return s.mix('m', sum)
	}
	return s.mix('x', 0) // null, false, and what is rare in lists
}

func (s *Set) number(kind uint64, f float64) uint64 {
	if f == 0 { // also -0
		f = 0
	}
	return s.mix(kind, math.Float64bits(f))
}

// mix joins two numbers in a way that cannot be foreseen without the key.
func (s *Set) mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a*0x9e3779b97f4a7c15^s.key, b^(s.key>>32|s.key<<32))
	return hi ^ lo
}
