package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pargo-baas/pargo/internal/codegen"
	"github.com/pargo-baas/pargo/schema"
)

const genUsage = `Usage: pargo gen go [SCHEMA] [--out FILE] [--check] [--package NAME]
       pargo gen ts [SCHEMA] [--out FILE] [--check] [--import MODULE]

Writes types for the classes of a schema file (schema.json; - is standard input,
for "pargo schema pull | pargo gen go -") to FILE or else to standard output. The
same schema always gives the same text.

go writes a struct for each class, as typed hooks and the functions of the
package cloudcode take them. What an object may lack is a pointer, a nil list or
a nil map; a string that is missing is "". NAME is the package; without it, the
name of the folder of FILE, or model.

ts writes for each class an interface of its attributes and a subclass of
Parse.Object for the Parse JS SDK, which is imported as MODULE (parse).

--check writes nothing and compares FILE with what would be written.

Exit status: 0 done, or FILE is as it should be; 1 failed; 2 wrong use; 3
--check, and FILE differs: the difference is printed.
`

// exitStale is the exit status of gen --check if the file has to be written anew.
const exitStale = 3

// genRun is one run of pargo gen.
type genRun struct {
	streams
	language, out, pkg, sdk string
	check                   bool
}

func genCommand(args []string, s streams) error {
	if wantsHelp(args) {
		_, err := fmt.Fprint(s.out, genUsage)
		return err
	}
	if len(args) == 0 || args[0] != "go" && args[0] != "ts" {
		return fmt.Errorf("%w: write: pargo gen go [SCHEMA] or pargo gen ts [SCHEMA]", errUsage)
	}
	r := &genRun{streams: s, language: args[0]}
	file := "schema.json"
	args = args[1:]
	named := len(args) > 0 && (args[0] == "-" || !strings.HasPrefix(args[0], "-"))
	if named {
		file, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("gen", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&r.out, "out", "", "")
	flags.BoolVar(&r.check, "check", false, "")
	if r.language == "go" {
		flags.StringVar(&r.pkg, "package", "", "")
	} else {
		flags.StringVar(&r.sdk, "import", "parse", "")
	}
	err := flags.Parse(args)
	switch {
	case err != nil:
		return fmt.Errorf("%w: pargo gen %s: %w", errUsage, r.language, err)
	case flags.NArg() == 1 && !named:
		file = flags.Arg(0)
	case flags.NArg() > 0:
		return fmt.Errorf("%w: pargo gen %s takes one schema file", errUsage, r.language)
	case r.check && r.out == "":
		return fmt.Errorf("%w: --check needs --out FILE", errUsage)
	}
	doc, err := r.read(file)
	if err != nil {
		return err
	}
	return r.write(file, doc)
}

func (r *genRun) read(file string) (*schema.Document, error) {
	if file != "-" {
		return schema.LoadFile(file)
	}
	data, err := io.ReadAll(r.in)
	if err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	return schema.Parse("standard input", data)
}

func (r *genRun) write(file string, doc *schema.Document) error {
	var text []byte
	var err error
	if r.language == "go" {
		text, err = codegen.Go(r.goPackage(), doc.Classes)
	} else {
		text, err = codegen.TypeScript(r.sdk, doc.Classes)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	switch {
	case r.check:
		return r.compare(file, text)
	case r.out == "":
		_, err = r.streams.out.Write(text)
		return err
	}
	if have, err := os.ReadFile(r.out); err == nil && bytes.Equal(have, text) {
		return nil // and keeps its time
	}
	return os.WriteFile(r.out, text, 0o644) //nolint:gosec // it is source code, for everybody to read
}

// goPackage is the package that was asked for, or that of the folder.
func (r *genRun) goPackage() string {
	if r.pkg != "" || r.out == "" {
		return orModel(r.pkg)
	}
	abs, err := filepath.Abs(r.out)
	if err != nil {
		return orModel("")
	}
	keep := func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return -1
	}
	return orModel(strings.TrimLeft(strings.Map(keep, strings.ToLower(filepath.Base(filepath.Dir(abs)))), "0123456789"))
}

func orModel(pkg string) string {
	if pkg == "" {
		return "model"
	}
	return pkg
}

func (r *genRun) compare(file string, text []byte) error {
	have, err := os.ReadFile(r.out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	diff := codegen.Diff(r.out, r.out+" (from "+file+")", string(have), string(text))
	if diff == "" {
		return nil
	}
	if _, err := io.WriteString(r.streams.out, diff); err != nil {
		return err
	}
	return &exitError{exitStale, fmt.Errorf("%s is not what pargo gen %s writes: run it without --check", r.out, r.language)}
}
