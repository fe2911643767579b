package query_test

import (
	"math"
	"testing"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func search(t testing.TB, term, language string, caseSensitive, diacriticSensitive bool) *query.Text {
	t.Helper()
	n, err := query.NewText("s", term, language, caseSensitive, diacriticSensitive)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What a search finds, as MongoDB's text index of version 3 has it.
func TestText(t *testing.T) {
	type flags struct{ caseSensitive, diacriticSensitive bool }
	for _, tc := range []struct {
		term, language string
		flags          flags
		yes, no        []string
	}{
		{term: "coffee", yes: []string{"coffee", "Coffee Shopping", "no-coffee", "coffees", "(coffee)", "COFFEE"}, no: []string{"", "coff", "tea", "coffeehouse"}},
		{term: "coffee tea", yes: []string{"coffee", "tea", "tea, coffee"}, no: []string{"milk"}},
		{term: "running", yes: []string{"run", "runs", "Running"}, no: []string{"runner up?", "rum"}},
		{term: "coffee -shop", yes: []string{"coffee", "coffee house"}, no: []string{"coffee shop", "Coffee Shops", "shop"}},
		{term: "-shop", no: []string{"coffee", "shop", ""}},
		{term: "coffee -a-shop", yes: []string{"coffee"}, no: []string{"coffee shop"}},
		{term: "pre-market", yes: []string{"pre", "market"}, no: []string{"x"}},
		{term: "- shop", yes: []string{"shop"}, no: []string{"x"}},
		{term: `"coffee shop"`, yes: []string{"a coffee shop", "Coffee Shop"}, no: []string{"coffee", "shop coffee", "coffee  shop"}},
		{term: `"coffee shop" cake`, yes: []string{"coffee shop", "cake and coffee shop"}, no: []string{"cake", "coffee cake"}},
		{term: `"coffee" "cake"`, yes: []string{"cake and coffee"}, no: []string{"coffee", "cake"}},
		{term: `"offee" coffee`, yes: []string{"Coffee"}, no: []string{"tea"}},
		{term: `coffee -"coffee shop"`, yes: []string{"coffee house shop"}, no: []string{"my coffee shop"}},
		{term: `coffee "shop`, yes: []string{"coffee", "shop"}},
		{term: "the of and", no: []string{"the", "of and"}},
		{term: "the coffee", yes: []string{"coffee"}, no: []string{"the tea"}},
		{term: "don't can't walk", yes: []string{"walking"}, no: []string{"don't"}},
		{term: "o'neill", yes: []string{"O'Neill"}, no: []string{"neill"}},
		{term: "cafés", yes: []string{"Cafe", "CAFÉS"}, no: []string{"caf"}},
		{term: "foo_bar", yes: []string{"foo_bar"}, no: []string{"foo bar"}},
		{term: "42", yes: []string{"answer: 42!"}, no: []string{"421"}},
		{term: "Привет", yes: []string{"привет, мир"}, no: []string{"мир"}},
		{term: "Coffee", flags: flags{caseSensitive: true}, yes: []string{"Coffee", "a Coffee"}, no: []string{"coffee", "COFFEE"}},
		{term: "coffee -Shop", flags: flags{caseSensitive: true}, yes: []string{"coffee shop"}, no: []string{"coffee Shop"}},
		{term: `"Coffee shop"`, flags: flags{caseSensitive: true}, yes: []string{"Coffee shop"}, no: []string{"coffee shop"}},
		{term: "café", flags: flags{diacriticSensitive: true}, yes: []string{"Café"}, no: []string{"cafe"}},
		{term: "cafe", flags: flags{diacriticSensitive: true}, yes: []string{"cafe"}, no: []string{"café"}},
		{term: `"é"  café`, flags: flags{diacriticSensitive: true}, yes: []string{"café"}, no: []string{"cafe"}},
		{term: "coffee", language: "none", yes: []string{"coffee", "Coffee"}, no: []string{"coffees"}},
		{term: "the", language: "none", yes: []string{"the"}},
		{term: "häuser", language: "de", yes: []string{"Haus", "das Hauses"}, no: []string{"Maus"}},
		{term: "und", language: "german", no: []string{"und"}},
		{term: "corriendo", language: "SPANISH", yes: []string{"correr", "corriendo"}, no: []string{"caminar"}},
	} {
		m := matcher(t, search(t, tc.term, tc.language, tc.flags.caseSensitive, tc.flags.diacriticSensitive))
		check := func(s string, want bool) {
			o := object(t)
			o.Set("s", s)
			if got := m.Match(o); got != want {
				t.Errorf("%q (%+v) against %q: %v, want %v", tc.term, tc.flags, s, got, want)
			}
		}
		for _, s := range tc.yes {
			check(s, true)
		}
		for _, s := range tc.no {
			check(s, false)
		}
	}
	o := object(t)
	o.Set("s", parse.Array{"a cake", 1.0, "Coffee"})
	if !matcher(t, search(t, "coffee", "", false, false)).Match(o) {
		t.Error("not found in an array")
	}
	o.Set("s", 5.0)
	if matcher(t, search(t, "5", "", false, false)).Match(o) {
		t.Error("found in a number")
	}
}

// The scores are those of MongoDB's textScore.
func TestTextScore(t *testing.T) {
	for _, tc := range []struct {
		term, text string
		want       float64
	}{
		{"coffee", "Coffee Shopping", 0.75},
		{"coffee", "Coffee and Coffee", 1.5},
		{"coffee shop", "Coffee Shopping", 1.5},
		{"cream", "Coffee and cream", 0.75},
		{"tea", "tea", 1.1},
		{"coffee", "coffee", 1}, // the stem is shorter than the text
		{"a b c", "b x y c", 0.625 * 2},
		{"tea", "tea tea tea one", (1 + 0.5 + 0.25) * 0.875},
		{"tea", "none", 0},
	} {
		o := object(t)
		o.Set("s", tc.text)
		if got := search(t, tc.term, "", false, false).Score()(o); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%q in %q: %v, want %v", tc.term, tc.text, got, tc.want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{`coffee -"tea shop" "x`, "don't running häuser", "-a - b\"\" \x01 é ﬀ İ", "ßß ﬁn ǆ"} {
		f.Add(s, s, "en", true, false)
		f.Add(s, s, "tr", false, true)
	}
	f.Fuzz(func(t *testing.T, term, text, language string, caseSensitive, diacriticSensitive bool) {
		n, err := query.NewText("s", term, language, caseSensitive, diacriticSensitive)
		if err != nil {
			return
		}
		o := object(t)
		o.Set("s", text)
		score := n.Score()(o)
		if matcher(t, n).Match(o) && score <= 0 {
			t.Fatalf("%q matches %q with score %v", term, text, score)
		}
	})
}
