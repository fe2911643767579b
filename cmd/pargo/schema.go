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
	"time"

	"github.com/pargo-baas/pargo/schema"
	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/command"
	"github.com/pargo-baas/pargo/server/config"
)

const schemaUsage = `Usage: pargo schema check FILE
       pargo schema plan FILE [--exit-code] [options]
       pargo schema apply FILE [--yes] [options]
       pargo schema pull [--form FORM] [options]

check reads a schema.json: its form, class and field names, types, permissions,
defaults and validation rules. It prints every problem, or what the file declares.

plan prints the steps that serving FILE would take on a database, and takes
none. Steps that destroy data are marked with "!". With --exit-code the exit
status tells whether there are any.

apply takes these steps and tells of each. Where they destroy data it asks
first, if it is run at a terminal; --yes is the answer in advance. While it works
no other server on the database migrates, and it waits for one that does. If it
is broken off, run it again: it goes on with what is missing.

pull prints the schema of a database as a schema.json. FORM is classes (pargo's
own), definitions (Parse Server's defined schemas) or results (the answer of
GET /schemas); without it, classes if that can say everything, else results.

The options are those of pargo serve, in flags, environment and a JSON file
(--config FILE); they say which database it is. The embedded database has one
user at a time: stop its server first. Where its file is missing, plan plans for
a new one, apply makes it, and pull fails.

Exit status: 0 done; 1 failed; 2 wrong use; 3 plan --exit-code, and there are
steps to take; 4 apply would destroy data, and nobody said yes.
`

// Exit statuses of the schema commands beyond those of every command.
const (
	exitSteps    = 3
	exitDestroys = 4
)

var schemaCommands = map[string]string{
	"check": "pargo schema check FILE",
	"plan":  "pargo schema plan FILE [--exit-code] [options]",
	"apply": "pargo schema apply FILE [--yes] [options]",
	"pull":  "pargo schema pull [--form FORM] [options]",
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// terminal: somebody reads out and can answer at in.
	terminal bool
}

// schemaRun is one run of a schema command.
type schemaRun struct {
	streams
	environ []string
	file    *schema.Document // nil: pull
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
	r := &schemaRun{streams: s, environ: environ}
	if command == "pull" {
		return r.pull(ctx, args)
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || command == "check" && len(args) > 1 {
		return fmt.Errorf("%w: write: %s", errUsage, schemaCommands[command])
	}
	var err error
	if r.file, err = schema.LoadFile(args[0]); err != nil {
		return err
	}
	switch command {
	case "plan":
		return r.plan(ctx, args[1:])
	case "apply":
		return r.apply(ctx, args[1:])
	}
	return schemaCheck(args[0], r.file, s.out)
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

// absent says what to do where the file of the embedded database is missing.
type absent int

const (
	absentRefused absent = iota // there is nothing to read
	absentEmpty                 // as if it were there and empty; nothing is made
	absentMade                  // it is made
)

// open calls do with the database that the options name.
func (r *schemaRun) open(ctx context.Context, args []string, missing absent, do func(*server.SchemaTool) error) (err error) {
	cfg, err := config.Load(args, r.environ)
	if err != nil {
		return err
	}
	db, err := cfg.Database()
	if err != nil {
		return err
	}
	if db.Kind == config.SQLite && db.Location != "" {
		switch _, err := os.Stat(db.Location); {
		case err == nil:
		case !errors.Is(err, fs.ErrNotExist):
			return err
		case missing == absentRefused:
			return fmt.Errorf("there is no database at %s", db.Location)
		case missing == absentEmpty:
			cfg.DatabaseURI = "sqlite::memory:"
		}
	}
	tool, err := server.OpenSchema(ctx, cfg, command.NewLogger(cfg, r.err))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tool.Close()) }()
	return do(tool)
}

func (r *schemaRun) plan(ctx context.Context, args []string) error {
	status, args := takeSwitch(args, "--exit-code")
	return r.open(ctx, args, absentEmpty, func(tool *server.SchemaTool) error {
		plan, err := tool.Plan(ctx, r.file)
		if err != nil {
			return err
		}
		if err := printPlan(r.out, plan); err != nil {
			return err
		}
		if status && len(plan.Steps) > 0 {
			return &exitError{status: exitSteps}
		}
		return nil
	})
}

func (r *schemaRun) apply(ctx context.Context, args []string) error {
	yes, args := takeSwitch(args, "--yes")
	return r.open(ctx, args, absentMade, func(tool *server.SchemaTool) error {
		plan, err := tool.Plan(ctx, r.file)
		if err != nil {
			return err
		}
		if err := printPlan(r.out, plan); err != nil {
			return err
		}
		if plan.Destroys() && !yes {
			if yes, err = r.ask(ctx, "This destroys data. Type yes to go on: "); err != nil {
				return err
			}
		}
		p := &progress{w: r.out, total: len(plan.Steps)}
		err = tool.Apply(ctx, r.file, yes, p.step)
		switch {
		case errors.Is(err, server.ErrDestroys):
			return &exitError{exitDestroys, fmt.Errorf("%w: nothing was changed; --yes allows it", server.ErrDestroys)}
		case err != nil && p.done > 0:
			return fmt.Errorf("%w; %d of %d steps were done, run the command again to go on", err, p.done, p.total)
		case err != nil:
			return err
		}
		_, err = fmt.Fprintln(r.out, "done")
		return err
	})
}

func (r *schemaRun) pull(ctx context.Context, args []string) error {
	form, args, err := takeForm(args)
	if err != nil {
		return err
	}
	return r.open(ctx, args, absentRefused, func(tool *server.SchemaTool) error {
		text, err := tool.File(ctx, form)
		if err != nil {
			return err
		}
		_, err = r.out.Write(text)
		return err
	})
}

// takeSwitch takes a flag without a value out of the arguments.
func takeSwitch(args []string, name string) (given bool, rest []string) {
	return slices.Contains(args, name), slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == name })
}

// takeForm takes --form FORM or --form=FORM out of the arguments.
func takeForm(args []string) (form schema.Form, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		if name != "--form" {
			rest = append(rest, args[i])
			continue
		}
		if !joined && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch form = schema.Form(value); form {
		case schema.FormOwn, schema.FormDefined, schema.FormDump:
		default:
			return "", nil, fmt.Errorf("%w: the form must be %s, %s or %s, not %q", errUsage, schema.FormOwn, schema.FormDefined, schema.FormDump, value)
		}
	}
	return form, rest, nil
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

// ask puts a question to whoever is at the terminal; without one the answer is no.
func (r *schemaRun) ask(ctx context.Context, question string) (bool, error) {
	if !r.terminal {
		return false, nil
	}
	if _, err := fmt.Fprint(r.out, question); err != nil {
		return false, err
	}
	return confirmed(ctx, r.in), nil
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

// signOfLife is how often a long step tells that it goes on.
const signOfLife = 5 * time.Second

// progress tells of the steps of an apply.
type progress struct {
	w           io.Writer
	done, total int
}

// step carries out one step. An index on many objects, or a field taken out of
// them, may take long: it says then, every few seconds, that it is at it.
func (p *progress) step(text string, do func() error) error {
	p.total = max(p.total, p.done+1)
	began := time.Now()
	if _, err := fmt.Fprintf(p.w, "[%d/%d] %s\n", p.done+1, p.total, text); err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() { result <- do() }()
	tick := time.NewTicker(signOfLife)
	defer tick.Stop()
	for {
		select {
		case err := <-result:
			if err == nil {
				p.done++
			}
			return err
		case <-tick.C:
			// The step is what matters: it goes on if nobody reads this.
			_, _ = fmt.Fprintf(p.w, "        still at it after %s\n", time.Since(began).Round(time.Second))
		}
	}
}
