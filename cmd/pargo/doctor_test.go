package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
)

func TestDoctorOnDatabase(t *testing.T) {
	file := write(t, `{"classes":[{"className":"Game","fields":{"score":{"type":"Number"}},"indexes":{"byScore":{"score":-1}},"classLevelPermissions":{}}]}`)
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		uri := "--databaseURI=" + db.URI(t)
		if _, err := runSchema(t, "", "apply", file, uri); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"doctor", uri, "--silent"}, nil, &out, &errs)
		const want = "Database\n  ok  The database answers\n  ok  Declared indexes exist\nQueries\n  ??  Indexes serve the queries\n" +
			"      Statistics are in the memory of a server: ask the one that runs.\n"
		if code != 0 || out.String() != want {
			t.Errorf("code %d\nstdout: %s\nstderr: %s", code, &out, &errs)
		}
	})
}

func TestDoctorOnServer(t *testing.T) {
	s := scenario.Start(t, scenario.Databases()[0].URI(t), nil, nil)
	s.Do(t, &scenario.Step{Name: "class", Method: "POST", Path: "/schemas/Game", As: "master", Body: `{"fields":{"score":{"type":"Number"}}}`})
	s.Do(t, &scenario.Step{Name: "find", Path: "/classes/Game", As: "master", Query: map[string]string{"order": "-score"}})
	doctor := func(args ...string) (code int, stdout, stderr string) {
		var out, errs bytes.Buffer
		code = run(t.Context(), append([]string{"doctor"}, args...), nil, &out, &errs)
		return code, out.String(), errs.String()
	}
	keys := []string{"--appId", scenario.AppID, "--masterKey", scenario.MasterKey}
	code, out, errs := doctor(append([]string{s.URL, "--slow", "3600000"}, keys...)...)
	if code != 0 || !strings.Contains(out, "ok  Indexes serve the queries") || !strings.Contains(out, "1 calls") || !strings.Contains(out, "class Game: order -score") {
		t.Errorf("well: code %d\n%s%s", code, out, errs)
	}
	code, out, errs = doctor(append([]string{s.URL, "--slow=0"}, keys...)...)
	if code != 1 || !strings.Contains(out, "!!  class Game: order -score\n      no index serves it; ") ||
		!strings.Contains(out, `in schema.json: "indexes":{"score":{"score":-1}}`+"\n") || !strings.Contains(errs, "there is something to do") {
		t.Errorf("finding: code %d\n%s%s", code, out, errs)
	}
	code, out, errs = doctor(append([]string{s.URL, "--security"}, keys...)...)
	if code != 1 || !strings.Contains(out, "Operation\n") || !strings.Contains(out, "!!  Secure master key\n") {
		t.Errorf("security: code %d\n%s%s", code, out, errs)
	}
	code, out, errs = doctor(append([]string{s.URL + "/", "--json", "--slow", "0"}, keys...)...)
	if code != 1 || !json.Valid([]byte(out)) {
		t.Errorf("JSON: code %d\n%s%s", code, out, errs)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"wrong key":      {[]string{s.URL, "--appId", scenario.AppID, "--masterKey", "no"}, 1, "403"},
		"no key":         {[]string{s.URL, "--dataDir", t.TempDir()}, 1, "appId and masterKey must be set"},
		"no server":      {append([]string{"http://127.0.0.1:1/parse"}, keys...), 1, "not reachable"},
		"no API there":   {append([]string{strings.TrimSuffix(s.URL, "/parse")}, keys...), 1, "404"},
		"no database":    {[]string{"--dataDir", filepath.Join(t.TempDir(), "no")}, 1, "there is no database at"},
		"no number":      {[]string{s.URL, "--slow", "x"}, 2, "--slow needs a number of milliseconds"},
		"nothing there":  {[]string{s.URL, "--slow"}, 2, "--slow needs a number of milliseconds"},
		"unknown option": {[]string{s.URL, "--colour", "red"}, 1, "unknown option '--colour'"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, errs := doctor(tt.args...); code != tt.code || !strings.Contains(errs, tt.want) {
				t.Errorf("code %d: %s", code, errs)
			}
		})
	}
	if code, out, _ := doctor("--help"); code != 0 || !strings.Contains(out, "Usage: pargo doctor") {
		t.Errorf("help: code %d\n%s", code, out)
	}
}
