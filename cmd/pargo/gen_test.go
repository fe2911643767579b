package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "my-model", "classes.go")
	if err := os.Mkdir(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "small.json")
	if err := os.WriteFile(other, []byte(`{"classes":[{"className":"Note","fields":{"text":{"type":"String"}}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const shipped = "../../schema.json"
	for _, tt := range []struct {
		name, args string
		status     int
		out, err   string // what the output has
	}{
		{"to standard output", "go " + other, 0, "package model\n", ""},
		{"package", "go " + other + " --package notes", 0, "package notes\n", ""},
		{"ts", "ts " + other + " --import parse/node", 0, `import Parse from "parse/node";`, ""},
		{"check without the file", "go " + shipped + " --check --out " + file, 3, "+package mymodel\n", "is not what pargo gen go writes"},
		{"write", "go --out " + file + " " + shipped, 0, "", ""},
		{"check", "go " + shipped + " --out " + file + " --check", 0, "", ""},
		{"check after a change", "go " + other + " --check --out " + file, 3, "-// Payment is an object of the class Payment.", "run it without --check"},
		{"write anew", "go " + other + " --out " + file, 0, "", ""},
		{"check anew", "go " + other + " --check --out " + file, 0, "", ""},
		{"no language", "", 2, "", "write: pargo gen go"},
		{"an unknown one", "java", 2, "", "write: pargo gen go"},
		{"check of nothing", "go " + other + " --check", 2, "", "--check needs --out"},
		{"two files", "go " + other + " " + shipped, 2, "", "one schema file"},
		{"an option of the other", "ts " + other + " --package x", 2, "", "not defined"},
		{"a bad package", "go " + other + " --package func", 1, "", "no name of a Go package"},
		{"no file", "go " + filepath.Join(dir, "none.json"), 1, "", "read schema file"},
		{"help", "--help", 0, "Usage: pargo gen go", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), append([]string{"gen"}, strings.Fields(tt.args)...), nil, &stdout, &stderr)
			if status != tt.status || !strings.Contains(stdout.String(), tt.out) || !strings.Contains(stderr.String(), tt.err) {
				t.Errorf("status %d\n%s\n%s", status, stdout.String(), stderr.String())
			}
			if tt.out == "" && stdout.Len() > 0 {
				t.Errorf("says %s", stdout.String())
			}
		})
	}
	written, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(written), "type Note struct") {
		t.Errorf("%v: %s", err, written)
	}
}

// The types of the payment gateway's hooks are those of its schema.
func TestGatewayTypes(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"gen", "go", "../../schema.json", "--check", "--out", "../../cloudcode/paymentgateway/classes.go"}
	if status := run(t.Context(), args, nil, &stdout, &stderr); status != 0 {
		t.Errorf("status %d: run go generate ./cloudcode/paymentgateway\n%s%s", status, stdout.String(), stderr.String())
	}
}

func TestGenFromStandardInput(t *testing.T) {
	var out bytes.Buffer
	s := streams{in: strings.NewReader(`{"classes":[{"className":"Note","fields":{}}]}`), out: &out}
	if err := genCommand([]string{"go", "-"}, s); err != nil || !strings.Contains(out.String(), "type Note struct") {
		t.Errorf("%v: %s", err, out.String())
	}
}
