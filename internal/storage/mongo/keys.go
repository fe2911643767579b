package mongo

import (
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// Keys of stored documents that differ from the wire.
const (
	keyID         = "_id"
	keyCreatedAt  = "_created_at"
	keyUpdatedAt  = "_updated_at"
	keyReadPerm   = "_rperm"
	keyWritePerm  = "_wperm"
	keyACL        = "_acl"
	keyMetadata   = "_metadata"
	prefixPointer = "_p_"
	prefixAuth    = "_auth_data_"

	classUser  = schema.UserClass
	classHooks = "_Hooks"
	authData   = "authData"

	schemaCollection = "_SCHEMA"
)

// storedNames are fields whose stored name differs, in every class.
var storedNames = [...]struct{ wire, stored string }{
	{"sessionToken", "_session_token"},
	{"lastUsed", "_last_used"},
	{"timesUsed", "times_used"},
}

// storedName returns the key of a field that is no pointer.
func storedName(wire string) string {
	for i := range storedNames {
		if storedNames[i].wire == wire {
			return storedNames[i].stored
		}
	}
	return wire
}

// wireName is the inverse of storedName, for keys that are no system field.
func wireName(stored string) string {
	for i := range storedNames {
		if storedNames[i].stored == stored {
			return storedNames[i].wire
		}
	}
	if stored == "_expiresAt" {
		return "expiresAt"
	}
	return stored
}

// isAuthData reports whether the field is the map of auth providers, which is
// stored as one key for each provider.
func isAuthData(class *schema.Class, field string) bool {
	return field == authData && class.Name == classUser
}

// fieldType returns the type of a field, 0 if the schema does not know it.
func fieldType(class *schema.Class, field string) schema.Type {
	if f := class.Fields[field]; f != nil {
		return f.Type
	}
	return 0
}

// nullIsMissing reports whether a null in the field is not stored: a sparse
// unique index of MongoDB leaves out objects without the field, but not those
// with a null in it, and two of these would be duplicates.
func nullIsMissing(class *schema.Class, field string) bool {
	for i := range class.Indexes {
		idx := &class.Indexes[i]
		if !idx.Unique || !idx.Sparse {
			continue
		}
		for _, k := range idx.Keys {
			if k.Field == field {
				return true
			}
		}
	}
	return false
}

// target is the stored place of a path of a query.
type target struct {
	key string
	typ schema.Type // of the field, or 0: any
	// deep: the path goes into an object or array, where MongoDB walks through
	// arrays and pargo does not.
	deep bool
	// indexed: a segment of the path is a number; servers differ in what such
	// a path means if arrays stand inside arrays.
	indexed bool
	// maybePointer: a field that the schema does not know, so that it may be
	// stored as key or, being a pointer, as _p_key.
	maybePointer bool
	// nullKey: the key that has a null in place of the pointer at key; "": none.
	nullKey string
	// opaque: nothing can be asked of the database about it.
	opaque bool
}

// hasIndex reports whether a segment of a path is a number.
func hasIndex(path string) bool {
	for segment := range strings.SplitSeq(path, ".") {
		if strings.Trim(segment, "0123456789") == "" {
			return true
		}
	}
	return false
}

// resolve finds the stored place of a path.
func resolve(class *schema.Class, path string) target {
	root, rest, dotted := strings.Cut(path, ".")
	switch root {
	case parse.KeyObjectID:
		return target{key: keyID, typ: schema.String, opaque: dotted}
	case parse.KeyCreatedAt:
		return target{key: keyCreatedAt, typ: schema.Date, opaque: dotted}
	case parse.KeyUpdatedAt:
		return target{key: keyUpdatedAt, typ: schema.Date, opaque: dotted}
	}
	if isAuthData(class, root) {
		if !dotted {
			return target{key: root, opaque: true}
		}
		provider, inner, deeper := strings.Cut(rest, ".")
		if !deeper {
			return target{key: prefixAuth + provider}
		}
		return target{key: prefixAuth + provider + "." + inner, deep: true, indexed: hasIndex(inner)}
	}
	typ := fieldType(class, root)
	switch {
	case typ == schema.Pointer:
		return target{key: prefixPointer + root, typ: typ, nullKey: root, opaque: dotted}
	case dotted && (typ == 0 || typ == schema.Object || typ == schema.Array):
		return target{key: storedName(root) + "." + rest, deep: true, indexed: hasIndex(rest)}
	case dotted:
		return target{key: root, opaque: true}
	}
	t := target{key: storedName(root), typ: typ}
	t.maybePointer = typ == 0 && t.key == root && !strings.HasPrefix(root, "_")
	return t
}
