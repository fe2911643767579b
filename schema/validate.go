package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/pargo-baas/pargo/parse"
)

// CompileValidator compiles the JSON Schema fragment of a field. The errors of
// the validator are *parse.Error 142 that begin with the field's name. Null
// passes: whether a field may be empty is for Field.Required to say. To the
// fragment a Date is a string in ISO form, any other typed value its wire form.
//
// Fragments of plain limits (minimum, maximum, enum, pattern, minLength and
// the like) are checked without converting the value.
func CompileValidator(field string, fragment []byte) (Validator, error) {
	// Numbers beyond a double, which would cost the compiler exact arithmetic, end here.
	var plain any
	if err := json.Unmarshal(fragment, &plain); err != nil {
		return nil, fmt.Errorf("read validate: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat = true
	c.LoadURL = func(url string) (io.ReadCloser, error) {
		return nil, fmt.Errorf("%s: references to other documents are not followed", url)
	}
	const url = "pargo:validate"
	if err := c.AddResource(url, strings.NewReader(string(fragment))); err != nil {
		return nil, fmt.Errorf("read validate: %w", err)
	}
	s, err := c.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("compile validate: %s", schemaProblem(err))
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(fragment, &keys); err == nil {
		if q, ok := quickRules(field, s, keys); ok {
			return q, nil
		}
	}
	return &fullValidator{field: field, schema: s}, nil
}

// schemaProblem is the innermost cause of a fragment that does not compile.
func schemaProblem(err error) string {
	var ve *jsonschema.ValidationError
	if !errors.As(err, &ve) {
		var se *jsonschema.SchemaError
		if errors.As(err, &se) && se.Err != nil {
			return strings.TrimPrefix(se.Err.Error(), "jsonschema: ")
		}
		return err.Error()
	}
	leaf := leaves(ve)[0]
	return strings.TrimSpace(leaf.InstanceLocation + " " + leaf.Message)
}

// leaves returns the innermost errors, of which the others are summaries.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var out []*jsonschema.ValidationError
	for _, c := range e.Causes {
		out = append(out, leaves(c)...)
	}
	return out
}

func invalid(field, format string, args ...any) error {
	return parse.Errorf(parse.ValidationError, "%s: %s", field, fmt.Sprintf(format, args...))
}

var errNotFinite = errors.New("must be a finite number")

// fullValidator checks by the whole of JSON Schema.
type fullValidator struct {
	field  string
	schema *jsonschema.Schema
}

// Validate implements Validator.
func (f *fullValidator) Validate(v parse.Value) error {
	if v == nil {
		return nil
	}
	plain, err := plainJSON(v)
	if errors.Is(err, errNotFinite) {
		return invalid(f.field, "%s", errNotFinite)
	}
	if err != nil {
		return fmt.Errorf("validate %s: %w", f.field, err)
	}
	err = f.schema.Validate(plain)
	var ve *jsonschema.ValidationError
	if err == nil {
		return nil
	}
	if !errors.As(err, &ve) {
		return fmt.Errorf("validate %s: %w", f.field, err)
	}
	seen := map[string]bool{}
	var parts []string
	for _, l := range leaves(ve) {
		text := l.Message
		if at := strings.TrimPrefix(l.InstanceLocation, "/"); at != "" {
			text = at + " " + text
		}
		if !seen[text] {
			seen[text] = true
			parts = append(parts, text)
		}
	}
	return invalid(f.field, "%s", strings.Join(parts, ", "))
}

// plainJSON returns v as encoding/json would have decoded it.
func plainJSON(v parse.Value) (any, error) {
	switch v := v.(type) {
	case nil, bool, string:
		return v, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, errNotFinite
		}
		return v, nil
	case parse.Int:
		return json.Number(strconv.FormatInt(int64(v), 10)), nil
	case parse.Date:
		return v.String(), nil
	case parse.Array:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = plainJSON(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *parse.Map:
		out := make(map[string]any, v.Len())
		for key, value := range v.All() {
			var err error
			if out[key], err = plainJSON(value); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	var out any
	if err := json.Unmarshal(parse.AppendJSON(nil, v), &out); err != nil {
		return nil, fmt.Errorf("convert value: %w", err)
	}
	return out, nil
}

// quickValidator checks plain limits of strings and numbers.
type quickValidator struct {
	field                            string
	minimum, maximum                 float64
	exclusiveMinimum                 float64
	exclusiveMaximum                 float64
	hasMin, hasMax                   bool
	hasExclusiveMin, hasExclusiveMax bool
	minLength, maxLength             int // -1: no limit
	pattern                          *regexp.Regexp
	enum                             []parse.Value // nil: any
	enumText                         string
}

// quickRules returns the checks of s without conversion; ok is false if s says more.
func quickRules(field string, s *jsonschema.Schema, keys map[string]json.RawMessage) (q *quickValidator, ok bool) {
	for key := range keys {
		switch key {
		case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "enum",
			"title", "description", "$comment", "examples":
		default:
			return nil, false
		}
	}
	q = &quickValidator{field: field, minLength: s.MinLength, maxLength: s.MaxLength, pattern: s.Pattern}
	number := func(key string, into *float64, has *bool) {
		if raw, given := keys[key]; given {
			*has = json.Unmarshal(raw, into) == nil
		}
	}
	number("minimum", &q.minimum, &q.hasMin)
	number("maximum", &q.maximum, &q.hasMax)
	number("exclusiveMinimum", &q.exclusiveMinimum, &q.hasExclusiveMin)
	number("exclusiveMaximum", &q.exclusiveMaximum, &q.hasExclusiveMax)
	raw, given := keys["enum"]
	if !given {
		return q, true
	}
	list, err := parse.Decode(raw, parse.Limits{})
	values, isArray := list.(parse.Array)
	if err != nil || !isArray {
		return nil, false
	}
	texts := make([]string, len(values))
	for i, v := range values {
		switch v.(type) {
		case string, float64, bool, nil:
		default:
			return nil, false
		}
		texts[i] = string(parse.AppendJSON(nil, v))
	}
	q.enum, q.enumText = values, strings.Join(texts, ", ")
	return q, true
}

// Validate implements Validator.
func (q *quickValidator) Validate(v parse.Value) error {
	if v == nil {
		return nil
	}
	if q.enum != nil && !q.listed(v) {
		return invalid(q.field, "value must be one of %s", q.enumText)
	}
	switch v := v.(type) {
	case float64:
		return q.number(v)
	case parse.Int:
		return q.number(float64(v))
	case parse.Date:
		return q.text(v.String())
	case string:
		return q.text(v)
	}
	return nil
}

func (q *quickValidator) listed(v parse.Value) bool {
	if d, ok := v.(parse.Date); ok {
		v = d.String()
	}
	for _, e := range q.enum {
		if parse.Equal(e, v) {
			return true
		}
	}
	return false
}

func (q *quickValidator) number(n float64) error {
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0):
		return invalid(q.field, "%s", errNotFinite)
	case q.hasMin && n < q.minimum:
		return invalid(q.field, "must be >= %v but found %v", q.minimum, n)
	case q.hasExclusiveMin && n <= q.exclusiveMinimum:
		return invalid(q.field, "must be > %v but found %v", q.exclusiveMinimum, n)
	case q.hasMax && n > q.maximum:
		return invalid(q.field, "must be <= %v but found %v", q.maximum, n)
	case q.hasExclusiveMax && n >= q.exclusiveMaximum:
		return invalid(q.field, "must be < %v but found %v", q.exclusiveMaximum, n)
	}
	return nil
}

func (q *quickValidator) text(s string) error {
	if q.minLength >= 0 || q.maxLength >= 0 {
		n := utf8.RuneCountInString(s)
		if q.minLength >= 0 && n < q.minLength {
			return invalid(q.field, "length must be >= %d, but got %d", q.minLength, n)
		}
		if q.maxLength >= 0 && n > q.maxLength {
			return invalid(q.field, "length must be <= %d, but got %d", q.maxLength, n)
		}
	}
	if q.pattern != nil && !q.pattern.MatchString(s) {
		return invalid(q.field, "does not match pattern '%s'", q.pattern)
	}
	return nil
}
