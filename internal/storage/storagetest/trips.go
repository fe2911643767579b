package storagetest

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Trips hears what a client sends to a database server, and counts how often it
// waits for an answer. Not counted are greetings, the preparation of statements
// (once for each connection and text) and what servers of pargo ask each other
// by way of the database.
type Trips struct {
	mu   sync.Mutex
	list []string // guarded by mu
}

// Take returns what was asked since the last call, one text for each trip.
func (c *Trips) Take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

func (c *Trips) add(text string) {
	if strings.Contains(text, "_pargo") {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, text)
}

// TapPostgres connects a cable to a PostgreSQL server, which is asked without
// encryption.
func (c *Trips) TapPostgres(t *testing.T, server string) *Cable {
	t.Helper()
	return Tap(t, server, func() func([]byte) {
		f := &frames{}
		prepared := map[string]string{}
		started := false
		var texts []string
		return func(sent []byte) {
			for kind, body := range f.cut(sent) {
				if !started { // a wish for encryption, then the beginning
					if started = binary.BigEndian.Uint32(body) == 3<<16; started {
						f.kind = true
					}
					continue
				}
				switch kind {
				case 'Q':
					c.add(string(bytes.TrimRight(body, "\x00")))
				case 'P':
					name, rest, _ := bytes.Cut(body, []byte{0})
					text, _, _ := bytes.Cut(rest, []byte{0})
					prepared[string(name)] = string(text)
				case 'B':
					_, rest, _ := bytes.Cut(body, []byte{0})
					name, _, _ := bytes.Cut(rest, []byte{0})
					texts = append(texts, prepared[string(name)])
				case 'S':
					if len(texts) > 0 {
						c.add(strings.Join(texts, "; "))
						texts = nil
					}
				}
			}
		}
	})
}

// greetings are commands by which a driver of MongoDB keeps its connections.
var greetings = []string{"hello", "ismaster", "isMaster", "ping", "endSessions", "saslStart", "saslContinue", "buildInfo"}

// TapMongo connects a cable to a MongoDB server.
func (c *Trips) TapMongo(t *testing.T, server string) *Cable {
	t.Helper()
	return Tap(t, server, func() func([]byte) {
		f := &frames{little: true}
		return func(sent []byte) {
			for _, body := range f.cut(sent) {
				// requestID, responseTo, opCode, flags, kind of section, length, type of element
				if len(body) < 22 || binary.LittleEndian.Uint32(body[8:]) != 2013 {
					continue
				}
				name, value, _ := bytes.Cut(body[22:], []byte{0})
				if slices.Contains(greetings, string(name)) {
					continue
				}
				text := string(name)
				if body[21] == 2 && len(value) > 4 { // a string: the collection
					n := binary.LittleEndian.Uint32(value)
					text += " " + string(value[4:4+n-1])
				}
				c.add(text)
			}
		}
	})
}

// frames cuts a stream into messages that begin with their length, four bytes
// that count themselves.
type frames struct {
	little bool
	kind   bool // a byte before the length tells what the message is
	buf    []byte
}

func (f *frames) cut(sent []byte) func(yield func(byte, []byte) bool) {
	f.buf = append(f.buf, sent...)
	return func(yield func(byte, []byte) bool) {
		for {
			at, kind := 0, byte(0)
			if f.kind {
				at = 1
			}
			if len(f.buf) < at+4 {
				return
			}
			if f.kind {
				kind = f.buf[0]
			}
			n := int(binary.BigEndian.Uint32(f.buf[at:]))
			if f.little {
				n = int(binary.LittleEndian.Uint32(f.buf[at:]))
			}
			if len(f.buf) < at+n {
				return
			}
			body := f.buf[at+4 : at+n]
			f.buf = f.buf[at+n:]
			if !yield(kind, body) {
				return
			}
		}
	}
}
