package aggregate

import (
	"cmp"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/pargo-baas/pargo/parse"
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
	s, err := toString(nil, []parse.Value{v})
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

func strLen(f func(string) int) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) {
		s, ok := a[0].(string)
		if !ok {
			return nil, errorf("$strLenCP requires a string argument, found: %s", typeName(a[0]))
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

func indexOf(_ *run, a []parse.Value) (parse.Value, error) {
	if absent(a[0]) {
		return nil, nil
	}
	s, ok := a[0].(string)
	part, ok2 := a[1].(string)
	if !ok || !ok2 {
		return nil, errorf("$indexOfCP requires strings, found: %s, %s", typeName(a[0]), typeName(a[1]))
	}
	i := strings.Index(s, part)
	if i < 0 {
		return -1.0, nil
	}
	return float64(utf8.RuneCountInString(s[:i])), nil
}

func (c *compiler) trim(name string, arg parse.Value) (expr, error) {
	a, err := c.named(name, arg, "input", "chars")
	if err != nil {
		return nil, err
	}
	return func(e *env) (parse.Value, error) {
		v, err := a["input"](e)
		if err != nil || absent(v) {
			return nil, err
		}
		s, ok := v.(string)
		if !ok {
			return nil, errorf("%s requires its input to be a string, got %s", name, typeName(v))
		}
		cut := " \t\n\v\f\r\x00\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
		if a["chars"] != nil {
			v, err := a["chars"](e)
			if err != nil || absent(v) {
				return nil, err
			}
			if cut, ok = v.(string); !ok {
				return nil, errorf("%s requires 'chars' to be a string, got %s", name, typeName(v))
			}
		}
		switch name {
		case "$ltrim":
			return strings.TrimLeft(s, cut), nil
		case "$rtrim":
			return strings.TrimRight(s, cut), nil
		}
		return strings.Trim(s, cut), nil
	}, nil
}
