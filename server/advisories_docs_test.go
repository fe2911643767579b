package server_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	testName = regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	// Files and folders of the repository, and targets of its Makefile.
	goFile     = regexp.MustCompile("`((?:internal|server|livequery|query|cloudcode)(?:/[\\w./]+)?)`")
	makeTarget = regexp.MustCompile("`make ([a-z-]+)`")
)

// advisories is how many there are in the list of docs/security.md.
const advisories = 141

// TestAdvisoriesAreListed: docs/security.md names every advisory once, with
// tests that exist or the reason why it cannot apply, and every test of one.
// Whatever else it names as a proof is there, too.
func TestAdvisoriesAreListed(t *testing.T) {
	known := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(src, -1) {
			known[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range testName.FindAllSubmatch(doc, -1) {
		if !known[string(m[1])] {
			t.Errorf("docs/security.md names %s, which is not there", m[1])
		}
	}
	for _, m := range goFile.FindAllSubmatch(doc, -1) {
		if _, err := os.Stat(filepath.Join("..", string(m[1]))); err != nil {
			t.Errorf("docs/security.md names a place that is not there: %v", err)
		}
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range makeTarget.FindAllSubmatch(doc, -1) {
		if !strings.Contains(string(makefile), "\n"+string(m[1])+": ") {
			t.Errorf("docs/security.md names make %s, which is not there", m[1])
		}
	}
	rows := map[string]int{}
	named := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| A-") || len(cells) != 4 {
			continue
		}
		rows[cells[0]]++
		tests := testName.FindAllStringSubmatch(cells[3], -1)
		if len(tests) == 0 && !strings.HasPrefix(cells[3], "cannot apply: ") {
			t.Errorf("neither a test nor a reason: %s", line)
		}
		for _, m := range tests {
			if named[m[1]] = true; !known[m[1]] {
				t.Errorf("no test %s: %s", m[1], line)
			}
		}
	}
	for i := 1; i <= advisories; i++ {
		if id := fmt.Sprintf("| A-%d", i); rows[id] != 1 {
			t.Errorf("%d rows %s", rows[id], id)
		}
	}
	for name := range known {
		if strings.HasPrefix(name, "TestAdvisory_") && !named[name] {
			t.Errorf("%s is not in the table", name)
		}
	}
}
