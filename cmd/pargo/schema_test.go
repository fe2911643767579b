package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
)

// runSchema runs one `pargo schema` command, at a terminal if there is an answer.
func runSchema(t *testing.T, answer string, args ...string) (stdout string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = schemaCommand(t.Context(), args, nil, streams{strings.NewReader(answer), &out, &errs, answer != ""})
	return out.String(), err
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSchemaCommands(t *testing.T) {
	first := write(t, `{"classes":[{"className":"Game","comment":"games","fields":{"score":{"type":"Number","required":true,"defaultValue":1,"validate":{"minimum":0}},"owner":{"type":"Pointer","targetClass":"User"},"since":{"type":"Date"}},
		"ownerField":"owner","indexes":{"byScore":{"score":-1}},"classLevelPermissions":{"find":{"*":true}}},
		{"className":"User","fields":{"nick":{"type":"String"}}}]}`)
	second := write(t, `{"deleteExtraFields":true,"strict":true,"classes":[{"className":"Game","comment":"games","ownerField":"owner","fields":{"owner":{"type":"Pointer","targetClass":"User"},"level":{"type":"Number"}}}]}`)
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		uri := "--databaseURI=" + db.URI(t)
		step := func(name, answer string, args []string, wantErr string, want ...string) string {
			t.Helper()
			out, err := runSchema(t, answer, append(args, uri)...)
			if got := errorText(err); wantErr == "" && got != "" || !strings.Contains(got, wantErr) {
				t.Fatalf("%s: error %q, want %q\n%s", name, got, wantErr, out)
			}
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("%s: lacks %q:\n%s", name, w, out)
				}
			}
			return out
		}
		if db.Name == "sqlite" {
			step("no database", "", []string{"pull"}, "there is no database at")
		}
		created := []string{"  create class _Session", "  create class Game: 7 fields, 1 indexes\n", "  add field _User.nick: String\n", "no data is lost"}
		step("plan", "", []string{"plan", first}, "", created...)
		step("a plan does nothing", "", []string{"plan", first}, "", created...)
		step("apply", "", []string{"apply", first}, "", append(created, "[1/", "] create class Game: 7 fields, 1 indexes\n", "done\n")...)
		step("again", "", []string{"plan", first}, "", "nothing to do\n")

		step("status", "", []string{"plan", first, "--exit-code"}, "", "nothing to do\n")
		step("status", "", []string{"plan", second, "--exit-code"}, "exit status 3", "3 steps")
		for _, form := range []string{"classes", "results"} {
			pulled := step("pull", "", []string{"pull", "--form", form}, "", `"`+form+`"`)
			step("pulled as "+form, "", []string{"plan", write(t, pulled)}, "", "nothing to do\n")
		}
		step("no such form", "", []string{"pull", "--form=odd"}, `the form must be classes, definitions or results, not "odd"`)

		pulled := step("pull", "", []string{"pull"}, "", `"className": "Game"`, `"ownerField": "owner"`, `"minimum": 0`, `"byScore"`, `"nick"`)
		for _, surplus := range []string{"createdAt", "_Session", "username", "results"} {
			if strings.Contains(pulled, surplus) {
				t.Errorf("the file has %s:\n%s", surplus, pulled)
			}
		}
		step("what was pulled is what is there", "", []string{"plan", write(t, pulled)}, "", "nothing to do\n")

		lost := []string{"! drop field Game.score with its data", "  add field Game.level: Number", "3 steps, of which 2 destroy data (!)"}
		step("plan of a loss", "", []string{"plan", second}, "", lost...)
		step("refused", "no\n", []string{"apply", second}, "the change would destroy data: nothing was changed; --yes allows it", lost...)
		step("no terminal", "", []string{"apply", second}, "--yes allows it")
		step("nothing was changed", "", []string{"plan", first}, "", "nothing to do\n")
		step("allowed", "yes\n", []string{"apply", second}, "", append(lost, "done\n")...)
		step("done", "", []string{"plan", second}, "", "nothing to do\n")
		step("back", "", []string{"apply", first}, "", "  add field Game.score: Number", "add index Game.byScore on -score")
		step("allowed in advance", "", []string{"apply", second, "--yes"}, "", "done\n")
		// As a file of defined schemas, the database says the same once clients add no fields.
		defined := write(t, step("pull", "", []string{"pull", "--form", "definitions"}, "", `"definitions"`, `"addField": {}`))
		step("apply", "", []string{"apply", defined}, "", "set permissions of class _User\n")
		step("defined", "", []string{"plan", defined}, "", "nothing to do\n")
		step("again", "", []string{"plan", write(t, step("pull", "", []string{"pull", "--form", "definitions"}, ""))}, "", "nothing to do\n")
		step("another type", "", []string{"plan", write(t, `{"classes":[{"className":"Game","fields":{"level":{"type":"String"}}}]}`)}, "stored as Number but defined as String")
	})
}

// TestSchemaStatus: what a script learns from the exit status.
func TestSchemaStatus(t *testing.T) {
	dir := t.TempDir()
	full := write(t, `{"classes":[{"className":"A","fields":{"a":{"type":"String"}}}]}`)
	bare := write(t, `{"deleteExtraFields":true,"classes":[{"className":"A"}]}`)
	for _, tc := range []struct {
		args   []string
		status int
		last   string // on stderr
	}{
		{[]string{"plan", full}, 0, ""},
		{[]string{"plan", full, "--exit-code"}, 3, ""},
		{[]string{"pull"}, 1, "there is no database at"},
		{[]string{"apply", full}, 0, ""},
		{[]string{"plan", "--exit-code"}, 2, "wrong use"},
		{[]string{"plan", full, "--exit-code"}, 0, ""},
		{[]string{"apply", bare}, 4, "--yes allows it"},
		{[]string{"apply", bare, "--yes"}, 0, ""},
		{[]string{"check", filepath.Join(dir, "none.json")}, 1, "no such file"},
		{[]string{"pull", "--form", "x"}, 2, "the form must be"},
	} {
		args := append([]string{"schema"}, tc.args...)
		if tc.args[0] != "check" {
			args = append(args, "--dataDir="+dir, "--silent")
		}
		var out, errs bytes.Buffer
		if got := run(t.Context(), args, nil, &out, &errs); got != tc.status || !strings.Contains(errs.String(), tc.last) {
			t.Errorf("%v: status %d, want %d\n%s%s", tc.args, got, tc.status, out.String(), errs.String())
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestPlanMakesNoFiles: a plan for a database that is not there leaves it so.
func TestPlanMakesNoFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if out, err := runSchema(t, "", "plan", "../../schema.json", "--dataDir", dir); err != nil || !strings.Contains(out, "create class Payment") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the plan made %s: %v", dir, err)
	}
}
