package query

import (
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// Limits bound a where clause. A zero field means its default.
type Limits struct {
	Depth    int // nesting of $or, $and, $nor and sub-queries; default 20
	Nodes    int // constraints in all; default 1,000
	InValues int // values of one $in; default 10,000
	RegexLen int // length of a pattern; default 2,000
}

func (l Limits) orDefault() Limits {
	def := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	def(&l.Depth, 20)
	def(&l.Nodes, 1_000)
	def(&l.InValues, 10_000)
	def(&l.RegexLen, 2_000)
	return l
}

// Scope says which keys a query may use: internal fields are for keys that
// bypass permissions.
type Scope struct{ Master, Maintenance bool }

// masterKeys are internal fields that the master key may query (reference 01 §8.2).
var masterKeys = []string{
	"_email_verify_token", "_perishable_token", "_perishable_token_expires_at", "_email_verify_token_expires_at",
	"_failed_login_count", "_account_lockout_expires_at", "_password_changed_at", "_password_history", "_tombstone", "_session_token",
}

type parser struct {
	lim   Limits
	sc    Scope
	nodes int
}

// ParseWhere reads a decoded where clause. A nil value is no constraint.
// Errors are those of the protocol: 102, 105 and 107.
func ParseWhere(v parse.Value, lim Limits, sc Scope) (Node, error) {
	p := &parser{lim: lim.orDefault(), sc: sc}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case *parse.Map:
		return p.where(v, 0)
	case parse.Array:
		if len(v) == 0 {
			return nil, nil
		}
	}
	return nil, parse.Errorf(parse.InvalidJSON, "where parameter is not valid JSON")
}

func (p *parser) count() error {
	if p.nodes++; p.nodes > p.lim.Nodes {
		return parse.Errorf(parse.InvalidQuery, "the query has more than %d constraints", p.lim.Nodes)
	}
	return nil
}

func (p *parser) where(m *parse.Map, depth int) (Node, error) {
	if depth > p.lim.Depth {
		return nil, parse.Errorf(parse.InvalidQuery, "the query is nested deeper than %d levels", p.lim.Depth)
	}
	nodes := make([]Node, 0, m.Len())
	for i := range m.Len() {
		f := m.At(i)
		if err := p.count(); err != nil {
			return nil, err
		}
		var (
			n   Node
			err error
		)
		switch f.Key {
		case "$or", "$and", "$nor":
			n, err = p.logical(f.Key, f.Value, depth)
		case "$relatedTo":
			n, err = relatedTo(f.Value)
		case "ACL":
			if parse.Truthy(f.Value) {
				return nil, parse.Errorf(parse.InvalidQuery, "Cannot query on ACL.")
			}
			continue
		case "$text":
			return nil, unsupported("$text")
		default:
			if err = p.checkKey(f.Key); err == nil {
				n, err = p.constraint(Path(alias(f.Key)), f.Value, depth)
			}
		}
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return AllOf(nodes...), nil
}

// alias maps the names under which dates are stored to those on the wire.
func alias(key string) string {
	switch key {
	case "_created_at":
		return parse.KeyCreatedAt
	case "_updated_at":
		return parse.KeyUpdatedAt
	}
	return key
}

func (p *parser) checkKey(key string) error {
	if validKey(key) || p.sc.Maintenance && strings.HasPrefix(key, "_") && key != "_hashed_password" ||
		p.sc.Master && slices.Contains(masterKeys, key) {
		return nil
	}
	return parse.Errorf(parse.InvalidKeyName, "Invalid key name: %s", key)
}

// validKey reports whether a key is ^[a-zA-Z][a-zA-Z0-9_.]*$ with no empty segment.
func validKey(key string) bool {
	if key == "" || !letter(key[0]) || key[len(key)-1] == '.' || strings.Contains(key, "..") {
		return false
	}
	for i := 1; i < len(key); i++ {
		if c := key[i]; !letter(c) && (c < '0' || c > '9') && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func (p *parser) logical(op string, v parse.Value, depth int) (Node, error) {
	list, ok := v.(parse.Array)
	if !ok {
		if op == "$nor" {
			return nil, parse.Errorf(parse.InvalidQuery, "Bad $nor format - use an array of at least 1 value.")
		}
		return nil, parse.Errorf(parse.InvalidQuery, "%s must be an array", op)
	}
	if len(list) == 0 {
		if op == "$nor" {
			return nil, parse.Errorf(parse.InvalidQuery, "Bad $nor format - use an array of at least 1 value.")
		}
		return nil, parse.Errorf(parse.InvalidQuery, "%s must not be empty", op)
	}
	nodes := make([]Node, 0, len(list))
	for _, e := range list {
		m, ok := e.(*parse.Map)
		if !ok {
			return nil, parse.Errorf(parse.InvalidQuery, "%s must be an array of where clauses", op)
		}
		n, err := p.where(m, depth+1)
		if err != nil {
			return nil, err
		}
		if n == nil {
			n = &And{}
		}
		nodes = append(nodes, n)
	}
	switch op {
	case "$or":
		return &Or{nodes}, nil
	case "$nor":
		return &Nor{nodes}, nil
	}
	return &And{nodes}, nil
}

func relatedTo(v parse.Value) (Node, error) {
	m, ok := v.(*parse.Map)
	if ok {
		ov, _ := m.Get("object")
		if ptr, ok := ov.(parse.Pointer); ok && m.String("key") != "" {
			return &RelatedTo{Object: ptr, Key: m.String("key")}, nil
		}
	}
	return nil, parse.Errorf(parse.InvalidQuery, "improper usage of $relatedTo")
}

func unsupported(op string) error {
	return parse.Errorf(parse.InvalidQuery, "%s is not supported by this version of the server", op)
}

// constraint reads the value of one key: a literal, or an object of operators.
func (p *parser) constraint(path Path, v parse.Value, depth int) (Node, error) {
	m, ok := v.(*parse.Map)
	if !ok {
		if _, isArray := v.(parse.Array); isArray {
			return nil, parse.Errorf(parse.InvalidJSON, "You cannot use an array as a query parameter; use $all or $eq.")
		}
		return &Compare{Path: path, Op: Eq, Value: literal(path, v)}, nil
	}
	operators, plain := 0, 0
	for k := range m.All() {
		if strings.HasPrefix(k, "$") {
			operators++
		} else {
			plain++
		}
	}
	switch {
	case operators == 0:
		return nil, parse.Errorf(parse.InvalidJSON, "You cannot use [object Object] as a query parameter.")
	case plain > 0:
		return nil, parse.Errorf(parse.InvalidJSON, "a constraint on %s mixes operators and plain keys", path)
	}
	nodes := make([]Node, 0, operators)
	for i := range m.Len() {
		f := m.At(i)
		if f.Key == "$options" {
			if !m.Has("$regex") {
				return nil, parse.Errorf(parse.InvalidQuery, "$options needs $regex")
			}
			continue
		}
		if i > 0 {
			if err := p.count(); err != nil {
				return nil, err
			}
		}
		n, err := p.operator(path, f.Key, f.Value, m, depth)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return AllOf(nodes...), nil
}

var comparisons = map[string]Op{"$eq": Eq, "$ne": Ne, "$lt": Lt, "$lte": Lte, "$gt": Gt, "$gte": Gte}

func (p *parser) operator(path Path, op string, v parse.Value, m *parse.Map, depth int) (Node, error) {
	if cmp, ok := comparisons[op]; ok {
		switch inner := v.(type) {
		case *parse.Map:
			if inner.Has("$relativeTime") {
				return nil, unsupported("$relativeTime")
			}
			if cmp != Eq && cmp != Ne {
				return nil, badAtom(v)
			}
		case parse.Array:
			if cmp != Eq && cmp != Ne {
				return nil, badAtom(v)
			}
		}
		return &Compare{Path: path, Op: cmp, Value: literal(path, v)}, nil
	}
	switch op {
	case "$in", "$nin", "$all", "$containedBy":
		return p.member(path, op, v)
	case "$exists":
		return &Exists{Path: path, Want: parse.Truthy(v)}, nil
	case "$regex":
		return p.regex(path, v, m)
	case "$inQuery", "$notInQuery":
		return p.inQuery(path, op, v, depth)
	case "$select", "$dontSelect":
		return p.selectQuery(path, op, v, depth)
	case "$nearSphere", "$within", "$geoWithin", "$geoIntersects", "$maxDistance", "$maxDistanceInRadians",
		"$maxDistanceInMiles", "$maxDistanceInKilometers", "$text":
		return nil, unsupported(op)
	}
	return nil, parse.Errorf(parse.InvalidJSON, "bad constraint: %s", op)
}

func badAtom(v parse.Value) error {
	return parse.Errorf(parse.InvalidJSON, "bad atom: %s", parse.AppendJSON(nil, v))
}

// literal reads the ISO strings that the system dates accept (reference 01 §8.3).
func literal(path Path, v parse.Value) parse.Value {
	s, ok := v.(string)
	if !ok {
		return v
	}
	switch path {
	case parse.KeyCreatedAt, parse.KeyUpdatedAt, "expiresAt":
		if d, ok := parse.ParseDate(s); ok {
			return d
		}
	}
	return v
}

func (p *parser) member(path Path, op string, v parse.Value) (Node, error) {
	list, ok := v.(parse.Array)
	if !ok {
		if op == "$containedBy" {
			return nil, parse.Errorf(parse.InvalidJSON, "bad $containedBy: should be an array")
		}
		return nil, parse.Errorf(parse.InvalidJSON, "bad %s value", op)
	}
	if len(list) > p.lim.InValues {
		return nil, parse.Errorf(parse.InvalidQuery, "%s has more than %d values", op, p.lim.InValues)
	}
	kind := In
	switch op {
	case "$nin":
		kind = Nin
	case "$all":
		return p.all(path, list)
	case "$containedBy":
		kind = ContainedBy
	}
	values := make([]parse.Value, 0, len(list))
	for _, e := range list {
		if nested, ok := e.(parse.Array); ok && kind != ContainedBy { // flattened by one level
			for _, inner := range nested {
				values = append(values, literal(path, inner))
			}
			continue
		}
		values = append(values, literal(path, e))
	}
	return &Member{Path: path, Op: kind, Values: values}, nil
}

// all reads $all: values, or patterns of which each must match an element.
func (p *parser) all(path Path, list parse.Array) (Node, error) {
	patterns := make([]Node, 0, len(list))
	for _, e := range list {
		if m, ok := e.(*parse.Map); ok && m.Has("$regex") {
			n, err := p.regex(path, mustGet(m, "$regex"), m)
			if err != nil {
				return nil, err
			}
			patterns = append(patterns, n)
		}
	}
	switch {
	case len(patterns) == 0:
		return &Member{Path: path, Op: All, Values: slices.Clone([]parse.Value(list))}, nil
	case len(patterns) < len(list):
		return nil, parse.Errorf(parse.InvalidJSON, "All $all values must be of regex type or none: %s", parse.AppendJSON(nil, list))
	}
	return AllOf(patterns...), nil
}

func mustGet(m *parse.Map, key string) parse.Value {
	v, _ := m.Get(key)
	return v
}

func (p *parser) regex(path Path, v parse.Value, m *parse.Map) (Node, error) {
	pattern, ok := v.(string)
	if !ok {
		return nil, parse.Errorf(parse.InvalidQuery, "$regex value must be a string")
	}
	options := ""
	if o, ok := m.Get("$options"); ok {
		if options, ok = o.(string); !ok {
			return nil, parse.Errorf(parse.InvalidQuery, "$options value must be a string")
		}
	}
	if strings.Trim(options, "imxsu") != "" {
		return nil, parse.Errorf(parse.InvalidQuery, "Bad $options value for query: %s", options)
	}
	if len(pattern) > p.lim.RegexLen {
		return nil, parse.Errorf(parse.InvalidQuery, "$regex is longer than %d characters", p.lim.RegexLen)
	}
	if _, err := compileRegex(pattern, options); err != nil {
		return nil, err
	}
	return &Regex{Path: path, Pattern: pattern, Options: options}, nil
}

func (p *parser) inQuery(path Path, op string, v parse.Value, depth int) (Node, error) {
	improper := parse.Errorf(parse.InvalidQuery, "improper usage of %s", op)
	m, ok := v.(*parse.Map)
	if !ok || m.String("className") == "" {
		return nil, improper
	}
	where, ok := mustGet(m, "where").(*parse.Map)
	if !ok {
		return nil, improper
	}
	n, err := p.where(where, depth+1)
	if err != nil {
		return nil, err
	}
	return &SubQuery{
		Path: path, Negate: op == "$notInQuery", ClassName: m.String("className"),
		Where: n, Redirect: m.String("redirectClassNameForKey"),
	}, nil
}

func (p *parser) selectQuery(path Path, op string, v parse.Value, depth int) (Node, error) {
	improper := parse.Errorf(parse.InvalidQuery, "improper usage of %s", op)
	m, ok := v.(*parse.Map)
	if !ok || m.Len() != 2 || m.String("key") == "" || !validKey(m.String("key")) {
		return nil, improper
	}
	q, ok := mustGet(m, "query").(*parse.Map)
	if !ok || q.String("className") == "" {
		return nil, improper
	}
	var n Node
	if w := mustGet(q, "where"); w != nil {
		where, ok := w.(*parse.Map)
		if !ok {
			return nil, improper
		}
		var err error
		if n, err = p.where(where, depth+1); err != nil {
			return nil, err
		}
	}
	return &SubQuery{Path: path, Negate: op == "$dontSelect", ClassName: q.String("className"), Where: n, Key: Path(m.String("key"))}, nil
}
