package main

import (
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// templates are the projects that pargo init writes. Go files have the suffix
// .txt, so that they are not part of this package.
//
//go:embed templates
var templates embed.FS

const initUsage = `Usage: pargo init [--template blank|payment-gateway] [--replace DIR] DIR

Writes a server with cloud code of its own into the new or empty folder DIR:
go.mod, main.go, main_test.go, schema.json and, with the structs of its classes,
classes.go, as pargo gen go writes it. --replace builds it with the pargo of a
folder instead of a published one.
`

var moduleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func initProject(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("init", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	template := flags.String("template", "blank", "")
	replace := flags.String("replace", "", "")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		return fmt.Errorf("%w: %s", errUsage, "pargo init needs one folder")
	}
	dir := flags.Arg(0)
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	name := filepath.Base(abs)
	if !moduleName.MatchString(name) {
		return fmt.Errorf("%q is no name of a Go module", name)
	}
	entries, err := templates.ReadDir(path.Join("templates", *template))
	if err != nil {
		return fmt.Errorf("there is no template %q: there are blank and payment-gateway", *template)
	}
	if there, err := os.ReadDir(abs); err == nil && len(there) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(abs, 0o750); err != nil {
		return err
	}
	write := func(file, text string) error {
		return os.WriteFile(filepath.Join(abs, file), []byte(text), 0o600)
	}
	mod, err := goMod(name, *replace)
	if err != nil {
		return err
	}
	if err := write("go.mod", mod); err != nil {
		return err
	}
	for _, e := range entries {
		text, err := templates.ReadFile(path.Join("templates", *template, e.Name()))
		if err != nil {
			return err
		}
		if err := write(strings.TrimSuffix(e.Name(), ".txt"), strings.ReplaceAll(string(text), "Command NAME", "Command "+name)); err != nil {
			return err
		}
	}
	gen := genRun{language: "go", pkg: "main", out: filepath.Join(abs, "classes.go")}
	schemaFile := filepath.Join(abs, "schema.json")
	doc, err := gen.read(schemaFile)
	if err != nil {
		return err
	}
	if err := gen.write(schemaFile, doc); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s is written. Next:\n\n  cd %s\n  go mod tidy\n  go test ./...\n  go run . --schema schema.json\n", dir, dir)
	return err
}

// goMod is the go.mod of a project. Without a version of its own, as built
// from a checkout, pargo needs a folder to be replaced by.
func goMod(name, replace string) (string, error) {
	version := "v0.0.0"
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		version = info.Main.Version
	}
	text := "module " + name + "\n\ngo 1.26\n\nrequire github.com/pargo-baas/pargo " + version + "\n"
	if replace != "" {
		abs, err := filepath.Abs(replace)
		if err != nil {
			return "", err
		}
		text += "\nreplace github.com/pargo-baas/pargo => " + abs + "\n"
	}
	return text, nil
}
