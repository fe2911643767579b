package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/config"
)

// ErrUsage is what wrong use of a command is.
var ErrUsage = errors.New("wrong use")

// MigrateHelp is the text of pargo migrate --help.
const MigrateHelp = `Usage: pargo migrate --from URI --to URI [flags]

Copies a database to another one, of whatever kind: sqlite:FILE, mongodb://…,
postgres://…. Classes with their whole definitions, objects with all that they
have (passwords, sessions, tokens), relations, indexes, config, hooks, jobs and
schedules. Then it reads both and compares count and hash of every class. Files
in GridFS are not copied.

Stop the servers of both databases first. A copy that was broken off, in
whatever way, goes on with the same command; how far it is stands in the class
PargoMigration of the target, which goes at the end.

  --from URI, --to URI      the databases, as in databaseURI
  --from-prefix, --to-prefix  their collectionPrefix, on MongoDB
  --classes A,B             these classes alone
  --merge                   go on if the target has objects; those with the same id
                            stay as they are, and are counted
  --dry-run                 tell what would be copied
  --json                    print the result as JSON

URIs with passwords belong in the environment, as flags stand in the list of
processes: PARGO_MIGRATE_FROM and PARGO_MIGRATE_TO.

Exit status 0: all is there and the same. 1: it is not; the last line says why.
`

// Migrate is pargo migrate: it copies one database to another one.
func Migrate(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	t := server.Transfer{From: config.Default(), To: config.Default()}
	var classes string
	var asJSON bool
	fs := flag.NewFlagSet("migrate", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&t.From.DatabaseURI, "from", variable(environ, "PARGO_MIGRATE_FROM"), "")
	fs.StringVar(&t.To.DatabaseURI, "to", variable(environ, "PARGO_MIGRATE_TO"), "")
	fs.StringVar(&t.From.CollectionPrefix, "from-prefix", "", "")
	fs.StringVar(&t.To.CollectionPrefix, "to-prefix", "", "")
	fs.StringVar(&classes, "classes", "", "")
	fs.BoolVar(&t.Merge, "merge", false, "")
	fs.BoolVar(&t.DryRun, "dry-run", false, "")
	fs.BoolVar(&asJSON, "json", false, "")
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("%w: what is %q?", ErrUsage, fs.Arg(0))
	case t.From.DatabaseURI == "" || t.To.DatabaseURI == "":
		return fmt.Errorf("%w: migrate needs --from and --to", ErrUsage)
	}
	if classes != "" {
		t.Classes = strings.Split(classes, ",")
	}
	quiet := config.Default()
	quiet.LogLevel = "warn"
	b := &bar{w: stderr, terminal: isTerminal(stderr), began: time.Now()}
	t.Progress = b.show
	r, err := server.TransferDatabase(ctx, t, NewLogger(quiet, stderr))
	b.end()
	var full *server.NotEmptyError
	switch {
	case errors.As(err, &full):
		return fmt.Errorf("%w: empty it, or say --merge", err)
	case err != nil && ctx.Err() != nil:
		return errors.New("stopped: the same command goes on from here")
	case err != nil:
		return err
	}
	if asJSON {
		return json.NewEncoder(stdout).Encode(r)
	}
	return printTransfer(stdout, r, time.Since(b.began))
}

func variable(environ []string, name string) string {
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Times between what is shown of progress.
const (
	barPace  = 100 * time.Millisecond
	linePace = 10 * time.Second
	barWidth = 30
)

// bar shows progress: on a terminal as a bar in one line, else now and then
// and for each class as a line.
type bar struct {
	w        io.Writer
	terminal bool
	began    time.Time // of all
	stage    server.TransferProgress
	at       time.Time // when the stage began
	shown    time.Time
}

func (b *bar) show(p server.TransferProgress) {
	now := time.Now()
	if p.Stage != b.stage.Stage {
		b.at = now
	}
	pace := linePace
	if b.terminal {
		pace = barPace
	}
	other := p.Stage != b.stage.Stage || p.Class != b.stage.Class
	b.stage = p
	if now.Sub(b.shown) < pace && (!other || b.terminal) && p.Done < p.Total {
		return
	}
	b.shown = now
	text := fmt.Sprintf("%-7s %d of %d objects", p.Stage, p.Done, p.Total)
	if took := now.Sub(b.at).Seconds(); took > 1 && p.Done > 0 {
		rate := float64(p.Done) / took
		text += fmt.Sprintf(", %.0f/s, %s left", rate, time.Duration(float64(p.Total-p.Done)/rate*float64(time.Second)).Round(time.Second))
	}
	text += ", " + p.Class
	if !b.terminal {
		_, _ = fmt.Fprintln(b.w, text)
		return
	}
	full := barWidth
	if p.Total > 0 {
		full = int(min(p.Done, p.Total) * barWidth / p.Total)
	}
	_, _ = fmt.Fprintf(b.w, "\r\x1b[K[%s%s] %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), text)
}

// end clears the bar.
func (b *bar) end() {
	if b.terminal {
		_, _ = io.WriteString(b.w, "\r\x1b[K")
	}
}

func printTransfer(w io.Writer, r *server.TransferReport, took time.Duration) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "class\tobjects\tmembers\tcopied\tpresent\tkept\thash\n"
	if r.DryRun {
		head = "class\tobjects\n"
	}
	_, _ = io.WriteString(tw, head)
	var objects int64
	for _, c := range r.Classes {
		objects += c.Objects
		if r.DryRun {
			_, _ = fmt.Fprintf(tw, "%s\t%d\n", c.Name, c.Objects)
			continue
		}
		_, _ = fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\t%s\n", c.Name, c.Objects, c.Links, c.Copied, c.Present, c.Kept, c.Hash)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if r.DryRun {
		_, err := fmt.Fprintf(w, "%d objects of %d classes would be copied\n", objects, len(r.Classes))
		return err
	}
	again := ""
	if r.Resumed {
		again = ", going on from an earlier run"
	}
	_, err := fmt.Fprintf(w, "%d objects of %d classes are there and the same, after %s%s\n", objects, len(r.Classes), took.Round(100*time.Millisecond), again)
	return err
}
