package livequery_test

import (
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/schema"
)

func errorText(text string) string {
	return `{"op":"error","error":"` + text + `","code":1,"reconnect":true,"requestId":null}`
}

// TestProtocol sends each message and compares the frames that answer it; an
// unsubscribe that is refused stands for silence before it.
func TestProtocol(t *testing.T) {
	const (
		hello     = `{"op":"connect","applicationId":"app"}`
		connected = `{"op":"connected","clientId":"ID"}`
		probe     = `{"op":"unsubscribe","requestId":77}`
		stranger  = `{"op":"error","error":"Can not find this client, make sure you connect to server before unsubscribing","code":2,"reconnect":true,"requestId":null}`
		unknown   = `{"op":"error","error":"Cannot find subscription with clientId ID subscriptionId 77. Make sure you subscribe to live query server before unsubscribing.","code":2,"reconnect":true,"requestId":null}`
		badKey    = `{"op":"error","error":"Key in request is not valid","code":4,"reconnect":true,"requestId":null}`
	)
	sub := func(query string) string { return `{"op":"subscribe","requestId":1,"query":` + query + `}` }
	subscribed := `{"op":"subscribed","clientId":"ID","requestId":1}`
	onlyPaying := &schema.CLP{Ops: map[schema.Operation]*schema.Permission{
		schema.Find: {Subjects: map[string]bool{"role:Staff": true}}, schema.Get: {Public: true},
	}}
	members := &schema.CLP{Ops: map[schema.Operation]*schema.Permission{
		schema.Find: {RequiresAuthentication: true}, schema.Get: {RequiresAuthentication: true},
	}}
	secret := &schema.CLP{
		Ops:       map[schema.Operation]*schema.Permission{schema.Find: {Public: true}, schema.Get: {Public: true}},
		Protected: map[string][]string{"*": {"pin"}},
	}
	tests := []struct {
		name  string
		opts  livequery.Options
		steps [][]string // message, then the frames that answer it
	}{
		{"shape of messages", livequery.Options{}, [][]string{
			{`{}`, errorText("Missing required property: op")},
			// The protocol has no answer to what is no JSON.
			{`{"op":` + "\n" + `{"op":"unsubscribe","requestId":77}`},
			{sub(`{"className":"Item","where":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`), errorText("JSON is nested deeper than 128 levels")},
			{`{"op":7}`, errorText("Invalid type: number (expected string)")},
			{`[1]`, errorText("Invalid type: array (expected object)")},
			{`{"op":"join","requestId":1}`, errorText(`No enum match for: \"join\"`)},
			{`{"op":"query","requestId":"1"}`, errorText("Invalid type: string (expected number)")},
			{`{"op":"connect"}`, errorText("Missing required property: applicationId")},
			{`{"op":"connect","applicationId":1}`, errorText("Invalid type: number (expected string)")},
			{`{"op":"connect","applicationId":"app","sessionToken":null}`, errorText("Invalid type: null (expected string)")},
			{`{"op":"connect","applicationId":"app","shoe":1}`, errorText("Additional properties not allowed")},
			{`{"op":"subscribe","requestId":"1","query":{}}`, errorText("Invalid type: string (expected number)")},
			{`{"op":"subscribe","requestId":1}`, errorText("Missing required property: query")},
			{sub(`[]`), errorText("Invalid type: array (expected object)")},
			{sub(`{"className":"Item"}`), errorText("Missing required property: where")},
			{sub(`{"where":{}}`), errorText("Missing required property: className")},
			{sub(`{"className":"Item","where":[]}`), errorText("Invalid type: array (expected object)")},
			{sub(`{"className":"Item","where":{},"limit":1}`), errorText("Additional properties not allowed")},
			{sub(`{"className":"Item","where":{},"keys":[]}`), errorText("Array is too short (0), minimum 1")},
			{sub(`{"className":"Item","where":{},"keys":["a","b","a"]}`), errorText("Array items are not unique (indices 0 and 2)")},
			{sub(`{"className":"Item","where":{},"watch":[1]}`), errorText("Invalid type: number (expected string)")},
			{`{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{}},"sessionToken":"` + strings.Repeat("x", 4097) + `"}`, errorText("String is too long (4097 bytes), maximum 4096")},
			{`{"op":"connect","applicationId":"app","installationId":"` + strings.Repeat("x", 201) + `"}`, errorText("String is too long (201 bytes), maximum 200")},
			{`{"op":"unsubscribe"}`, errorText("Missing required property: requestId")},
			{`{"op":"unsubscribe","requestId":1,"x":1}`, errorText("Additional properties not allowed")},
		}},
		{"no JSON is not answered", livequery.Options{}, [][]string{{`{"op":`}, {`hello`}, {probe, stranger}}},
		{"before connect", livequery.Options{}, [][]string{
			{probe, stranger},
			{sub(`{"className":"Item","where":{}}`), strings.Replace(stranger, "unsubscribing", "subscribing", 1)},
			{`{"op":"update","requestId":1,"query":{"className":"Item","where":{}}}`, stranger, strings.Replace(stranger, "unsubscribing", "subscribing", 1)},
		}},
		{"connect", livequery.Options{}, [][]string{
			{
				`{"op":"connect","applicationId":"any","clientKey":"","masterKey":"x","sessionToken":"","installationId":"in-1"}`,
				`{"op":"connected","clientId":"ID","installationId":"in-1"}`,
			},
			{sub(`{"className":"Item","where":{}}`), `{"op":"subscribed","clientId":"ID","installationId":"in-1","requestId":1}`},
			{`{"op":"unsubscribe","requestId":1}`, `{"op":"unsubscribed","clientId":"ID","installationId":"in-1","requestId":1}`},
		}},
		{"second connect drops subscriptions", livequery.Options{}, [][]string{
			{hello, connected},
			{`{"op":"subscribe","requestId":77,"query":{"className":"Item","where":{}}}`, `{"op":"subscribed","clientId":"ID","requestId":77}`},
			{hello, connected},
			{probe, unknown},
		}},
		{"application", livequery.Options{AppID: "app"}, [][]string{
			{`{"op":"connect","applicationId":"WRONG"}`, badKey}, {hello, connected},
		}},
		{"key pairs", livequery.Options{KeyPairs: map[string]string{"clientKey": "ck", "javascriptKey": "jk", "masterKey": ""}}, [][]string{
			{hello, badKey},
			{`{"op":"connect","applicationId":"app","clientKey":"no","masterKey":""}`, badKey},
			{probe, stranger},
			{`{"op":"connect","applicationId":"app","clientKey":"no","javascriptKey":"jk"}`, connected},
		}},
		{"request ids", livequery.Options{}, [][]string{
			{hello, connected},
			{`{"op":"subscribe","requestId":0,"query":{"className":"Item","where":{}}}`, `{"op":"subscribed","clientId":"ID","requestId":0}`},
			{`{"op":"subscribe","requestId":-1.5,"query":{"className":"Item","where":{}},"sessionToken":"r:gone"}`, `{"op":"subscribed","clientId":"ID","requestId":-1.5}`},
			{`{"op":"subscribe","requestId":0,"query":{"className":"Other","where":{"a":1},"fields":["a"]}}`, `{"op":"subscribed","clientId":"ID","requestId":0}`},
			{`{"op":"unsubscribe","requestId":0}`, `{"op":"unsubscribed","clientId":"ID","requestId":0}`},
			{probe, unknown},
		}},
		{"update", livequery.Options{}, [][]string{
			{hello, connected},
			{`{"op":"update","requestId":77,"query":{"className":"Item","where":{}}}`, `{"op":"subscribed","clientId":"ID","requestId":77}`},
			{`{"op":"update","requestId":77,"query":{"className":"Item","where":{"a":1}}}`, `{"op":"subscribed","clientId":"ID","requestId":77}`},
			{`{"op":"update","requestId":77,"query":{"className":"Staff","where":{}}}`, `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":77}`},
			{probe, unknown},
		}},
		{"limit of subscriptions", livequery.Options{MaxSubscriptions: 1}, [][]string{
			{hello, connected},
			{sub(`{"className":"Item","where":{}}`), subscribed},
			{sub(`{"className":"Item","where":{"a":1}}`), subscribed},
			{`{"op":"subscribe","requestId":2,"query":{"className":"Item","where":{}}}`, `{"op":"error","error":"Too many subscriptions, the limit is 1","code":155,"reconnect":false,"requestId":2}`},
		}},
		{"limit of all subscriptions", livequery.Options{TotalSubscriptions: 1}, [][]string{
			{hello, connected},
			{sub(`{"className":"Item","where":{}}`), subscribed},
			{sub(`{"className":"Item","where":{"a":1}}`), subscribed}, // in its place
			{`{"op":"subscribe","requestId":2,"query":{"className":"Item","where":{}}}`, `{"op":"error","error":"Too many subscriptions on this server at the moment","code":155,"reconnect":false,"requestId":2}`},
			{`{"op":"unsubscribe","requestId":1}`, `{"op":"unsubscribed","clientId":"ID","requestId":1}`},
			{sub(`{"className":"Staff","where":{}}`), `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":1}`}, // takes no place
			{`{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{}}}`, subscribed},
		}},
		{"limit of all bytes", livequery.Options{SubscriptionBytes: 3000}, [][]string{
			{hello, connected},
			{sub(`{"className":"Item","where":{}}`), subscribed},
			{`{"op":"subscribe","requestId":2,"query":{"className":"Item","where":{"a":"` + strings.Repeat("x", 200) + `"}}}`, `{"op":"error","error":"Too many subscriptions on this server at the moment","code":155,"reconnect":false,"requestId":2}`},
			{sub(`{"className":"Item","where":{}}`), subscribed},
		}},
		{"refusals", livequery.Options{}, [][]string{
			{hello, connected},
			{sub(`{"className":"Staff","where":{}}`), `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":1}`},
			{sub(`{"className":"Members","where":{}}`), `{"op":"error","error":"Permission denied","code":101,"reconnect":false,"requestId":1}`},
			{sub(`{"className":"Secret","where":{"$or":[{"a":1},{"pin":2}]}}`), `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":1}`},
			{sub(`{"className":"Secret","where":{},"watch":["pin"]}`), `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":1}`},
			{sub(`{"className":"Secret","where":{},"keys":["pin"]}`), subscribed},
			{sub(`{"className":"_Session","where":{}}`), `{"op":"error","error":"Invalid session token","code":209,"reconnect":false,"requestId":1}`},
			{sub(`{"className":"_Installation","where":{}}`), `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":1}`},
			{sub(`{"className":"_Hooks","where":{}}`), `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":1}`},
			{`{"op":"subscribe","requestId":1,"query":{"className":"Staff","where":{}},"sessionToken":"r:bob"}`, subscribed},
			{`{"op":"subscribe","requestId":1,"query":{"className":"Staff","where":{}},"sessionToken":"r:ann"}`, `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":1}`},
			{`{"op":"subscribe","requestId":1,"query":{"className":"Members","where":{}},"sessionToken":"r:ann"}`, subscribed},
			{`{"op":"subscribe","requestId":1,"query":{"className":"_Session","where":{}},"sessionToken":"r:ann"}`, subscribed},
		}},
		{"token of the connection", livequery.Options{}, [][]string{
			{`{"op":"connect","applicationId":"app","sessionToken":"r:bob"}`, connected},
			{sub(`{"className":"Staff","where":{}}`), subscribed},
			{`{"op":"subscribe","requestId":1,"query":{"className":"Staff","where":{}},"sessionToken":""}`, subscribed},
			{`{"op":"subscribe","requestId":1,"query":{"className":"Staff","where":{}},"sessionToken":"r:gone"}`, subscribed},
		}},
		{"master key", livequery.Options{MasterKey: "mk"}, [][]string{
			{`{"op":"connect","applicationId":"app","masterKey":"mk"}`, connected},
			{sub(`{"className":"Staff","where":{"pin":1}}`), subscribed},
			{sub(`{"className":"_Installation","where":{}}`), subscribed},
			{sub(`{"className":"_Session","where":{}}`), `{"op":"error","error":"Invalid session token","code":209,"reconnect":false,"requestId":1}`},
		}},
		{"master key of key pairs", livequery.Options{KeyPairs: map[string]string{"masterKey": "mk"}}, [][]string{
			{`{"op":"connect","applicationId":"app","masterKey":"mk"}`, connected},
			{sub(`{"className":"Staff","where":{}}`), subscribed},
		}},
		{"master key from elsewhere", livequery.Options{MasterKey: "mk", MasterKeyAllowed: func(ip string) bool { return ip != "127.0.0.1" }}, [][]string{
			{`{"op":"connect","applicationId":"app","masterKey":"mk"}`, connected},
			{sub(`{"className":"Staff","where":{}}`), `{"op":"error","error":"Permission denied","code":119,"reconnect":false,"requestId":1}`},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.opts)
			r.schema.set(&schema.Class{Name: "Staff", CLP: onlyPaying}, &schema.Class{Name: "Members", CLP: members}, &schema.Class{Name: "Secret", CLP: secret})
			s := r.dial(t)
			for _, step := range tt.steps {
				s.send(step[0])
				for _, want := range step[1:] {
					if diff := cmp.Diff(want, s.next()); diff != "" {
						t.Fatalf("answer to %s (-want +got):\n%s", step[0], diff)
					}
				}
			}
		})
	}
}

// TestQueryRefused leaves the texts to the query package.
func TestQueryRefused(t *testing.T) {
	r := newRig(t, livequery.Options{})
	s := r.connect(t, "")
	for _, where := range []string{`{"$or":1}`, `{"a":{"$regex":"("}}`} {
		s.send(`{"op":"subscribe","requestId":5,"query":{"className":"Item","where":` + where + `}}`)
		f := s.next()
		if !strings.HasPrefix(f, `{"op":"error","error":"`) || !strings.HasSuffix(f, `,"code":102,"reconnect":false,"requestId":5}`) {
			t.Errorf("where %s: %s", where, f)
		}
	}
	s.send(`{"op":"subscribe","requestId":5,"query":{"className":"_User","where":{"_hashed_password":"x"}}}`)
	if f := s.next(); !strings.HasPrefix(f, `{"op":"error"`) {
		t.Errorf("internal field: %s", f)
	}
	if n := r.hub.Stats().DistinctQueries; n != 0 {
		t.Errorf("%d queries left of refused subscriptions", n)
	}
}

func TestBinaryFrame(t *testing.T) {
	r := newRig(t, livequery.Options{})
	s := r.dial(t)
	if err := s.ws.Write(t.Context(), websocket.MessageBinary, []byte(`{"op":"connect","applicationId":"app"}`)); err != nil {
		t.Fatal(err)
	}
	if f := s.next(); f != `{"op":"connected","clientId":"ID"}` {
		t.Error(f)
	}
}

func TestMessageTooLarge(t *testing.T) {
	r := newRig(t, livequery.Options{MaxMessageBytes: 100})
	s := r.dial(t)
	s.send(`{"op":"connect","applicationId":"` + strings.Repeat("a", 200) + `"}`)
	if code := s.closeCode(); code != websocket.StatusMessageTooBig {
		t.Errorf("closed with %d", code)
	}
}
