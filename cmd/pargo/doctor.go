package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/server"
	"github.com/pargo-baas/pargo/server/command"
	"github.com/pargo-baas/pargo/server/config"
)

const doctorUsage = `Usage: pargo doctor [URL] [--security] [--slow MS] [--json] [options]

Examines a server and says what to do about what it finds. URL is that of a
running server, with its mount path: http://127.0.0.1:1337/parse. It is asked with
the appId and the masterKey of the options, or those in dataDir. Without a URL the
database of the options is opened and examined; it knows nothing of queries, whose
statistics are in the memory of a server. The embedded database has one user at a
time.

--security adds the checks of GET /security: keys, permissions, limits, TLS.
--slow is the 95th percentile of a query, in milliseconds, from which on a missing
index is a finding (20). --json prints the answer of GET /doctor.

The options are those of pargo serve, in flags, environment and a JSON file
(--config FILE). Exit status 0: nothing was found.
`

// errFindings ends the program with status 1.
var errFindings = errors.New("there is something to do")

// doctorTimeout bounds how long a server may take to answer.
const doctorTimeout = 60 * time.Second

func doctorCommand(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	if wantsHelp(args) {
		_, err := fmt.Fprint(stdout, doctorUsage)
		return err
	}
	asJSON, security := slices.Contains(args, "--json"), slices.Contains(args, "--security")
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--json" || a == "--security" })
	slow := ""
	for i, a := range args {
		value, one := strings.CutPrefix(a, "--slow=")
		if !one && a != "--slow" {
			continue
		}
		n := i + 1
		if !one {
			if n == len(args) {
				return fmt.Errorf("%w: --slow needs a number of milliseconds", errUsage)
			}
			value, n = args[n], n+1
		}
		if _, err := strconv.ParseUint(value, 10, 32); err != nil {
			return fmt.Errorf("%w: --slow needs a number of milliseconds, not %q", errUsage, value)
		}
		slow, args = value, slices.Delete(args, i, n)
		break
	}
	target := ""
	if len(args) > 0 && (strings.HasPrefix(args[0], "http://") || strings.HasPrefix(args[0], "https://")) {
		target, args = args[0], args[1:]
	}
	cfg, err := config.Load(args, environ)
	if err != nil {
		return err
	}
	var answer []byte
	if target != "" {
		answer, err = askDoctor(ctx, cfg, target, slow, security)
	} else {
		answer, err = examineDatabase(ctx, cfg, security, stderr)
	}
	if err != nil {
		return err
	}
	var found findings
	if err := json.Unmarshal(answer, &found); err != nil {
		return fmt.Errorf("the answer is not that of a doctor: %w", err)
	}
	if asJSON {
		_, err = fmt.Fprintln(stdout, string(answer))
	} else {
		err = found.print(stdout)
	}
	if err == nil && found.Report.State == "fail" {
		err = errFindings
	}
	return err
}

// examineDatabase looks at the database itself; it makes none.
func examineDatabase(ctx context.Context, cfg config.Config, security bool, stderr io.Writer) ([]byte, error) {
	db, err := cfg.Database()
	if err != nil {
		return nil, err
	}
	if db.Kind == config.SQLite && db.Location != "" {
		if _, err := os.Stat(db.Location); err != nil {
			return nil, fmt.Errorf("there is no database at %s", db.Location)
		}
	}
	return server.Examine(ctx, cfg, security, command.NewLogger(cfg, stderr))
}

// askDoctor asks a running server.
func askDoctor(ctx context.Context, cfg config.Config, target, slow string, security bool) ([]byte, error) {
	if cfg.AppID == "" || cfg.MasterKey == "" {
		// Only what a server has made is read; this is no server that makes it.
		if _, err := os.Stat(cfg.SecretsFile()); err != nil { //nolint:gosec // the operator names the folder
			return nil, errors.New("appId and masterKey must be set")
		}
		if _, err := cfg.FillSecrets(); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(strings.TrimRight(target, "/") + "/doctor")
	if err != nil {
		return nil, err
	}
	params := url.Values{}
	if slow != "" {
		params.Set("slow", slow)
	}
	if security {
		params.Set("security", "true")
	}
	u.RawQuery = params.Encode()
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil) //nolint:gosec // the operator names the server
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Parse-Application-Id", cfg.AppID)
	req.Header.Set("X-Parse-Master-Key", cfg.MasterKey)
	resp, err := http.DefaultClient.Do(req) //nolint:gosec // as above
	if err != nil {
		return nil, fmt.Errorf("not reachable: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s %s", u.Redacted(), resp.Status, body[:min(len(body), 1<<10)])
	}
	return body, nil
}

// findings is what of the answer is printed.
type findings struct {
	Report struct {
		State  string
		Groups []struct {
			Name, State string
			Checks      []struct {
				Title, State, Warning, Solution string
				Schema                          json.RawMessage
			}
		}
	}
	Statistics *struct {
		Since  string
		Shapes []struct {
			Title, Limit         string
			Calls, Rows          int64
			P50Ms, P95Ms, MaxMs  float64
			TotalMs              float64
			Operation, ClassName string
		}
	}
}

// printedShapes is how many shapes the text has; --json has more.
const printedShapes = 10

func (f *findings) print(w io.Writer) error {
	var b strings.Builder
	marks := map[string]string{"success": "ok", "fail": "!!", "none": "??"}
	for _, g := range f.Report.Groups {
		fmt.Fprintf(&b, "%s\n", g.Name)
		for _, c := range g.Checks {
			fmt.Fprintf(&b, "  %s  %s\n", marks[c.State], c.Title)
			for _, line := range []string{c.Warning, c.Solution} {
				if line != "" {
					fmt.Fprintf(&b, "      %s\n", line)
				}
			}
			if n := len(c.Schema); n > 2 { // an object; its members go into the class
				fmt.Fprintf(&b, "      in schema.json: %s\n", c.Schema[1:n-1])
			}
		}
	}
	if f.Statistics != nil && len(f.Statistics.Shapes) > 0 {
		fmt.Fprintf(&b, "Queries by time in all, since %s\n", f.Statistics.Since)
		for _, s := range f.Statistics.Shapes[:min(len(f.Statistics.Shapes), printedShapes)] {
			fmt.Fprintf(&b, "  %9.1f ms  %7d calls  p50 %.1f  p95 %.1f  max %.1f ms  %s\n", s.TotalMs, s.Calls, s.P50Ms, s.P95Ms, s.MaxMs, s.Title)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
