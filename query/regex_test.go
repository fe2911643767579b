package query_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// What patterns mean, as PCRE2 has it.
func TestRegex(t *testing.T) {
	for _, tc := range []struct {
		pattern, options string
		yes, no          []string
	}{
		// Text, with and without anchors.
		{`abc`, "", []string{"abc", "xabcx"}, []string{"", "ab", "ABC"}},
		{`^abc`, "", []string{"abc", "abcd"}, []string{"xabc", "x\nabc"}},
		{`abc$`, "", []string{"abc", "xabc", "abc\n"}, []string{"abcx", "abc\n\n", "abc\nx"}},
		{`^abc$`, "", []string{"abc", "abc\n"}, []string{"abcd", "xabc", "abc\n\n", "abc\r"}},
		{`^abc\z`, "", []string{"abc"}, []string{"abc\n"}},
		{`^abc\Z`, "", []string{"abc", "abc\n"}, []string{"abc\n\n"}},
		{`\Aabc`, "m", []string{"abc"}, []string{"x\nabc"}},
		{`^abc$`, "m", []string{"abc", "x\nabc\ny", "abc\n\n"}, []string{"xabc"}},
		{`$`, "", []string{"", "a"}, nil},
		{`a$\n`, "", []string{"a\n"}, []string{"a", "a\n\n"}},
		{`(a$|b)c?`, "", []string{"a", "a\n", "bc", "b"}, []string{"ac"}},
		{`(?:a$)|^b`, "", []string{"a", "a\n", "bx"}, []string{"ax"}},
		{``, "", []string{"", "a"}, nil},
		// Quotations, as SDKs write them.
		{`^\Qa.b*\E`, "", []string{"a.b*c"}, []string{"axb*", "xa.b*"}},
		{`\Qa\E\\E\Qb\E`, "", []string{`a\Eb`}, []string{"ab"}},
		{`\Q(`, "", []string{"x(y"}, []string{""}},
		{`a\Eb`, "", []string{"ab"}, nil},
		{`\Q\E`, "", []string{"", "x"}, nil},
		{`[\Q]^\E-]`, "", []string{"]", "^", "-"}, []string{"\\", "Q"}},
		{`^\QÄ\E$`, "i", []string{"ä", "Ä"}, []string{"a"}},
		// Options and flags.
		{`ABC`, "i", []string{"abc", "aBc"}, []string{"ab"}},
		{`a.b`, "", []string{"axb"}, []string{"a\nb"}},
		{`a.b`, "s", []string{"a\nb"}, nil},
		{`(?i)abc`, "", []string{"ABC"}, nil},
		{`a(?i)b`, "", []string{"aB"}, []string{"AB"}},
		{`(?i:a)b`, "", []string{"Ab"}, []string{"AB"}},
		{`(a(?i)b)c`, "", []string{"aBc"}, []string{"aBC"}},
		{`(?-i)a`, "i", []string{"a"}, []string{"A"}},
		{`(?s-i:a.)b`, "i", []string{"a\nB"}, []string{"A\nb"}},
		{"a b # c\n c", "x", []string{"abc"}, []string{"a b"}},
		{`(?x) a b [ ] c`, "", []string{"ab c"}, []string{"abc"}},
		{`(?x: a b ) c`, "", []string{"ab c"}, []string{"abc"}},
		{`a\ b\#`, "x", []string{"a b#"}, nil},
		{`a(?#comment)+b`, "", []string{"aab"}, []string{"b"}},
		{`ß`, "iu", []string{"ß", "ẞ"}, []string{"ss"}},
		// Look-around, back-references, atomic and possessive groups.
		{`^(?=.*\d)(?=.*[a-z]).{4,}$`, "", []string{"abc1"}, []string{"abcd", "1234", "a1"}},
		{`foo(?!bar)`, "", []string{"foobaz", "foo"}, []string{"foobar"}},
		{`(?<=\$)\d+`, "", []string{"$12"}, []string{"12"}},
		{`(?<!\$)\b\d+`, "", []string{"12"}, []string{"$1"}},
		{`(a)\1`, "", []string{"aa"}, []string{"ab"}},
		{`(a|b)\1`, "i", []string{"aA", "bB"}, []string{"ab"}},
		{`(?<x>a|b)-\k<x>`, "", []string{"a-a"}, []string{"a-b"}},
		{`(?P<x>a|b)-(?P=x)`, "", []string{"b-b"}, []string{"a-b"}},
		{`(?'x'a|b)-\k{x}\g{x}`, "", []string{"b-bb"}, []string{"a-b"}},
		{`(?<n>a)(b)\2\1`, "", []string{"abba"}, []string{"abab"}},
		{`(a)(b)\g{-1}\g1`, "", []string{"abba"}, []string{"abab"}},
		{`(.)\g{1}`, "", []string{"zz"}, []string{"zy"}},
		{`(a)\1 2`, "x", []string{"aa2"}, []string{"aa"}},
		{`(?>a+)ab`, "", nil, []string{"aaab"}},
		{`a++b`, "", []string{"aab"}, nil},
		{`a++ab`, "", nil, []string{"aaab"}},
		{`a{2}+a`, "", []string{"aaa"}, []string{"aa"}},
		{`x?+x`, "", []string{"xx"}, []string{"x"}},
		{`(a)?(?(1)b|c)$`, "", []string{"ab", "c"}, []string{"ad"}},
		{`(?<q>")?\w+(?(<q>)"|!)$`, "", []string{`"a"`, "a!"}, []string{"a"}},
		{`foo\Kbar`, "", []string{"foobar"}, []string{"bar"}},
		// Escapes.
		{`\x41\x{e4}\101\o{101}\cA`, "", []string{"AäAA\x01"}, nil},
		{`\a\e\f\n\r\t`, "", []string{"\a\x1b\f\n\r\t"}, nil},
		{`\.\/\-\_\@\ä`, "", []string{"./-_@ä"}, nil},
		{`^\s$`, "", []string{" ", "\v", "\t"}, []string{"\u00a0", "x"}},
		{`^\S$`, "", []string{"x", "\u00a0"}, []string{"\v"}},
		{`^[\S]$`, "", []string{"x"}, []string{"\v", " "}},
		{`^[^\S\n]$`, "", []string{"\v", " "}, []string{"x"}},
		{`^\h\H\v\V$`, "", []string{"\u00a0x\u2028y"}, []string{"xxxx"}},
		{`^\R$`, "", []string{"\r\n", "\n", "\u2029"}, []string{"\n\n\n"}},
		{`^\N$`, "s", []string{"x"}, []string{"\n\n"}},
		{`^\w$`, "", []string{"a", "_", "9"}, []string{"ä", "-"}},
		{`^\d$`, "", []string{"1"}, []string{"١"}},
		{`^\D\W$`, "", []string{"ää"}, []string{"1a"}},
		{`\bä`, "", []string{"aä"}, []string{"ä", " ä"}},
		{`(?=a)?\bä`, "", []string{"aä"}, []string{"ä"}},
		{`(?=.)\Bä`, "", []string{"ä"}, []string{"aä"}},
		{`^\p{Lu}\p{Greek}\P{L}\pN\p{^L}\p{L&}$`, "", []string{"Äα1२.x"}, []string{"äα1२.x"}},
		{`^[^\P{Lu}]$`, "", []string{"A"}, []string{"a"}},
		// Classes.
		{`^[]a]$`, "", []string{"]", "a"}, []string{"b"}},
		{`^[^]a]$`, "", []string{"b"}, []string{"]"}},
		{`^[a-c-e]$`, "", []string{"b", "-", "e"}, []string{"d"}},
		{`^[\w-z]$`, "", []string{"-", "q"}, []string{"+"}},
		{`^[a-z-[aeiou]]$`, "", []string{"-]", "a]"}, []string{"b", "-"}},
		{`^[[:alpha:][:^print:]_]$`, "", []string{"a", "\n", "_"}, []string{"1"}},
		{`^[[:word:]]$`, "", []string{"_"}, []string{"ä"}},
		{`^[a&&b]$`, "", []string{"&"}, []string{"c"}},
		{`^[\b\x41-\x43\101]$`, "", []string{"\b", "B"}, []string{"b"}},
		{`^[a\]\\]$`, "", []string{"]", `\`}, []string{"b"}},
		{`[^a]`, "i", []string{"b"}, []string{"A"}},
		// Repetitions.
		{`^a{2,3}$`, "", []string{"aa", "aaa"}, []string{"a", "aaaa"}},
		{`^a{,2}$`, "", []string{"a{,2}"}, nil},
		{`a{x}`, "", []string{"a{x}"}, nil},
		{`^(?:ab){1001}$`, "", []string{strings.Repeat("ab", 1001)}, []string{strings.Repeat("ab", 1000)}},
		{`^a+?b*?$`, "", []string{"aab"}, []string{"b"}},
		{`(*UTF8)ä`, "", []string{"ä"}, nil},
		{`straße`, "i", []string{"STRAßE", "Straẞe!"}, []string{"strasse"}},
		{`^sk$`, "i", []string{"ſK", "SK\n"}, []string{"skx", "s"}},
		{`^sk`, "i", []string{"ſKx"}, []string{"xsk", ""}},
		{`sk$`, "i", []string{"xſK"}, []string{"skx"}},
		{`éa`, "i", []string{"xÉA"}, []string{"é"}},
		{`a(?i)b`, "", []string{"xaB"}, []string{"AB"}},
		{strings.Repeat("ab", 40), "i", []string{strings.Repeat("AB", 40)}, []string{strings.Repeat("AB", 39)}},
		{`(K)`, "i", []string{"k", "K"}, nil},
		{`(?=k)(K)`, "i", []string{"k", "K"}, nil},
	} {
		n, err := query.NewRegex("s", tc.pattern, tc.options, 0)
		if err != nil {
			t.Errorf("%q: %v", tc.pattern, err)
			continue
		}
		m := matcher(t, n)
		check := func(s string, want bool) {
			o := object(t)
			o.Set("s", s)
			if got := m.Match(o); got != want {
				t.Errorf("%q (%s) against %q: %v, want %v", tc.pattern, tc.options, s, got, want)
			}
		}
		for _, s := range tc.yes {
			check(s, true)
		}
		for _, s := range tc.no {
			check(s, false)
		}
	}
}

func TestRegexErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		`(`: "missing closing )", `)`: "unmatched )", `[`: "missing terminating ] for character class",
		`a**`: "quantifier does not follow a repeatable item", `*`: "quantifier does not follow a repeatable item",
		`(*`: "verbs are not supported", `(?R)`: "recursion is not supported", `(a)(?1)`: "recursion is not supported",
		`\1`: "reference to non-existent subpattern", `\k<a>`: "reference to non-existent subpattern",
		`[z-a]`: "range out of order in character class", `a{3,2}`: "numbers out of order in {} quantifier",
		`a{70000}`: "number too big in {} quantifier", `\`: `\ at end of pattern`, `\y`: `unrecognized character follows \`,
		`(?y)`: "unrecognized character after (? or (?-", `\p{Nope}`: `unknown property name after \P or \p`,
		`[[:nope:]]`: "unknown POSIX class name", `(?<a>x)(?<a>y)`: "two named groups have the same name",
		`(?<1>x)`: "invalid name of a group", `\x{110000}`: "character code is not valid", `(?|a)`: "unrecognized character after (? or (?-",
		strings.Repeat("(", 300): "parentheses are nested too deeply", `[\R]`: "escape sequence is invalid in character class",
	} {
		_, err := query.NewRegex("s", pattern, "", 0)
		if parse.CodeOf(err) != parse.InvalidQuery || err.Error() != "102 Invalid regular expression: "+want && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", pattern, err, want)
		}
	}
}

func TestRegexLiteral(t *testing.T) {
	for pattern, want := range map[string]query.LiteralKind{
		`^\Qa.b\E`: query.Prefix, `^ab`: query.Prefix, `\Qab\E`: query.Contained, `^ab$`: query.Whole, `^\Qab\E$`: query.Whole,
		`ab$`: query.NoLiteral, `^a.`: query.NoLiteral, `(?i)ab`: query.NoLiteral, `(?=a)b`: query.NoLiteral, `^`: query.NoLiteral,
	} {
		n, err := query.NewRegex("s", pattern, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, text := n.Literal(); got != want || got != query.NoLiteral && text != "ab" && text != "a.b" {
			t.Errorf("%q: %d %q, want %d", pattern, got, text, want)
		}
	}
}

// A pattern that would go back for ever ends the query, and nothing else.
func TestRegexBudget(t *testing.T) {
	n, err := query.NewRegex("s", `^(?=a)(a|aa)+$`, "", time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	evil, good := object(t), object(t)
	evil.Set("s", strings.Repeat("a", 4000)+"b")
	good.Set("s", "aa")
	m := matcher(t, n)
	if m.Match(evil) {
		t.Error("what takes too long matches")
	}
	if negated := matcher(t, &query.Nor{Nodes: []query.Node{n}}); negated.Scan().Match(evil) {
		t.Error("the negation of what takes too long matches in a scan")
	}
	scan := m.Scan()
	if !scan.Match(good) || scan.Err() != nil {
		t.Errorf("a quick match: %v", scan.Err())
	}
	if scan.Match(evil) || parse.CodeOf(scan.Err()) != parse.InvalidQuery {
		t.Errorf("error is %v", scan.Err())
	}
	if scan.Match(good) {
		t.Error("a scan goes on after its end")
	}
}

// Whatever a pattern is, it compiles or is refused, and a match ends.
func FuzzRegex(f *testing.F) {
	for _, s := range []string{
		`^\Qa.b\E`, `(?x) a # c`, `(?<n>a)\k<n>(?(1)b|c)`, `[[:alpha:]\d-z]`, `a{2,3}+$`, `(?<=a)(?!b)\b`, `\x{e4}\o{101}\cA\R\h`,
		`(a|aa)+(?=c)$`, `\p{Lu}[^\P{L}]`, `((a{9}){9}){9}`, `(?i-m:^a$)(?#c)`, `\g{-1}`, `(?P<a>b)(?P=a)`,
	} {
		f.Add(s, "imxsu", "aab")
	}
	f.Fuzz(func(t *testing.T, pattern, options, text string) {
		if len(pattern) > 4096 || strings.Trim(options, "imxsu") != "" {
			return
		}
		n, err := query.NewRegex("s", pattern, options, 20*time.Millisecond)
		if err != nil {
			if parse.CodeOf(err) != parse.InvalidQuery {
				t.Fatalf("%q: %v", pattern, err)
			}
			return
		}
		o := object(t)
		o.Set("s", text)
		scan := matcher(t, n).Scan()
		ok := scan.Match(o)
		if kind, lit := n.Literal(); scan.Err() == nil && kind != query.NoLiteral {
			want := map[query.LiteralKind]bool{
				query.Prefix: strings.HasPrefix(text, lit), query.Contained: strings.Contains(text, lit), query.Whole: text == lit || text == lit+"\n",
			}[kind]
			if ok != want {
				t.Fatalf("%q against %q: %v, but its text is %q", pattern, text, ok, lit)
			}
		}
	})
}

// A pattern that does not go back takes time, too, if it and the text are large.
func TestLargeRegexBudget(t *testing.T) {
	const heavy = `(x?){1000}y`
	n, err := query.NewRegex("s", heavy, "", time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if !query.Costly(n) {
		t.Error("a pattern of 1,000 parts is not costly")
	}
	long, small := object(t), object(t)
	long.Set("s", strings.Repeat("x", 1<<20))
	small.Set("s", "xxy")
	m := matcher(t, n)
	if scan := m.Scan(); scan.Match(long) || parse.CodeOf(scan.Err()) != parse.InvalidQuery || scan.Spent() == 0 {
		t.Errorf("error is %v", scan.Err())
	}
	if scan := m.Scan(); !scan.Match(small) || scan.Err() != nil {
		t.Errorf("a quick match: %v", scan.Err())
	}
	// Within the bound of one text, many are beyond that of all.
	n, err = query.NewRegex("s", heavy, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	long.Set("s", strings.Repeat("x", 2000))
	scan := matcher(t, n).Scan().Within(0)
	if scan.Match(long) || parse.CodeOf(scan.Err()) != parse.InvalidQuery {
		t.Errorf("error of the sum is %v", scan.Err())
	}
	scan.Reset()
	if scan.Match(small); scan.Err() != nil || scan.Spent() != 0 {
		t.Errorf("after a reset: %v", scan.Err())
	}
	// Read with an eye on the clock, a text is the same text.
	n, err = query.NewRegex("s", `^(x?){900}\bé(?m:^|$)`, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		strings.Repeat("-", 1<<13) + "é": false, "xé" + strings.Repeat("-", 1<<13): false, "xé\n" + strings.Repeat("-", 1<<13): true,
	} {
		long.Set("s", text)
		if got := matcher(t, n).Match(long); got != want {
			t.Errorf("%.5s…: %v, want %v", text, got, want)
		}
	}
}

// Which patterns may cost, by the engine.
func TestCostly(t *testing.T) {
	for pattern, want := range map[string][3]bool{ // has a pattern, here, PCRE
		`^abc`: {}, `(?i)abc`: {}, `abc$`: {},
		`a.*b`: {true}, `^(a|b)c?$`: {true}, `a{3}b{2,}`: {true}, `(ab){1}c*`: {true},
		`(a+)+$`: {true, false, true}, `(a|aa)+$`: {true, false, true}, `(x?){9}`: {true, false, true}, `^\w+(-\w+)*$`: {true, false, true},
		`(x?){999}`: {true, true, true}, `(?=a)b`: {true, true, true}, `(a)\1`: {true, true, true},
	} {
		n, err := query.NewRegex("s", pattern, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		where := &query.Nor{Nodes: []query.Node{query.Equal("a", "b"), n}}
		if got := [3]bool{query.HasPattern(where), query.Costly(where), query.CostlyPCRE(where)}; got != want {
			t.Errorf("%s: %v, want %v", pattern, got, want)
		}
	}
	if where := query.Equal("a", "(a+)+"); query.HasPattern(where) || query.Costly(where) || query.CostlyPCRE(where) {
		t.Error("a text counts as a pattern")
	}
}
