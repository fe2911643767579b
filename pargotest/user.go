package pargotest

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/parse"
)

// User sends requests: as a user, as nobody, or with the master key.
type User struct {
	// ID and Token are those of the user; "" for nobody and for the master.
	ID, Token string

	s      *Server
	master bool
}

// Nobody sends requests without a session.
func (s *Server) Nobody() *User { return &User{s: s} }

// Master sends requests with the master key.
func (s *Server) Master() *User { return &User{s: s, master: true} }

// SignUp makes a user, whose password is "secret".
func (s *Server) SignUp(username string) *User {
	s.tb.Helper()
	body := parse.AppendJSON(nil, parse.NewMap(
		parse.MapField{Key: "username", Value: username}, parse.MapField{Key: "password", Value: "secret"},
		parse.MapField{Key: "email", Value: username + "@example.com"}))
	r := s.Nobody().Post("/users", string(body)).WantOK()
	return &User{s: s, ID: r.JSON.String("objectId"), Token: r.JSON.String("sessionToken")}
}

// Get sends GET; params are those of the URL, in pairs of name and value.
func (u *User) Get(path string, params ...string) *Response {
	u.s.tb.Helper()
	if len(params) > 1 {
		v := url.Values{}
		for i := 0; i+1 < len(params); i += 2 {
			v.Set(params[i], params[i+1])
		}
		path += "?" + v.Encode()
	}
	return u.send(http.MethodGet, path, "")
}

// Post sends POST with a JSON body.
func (u *User) Post(path, body string) *Response {
	u.s.tb.Helper()
	return u.send(http.MethodPost, path, body)
}

// Put sends PUT with a JSON body.
func (u *User) Put(path, body string) *Response {
	u.s.tb.Helper()
	return u.send(http.MethodPut, path, body)
}

// Delete sends DELETE.
func (u *User) Delete(path string) *Response {
	u.s.tb.Helper()
	return u.send(http.MethodDelete, path, "")
}

// Call calls a function with its parameters as JSON and returns its result.
func (u *User) Call(name, params string) parse.Value {
	u.s.tb.Helper()
	v, _ := u.Post("/functions/"+url.PathEscape(name), params).WantOK().JSON.Get("result")
	return v
}

func (u *User) send(method, path, body string) *Response {
	u.s.tb.Helper()
	req, err := http.NewRequestWithContext(u.s.tb.Context(), method, u.s.URL+path, strings.NewReader(body))
	if err != nil {
		u.s.tb.Fatal(err)
	}
	req.Header.Set("X-Parse-Application-Id", AppID)
	switch {
	case u.master:
		req.Header.Set("X-Parse-Master-Key", MasterKey)
	case u.Token != "":
		req.Header.Set("X-Parse-Session-Token", u.Token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		u.s.tb.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		u.s.tb.Fatalf("%s %s: %v", method, path, err)
	}
	r := &Response{Status: res.StatusCode, Header: res.Header, Body: string(text), JSON: &parse.Map{}, tb: u.s.tb, what: method + " " + path}
	if m, err := parse.DecodeMap(text, parse.Limits{}); err == nil {
		r.JSON = m
	}
	return r
}

// Response is an answer of the server.
type Response struct {
	Status int
	Header http.Header
	Body   string
	JSON   *parse.Map // empty if the body is no JSON object

	tb   testing.TB
	what string
}

// WantOK fails the test unless the request has succeeded.
func (r *Response) WantOK() *Response {
	r.tb.Helper()
	if r.Status >= http.StatusBadRequest {
		r.tb.Fatalf("%s: %d %s", r.what, r.Status, r.Body)
	}
	return r
}

// WantError fails the test unless the request was refused with the code and,
// if it is not empty, the text.
func (r *Response) WantError(code parse.Code, text string) *Response {
	r.tb.Helper()
	v, _ := r.JSON.Get("code")
	if n, _ := v.(float64); parse.Code(n) != code || text != "" && r.JSON.String("error") != text {
		r.tb.Errorf("%s: %d %s; want error %d %s", r.what, r.Status, r.Body, code, text)
	}
	return r
}

// ID returns the objectId of the answer.
func (r *Response) ID() string { return r.JSON.String("objectId") }
