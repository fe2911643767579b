package schema

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/pargo-baas/pargo/parse"
)

//go:embed schema.schema.json
var metaSchema string

// MetaSchema returns the JSON Schema of schema files, as docs/schema.schema.json has it.
func MetaSchema() string { return metaSchema }

// Document is a schema file that has been read.
type Document struct {
	// Classes are complete with default fields, in the order of the file.
	Classes []*Class
	// Defined: the classes come from the list "definitions" and mean what Parse
	// Server means by it: what else is stored is tidied up, see [Document.Plan].
	Defined bool
	// Strict asks for warnings about what is stored but not defined.
	Strict bool
	// LockSchemas forbids to create and change classes over REST.
	LockSchemas bool
	// DeleteExtraFields drops fields that are stored but not defined, with their data.
	DeleteExtraFields bool
	// RecreateModifiedFields drops fields whose type has changed, with their
	// data, and adds them anew.
	RecreateModifiedFields bool
	// KeepUnknownIndexes keeps the indexes that a list "definitions" lacks.
	KeepUnknownIndexes bool
	// Cloud names the cloud-code bundle that belongs to the classes, or is "".
	Cloud string
	// Description documents the file.
	Description string
}

// Problem is one mistake in a schema file.
type Problem struct {
	Pointer string // JSON pointer to the mistake, "" for the file as a whole
	Message string
	Remedy  string
}

// FileError lists all mistakes of a schema file, one a line.
type FileError struct {
	Name     string
	Problems []Problem
}

// Error implements error.
func (e *FileError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = e.Name + ": "
		if p.Pointer != "" {
			lines[i] += p.Pointer + ": "
		}
		lines[i] += strings.TrimSpace(p.Message)
		if p.Remedy != "" {
			lines[i] += "; " + p.Remedy
		}
	}
	return strings.Join(lines, "\n")
}

// LoadFile reads a schema file; see [Parse] for what it may hold.
func LoadFile(path string) (*Document, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read schema file: %w", err)
	}
	return Parse(path, data)
}

// Parse reads class definitions in one of three forms, told apart by the key
// that holds the list: "classes" (pargo's own, where User means _User),
// "definitions" (Parse Server's defined schemas) or "results" (the answer of
// GET /schemas). name stands for the file in errors, which are *FileError and
// list all mistakes at once.
func Parse(name string, data []byte) (*Document, error) {
	l := loader{name: name}
	root := l.check(data)
	if root == nil {
		return nil, &FileError{Name: name, Problems: l.problems}
	}
	f := l.read(root)
	if len(l.problems) > 0 {
		return nil, &FileError{Name: name, Problems: l.problems}
	}
	return f, nil
}

type loader struct {
	name     string
	problems []Problem
}

func (l *loader) add(at, message, remedy string) {
	l.problems = append(l.problems, Problem{Pointer: at, Message: message, Remedy: remedy})
}

// check reads the text and holds it against the JSON Schema; nil if it fails.
func (l *loader) check(data []byte) *parse.Map {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var plain any
	if err := json.Unmarshal(data, &plain); err != nil {
		l.syntax(data, err)
		return nil
	}
	root, err := parse.DecodeMap(data, parse.Limits{})
	if err != nil {
		l.add("", message(err), "write one JSON object")
		return nil
	}
	lists := 0
	for _, key := range listKeys {
		if root.Has(key) {
			lists++
		}
	}
	if lists != 1 {
		l.add("", fmt.Sprintf("the file has %d of the lists classes, definitions and results", lists), "write exactly one of them")
		return nil
	}
	meta, err := jsonschema.CompileString("schema.schema.json", metaSchema)
	if err != nil {
		l.add("", err.Error(), "")
		return nil
	}
	err = meta.Validate(plain)
	var ve *jsonschema.ValidationError
	switch {
	case errors.As(err, &ve):
		for _, e := range leaves(ve) {
			l.add(e.InstanceLocation, e.Message, remedy(e))
		}
		l.tidy()
		return nil
	case err != nil:
		l.add("", err.Error(), "")
		return nil
	}
	return root
}

var listKeys = [...]string{"classes", "definitions", "results"}

// syntax reports text that is not JSON, by line and column.
func (l *loader) syntax(data []byte, err error) {
	at := len(data)
	var se *json.SyntaxError
	if errors.As(err, &se) {
		at = min(int(se.Offset), len(data))
	}
	before := data[:at]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	l.add("", fmt.Sprintf("line %d, column %d: %v", line, column, err), "correct the JSON there")
}

// tidy sorts the problems and drops repeated ones.
func (l *loader) tidy() {
	slices.SortStableFunc(l.problems, func(a, b Problem) int { return strings.Compare(a.Pointer, b.Pointer) })
	l.problems = slices.Compact(l.problems)
}

var quoted = regexp.MustCompile(`'([^']+)'`)

// remedy says what to do about a violation of the JSON Schema.
func remedy(e *jsonschema.ValidationError) string {
	switch keyword := e.KeywordLocation[strings.LastIndexByte(e.KeywordLocation, '/')+1:]; keyword {
	case "additionalProperties":
		return "correct the spelling or remove it"
	case "required":
		if m := quoted.FindAllString(e.Message, -1); len(m) > 0 {
			return "add " + strings.Join(m, ", ")
		}
	case "type":
		return "write a value of that type"
	case "enum", "const":
		return "choose one of these"
	case "pattern":
		return "begin with a letter and use letters, digits and underscores"
	}
	return ""
}

// read builds the classes.
func (l *loader) read(root *parse.Map) *Document {
	flag := func(key string) bool { v, _ := root.Get(key); return v == true }
	f := &Document{
		Defined: root.Has("definitions"),
		Strict:  flag("strict"), LockSchemas: flag("lockSchemas"), DeleteExtraFields: flag("deleteExtraFields"),
		RecreateModifiedFields: flag("recreateModifiedFields"), KeepUnknownIndexes: flag("keepUnknownIndexes"),
		Cloud: root.String("cloud"), Description: root.String(keyDescription),
	}
	if f.Description == "" {
		f.Description = root.String(keyComment)
	}
	r := classReader{loose: true, aliases: root.Has("classes"), defined: f.Defined}
	seen := map[string]bool{}
	for _, key := range listKeys {
		v, _ := root.Get(key)
		list, _ := v.(parse.Array)
		for i, v := range list {
			at := pointer(key) + "/" + strconv.Itoa(i)
			r.report = func(sub string, err *parse.Error) { l.add(at+sub, err.Message, remedyFor(err)) }
			m, ok := v.(*parse.Map)
			if !ok {
				l.add(at, "expected a class", "write an object with className and fields")
				continue
			}
			c := r.class(m)
			l.options(at, root, m, c)
			if seen[c.Name] {
				l.add(at+pointer(keyClassName), fmt.Sprintf("class %s is defined twice", c.Name), "join the two definitions")
			}
			seen[c.Name] = true
			f.Classes = append(f.Classes, c)
		}
	}
	l.targets(root, f, seen)
	return f
}

// options reports unknown options of fields in pargo's own form, where they
// can only be misspelt; other forms carry what other servers know.
func (l *loader) options(at string, root, m *parse.Map, c *Class) {
	if !root.Has("classes") {
		return
	}
	v, _ := m.Get(keyFields)
	fields, _ := v.(*parse.Map)
	for name := range fields.All() {
		f := c.Fields[name]
		if f == nil {
			continue
		}
		for option := range f.Extra.All() {
			l.add(at+pointer(keyFields)+pointer(name)+pointer(option), fmt.Sprintf("unknown field option %s", option),
				"use type, targetClass, required, defaultValue, validate or comment")
		}
	}
}

// targets reports pointers to classes that neither the file nor the system has.
func (l *loader) targets(root *parse.Map, f *Document, known map[string]bool) {
	if !root.Has("classes") {
		return // other servers' files may speak of a part of the classes
	}
	for i, c := range f.Classes {
		for _, name := range sortedFields(c) {
			if t := c.Fields[name].TargetClass; t != "" && !known[t] && !IsSystem(t) {
				l.add(fmt.Sprintf("/classes/%d/fields%s/targetClass", i, pointer(name)), fmt.Sprintf("class %s is not defined", t),
					"define it in this file or correct the name")
			}
		}
	}
}

// remedyFor says what to do about a mistake that has one of the protocol's texts.
func remedyFor(err *parse.Error) string {
	switch err.Code {
	case parse.InvalidClassName:
		return "use letters, digits and underscores"
	case parse.InvalidKeyName:
		return "begin with a letter, use letters, digits and underscores, and avoid length, className and constructor"
	case parse.ChangedImmutableField:
		return "leave the field out: the system defines it"
	case parse.MissingRequiredField:
		return "add targetClass"
	case parse.IncorrectType:
		return "make type and value agree"
	case parse.InvalidQuery:
		return "correct the index"
	case parse.ValidationError:
		return "change the default or validate"
	default:
		return "docs/schema-file.md shows what is allowed"
	}
}
