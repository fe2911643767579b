package query

import (
	"cmp"
	"errors"
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"

	"github.com/pargo-baas/pargo/parse"
)

const (
	// DefaultRegexTime is how long a regular expression may take for one text.
	DefaultRegexTime = 100 * time.Millisecond
	// slowMatch is from when on a match counts against the time of a query:
	// what most patterns take for most texts is a thousandth of it.
	slowMatch = time.Millisecond
	// slowTime is how long the slow matches of one query may take together.
	slowTime = time.Second
	// longestFold bounds a text without regard to case, which is compared anew
	// at every place.
	longestFold = 64
	// regexStack bounds the memory of one match, in words.
	regexStack = 100_000
	// Without going back a match takes a step for each instruction of the pattern
	// and letter of the text at worst, some 15 ns. quickSteps are not worth a look
	// at the clock, boundSteps take less than DefaultRegexTime.
	quickSteps = 50_000
	boundSteps = 5_000_000
	// heavyPattern is from how many instructions on a pattern is one that may
	// take long, though it does not go back.
	heavyPattern = 500
)

// SlowRegex is the text of error 102 for a pattern that takes too long.
const SlowRegex = "Regular expression takes too long for the stored values"

// pattern is a compiled regular expression. Literal prefixes, substrings and
// whole texts, what SDKs send for startsWith and contains, need no automaton;
// what Go's regexp can do takes time in the length of the text alone.
type pattern struct {
	kind patternKind
	text string
	fold []rune // the text without regard to case, in place of text
	re   *regexp.Regexp
	perl *regexp2.Regexp
	// size is the number of instructions of re, limit the time for one text; 0: none.
	size  int
	limit time.Duration
	// nested: something is repeated in what is repeated.
	nested bool
	// key is that of a pattern that is shared; bytes is about what re or perl take.
	key   patternKey
	bytes int
}

type patternKind uint8

const (
	general patternKind = iota
	prefix
	suffix
	substring
	whole
	backtracking
)

// match reports whether s has a match. s may be nil: then what takes too long
// is no match.
func (p *pattern) match(text string, s *Scan) bool {
	if p.fold != nil {
		return p.matchFold(text)
	}
	switch p.kind {
	case prefix:
		return strings.HasPrefix(text, p.text)
	case suffix:
		return strings.HasSuffix(strings.TrimSuffix(text, "\n"), p.text) || strings.HasSuffix(text, p.text)
	case substring:
		return strings.Contains(text, p.text)
	case whole:
		return strings.HasPrefix(text, p.text) && (len(text) == len(p.text) || text[len(p.text):] == "\n")
	case backtracking:
		return p.backtrack(text, s)
	case general:
	}
	return p.straight(text, s)
}

// matchFold takes a tenth of the time that regexp needs.
func (p *pattern) matchFold(text string) bool {
	if p.kind != substring {
		rest, ok := cutFold(text, p.fold)
		return ok && (p.kind == prefix || rest == "" || rest == "\n")
	}
	for i := range text {
		if _, ok := cutFold(text[i:], p.fold); ok {
			return true
		}
	}
	return false
}

// cutFold returns what follows a text at the beginning of s.
func cutFold(s string, text []rune) (rest string, ok bool) {
	for _, want := range text {
		if s == "" {
			return "", false
		}
		r, n := rune(s[0]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s)
		}
		if r != want && foldRune(r) != want {
			return "", false
		}
		s = s[n:]
	}
	return s, true
}

// foldRune returns the same for letters that differ in case alone.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if least < utf8.RuneSelf {
		return foldRune(least)
	}
	return least
}

// straight matches in time of the length of the text times that of the pattern,
// which may be much, too.
func (p *pattern) straight(text string, s *Scan) bool {
	steps := p.size * len(text)
	if steps <= quickSteps {
		return p.re.MatchString(text)
	}
	if s != nil && s.err != nil {
		return false
	}
	start := time.Now()
	if steps <= boundSteps || p.limit == 0 {
		return s.count(p.re.MatchString(text), time.Since(start), nil)
	}
	r := timedReader{text: text, until: start.Add(p.limit), every: max(quickSteps/p.size, 1)}
	ok := p.re.MatchReader(&r)
	return s.count(ok, time.Since(start), r.err)
}

// timedReader ends a text when its time is over.
type timedReader struct {
	text         string
	until        time.Time
	every, since int // letters between looks at the clock, and since the last
	err          error
}

var errSlow = errors.New("match timeout")

// ReadRune implements io.RuneReader.
func (r *timedReader) ReadRune() (rune, int, error) {
	if r.since++; r.since > r.every {
		r.since = 0
		if time.Now().After(r.until) {
			r.err = errSlow
		}
	}
	if r.text == "" || r.err != nil {
		return 0, 0, io.EOF
	}
	c, n := utf8.DecodeRuneInString(r.text)
	r.text = r.text[n:]
	return c, n, nil
}

func (p *pattern) backtrack(text string, s *Scan) bool {
	if s != nil && s.err != nil {
		return false
	}
	start := time.Now()
	ok, err := p.perl.MatchString(text)
	return s.count(ok, time.Since(start), err)
}

// count charges a match to the time of a query, and reports whether it holds;
// s may be nil.
func (s *Scan) count(ok bool, took time.Duration, err error) bool {
	if s == nil {
		return ok && err == nil
	}
	s.spent += took
	if took > slowMatch {
		s.slow += took
	}
	if err != nil || s.slow > s.most {
		s.err = &parse.Error{
			Code: parse.InvalidQuery, Err: err,
			Message: SlowRegex,
		}
		return false
	}
	return ok
}

// setClock makes time limits as fine as they are short. It must happen before
// the first match with a limit.
var setClock = sync.OnceFunc(func() { regexp2.SetTimeoutCheckPeriod(5 * time.Millisecond) })

// newPattern returns the PCRE pattern of a query; limit is the time for one
// text, none if it is negative. The error is a *parse.Error 102. Equal patterns
// are compiled once, as long as one is in use.
func newPattern(text, options string, limit time.Duration) (*pattern, error) {
	key := patternKey{text, options, max(cmp.Or(limit, DefaultRegexTime), 0)}
	if p := compiled.find(key); p != nil {
		return p, nil
	}
	p, err := compilePattern(text, options, key.limit)
	if err != nil || p.kind != general && p.kind != backtracking { // text, which takes next to nothing
		return p, err
	}
	return compiled.share(key, p), nil
}

// compilePattern compiles a pattern; limit is the time for one text, 0: none.
func compilePattern(text, options string, limit time.Duration) (*pattern, error) {
	p, err := translatePCRE(text, options)
	if err != nil {
		return nil, regexError(err)
	}
	if p.simple {
		tree, err := syntax.Parse(p.linear, syntax.Perl)
		if err == nil {
			if q := literalPattern(tree.Simplify()); q != nil {
				return q, nil
			}
			if q := straightPattern(p.linear, tree); q != nil {
				q.limit = limit
				return q, nil
			}
		}
		// It has more repetitions than regexp takes.
	}
	setClock()
	re, err := regexp2.Compile(p.full, regexp2.RE2, regexp2.OptionMaintainCaptureOrder(), regexp2.OptionMaxBacktrackingStackSize(regexStack), regexp2.OptionMaxCachedReplacerDataEntries(0))
	if err != nil {
		return nil, regexError(err)
	}
	if limit > 0 {
		re.MatchTimeout = limit
	}
	return &pattern{kind: backtracking, perl: re, bytes: perlBytes(p.full)}, nil
}

// straightPattern compiles what does not go back; nil if regexp does not take it.
func straightPattern(text string, tree *syntax.Regexp) *pattern {
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil
	}
	return &pattern{re: re, size: len(prog.Inst), nested: nested(tree, false), bytes: progBytes(prog)}
}

// nested reports whether a repetition has a repetition or a choice in it, for
// which an engine that goes back may try each way to divide a text.
func nested(t *syntax.Regexp, inside bool) bool {
	repeats := t.Op == syntax.OpStar || t.Op == syntax.OpPlus || t.Op == syntax.OpRepeat && t.Max != 1
	if inside && (repeats || t.Op == syntax.OpQuest || t.Op == syntax.OpAlternate) {
		return true
	}
	for _, sub := range t.Sub {
		if nested(sub, inside || repeats) {
			return true
		}
	}
	return false
}

// literalPattern recognises text with or without anchors; nil if there is more.
func literalPattern(t *syntax.Regexp) *pattern {
	list := []*syntax.Regexp{t}
	if t.Op == syntax.OpConcat {
		list = t.Sub
	}
	begins := len(list) > 1 && list[0].Op == syntax.OpBeginText
	if begins {
		list = list[1:]
	}
	n := len(list)
	ends := n == 3 && list[1].Op == syntax.OpQuest && isLiteral(list[1].Sub[0]) && string(list[1].Sub[0].Rune) == "\n" &&
		list[2].Op == syntax.OpEndText
	if !ends && n != 1 || list[0].Op != syntax.OpLiteral {
		return nil
	}
	p := &pattern{kind: substring, text: string(list[0].Rune)}
	if list[0].Flags&syntax.FoldCase != 0 {
		if len(list[0].Rune) > longestFold || ends && !begins {
			return nil
		}
		p.text, p.fold = "", make([]rune, len(list[0].Rune))
		for i, r := range list[0].Rune {
			p.fold[i] = foldRune(r)
		}
	}
	switch {
	case begins && ends:
		p.kind = whole
	case begins:
		p.kind = prefix
	case ends:
		p.kind = suffix
	}
	return p
}

func isLiteral(t *syntax.Regexp) bool {
	return t.Op == syntax.OpLiteral && t.Flags&syntax.FoldCase == 0
}

func regexError(err error) error {
	reason := "the pattern is not understood"
	var e patternError
	if errors.As(err, &e) {
		reason = string(e)
	}
	return &parse.Error{Code: parse.InvalidQuery, Message: "Invalid regular expression: " + reason, Err: err}
}

// NewRegex returns a constraint on the texts at a path, compiled once for all
// matchers; limit is the time for one text: 0 for the default, none if it is
// negative. The error is a *parse.Error 102.
func NewRegex(path Path, text, options string, limit time.Duration) (*Regex, error) {
	p, err := newPattern(text, options, limit)
	if err != nil {
		return nil, err
	}
	if p.key.text != "" { // shared: the text, too
		text, options = p.key.text, p.key.options
	}
	return &Regex{Path: path, Pattern: text, Options: options, compiled: p}, nil
}

// pattern returns the compiled form.
func (n *Regex) pattern() (*pattern, error) {
	if n.compiled != nil {
		return n.compiled, nil
	}
	return newPattern(n.Pattern, n.Options, 0)
}

// LiteralKind says what a pattern without anything but text asks for.
type LiteralKind uint8

// What [Regex.Literal] tells of a pattern.
const (
	NoLiteral LiteralKind = iota
	Prefix                // the text begins a match
	Contained             // the text is anywhere in a match
	Whole                 // the match is the text, or the text and a newline
)

// Literal recognises patterns that are text, for databases with faster ways
// than a pattern.
func (n *Regex) Literal() (LiteralKind, string) {
	p, err := n.pattern()
	if err != nil || p.fold != nil {
		return NoLiteral, ""
	}
	switch p.kind {
	case prefix:
		return Prefix, p.text
	case substring:
		return Contained, p.text
	case whole:
		return Whole, p.text
	case general, suffix, backtracking:
	}
	return NoLiteral, ""
}

// Costly reports whether a condition has a pattern that may take time out of
// proportion to the texts: one that goes back, or is large.
func Costly(n Node) bool {
	return anyPattern(n, func(p *pattern) bool { return p.kind == backtracking || p.size > heavyPattern })
}

// CostlyPCRE is [Costly] for a database that goes back for all patterns: those
// that repeat what repeats cost, too.
func CostlyPCRE(n Node) bool {
	return anyPattern(n, func(p *pattern) bool { return p.kind == backtracking || p.size > heavyPattern || p.nested })
}

// HasPattern reports whether a condition has a pattern that is more than text.
func HasPattern(n Node) bool {
	return anyPattern(n, func(p *pattern) bool { return p.kind == backtracking || p.kind == general })
}

// anyPattern reports whether f holds for a pattern of the condition.
func anyPattern(n Node, f func(*pattern) bool) bool {
	found := false
	Walk(n, func(n Node) bool {
		if re, ok := n.(*Regex); ok && re.compiled != nil && f(re.compiled) {
			found = true
		}
		return !found
	})
	return found
}
