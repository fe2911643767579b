package mongo_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/query"
)

// cluster is a replica set that answers as a test says: for what the server of
// the tests cannot do. The first of its members is the primary.
type cluster struct {
	t       testing.TB
	members []*member

	mu       sync.Mutex
	answer   func(c command) bson.D // nil, or nil from it: success without a result
	commands []command
}

// member is one server of a cluster.
type member struct {
	net.Listener
	of      *cluster
	primary bool
	mu      sync.Mutex
	conns   map[net.Conn]bool
	serving sync.WaitGroup
}

// command is what a client asked of a member. Those about the connection are
// answered, and not told.
type command struct {
	bson.Raw
	member int
}

// name is what is to be done.
func (c command) name() string { return c.first().Key() }

// on is the collection that it is about.
func (c command) on() string {
	name, _ := c.first().Value().StringValueOK()
	return name
}

func (c command) first() bson.RawElement {
	elems, err := c.Elements()
	if err != nil || len(elems) == 0 {
		return nil
	}
	return elems[0]
}

// only is the command with these of its keys, in Extended JSON.
func (c command) only(keys ...string) string {
	d := bson.D{}
	for _, k := range keys {
		if v := c.Lookup(k); len(v.Value) > 0 {
			d = append(d, bson.E{Key: k, Value: v})
		}
	}
	text, err := bson.MarshalExtJSON(d, false, false)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// hangUp is an answer that ends the connection in place of one.
var hangUp = bson.D{{Key: "hang up", Value: true}}

// refusal is the answer of a server that fails.
func refusal(code int32, text string, labels ...string) bson.D {
	d := bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: text}}
	if len(labels) > 0 {
		d = append(d, bson.E{Key: "errorLabels", Value: labels})
	}
	return d
}

// batch is the answer to a find, an aggregate or a getMore.
func batch(key string, cursor int64, docs ...bson.D) bson.D {
	list := bson.A{}
	for _, d := range docs {
		list = append(list, d)
	}
	return bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{{Key: "id", Value: cursor}, {Key: "ns", Value: "x.y"}, {Key: key, Value: list}}}}
}

// newCluster starts a replica set that ends with the test.
func newCluster(t testing.TB, members int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for i := range members {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c.members = append(c.members, &member{Listener: l, of: c, primary: i == 0, conns: map[net.Conn]bool{}})
	}
	for i, m := range c.members {
		m.serving.Go(func() { m.accept(i) })
		t.Cleanup(m.end)
	}
	return c
}

// store opens a store on the cluster; parameters are of the URI.
func (c *cluster) store(o mongo.Options, parameters ...string) storage.Store {
	c.t.Helper()
	hosts := make([]string, len(c.members))
	for i, m := range c.members {
		hosts[i] = m.Addr().String()
	}
	o.URI = "mongodb://" + strings.Join(hosts, ",") + "/x?" + strings.Join(append(parameters, "replicaSet=rs"), "&")
	s, err := mongo.Open(c.t.Context(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(c.members) > 1 { // the driver waits until it knows the others
		if _, err := s.Count(c.t.Context(), game(), nil, &query.Advice{Read: query.Secondary}); err != nil {
			c.t.Fatal(err)
		}
	}
	return s
}

// says sets what the cluster answers, and forgets what it was asked.
func (c *cluster) says(answer func(command) bson.D) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer, c.commands = answer, nil
}

// asked are the commands since says, of a kind if one is named.
func (c *cluster) asked(names ...string) []command {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []command{}
	for _, cmd := range c.commands {
		if len(names) == 0 || slices.Contains(names, cmd.name()) {
			out = append(out, cmd)
		}
	}
	return out
}

// end stops a member.
func (m *member) end() {
	_ = m.Close()
	m.mu.Lock()
	for conn := range m.conns {
		_ = conn.Close()
	}
	m.mu.Unlock()
	m.serving.Wait()
}

func (m *member) accept(i int) {
	for {
		conn, err := m.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		m.conns[conn] = true
		m.mu.Unlock()
		m.serving.Go(func() {
			err := m.serve(i, conn)
			m.mu.Lock()
			delete(m.conns, conn)
			m.mu.Unlock()
			_ = conn.Close()
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) {
				var e net.Error
				if !errors.As(err, &e) {
					m.of.t.Errorf("a member of the cluster: %v", err)
				}
			}
		})
	}
}

// hello is what a member says of itself.
func (m *member) hello() bson.D {
	hosts := bson.A{}
	for _, o := range m.of.members {
		hosts = append(hosts, o.Addr().String())
	}
	return bson.D{
		{Key: "ok", Value: 1},
		{Key: "isWritablePrimary", Value: m.primary},
		{Key: "secondary", Value: !m.primary},
		{Key: "setName", Value: "rs"},
		{Key: "hosts", Value: hosts},
		{Key: "me", Value: m.Addr().String()},
		{Key: "localTime", Value: time.Now()},
		{Key: "maxWireVersion", Value: 21},
		{Key: "maxBsonObjectSize", Value: 16 << 20},
		{Key: "maxMessageSizeBytes", Value: 48000000},
		{Key: "maxWriteBatchSize", Value: 100000},
		{Key: "logicalSessionTimeoutMinutes", Value: 30},
	}
}

func (m *member) serve(i int, conn net.Conn) error {
	for {
		head := make([]byte, 16)
		if _, err := io.ReadFull(conn, head); err != nil {
			return err
		}
		body := make([]byte, int(binary.LittleEndian.Uint32(head))-len(head))
		if _, err := io.ReadFull(conn, body); err != nil {
			return err
		}
		_, id, _, op, _, _ := wiremessage.ReadHeader(append(head, body...))
		asked, old, err := readCommand(op, body)
		if err != nil {
			return err
		}
		answer := m.reply(command{Raw: asked, member: i})
		if len(answer) > 0 && answer[0] == hangUp[0] {
			return nil
		}
		doc, err := bson.Marshal(answer)
		if err != nil {
			return err
		}
		if _, err := conn.Write(message(id, doc, old)); err != nil {
			return err
		}
	}
}

func (m *member) reply(c command) bson.D {
	switch c.name() {
	case "hello", "isMaster", "ismaster":
		return m.hello()
	case "ping", "endSessions", "killCursors":
		return bson.D{{Key: "ok", Value: 1}}
	}
	m.of.mu.Lock()
	m.of.commands = append(m.of.commands, c)
	answer := m.of.answer
	m.of.mu.Unlock()
	if answer != nil {
		if d := answer(c); d != nil {
			return d
		}
	}
	switch c.name() {
	case "find", "aggregate", "listIndexes", "listCollections":
		return batch("firstBatch", 0)
	}
	return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "nModified", Value: 1}, {Key: "value", Value: nil}}
}

// opQuery is the code of messages in the form of old servers.
const opQuery wiremessage.OpCode = 2004

// readCommand reads a message; old is one of the handshake, which is asked and
// answered in the form of old servers.
func readCommand(op wiremessage.OpCode, body []byte) (cmd bson.Raw, old bool, err error) {
	broken := fmt.Errorf("a broken %s", op)
	if op == opQuery {
		name := bytes.IndexByte(body[4:], 0) + 4 // after the flags; then how much to skip and to return
		if name < 4 || len(body) < name+9 {
			return nil, true, broken
		}
		return body[name+9:], true, nil
	}
	if op != wiremessage.OpMsg {
		return nil, false, broken
	}
	_, rest, ok := wiremessage.ReadMsgFlags(body)
	if !ok {
		return nil, false, broken
	}
	var out []byte
	var lists []bson.E
	for len(rest) > 0 {
		kind, more, _ := wiremessage.ReadMsgSectionType(rest)
		if kind == wiremessage.SingleDocument {
			doc, more, ok := wiremessage.ReadMsgSectionSingleDocument(more)
			if !ok {
				return nil, false, broken
			}
			out, rest = doc, more
			continue
		}
		name, docs, more, ok := wiremessage.ReadMsgSectionDocumentSequence(more)
		if !ok {
			return nil, false, broken
		}
		list := bson.A{}
		for _, d := range docs {
			list = append(list, bson.Raw(d))
		}
		lists, rest = append(lists, bson.E{Key: name, Value: list}), more
	}
	if len(lists) == 0 {
		return out, false, nil
	}
	var d bson.D
	if err := bson.Unmarshal(out, &d); err != nil {
		return nil, false, err
	}
	cmd, err = bson.Marshal(append(d, lists...))
	return cmd, false, err
}

// message writes the answer to a message.
func message(to int32, doc []byte, old bool) []byte {
	op := wiremessage.OpMsg
	if old {
		op = wiremessage.OpReply
	}
	at, wm := wiremessage.AppendHeaderStart(nil, 0, to, op)
	if old {
		wm = wiremessage.AppendReplyFlags(wm, 0)
		wm = wiremessage.AppendReplyCursorID(wm, 0)
		wm = wiremessage.AppendReplyStartingFrom(wm, 0)
		wm = wiremessage.AppendReplyNumberReturned(wm, 1)
	} else {
		wm = wiremessage.AppendMsgFlags(wm, 0)
		wm = wiremessage.AppendMsgSectionType(wm, wiremessage.SingleDocument)
	}
	wm = append(wm, doc...)
	return bsoncore.UpdateLength(wm, at, int32(len(wm)))
}
