package schema

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// opNames are the operations in the order of the protocol's answers.
var opNames = [...]struct {
	op   Operation
	name string
}{{Find, "find"}, {Get, "get"}, {Count, "count"}, {Create, "create"}, {Update, "update"}, {DeleteOp, "delete"}, {AddField, "addField"}, {Aggregate, AggregateKey}}

// AggregateKey is the key of the permission to aggregate. Since Parse Server
// refuses it, answers have it only where it is set, and databases that Parse
// Server reads keep it apart.
const AggregateKey = "aggregate"

// String returns the name of the operation as on the wire.
func (op Operation) String() string {
	for _, o := range opNames {
		if o.op == op {
			return o.name
		}
	}
	return ""
}

func operationNamed(name string) (Operation, bool) {
	for _, o := range opNames {
		if o.name == name {
			return o.op, true
		}
	}
	return 0, false
}

// Keys of class-level permissions that are not operations.
const (
	clpACL             = "ACL"
	clpReadUserFields  = "readUserFields"
	clpWriteUserFields = "writeUserFields"
	clpProtected       = "protectedFields"
	entAuthenticated   = "requiresAuthentication"
	entPointers        = "pointerFields"
	userFieldPrefix    = "userField:"
)

// reporter is told every problem: at is its JSON pointer within what is read.
type reporter func(at string, err *parse.Error)

// first returns a reporter that keeps the first problem alone.
func first(err *error) reporter {
	return func(_ string, e *parse.Error) {
		if *err == nil {
			*err = e
		}
	}
}

// CLPFromMap reads stored class-level permissions in their wire form. A nil map is
// "no permissions stored": nil. c, with its fields, is what names of columns
// are checked against; a nil c leaves that check out, as is right for stored
// permissions, whose fields may be gone. Errors have code 107 and the
// protocol's texts.
func CLPFromMap(m *parse.Map, c *Class) (*CLP, error) {
	var err error
	r := clpReader{class: c, anyUser: c == nil, report: first(&err)}
	p := r.read(m)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (r *clpReader) read(m *parse.Map) *CLP {
	if m == nil {
		return nil
	}
	p := &CLP{Ops: map[Operation]*Permission{}, Protected: map[string][]string{}}
	for key, v := range m.All() {
		at := pointer(key)
		switch key {
		case clpReadUserFields:
			p.ReadUserFields = r.userFields(at, key, v)
		case clpWriteUserFields:
			p.WriteUserFields = r.userFields(at, key, v)
		case clpProtected:
			r.protected(at, v, p.Protected)
		case clpACL:
			p.DefaultACL = r.acl(at, v)
		default:
			op, ok := operationNamed(key)
			if !ok {
				r.fail(at, "%s is not a valid operation for class level permissions", key)
				continue
			}
			p.Ops[op] = r.permission(at, key, v)
		}
	}
	return p
}

type clpReader struct {
	class *Class
	// anyUser: a user id may be any text.
	anyUser bool
	report  reporter
}

func (r *clpReader) fail(at, format string, args ...any) {
	r.report(at, parse.Errorf(parse.InvalidJSON, format, args...))
}

func (r *clpReader) permission(at, op string, v parse.Value) *Permission {
	p := &Permission{}
	m, ok := v.(*parse.Map)
	if !ok {
		r.fail(at, "'%s' is not a valid value for class level permissions %s - must be an object", jsText(v), op)
		return p
	}
	for entity, v := range m.All() {
		at := at + pointer(entity)
		if entity == entPointers {
			p.PointerFields = r.pointerFields(at, op, v)
			continue
		}
		if !r.validEntity(entity) && entity != entAuthenticated {
			r.fail(at, "'%s' is not a valid key for class level permissions", entity)
			continue
		}
		if v != true {
			r.fail(at, "'%s' is not a valid value for class level permissions acl %s:%s", jsText(v), op, entity)
			continue
		}
		switch entity {
		case parse.Public:
			p.Public = true
		case entAuthenticated:
			p.RequiresAuthentication = true
		default:
			if p.Subjects == nil {
				p.Subjects = map[string]bool{}
			}
			p.Subjects[entity] = true
		}
	}
	return p
}

// validEntity accepts "*", "role:…" and what may be a user id.
func (r *clpReader) validEntity(s string) bool {
	if s == parse.Public {
		return true
	}
	if name, ok := strings.CutPrefix(s, parse.RolePrefix); ok {
		return name != ""
	}
	if r.anyUser {
		return s != ""
	}
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != ""
}

func (r *clpReader) pointerFields(at, op string, v parse.Value) []string {
	list, ok := v.(parse.Array)
	if !ok {
		r.fail(at, "'%s' is not a valid value for %s[pointerFields] - expected an array.", jsText(v), op)
		return nil
	}
	return r.columns(at, op, list)
}

func (r *clpReader) userFields(at, key string, v parse.Value) []string {
	list, ok := v.(parse.Array)
	if !ok {
		r.fail(at, "'%s' is not a valid value for class level permissions %s - must be an array", jsText(v), key)
		return nil
	}
	return r.columns(at, key, list)
}

func (r *clpReader) columns(at, key string, list parse.Array) []string {
	out := make([]string, 0, len(list))
	for i, v := range list {
		name, ok := v.(string)
		if ok && r.class != nil {
			f := r.class.Fields[name]
			ok = f != nil && (f.Type == Array || f.Type == Pointer && f.TargetClass == UserClass)
		}
		if !ok {
			r.fail(at+"/"+strconv.Itoa(i), "'%s' is not a valid column for class level pointer permissions %s", jsText(v), key)
			continue
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func (r *clpReader) protected(at string, v parse.Value, into map[string][]string) {
	if _, ok := v.(parse.Array); ok {
		return // the protocol takes it and means nothing by it
	}
	m, ok := v.(*parse.Map)
	if !ok {
		r.fail(at, "'%s' is not a valid value for class level permissions %s - must be an object", jsText(v), clpProtected)
		return
	}
	for entity, v := range m.All() {
		at := at + pointer(entity)
		if !r.validEntity(entity) && (!strings.HasPrefix(entity, userFieldPrefix) || entity == userFieldPrefix) {
			r.fail(at, "'%s' is not a valid key for class level permissions", entity)
			continue
		}
		list, ok := v.(parse.Array)
		if !ok {
			r.fail(at, "'%s' is not a valid value for protectedFields[%s] - expected an array.", jsText(v), entity)
			continue
		}
		fields := make([]string, 0, len(list))
		for i, v := range list {
			name, _ := v.(string)
			at := at + "/" + strconv.Itoa(i)
			switch {
			case isSystemField(name):
				r.fail(at, "Default field '%s' can not be protected", name)
			case name == "" || r.class != nil && r.class.Fields[name] == nil:
				r.fail(at, "Field '%s' in protectedFields:%s does not exist", jsText(v), entity)
			default:
				fields = append(fields, name)
			}
		}
		into[entity] = fields
	}
}

// acl reads the default ACL; public read and write is the same as none.
func (r *clpReader) acl(at string, v parse.Value) *parse.ACL {
	m, ok := v.(*parse.Map)
	if !ok {
		r.fail(at, "'%s' is not a valid value for class level permissions acl", jsText(v))
		return nil
	}
	acl := parse.NewACL()
	for entity, v := range m.All() {
		at := at + pointer(entity)
		rights, ok := v.(*parse.Map)
		switch {
		case !r.validEntity(entity):
			r.fail(at, "'%s' is not a valid key for class level permissions", entity)
			continue
		case !ok:
			r.fail(at, "'%s' is not a valid value for class level permissions acl", jsText(v))
			continue
		}
		given := map[string]bool{}
		var unknown []string
		for right, v := range rights.All() {
			flag, ok := v.(bool)
			switch {
			case right != "read" && right != "write":
				unknown = append(unknown, right)
			case !ok:
				r.fail(at+pointer(right), "'%s' is not a valid value for class level permissions acl", jsText(v))
			}
			given[right] = flag
		}
		if len(unknown) > 0 {
			r.fail(at, "'%s' is not a valid key for class level permissions acl", strings.Join(unknown, ","))
		}
		acl.Set(entity, given["read"], given["write"])
	}
	if e := acl.Entries(); len(e) == 1 && e[0].Subject == parse.Public && e[0].Read && e[0].Write {
		return nil
	}
	return acl
}

// jsText prints a value as the protocol's texts do, which is JavaScript's way.
func jsText(v parse.Value) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case parse.Int:
		return strconv.FormatInt(int64(v), 10)
	case string:
		return v
	case parse.Array:
		parts := make([]string, len(v))
		for i := range v {
			if v[i] != nil {
				parts[i] = jsText(v[i])
			}
		}
		return strings.Join(parts, ",")
	}
	return "[object Object]"
}

// Map returns the wire form of the permissions, every operation included. A
// nil CLP gives the permissions of a class that has none: all public.
func (c *CLP) Map() *parse.Map {
	m := &parse.Map{}
	if c == nil {
		m.Set(clpACL, parse.NewACL(parse.ACLEntry{Subject: parse.Public, Read: true, Write: true}).Value())
		for _, o := range opNames {
			if o.op != Aggregate {
				m.Set(o.name, parse.NewMap(parse.MapField{Key: parse.Public, Value: true}))
			}
		}
		m.Set(clpProtected, parse.NewMap(parse.MapField{Key: parse.Public, Value: parse.Array{}}))
		return m
	}
	if c.DefaultACL != nil {
		m.Set(clpACL, c.DefaultACL.Value())
	}
	for _, o := range opNames {
		if p := c.Ops[o.op]; o.op != Aggregate || p.wire().Len() > 0 {
			m.Set(o.name, p.wire())
		}
	}
	protected := &parse.Map{}
	for _, entity := range slices.Sorted(maps.Keys(c.Protected)) {
		protected.Set(entity, texts(c.Protected[entity]))
	}
	m.Set(clpProtected, protected)
	if len(c.ReadUserFields) > 0 {
		m.Set(clpReadUserFields, texts(c.ReadUserFields))
	}
	if len(c.WriteUserFields) > 0 {
		m.Set(clpWriteUserFields, texts(c.WriteUserFields))
	}
	return m
}

func (p *Permission) wire() *parse.Map {
	m := &parse.Map{}
	if p == nil {
		return m
	}
	if p.Public {
		m.Set(parse.Public, true)
	}
	if p.RequiresAuthentication {
		m.Set(entAuthenticated, true)
	}
	for _, s := range slices.Sorted(maps.Keys(p.Subjects)) {
		if p.Subjects[s] {
			m.Set(s, true)
		}
	}
	if len(p.PointerFields) > 0 {
		m.Set(entPointers, texts(p.PointerFields))
	}
	return m
}

func texts(list []string) parse.Array {
	out := make(parse.Array, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// pointer returns one step of a JSON pointer.
func pointer(key string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
