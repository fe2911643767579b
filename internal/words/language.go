package words

import (
	_ "embed" // for the lists of stop words
	"strings"
	"sync"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/danish"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/finnish"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/hungarian"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/norwegian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/romanian"
	"github.com/blevesearch/snowballstem/russian"
	"github.com/blevesearch/snowballstem/spanish"
	"github.com/blevesearch/snowballstem/swedish"
	"github.com/blevesearch/snowballstem/turkish"
)

// Language is a language whose words are known. Languages are compared by address.
type Language struct {
	name string
	stem func(*snowballstem.Env) bool // nil: words stay as they are
	// apostrophes belong to words.
	apostrophes bool
	stops       func() map[string]struct{}
}

// Name returns the English name of the language, "none" for words as they are.
func (l *Language) Name() string { return l.name }

// stopLists has a line for each language: its name and its most frequent
// words. The English ones are those of MongoDB, the others those of Snowball
// (BSD licence).
//
//go:embed stopwords.txt
var stopLists string

func stopWords(name string) func() map[string]struct{} {
	return sync.OnceValue(func() map[string]struct{} {
		set := map[string]struct{}{}
		for line := range strings.Lines(stopLists) {
			if fields := strings.Fields(line); fields[0] == name {
				for _, w := range fields[1:] {
					set[w] = struct{}{}
				}
			}
		}
		return set
	})
}

func language(name string, stem func(*snowballstem.Env) bool) *Language {
	return &Language{name: name, stem: stem, stops: stopWords(name)}
}

// English is the language of text that states no other.
var English = &Language{name: "english", stem: english.Stem, apostrophes: true, stops: stopWords("english")}

// languages are the languages of MongoDB, by name and code.
var languages = func() map[string]*Language {
	m := map[string]*Language{
		"none": {name: "none", stops: func() map[string]struct{} { return nil }}, "english": English, "en": English,
	}
	for code, l := range map[string]*Language{
		"da": language("danish", danish.Stem), "nl": language("dutch", dutch.Stem), "fi": language("finnish", finnish.Stem),
		"fr": language("french", french.Stem), "de": language("german", german.Stem), "hu": language("hungarian", hungarian.Stem),
		"it": language("italian", italian.Stem), "nb": language("norwegian", norwegian.Stem), "pt": language("portuguese", portuguese.Stem),
		"ro": language("romanian", romanian.Stem), "ru": language("russian", russian.Stem), "es": language("spanish", spanish.Stem),
		"sv": language("swedish", swedish.Stem), "tr": language("turkish", turkish.Stem),
	} {
		m[code], m[l.name] = l, l
	}
	return m
}()

// Lookup finds a language by its English name or its code of two letters, in
// any case; nil if it is not known.
func Lookup(name string) *Language { return languages[strings.ToLower(name)] }
