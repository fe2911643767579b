package provider

import (
	"encoding/json"

	"github.com/pargo-baas/pargo/cloudcode"
)

func newPhantAuth(raw json.RawMessage, e *Env) (cloudcode.AuthProvider, error) {
	return newUserInfo(raw, e, "PhantAuth", "https://phantauth.net/auth/userinfo", "sub")
}
