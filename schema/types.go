package schema

import "github.com/pargo-baas/pargo/parse"

// typeNames are the names of the types on the wire.
var typeNames = [...]string{
	String: "String", Number: "Number", Boolean: "Boolean", Date: "Date", Object: "Object", Array: "Array",
	GeoPoint: "GeoPoint", File: "File", Bytes: "Bytes", Polygon: "Polygon", Pointer: "Pointer", Relation: "Relation", ACL: "ACL",
}

// String returns the name of the type as on the wire, "" for no type.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return ""
}

// TypeNamed returns the type with that wire name; ok is false for an unknown
// name and for ACL, which no field but ACL may have.
func TypeNamed(name string) (t Type, ok bool) {
	for t := String; t < ACL; t++ {
		if typeNames[t] == name {
			return t, true
		}
	}
	return 0, false
}

// TypeString returns a type as error texts print it: Number, Pointer<_User>.
func TypeString(t Type, target string) string {
	if t == Pointer || t == Relation {
		return t.String() + "<" + target + ">"
	}
	return t.String()
}

// TypeOf returns the type that a written value or [parse.Op] gives to its
// field. ok is false for what says nothing about the type: null, Delete, and
// operations without members.
func TypeOf(v parse.Value) (t Type, target string, ok bool) {
	switch v := v.(type) {
	case bool:
		return Boolean, "", true
	case float64, parse.Int, parse.Increment:
		return Number, "", true
	case string:
		return String, "", true
	case parse.Date:
		return Date, "", true
	case parse.Pointer:
		return Pointer, v.ClassName, true
	case *parse.Object:
		return Pointer, v.ClassName, true
	case parse.Relation:
		return Relation, v.ClassName, true
	case parse.GeoPoint:
		return GeoPoint, "", true
	case *parse.Polygon:
		return Polygon, "", true
	case parse.File:
		return File, "", true
	case parse.Bytes:
		return Bytes, "", true
	case parse.Array, parse.Add, parse.AddUnique, parse.Remove:
		return Array, "", true
	case *parse.Map:
		return Object, "", true
	case parse.AddRelation:
		return relationOf(v.Objects)
	case parse.RemoveRelation:
		return relationOf(v.Objects)
	case parse.Batch:
		if len(v.Ops) > 0 {
			return TypeOf(v.Ops[0])
		}
	}
	return 0, "", false
}

func relationOf(members []parse.Pointer) (Type, string, bool) {
	if len(members) == 0 {
		return 0, "", false
	}
	return Relation, members[0].ClassName, true
}
