package query

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// pattern is a compiled regular expression; literal prefixes and substrings,
// what SDKs send for startsWith and contains, need no automaton.
type pattern struct {
	kind patternKind
	text string
	re   *regexp.Regexp
}

type patternKind uint8

const (
	general patternKind = iota
	prefix
	substring
)

func (p *pattern) match(s string) bool {
	switch p.kind {
	case prefix:
		return strings.HasPrefix(s, p.text)
	case substring:
		return strings.Contains(s, p.text)
	case general:
	}
	return p.re.MatchString(s)
}

// translate compiles the PCRE pattern of n for RE2. What RE2 cannot do (look
// around, back-references, possessive quantifiers) is refused with 102; "$"
// without the option m means the very end of the text.
func translate(n *Regex) (*pattern, error) {
	text, flags := n.Pattern, ""
	for _, c := range n.Options {
		switch c {
		case 'x':
			text = strip(text)
		case 'i', 'm', 's':
			flags += string(c)
		}
	}
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, regexError(err)
	}
	switch t := tree.Simplify(); {
	case isLiteral(t):
		return &pattern{kind: substring, text: string(t.Rune)}, nil
	case t.Op == syntax.OpConcat && len(t.Sub) == 2 && t.Sub[0].Op == syntax.OpBeginText && isLiteral(t.Sub[1]):
		return &pattern{kind: prefix, text: string(t.Sub[1].Rune)}, nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, regexError(err)
	}
	return &pattern{re: re}, nil
}

func isLiteral(t *syntax.Regexp) bool {
	return t.Op == syntax.OpLiteral && t.Flags&syntax.FoldCase == 0
}

func regexError(err error) error {
	reason := "not understood"
	var e *syntax.Error
	if errors.As(err, &e) {
		reason = e.Code.String()
		switch {
		case e.Code == syntax.ErrInvalidPerlOp:
			reason = "look-around and other Perl groups are not supported"
		case e.Code == syntax.ErrInvalidEscape && len(e.Expr) == 2 && e.Expr[1] >= '1' && e.Expr[1] <= '9':
			reason = "back-references are not supported"
		}
	}
	return &parse.Error{Code: parse.InvalidQuery, Message: "Invalid regular expression: " + reason, Err: err}
}

// strip removes what option x ignores: blanks and comments, except in
// character classes, after a backslash and between \Q and \E.
func strip(s string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			end := i + 2
			if s[i+1] == 'Q' {
				end = len(s)
				if j := strings.Index(s[i:], `\E`); j >= 0 {
					end = i + j + 2
				}
			}
			b.WriteString(s[i:end])
			i = end - 1
			continue
		case class:
			class = c != ']'
		case c == '[':
			class = true
			b.WriteByte(c)
			// A "]" that comes first, also after "^", is a member of the class.
			if i+1 < len(s) && s[i+1] == '^' {
				i++
				b.WriteByte('^')
			}
			if i+1 < len(s) && s[i+1] == ']' {
				i++
				b.WriteByte(']')
			}
			continue
		case strings.IndexByte(" \t\n\r\f\v", c) >= 0:
			continue
		case c == '#':
			j := strings.IndexByte(s[i:], '\n')
			if j < 0 {
				return b.String()
			}
			i += j
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
