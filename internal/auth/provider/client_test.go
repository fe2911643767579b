package provider_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
)

// The client of all providers: no answer of theirs leads it astray.
func TestClient(t *testing.T) {
	const at = "idp.example/introspect"
	options := `{"oauth2":true,"tokenIntrospectionEndpointUrl":"https://idp.example/introspect"}`
	data := `{"id":"u1","access_token":"t"}`
	redirect := func(to string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, to, http.StatusTemporaryRedirect) }
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		ok      bool
	}{
		{"another host", redirect("https://169.254.169.254/latest"), false},
		{"another port", redirect("https://idp.example:8443/moved"), false},
		{"no TLS", redirect("http://idp.example/moved"), false},
		{"the same host", redirect("/moved"), true},
		{"round and round", redirect("/introspect"), false},
		{"too much", func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write([]byte(`{"active":true,"sub":"u1","x":"` + strings.Repeat("x", 2<<20) + `"}`))
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t)
			p := w.make("any", options)
			w.handle(at, tt.handler)
			w.serve("idp.example/moved", `{"active":true,"sub":"u1"}`)
			w.serve("169.254.169.254/latest", `{"active":true,"sub":"u1"}`)
			w.serve("idp.example:8443/moved", `{"active":true,"sub":"u1"}`)
			if got := setUp(t, p, data); (got.err == nil) != tt.ok {
				t.Errorf("got %v", got.err)
			}
			if w.requests("169.254.169.254/latest")+w.requests("idp.example:8443/moved") > 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

func TestClientEndsWithTheRequest(t *testing.T) {
	w := newWeb(t)
	p := w.make("any", `{"oauth2":true,"tokenIntrospectionEndpointUrl":"https://idp.example/introspect"}`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	w.handle("idp.example/introspect", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then a server notices
		cancel()
		<-r.Context().Done() // the connection ends
		close(done)
	})
	_, err := p.Authenticate(ctx, &cloudcode.AuthRequest{Step: cloudcode.AuthSetUp, Data: object(t, `{"id":"u1","access_token":"t"}`)})
	if err == nil || ctx.Err() == nil || strings.Contains(err.Error(), "https://") {
		t.Errorf("got %v", err)
	}
	<-done
}
