// Command pargo is the Parse-compatible server in one binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/pargo-baas/pargo/server/command"
	"github.com/pargo-baas/pargo/server/config"
)

// version is set at build time with -ldflags "-X main.version=…".
var version = ""

const usage = `pargo is a Parse-compatible backend in one binary.

Usage:
  pargo serve [FILE] [flags]     serve the API; FILE is a JSON file of options
  pargo livequery [FILE] [flags] serve live queries alone, beside other servers
  pargo schema check FILE        check a schema.json and print what it declares
  pargo schema plan FILE         print what serving a schema.json would change
  pargo schema apply FILE        change a database so, without serving it
  pargo schema pull              print the schema.json of a database
  pargo migrate --from URI --to URI   copy a database to another one, of whatever kind
  pargo doctor [URL] [flags]     examine a server: what is wrong, which indexes are missing
  pargo init DIR                 write a server with cloud code of your own
  pargo gen go|ts [SCHEMA]       write types for the classes of a schema.json
  pargo health [FILE] [flags]    ask a running server whether it is well
  pargo version                  print the version

"pargo COMMAND --help" tells more about a command.
`

func main() {
	if os.Getenv("GOGC") == "" {
		tuneGC()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errUsage ends the program with status 2, as wrong use of a command does.
var errUsage = command.ErrUsage

// exitError ends the program with a status that a command documents; without
// a reason it says nothing.
type exitError struct {
	status int
	reason error
}

// Error implements error.
func (e *exitError) Error() string {
	if e.reason == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.reason.Error()
}

// Unwrap returns the reason.
func (e *exitError) Unwrap() error { return e.reason }

// run executes one command and returns the exit status: 0, 1 for a failure, 2
// for wrong use. The last line on stderr is the reason of a failure.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, environ, stdout, stderr)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		_, _ = fmt.Fprint(stderr, usage)
		_, _ = fmt.Fprintf(stderr, "pargo: %s\n", err)
		return 2
	}
	var exit *exitError
	if errors.As(err, &exit) {
		if exit.reason != nil {
			_, _ = fmt.Fprintf(stderr, "pargo: %s\n", exit)
		}
		return exit.status
	}
	var problems config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			_, _ = fmt.Fprintf(stderr, "pargo: %s\n", p)
		}
		return 1
	}
	_, _ = fmt.Fprintf(stderr, "pargo: %s\n", err)
	return 1
}

func dispatch(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: no command given", errUsage)
	}
	rest := args[1:]
	switch args[0] {
	case "serve":
		if wantsHelp(rest) {
			return command.Help(stdout, "pargo serve")
		}
		return command.Serve(ctx, versionText(), rest, environ, stdout, stderr)
	case "livequery":
		return liveCommand(ctx, rest, environ, stdout, stderr)
	case "schema":
		return schemaCommand(ctx, rest, environ, streams{os.Stdin, stdout, stderr, atTerminal()})
	case "migrate":
		if wantsHelp(rest) {
			_, err := fmt.Fprint(stdout, command.MigrateHelp)
			return err
		}
		return command.Migrate(ctx, rest, environ, stdout, stderr)
	case "doctor":
		return doctorCommand(ctx, rest, environ, stdout, stderr)
	case "gen":
		return genCommand(rest, streams{os.Stdin, stdout, stderr, atTerminal()})
	case "init":
		if wantsHelp(rest) {
			_, err := fmt.Fprint(stdout, initUsage)
			return err
		}
		return initProject(rest, stdout)
	case "health":
		if wantsHelp(rest) {
			_, err := fmt.Fprint(stdout, "Usage: pargo health [FILE] [flags]\n\nAsks the server that the same options would start for its health.\nExit status 0: it is well.\n")
			return err
		}
		return health(ctx, rest, environ, stdout)
	case "version", "--version", "-v":
		_, err := fmt.Fprintln(stdout, versionText())
		return err
	case "help", "--help", "-h":
		_, err := fmt.Fprint(stdout, usage)
		return err
	}
	return fmt.Errorf("%w: unknown command %q", errUsage, args[0])
}

// atTerminal reports whether somebody sees what is printed and can answer.
func atTerminal() bool {
	for _, f := range [...]*os.File{os.Stdin, os.Stdout} {
		if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
			return false
		}
	}
	return true
}

func wantsHelp(args []string) bool {
	for _, a := range args {
		if a == "--help" || a == "-h" {
			return true
		}
	}
	return false
}

// versionText is the version given at build time, or what the Go toolchain knows of the build.
func versionText() string {
	v := version
	info, ok := debug.ReadBuildInfo()
	if v == "" && ok {
		v = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
				v = "devel-" + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	if v == "" {
		v = "devel"
	}
	text := "pargo " + v
	if ok {
		text += " (" + info.GoVersion + ")"
	}
	return text
}
