package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/schema"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

const schemaUsage = `Usage: pargo schema check FILE
       pargo schema plan FILE [options]
       pargo schema apply FILE [--yes] [options]
       pargo schema pull [options]

check reads a schema.json: its form, class and field names, types, permissions,
defaults and validation rules. It prints every problem, or what the file declares.

plan prints the steps that serving FILE would take on a database, and takes
none. Steps that destroy data are marked with "!".

apply takes these steps. Where they destroy data it asks first; --yes is the
answer in advance.

pull prints the schema of a database as a schema.json.

The options are those of pargo serve, in flags, environment and a JSON file
(--config FILE); they say which database it is. The embedded database has one
user at a time: stop its server first.
`

var schemaCommands = map[string]string{
	"check": "pargo schema check FILE",
	"plan":  "pargo schema plan FILE [options]",
	"apply": "pargo schema apply FILE [--yes] [options]",
	"pull":  "pargo schema pull [options]",
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func schemaCommand(ctx context.Context, args, environ []string, s streams) error {
	if wantsHelp(args) {
		_, err := fmt.Fprint(s.out, schemaUsage)
		return err
	}
	if len(args) == 0 || schemaCommands[args[0]] == "" {
		return fmt.Errorf("%w: write: %s", errUsage, schemaCommands["check"])
	}
	command, args := args[0], args[1:]
	if command == "pull" {
		return schemaPull(ctx, args, environ, s)
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || command == "check" && len(args) > 1 {
		return fmt.Errorf("%w: write: %s", errUsage, schemaCommands[command])
	}
	file, err := schema.LoadFile(args[0])
	if err != nil {
		return err
	}
	switch command {
	case "plan":
		return schemaPlan(ctx, file, args[1:], environ, s)
	case "apply":
		return schemaApply(ctx, file, args[1:], environ, s)
	}
	return schemaCheck(args[0], file, s.out)
}

func schemaCheck(name string, f *schema.Document, stdout io.Writer) error {
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
	_, err := fmt.Fprintf(stdout, "%s: %d classes, no problems\n", name, len(classes))
	return err
}

func schemaPlan(ctx context.Context, file *schema.Document, args, environ []string, s streams) (err error) {
	cfg, err := config.Load(args, environ)
	if err != nil {
		return err
	}
	path, err := missingDatabase(cfg)
	if err != nil {
		return err
	}
	if path != "" {
		cfg.DatabaseURI = "sqlite::memory:" // a plan makes no files
	}
	tool, err := server.OpenSchema(ctx, cfg, newLogger(cfg, s.err))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tool.Close()) }()
	plan, err := tool.Plan(ctx, file)
	if err != nil {
		return err
	}
	return printPlan(s.out, plan)
}

func schemaApply(ctx context.Context, file *schema.Document, args, environ []string, s streams) (err error) {
	yes := slices.Contains(args, "--yes")
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--yes" })
	cfg, err := config.Load(args, environ)
	if err != nil {
		return err
	}
	tool, err := server.OpenSchema(ctx, cfg, newLogger(cfg, s.err))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tool.Close()) }()
	plan, err := tool.Plan(ctx, file)
	if err != nil {
		return err
	}
	if err := printPlan(s.out, plan); err != nil {
		return err
	}
	if plan.Destroys() && !yes {
		if _, err := fmt.Fprint(s.out, "This destroys data. Type yes to go on: "); err != nil {
			return err
		}
		if yes = confirmed(ctx, s.in); !yes {
			return fmt.Errorf("%w: nothing was changed; --yes allows it", server.ErrDestroys)
		}
	}
	if err := tool.Apply(ctx, file, yes); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, "done")
	return err
}

func schemaPull(ctx context.Context, args, environ []string, s streams) (err error) {
	cfg, err := config.Load(args, environ)
	if err != nil {
		return err
	}
	path, err := missingDatabase(cfg)
	if err != nil {
		return err
	}
	if path != "" {
		return fmt.Errorf("there is no database at %s", path)
	}
	tool, err := server.OpenSchema(ctx, cfg, newLogger(cfg, s.err))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tool.Close()) }()
	text, err := tool.File(ctx)
	if err != nil {
		return err
	}
	_, err = s.out.Write(text)
	return err
}

// missingDatabase returns the path of an embedded database that has not been
// made yet, or "".
func missingDatabase(cfg config.Config) (string, error) {
	db, err := cfg.Database()
	if err != nil || db.Kind != config.SQLite || db.Location == "" {
		return "", err
	}
	_, err = os.Stat(db.Location)
	if errors.Is(err, fs.ErrNotExist) {
		return db.Location, nil
	}
	return "", err
}

func printPlan(w io.Writer, plan *server.SchemaPlan) error {
	var b strings.Builder
	for _, text := range plan.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", text)
	}
	lost := 0
	for _, st := range plan.Steps {
		mark := ' '
		if st.Destroys {
			mark = '!'
			lost++
		}
		fmt.Fprintf(&b, "%c %s\n", mark, st.Text)
	}
	switch {
	case len(plan.Steps) == 0:
		b.WriteString("nothing to do\n")
	case lost > 0:
		fmt.Fprintf(&b, "%d steps, of which %d destroy data (!)\n", len(plan.Steps), lost)
	default:
		fmt.Fprintf(&b, "%d steps, no data is lost\n", len(plan.Steps))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// confirmed reads one line and reports whether it says yes; no answer before
// the program is to end is none.
func confirmed(ctx context.Context, in io.Reader) bool {
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case line := <-answer:
		return line == "yes"
	case <-ctx.Done():
		return false
	}
}
