package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// stuck is a client that reads nothing until it is told to.
type stuck struct {
	*httptest.ResponseRecorder
	wrote chan struct{} // closed with the first bytes
	read  chan struct{} // closed when the client reads
}

func newStuck() *stuck {
	return &stuck{ResponseRecorder: httptest.NewRecorder(), wrote: make(chan struct{}), read: make(chan struct{})}
}

func (s *stuck) Write(b []byte) (int, error) {
	if s.Body.Len() == 0 {
		close(s.wrote)
		<-s.read
	}
	return s.ResponseRecorder.Write(b)
}

// TestLargeAnswers: the memory of all large answers together is bounded; those who
// find no room wait, and smaller ones go on.
func TestLargeAnswers(t *testing.T) {
	const text, objects = 100 << 10, 30 // as rows 3 MB
	scenario.Each(t, func(t *testing.T, db scenario.Database) {
		s := scenario.Start(t, db.URI(t), func(c *config.Config) {
			c.ConnectionLimits = json.RawMessage(`{"answerMemory":"4mb"}`) // 3.5 MB for large ones
		}, nil)
		do := func(st scenario.Step) string {
			st.As = "master"
			return s.Do(t, &st)
		}
		request := func(w http.ResponseWriter, path string, header ...string) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/parse"+path, nil)
			r.RemoteAddr = "192.0.2.1:1"
			r.Header.Set("X-Parse-Application-Id", scenario.AppID)
			if len(header) > 0 {
				r.Header.Set(header[0], header[1])
			}
			s.Handler.ServeHTTP(w, r)
		}
		var pointers []string
		for i := range objects {
			id := fmt.Sprintf("large%05d", i)
			do(scenario.Step{Method: "POST", Path: "/classes/Large", Body: fmt.Sprintf(`{"n":%d,"t":%q,"l":[{"a":%d}]}`, i, strings.Repeat("x", text), i), Save: map[string]string{"objectId": id}})
			pointers = append(pointers, fmt.Sprintf(`{"__type":"Pointer","className":"Large","objectId":%q}`, s.Var(id)))
		}
		do(scenario.Step{Method: "POST", Path: "/classes/Small", Body: `{"n":1,"all":[` + strings.Join(pointers, ",") + `]}`})
		do(scenario.Step{Method: "POST", Path: "/classes/Small", Body: `{"n":2,"all":[` + strings.Join(pointers, ",") + "," + strings.Join(pointers, ",") + `]}`})
		// Objects in a list take many times their text as values.
		deep := `{"method":"POST","path":"/parse/classes/Deep","body":{"n":[1],"l":[` + strings.Repeat(`{"a":1},`, 30<<10) + `1]}},`
		do(scenario.Step{Method: "POST", Path: "/batch", Body: `{"requests":[` + strings.Repeat(deep, 4) + strings.TrimSuffix(deep, ",") + `]}`})

		const whole = "/classes/Large?limit=1000&count=1&order=n"
		w := httptest.NewRecorder()
		request(w, whole)
		var got struct {
			Results []struct {
				N int
				T string
				L []struct{ A int }
			}
			Count int
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK || len(got.Results) != objects || got.Count != objects {
			t.Fatalf("a large answer: %d, %d results, count %d, %v", w.Code, len(got.Results), got.Count, err)
		}
		for i, r := range got.Results {
			if r.N != i || len(r.T) != text || len(r.L) != 1 || r.L[0].A != i {
				t.Fatalf("result %d: %d, %d bytes, %v", i, r.N, len(r.T), r.L)
			}
		}
		tag := w.Header().Get("ETag")
		if n := w.Header().Get("Content-Length"); n != strconv.Itoa(w.Body.Len()) || tag == "" {
			t.Errorf("length %s of %d, tag %q", n, w.Body.Len(), tag)
		}
		if w = httptest.NewRecorder(); true {
			request(w, whole, "If-None-Match", tag)
		}
		if w.Code != http.StatusNotModified || w.Body.Len() != 0 {
			t.Errorf("the same once more: %d, %d bytes", w.Code, w.Body.Len())
		}

		tooLarge := "The answer is larger than 3 MiB. Ask for fewer objects or fields at a time."
		for name, st := range map[string]scenario.Step{
			"values that are sorted here":  {Path: "/classes/Deep?order=n"},
			"an include that repeats":      {Path: `/classes/Small?where={"n":2}&include=all`},
			"two times the same in one":    {Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"GET","path":"/parse` + "/classes/Large" + `","body":{"limit":100}},{"method":"GET","path":"/parse/classes/Small"}]}`, JSON: `[{"success":"*"},{"success":{"results":["*","*"]}}]`},
			"an aggregate":                 {Path: `/aggregate/Deep?$project={"l":1}`},
			"values that are read as text": {Path: "/classes/Deep"},
			"an include":                   {Path: `/classes/Small?where={"n":1}&include=all`},
			"a part":                       {Path: "/classes/Large?keys=n&limit=1000"},
			"all of a class without keys":  {Path: "/classes/Large?excludeKeys=t&limit=1000"},
		} {
			switch name {
			case "values that are sorted here":
				if s.Typed { // there, they are not
					break
				}
				fallthrough
			case "an include that repeats", "an aggregate":
				st.Code, st.Error = parse.InvalidQuery, tooLarge
			}
			st.Name = name
			do(st)
		}

		// While one does not read, there is no room for another, but for small ones.
		client := newStuck()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			request(client, whole)
		}()
		<-client.wrote
		full := scenario.Step{
			Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"GET","path":"/parse/classes/Large","body":{"limit":100}},{"method":"GET","path":"/parse/classes/Small"}]}`,
			JSON: `[{"error":{"code":155,"error":"*"}},{"success":{"results":["*","*"]}}]`,
		}
		do(full) // items of a batch do not wait
		do(scenario.Step{Path: "/classes/Large?limit=3"})
		later := httptest.NewRecorder()
		served := make(chan struct{})
		go func() {
			defer close(served)
			request(later, whole)
		}()
		close(client.read)
		<-ended
		<-served
		if later.Code != http.StatusOK || later.Body.Len() != client.Body.Len() {
			t.Errorf("after the first: %d, %d bytes of %d", later.Code, later.Body.Len(), client.Body.Len())
		}
		full.JSON = `[{"success":"*"},{"success":"*"}]`
		do(full) // the room is back
	})
}
