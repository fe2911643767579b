package words_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/internal/words"
)

func TestCutter(t *testing.T) {
	for _, tc := range []struct {
		language                          string
		caseSensitive, diacriticSensitive bool
		text                              string
		want                              string // plain/exact, or one if they are equal
	}{
		{language: "english", text: "The Blueberries, it's (running)! don't", want: "blueberri run"},
		{language: "en", text: "foo-bar foo_bar a.b “x”", want: "foo bar foo_bar b x"},
		{language: "English", text: "Café CAFÉ", want: "cafe cafe"},
		{language: "english", caseSensitive: true, text: "Café Running", want: "cafe/Cafe run/Run"},
		{language: "english", diacriticSensitive: true, text: "Café", want: "cafe/café"},
		{language: "english", caseSensitive: true, diacriticSensitive: true, text: "Café", want: "cafe/Café"},
		{language: "none", text: "The Running 😀 don't", want: "the running 😀 don t"},
		{language: "de", text: "Die Häuser und Gärten", want: "haus gart"},
		{language: "fr", text: "l'avion", want: "avion"},
		{language: "english", text: strings.Repeat("s", 100) + " \x00", want: strings.Repeat("s", 100) + " \x00"},
	} {
		var got []string
		cut := words.NewCutter(words.Lookup(tc.language), tc.caseSensitive, tc.diacriticSensitive)
		for range 2 { // the second time from memory
			got = nil
			for w := range cut.Of(tc.text) {
				if w.Plain == w.Exact {
					got = append(got, w.Plain)
				} else {
					got = append(got, w.Plain+"/"+w.Exact)
				}
			}
		}
		if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tc.language, tc.text, diff)
		}
	}
	if words.Lookup("klingon") != nil {
		t.Error("an unknown language is known")
	}
}

// Every language stems whatever letters it gets.
func FuzzCutter(f *testing.F) {
	for _, l := range strings.Fields("da nl en fi fr de hu it nb pt ro ru es sv tr none") {
		f.Add(l, "Häuser l'avion привет 'tis “x” running corriendo hızlı")
	}
	f.Fuzz(func(t *testing.T, language, text string) {
		l := words.Lookup(language)
		if l == nil {
			return
		}
		for w := range words.NewCutter(l, false, false).Of(text) {
			if w.Plain != w.Exact {
				t.Fatalf("%q: %q is not %q", text, w.Plain, w.Exact)
			}
		}
	})
}

func BenchmarkCutter(b *testing.B) {
	const text = "MongoDB is a source-available cross-platform document database that runs searches in the words of its texts."
	cut := words.NewCutter(words.English, false, false)
	b.ReportAllocs()
	for b.Loop() {
		for range cut.Of(text) {
			continue
		}
	}
}
