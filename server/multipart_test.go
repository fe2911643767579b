package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// form is a body of parts: each is its headers, an empty line and its content.
func form(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--x\r\n" + strings.ReplaceAll(p, "\n", "\r\n") + "\r\n")
	}
	return b.String() + "--x--\r\n"
}

func textPart(name, value string) string {
	return fmt.Sprintf("Content-Disposition: form-data; name=%q\n\n%s", name, value)
}

// TestMultipart calls functions with forms of several parts (reference 06 §10).
func TestMultipart(t *testing.T) {
	const file = "Content-Disposition: form-data; name=\"photo\"; filename=\"a/b.png\"\nContent-Type: image/png\n\n\x00\xff\x01"
	header := map[string]string{"Content-Type": "multipart/form-data; boundary=x"}
	call := func(name, function, body, json string) scenario.Step {
		return scenario.Step{Name: name, Method: "POST", Path: "/functions/" + function, Header: header, Body: body, JSON: json}
	}
	refuse := func(st scenario.Step, code parse.Code, text string) scenario.Step {
		st.Code, st.Error = code, text
		return st
	}
	with := func(st scenario.Step, name, value string) scenario.Step {
		h := map[string]string{"Content-Type": header["Content-Type"]}
		h[name] = value
		st.Header = h
		return st
	}
	cloud := func(app *cloudcode.App) {
		app.Function("echo", func(_ context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) { return r.Params, nil })
		app.Function("who", func(_ context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
			return fmt.Sprintf("%s %v %s", r.Caller.UserID(), r.Caller.Master, r.Context.String("word")), nil
		})
		cloudcode.Func(app, "upload", func(_ context.Context, r *cloudcode.Call[struct {
			Title string
			Photo *cloudcode.Upload
		}],
		) (string, error) {
			p := r.Params.Photo
			return fmt.Sprintf("%s: %s, %s, %x", r.Params.Title, p.Filename, p.ContentType, p.Data), nil
		}, cloudcode.Validator{Fields: []cloudcode.Field{{Name: "title", Type: cloudcode.String}, {Name: "photo", Type: cloudcode.Object}}})
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "forms", Config: open, Cloud: cloud, Steps: []scenario.Step{
			signUp("alice"),
			call("texts", "echo", form(textPart("a", "1"), textPart("b", "x\ny"), textPart("empty", "")), `{"result":{"a":"1","b":"x\r\ny","empty":""}}`),
			call("a file", "echo", form(file), `{"result":{"photo":{"filename":"b.png","contentType":"image/png","data":{"__type":"Bytes","base64":"AP8B"}}}}`),
			call("a file without a type", "echo", form("Content-Disposition: form-data; name=\"f\"; filename=\"\"\n\nz"), `{"result":{"f":{"filename":"","contentType":"application/octet-stream","data":{"__type":"Bytes","base64":"eg=="}}}}`),
			call("bytes without a name of a file", "echo", form("Content-Disposition: form-data; name=\"f\"\nContent-Type: application/octet-stream\n\nz"), `{"result":{"f":{"filename":"","contentType":"application/octet-stream","data":{"__type":"Bytes","base64":"eg=="}}}}`),
			call("a name twice", "echo", form(textPart("a", "1"), textPart("a", "2")), `{"result":{"a":"2"}}`),
			call("a part without a name", "echo", form("Content-Disposition: form-data\n\nz", textPart("a", "1")), `{"result":{"a":"1"}}`),
			call("a text that is not UTF-8", "echo", form(textPart("a", "\xff")), `{"result":{"a":"\ufffd"}}`),
			call("no parts", "echo", "--x--\r\n", `{"result":{}}`),
			{Name: "with parameters of the URL over it", Method: "POST", Path: "/functions/echo", Query: map[string]string{"a": "url"}, Header: header, Body: form(textPart("a", "1"), textPart("b", "2")), JSON: `{"result":{"a":"url","b":"2"}}`},
			call("nothing in it is a credential or a verb", "echo", form(textPart("_ApplicationId", "app"), textPart("_MasterKey", "x"), textPart("_method", "GET"), textPart("_noBody", "1")),
				`{"result":{"_ApplicationId":"app","_MasterKey":"x","_method":"GET","_noBody":"1"}}`),
			with(call("credentials in headers", "who", form(textPart("_SessionToken", "r:none")), `{"result":"{{alice.id}} false "}`), "X-Parse-Session-Token", "{{alice.token}}"),
			with(call("context", "who", form(textPart("a", "1")), `{"result":" false hi"}`), "X-Parse-Cloud-Context", `{"word":"hi"}`),
			with(scenario.Step{Name: "without the application", Method: "POST", Path: "/functions/echo", Body: form(textPart("_ApplicationId", "app")), Status: 403, JSON: `{"error":"unauthorized"}`}, "X-Parse-Application-Id", ""),
			call("typed", "upload", form(textPart("title", "Sunset"), file), `{"result":"Sunset: b.png, image/png, 00ff01"}`),
			refuse(call("typed, without the file", "upload", form(textPart("title", "Sunset"))+"", ""), parse.ValidationError, "Validation failed. Please specify data for photo."),
			refuse(call("typed, a text for the file", "upload", form(textPart("title", "Sunset"), textPart("photo", "x")), ""), parse.ValidationError, "Validation failed. Invalid type for photo. Expected: object"),
			refuse(call("unknown function", "nope", form(), ""), parse.ScriptFailed, `Invalid function: "nope"`),
			refuse(call("cut off", "echo", strings.TrimSuffix(form(textPart("a", "1")), "--x--\r\n"), ""), parse.InvalidJSON, "Invalid multipart request: Unexpected end of multipart data"),
			refuse(call("cut off within a part", "echo", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nabc", ""), parse.InvalidJSON, "Invalid multipart request: Unexpected end of multipart data"),
			refuse(call("no form at all", "echo", `{"a":1}`, ""), parse.InvalidJSON, "Invalid multipart request: Unexpected end of multipart data"),
			refuse(call("empty", "echo", "", ""), parse.InvalidJSON, "Invalid multipart request: Unexpected end of multipart data"),
			refuse(with(call("no boundary", "echo", form(), ""), "Content-Type", "multipart/form-data"), parse.InvalidJSON, "Invalid multipart request: Multipart: Boundary not found"),
			refuse(with(call("a bad boundary", "echo", form(), ""), "Content-Type", `multipart/form-data; boundary="`), parse.InvalidJSON, "Invalid multipart request: Multipart: Boundary not found"),
			refuse(call("too many parts", "echo", form(slicesOf(textPart("", ""), 10_001)...), ""), parse.InvalidJSON, "Invalid multipart request: too many parts"),
		}},
		{Name: "size", Config: func(c *config.Config) { open(c); c.MaxUploadSize = "1kb" }, Cloud: cloud, Steps: []scenario.Step{
			{Name: "within", Method: "POST", Path: "/functions/who", Header: header, Body: form(textPart("a", strings.Repeat("x", 900))), JSON: `{"result":"*"}`},
			refuse(call("over", "who", form(textPart("a", strings.Repeat("x", 1100))), ""), parse.ObjectTooLarge, "Multipart request exceeds maximum upload size."),
			refuse(call("over, in many empty parts", "who", form(slicesOf(textPart("a", ""), 40)...), ""), parse.ObjectTooLarge, "Multipart request exceeds maximum upload size."),
		}},
	})
}

func slicesOf(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}
