package cloudcode_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGuide holds the Go code of the guide against the files that it is from:
// those are compiled and tested. A comment before each block names the file;
// a line of nothing but … stands for lines that are left out.
func TestGuide(t *testing.T) {
	const root = ".."
	guide, err := os.ReadFile(filepath.Join(root, "docs/guides/cloud-code.md"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]string{}
	blocks, source, code := 0, "", []string(nil)
	inside := false
	for n, line := range strings.Split(string(guide), "\n") {
		switch name, named := strings.CutPrefix(line, "<!-- from "); {
		case inside && line == "```":
			inside = false
			blocks++
			if files[source] == nil {
				text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(source)))
				if err != nil {
					t.Fatalf("line %d: %v", n+1, err)
				}
				files[source] = trimmed(strings.Split(string(text), "\n"))
			}
			if missing := lacks(files[source], trimmed(code)); missing != "" {
				t.Errorf("line %d: %s does not have, in this order:\n%s", n+1, source, missing)
			}
			source, code = "", nil
		case inside:
			code = append(code, line)
		case strings.HasPrefix(line, "```go"):
			if inside = true; source == "" {
				t.Fatalf("line %d: no comment says where the code is from", n+1)
			}
		case named:
			source = strings.TrimSuffix(name, " -->")
		}
	}
	if blocks < 10 {
		t.Errorf("the guide has %d pieces of code", blocks)
	}
}

// trimmed takes away how far lines are indented.
func trimmed(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.TrimSpace(line)
	}
	return out
}

// lacks returns the first part of the code, between lines that are left out,
// that the lines of the file do not have behind the part before it.
func lacks(file, code []string) string {
	for _, part := range strings.Split(strings.Join(code, "\n"), "\n…\n") {
		text := strings.Join(file, "\n")
		at := strings.Index("\n"+text+"\n", "\n"+part+"\n")
		if at < 0 {
			return part
		}
		file = strings.Split(text[min(len(text), at+len(part)):], "\n")
	}
	return ""
}
