package codegen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pargo-baas/pargo/schema"
)

// TypeScript returns a module with, for each class, an interface of its
// attributes and a subclass of Parse.Object, which is registered with the SDK
// that the module imports as sdk ("parse", "parse/node" …).
func TypeScript(sdk string, classes []*schema.Class) ([]byte, error) {
	if len(classes) == 0 {
		return nil, errNoClasses
	}
	same := func(name string) string { return name }
	list := named(classes, reserved, func(name string) string { return strings.TrimLeft(name, "_") }, same)
	byName, taken := map[string]string{}, map[string]bool{}
	for i := range list {
		byName[list[i].Class.Name] = list[i].name
		taken[list[i].name] = true
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, header, "ts")
	fmt.Fprintf(&b, "import Parse from %[1]s;\nimport type * as Types from %[1]s;\n", quote(sdk))
	for i := range list {
		list[i].typescript(&b, free(taken, list[i].name+"Attributes"), byName)
	}
	return b.Bytes(), nil
}

// reserved are the names that no class can have in a module: words of the
// language, and what the module uses itself.
var reserved = strings.Fields(`Parse Types Date Record Partial any bigint boolean never number object string symbol
	undefined unknown void await break case catch class const continue debugger default delete do else enum export
	extends false finally for function if implements import in instanceof interface let new null package private
	protected public return static super switch this throw true try typeof var while with yield`)

func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil { // a string always has a text
		panic(err)
	}
	return string(text)
}

// bases are the classes of the SDK for those of the system.
var bases = map[string]string{
	schema.UserClass: "User", schema.RoleClass: "Role", schema.SessionClass: "Session", schema.InstallationClass: "Installation",
}

func (c *class) typescript(b *bytes.Buffer, attributes string, byName map[string]string) {
	b.WriteString("\n")
	doc(b, "", "The attributes of "+c.Class.Name+".")
	fmt.Fprintf(b, "export interface %s {\n", attributes)
	for i := range c.fields {
		f := &c.fields[i]
		doc(b, "  ", joined(f.facts(), f.Comment))
		mark := ""
		if f.optional() {
			mark = "?"
		}
		fmt.Fprintf(b, "  %s%s: %s;\n", f.name, mark, f.typescript(c, byName))
	}
	b.WriteString("}\n\n")
	doc(b, "", joined("An object of the class "+c.Class.Name+".", c.Comment))
	base, system := bases[c.Class.Name]
	switch {
	case c.Class.Name == schema.RoleClass: // is made of its name and its ACL
		fmt.Fprintf(b, "export class %s extends Parse.Role<%s> {}\n", c.name, attributes)
	case system:
		fmt.Fprintf(b, "export class %s extends Parse.%s<%s> {\n  constructor(attributes?: Partial<%[3]s>) {\n    super(attributes as %[3]s);\n  }\n}\n", c.name, base, attributes)
	default:
		fmt.Fprintf(b, "export class %s extends Parse.Object<%s> {\n  constructor(attributes?: Partial<%[2]s>) {\n    super(%[3]s, attributes as %[2]s);\n  }\n}\n", c.name, attributes, quote(c.Class.Name))
	}
	fmt.Fprintf(b, "Parse.Object.registerSubclass(%s, %s);\n", quote(c.Class.Name), c.name)
}

// doc writes a JSDoc comment.
func doc(b *bytes.Buffer, indent, text string) {
	text = strings.ReplaceAll(text, "*/", "*\\/")
	if !strings.Contains(text, "\n") {
		fmt.Fprintf(b, "%s/** %s */\n", indent, text)
		return
	}
	b.WriteString(indent + "/**\n")
	comment(b, indent+" * ", text)
	b.WriteString(indent + " */\n")
}

// typescript is the type of an attribute of a class.
func (f *field) typescript(c *class, byName map[string]string) string {
	switch f.Type {
	case schema.String:
		values := f.enum()
		if values == nil {
			return "string"
		}
		for i, v := range values {
			values[i] = quote(v)
		}
		return strings.Join(values, " | ")
	case schema.Number:
		return "number"
	case schema.Boolean:
		return "boolean"
	case schema.Date:
		return "Date"
	case schema.Object:
		return "Record<string, any>"
	case schema.Array:
		return "any[]"
	case schema.GeoPoint:
		return "Types.GeoPoint"
	case schema.File:
		return "Types.File"
	case schema.Bytes:
		return `{ __type: "Bytes"; base64: string }`
	case schema.Polygon:
		return "Types.Polygon"
	case schema.ACL:
		return "Types.ACL"
	case schema.Pointer:
		return target(f.TargetClass, byName)
	case schema.Relation:
		return "Types.Relation<" + c.name + ", " + target(f.TargetClass, byName) + ">"
	}
	return "any"
}

// target is the type of the objects of a class.
func target(name string, byName map[string]string) string {
	if own := byName[name]; own != "" {
		return own
	}
	if base := bases[name]; base != "" {
		return "Types." + base
	}
	return "Types.Object"
}
