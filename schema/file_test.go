package schema_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

func load(t *testing.T, text string) *schema.Document {
	t.Helper()
	f, err := schema.Parse("s.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestMetaSchemaPublished(t *testing.T) {
	t.Parallel()
	published, err := os.ReadFile(filepath.Join("..", "docs", "schema.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(schema.MetaSchema(), string(published)); diff != "" {
		t.Errorf("docs/schema.schema.json differs from the embedded one:\n%s", diff)
	}
}

func TestShippedFile(t *testing.T) {
	t.Parallel()
	f, err := schema.LoadFile(filepath.Join("..", "schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Cloud != "payment-gateway" {
		t.Errorf("cloud = %q", f.Cloud)
	}
	owned := []string{"PaymentMethod", "Payment", "Transaction", "TransactionHistory", "Notification", "AccessLog"}
	names := []string{}
	for _, c := range f.Classes {
		names = append(names, c.Name)
		if c.CLP == nil || c.CLP.Ops[schema.AddField] == nil || c.CLP.Ops[schema.AddField].Public {
			t.Errorf("%s: clients may add fields", c.Name)
		}
		if slices.Contains(owned, c.Name) && (c.OwnerField != "user" || !slices.Equal(c.OwnerRoles, []string{"admin"}) ||
			len(c.OwnerWriteRoles) > 0 || !c.Field("user").Required) {
			t.Errorf("%s: owner %q, roles %v, %v", c.Name, c.OwnerField, c.OwnerRoles, c.OwnerWriteRoles)
		}
	}
	if diff := cmp.Diff(append([]string{"_User", "_Role"}, owned...), names); diff != "" {
		t.Error(diff)
	}
	user := f.Classes[0]
	if user.Field("username").Required || !user.Field("email").Required || user.Field("role").Default != "client" {
		t.Error("_User: sign-up asks for the username; the file for e-mail and role")
	}
	for _, tc := range []struct {
		class, field string
		value        parse.Value
		want         string
	}{
		{"_User", "email", "a@b.example", ""},
		{"_User", "email", "nobody", "email: 'nobody' is not valid 'email'"},
		{"_User", "role", "Admin", "role: does not match pattern '^[a-z]+$'"},
		{"Payment", "amount", 0.0, "amount: must be > 0 but found 0"},
		{"Payment", "status", "lost", `status: value must be one of "pending", "processing", "completed", "failed", "cancelled", "refunded"`},
		{"PaymentMethod", "details", strings.Repeat("x", 1025), "details: length must be <= 1024, but got 1025"},
	} {
		i := slices.IndexFunc(f.Classes, func(c *schema.Class) bool { return c.Name == tc.class })
		got := errText(f.Classes[i].Field(tc.field).Validate.Validate(tc.value))
		if got != tc.want {
			t.Errorf("%s.%s = %v: %q, want %q", tc.class, tc.field, tc.value, got, tc.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := err.(*parse.Error); ok { //nolint:errorlint // the contract is an unwrapped one
		return e.Message
	}
	return err.Error()
}
