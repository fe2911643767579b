package livequery

import (
	"fmt"

	"github.com/pargo-baas/pargo/parse"
)

// Codes of protocol errors (reference 05 §3); others are Parse error codes.
const (
	codeInvalid  = 1
	codeUnknown  = 2
	codeKey      = 4
	codeInternal = parse.ScriptFailed
)

// kind is a type of JSON as the protocol's error texts name it.
type kind string

const (
	kindString kind = "string"
	kindNumber kind = "number"
	kindArray  kind = "array"
	kindObject kind = "object"
	kindNull   kind = "null"
	kindBool   kind = "boolean"
)

// What a connection keeps of its messages, and puts into each frame, is short:
// SDKs send 36 letters and 34.
const (
	maxInstallation = 200
	maxToken        = 4096
)

// kindOf returns the JSON type that v came from.
func kindOf(v parse.Value) kind {
	switch v.(type) {
	case nil:
		return kindNull
	case bool:
		return kindBool
	case float64, parse.Int:
		return kindNumber
	case string:
		return kindString
	case parse.Array:
		return kindArray
	}
	return kindObject
}

// shape is the closed shape of a message or of a part of one.
type shape struct {
	required []string
	members  map[string]member
}

// member is the rule for one member of a shape.
type member struct {
	kind  kind
	most  int    // bytes of a string; 0: no bound
	names bool   // an array of distinct strings, at least one
	shape *shape // of an object
}

// messages holds the shape of each op; it is only read.
var messages = map[string]*shape{
	"connect": {
		required: []string{"op", "applicationId"},
		members: map[string]member{
			"op": {kind: kindString}, "applicationId": {kind: kindString}, "javascriptKey": {kind: kindString},
			"masterKey": {kind: kindString}, "clientKey": {kind: kindString}, "windowsKey": {kind: kindString},
			"restAPIKey": {kind: kindString}, "sessionToken": {kind: kindString, most: maxToken}, "installationId": {kind: kindString, most: maxInstallation},
		},
	},
	"subscribe":   subscribeShape(),
	"update":      subscribeShape(),
	"unsubscribe": requestShape(),
	"query":       requestShape(),
}

// requestShape is that of a message about one subscription.
func requestShape() *shape {
	return &shape{
		required: []string{"op", "requestId"},
		members:  map[string]member{"op": {kind: kindString}, "requestId": {kind: kindNumber}},
	}
}

func subscribeShape() *shape {
	names := member{kind: kindArray, names: true}
	return &shape{
		required: []string{"op", "requestId", "query"},
		members: map[string]member{
			"op": {kind: kindString}, "requestId": {kind: kindNumber}, "sessionToken": {kind: kindString, most: maxToken},
			// resume is pargo's own: the position to go on from.
			"resume": {kind: kindString},
			"query": {kind: kindObject, shape: &shape{
				required: []string{"where", "className"},
				members: map[string]member{
					"className": {kind: kindString}, "where": {kind: kindObject},
					// fields is the old name of keys, which some SDKs still send.
					"keys": names, "fields": names, "watch": names,
					// include is pargo's own: pointers to send with their objects.
					"include": names,
				},
			}},
		},
	}
}

// checkMessage returns the first fault of a message in the protocol's words,
// or "". The order of the checks is that of the reference's validator, since
// one SDK compares a text.
func checkMessage(v parse.Value) (m *parse.Map, op, fault string) {
	m, ok := v.(*parse.Map)
	if !ok {
		return nil, "", wrongType(v, kindObject)
	}
	o, ok := m.Get("op")
	if !ok {
		return nil, "", "Missing required property: op"
	}
	op, ok = o.(string)
	if !ok {
		return nil, "", wrongType(o, kindString)
	}
	s := messages[op]
	if s == nil {
		return nil, "", "No enum match for: " + string(parse.AppendJSON(nil, op))
	}
	return m, op, s.check(m)
}

func wrongType(v parse.Value, want kind) string {
	return fmt.Sprintf("Invalid type: %s (expected %s)", kindOf(v), want)
}

func (s *shape) check(m *parse.Map) string {
	for _, name := range s.required {
		if !m.Has(name) {
			return "Missing required property: " + name
		}
	}
	for name, v := range m.All() {
		rule, ok := s.members[name]
		if !ok {
			return "Additional properties not allowed"
		}
		if fault := rule.check(v); fault != "" {
			return fault
		}
	}
	return ""
}

func (r *member) check(v parse.Value) string {
	if kindOf(v) != r.kind {
		return wrongType(v, r.kind)
	}
	if s, ok := v.(string); ok && r.most > 0 && len(s) > r.most {
		return fmt.Sprintf("String is too long (%d bytes), maximum %d", len(s), r.most)
	}
	if r.names {
		return checkNames(v)
	}
	if r.shape != nil {
		m, ok := v.(*parse.Map)
		if !ok { // a typed value such as a Pointer: it has no member of the shape
			return "Missing required property: " + r.shape.required[0]
		}
		return r.shape.check(m)
	}
	return ""
}

// maxNames bounds an array of names: it is work for every subscription and event.
const maxNames = 1000

func checkNames(v parse.Value) string {
	list, _ := v.(parse.Array)
	switch n := len(list); {
	case n == 0:
		return "Array is too short (0), minimum 1"
	case n > maxNames:
		return fmt.Sprintf("Array is too long (%d), maximum %d", n, maxNames)
	}
	for i := range list {
		for j := i + 1; j < len(list); j++ {
			if parse.Equal(list[i], list[j]) {
				return fmt.Sprintf("Array items are not unique (indices %d and %d)", i, j)
			}
		}
	}
	for _, e := range list {
		if kindOf(e) != kindString {
			return wrongType(e, kindString)
		}
	}
	return ""
}

// names returns the strings of an array that checkNames passed, or nil.
func names(v parse.Value) []string {
	list, _ := v.(parse.Array)
	if len(list) == 0 {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// appendMember appends `,"clientId":"…","installationId":"…"`, which all
// frames to a client share; installationId is absent if the client sent none.
func appendMember(dst []byte, clientID, installation string) []byte {
	dst = parse.AppendJSON(append(dst, `,"clientId":`...), clientID)
	if installation != "" {
		dst = parse.AppendJSON(append(dst, `,"installationId":`...), installation)
	}
	return dst
}

// replyFrame is connected (no requestID), subscribed or unsubscribed.
func replyFrame(op string, member []byte, requestID parse.Value) []byte {
	b := make([]byte, 0, len(eventPrefix)+len(op)+len(member)+32)
	b = append(append(append(append(b, eventPrefix...), op...), '"'), member...)
	if requestID != nil {
		b = parse.AppendJSON(append(b, `,"requestId":`...), requestID)
	}
	return append(b, '}')
}

// errorFrame is an error; a nil requestID is sent as null.
func errorFrame(code parse.Code, text string, reconnect bool, requestID parse.Value) []byte {
	b := parse.AppendJSON([]byte(`{"op":"error","error":`), text)
	b = parse.AppendJSON(append(b, `,"code":`...), float64(code))
	b = parse.AppendJSON(append(b, `,"reconnect":`...), reconnect)
	b = parse.AppendJSON(append(b, `,"requestId":`...), requestID)
	return append(b, '}')
}

// eventHead is the part of an event frame that belongs to one subscription:
// what follows the name of the event and precedes the objects.
func eventHead(member []byte, requestID parse.Value) []byte {
	b := append(make([]byte, 0, 1+len(member)+24), '"')
	b = append(b, member...)
	return parse.AppendJSON(append(b, `,"requestId":`...), requestID)
}
