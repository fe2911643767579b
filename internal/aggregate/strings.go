package aggregate

import (
	"cmp"
	"math"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func concat(r *run, a []parse.Value) (parse.Value, error) {
	n := 0
	for _, v := range a {
		if absent(v) {
			return nil, nil
		}
		s, ok := v.(string)
		if !ok {
			return nil, errorf("$concat only supports strings, not %s", typeName(v))
		}
		n += len(s)
	}
	if n > r.lim.Value {
		return nil, errorf("$concat makes a string of more than %d bytes", r.lim.Value)
	}
	var b strings.Builder
	b.Grow(n)
	for _, v := range a {
		s, _ := v.(string)
		b.WriteString(s)
	}
	return b.String(), nil
}

// text is v as the string operators read it: numbers and dates are written out.
func text(v parse.Value) (string, error) {
	if absent(v) {
		return "", nil
	}
	s, err := convertTo(v, "string")
	out, _ := s.(string)
	return out, err
}

// cased moves the letters from first to last, which are ASCII as in MongoDB,
// by a distance.
func cased(first, last byte, by int) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		s, err := text(a[0])
		out := []byte(s)
		for i, c := range out {
			if c >= first && c <= last {
				out[i] = byte(int(c) + by)
			}
		}
		return string(out), err
	}
}

func bounds(name string, a []parse.Value) (s string, from, count int, err error) {
	if s, err = text(a[0]); err != nil {
		return "", 0, 0, err
	}
	start, ok := number(a[1])
	length, ok2 := number(a[2])
	if !ok || !ok2 {
		return "", 0, 0, errorf("%s needs a starting index and a length that are numbers", name)
	}
	clamp := func(f float64) int { return int(max(-1, min(f, math.MaxInt32))) }
	return s, clamp(start), clamp(length), nil
}

func substrBytes(_ *run, a []parse.Value) (parse.Value, error) {
	s, from, count, err := bounds("$substrBytes", a)
	switch {
	case err != nil:
		return nil, err
	case from < 0 || from >= len(s):
		return "", nil
	case count < 0 || from+count > len(s):
		count = len(s) - from
	}
	out := s[from : from+count]
	if !utf8.RuneStart(s[from]) || !utf8.ValidString(out) {
		return nil, errorf("$substrBytes: Invalid range, starting or ending in the middle of a UTF-8 character.")
	}
	return out, nil
}

func substrCP(_ *run, a []parse.Value) (parse.Value, error) {
	s, from, count, err := bounds("$substrCP", a)
	if err != nil {
		return nil, err
	}
	if from < 0 || count < 0 {
		return nil, errorf("$substrCP: the starting index and the length must be nonnegative integers")
	}
	runes := []rune(s)
	from = min(from, len(runes))
	return string(runes[from:min(from+count, len(runes))]), nil
}

func strLen(op string, f func(string) int) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		s, ok := a[0].(string)
		if !ok {
			return nil, errorf("%s requires a string argument, found: %s", op, typeName(a[0]))
		}
		return float64(f(s)), nil
	}
}

func split(_ *run, a []parse.Value) (parse.Value, error) {
	if anyAbsent(a) {
		return nil, nil
	}
	s, ok := a[0].(string)
	sep, ok2 := a[1].(string)
	if !ok || !ok2 || sep == "" {
		return nil, errorf("$split requires a string and a non-empty separator, found: %s, %s", typeName(a[0]), typeName(a[1]))
	}
	return texts(strings.Split(s, sep)), nil
}

func strcasecmp(_ *run, a []parse.Value) (parse.Value, error) {
	x, err := text(a[0])
	if err != nil {
		return nil, err
	}
	y, err := text(a[1])
	return float64(cmp.Compare(strings.ToUpper(x), strings.ToUpper(y))), err
}

func indexOf(op string) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		if absent(a[0]) {
			return nil, nil
		}
		s, ok := a[0].(string)
		part, ok2 := a[1].(string)
		if !ok || !ok2 {
			return nil, errorf("%s requires strings, found: %s, %s", op, typeName(a[0]), typeName(a[1]))
		}
		length, cut := len(s), func(from, to int) string { return s[from:to] }
		count := func(s string) int { return len(s) }
		if op == "$indexOfCP" {
			runes := []rune(s)
			length, cut, count = len(runes), func(from, to int) string { return string(runes[from:to]) }, utf8.RuneCountInString
		}
		from, to, ok, err := positions(op, a[2:], length)
		if err != nil || !ok {
			return -1.0, err
		}
		rest := cut(from, to)
		i := strings.Index(rest, part)
		if i < 0 {
			return -1.0, nil
		}
		return float64(from + count(rest[:i])), nil
	}
}

func trim(op string) func(r *run, a arguments) (parse.Value, error) {
	return func(_ *run, a arguments) (parse.Value, error) {
		if absent(a["input"]) {
			return nil, nil
		}
		s, ok := a["input"].(string)
		if !ok {
			return nil, errorf("%s requires its input to be a string, got %s", op, typeName(a["input"]))
		}
		cut := " \t\n\v\f\r\x00\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
		if chars, given := a["chars"]; given {
			if absent(chars) {
				return nil, nil
			}
			if cut, ok = chars.(string); !ok {
				return nil, errorf("%s requires 'chars' to be a string, got %s", op, typeName(chars))
			}
		}
		switch op {
		case "$ltrim":
			return strings.TrimLeft(s, cut), nil
		case "$rtrim":
			return strings.TrimRight(s, cut), nil
		}
		return strings.Trim(s, cut), nil
	}
}

// replace is $replaceOne, or $replaceAll with n -1.
func replace(op string, n int) func(r *run, a arguments) (parse.Value, error) {
	return func(r *run, a arguments) (parse.Value, error) {
		var texts [3]string
		for i, name := range [...]string{"input", "find", "replacement"} {
			v := a[name]
			if absent(v) {
				return nil, nil
			}
			var ok bool
			if texts[i], ok = v.(string); !ok {
				return nil, errorf("%s requires that '%s' be a string, found: %s", op, name, typeName(v))
			}
		}
		if count := strings.Count(texts[0], texts[1]); n != 1 && count*len(texts[2]) > r.lim.Value {
			return nil, errorf("%s makes a string of more than %d bytes", op, r.lim.Value)
		}
		return strings.Replace(texts[0], texts[1], texts[2], n), nil
	}
}

// compiled is a regular expression and the number of its instructions: what it
// may cost for each byte of a text.
type compiled struct {
	*regexp.Regexp
	size int
}

const (
	// maxPattern is how long regular expressions may be.
	maxPattern = 4096
	// keptPatterns is how many a run keeps: more are those of documents.
	keptPatterns = 100
	// quickMatch is the size of a text times that of a pattern up to which most
	// matches take much less than they might.
	quickMatch = 50_000
)

// compileRegex reads the arguments of a regular expression; s is the text, and
// re is nil if the text or the expression is null. What the match may cost is
// counted.
func compileRegex(r *run, op string, a arguments) (re *regexp.Regexp, s string, err error) {
	if absent(a["input"]) || absent(a["regex"]) {
		return nil, "", nil
	}
	s, ok := a["input"].(string)
	pattern, ok2 := a["regex"].(string)
	options, ok3 := a.get("options").(string)
	if !ok || !ok2 || !ok3 && a.get("options") != nil {
		return nil, "", errorf("%s needs 'input', 'regex' and 'options' to be strings", op)
	}
	if strings.Trim(options, "ims") != "" {
		return nil, "", errorf("%s invalid flag in regex options: %s; i, m and s are known", op, options)
	}
	if options != "" {
		pattern = "(?" + options + ")" + pattern
	}
	if len(pattern) > maxPattern {
		return nil, "", errorf("%s: a regular expression of more than %d bytes", op, maxPattern)
	}
	c, err := r.regex(pattern)
	if err != nil {
		return nil, "", &parse.Error{Code: parse.InvalidQuery, Message: "Invalid regular expression in " + op, Err: err}
	}
	cost := c.size * len(s)
	if cost <= quickMatch {
		cost /= 8
	}
	return c.Regexp, s, r.take(cost)
}

// regex returns a compiled pattern, which is the same for all documents in most cases.
func (r *run) regex(pattern string) (compiled, error) {
	if c, ok := r.regexes[pattern]; ok {
		return c, nil
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return compiled{}, err
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return compiled{}, err
	}
	c := compiled{size: len(prog.Inst)}
	if c.Regexp, err = regexp.Compile(pattern); err != nil {
		return compiled{}, err
	}
	if r.regexes == nil {
		r.regexes = map[string]compiled{}
	}
	if len(r.regexes) < keptPatterns {
		r.regexes[pattern] = c
	}
	return c, r.take(c.size)
}

func regexMatch(r *run, a arguments) (parse.Value, error) {
	re, s, err := compileRegex(r, "$regexMatch", a)
	if err != nil || re == nil {
		return false, err
	}
	return re.MatchString(s), nil
}

func regexFind(r *run, a arguments) (parse.Value, error) {
	re, s, err := compileRegex(r, "$regexFind", a)
	if err != nil || re == nil {
		return nil, err
	}
	if m := re.FindStringSubmatchIndex(s); m != nil {
		return regexResult(s, m), nil
	}
	return nil, nil
}

func regexFindAll(r *run, a arguments) (parse.Value, error) {
	out := parse.Array{}
	re, s, err := compileRegex(r, "$regexFindAll", a)
	if err != nil || re == nil {
		return out, err
	}
	list, err := findAll(r, re, s)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if err := r.step(); err != nil {
			return nil, err
		}
		out = append(out, regexResult(s, m))
	}
	return out, r.fits(out)
}

// findTime is how long a run may look for all matches, in texts where that takes long.
const findTime = time.Second

// findAll returns all matches. Each may cost the way to the end of the text, so
// it begins with a few and looks at the clock before it asks for twice as many.
func findAll(r *run, re *regexp.Regexp, s string) ([][]int, error) {
	for n := 64; ; n *= 2 {
		began := time.Now()
		list := re.FindAllStringSubmatchIndex(s, n)
		if len(list) < n {
			return list, nil
		}
		if took := time.Since(began); took > findTime/1000 {
			*r.finding += took
		}
		if *r.finding > findTime {
			return nil, &parse.Error{Code: parse.InvalidQuery, Message: query.SlowRegex}
		}
		if err := r.ended(); err != nil {
			return nil, err
		}
	}
}

func regexResult(s string, m []int) *parse.Map {
	captures := make(parse.Array, 0, len(m)/2-1)
	for i := 2; i < len(m); i += 2 {
		if m[i] < 0 {
			captures = append(captures, nil)
			continue
		}
		captures = append(captures, s[m[i]:m[i+1]])
	}
	return parse.NewMap(parse.MapField{Key: "match", Value: s[m[0]:m[1]]},
		parse.MapField{Key: "idx", Value: float64(utf8.RuneCountInString(s[:m[0]]))},
		parse.MapField{Key: "captures", Value: captures})
}
