// Package archtest checks the directions of imports between pargo's packages:
// a forbidden import fails the tests, not a review.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/pargo-baas/pargo/"

// allowed lists, for each package, the packages of pargo it may import
// directly. A package that is not listed may import none and fails the test
// when it appears, so that whoever adds one decides where it stands.
var allowed = map[string]string{
	"parse":                        "",
	"server/config":                "",
	"query":                        "parse internal/words",
	"internal/words":               "",
	"schema":                       "parse",
	"internal/cache":               "",
	"internal/cache/redis":         "internal/cache",
	"internal/mustache":            "",
	"internal/guard":               "",
	"internal/fair":                "",
	"internal/redact":              "parse",
	"internal/metrics":             "",
	"internal/mail":                "internal/mustache",
	"internal/mail/smtp":           "internal/mail",
	"internal/mail/capture":        "internal/mail internal/mustache",
	"internal/access":              "parse query schema",
	"internal/storage":             "parse query schema internal/fair",
	"internal/storage/sqlgen":      "parse query schema internal/storage",
	"internal/storage/sqlite":      "parse query schema internal/storage internal/storage/sqlgen internal/words",
	"internal/storage/postgres":    "parse query schema internal/storage internal/storage/sqlgen",
	"internal/storage/mongo":       "parse query schema internal/storage",
	"internal/doctor":              "parse query schema internal/storage",
	"internal/codegen":             "parse schema",
	"internal/migrate":             "parse query schema internal/storage",
	"internal/storage/storagetest": "parse query schema internal/storage",
	"cloudcode":                    "parse query",
	"cloudcode/paymentgateway":     "parse query cloudcode",
	"internal/aggregate":           "parse query schema",
	"internal/objects":             "parse query schema internal/access internal/storage internal/aggregate cloudcode",
	"livequery":                    "parse query schema internal/access cloudcode internal/fair",
	"livequery/redisbus":           "parse",
	"internal/auth/provider":       "parse cloudcode",
	"internal/auth":                "parse query schema internal/access internal/storage cloudcode internal/objects internal/cache internal/mail internal/fair",
	"internal/installation":        "parse query schema internal/access internal/storage internal/objects",
	"cloudcode/webhook":            "parse query cloudcode",
	"internal/hooks":               "parse query internal/access internal/objects cloudcode cloudcode/webhook",
	"pargotest":                    "parse cloudcode server server/config",
	"server/command":               "server server/config",
	"examples/hello-cloud":         "parse query cloudcode server server/command",
	"internal/jobs":                "parse query internal/access internal/objects cloudcode",
	"internal/appconfig":           "parse query schema internal/access internal/objects cloudcode",
	"internal/logstore":            "",
	"server/rest":                  "parse query schema internal/access internal/storage cloudcode internal/objects internal/auth internal/doctor internal/cache cloudcode/webhook internal/hooks internal/jobs internal/appconfig internal/logstore livequery internal/metrics internal/fair",
	"server/pages":                 "parse internal/access internal/auth internal/mustache",
	"server": "parse query schema internal/access internal/storage internal/storage/sqlite internal/storage/mongo internal/storage/postgres " +
		"cloudcode cloudcode/paymentgateway internal/objects internal/auth internal/migrate internal/doctor internal/auth/provider internal/cache internal/cache/redis " +
		"internal/mail internal/mail/smtp internal/mail/capture livequery livequery/redisbus internal/metrics server/config server/rest server/pages internal/installation cloudcode/webhook internal/hooks internal/jobs internal/appconfig internal/logstore internal/redact internal/guard internal/fair",
	"cmd/pargo":                      "server server/command server/config schema internal/codegen",
	"internal/archtest":              "",
	"tests/flood":                    "internal/scenario server/config",
	"internal/cache/redis/redistest": "",
	"internal/scenario":              "parse server server/config cloudcode schema",
}

// confined lists foreign packages that only some of pargo's may import.
var confined = map[string]string{
	// Templates call methods by name, so the linker has to keep them all: half
	// as big a binary again. internal/mustache does without.
	"html/template":               "",
	"text/template":               "",
	"database/sql":                "internal/storage/sqlite",
	"modernc.org/sqlite":          "internal/storage/sqlite",
	"go.mongodb.org/mongo-driver": "internal/storage/mongo internal/scenario",
	"github.com/jackc/pgx":        "internal/storage/postgres internal/scenario",
	"github.com/gin-gonic/gin":    "server server/rest",
	"github.com/coder/websocket":  "livequery",
	"github.com/wneessen/go-mail": "internal/mail/smtp",
	"golang.org/x/crypto":         "internal/auth",
	"github.com/redis/go-redis":   "internal/cache/redis livequery/redisbus",
	"github.com/coreos/go-oidc":   "internal/auth/provider",
	"github.com/go-ldap/ldap":     "internal/auth/provider",
	"github.com/go-webauthn":      "internal/auth/provider",

	// A double of Redis, for tests.
	"github.com/alicebob/miniredis": "internal/cache/redis/redistest",
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportDirections(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		rule, known := allowed[name]
		if !known {
			t.Errorf("package %s is not in the table of allowed imports", name)
			continue
		}
		may := words(rule)
		for _, imp := range p.Imports {
			if own, ok := strings.CutPrefix(imp, module); ok {
				if !may[own] {
					t.Errorf("%s must not import %s", name, own)
				}
				continue
			}
			for foreign, where := range confined {
				if (imp == foreign || strings.HasPrefix(imp, foreign+"/")) && !words(where)[name] {
					t.Errorf("%s must not import %s: it belongs to %s", name, imp, where)
				}
			}
		}
	}
}

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// list returns pargo's packages with the imports of their non-test files.
func list(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-tags", "nomsgpack", "-json=ImportPath,Imports", module+"...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var ee *exec.ExitError
		if errors.As(err, &ee) {
			t.Fatalf("go list: %s", ee.Stderr)
		}
		t.Fatal(err)
	}
	var pkgs []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		t.Fatal("go list found no packages")
	}
	return pkgs
}
