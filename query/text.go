package query

import (
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/words"
	"github.com/pargo-baas/pargo/parse"
)

const (
	// ScoreKey asks, among the keys and in the order of a query, for how well
	// objects match its $text.
	ScoreKey = "$score"
	// ScoreField is where a storage puts the score of an object, and the path
	// of an order by it. No class has such a field.
	ScoreField = "_score"
)

// Text matches texts (or arrays of them) with any of the words searched for,
// all of the phrases and none of the words with a minus before them. What words
// are the same, and the score, are those of MongoDB. [NewText] makes one.
type Text struct {
	Path Path
	Term string
	// Language is a name that package words knows.
	Language                          string
	CaseSensitive, DiacriticSensitive bool

	search *search
}

// NewText reads a search. An unknown language is a *parse.Error 107; "" is English.
func NewText(path Path, term, language string, caseSensitive, diacriticSensitive bool) (*Text, error) {
	lang := words.English
	if language != "" {
		if lang = words.Lookup(language); lang == nil {
			return nil, parse.Errorf(parse.InvalidJSON, "bad $text: $language %q is not supported", language)
		}
	}
	n := &Text{Path: path, Term: term, Language: lang.Name(), CaseSensitive: caseSensitive, DiacriticSensitive: diacriticSensitive}
	n.search = newSearch(n, lang)
	return n, nil
}

// search is a Text ready for matching. It is immutable.
type search struct {
	lang                              *words.Language
	caseSensitive, diacriticSensitive bool
	terms                             map[string]bool // plain stems of which an object needs one
	exact                             map[string]bool // the same with case and accents; nil if neither counts
	without                           map[string]bool // exact stems that an object must not have
	phrases, withoutPhrases           []string        // folded
}

// newSearch takes a term apart as MongoDB does: a "-" that follows a blank
// negates what comes up to the next blank, be it words or a phrase.
func newSearch(n *Text, lang *words.Language) *search {
	s := &search{lang: lang, caseSensitive: n.CaseSensitive, diacriticSensitive: n.DiacriticSensitive, terms: map[string]bool{}, without: map[string]bool{}}
	if n.CaseSensitive || n.DiacriticSensitive {
		s.exact = map[string]bool{}
	}
	var with, without strings.Builder
	negated, quoted, blank := false, false, true
	phrase := 0 // where it begins
	for i := 0; i < len(n.Term); {
		switch c := n.Term[i]; {
		case isBlank(c):
			blank = true
			i++
			continue
		case c == '-':
			if !quoted && blank {
				negated = true
			}
			i++
		case c == '"' && quoted:
			text := words.Fold(n.Term[phrase:i], n.CaseSensitive, n.DiacriticSensitive)
			if negated {
				s.withoutPhrases = append(s.withoutPhrases, text)
			} else {
				s.phrases = append(s.phrases, text)
			}
			quoted = false
			i++
		case c == '"':
			quoted = true
			negated = negated && !blank
			i++
			phrase = i
		default:
			end := i
			for end < len(n.Term) && !isBlank(n.Term[end]) && n.Term[end] != '-' && n.Term[end] != '"' {
				end++
			}
			text := n.Term[i:end]
			i = end
			if quoted && negated {
				break
			}
			negated = negated && !blank
			if negated {
				without.WriteString(text + " ")
			} else {
				with.WriteString(text + " ")
			}
		}
		blank = false
	}
	cut := words.NewCutter(lang, n.CaseSensitive, n.DiacriticSensitive)
	for w := range cut.Of(with.String()) {
		s.terms[w.Plain] = true
		if s.exact != nil {
			s.exact[w.Exact] = true
		}
	}
	for w := range cut.Of(without.String()) {
		s.without[w.Exact] = true
	}
	return s
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// texts calls f for the texts of a value: itself, or those in an array.
func texts(v parse.Value, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case parse.Array:
		for _, e := range v {
			if s, ok := e.(string); ok {
				f(s)
			}
		}
	}
}

func (s *search) match(v parse.Value, cut *words.Cutter) bool {
	found, exact, banned := false, s.exact == nil, false
	texts(v, func(text string) {
		if banned || found && exact && len(s.without) == 0 {
			return
		}
		for w := range cut.Of(text) {
			found = found || s.terms[w.Plain]
			exact = exact || s.exact[w.Exact]
			if s.without[w.Exact] {
				banned = true
				return
			}
			if found && exact && len(s.without) == 0 {
				return
			}
		}
	})
	if !found || !exact || banned {
		return false
	}
	for _, p := range s.phrases {
		if !s.has(v, p) {
			return false
		}
	}
	return !slices.ContainsFunc(s.withoutPhrases, func(p string) bool { return s.has(v, p) })
}

// has reports whether a text has a phrase, be it in the middle of words.
func (s *search) has(v parse.Value, phrase string) bool {
	found := false
	texts(v, func(text string) {
		found = found || strings.Contains(words.Fold(text, s.caseSensitive, s.diacriticSensitive), phrase)
	})
	return found
}

func (s *search) cutter() *words.Cutter {
	return words.NewCutter(s.lang, s.caseSensitive, s.diacriticSensitive)
}

// score is MongoDB's textScore of a field: for every word searched for, how
// often it occurs, each time for half as much, and which part of the text it is.
func (s *search) score(v parse.Value, cut *words.Cutter) float64 {
	total := 0.0
	texts(v, func(text string) {
		type tally struct {
			count int
			sum   float64
			next  float64
		}
		tallies := map[string]*tally{}
		n := 0
		for w := range cut.Of(text) {
			n++
			if !s.terms[w.Plain] {
				continue
			}
			t := tallies[w.Plain]
			if t == nil {
				t = &tally{next: 1}
				tallies[w.Plain] = t
			}
			t.count++
			t.sum += t.next
			t.next /= 2
		}
		// In order, so that the sum has the same last digits every time.
		for _, word := range sortedKeys(tallies) {
			t := tallies[word]
			score := t.sum * (0.5*float64(t.count)/float64(n) + 0.5)
			if len(text) == len(word) && strings.EqualFold(text, word) {
				score *= 1.1
			}
			total += score
		}
	})
	return total
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Score returns a function that tells how well objects match the text; it is
// for one goroutine.
func (n *Text) Score() func(o *parse.Object) float64 {
	cut := n.search.cutter()
	return func(o *parse.Object) float64 {
		v, _ := parse.Lookup(o, string(n.Path))
		return n.search.score(v, cut)
	}
}

// Terms returns the stems of which a match has at least one, sorted. They are
// made as [words.Word.Plain] is.
func (n *Text) Terms() []string { return sortedKeys(n.search.terms) }

// TextOf returns the search of a query that scores are about: the first one at
// the top level or inside $and; nil if there is none.
func TextOf(n Node) *Text {
	switch n := n.(type) {
	case *Text:
		return n
	case *And:
		for _, c := range n.Nodes {
			if t := TextOf(c); t != nil {
				return t
			}
		}
	}
	return nil
}

// text reads {"$search": {"$term": …}}.
func (p *parser) text(path Path, v parse.Value) (Node, error) {
	m, _ := v.(*parse.Map)
	sv, _ := m.Get("$search")
	search, ok := sv.(*parse.Map)
	if !ok {
		return nil, parse.Errorf(parse.InvalidJSON, "bad $text: $search, should be object")
	}
	term := search.String("$term")
	if term == "" {
		return nil, parse.Errorf(parse.InvalidJSON, "bad $text: $term, should be string")
	}
	if len(term) > p.lim.RegexLen {
		return nil, parse.Errorf(parse.InvalidQuery, "$term is longer than the maximum allowed %d bytes", p.lim.RegexLen)
	}
	language := ""
	if l, _ := search.Get("$language"); parse.Truthy(l) {
		if language, ok = l.(string); !ok {
			return nil, parse.Errorf(parse.InvalidJSON, "bad $text: $language, should be string")
		}
	}
	flags := [2]bool{}
	for i, key := range []string{"$caseSensitive", "$diacriticSensitive"} {
		if f, _ := search.Get(key); parse.Truthy(f) {
			if flags[i], ok = f.(bool); !ok {
				return nil, parse.Errorf(parse.InvalidJSON, "bad $text: %s, should be boolean", key)
			}
		}
	}
	n, err := NewText(path, term, language, flags[0], flags[1])
	if err != nil {
		return nil, err
	}
	return n, nil
}
