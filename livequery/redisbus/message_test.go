package redisbus

import (
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/parse"
)

func object(t *testing.T, class, fields string) *parse.Object {
	t.Helper()
	m, err := parse.DecodeMap([]byte(fields), parse.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	made, _ := parse.ParseDate("2026-11-22T21:36:35.361Z")
	changed, _ := parse.ParseDate("2026-11-22T21:36:35.932Z")
	return &parse.Object{
		ClassName: class, ID: "HZ4dYg173F", CreatedAt: made, UpdatedAt: changed, Fields: *m,
		ACL: parse.NewACL(parse.ACLEntry{Subject: "uid", Read: true}),
	}
}

const stamp = `{"pargo":{"node":"n","seq":7}`

// What Parse Servers read (reference 05 §12), and what is read back from it.
func TestMessages(t *testing.T) {
	const system = `"createdAt":"2026-11-22T21:36:35.361Z","updatedAt":"2026-11-22T21:36:35.932Z","ACL":{"uid":{"read":true}}`
	head := func(class string) string {
		return `{"__type":"Object","className":"` + class + `","objectId":"HZ4dYg173F",`
	}
	all := `"v":2,"when":{"__type":"Date","iso":"2026-01-02T03:04:05.006Z"},"who":{"__type":"Pointer","className":"_User","objectId":"u"},` +
		`"many":{"__type":"Relation","className":"Tag"},"at":{"__type":"GeoPoint","latitude":1,"longitude":2},"list":[1,{"a":null}]`
	secret := object(t, "_User", `{"username":"ann","sessionToken":"r:1","password":"p","authData":{"x":{"id":"1"}},"_hashed_password":"h","_email_verify_token":"t"}`)
	cases := map[string]struct {
		change  parse.Change
		channel string
		clp     string
		want    string
	}{
		"create": {
			parse.Change{Class: "Secret", Action: parse.Created, After: object(t, "Secret", "{"+all+"}")},
			chanSave, "",
			stamp + `,"currentParseObject":` + head("Secret") + all + `,` + system + `}}`,
		},
		"update": {
			parse.Change{Class: "Secret", Action: parse.Updated, Before: object(t, "Secret", `{"v":1}`), After: object(t, "Secret", `{"v":2}`)},
			chanSave, `{"find":{"*":true}}`,
			stamp + `,"currentParseObject":` + head("Secret") + `"v":2,` + system + `},"originalParseObject":` + head("Secret") + `"v":1,` + system +
				`},"classLevelPermissions":{"find":{"*":true}}}`,
		},
		"delete": {
			parse.Change{Class: "Secret", Action: parse.Deleted, Before: object(t, "Secret", `{"v":2}`)},
			chanDelete, "",
			stamp + `,"currentParseObject":` + head("Secret") + `"v":2,` + system + `}}`,
		},
		"no secrets": {
			parse.Change{Class: "_User", Action: parse.Created, After: secret},
			chanSave, "",
			stamp + `,"currentParseObject":` + head("_User") + `"username":"ann",` + system + `}}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var clp []byte
			if tc.clp != "" {
				clp = []byte(tc.clp)
			}
			got := string(appendChange(appendStamp(nil, "n", 7), &tc.change, clp))
			if got != tc.want {
				t.Fatalf("got  %s\nwant %s", got, tc.want)
			}
			if !strings.HasPrefix(got, stampOf("n")) {
				t.Errorf("a node does not know its own message")
			}
			m, err := readMessage(tc.channel, got)
			if err != nil {
				t.Fatal(err)
			}
			if m.node != "n" || m.seq != 7 || m.change == nil || m.change.Action != tc.change.Action || m.change.Class != tc.change.Class {
				t.Fatalf("read %+v", m)
			}
			if again := string(appendChange(appendStamp(nil, "n", 7), m.change, clp)); again != got {
				t.Errorf("read and written again: %s\nwant %s", again, got)
			}
		})
	}
	if secret.String("sessionToken") == "" {
		t.Error("the object that was published has been changed")
	}
}

// What Parse Servers send, and what nobody should.
func TestReadMessage(t *testing.T) {
	const obj = `{"__type":"Object","className":"A","objectId":"1","v":1`
	cases := map[string]struct {
		channel, payload string
		want             string // as published by node n; "": refused
	}{
		"of Parse Server": {chanSave, `{"currentParseObject":` + obj + `},"classLevelPermissions":{}}`, stamp + `,"currentParseObject":` + obj + `}}`},
		"internal fields": {chanSave, `{"currentParseObject":` + obj + `,"_hashed_password":"h","_perishable_token":"p","createdAt":"2026-11-22T21:36:35.361Z","ACL":{"*":{"read":true}}}}`, stamp + `,"currentParseObject":` + obj + `,"createdAt":"2026-11-22T21:36:35.361Z","ACL":{"*":{"read":true}}}}`},
		"tokens":          {chanSave, `{"currentParseObject":{"__type":"Object","className":"_User","objectId":"1","sessionToken":"r:1"}}`, stamp + `,"currentParseObject":{"__type":"Object","className":"_User","objectId":"1"}}`},
		"null original":   {chanSave, `{"currentParseObject":` + obj + `},"originalParseObject":null}`, stamp + `,"currentParseObject":` + obj + `}}`},
		"no object":       {chanSave, `{}`, ""},
		"not JSON":        {chanSave, `{"currentParseObject":`, ""},
		"no map":          {chanSave, `[]`, ""},
		"no id":           {chanSave, `{"currentParseObject":{"__type":"Object","className":"A"}}`, ""},
		"no class":        {chanSave, `{"currentParseObject":{"objectId":"A"}}`, ""},
		"id of a number":  {chanSave, `{"currentParseObject":{"__type":"Object","className":"A","objectId":1}}`, ""},
		"bad date":        {chanSave, `{"currentParseObject":` + obj + `,"createdAt":1}}`, ""},
		"bad original":    {chanSave, `{"currentParseObject":` + obj + `},"originalParseObject":1}`, ""},
		"two objects":     {chanSave, `{"currentParseObject":` + obj + `},"originalParseObject":{"__type":"Object","className":"A","objectId":"2"}}`, ""},
		"nobody":          {chanClear, `{}`, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m, err := readMessage(tc.channel, tc.payload)
			if tc.want == "" {
				if err == nil {
					t.Fatalf("read %+v", m)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(appendChange(appendStamp(nil, "n", 7), m.change, nil)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add(chanSave, `{"pargo":{"node":"n","seq":7},"currentParseObject":{"__type":"Object","className":"A","objectId":"1","v":1},"originalParseObject":{"className":"A","objectId":"1"}}`)
	f.Add(chanDelete, `{"currentParseObject":{"__type":"Object","className":"A","objectId":"1","_x":1,"ACL":{"*":{"read":true}}}}`)
	f.Add(chanClear, `{"userId":"u"}`)
	f.Add(chanNode, `{"pargo":{"node":"n","seq":0},"lost":["A"],"revoked":true}`)
	f.Fuzz(func(t *testing.T, channel, payload string) {
		m, err := readMessage(channel, payload)
		if err != nil || m.change == nil {
			return
		}
		text := string(appendChange(appendStamp(nil, "n", 7), m.change, nil))
		again, err := readMessage(channel, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if twice := string(appendChange(appendStamp(nil, "n", 7), again.change, nil)); twice != text {
			t.Errorf("%s\n%s", text, twice)
		}
	})
}
