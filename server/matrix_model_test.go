package server_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file is the whole of what the matrix test takes for right: who asks, the
// rules of classes and objects, and what follows from them. It follows the words of
// the protocol and knows nothing of how the server decides.

// matrixCaller is a kind of principal.
type matrixCaller struct {
	name string
	// key is "" for a client, else the key that he has.
	key string
	// user is the id of his user; "" for nobody.
	user  string
	roles []string
}

// Subjects of rules.
const (
	anyone  = "*"
	signed  = "requiresAuthentication"
	theOwn  = "owner00000"
	staff   = "role:staff"
	trainee = "role:trainee"
)

// matrixCallers: the role staff contains the role trainee. Objects point to
// pointed by the field to, and to listed by the list cc.
var matrixCallers = []matrixCaller{
	{name: "nobody"},
	{name: "user", user: "user000000"},
	{name: "owner", user: theOwn},
	{name: "member", user: "member0000", roles: []string{staff}},
	{name: "nested", user: "nested0000", roles: []string{trainee, staff}},
	{name: "pointed", user: "pointed000"},
	{name: "listed", user: "listed0000"},
	{name: "read-only", key: "readonly"},
	{name: "maintenance", key: "maintenance"},
	{name: "master", key: "master"},
}

// groups are the names by which rules may mean the caller.
func (c *matrixCaller) groups() []string {
	if c.user == "" {
		return []string{anyone}
	}
	return append([]string{anyone, c.user}, c.roles...)
}

// operations of class-level permissions.
var (
	readOps  = []string{"get", "find", "count"}
	writeOps = []string{"create", "update", "delete", "addField"}
	classOps = append(append(slices.Clone(readOps), writeOps...), "aggregate")
)

// permission is the rule of one operation.
type permission struct {
	to       []string // subjects, or signed
	pointers []string // pointerFields
}

func (p permission) has(subject string) bool { return slices.Contains(p.to, subject) }

// classRule is a class and what it lets whom do.
type classRule struct {
	name, says string
	// open: the class is made without permissions.
	open        bool
	ops         map[string]permission
	readFields  []string            // readUserFields
	writeFields []string            // writeUserFields
	protected   map[string][]string // by group
	option      map[string][]string // the same, in the option of the server
	defaultACL  string
	// few: with objects of a few kinds, not of all.
	few bool
}

// objectRule is a kind of object.
type objectRule struct {
	name string
	// acl has "r", "w" or "rw" by subject; nil: the object has none.
	acl map[string]string
	// astray: it points to nobody.
	astray bool
	// common: among the few.
	common bool
}

var objectRules = []objectRule{
	{name: "noACL", common: true},
	{name: "astray", astray: true, common: true},
	{name: "emptyACL", acl: map[string]string{}, common: true},
	{name: "publicRW", acl: map[string]string{anyone: "rw"}},
	{name: "publicR", acl: map[string]string{anyone: "r"}},
	{name: "publicW", acl: map[string]string{anyone: "w"}},
	{name: "ownerRW", acl: map[string]string{theOwn: "rw"}, common: true},
	{name: "ownerR", acl: map[string]string{theOwn: "r"}},
	{name: "publicRownerW", acl: map[string]string{anyone: "r", theOwn: "w"}},
	{name: "staffRW", acl: map[string]string{staff: "rw"}},
	{name: "staffW", acl: map[string]string{staff: "w"}},
	{name: "traineeRW", acl: map[string]string{trainee: "rw"}},
	{name: "pointedRW", acl: map[string]string{"pointed000": "rw", staff: "r"}},
}

// all gives every operation the same permission, but for the exceptions.
func all(p permission, exceptions ...map[string]permission) map[string]permission {
	out := map[string]permission{}
	for _, op := range classOps {
		out[op] = p
	}
	for _, e := range exceptions {
		maps.Copy(out, e)
	}
	return out
}

var (
	toAll  = permission{to: []string{anyone}}
	toNone = permission{}
)

func pointers(fields ...string) permission { return permission{pointers: fields} }

var classRules = func() []classRule {
	to := func(subjects ...string) permission { return permission{to: subjects} }
	hides := func(fields ...string) []string { return fields }
	rules := []classRule{
		{name: "Bare", says: "no permissions", open: true},
		{name: "Everybody", says: "`*`", ops: all(toAll)},
		{name: "SignedIn", says: "`requiresAuthentication`", ops: all(to(signed))},
		{name: "OwnerOnly", says: "a user", ops: all(to(theOwn))},
		{name: "StaffOnly", says: "`role:staff`", ops: all(to(staff))},
		{name: "TraineeOnly", says: "`role:trainee`", ops: all(to(trainee))},
		{name: "Closed", says: "`{}`", ops: all(toNone)},
		{name: "Pointed", says: "`pointerFields` to", ops: all(pointers("to"))},
		{name: "Listed", says: "`pointerFields` cc", ops: all(pointers("cc"))},
		{name: "Both", says: "`pointerFields` to, cc", ops: all(pointers("to", "cc"))},
		{name: "StaffOrPointed", says: "`role:staff`, `pointerFields` to", ops: all(permission{to: []string{staff}, pointers: []string{"to"}})},
		{name: "SignedOrPointed", says: "`requiresAuthentication`, `pointerFields` to", ops: all(permission{to: []string{signed}, pointers: []string{"to"}})},
		{name: "UserFields", says: "`{}`, `readUserFields` to, `writeUserFields` cc", ops: all(toNone), readFields: hides("to"), writeFields: hides("cc")},
		{name: "MoreFields", says: "`pointerFields` cc, `readUserFields` to", ops: all(pointers("cc")), readFields: hides("to"), few: true},
		{name: "FindOnly", says: "`find` alone, to `*`", ops: map[string]permission{"find": toAll}, few: true},
		{name: "FindPointed", says: "`*`, but `find`: `pointerFields` to", ops: all(toAll, map[string]permission{"find": pointers("to")}), few: true},
		{name: "CountPointed", says: "`*`, but `count`: `pointerFields` to", ops: all(toAll, map[string]permission{"count": pointers("to")}), few: true},
		{name: "FieldPointed", says: "`update`: to, `addField`: cc", ops: all(toAll, map[string]permission{"update": pointers("to"), "addField": pointers("cc")}), few: true},
	}
	for _, op := range classOps {
		rules = append(rules, classRule{name: "No" + strings.ToUpper(op[:1]) + op[1:], says: "`*`, but `" + op + "`: `{}`", ops: all(toAll, map[string]permission{op: toNone}), few: true})
	}
	protect := func(name string, protected map[string][]string) classRule {
		says := make([]string, 0, len(protected))
		for _, group := range slices.Sorted(maps.Keys(protected)) {
			says = append(says, "`"+strings.ReplaceAll(group, theOwn, "owner")+"`: "+strings.Join(append([]string{}, protected[group]...), ", "))
		}
		return classRule{name: name, says: strings.Join(says, "; "), ops: all(toAll), protected: protected, few: true}
	}
	both := hides("pay", "secret")
	option := protect("HiddenByOption", map[string][]string{anyone: hides("secret")})
	option.option = map[string][]string{anyone: hides("pay"), "authenticated": hides("pay")}
	option.says += "; by option `*`, `authenticated`: pay"
	pointed := protect("HiddenPointed", map[string][]string{anyone: both, "userField:to": hides("pay")})
	pointed.ops, pointed.says = all(pointers("to", "cc")), pointed.says+"; `pointerFields` to, cc"
	return append(rules,
		protect("Hidden", map[string][]string{anyone: both}),
		protect("HiddenLess", map[string][]string{anyone: both, "authenticated": hides("secret")}),
		protect("HiddenFromUsers", map[string][]string{"authenticated": hides("secret")}),
		protect("HiddenByRole", map[string][]string{anyone: both, staff: hides("pay")}),
		protect("HiddenApart", map[string][]string{anyone: hides("secret"), staff: hides("pay")}),
		protect("HiddenByUser", map[string][]string{anyone: both, theOwn: {}}),
		protect("HiddenThrice", map[string][]string{anyone: both, "authenticated": both, staff: hides("secret"), trainee: hides("pay")}),
		protect("HiddenByField", map[string][]string{anyone: both, "userField:to": hides("secret"), "userField:cc": {}}),
		protect("HiddenByFieldAlone", map[string][]string{"userField:to": hides("secret")}),
		pointed, option,
		classRule{name: "Mine", says: "`*`, `ACL` currentUser", ops: all(toAll), defaultACL: "currentUser", few: true},
		classRule{name: "Ours", says: "`*`, `ACL` role:staff", ops: all(toAll), defaultACL: staff, few: true},
	)
}()

// objects are the kinds of objects in the class.
func (r *classRule) objects() []objectRule {
	list := slices.Clone(objectRules)
	for i := range list {
		if list[i].acl == nil && r.defaultACL != "" { // made with an ACL, or it would get that one
			list[i].acl = map[string]string{anyone: "rw"}
		}
	}
	return slices.DeleteFunc(list, func(o objectRule) bool { return r.few && !o.common })
}

// admits says what the class lets the caller do: nothing (a code), all, or what
// it lets him do with objects of which one of the fields points to him.
func (r *classRule) admits(c *matrixCaller, op string) (fields []string, code int) {
	switch {
	case c.key == "readonly" && slices.Contains(writeOps, op):
		return nil, 119
	case c.key != "" || r.open && op != "aggregate":
		return nil, 0
	}
	p := r.ops[op]
	for _, g := range c.groups() {
		if p.has(g) {
			return nil, 0
		}
	}
	switch {
	case p.has(signed) && c.user == "":
		return nil, 101
	case op == "create" && p.has(signed):
		return nil, 0
	case op == "create":
		return nil, 119
	}
	fields = slices.Clone(p.pointers)
	if slices.Contains(readOps, op) {
		fields = append(fields, r.readFields...)
	} else if slices.Contains(writeOps, op) {
		fields = append(fields, r.writeFields...)
	}
	if len(fields) == 0 && !p.has(signed) {
		return nil, 119
	}
	return fields, 0 // pointers narrow what users may do who are signed in
}

// grants says whether the ACL lets the caller read ("r") or write ("w").
func (o *objectRule) grants(c *matrixCaller, right string) bool {
	return c.key != "" || o.acl == nil ||
		slices.ContainsFunc(c.groups(), func(g string) bool { return strings.Contains(o.acl[g], right) })
}

// pointsTo says whether one of the fields points to the caller.
func (o *objectRule) pointsTo(c *matrixCaller, fields ...string) bool {
	return !o.astray && (slices.Contains(fields, "to") && c.name == "pointed" || slices.Contains(fields, "cc") && c.name == "listed")
}

// reaches says whether an operation that the class admits finds the object.
func (r *classRule) reaches(c *matrixCaller, op string, o *objectRule) bool {
	right := "w"
	if slices.Contains(readOps, op) || op == "aggregate" {
		right = "r"
	}
	fields, _ := r.admits(c, op)
	return o.grants(c, right) && (len(fields) == 0 || o.pointsTo(c, fields...))
}

// hidden are the fields of an object that the caller does not see; without an
// object, those that he may not ask about.
func (r *classRule) hidden(c *matrixCaller, o *objectRule) []string {
	if c.key != "" {
		return nil
	}
	groups := c.groups()
	if c.user != "" {
		groups = append(groups, "authenticated")
	}
	var sets [][]string
	add := func(group string) {
		own, inClass := r.protected[group]
		option, inOption := r.option[group]
		if inClass || inOption {
			sets = append(sets, slices.Concat(own, option))
		}
	}
	for _, g := range groups {
		add(g)
	}
	if len(sets) == 0 {
		return nil
	}
	if o != nil {
		for _, f := range []string{"to", "cc"} {
			if o.pointsTo(c, f) {
				add("userField:" + f)
			}
		}
	}
	var out []string
	for _, f := range sets[0] {
		if !slices.ContainsFunc(sets, func(s []string) bool { return !slices.Contains(s, f) }) {
			out = append(out, f)
		}
	}
	return out
}

// matrixFields are what every object has; astray ones lack to and cc.
var matrixFields = []string{"hits", "pay", "secret", "title"}

// shows are the fields of the object that the caller sees, sorted.
func (r *classRule) shows(c *matrixCaller, o *objectRule) string { return o.without(r.hidden(c, o)) }

func (o *objectRule) without(hidden []string) string {
	fields := slices.Clone(matrixFields)
	if !o.astray {
		fields = append(fields, "cc", "to")
	}
	if o.acl != nil {
		fields = append(fields, "ACL")
	}
	fields = slices.DeleteFunc(fields, func(f string) bool { return slices.Contains(hidden, f) })
	slices.Sort(fields)
	return strings.Join(fields, ",")
}

// newACL says whether there is an ACL that an object gets which is made without one.
func (r *classRule) newACL() bool { return r.defaultACL != "" }

// denial is how an error looks in the words of the test.
func denial(code int) string {
	switch code {
	case 101:
		return "404 101"
	case 403:
		return "403"
	}
	return fmt.Sprintf("400 %d", code)
}
