package schema

import (
	"maps"
	"slices"

	"github.com/pargo-baas/pargo/parse"
)

// column is a default column of a system class.
type column struct {
	name   string
	typ    Type
	target string
}

func columns(t Type, names ...string) []column {
	out := make([]column, len(names))
	for i, n := range names {
		out[i] = column{name: n, typ: t}
	}
	return out
}

// systemColumns returns the columns that a system class has beyond the four of
// every class; ok is false for any other class (reference 01 §12).
func systemColumns(class string) (cols []column, ok bool) {
	switch class {
	case UserClass:
		return append(columns(String, "username", "password", "email"),
			column{name: "emailVerified", typ: Boolean}, column{name: "authData", typ: Object}), true
	case InstallationClass:
		return append(columns(String, "installationId", "deviceToken", "deviceType", "pushType", "GCMSenderId", "timeZone",
			"localeIdentifier", "appVersion", "appName", "appIdentifier", "parseVersion"),
			column{name: "channels", typ: Array}, column{name: "badge", typ: Number}), true
	case RoleClass:
		return []column{
			{name: "name", typ: String},
			{name: "users", typ: Relation, target: UserClass},
			{name: "roles", typ: Relation, target: RoleClass},
		}, true
	case SessionClass:
		return append(columns(String, "installationId", "sessionToken"),
			column{name: "user", typ: Pointer, target: UserClass},
			column{name: "expiresAt", typ: Date}, column{name: "createdWith", typ: Object}), true
	case ProductClass:
		return append(columns(String, "productIdentifier", "downloadName", "title", "subtitle"),
			column{name: "download", typ: File}, column{name: "icon", typ: File}, column{name: "order", typ: Number}), true
	}
	return volatileColumns(class)
}

func volatileColumns(class string) (cols []column, ok bool) {
	switch class {
	case "_PushStatus":
		return slices.Concat(
			columns(String, "pushTime", "source", "query", "payload", "title", "status", "pushHash"),
			columns(Number, "expiry", "expiration_interval", "numSent", "numFailed", "count"),
			columns(Object, "errorMessage", "sentPerType", "failedPerType", "sentPerUTCOffset", "failedPerUTCOffset")), true
	case "_JobStatus":
		return append(columns(String, "jobName", "source", "status", "message"),
			column{name: "params", typ: Object}, column{name: "finishedAt", typ: Date}), true
	case "_JobSchedule":
		return append(columns(String, "jobName", "description", "params", "startAfter", "timeOfDay"),
			column{name: "daysOfWeek", typ: Array}, column{name: "lastRun", typ: Number}, column{name: "repeatMinutes", typ: Number}), true
	case "_Hooks":
		return columns(String, "functionName", "className", "triggerName", "url"), true
	case "_WebhookOutbox":
		return append(columns(String, "hookClass", "triggerName", "payload"), column{name: "nextAttempt", typ: Date},
			column{name: "attempts", typ: Number}, column{name: "failed", typ: Boolean}), true
	case "_GlobalConfig":
		return columns(Object, "params", "masterKeyOnly"), true
	case "_GraphQLConfig":
		return columns(Object, "config"), true
	case "_Audience":
		return append(columns(String, "name", "query"), column{name: "lastUsed", typ: Date}, column{name: "timesUsed", typ: Number}), true
	case "_Idempotency":
		return []column{{name: "reqId", typ: String}, {name: "expire", typ: Date}}, true
	}
	return nil, false
}

// systemIndexes returns the indexes that a system class always has. Names are
// those that existing databases have (reference 02 §A5); those on usernames come
// first, since a taken username is told before a taken address.
func systemIndexes(class string) []Index {
	on := func(name, field string, unique, folded bool) Index {
		return Index{Name: name, Keys: []IndexKey{{Field: field}}, Unique: unique, Sparse: true, CaseInsensitive: folded}
	}
	switch class {
	case UserClass:
		return []Index{
			on("username_1", "username", true, false),
			on("case_insensitive_username", "username", true, true),
			on("email_1", "email", true, false),
			on("case_insensitive_email", "email", true, true),
			on("_email_verify_token", "_email_verify_token", false, false),
			on("_perishable_token", "_perishable_token", false, false),
		}
	case SessionClass:
		return []Index{on("sessionToken_1", "sessionToken", true, false), on("user_1", "user", false, false)}
	case InstallationClass:
		return []Index{on("installationId_1", "installationId", false, false), on("deviceToken_1", "deviceToken", false, false)}
	case RoleClass:
		return []Index{on("name_1", "name", true, false)}
	case "_Idempotency":
		return []Index{on("reqId_1", "reqId", true, false)}
	}
	return nil
}

// storedSystem are the system classes that every database has.
var storedSystem = [...]string{UserClass, SessionClass, RoleClass, InstallationClass}

var allSystem = [...]string{
	UserClass, SessionClass, RoleClass, InstallationClass, ProductClass, "_PushStatus", "_JobStatus", "_JobSchedule",
	"_Hooks", "_WebhookOutbox", "_GlobalConfig", "_GraphQLConfig", "_Audience", "_Idempotency",
}

// IsSystem reports whether the name is that of a system class.
func IsSystem(name string) bool {
	_, ok := systemColumns(name)
	return ok
}

// IsVolatile reports whether the class is a system class that is known in
// memory alone and open to the master key alone: _Hooks, _JobStatus and the like.
func IsVolatile(name string) bool {
	_, ok := volatileColumns(name)
	return ok
}

// SystemClass returns a system class with its default columns and indexes, or
// nil if there is none of that name. The token of a session is its field
// sessionToken; where it is stored is the adapters' business.
func SystemClass(name string) *Class {
	if !IsSystem(name) {
		return nil
	}
	return Complete(&Class{Name: name})
}

// SystemClasses returns all system classes, volatile ones included.
func SystemClasses() []*Class {
	out := make([]*Class, len(allSystem))
	for i, name := range allSystem {
		out[i] = SystemClass(name)
	}
	return out
}

// JoinClass returns the class whose objects are the rows of a relation: the
// owner's id and the member's.
func JoinClass(name string) *Class {
	return Complete(&Class{Name: name, Fields: map[string]*Field{
		JoinOwner:  {Name: JoinOwner, Type: String},
		JoinMember: {Name: JoinMember, Type: String},
	}})
}

// Fields of a join class.
const (
	JoinOwner  = "owningId"
	JoinMember = "relatedId"
)

// IsSingleton reports whether the class has one object only, whose id is
// [SingletonID].
func IsSingleton(class string) bool { return class == "_GlobalConfig" || class == "_GraphQLConfig" }

// SingletonID is the id of the one object of a class that has but one.
const SingletonID = "1"

// isSystemField reports whether every class has a field of that name.
func isSystemField(name string) bool {
	switch name {
	case parse.KeyObjectID, parse.KeyCreatedAt, parse.KeyUpdatedAt, parse.KeyACL:
		return true
	}
	return false
}

// defaultFields returns the columns that the class has without being asked.
func defaultFields(class string) map[string]*Field {
	out := map[string]*Field{
		parse.KeyObjectID:  {Name: parse.KeyObjectID, Type: String},
		parse.KeyCreatedAt: {Name: parse.KeyCreatedAt, Type: Date},
		parse.KeyUpdatedAt: {Name: parse.KeyUpdatedAt, Type: Date},
		parse.KeyACL:       {Name: parse.KeyACL, Type: ACL},
	}
	cols, _ := systemColumns(class)
	for _, c := range cols {
		out[c.name] = &Field{Name: c.name, Type: c.typ, TargetClass: c.target}
	}
	return out
}

// Complete returns c with the fields that every class has and, for a system
// class, its default columns and indexes. Options that c gives to a default
// column of a system class stay, its type does not; the four system fields
// have no options. Username and password of _User are never Required: sign-up
// asks for them with errors of its own. c is not changed.
func Complete(c *Class) *Class {
	out := *c
	out.Fields = make(map[string]*Field, len(c.Fields)+4)
	maps.Copy(out.Fields, c.Fields)
	for name, def := range defaultFields(c.Name) {
		given := c.Fields[name]
		switch {
		case given == nil || isSystemField(name) || given.Type != def.Type || given.TargetClass != def.TargetClass:
			out.Fields[name] = def
		case given.Required && c.Name == UserClass && (name == "username" || name == "password"):
			f := *given
			f.Required = false
			out.Fields[name] = &f
		}
	}
	out.Indexes = slices.Clone(c.Indexes)
	for _, ix := range systemIndexes(c.Name) {
		at := slices.IndexFunc(out.Indexes, func(o Index) bool { return o.Name == ix.Name })
		if at < 0 {
			out.Indexes = append(out.Indexes, ix)
		} else {
			out.Indexes[at] = ix
		}
	}
	return &out
}
