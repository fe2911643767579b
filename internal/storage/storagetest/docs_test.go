package storagetest

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("update", false, "write the table of docs/storage.md")

// TestTable holds that docs/storage.md has every category, and says of each
// where it runs.
func TestTable(t *testing.T) {
	const doc, begin, end = "../../../docs/storage.md", "<!-- suite -->\n", "<!-- end -->"
	var b strings.Builder
	b.WriteString("\n| category |")
	for _, a := range Adapters {
		b.WriteString(" " + a.Name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(Adapters)) + "\n")
	for _, c := range Categories() {
		b.WriteString("| " + string(c) + " |")
		for _, a := range Adapters {
			if a.Without[c] {
				b.WriteString(" – |")
			} else {
				b.WriteString(" yes |")
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	was, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", doc)
	}
	if *rewrite {
		if err := os.WriteFile(doc, []byte(before+begin+b.String()+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(b.String(), was); diff != "" {
		t.Errorf("%s: run with -update (-want +have):\n%s", doc, diff)
	}
}
