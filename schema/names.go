package schema

import "strings"

// Names of the system classes that other packages speak of.
const (
	UserClass         = "_User"
	SessionClass      = "_Session"
	RoleClass         = "_Role"
	InstallationClass = "_Installation"
)

// joinPrefix begins the names of the classes that hold the members of relations.
const joinPrefix = "_Join:"

// ValidClassName reports whether a class may have that name: a letter followed
// by letters, digits and underscores, a system class, or _Join:key:Class.
func ValidClassName(s string) bool {
	if rest, ok := strings.CutPrefix(s, joinPrefix); ok {
		key, class, ok := strings.Cut(rest, ":")
		return ok && identifier(key) && (identifier(class) || IsSystem(class))
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
	return s != ""
}

func reserved(s string) bool {
	switch s {
	case "length", "className", "constructor", "hasOwnProperty", "isPrototypeOf",
		"propertyIsEnumerable", "toLocaleString", "toString", "valueOf":
		return true
	}
	return false
}
