package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/server/config"
)

func runMigrate(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err strings.Builder
	code = run(t.Context(), append([]string{"migrate"}, args...), nil, &out, &err)
	return out.String(), err.String(), code
}

func freely(c *config.Config) { c.AllowClientClassCreation = true }

// TestMigrateKilled: a copy that is killed in the middle is completed by the
// next, and a server goes on with the target as it did with the source.
func TestMigrateKilled(t *testing.T) {
	const objects = 3000
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		source := "sqlite:" + filepath.Join(t.TempDir(), "source.db")
		s := scenario.Start(t, source, freely, nil)
		s.Do(t, &scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"ann","password":"secret"}`, Status: 201})
		s.Do(t, &scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"bob","password":"secret"}`, Status: 201})
		for at := 0; at < objects; at += 1000 {
			var items []string
			for i := range 1000 {
				items = append(items, fmt.Sprintf(`{"method":"POST","path":"/parse/classes/Row","body":{"n":%d,"text":"row %d"}}`, at+i, at+i))
			}
			s.Do(t, &scenario.Step{Method: "POST", Path: "/batch", As: "master", Body: `{"requests":[` + strings.Join(items, ",") + `]}`, Status: 200})
		}
		s.Stop()

		target := db.URI(t)
		args := []string{"--from", source, "--to", target}
		cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"migrate"}, args...)...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		progress, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(progress); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "copy") && strings.HasSuffix(lines.Text(), ", Row") {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the command came to its end")
		}

		out, errs, code := runMigrate(t, append(args, "--json")...)
		var report struct {
			Resumed bool
			Classes []struct {
				Name, Hash               string
				Objects, Copied, Present int64
			}
		}
		if err := json.Unmarshal([]byte(out), &report); code != 0 || err != nil || !report.Resumed {
			t.Fatalf("exit status %d, %v: %s%s", code, err, out, errs)
		}
		for _, c := range report.Classes {
			if c.Name == "Row" && (c.Objects != objects || c.Copied+c.Present >= objects || c.Hash == "") {
				t.Errorf("going on: %+v", c)
			}
		}
		if _, errs, code := runMigrate(t, args...); code != 1 || !strings.Contains(errs, "pargo: the target has objects already, in Row, _Session, _User: empty it, or say --merge") {
			t.Errorf("once more: %d %s", code, errs)
		}

		s = scenario.Start(t, target, freely, nil)
		s.Do(t, &scenario.Step{Path: "/classes/Row", Query: map[string]string{"count": "1", "limit": "0"}, As: "master", JSON: fmt.Sprintf(`{"results":[],"count":%d}`, objects)})
		s.Do(t, &scenario.Step{Path: "/login", Query: map[string]string{"username": "bob", "password": "secret"}, Status: 200})
		s.Do(t, &scenario.Step{Method: "POST", Path: "/users", Body: `{"username":"ANN","password":"x"}`, Status: 400, JSON: `{"code":202,"error":"Account already exists for this username."}`})
	})
}

func TestMigrateRefuses(t *testing.T) {
	dir := t.TempDir()
	there := "sqlite:" + filepath.Join(dir, "there.db")
	if _, err := runSchema(t, "", "apply", write(t, `{"classes":[{"className":"A"}]}`), "--databaseURI="+there); err != nil {
		t.Fatal(err)
	}
	nowhere := "sqlite:" + filepath.Join(dir, "nowhere.db")
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing said":    {nil, 2, "pargo: wrong use: migrate needs --from and --to"},
		"no target":       {[]string{"--from", there}, 2, "migrate needs --from and --to"},
		"unknown flag":    {[]string{"--form", there}, 2, "flag provided but not defined: -form"},
		"an argument":     {[]string{"--from", there, "--to", nowhere, "now"}, 2, `what is "now"?`},
		"no source":       {[]string{"--from", nowhere, "--to", there}, 1, "source: there is no database at"},
		"itself":          {[]string{"--from", there, "--to", there}, 1, "source and target are the same database"},
		"in memory":       {[]string{"--from", "sqlite::memory:", "--to", there}, 1, "a database in memory cannot be moved"},
		"unknown kind":    {[]string{"--from", there, "--to", "oracle:x"}, 1, "must begin with sqlite:"},
		"unknown class":   {[]string{"--from", there, "--to", "sqlite:" + filepath.Join(dir, "other.db"), "--classes", "B"}, 1, "the source has no class B"},
		"nothing to copy": {[]string{"--from", there, "--to", nowhere, "--dry-run"}, 0, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, errs, code := runMigrate(t, tt.args...); code != tt.code || !strings.Contains(errs, tt.want) {
				t.Errorf("exit status %d, want %d: %s", code, tt.code, errs)
			}
		})
	}
}
