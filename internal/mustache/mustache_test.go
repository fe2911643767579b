package mustache_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/mustache"
)

const values = `{"name":"<Ann & Co>","n":3,"half":1.5,"yes":true,"no":false,"empty":"","zero":0,"none":null,
	"list":[{"name":"a"},{"name":"b"}],"words":["x","y"],"nothing":[],"o":{"p":{"q":"deep"},"name":"inner"}}`

func TestRender(t *testing.T) {
	var v map[string]any
	if err := json.Unmarshal([]byte(values), &v); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, src, want string }{
		{"nothing", "", ""},
		{"text", "a } b { c", "a } b { c"},
		{"escaped", "{{name}}", "&lt;Ann &amp; Co&gt;"},
		{"raw", "{{{name}}} {{&name}}", "<Ann & Co> <Ann & Co>"},
		{"blanks", "{{ n }}{{{ n }}}{{& n }}", "333"},
		{"numbers", "{{n}} {{half}} {{yes}}", "3 1.5 true"},
		{"missing", "[{{what}}{{o.what}}{{o.what.else}}{{none}}]", "[]"},
		{"dotted", "{{o.p.q}}", "deep"},
		{"an object is no text", "[{{o}}{{list}}]", "[]"},
		{"section", "{{#yes}}y{{/yes}}{{#no}}n{{/no}}{{#empty}}e{{/empty}}{{#zero}}z{{/zero}}{{#none}}0{{/none}}{{#nothing}}l{{/nothing}}", "y"},
		{"inverted", "{{^yes}}y{{/yes}}{{^no}}n{{/no}}{{^empty}}e{{/empty}}{{^zero}}z{{/zero}}{{^none}}0{{/none}}{{^nothing}}l{{/nothing}}", "nez0l"},
		{"list", "{{#list}}{{name}},{{/list}}", "a,b,"},
		{"words", "{{#words}}{{.}}{{/words}}", "xy"},
		{"object", "{{#o}}{{name}} {{n}}{{/o}}", "inner 3"},
		{"nested", "{{#o}}{{#p}}{{q}}{{/p}}{{/o}}", "deep"},
		{"comment", "a{{! no\nbody }}b", "ab"},
		{"lines of their own", "a\n  {{#yes}}\nb\n{{/yes}}\n{{! c }}\nd", "a\nb\nd"},
		{"lines with more", "a {{#yes}}\nb{{/yes}} c", "a \nb c"},
		{"attributes", `<a href="{{o.p.q}}" x={{what}}>`, `<a href="deep" x=>`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tpl, err := mustache.Parse(tc.src)
			if err != nil {
				t.Fatal(err)
			}
			if got := tpl.Render(v, mustache.HTML); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if got := mustache.Must(mustache.Parse("{{name}}")).Render(v, nil); got != "<Ann & Co>" {
		t.Errorf("without escape: %q", got)
	}
}

func TestMistakes(t *testing.T) {
	for src, want := range map[string]string{
		"a\n{{#x}}":                   "line 2: section x is not closed",
		"{{/x}}":                      "{{/x}} closes nothing",
		"{{#a}}{{#b}}{{/a}}{{/b}}":    "{{/a}} closes nothing",
		"{{x":                         "line 1: a tag is not closed",
		"{{{x}}":                      "a tag is not closed",
		"{{> part}}":                  "not supported",
		"{{=<% %>=}}":                 "not supported",
		"{{}}":                        `"" is not a name`,
		"{{a b}}":                     "is not a name",
		strings.Repeat("{{#a}}", 100): "nested more than",
	} {
		if _, err := mustache.Parse(src); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", src, err, want)
		}
	}
}

// Whatever a template is, reading it ends, and values come into what it
// renders through escape alone, unless it asks for them raw.
func FuzzRender(f *testing.F) {
	for _, s := range []string{"{{a}}", "{{#l}}{{.}}{{/l}}", "{{^a}}{{/a}}", "x\n {{! c}}\r\n{{{b}}}", "{{&a}}{{a.b.c}}"} {
		f.Add(s)
	}
	const secret = "\x01secret\x01"
	f.Fuzz(func(t *testing.T, src string) {
		tpl, err := mustache.Parse(src)
		if err != nil {
			return
		}
		v := map[string]any{"a": secret, "l": []any{secret, map[string]any{"b": secret}}}
		got := tpl.Render(v, func(string) string { return "" })
		if !strings.Contains(src, "{{{") && !strings.Contains(src, "&") && strings.Contains(got, secret) && !strings.Contains(src, secret) {
			t.Errorf("%q: %q", src, got)
		}
	})
}
