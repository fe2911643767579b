package query

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pattern of a client is in the syntax of PCRE. translatePCRE reads it and
// writes it anew in the syntaxes of Go's regexp and of regexp2, where what PCRE
// means by it is spelled out: quotations, comments, escapes, classes and "$"
// look the same to both engines afterwards.

// perl is a pattern as the two engines read it.
type perl struct {
	linear string // for Go's regexp
	full   string // for regexp2
	// simple: linear says it all. Without it the pattern has what only
	// regexp2 can do.
	simple bool
}

const (
	mostGroups = 250    // nesting of groups, as in PCRE
	mostRepeat = 65_535 // of a {n,m}, as in PCRE
)

// Classes of PCRE that the engines lack or know otherwise, as members of a class.
const (
	blankMembers    = "\t\n\v\f\r "
	horizontalSpace = "\t \u00A0\u1680\u180E\u2000-\u200A\u202F\u205F\u3000"
	verticalSpace   = "\n\v\f\r\u0085\u2028\u2029"
	wordMembers     = "A-Za-z0-9_"
)

// posixMembers are the classes that stand in brackets twice.
var posixMembers = map[string]string{
	"alpha": `A-Za-z`, "digit": `0-9`, "alnum": `A-Za-z0-9`, "upper": `A-Z`, "lower": `a-z`, "space": blankMembers,
	"blank": " \t", "cntrl": "\x00-\x1F\x7F", "graph": `!-~`, "print": ` -~`, "punct": "!-/:-@\\[-`{-~",
	"word": wordMembers, "xdigit": `0-9A-Fa-f`, "ascii": "\x00-\x7F",
}

type tokenKind uint8

const (
	tokAtom  tokenKind = iota // matches something, or nothing
	tokQuant                  // repeats what is before it
	tokOpen
	tokClose
	tokBar
	tokEnd // "$": the end, or a last newline before it
	tokFlags
	tokLine // "^" at every line: not after the newline that ends the text
)

func (k tokenKind) repeatable() bool {
	return k == tokAtom || k == tokClose || k == tokEnd || k == tokLine
}

type pcreToken struct {
	kind         tokenKind
	linear, full string
	consumes     bool // it matches a character
}

// pcreFlags are the options in force at a place.
type pcreFlags struct{ multi, extended bool }

type pcreLexer struct {
	s      string
	pos    int
	tokens []pcreToken
	simple bool
	flags  pcreFlags
	outer  []pcreFlags // of the groups around
	groups int
	all    int // groups of the whole pattern
	names  []string
}

// patternError is what is wrong with a pattern, for the client.
type patternError string

func (e patternError) Error() string { return string(e) }

func bad(format string, args ...any) error { return patternError(fmt.Sprintf(format, args...)) }

func translatePCRE(pattern, options string) (p perl, err error) {
	l := &pcreLexer{s: pattern, simple: true, all: countGroups(pattern)}
	prefix := ""
	for _, c := range options {
		switch c {
		case 'x':
			l.flags.extended = true
		case 'm':
			l.flags.multi = true
			prefix += "m"
		case 'i', 's':
			prefix += string(c)
		}
	}
	for _, start := range []string{"(*UTF8)", "(*UTF)"} { // all text is UTF-8 anyway
		if rest, ok := strings.CutPrefix(l.s, start); ok {
			l.s = rest
		}
	}
	for l.pos < len(l.s) {
		if err := l.next(); err != nil {
			return perl{}, err
		}
	}
	if len(l.outer) > 0 {
		return perl{}, bad("missing closing )")
	}
	l.ends()
	l.lines()
	if prefix != "" {
		prefix = "(?" + prefix + ")"
	}
	linear, full := []byte(prefix), []byte(prefix)
	for _, t := range l.tokens {
		linear, full = append(linear, t.linear...), append(full, t.full...)
	}
	return perl{string(linear), string(full), l.simple}, nil
}

// countGroups is about how many capturing groups a pattern has: it tells a
// back-reference from an octal number, which matters from ten groups on.
func countGroups(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '(' && !strings.HasPrefix(s[i:], "(?") || strings.HasPrefix(s[i:], "(?<") && !strings.HasPrefix(s[i:], "(?<=") && !strings.HasPrefix(s[i:], "(?<!"),
			strings.HasPrefix(s[i:], "(?P<"), strings.HasPrefix(s[i:], "(?'"):
			n++
		}
	}
	return n
}

func (l *pcreLexer) emit(kind tokenKind, text string) {
	l.tokens = append(l.tokens, pcreToken{kind: kind, linear: text, full: text})
}

// only emits what regexp2 alone can do.
func (l *pcreLexer) only(kind tokenKind, text string) {
	l.simple = false
	l.tokens = append(l.tokens, pcreToken{kind: kind, linear: text, full: text})
}

// consume emits what matches a character.
func (l *pcreLexer) consume(text string) {
	l.tokens = append(l.tokens, pcreToken{kind: tokAtom, linear: text, full: text, consumes: true})
}

func (l *pcreLexer) literal(r rune) { l.consume(quoteRune(r)) }

func quoteRune(r rune) string {
	if r < utf8.RuneSelf && strings.ContainsRune(`\.+*?()|[]{}^$`, r) {
		return `\` + string(r)
	}
	return string(r)
}

func quoteMember(r rune) string {
	if r < utf8.RuneSelf && strings.ContainsRune(`\[]^-&`, r) {
		return `\` + string(r)
	}
	return string(r)
}

// take returns the next character and goes on.
func (l *pcreLexer) take() rune {
	r, n := utf8.DecodeRuneInString(l.s[l.pos:])
	l.pos += n
	return r
}

func (l *pcreLexer) rest() string { return l.s[l.pos:] }

// cut goes on past prefix if it is next.
func (l *pcreLexer) cut(prefix string) bool {
	if !strings.HasPrefix(l.rest(), prefix) {
		return false
	}
	l.pos += len(prefix)
	return true
}

// until returns the text before end and goes on past it.
func (l *pcreLexer) until(end string) (string, bool) {
	text, _, ok := strings.Cut(l.rest(), end)
	if ok {
		l.pos += len(text) + len(end)
	}
	return text, ok
}

func (l *pcreLexer) next() error {
	switch r := l.take(); r {
	case '\\':
		return l.escape()
	case '[':
		return l.class()
	case '(':
		return l.open()
	case ')':
		if len(l.outer) == 0 {
			return bad("unmatched )")
		}
		l.flags = l.outer[len(l.outer)-1]
		l.outer = l.outer[:len(l.outer)-1]
		l.emit(tokClose, ")")
	case '|':
		l.emit(tokBar, "|")
	case '^':
		if l.flags.multi {
			l.tokens = append(l.tokens, pcreToken{kind: tokLine, linear: "^", full: `(?:^(?!\z)|\A)`})
		} else {
			l.emit(tokAtom, "^")
		}
	case '$':
		if l.flags.multi {
			l.emit(tokAtom, "$")
		} else {
			l.emit(tokEnd, "")
		}
	case '.':
		l.consume(".")
	case '*', '+', '?':
		return l.quantifier(string(r))
	case '{':
		if q := repeat(l.rest()); q != "" {
			l.pos += len(q)
			return l.quantifier("{" + q)
		}
		l.literal('{')
	default:
		if l.flags.extended {
			switch {
			case r < utf8.RuneSelf && strings.ContainsRune(" \t\n\r\f\v", r):
				return nil
			case r == '#':
				if _, ok := l.until("\n"); !ok {
					l.pos = len(l.s)
				}
				return nil
			}
		}
		l.literal(r)
	}
	return nil
}

// repeat returns "n}", "n,}" or "n,m}" from the beginning of s, "" if it does
// not begin so: the brace then is a character.
func repeat(s string) string {
	i := digits(s)
	if i == 0 {
		return ""
	}
	if i < len(s) && s[i] == ',' {
		i++
		i += digits(s[i:])
	}
	if i < len(s) && s[i] == '}' {
		return s[:i+1]
	}
	return ""
}

func digits(s string) int {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

func (l *pcreLexer) quantifier(q string) error {
	if n := len(l.tokens); n == 0 || !l.tokens[n-1].kind.repeatable() {
		return bad("quantifier does not follow a repeatable item")
	}
	if q[0] == '{' {
		low, high, both := strings.Cut(q[1:len(q)-1], ",")
		from, err := strconv.Atoi(low)
		to := from
		if err == nil && both && high != "" {
			to, err = strconv.Atoi(high)
		}
		switch {
		case err != nil || max(from, to) > mostRepeat:
			return bad("number too big in {} quantifier")
		case to < from:
			return bad("numbers out of order in {} quantifier")
		}
	}
	switch {
	case l.cut("+"):
		l.only(tokQuant, q+"+")
	case l.cut("?"):
		l.emit(tokQuant, q+"?")
	default:
		l.emit(tokQuant, q)
	}
	return nil
}

// lines sees whether regexp can do every "^" of a line: where a character must
// follow, it does not matter that there may be none.
func (l *pcreLexer) lines() {
	for i := range l.tokens {
		if l.tokens[i].kind != tokLine {
			continue
		}
		must := i+1 < len(l.tokens) && l.tokens[i+1].consumes
		if must && i+2 < len(l.tokens) && l.tokens[i+2].kind == tokQuant {
			must = l.tokens[i+2].full[0] == '+'
		}
		l.simple = l.simple && must
	}
}

// ends writes every "$". At the end of a pattern that regexp can do, it needs
// no look-ahead.
func (l *pcreLexer) ends() {
	last := true // nothing comes after this place
	var after []bool
	for i := range slices.Backward(l.tokens) {
		t := &l.tokens[i]
		switch t.kind {
		case tokClose:
			after = append(after, last)
		case tokOpen:
			after = after[:len(after)-1]
			last = false
		case tokBar:
			last = len(after) == 0 || after[len(after)-1]
		case tokEnd:
			t.full, t.linear = `(?=\n?\z)`, `(?:\n?\z)`
			l.simple = l.simple && last
			last = false
		default:
			last = false
		}
	}
}

func (l *pcreLexer) enter(text string) error {
	if len(l.outer) >= mostGroups {
		return bad("parentheses are nested too deeply")
	}
	l.outer = append(l.outer, l.flags)
	l.emit(tokOpen, text)
	return nil
}

// open reads what follows a "(".
func (l *pcreLexer) open() error {
	switch {
	case l.cut("?#"):
		if _, ok := l.until(")"); !ok {
			return bad("missing ) after (?# comment")
		}
		return nil
	case strings.HasPrefix(l.rest(), "*"):
		return bad("verbs are not supported")
	case !l.cut("?"):
		l.groups++
		return l.enter("(")
	case l.cut(":"):
		return l.enter("(?:")
	case l.cut("P="):
		name, ok := l.until(")")
		return l.named(name, ok)
	case l.cut("("):
		return l.condition()
	}
	for _, kind := range []string{"=", "!", "<=", "<!", ">"} {
		if l.cut(kind) {
			l.simple = false
			return l.enter("(?" + kind)
		}
	}
	for _, q := range [][2]string{{"P<", ">"}, {"<", ">"}, {"'", "'"}} {
		if !l.cut(q[0]) {
			continue
		}
		name, ok := l.until(q[1])
		switch {
		case !ok || !groupName(name):
			return bad("invalid name of a group")
		case slices.Contains(l.names, name):
			return bad("two named groups have the same name")
		}
		l.names = append(l.names, name)
		l.groups++
		if err := l.enter("(?P<" + name + ">"); err != nil {
			return err
		}
		l.tokens[len(l.tokens)-1].full = "(?<" + name + ">"
		return nil
	}
	return l.options()
}

func groupName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// options reads the letters of "(?i)" and "(?i:".
func (l *pcreLexer) options() error {
	flags, on, text := l.flags, true, ""
	for l.pos < len(l.s) {
		switch r := l.take(); r {
		case 'i', 's':
			text += string(r)
		case 'm':
			flags.multi = on
			text += "m"
		case 'x':
			flags.extended = on
		case '-':
			if !on {
				return bad("unrecognized character after (? or (?-")
			}
			on = false
			text += "-"
		case ')', ':':
			text = strings.TrimSuffix(text, "-")
			if r == ':' {
				if err := l.enter("(?" + text + ":"); err != nil {
					return err
				}
				l.flags = flags
				return nil
			}
			l.flags = flags
			if text != "" {
				text = "(?" + text + ")"
			}
			l.emit(tokFlags, text)
			return nil
		case 'R', '&', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', 'P':
			return bad("recursion is not supported")
		default:
			return bad("unrecognized character after (? or (?-")
		}
	}
	return bad("missing closing )")
}

// condition reads the rest of "(?(1)" or "(?(<name>)".
func (l *pcreLexer) condition() error {
	cond, ok := l.until(")")
	if !ok {
		return bad("missing closing ) for condition")
	}
	name := strings.Trim(cond, "<>'")
	number, err := strconv.Atoi(cond)
	switch {
	case err == nil && (number < 1 || number > l.all):
		return bad("reference to non-existent subpattern")
	case err != nil && !slices.Contains(l.names, name):
		return bad("conditions must name a group before them")
	}
	l.simple = false
	return l.enter("(?(" + name + ")")
}

func (l *pcreLexer) named(name string, ok bool) error {
	if !ok || !slices.Contains(l.names, name) {
		return bad("reference to non-existent subpattern")
	}
	l.only(tokAtom, `(?:\k<`+name+`>)`)
	return nil
}

func (l *pcreLexer) numbered(n int) error {
	if n < 1 || n > l.all {
		return bad("reference to non-existent subpattern")
	}
	l.only(tokAtom, `(?:\`+strconv.Itoa(n)+`)`)
	return nil
}

// wordEdge is \b for letters of ASCII, by look-around: regexp2 has its own idea
// of a word.
const (
	wordEdge    = `(?:(?<=[` + wordMembers + `])(?![` + wordMembers + `])|(?<![` + wordMembers + `])(?=[` + wordMembers + `]))`
	notWordEdge = `(?:(?<=[` + wordMembers + `])(?=[` + wordMembers + `])|(?<![` + wordMembers + `])(?![` + wordMembers + `]))`
)

// escape reads what follows a "\" outside of a class.
func (l *pcreLexer) escape() error {
	if l.pos >= len(l.s) {
		return bad("\\ at end of pattern")
	}
	at := l.pos
	switch r := l.take(); r {
	case 'Q':
		text, ok := l.until(`\E`)
		if !ok {
			l.pos = len(l.s)
		}
		for _, c := range text {
			l.literal(c)
		}
	case 'E', 'K': // the end of no quotation; where a match begins is not asked
	case 'b':
		l.tokens = append(l.tokens, pcreToken{kind: tokAtom, linear: `\b`, full: wordEdge})
	case 'B':
		l.tokens = append(l.tokens, pcreToken{kind: tokAtom, linear: `\B`, full: notWordEdge})
	case 'A', 'G':
		l.emit(tokAtom, `\A`)
	case 'z':
		l.emit(tokAtom, `\z`)
	case 'Z':
		l.emit(tokEnd, "")
	case 'R':
		l.only(tokAtom, `(?>\r\n|[`+verticalSpace+`])`)
	case 'N':
		l.consume(`[^\n]`)
	case 'k':
		for _, q := range []string{"<>", "''", "{}"} {
			if l.cut(q[:1]) {
				name, ok := l.until(q[1:])
				return l.named(name, ok)
			}
		}
		return bad("\\k is not followed by a name")
	case 'g':
		return l.reference()
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		n := digits(l.s[at:])
		number, err := strconv.Atoi(l.s[at : at+n])
		if err == nil && (number < 10 || number <= l.all) {
			l.pos = at + n
			return l.numbered(number)
		}
		l.pos = at
		c, err := l.octal(3)
		if err != nil {
			return err
		}
		l.literal(c)
	default:
		l.pos = at
		members, negated, err := l.classEscape()
		switch {
		case err != nil:
			return err
		case members != "" && negated:
			l.consume("[^" + members + "]")
			return nil
		case members != "":
			l.consume("[" + members + "]")
			return nil
		}
		c, err := l.char()
		if err != nil {
			return err
		}
		l.literal(c)
	}
	return nil
}

// reference reads what follows "\g".
func (l *pcreLexer) reference() error {
	text := ""
	if l.cut("{") {
		var ok bool
		if text, ok = l.until("}"); !ok {
			return bad("a numbered reference must not be zero")
		}
	} else {
		n := digits(strings.TrimPrefix(l.rest(), "-"))
		if strings.HasPrefix(l.rest(), "-") {
			n++
		}
		text = l.rest()[:n]
		l.pos += n
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return l.named(text, true)
	}
	if n < 0 {
		n += l.groups + 1
	}
	return l.numbered(n)
}

// classEscape reads an escape that stands for many characters and returns the
// members of the class; "" if the escape is none of these.
func (l *pcreLexer) classEscape() (members string, negated bool, err error) {
	at := l.pos
	switch r := l.take(); r {
	case 'd', 'D':
		return `0-9`, r == 'D', nil
	case 'w', 'W':
		return wordMembers, r == 'W', nil
	case 's', 'S':
		return blankMembers, r == 'S', nil
	case 'h', 'H':
		return horizontalSpace, r == 'H', nil
	case 'v', 'V':
		return verticalSpace, r == 'V', nil
	case 'p', 'P':
		name := ""
		if l.cut("{") {
			var ok bool
			if name, ok = l.until("}"); !ok {
				return "", false, bad("malformed \\P or \\p sequence")
			}
		} else if l.pos < len(l.s) {
			name = string(l.take())
		}
		if bare, ok := strings.CutPrefix(name, "^"); ok {
			name, negated = bare, true
		}
		negated = negated != (r == 'P')
		switch name {
		case "":
			return "", false, bad("malformed \\P or \\p sequence")
		case "L&":
			return `\p{Lu}\p{Ll}\p{Lt}`, negated, nil
		case "Any":
			return "\x00-\U0010FFFF", negated, nil
		}
		if unicode.Categories[name] == nil && unicode.Scripts[name] == nil {
			return "", false, bad("unknown property name after \\P or \\p")
		}
		return `\p{` + name + `}`, negated, nil
	}
	l.pos = at
	return "", false, nil
}

func (l *pcreLexer) octal(most int) (rune, error) {
	n := 0
	for n < most && l.pos+n < len(l.s) && l.s[l.pos+n] >= '0' && l.s[l.pos+n] <= '7' {
		n++
	}
	if n == 0 {
		return 0, bad("reference to non-existent subpattern")
	}
	c, err := l.code(l.s[l.pos:l.pos+n], 8)
	l.pos += n
	return c, err
}

// code reads the number of a character.
func (l *pcreLexer) code(text string, base int) (rune, error) {
	c, err := strconv.ParseUint(text, base, 32)
	if err != nil || c > unicode.MaxRune || !utf8.ValidRune(rune(c)) {
		return 0, bad("character code is not valid")
	}
	return rune(c), nil
}

// char reads an escape that stands for one character.
func (l *pcreLexer) char() (rune, error) {
	switch r := l.take(); r {
	case 'a':
		return '\a', nil
	case 'e':
		return 0x1b, nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case '0':
		l.pos--
		return l.octal(3)
	case 'o':
		text, ok := "", l.cut("{")
		if ok {
			text, ok = l.until("}")
		}
		if !ok {
			return 0, bad("missing braces after \\o")
		}
		return l.code(text, 8)
	case 'x':
		if l.cut("{") {
			text, ok := l.until("}")
			if !ok {
				return 0, bad("missing } after \\x{")
			}
			return l.code(text, 16)
		}
		n := 0
		for n < 2 && l.pos+n < len(l.s) && strings.IndexByte("0123456789abcdefABCDEF", l.s[l.pos+n]) >= 0 {
			n++
		}
		if n == 0 {
			return 0, nil
		}
		c, err := l.code(l.s[l.pos:l.pos+n], 16)
		l.pos += n
		return c, err
	case 'c':
		if l.pos >= len(l.s) || l.s[l.pos] < ' ' || l.s[l.pos] > '~' {
			return 0, bad("\\c must be followed by a printable ASCII character")
		}
		c := unicode.ToUpper(rune(l.s[l.pos]))
		l.pos++
		return c ^ 64, nil
	default:
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return 0, bad("unrecognized character follows \\")
		}
		return r, nil
	}
}

// class reads what follows a "[".
func (l *pcreLexer) class() error {
	var b strings.Builder
	b.WriteByte('[')
	if l.cut("^") {
		b.WriteByte('^')
	}
	quoted := false
	for first := true; ; first = false {
		if l.pos >= len(l.s) {
			return bad("missing terminating ] for character class")
		}
		if !quoted && !first && l.cut("]") {
			b.WriteByte(']')
			l.consume(b.String())
			return nil
		}
		low, members, err := l.member(&quoted)
		if err != nil {
			return err
		}
		if low < 0 {
			b.WriteString(members)
			continue
		}
		if quoted || !strings.HasPrefix(l.rest(), "-") || strings.HasPrefix(l.rest(), "-]") || len(l.rest()) < 2 {
			b.WriteString(quoteMember(low))
			continue
		}
		l.pos++
		high, members, err := l.member(&quoted)
		switch {
		case err != nil:
			return err
		case high < 0:
			b.WriteString(quoteMember(low) + `\-` + members)
		case high < low:
			return bad("range out of order in character class")
		default:
			b.WriteString(quoteMember(low) + "-" + quoteMember(high))
		}
	}
}

// complement returns the members that a class does not have.
func complement(members string) (string, error) {
	if name, ok := strings.CutPrefix(members, `\p{`); ok && strings.IndexByte(name, '}') == len(name)-1 {
		return `\P{` + name, nil
	}
	re, err := syntax.Parse("[^"+members+"]", syntax.Perl)
	if err != nil || re.Op != syntax.OpCharClass {
		return "", bad("character class is not valid")
	}
	var b strings.Builder
	for i := 0; i+1 < len(re.Rune); i += 2 {
		b.WriteString(quoteMember(re.Rune[i]) + "-" + quoteMember(re.Rune[i+1]))
	}
	return b.String(), nil
}

// member reads one member of a class: a character, or (then c is negative) the
// text of several.
func (l *pcreLexer) member(quoted *bool) (c rune, members string, err error) {
	if *quoted {
		if l.cut(`\E`) {
			*quoted = false
			return -1, "", nil
		}
		return l.take(), "", nil
	}
	switch {
	case l.cut(`\Q`):
		*quoted = true
		return -1, "", nil
	case l.cut(`\E`):
		return -1, "", nil
	case l.cut(`\b`):
		return '\b', "", nil
	case strings.HasPrefix(l.rest(), "[:"):
		name, _, ok := strings.Cut(l.rest()[2:], ":]")
		if !ok || strings.ContainsAny(name, `]\[`) {
			break
		}
		bare, negated := strings.CutPrefix(name, "^")
		members := posixMembers[bare]
		if members == "" {
			return 0, "", bad("unknown POSIX class name")
		}
		l.pos += len(name) + 4
		if negated {
			members, err = complement(members)
		}
		return -1, members, err
	case l.cut(`\`):
		if l.pos >= len(l.s) {
			return 0, "", bad("\\ at end of pattern")
		}
		if strings.IndexByte("BRXNKGAzZgk", l.s[l.pos]) >= 0 {
			return 0, "", bad("escape sequence is invalid in character class")
		}
		members, negated, err := l.classEscape()
		switch {
		case err != nil:
			return 0, "", err
		case negated:
			members, err = complement(members)
			return -1, members, err
		case members != "":
			return -1, members, nil
		}
		if d := l.s[l.pos]; d >= '1' && d <= '9' {
			c, err = l.octal(3)
			return c, "", err
		}
		c, err = l.char()
		return c, "", err
	}
	return l.take(), "", nil
}
