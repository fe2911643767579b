package codegen

import (
	"bytes"
	"fmt"
	"go/token"

	"github.com/pargo-baas/pargo/schema"
)

// Go returns a file of the package with a struct for each class, which the
// typed hooks of the package cloudcode take. What an object may lack is a
// pointer or otherwise nil, except for strings: there "" is none.
func Go(pkg string, classes []*schema.Class) ([]byte, error) {
	if !token.IsIdentifier(pkg) || pkg == "_" {
		return nil, fmt.Errorf("%q is no name of a Go package", pkg)
	}
	if len(classes) == 0 {
		return nil, errNoClasses
	}
	list := named(classes, nil, goName, goName, "ID", "CreatedAt", "UpdatedAt", "ACL", "ParseClass")
	var b bytes.Buffer
	fmt.Fprintf(&b, header, "go")
	fmt.Fprintf(&b, "\npackage %s\n\nimport (\n\t\"time\"\n\n\t\"github.com/pargo-baas/pargo/parse\"\n)\n", pkg)
	for i := range list {
		list[i].golang(&b)
	}
	return b.Bytes(), nil
}

func (c *class) golang(b *bytes.Buffer) {
	b.WriteString("\n")
	comment(b, "// ", joined(fmt.Sprintf("%s is an object of the class %s.", c.name, c.Name), c.Comment))
	fmt.Fprintf(b, "type %s struct {\n\t// ID is the objectId.\n\tID string\n", c.name)
	for i := range c.fields {
		f := &c.fields[i]
		comment(b, "\t// ", joined(f.name+": "+f.facts(), f.Comment))
		option := ""
		if f.Required && f.Default == nil {
			option = ",required"
		}
		fmt.Fprintf(b, "\t%s %s `parse:\"%s%s\"`\n", f.name, f.golang(), f.Name, option)
	}
	b.WriteString("\t// CreatedAt is when the object was made.\n\tCreatedAt time.Time\n" +
		"\t// UpdatedAt is when it was changed last.\n\tUpdatedAt time.Time\n" +
		"\t// ACL says who may read and write the object; nil: everybody.\n\tACL *parse.ACL\n}\n")
	fmt.Fprintf(b, "\n// ParseClass names the class.\nfunc (%s) ParseClass() string { return %q }\n", c.name, c.Name)
}

// goTypes are the types of fields in Go, and whether one has a value for what
// is missing.
var goTypes = map[schema.Type]struct {
	name    string
	nilable bool
}{
	schema.String:   {"string", true}, // "" is none
	schema.Number:   {"float64", false},
	schema.Boolean:  {"bool", false},
	schema.Date:     {"time.Time", false},
	schema.Object:   {"*parse.Map", true},
	schema.Array:    {"parse.Array", true},
	schema.GeoPoint: {"parse.GeoPoint", false},
	schema.File:     {"parse.File", false},
	schema.Bytes:    {"parse.Bytes", true},
	schema.Polygon:  {"*parse.Polygon", true},
	schema.Pointer:  {"parse.Pointer", false},
	schema.Relation: {"parse.Relation", false},
	schema.ACL:      {"*parse.ACL", true},
}

// golang is the Go type of a field.
func (f *field) golang() string {
	t := goTypes[f.Type]
	if f.optional() && !t.nilable {
		return "*" + t.name
	}
	return t.name
}
