package server_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// matrixDoc has the tables that people read, between two marks.
const (
	matrixDoc    = "../docs/security.md"
	matrixBegins = "<!-- matrix: written by go test ./server -run TestMatrix -update -->\n"
	matrixEnds   = "<!-- end of matrix -->\n"
)

// document compares the tables in the docs with the data of the test, or writes them.
func (m *matrix) document() {
	m.t.Helper()
	documented(m.t, matrixDoc, matrixBegins, matrixEnds, m.tables())
}

// documented compares the text between two marks of a document with the one
// that the test knows, or writes it.
func documented(t *testing.T, doc, begins, ends, want string) {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begins)
	_, after, closed := strings.Cut(rest, ends)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table of this test", doc)
	}
	all := before + begins + want + ends + after
	if all == string(text) {
		return
	}
	if !*update {
		t.Errorf("the table in %s is not that of the test: run it with -update", doc)
		return
	}
	if err := os.WriteFile(doc, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tables are the rules, with what follows from them for each caller.
func (m *matrix) tables() string {
	var b strings.Builder
	row := func(first string, cell func(c *matrixCaller) string) {
		b.WriteString("| " + first + " |")
		for i := range matrixCallers {
			b.WriteString(" " + cell(&matrixCallers[i]) + " |")
		}
		b.WriteString("\n")
	}
	head := func(title, first string) {
		fmt.Fprintf(&b, "\n**%s**\n\n", title)
		row(first, func(c *matrixCaller) string { return c.name })
		b.WriteString("|---|" + strings.Repeat("---|", len(matrixCallers)) + "\n")
	}
	head("Permissions of classes: the objects that operations reach", "permission")
	for i := range classRules {
		if r := &classRules[i]; r.protected == nil && r.defaultACL == "" {
			row(r.says, r.summary)
		}
	}
	head("ACLs", "ACL")
	for i := range objectRules {
		if o := &objectRules[i]; !o.astray {
			row(o.says(), func(c *matrixCaller) string {
				can := []string{}
				for _, right := range []string{"r", "w"} {
					if o.grants(c, right) && !(right == "w" && c.key == "readonly") {
						can = append(can, map[string]string{"r": "read", "w": "write"}[right])
					}
				}
				return orDash(can)
			})
		}
	}
	head("Protected fields: those that are hidden of an object which points to pointed and listed", "`protectedFields`")
	pointing := &objectRules[0]
	for i := range classRules {
		if r := &classRules[i]; r.protected != nil {
			row(r.says, func(c *matrixCaller) string { return orDash(r.hidden(c, pointing)) })
		}
	}
	b.WriteString("\n**Routes**\n\n| route | served to |\n|---|---|\n")
	told := map[string]bool{}
	for i := range routeCells {
		if rc := &routeCells[i]; !told[rc.op] {
			told[rc.op] = true
			fmt.Fprintf(&b, "| %s | %s |\n", rc.op, rc.says)
		}
	}
	b.WriteString("\n**Cells**\n\n| surface | cells | operations |\n|---|---|---|\n")
	for _, surface := range slices.Sorted(maps.Keys(m.cells)) {
		ops, n := map[string]bool{}, 0
		for op, k := range m.cells[surface] {
			op, _, _ = strings.Cut(op, ":")
			ops[op], n = true, n+k
		}
		fmt.Fprintf(&b, "| %s | %d | %s |\n", surface, n, strings.Join(slices.Sorted(maps.Keys(ops)), "; "))
	}
	fmt.Fprintf(&b, "| all | %d | |\n\n", m.total())
	return b.String()
}

func orDash(list []string) string {
	if len(list) == 0 {
		return "–"
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}

// says is the ACL in words.
func (o *objectRule) says() string {
	if o.acl == nil {
		return "none"
	}
	parts := []string{}
	for _, subject := range slices.Sorted(maps.Keys(o.acl)) {
		name := strings.TrimRight(subject, "0")
		parts = append(parts, "`"+name+"`: "+map[string]string{"r": "read", "w": "write", "rw": "read, write"}[o.acl[subject]])
	}
	if len(parts) == 0 {
		return "`{}`"
	}
	return strings.Join(parts, "; ")
}

// summary says what the operations of a class come to for the caller: most of
// them, and then those with which it is different.
func (r *classRule) summary(c *matrixCaller) string {
	by, order := map[string][]string{}, []string{}
	for _, op := range classOps {
		fields, code := r.admits(c, op)
		word := "all"
		switch {
		case op == "aggregate" && (c.key == "maintenance" || c.key == "" && (r.open || !has(r.ops, op))):
			word = "403"
		case code != 0:
			word = fmt.Sprint(code)
		case len(fields) > 0 && c.user == "":
			word = "none"
		case len(fields) > 0:
			word = "by " + strings.Join(slices.Compact(slices.Sorted(slices.Values(fields))), ", ")
		}
		if by[word] == nil {
			order = append(order, word)
		}
		by[word] = append(by[word], op)
	}
	slices.SortStableFunc(order, func(a, b string) int { return len(by[b]) - len(by[a]) })
	parts := []string{order[0]}
	for _, word := range order[1:] {
		parts = append(parts, strings.Join(by[word], ", ")+": "+word)
	}
	return strings.Join(parts, "; ")
}

func has(ops map[string]permission, op string) bool { _, ok := ops[op]; return ok }
