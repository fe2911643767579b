package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
)

// schemaRun runs one `pargo schema` command with an answer on its standard input.
func schemaRun(t *testing.T, answer string, args ...string) (stdout string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = schemaCommand(t.Context(), args, nil, streams{strings.NewReader(answer), &out, &errs})
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
	for _, db := range scenario.Databases() {
		t.Run(db.Name, func(t *testing.T) {
			uri := "--databaseURI=" + db.URI(t)
			step := func(name, answer string, args []string, wantErr string, want ...string) string {
				t.Helper()
				out, err := schemaRun(t, answer, append(args, uri)...)
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
			step("apply", "", []string{"apply", first}, "", append(created, "done\n")...)
			step("again", "", []string{"plan", first}, "", "nothing to do\n")

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
			step("no answer", "", []string{"apply", second}, "--yes allows it")
			step("nothing was changed", "", []string{"plan", first}, "", "nothing to do\n")
			step("allowed", "yes\n", []string{"apply", second}, "", append(lost, "done\n")...)
			step("done", "", []string{"plan", second}, "", "nothing to do\n")
			step("back", "", []string{"apply", first}, "", "  add field Game.score: Number", "add index Game.byScore on -score")
			step("allowed in advance", "", []string{"apply", second, "--yes"}, "", "done\n")
			step("another type", "", []string{"plan", write(t, `{"classes":[{"className":"Game","fields":{"level":{"type":"String"}}}]}`)}, "stored as Number but defined as String")
		})
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
	if out, err := schemaRun(t, "", "plan", "../../schema.json", "--dataDir", dir); err != nil || !strings.Contains(out, "create class Payment") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the plan made %s: %v", dir, err)
	}
}
