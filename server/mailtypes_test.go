package server_test

import (
	"encoding/json"
	"net/url"
	"os"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// What is stored of mails, passwords and locks has the names and types that
// Parse Server reads and writes.
func TestStoredAsParseServerDoes(t *testing.T) {
	if os.Getenv("PARGO_TEST_MONGO_URL") == "" {
		t.Skip("PARGO_TEST_MONGO_URL is not set: not tested on MongoDB")
	}
	uri := scenario.Databases()[1].URI(t)
	p := startPost(t, uri, func(c *config.Config) {
		verifying(c)
		c.EmailVerifyTokenValidityDuration = json.RawMessage("60")
		c.PasswordPolicyOptions = json.RawMessage(`{"maxPasswordAge":1,"maxPasswordHistory":3,"resetTokenValidityDuration":60}`)
		c.AccountLockoutOptions = json.RawMessage(`{"duration":1,"threshold":2}`)
	}, nil)
	p.signUp("ann")
	p.mail()
	p.do(setPassword("ann", "second"))
	p.reset("ann@example.com")
	p.mail()
	p.refused("ann", "wrong", parse.ObjectNotFound, "")
	p.refused("ann", "wrong", parse.ObjectNotFound, "")
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(t.Context())
	raw, err := client.Database(u.Path[1:]).Collection("_User").FindOne(t.Context(), bson.D{{Key: "username", Value: "ann"}}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]bson.Type{
		"_hashed_password":               {bson.TypeString},
		"emailVerified":                  {bson.TypeBoolean},
		"_email_verify_token":            {bson.TypeString},
		"_email_verify_token_expires_at": {bson.TypeDateTime},
		"_perishable_token":              {bson.TypeString},
		"_perishable_token_expires_at":   {bson.TypeDateTime},
		"_password_changed_at":           {bson.TypeDateTime},
		"_password_history":              {bson.TypeArray},
		"_failed_login_count":            {bson.TypeInt32, bson.TypeInt64, bson.TypeDouble},
		"_account_lockout_expires_at":    {bson.TypeDateTime},
	} {
		got := raw.Lookup(name).Type
		ok := false
		for _, w := range want {
			ok = ok || got == w
		}
		if !ok {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// setPassword sets a password with the master key.
func setPassword(name, password string) scenario.Step {
	return scenario.Step{Method: "PUT", Path: "/users/{{" + name + ".id}}", As: "master", Body: `{"password":"` + password + `"}`}
}
