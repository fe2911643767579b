package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/pargo-baas/pargo/schema"
)

const schemaUsage = `Usage: pargo schema check FILE

Checks a schema.json: its form, class and field names, types, permissions,
defaults and validation rules. Prints every problem, or what the file declares.
`

func schemaCommand(args []string, stdout io.Writer) error {
	if wantsHelp(args) {
		_, err := fmt.Fprint(stdout, schemaUsage)
		return err
	}
	if len(args) != 2 || args[0] != "check" {
		return fmt.Errorf("%w: write: pargo schema check FILE", errUsage)
	}
	f, err := schema.LoadFile(args[1])
	if err != nil {
		return err
	}
	classes := slices.Clone(f.Classes)
	slices.SortFunc(classes, func(a, b *schema.Class) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range classes {
		if _, err := fmt.Fprintf(stdout, "%s\n", c.Name); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
			fd := c.Fields[name]
			note := ""
			if fd.Required {
				note += ", required"
			}
			if fd.Validate != nil {
				note += ", validated"
			}
			if name == c.OwnerField {
				note += ", owner"
			}
			if _, err := fmt.Fprintf(stdout, "  %s: %s%s\n", name, schema.TypeString(fd.Type, fd.TargetClass), note); err != nil {
				return err
			}
		}
	}
	_, err = fmt.Fprintf(stdout, "%s: %d classes, no problems\n", args[1], len(classes))
	return err
}
