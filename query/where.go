package query

import (
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// Limits bound one where clause, sub-queries included. A zero field means its
// default.
type Limits struct {
	Depth    int // nesting of $or, $and, $nor, and of sub-queries; default 50
	Nodes    int // constraints; default 1000
	InValues int // elements of one $in, $nin, $all or $containedBy; default 10,000
	RegexLen int // bytes of one $regex; default 4096
	// IncludeDepth bounds the parts of one path of include, keys or
	// excludeKeys, default 50; Names bounds the elements of each list of
	// names and the includes that follow from them, default 1000.
	IncludeDepth, Names int
	// RegexTime is how long a regular expression may take for one text,
	// default DefaultRegexTime; negative: as long as it wants.
	RegexTime time.Duration
	// Now is the clock of $relativeTime; default time.Now.
	Now func() time.Time
}

func (l Limits) withDefaults() Limits {
	set := func(p *int, def int) {
		if *p == 0 {
			*p = def
		}
	}
	set(&l.Depth, 50)
	set(&l.Nodes, 1000)
	set(&l.InValues, 10_000)
	set(&l.RegexLen, 4096)
	set(&l.IncludeDepth, 50)
	set(&l.Names, 1000)
	if l.Now == nil {
		l.Now = time.Now
	}
	return l
}

// Scope says who asks: internal fields are open to the master and the
// maintenance key alone.
type Scope struct {
	Master, Maintenance bool
	// Explain: whoever asks may ask for the outlines of plans. The master key may
	// always ask, and for all of them.
	Explain bool
}

func (s Scope) trusted() bool { return s.Master || s.Maintenance }

// ParseWhere reads a decoded where clause. A nil value, an empty object and an
// empty array give a nil Node. All errors are *parse.Error: 102, 105 or 107.
func ParseWhere(v parse.Value, lim Limits, sc Scope) (Node, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case *parse.Map:
		p := &parser{lim: lim.withDefaults(), sc: sc}
		return p.where(v, 0, 0)
	case parse.Array:
		if len(v) == 0 {
			return nil, nil
		}
	}
	return nil, parse.Errorf(parse.InvalidJSON, "where parameter is not valid JSON")
}

type parser struct {
	lim   Limits
	sc    Scope
	nodes int
}

func (p *parser) count() error {
	if p.nodes++; p.nodes > p.lim.Nodes {
		return parse.Errorf(parse.InvalidQuery, "Query has more than the maximum allowed %d constraints", p.lim.Nodes)
	}
	return nil
}

// where reads one where clause: depth counts $or, $and and $nor around it, sub
// the sub-queries.
func (p *parser) where(m *parse.Map, depth, sub int) (Node, error) {
	nodes := make([]Node, 0, m.Len())
	for key, v := range m.All() {
		if err := p.count(); err != nil {
			return nil, err
		}
		var n Node
		var err error
		switch key {
		case "$or", "$and", "$nor":
			n, err = p.logical(key, v, depth+1, sub)
		case "$relatedTo":
			n, err = relatedTo(v)
		case parse.KeyACL:
			if parse.Truthy(v) {
				err = parse.Errorf(parse.InvalidQuery, "Cannot query on ACL.")
			}
		default:
			if !p.validKey(key) {
				return nil, parse.Errorf(parse.InvalidKeyName, "Invalid key name: %s", key)
			}
			n, err = p.field(Path(key), v, depth, sub)
		}
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return AllOf(nodes...), nil
}

// validName reports whether s is a letter followed by letters, digits, "_" and
// single dots between names.
func validName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '_'):
		case i > 0 && c == '.' && i < len(s)-1 && s[i-1] != '.':
		default:
			return false
		}
	}
	return s != ""
}

func (p *parser) validKey(key string) bool {
	if validName(key) {
		return true
	}
	if !p.sc.trusted() {
		return false
	}
	switch key {
	case "_rperm", "_wperm", "_email_verify_token", "_perishable_token", "_perishable_token_expires_at",
		"_email_verify_token_expires_at", "_failed_login_count", "_account_lockout_expires_at",
		"_password_changed_at", "_password_history", "_tombstone", "_session_token":
		return true
	}
	return false
}

func (p *parser) logical(op string, v parse.Value, depth, sub int) (Node, error) {
	list, ok := v.(parse.Array)
	switch {
	case !ok && !p.sc.trusted():
		return nil, parse.Errorf(parse.InvalidQuery, "%s must be an array", op)
	case !ok && op != "$nor":
		return nil, parse.Errorf(parse.InvalidQuery, "Bad %s format - use an array value.", op)
	case len(list) == 0:
		return nil, parse.Errorf(parse.InvalidQuery, "Bad %s format - use an array of at least 1 value.", op)
	case depth > p.lim.Depth:
		return nil, parse.Errorf(parse.InvalidQuery,
			"Query condition nesting depth exceeds maximum allowed depth of %d", p.lim.Depth)
	}
	nodes := make([]Node, len(list))
	for i, e := range list {
		if err := p.count(); err != nil {
			return nil, err
		}
		m, ok := e.(*parse.Map)
		if !ok {
			return nil, parse.Errorf(parse.InvalidQuery, "%s must be an array of objects", op)
		}
		n, err := p.where(m, depth, sub)
		if err != nil {
			return nil, err
		}
		if op != "$and" && hasNear(n) {
			return nil, parse.Errorf(parse.InvalidQuery, "$nearSphere must be at the top level or inside $and")
		}
		nodes[i] = orAll(n)
	}
	switch op {
	case "$or":
		return &Or{Nodes: nodes}, nil
	case "$nor":
		return &Nor{Nodes: nodes}, nil
	}
	return &And{Nodes: nodes}, nil
}

// hasNear reports whether a tree asks for an order by distance.
func hasNear(n Node) bool {
	found := false
	Walk(n, func(n Node) bool {
		_, near := n.(*Near)
		found = found || near
		return !found
	})
	return found
}

// orAll is n, with an explicit node for "everything".
func orAll(n Node) Node {
	if n == nil {
		return &And{}
	}
	return n
}

func relatedTo(v parse.Value) (Node, error) {
	m, _ := v.(*parse.Map)
	object, _ := m.Get("object")
	key := m.String("key")
	if o, ok := object.(*parse.Object); ok {
		object = o.Self()
	}
	ptr, ok := object.(parse.Pointer)
	if !ok || ptr.ObjectID == "" || !validName(key) || strings.Contains(key, ".") {
		return nil, parse.Errorf(parse.InvalidQuery, "improper usage of $relatedTo")
	}
	return &RelatedTo{Object: ptr, Key: key}, nil
}

// field reads the constraints on one path.
func (p *parser) field(path Path, v parse.Value, depth, sub int) (Node, error) {
	m, ok := v.(*parse.Map)
	if !ok || !hasOperator(m) {
		return &Compare{Path: path, Op: Eq, Value: operand(path, v)}, nil
	}
	var nodes []Node
	plain := &parse.Map{}
	for key, v := range m.All() {
		if !strings.HasPrefix(key, "$") {
			plain.Set(key, v)
			continue
		}
		if err := p.count(); err != nil {
			return nil, err
		}
		n, err := p.constraint(path, key, v, m, sub)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	if plain.Len() > 0 {
		nodes = append(nodes, &Compare{Path: path, Op: Eq, Value: plain})
	}
	return AllOf(joinLists(nodes)...), nil
}

// joinLists makes one list of the $in of a field and what its $inQuery and
// $select find: the protocol appends these to each other.
func joinLists(nodes []Node) []Node {
	var lists, rest []Node
	queries := 0
	for _, n := range nodes {
		switch x := n.(type) {
		case *SubQuery:
			if !x.Negate {
				lists = append(lists, n)
				queries++
				continue
			}
		case *Member:
			if x.Op == In {
				lists = append(lists, n)
				continue
			}
		}
		rest = append(rest, n)
	}
	if queries == 0 || len(lists) < 2 {
		return nodes
	}
	return append(rest, &Or{Nodes: lists})
}

func hasOperator(m *parse.Map) bool {
	for key := range m.All() {
		if strings.HasPrefix(key, "$") {
			return true
		}
	}
	return false
}

// operand is v as it is compared: an included object by its pointer, and text
// against createdAt and updatedAt as a Date.
func operand(path Path, v parse.Value) parse.Value {
	switch x := v.(type) {
	case *parse.Object:
		return x.Self()
	case string:
		if path == parse.KeyCreatedAt || path == parse.KeyUpdatedAt {
			if d, ok := parse.ParseDate(x); ok {
				return d
			}
		}
	}
	return v
}

var comparisons = map[string]Op{"$eq": Eq, "$ne": Ne, "$lt": Lt, "$lte": Lte, "$gt": Gt, "$gte": Gte}

// constraint reads one operator; all is the object it stands in.
func (p *parser) constraint(path Path, key string, v parse.Value, all *parse.Map, sub int) (Node, error) {
	if op, ok := comparisons[key]; ok {
		d, ok, err := p.relativeTime(v, key, op)
		switch {
		case err != nil:
			return nil, err
		case ok:
			return &Compare{Path: path, Op: op, Value: d, Relative: true}, nil
		}
		if err := checkOperand(v, op); err != nil {
			return nil, err
		}
		return &Compare{Path: path, Op: op, Value: operand(path, v)}, nil
	}
	switch key {
	case "$in":
		return p.member(path, In, key, v)
	case "$nin":
		return p.member(path, Nin, key, v)
	case "$all":
		return p.member(path, All, key, v)
	case "$containedBy":
		return p.member(path, ContainedBy, key, v)
	case "$exists":
		if _, _, err := p.relativeTime(v, key, Eq); err != nil {
			return nil, err
		}
		return &Exists{Path: path, Want: parse.Truthy(v)}, nil
	case "$regex":
		options, _ := all.Get("$options")
		return p.regex(path, v, options, all.Has("$options"))
	case "$options":
		if !all.Has("$regex") {
			return nil, parse.Errorf(parse.InvalidQuery, "$options needs a $regex")
		}
		return nil, nil
	case "$inQuery", "$notInQuery":
		return p.inQuery(path, key, v, sub+1)
	case "$select", "$dontSelect":
		return p.selectQuery(path, key, v, sub+1)
	case "$nearSphere":
		return near(path, v, all)
	case "$maxDistance", "$maxDistanceInRadians", "$maxDistanceInMiles", "$maxDistanceInKilometers":
		if !all.Has("$nearSphere") {
			return nil, parse.Errorf(parse.InvalidQuery, "%s needs a $nearSphere", key)
		}
		return nil, nil
	case "$within":
		return within(path, v)
	case "$geoWithin":
		return p.geoWithin(path, v)
	case "$geoIntersects":
		return intersects(path, v)
	case "$text":
		return p.text(path, v)
	}
	return nil, parse.Errorf(parse.InvalidJSON, "bad constraint: %s", key)
}

// checkOperand refuses operators inside a value, and what has no order in a
// comparison.
func checkOperand(v parse.Value, op Op) error {
	switch v := v.(type) {
	case *parse.Map:
		if op == Eq || op == Ne {
			if !hasOperator(v) {
				return nil
			}
		}
	case parse.Array:
		if op == Eq || op == Ne {
			return nil
		}
	default:
		return nil
	}
	return parse.Errorf(parse.InvalidJSON, "bad atom: %s", parse.AppendJSON(nil, v))
}

func (p *parser) member(path Path, op Op, key string, v parse.Value) (Node, error) {
	list, ok := v.(parse.Array)
	if !ok {
		if op == ContainedBy {
			return nil, parse.Errorf(parse.InvalidJSON, "bad $containedBy: should be an array")
		}
		return nil, parse.Errorf(parse.InvalidJSON, "bad %s value", key)
	}
	values := make([]parse.Value, 0, len(list))
	for _, e := range list {
		if inner, ok := e.(parse.Array); ok && (op == In || op == Nin) {
			values = append(values, inner...)
		} else {
			values = append(values, e)
		}
		if len(values) > p.lim.InValues {
			return nil, parse.Errorf(parse.InvalidQuery, "%s has more than the maximum allowed %d values", key, p.lim.InValues)
		}
	}
	if op == All {
		if n, err := p.allRegex(path, values); n != nil || err != nil {
			return n, err
		}
	}
	for i, e := range values {
		if err := checkOperand(e, Eq); err != nil {
			return nil, err
		}
		values[i] = operand(path, e)
	}
	return &Member{Path: path, Op: op, Values: values}, nil
}

// allRegex reads an $all whose elements are prefixes ({"$regex":"^\\Q…"}); it
// returns nil if no element is a regex.
func (p *parser) allRegex(path Path, values []parse.Value) (Node, error) {
	var nodes []Node
	for _, e := range values {
		m, _ := e.(*parse.Map)
		if pattern, ok := m.Get("$regex"); ok {
			if s, _ := pattern.(string); !strings.HasPrefix(s, `^\Q`) {
				break
			}
			if err := p.count(); err != nil {
				return nil, err
			}
			options, has := m.Get("$options")
			n, err := p.regex(path, pattern, options, has)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
	}
	switch len(nodes) {
	case 0:
		for _, e := range values {
			if m, _ := e.(*parse.Map); m.Has("$regex") {
				return nil, badAll(values)
			}
		}
		return nil, nil
	case len(values):
		return AllOf(nodes...), nil
	}
	return nil, badAll(values)
}

func badAll(values []parse.Value) error {
	return parse.Errorf(parse.InvalidJSON, "All $all values must be of regex type or none: %s",
		parse.AppendJSON(nil, parse.Array(values)))
}

func (p *parser) regex(path Path, v, options parse.Value, hasOptions bool) (Node, error) {
	pattern, ok := v.(string)
	if !ok {
		return nil, parse.Errorf(parse.InvalidQuery, "$regex value must be a string")
	}
	letters, ok := options.(string)
	switch {
	case hasOptions && !ok:
		return nil, parse.Errorf(parse.InvalidQuery, "$options value must be a string")
	case strings.Trim(letters, "imxsu") != "":
		return nil, parse.Errorf(parse.InvalidQuery, "Bad $options value for query: %s", letters)
	case len(pattern) > p.lim.RegexLen:
		return nil, parse.Errorf(parse.InvalidQuery, "$regex is longer than the maximum allowed %d bytes", p.lim.RegexLen)
	}
	n, err := NewRegex(path, pattern, letters, p.lim.RegexTime)
	if err != nil {
		return nil, err
	}
	return n, nil
}

func (p *parser) subDepth(sub int) error {
	if sub > p.lim.Depth {
		return parse.Errorf(parse.InvalidQuery, "Subquery nesting depth exceeds maximum allowed depth of %d", p.lim.Depth)
	}
	return nil
}

func (p *parser) inQuery(path Path, key string, v parse.Value, sub int) (Node, error) {
	m, _ := v.(*parse.Map)
	where, _ := m.Get("where")
	inner, ok := where.(*parse.Map)
	class := m.String("className")
	if !ok || class == "" {
		return nil, parse.Errorf(parse.InvalidQuery, "improper usage of %s", key)
	}
	if err := p.subDepth(sub); err != nil {
		return nil, err
	}
	n, err := p.where(inner, 0, sub)
	if err != nil {
		return nil, err
	}
	return &SubQuery{
		Path: path, Negate: key == "$notInQuery", ClassName: class, Where: n,
		Redirect: m.String("redirectClassNameForKey"),
	}, nil
}

func (p *parser) selectQuery(path Path, key string, v parse.Value, sub int) (Node, error) {
	m, _ := v.(*parse.Map)
	q, _ := m.Get("query")
	query, _ := q.(*parse.Map)
	class, field := query.String("className"), m.String("key")
	if class == "" || !validName(field) || m.Len() != 2 {
		return nil, parse.Errorf(parse.InvalidQuery, "improper usage of %s", key)
	}
	if err := p.subDepth(sub); err != nil {
		return nil, err
	}
	out := &SubQuery{
		Path: path, Negate: key == "$dontSelect", ClassName: class, Key: Path(field),
		Redirect: query.String("redirectClassNameForKey"),
	}
	if where, _ := query.Get("where"); where != nil {
		inner, ok := where.(*parse.Map)
		if !ok {
			return nil, parse.Errorf(parse.InvalidQuery, "improper usage of %s", key)
		}
		var err error
		if out.Where, err = p.where(inner, 0, sub); err != nil {
			return nil, err
		}
	}
	return out, nil
}
