package provider_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/auth/provider"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

// A challenge ends, and so does the memory of those that were answered.
func TestPasskeyChallengesExpire(t *testing.T) {
	w := newWeb(t)
	p := w.make("passkey", `{"rpId":"app.example"}`)
	a := &scenario.Authenticator{Origin: "https://app.example", RPID: "app.example"}
	challenge := func(p cloudcode.AuthProvider, data string) *parse.Map {
		v, err := p.(cloudcode.AuthChallenger).Challenge(t.Context(), &cloudcode.AuthRequest{Step: cloudcode.AuthChallenge, Challenge: object(t, data)})
		if err != nil {
			t.Fatal(err)
		}
		return v.(*parse.Map)
	}
	answer := func(credential string, m *parse.Map) string {
		return fmt.Sprintf(`{"credential":%s,"state":%q}`, credential, m.String("state"))
	}
	m := challenge(p, `{"ceremony":"register","name":"ann"}`)
	made := answer(a.Create(t, encode(m)), m)
	w.wait(6 * time.Minute)
	wantError(t, setUp(t, p, made).err, parse.ObjectNotFound, "The challenge of the passkey has expired.")
	m = challenge(p, `{"ceremony":"register","name":"ann"}`)
	got := setUp(t, p, answer(a.Create(t, encode(m)), m))
	wantError(t, got.err, 0, "")
	login := func(data string) outcome {
		return ask(t.Context(), p, &cloudcode.AuthRequest{Step: cloudcode.AuthLogin, Data: object(t, data), Stored: object(t, got.saved)})
	}
	for range 3 {
		m = challenge(p, `{}`)
		sent := answer(a.Get(t, encode(m)), m)
		in := login(sent)
		wantError(t, in.err, 0, "")
		got.saved = in.saved
		wantError(t, login(sent).err, parse.ObjectNotFound, "Passkey auth is invalid for this user.")
		spent, _ := object(t, got.saved).Get("spent")
		diff(t, 1, spent.(*parse.Map).Len()) // those before have expired
		w.wait(6 * time.Minute)
	}
	// The secret of another application signs nothing here.
	other := w.make("passkey", `{"rpId":"app.example"}`, func(e *provider.Env) { e.Secret = []byte("other") })
	m = challenge(other, `{}`)
	wantError(t, login(answer(a.Get(t, encode(m)), m)).err, parse.ObjectNotFound, "Passkey auth is invalid for this user.")
}
