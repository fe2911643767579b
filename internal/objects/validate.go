package objects

import (
	"errors"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// checkFields checks names and types of all that a body writes, and plans the
// fields that the class does not have.
func (wr *writing) checkFields(body *parse.Map) error {
	geo := false
	for _, v := range body.All() {
		if _, ok := v.(parse.GeoPoint); ok {
			if geo {
				return parse.Errorf(parse.IncorrectType, "there can only be one geopoint field in a class")
			}
			geo = true
		}
	}
	for _, key := range keys(body) {
		v, _ := body.Get(key)
		if strings.HasPrefix(key, "_") && wr.Principal.Kind == access.Maintenance {
			continue
		}
		if strings.Contains(key, "..") || strings.HasSuffix(key, ".") { // no database has a place for it
			return parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s.", key)
		}
		if !schema.ValidFieldName(root(key), wr.Class.Name) {
			return parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s.", root(key))
		}
		if err := wr.checkType(key, v); err != nil {
			return err
		}
	}
	return wr.mayAdd()
}

// checkType checks one value against the class. A field that the class lacks
// is planned.
func (wr *writing) checkType(key string, v parse.Value) error {
	if err := wellFormed(v); err != nil {
		return err
	}
	name, rest, dotted := strings.Cut(key, ".")
	typ, target, known := schema.TypeOf(v)
	if dotted {
		typ, target, known = schema.Object, "", true
		if digits(rest) {
			typ = schema.Array
		}
		if _, del := v.(parse.Delete); del && wr.Class.Field(name) == nil {
			known = false
		}
	}
	if !known {
		return nil
	}
	f := wr.Class.Field(name)
	if f == nil {
		for _, a := range wr.added {
			if a.Name == name {
				f = a
			}
		}
	}
	if f == nil {
		if typ == schema.GeoPoint && hasGeoPoint(wr.Class) {
			return errSecondGeoPoint()
		}
		if target != "" && !schema.ValidClassName(target) {
			return schema.ErrClassName(target)
		}
		wr.added = append(wr.added, &schema.Field{Name: name, Type: typ, TargetClass: target})
		return nil
	}
	if dotted && f.Type == schema.Array { // a path into an element
		return nil
	}
	return sameType(wr.Class.Name, f, typ, target)
}

func hasGeoPoint(c *schema.Class) bool {
	for _, f := range c.Fields {
		if f.Type == schema.GeoPoint {
			return true
		}
	}
	return false
}

// errSecondGeoPoint refuses what MongoDB cannot search, on every database.
func errSecondGeoPoint() error {
	return parse.Errorf(parse.IncorrectType, "MongoDB only supports one GeoPoint field in a class.")
}

func sameType(class string, f *schema.Field, typ schema.Type, target string) error {
	if f.Type == typ && f.TargetClass == target {
		return nil
	}
	return parse.Errorf(parse.IncorrectType, "schema mismatch for %s.%s; expected %s but got %s", class, f.Name,
		schema.TypeString(f.Type, f.TargetClass), schema.TypeString(typ, target))
}

// wellFormed refuses typed objects that could not be read and keys that a
// database could take for operators.
func wellFormed(v parse.Value) error {
	switch v := v.(type) {
	case *parse.Object:
		return parse.Errorf(parse.IncorrectType, "This is not a valid Object")
	case parse.Bytes:
		if len(v) == 0 {
			return parse.Errorf(parse.IncorrectType, "This is not a valid Bytes")
		}
	case *parse.Map:
		if t := v.String("__type"); t != "" {
			return parse.Errorf(parse.IncorrectType, "This is not a valid %s", t)
		}
		return parse.CheckKeys(v)
	case parse.Array:
		return parse.CheckKeys(v)
	case parse.Add:
		return parse.CheckKeys(v.Objects)
	case parse.AddUnique:
		return parse.CheckKeys(v.Objects)
	}
	return nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// mayAdd asks whether the caller may add the fields that the class lacks.
func (wr *writing) mayAdd() error {
	if len(wr.added) == 0 || wr.missing || wr.addPlan != nil {
		return nil
	}
	pl, err := wr.s.o.Gate.Authorize(wr.Principal, wr.Class, schema.AddField)
	if err != nil {
		return err
	}
	if !wr.Update && pl.ByPointer() { // nothing can point to the caller yet
		return parse.Denyf(parse.OperationForbidden, "Permission denied for action %s on class %s.", schema.AddField, wr.Class.Name)
	}
	wr.addPlan = pl
	return nil
}

// absent reports whether a written value leaves a required field without one.
func absent(v parse.Value) bool {
	switch v := v.(type) {
	case nil, parse.Delete:
		return true
	case string:
		return v == ""
	}
	return false
}

// defaults fills in the default values of a new object. shaped: the object is
// there already, and hooks may have copies of it.
func (wr *writing) defaults(shaped bool) {
	for name, f := range wr.Class.Fields {
		if f.Default == nil {
			continue
		}
		v, sent := wr.Body.Get(name)
		if _, deleted := v.(parse.Delete); sent && !deleted {
			continue
		}
		touched := wr.touched
		wr.set(name, f.Default)
		if !shaped {
			continue
		}
		wr.object.Fields.Append(name, f.Default)
		if touched != nil && !slices.Contains(touched, name) {
			wr.touched = append(touched, name)
		}
	}
}

// required refuses a write that leaves a required field empty. Of a new
// object all fields count, of an old one those that are written.
func (wr *writing) required() error {
	missing := ""
	for name, f := range wr.Class.Fields {
		if !f.Required {
			continue
		}
		bad := false
		switch {
		case name == parse.KeyACL:
			bad = !wr.Update && !wr.SetACL
		case name == parse.KeyObjectID, name == parse.KeyCreatedAt, name == parse.KeyUpdatedAt, f.Type == schema.Relation:
		case name == "password" && (wr.Body.Has("_hashed_password") || wr.sent.Has("password")):
			// The rule of _User put the hash in its place.
		default:
			v, sent := wr.Body.Get(name)
			bad = absent(v) && (sent || !wr.Update)
		}
		// The first by name, so that the answer does not depend on the order of a map.
		if bad && (missing == "" || name < missing) {
			missing = name
		}
	}
	if missing != "" {
		return parse.Errorf(parse.ValidationError, "%s is required", missing)
	}
	return nil
}

// validators checks the values of the fields that are written.
func (wr *writing) validators() error {
	for _, name := range wr.roots() {
		f := wr.Class.Field(name)
		if f == nil || f.Validate == nil {
			continue
		}
		v, sent := wr.Body.Get(name)
		if wr.object != nil {
			v, sent = wr.object.Fields.Get(name)
		}
		if !sent || v == nil {
			continue
		}
		if _, op := v.(parse.Op); op {
			continue
		}
		if err := validate(f, v); err != nil {
			return err
		}
	}
	return nil
}

func validate(f *schema.Field, v parse.Value) error {
	err := f.Validate.Validate(v)
	if err == nil {
		return nil
	}
	var known *parse.Error
	if errors.As(err, &known) {
		return err
	}
	return parse.Errorf(parse.ValidationError, "%s: %s", f.Name, err.Error())
}

// needsResult reports whether the values to check follow from what is stored.
func (wr *writing) needsResult() bool {
	for k, v := range wr.Body.All() {
		f := wr.Class.Field(root(k))
		if f == nil || f.Validate == nil {
			continue
		}
		_, op := v.(parse.Op)
		if _, deleted := v.(parse.Delete); op && !deleted || strings.Contains(k, ".") {
			return true
		}
	}
	return false
}
