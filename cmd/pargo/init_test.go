package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What pargo init writes builds and passes its test, without a network.
func TestInit(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range []string{"blank", "payment-gateway"} {
		t.Run(template, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "my-server")
			var out bytes.Buffer
			if err := initProject([]string{"--template", template, "--replace", root, dir}, &out); err != nil {
				t.Fatal(err)
			}
			sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-mod=mod", "-tags", "nomsgpack", "./...")
			cmd.Dir = dir
			// The flags of the release: what its build has compiled serves here.
			cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-trimpath", "CGO_ENABLED=0", "GOSUMDB=off", "GOWORK=off")
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
			gen := []string{"go", filepath.Join(dir, "schema.json"), "--package", "main", "--out", filepath.Join(dir, "classes.go"), "--check"}
			if err := genCommand(gen, streams{out: &out, err: &out}); err != nil {
				t.Error(err)
			}
			if err := initProject([]string{dir}, &out); err == nil || !strings.Contains(err.Error(), "is not empty") {
				t.Error(err)
			}
		})
	}
	for _, args := range [][]string{nil, {"--template", "nope", filepath.Join(t.TempDir(), "x")}, {filepath.Join(t.TempDir(), "a b")}} {
		if err := initProject(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

// The template of the payment gateway has its schema.
func TestGatewayTemplate(t *testing.T) {
	own, err := templates.ReadFile("templates/payment-gateway/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile("../../schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(own, original) {
		t.Error("templates/payment-gateway/schema.json is not the schema.json of the repository")
	}
}
