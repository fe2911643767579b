package config_test

import (
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/server/config"
)

func TestSecurity(t *testing.T) {
	args := []string{"--appId", "a", "--masterKey", "m"}
	for text, want := range map[string]string{
		`{}`: "", `{"enableCheck":true,"enableCheckLog":false,"checkGroups":["Database","Operation"]}`: "",
		`{"enableCheck":1}`:           "The option security must be",
		`{"check":true}`:              "unknown field",
		`{"checkGroups":["Nonsuch"]}`: "security.checkGroups names \"Nonsuch\"",
	} {
		_, err := config.Load(append(args, "--security="+text), nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
	c, err := config.Load(args, []string{"PARSE_SERVER_SECURITY_ENABLE_CHECK=true", `PARSE_SERVER_SECURITY_CHECK_GROUPS=["Database"]`})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := c.Security(); err != nil || !o.EnableCheck || !o.Checks(config.GroupDatabase) || o.Checks(config.GroupServer) {
		t.Errorf("by environment: %+v, %v", o, err)
	}
}
