package aggregate

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/parse"
)

// TestDocs holds docs/aggregate.md to what there is, and the other way round.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/aggregate.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string][]string{}
	name := regexp.MustCompile("`(\\$[a-zA-Z0-9]+)`")
	for part := range strings.SplitSeq(string(text), "\n## ") {
		title, body, _ := strings.Cut(part, "\n")
		for _, end := range [...]string{"\nAny other stage", "\nNot there", "\n- Variables"} {
			body, _, _ = strings.Cut(body, end)
		}
		for _, m := range name.FindAllStringSubmatch(body, -1) {
			sections[title] = append(sections[title], m[1])
		}
	}
	arg := func(name string) *parse.Map {
		return parse.NewMap(parse.MapField{Key: name, Value: parse.NewMap()})
	}
	unknown := func(section, text string, stage func(name string) Stage) {
		t.Helper()
		if len(sections[section]) == 0 {
			t.Errorf("no section %s", section)
		}
		for _, name := range sections[section] {
			_, err := Compile([]Stage{stage(name)}, Options{})
			if err != nil && strings.Contains(err.Error(), text) {
				t.Errorf("%s is in the documentation: %v", name, err)
			}
		}
	}
	unknown("Stages", "Unrecognized pipeline stage", func(name string) Stage { return Stage{name, nil} })
	unknown("Expressions", "Unrecognized expression", func(name string) Stage {
		return Stage{"$replaceWith", parse.NewMap(parse.MapField{Key: "x", Value: arg(name)})}
	})
	unknown("Filters", "unknown operator", func(name string) Stage {
		if name == "$match" || name == "$comment" {
			return Stage{"$match", parse.NewMap()}
		}
		if isLogical(name) || name == "$expr" || name == "$sampleRate" {
			return Stage{"$match", arg(name)}
		}
		return Stage{"$match", parse.NewMap(parse.MapField{Key: "x", Value: arg(name)})}
	})
	unknown("Accumulators", "unknown group operator", func(name string) Stage {
		if _, own := windowFunctions[name]; own || name == "$group" || strings.HasPrefix(name, "$bucket") || name == "$setWindowFields" {
			return Stage{"$match", parse.NewMap()}
		}
		return Stage{"$group", parse.NewMap(parse.MapField{Key: keyID}, parse.MapField{Key: "x", Value: arg(name)})}
	})

	missing := func(section string, names []string) {
		t.Helper()
		for _, name := range names {
			if !slices.Contains(sections[section], name) {
				t.Errorf("%s is not in the section %s of the documentation", name, section)
			}
		}
	}
	missing("Expressions", slices.Collect(maps.Keys(functions)))
	missing("Expressions", slices.Collect(maps.Keys(byName)))
	missing("Expressions", slices.Collect(maps.Keys(dateParts)))
	missing("Accumulators", slices.Collect(maps.Keys(accumulators)))
	missing("Accumulators", slices.Collect(maps.Keys(windowFunctions)))
	missing("Filters", []string{"$sampleRate", "$geoIntersects", "$bitsAnyClear"})
}
