package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
)

// asProgram makes the test binary be the program.
const asProgram = "PARGO_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestApplyKilled: an apply that is killed in the middle is completed by the next.
func TestApplyKilled(t *testing.T) {
	const classes = 12
	var list []string
	for i := range classes {
		list = append(list, fmt.Sprintf(`{"className":"C%d","fields":{"a":{"type":"String"},"r":{"type":"Relation","targetClass":"User"}},"indexes":{"i":{"a":1},"u":{"a":-1}},"indexOptions":{"u":{"unique":true,"sparse":true}}}`, i))
	}
	file := write(t, `{"classes":[`+strings.Join(list, ",")+`]}`)
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		uri := "--databaseURI=" + db.URI(t)
		cmd := exec.CommandContext(t.Context(), os.Args[0], "schema", "apply", file, uri)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "] create class C5") {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the command came to its end")
		}
		before, err := runSchema(t, "", "plan", file, uri)
		if err != nil || !strings.Contains(before, "C11") || strings.Contains(before, "create class C3:") {
			t.Fatalf("after the kill: %v\n%s", err, before)
		}
		// On a shared database this waits until the lock of the dead has ended.
		if out, err := runSchema(t, "", "apply", file, uri); err != nil || !strings.HasSuffix(out, "done\n") {
			t.Fatalf("%v\n%s", err, out)
		}
		if out, err := runSchema(t, "", "plan", file, uri); err != nil || out != "nothing to do\n" {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := runSchema(t, "", "pull", uri)
		if err != nil || strings.Count(text, `"unique": true`) != classes {
			t.Errorf("%v\n%s", err, text)
		}
	})
}
