package codegen_test

import (
	"bytes"
	"flag"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/internal/codegen"
	"github.com/pargo-baas/pargo/schema"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

func classes(t *testing.T, path string) []*schema.Class {
	t.Helper()
	f, err := schema.LoadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f.Classes
}

// generate returns what both languages get of the classes.
func generate(t *testing.T, list []*schema.Class) map[string][]byte {
	t.Helper()
	golang, err := codegen.Go("model", list)
	if err != nil {
		t.Fatal(err)
	}
	ts, err := codegen.TypeScript("parse", list)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"model.go.txt": golang, "model.ts": ts}
}

// The file has every type of field, names that collide and comments that could
// end their own.
func TestGolden(t *testing.T) {
	list := classes(t, "testdata/schema.json")
	for name, got := range generate(t, list) {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDeterministic(t *testing.T) {
	list := classes(t, "testdata/schema.json")
	first := generate(t, list)
	for range 5 {
		list = append(list[1:], list[0])
		for name, text := range generate(t, list) {
			if !bytes.Equal(text, first[name]) {
				t.Fatalf("%s differs when the classes come in another order", name)
			}
		}
	}
}

// What is written for Go is formatted, compiles, and is taken by typed hooks.
func TestGoCompiles(t *testing.T) {
	text := generate(t, classes(t, "testdata/schema.json"))["model.go.txt"]
	formatted, err := format.Source(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(formatted), string(text)); diff != "" {
		t.Error(diff)
	}
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"go.mod":   "module model\n\ngo 1.26\n\nrequire github.com/pargo-baas/pargo v0.0.0\n\nreplace github.com/pargo-baas/pargo => " + root + "\n",
		"model.go": string(text),
		"model_test.go": `package model

import (
	"context"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
)

func register[T any](app *cloudcode.App) {
	cloudcode.BeforeSave(app, func(context.Context, *cloudcode.Save[T]) error { return nil })
}

func TestHooks(t *testing.T) {
	app := cloudcode.New()
	register[All](app)
	register[User](app)
	register[User2](app)
	register[Empty](app)
	if err := app.Err(); err != nil {
		t.Fatal(err)
	}
	for class, got := range map[string]string{
		"All": cloudcode.ClassOf[All](), "_User": cloudcode.ClassOf[User2](), "User": cloudcode.ClassOf[User](),
	} {
		if class != got || !app.HasBeforeSave(class) {
			t.Errorf("%s is %s", class, got)
		}
	}
}
`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-mod=mod", "-tags", "nomsgpack", "./...")
	cmd.Dir = dir
	// The flags of the release: what its build has compiled serves here.
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-trimpath", "CGO_ENABLED=0", "GOSUMDB=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestRefusals(t *testing.T) {
	list := classes(t, "testdata/schema.json")
	for _, pkg := range []string{"", "a-b", "func", "_"} {
		if _, err := codegen.Go(pkg, list); err == nil {
			t.Errorf("package %q is taken", pkg)
		}
	}
	if _, err := codegen.Go("model", nil); err == nil {
		t.Error("no classes are taken")
	}
	if _, err := codegen.TypeScript("parse", nil); err == nil {
		t.Error("no classes are taken")
	}
}

func TestDiff(t *testing.T) {
	numbers := func(change map[string]string) string {
		var b strings.Builder
		for _, n := range strings.Split("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", " ") {
			if text, ok := change[n]; ok {
				n = text
			}
			if n != "" {
				b.WriteString(n + "\n")
			}
		}
		return b.String()
	}
	for name, tt := range map[string]struct{ old, now, want string }{
		"equal":    {"a\n", "a\n", ""},
		"from nil": {"", "a\nb\n", "--- f\n+++ t\n@@ -1,0 +1,2 @@\n+a\n+b\n"},
		"to nil":   {"a\n", "", "--- f\n+++ t\n@@ -1,1 +1,0 @@\n-a\n"},
		"one line": {numbers(nil), numbers(map[string]string{"9": "x"}), "--- f\n+++ t\n@@ -6,7 +6,7 @@\n 6\n 7\n 8\n-9\n+x\n 10\n 11\n 12\n"},
		"two places": {
			numbers(nil), numbers(map[string]string{"2": "", "19": "x\ny"}),
			"--- f\n+++ t\n@@ -1,5 +1,4 @@\n 1\n-2\n 3\n 4\n 5\n@@ -16,5 +15,6 @@\n 16\n 17\n 18\n-19\n+x\n+y\n 20\n",
		},
		"near places": {
			numbers(nil), numbers(map[string]string{"5": "x", "10": "y"}),
			"--- f\n+++ t\n@@ -2,12 +2,12 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n 9\n-10\n+y\n 11\n 12\n 13\n",
		},
		"no last newline": {"a", "b", "--- f\n+++ t\n@@ -1,1 +1,1 @@\n-a\n+b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, codegen.Diff("f", "t", tt.old, tt.now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
