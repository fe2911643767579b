package query

import (
	"regexp/syntax"

	"github.com/pargo-baas/pargo/parse"
)

// What things take, by measurement: TestSize holds it against the truth.
const (
	nodeBytes    = 64  // a node and its place in a list
	leafBytes    = 160 // its matcher
	patternBytes = 160 // a pattern without its program
	keyBytes     = 56  // an entry of a table of texts or pointers
	setBytes     = 160 // one of a table of other values
	searchBytes  = 400 // a search for words, with tables that have none yet
	instBytes    = 80  // an instruction of a program of regexp
	perlLetter   = 32  // a letter of a pattern that goes back
)

// progBytes is about what a program of regexp takes.
func progBytes(prog *syntax.Prog) int {
	n := 700 + instBytes*len(prog.Inst)
	var last *rune
	for i := range prog.Inst {
		// Repetitions share their classes.
		if class := prog.Inst[i].Rune; len(class) > 1 && &class[0] != last {
			last = &class[0]
			n += 64 + 6*len(class)
		}
	}
	return n
}

// perlBytes is about what a program of regexp2 takes.
func perlBytes(text string) int { return 1600 + perlLetter*len(text) }

// Size is about how many bytes a tree and its [Matcher] keep from being used
// otherwise, beside the texts in it, which are parts of what it was read from.
// Patterns count in full, also those that others share.
func Size(n Node) int {
	size := 0
	Walk(n, func(n Node) bool {
		size += nodeBytes + leafBytes + partsSize(n)
		return true
	})
	return size
}

func partsSize(n Node) int {
	switch n := n.(type) {
	case *Compare:
		return valueSize(n.Value)
	case *Member:
		return listSize(n)
	case *Regex:
		if n.compiled == nil {
			return 0
		}
		return patternBytes + len(n.compiled.text) + 4*len(n.compiled.fold) + n.compiled.bytes
	case *Text:
		s := n.search
		if s == nil {
			return 0
		}
		size := searchBytes + keyBytes*(len(s.terms)+len(s.exact)+len(s.without))
		return size + 2*len(n.Term)
	case *Within:
		return 2 * len(n.Area.canonical(nil))
	case *SubQuery:
		return Size(n.Where)
	}
	return 0
}

// listSize is what the values of a list take, and the tables that find them.
func listSize(n *Member) int {
	size, others := 0, 0
	for _, v := range n.Values {
		size += valueSize(v)
		switch v.(type) {
		case string, parse.Pointer:
			size += keyBytes
		default:
			others++
		}
	}
	if others > manyValues {
		size += setBytes * others
	}
	return size
}

// valueSize is what a value takes beside its text, with its place in a list.
func valueSize(v parse.Value) int {
	const slot = 16
	switch v.(type) {
	case string:
		return 2 * slot
	case parse.Pointer:
		return 3 * slot
	}
	return slot + parse.SizeOf(v)
}
