package schema

import "strings"

// Names of the system classes that other packages speak of.
const (
	UserClass         = "_User"
	SessionClass      = "_Session"
	RoleClass         = "_Role"
	InstallationClass = "_Installation"
	ProductClass      = "_Product"
)

// joinPrefix begins the names of the classes that hold the members of relations.
const joinPrefix = "_Join:"

// maxName bounds the names of classes, fields and indexes: databases have
// bounds of their own, which are met later and with less to say.
const maxName = 120

// IsJoin reports whether the name is that of a join class.
func IsJoin(class string) bool { return strings.HasPrefix(class, joinPrefix) }

// SplitJoin takes the name of a join class apart: the field of the relation and
// the class that has it.
func SplitJoin(name string) (field, class string, ok bool) {
	rest, ok := strings.CutPrefix(name, joinPrefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ":")
}

// ValidClassName reports whether a class may have that name: a letter followed
// by letters, digits and underscores, a system class, or _Join:key:Class.
func ValidClassName(s string) bool {
	if IsJoin(s) {
		field, class, ok := SplitJoin(s)
		return ok && identifier(field) && (identifier(class) || IsSystem(class))
	}
	return IsSystem(s) || identifier(s) && !reserved(s)
}

// ValidFieldName reports whether a field of the class may have that name for
// clients and the master key. Names with a leading underscore are internal and
// not valid; names of JavaScript's Object prototype would break clients.
func ValidFieldName(s, class string) bool {
	if s == "className" {
		return class == "_Hooks"
	}
	return identifier(s) && !reserved(s)
}

func identifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

func reserved(s string) bool {
	switch s {
	case "length", "className", "constructor", "hasOwnProperty", "isPrototypeOf",
		"propertyIsEnumerable", "toLocaleString", "toString", "valueOf":
		return true
	}
	return false
}
