package redisbus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// The channels of an application are its id followed by these.
const (
	chanSave   = "afterSave"
	chanDelete = "afterDelete"
	chanClear  = "clearCache"
	// chanNode is for what Parse Server has no message for.
	chanNode = "pargo"
)

// secrets are the fields of a class that no message carries, beside the
// internal ones: what logs in. No event shows them either, but for the tokens
// of sessions, which their owner sees in events of the node that made the change.
var secrets = map[string][]string{
	"_User":    {"password", "sessionToken", "authData"},
	"_Session": {"sessionToken"},
}

// appendStamp begins a message: who sent it, and its number; 0 for messages
// that may be taken twice.
func appendStamp(dst []byte, node string, seq uint64) []byte {
	dst = append(append(append(dst, `{"pargo":{"node":"`...), node...), `","seq":`...)
	return append(strconv.AppendUint(dst, seq, 10), '}')
}

// stampOf is how all messages of a node begin.
func stampOf(node string) string { return `{"pargo":{"node":"` + node + `",` }

// appendChange appends the rest of the message of a change. permissions is
// the JSON of the class-level permissions; nil: there are none.
func appendChange(dst []byte, ch *parse.Change, permissions []byte) []byte {
	current, original := ch.After, ch.Before
	if ch.Action == parse.Deleted {
		current, original = ch.Before, nil
	}
	dst = appendObject(append(dst, `,"currentParseObject":`...), ch.Class, current)
	if original != nil {
		dst = appendObject(append(dst, `,"originalParseObject":`...), ch.Class, original)
	}
	if permissions != nil {
		dst = append(append(dst, `,"classLevelPermissions":`...), permissions...)
	}
	return append(dst, '}')
}

func appendObject(dst []byte, class string, o *parse.Object) []byte {
	shown := o
	for _, name := range secrets[class] {
		if shown.Fields.Has(name) {
			if shown == o {
				shown = o.Clone()
			}
			shown.Fields.Delete(name)
		}
	}
	if shown.ClassName != class {
		shown = shown.Clone()
		shown.ClassName = class
	}
	return parse.AppendJSON(dst, shown)
}

// message is what was received.
type message struct {
	node    string // "" from a Parse Server
	seq     uint64
	change  *parse.Change
	user    string   // whose rights changed
	lost    []string // classes of which the sender lost changes
	revoked bool     // everybody's rights may have changed
}

// limits are wider than those of requests: the writer's server has checked
// the object, and the state before may be older than any limit.
var limits = parse.Limits{Depth: 1000, Keys: 1_000_000, Values: 1 << 30}

// readMessage reads a message of a channel, given without the application id.
func readMessage(channel, payload string) (message, error) {
	var msg message
	m, err := parse.DecodeMap([]byte(payload), limits)
	if err != nil {
		return msg, err
	}
	if v, ok := m.Get("pargo"); ok {
		if stamp, ok := v.(*parse.Map); ok {
			msg.node = stamp.String("node")
			v, _ := stamp.Get("seq")
			if n, ok := v.(float64); ok && n > 0 {
				msg.seq = uint64(n)
			}
		}
	}
	switch channel {
	case chanSave, chanDelete:
		msg.change, err = readChange(channel, m)
		return msg, err
	case chanClear:
		if msg.user = m.String("userId"); msg.user == "" {
			return msg, errors.New("no userId")
		}
	case chanNode:
		v, _ := m.Get("revoked")
		msg.revoked = v == true
		v, _ = m.Get("lost")
		list, _ := v.(parse.Array)
		for _, e := range list {
			if class, ok := e.(string); ok {
				msg.lost = append(msg.lost, class)
			}
		}
	}
	return msg, nil
}

func readChange(channel string, m *parse.Map) (*parse.Change, error) {
	v, _ := m.Get("currentParseObject")
	current, err := readObject(v)
	if err != nil {
		return nil, fmt.Errorf("currentParseObject: %w", err)
	}
	ch := &parse.Change{Class: current.ClassName}
	if channel == chanDelete {
		ch.Action, ch.Before = parse.Deleted, current
		return ch, nil
	}
	ch.Action, ch.After = parse.Created, current
	v, ok := m.Get("originalParseObject")
	if !ok || v == nil {
		return ch, nil
	}
	original, err := readObject(v)
	if err != nil {
		return nil, fmt.Errorf("originalParseObject: %w", err)
	}
	if original.ClassName != current.ClassName || original.ID != current.ID {
		return nil, errors.New("the two states are of different objects")
	}
	ch.Action, ch.Before = parse.Updated, original
	return ch, nil
}

// readObject rebuilds an object. An object that Parse Server has published may
// have internal fields, which are dropped, so that the decoder has left it a map.
func readObject(v parse.Value) (*parse.Object, error) {
	var o *parse.Object
	switch v := v.(type) {
	case *parse.Object:
		o = v
	case *parse.Map:
		o = &parse.Object{ClassName: v.String("className")}
		for key, value := range v.All() {
			if err := setField(o, key, value); err != nil {
				return nil, err
			}
		}
	default:
		return nil, errors.New("no object")
	}
	if o.ClassName == "" || o.ID == "" {
		return nil, errors.New("an object without className or objectId")
	}
	for _, name := range secrets[o.ClassName] {
		o.Fields.Delete(name)
	}
	return o, nil
}

func setField(o *parse.Object, key string, v parse.Value) error {
	switch key {
	case "__type", "className":
	case parse.KeyObjectID:
		o.ID, _ = v.(string)
	case parse.KeyCreatedAt, parse.KeyUpdatedAt:
		d, ok := v.(parse.Date)
		if s, isText := v.(string); isText {
			d, ok = parse.ParseDate(s)
		}
		if !ok {
			return fmt.Errorf("%s is no date", key)
		}
		if key == parse.KeyCreatedAt {
			o.CreatedAt = d
		} else {
			o.UpdatedAt = d
		}
	case parse.KeyACL:
		acl, err := parse.ACLFromValue(v)
		if err != nil {
			return err
		}
		o.ACL = acl
	default:
		if !strings.HasPrefix(key, "_") {
			o.Fields.Set(key, v)
		}
	}
	return nil
}
