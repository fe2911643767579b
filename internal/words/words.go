package words

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"golang.org/x/text/unicode/norm"
)

// Word is one word of a text.
type Word struct {
	// Plain is its stem in lower case and without accents.
	Plain string
	// Exact is its stem with the case and the accents that were asked for.
	Exact string
}

// longestStem is the longest word, in bytes, that is looked at for a stem.
const longestStem = 64

// Cutter cuts texts of a language into words. It is for one goroutine.
type Cutter struct {
	lang *Language
	// CaseSensitive and DiacriticSensitive say what Exact keeps.
	caseSensitive, diacriticSensitive bool
	env                               *snowballstem.Env
	known                             map[string]string // stems
}

// mostKnown is how many stems a Cutter remembers.
const mostKnown = 4096

// NewCutter returns a cutter; Exact words keep case and accents as told.
func NewCutter(l *Language, caseSensitive, diacriticSensitive bool) *Cutter {
	return &Cutter{lang: l, caseSensitive: caseSensitive, diacriticSensitive: diacriticSensitive, env: snowballstem.NewEnv("")}
}

// Of returns the words of a text, stop words left out.
func (c *Cutter) Of(text string) iter.Seq[Word] {
	return func(yield func(Word) bool) {
		for start := 0; start < len(text); {
			n := c.word(text[start:])
			if n == 0 {
				_, n = utf8.DecodeRuneInString(text[start:])
				start += n
				continue
			}
			raw := text[start : start+n]
			start += n
			lower := toLower(raw)
			if _, stop := c.lang.stops()[lower]; stop {
				continue
			}
			w := Word{Plain: StripDiacritics(c.stem(lower))}
			w.Exact = w.Plain
			if c.caseSensitive || c.diacriticSensitive {
				exact := lower
				if c.caseSensitive {
					exact = raw
				}
				w.Exact = c.stem(exact)
				if !c.diacriticSensitive {
					w.Exact = StripDiacritics(w.Exact)
				}
			}
			if !yield(w) {
				return
			}
		}
	}
}

// word returns the length of the word at the beginning of s; 0 if there is none.
func (c *Cutter) word(s string) int {
	for i, r := range s {
		if c.delimits(r) {
			return i
		}
	}
	return len(s)
}

func (c *Cutter) delimits(r rune) bool {
	if r < utf8.RuneSelf {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return false
		case r == '\'':
			return !c.lang.apostrophes
		}
	}
	return unicode.In(r, unicode.White_Space, unicode.Pattern_Syntax, unicode.Dash, unicode.Hyphen, unicode.Quotation_Mark, unicode.Terminal_Punctuation)
}

// stem returns the stem of a word. It is remembered: texts repeat their words.
func (c *Cutter) stem(word string) string {
	if c.lang.stem == nil || len(word) > longestStem {
		return word
	}
	if s, ok := c.known[word]; ok {
		return s
	}
	c.env.SetCurrent(word)
	c.lang.stem(c.env)
	s := c.env.Current()
	if c.known == nil || len(c.known) >= mostKnown {
		c.known = make(map[string]string, 64)
	}
	c.known[strings.Clone(word)] = s
	return s
}

// toLower changes letters one by one; the text itself is returned if it has
// nothing to change.
func toLower(s string) string { return strings.ToLower(s) }

// Fold makes texts comparable without regard to case, accents, or both.
func Fold(s string, caseSensitive, diacriticSensitive bool) string {
	if !caseSensitive {
		s = toLower(s)
	}
	if !diacriticSensitive {
		s = StripDiacritics(s)
	}
	return s
}

// StripDiacritics takes the marks from letters: "é" becomes "e".
func StripDiacritics(s string) string {
	ascii := true
	for i := 0; i < len(s) && ascii; i++ {
		ascii = s[i] < utf8.RuneSelf
	}
	if ascii {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range norm.NFD.String(s) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}
