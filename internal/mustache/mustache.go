// Package mustache renders templates in the part of Mustache that pages and
// mails use: {{name}}, {{{name}}}, {{&name}}, sections {{#name}}…{{/name}},
// inverted sections {{^name}}…{{/name}}, comments {{!…}} and dotted names.
// Partials and other delimiters are errors, so that no template means
// something else than its author believes.
package mustache

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds how deep sections stand in each other.
const maxDepth = 64

// Template is a template that was read. It may be rendered by many goroutines.
type Template struct{ nodes []node }

type kind uint8

const (
	text kind = iota
	escaped
	raw
	section
	inverted
)

type node struct {
	kind  kind
	text  string // of text, or the name
	inner []node
}

// Escape makes a value safe for where it is put.
type Escape func(string) string

// Parse reads a template.
func Parse(src string) (*Template, error) {
	p := parser{src: src}
	nodes, err := p.until("", 0)
	if err != nil {
		return nil, err
	}
	return &Template{nodes}, nil
}

type parser struct {
	src string
	pos int
}

func (p *parser) errorf(format string, args ...any) error {
	line := 1 + strings.Count(p.src[:min(p.pos, len(p.src))], "\n")
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
}

// until reads nodes up to the end of the section name, or of the source.
func (p *parser) until(name string, depth int) ([]node, error) {
	if depth > maxDepth {
		return nil, p.errorf("sections are nested more than %d deep", maxDepth)
	}
	var out []node
	for {
		open := strings.Index(p.src[p.pos:], "{{")
		if open < 0 {
			if name != "" {
				return nil, p.errorf("section %s is not closed", name)
			}
			return addText(out, p.src[p.pos:]), nil
		}
		from, start := p.pos, p.pos+open
		before := p.src[from:start]
		body, end, sigil, err := p.tag(start)
		if err != nil {
			return nil, err
		}
		if strings.IndexByte("#^/!", sigil) >= 0 && sigil != 0 {
			// A tag that stands alone on its line takes the line with it.
			if line, next, alone := p.standalone(start, end); alone {
				before, end = p.src[from:max(line, from)], next
			}
		}
		out = addText(out, before)
		p.pos = end
		switch sigil {
		case '!':
		case '/':
			if body != name {
				return nil, p.errorf("{{/%s}} closes nothing", body)
			}
			return out, nil
		case '#', '^':
			inner, err := p.until(body, depth+1)
			if err != nil {
				return nil, err
			}
			k := section
			if sigil == '^' {
				k = inverted
			}
			out = append(out, node{k, body, inner})
		case '{', '&':
			out = append(out, node{kind: raw, text: body})
		default:
			out = append(out, node{kind: escaped, text: body})
		}
	}
}

// tag reads the tag at start; sigil is 0 for a plain variable.
func (p *parser) tag(start int) (body string, end int, sigil byte, err error) {
	p.pos = start
	closing, from := "}}", start+2
	if strings.HasPrefix(p.src[from:], "{") {
		closing, sigil, from = "}}}", '{', from+1
	}
	n := strings.Index(p.src[from:], closing)
	if n < 0 {
		return "", 0, 0, p.errorf("a tag is not closed")
	}
	body, end = strings.TrimSpace(p.src[from:from+n]), from+n+len(closing)
	if sigil == 0 && body != "" && strings.IndexByte("#^/!&>=", body[0]) >= 0 {
		sigil, body = body[0], strings.TrimSpace(body[1:])
	}
	switch {
	case sigil == '>' || sigil == '=':
		return "", 0, 0, p.errorf("partials and other delimiters are not supported")
	case sigil != '!' && (body == "" || strings.ContainsAny(body, "{} \t\n\"'<>")):
		return "", 0, 0, p.errorf("%q is not a name", body)
	}
	return body, end, sigil, nil
}

// standalone reports whether nothing but blanks is on the line around a tag,
// and where that line begins and ends.
func (p *parser) standalone(start, end int) (from, to int, alone bool) {
	from = start
	for from > 0 && (p.src[from-1] == ' ' || p.src[from-1] == '\t') {
		from--
	}
	if from > 0 && p.src[from-1] != '\n' {
		return 0, 0, false
	}
	to = end
	for to < len(p.src) && (p.src[to] == ' ' || p.src[to] == '\t' || p.src[to] == '\r') {
		to++
	}
	if to < len(p.src) && p.src[to] != '\n' {
		return 0, 0, false
	}
	return from, min(to+1, len(p.src)), true
}

func addText(nodes []node, s string) []node {
	if s == "" {
		return nodes
	}
	return append(nodes, node{kind: text, text: s})
}

// Render fills in values: strings, numbers, booleans, maps and lists of these,
// as JSON has them; a missing one is empty. Values pass through escape, unless
// the template asks for them raw; nil leaves them as they are.
func (t *Template) Render(values map[string]any, escape Escape) string {
	if escape == nil {
		escape = func(s string) string { return s }
	}
	r := renderer{escape: escape, stack: []any{values}}
	r.all(t.nodes)
	return r.out.String()
}

type renderer struct {
	out    strings.Builder
	escape Escape
	stack  []any
}

func (r *renderer) all(nodes []node) {
	for i := range nodes {
		n := &nodes[i]
		switch n.kind {
		case text:
			r.out.WriteString(n.text)
		case escaped:
			r.out.WriteString(r.escape(Text(r.lookup(n.text))))
		case raw:
			r.out.WriteString(Text(r.lookup(n.text)))
		case inverted:
			if !truthy(r.lookup(n.text)) {
				r.all(n.inner)
			}
		case section:
			v := r.lookup(n.text)
			list, isList := v.([]any)
			switch {
			case isList:
				for _, e := range list {
					r.within(e, n.inner)
				}
			case truthy(v):
				r.within(v, n.inner)
			}
		}
	}
}

func (r *renderer) within(v any, nodes []node) {
	r.stack = append(r.stack, v)
	r.all(nodes)
	r.stack = r.stack[:len(r.stack)-1]
}

// lookup finds a name in the innermost context that has its first part.
func (r *renderer) lookup(name string) any {
	if name == "." {
		return r.stack[len(r.stack)-1]
	}
	first, rest, dotted := strings.Cut(name, ".")
	for i := len(r.stack) - 1; i >= 0; i-- {
		m, ok := r.stack[i].(map[string]any)
		if !ok {
			continue
		}
		v, ok := m[first]
		if !ok {
			continue
		}
		for dotted && ok {
			first, rest, dotted = strings.Cut(rest, ".")
			m, _ = v.(map[string]any)
			v, ok = m[first]
		}
		return v
	}
	return nil
}

func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case float64:
		return v != 0
	case []any:
		return len(v) > 0
	}
	return true
}

// Text is a value as a template writes it.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;",
	"/", "&#x2F;", "`", "&#x60;", "=", "&#x3D;")

// HTML escapes what means something in HTML, in attributes without quotes, too.
func HTML(s string) string { return htmlEscaper.Replace(s) }

// Must is Parse for templates of the program itself: it panics at an error.
func Must(t *Template, err error) *Template {
	if err != nil {
		panic(errors.Join(errors.New("mustache: a template of the program"), err))
	}
	return t
}
