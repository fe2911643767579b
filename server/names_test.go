package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
)

// spelled writes a text with the case of its letters by the bits of n.
func spelled(text string, n int) string {
	b := []byte(text)
	for i := range b {
		if n>>i&1 == 1 {
			b[i] = strings.ToUpper(text[i : i+1])[0]
		}
	}
	return string(b)
}

// Of many who want one name at the same moment, however they write it, one
// gets it and the others learn why not; the same for addresses.
func TestOneGetsTheName(t *testing.T) {
	const many = 100
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := scenario.Start(t, db.URI(t), nil, nil)
		post := func(ctx context.Context, method, path, body string) (int, parse.Code) {
			r := httptest.NewRequestWithContext(ctx, method, "/parse"+path, strings.NewReader(body))
			r.RemoteAddr = "127.0.0.1:1"
			r.Header.Set("X-Parse-Application-Id", scenario.AppID)
			r.Header.Set("X-Parse-Master-Key", scenario.MasterKey)
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, r)
			var answer struct{ Code parse.Code }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Errorf("%s: %v", w.Body, err)
			}
			return w.Code, answer.Code
		}
		// race sends all at once and fails unless one succeeds and the others get the code.
		race := func(name string, success int, code parse.Code, send func(i int) (int, parse.Code)) {
			t.Helper()
			var wg sync.WaitGroup
			var mu sync.Mutex
			won := 0
			for i := range many {
				wg.Go(func() {
					status, got := send(i)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case status == success:
						won++
					case got != code:
						t.Errorf("%s: status %d, code %d, want code %d", name, status, got, code)
					}
				})
			}
			wg.Wait()
			if won != 1 {
				t.Errorf("%s: %d won, want one", name, won)
			}
		}
		ctx := t.Context()
		race("one name", http.StatusCreated, parse.UsernameTaken, func(int) (int, parse.Code) {
			return post(ctx, "POST", "/users", `{"username":"same","password":"x"}`)
		})
		race("names that differ by case", http.StatusCreated, parse.UsernameTaken, func(i int) (int, parse.Code) {
			return post(ctx, "POST", "/users", `{"username":"`+spelled("wanted-by-many", i)+`","password":"x"}`)
		})
		race("addresses that differ by case", http.StatusCreated, parse.EmailTaken, func(i int) (int, parse.Code) {
			return post(ctx, "POST", "/users", fmt.Sprintf(`{"username":"user%d","password":"x","email":"%s@example.com"}`, i, spelled("somebody", i)))
		})
		ids := make([]string, many)
		for i := range ids {
			s.Do(t, &scenario.Step{
				Method: "POST", Path: "/users", As: "master", Body: fmt.Sprintf(`{"username":"change%d","password":"x"}`, i),
				Status: 201, Save: map[string]string{"objectId": "id"},
			})
			ids[i] = s.Var("id")
		}
		race("changes of names", http.StatusOK, parse.UsernameTaken, func(i int) (int, parse.Code) {
			return post(ctx, "PUT", "/users/"+ids[i], `{"username":"`+spelled("new-name", i)+`"}`)
		})
		s.Do(t, &scenario.Step{Name: "the case of one's own name", Method: "PUT", Path: "/users/" + ids[0], As: "master", Body: `{"username":"MyOwn"}`})
		s.Do(t, &scenario.Step{Name: "and again", Method: "PUT", Path: "/users/" + ids[0], As: "master", Body: `{"username":"myown"}`})
	})
}
