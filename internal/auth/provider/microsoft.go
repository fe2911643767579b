package provider

import (
	"encoding/json"

	"github.com/pargo-baas/pargo/cloudcode"
)

func newMicrosoft(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	return newCode(raw, e, simple("Microsoft",
		"https://login.microsoftonline.com/common/oauth2/v2.0/token", "https://graph.microsoft.com/v1.0/me", "id"))
}
