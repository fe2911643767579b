package livequery

import (
	"context"
	"crypto/subtle"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/fair"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// read reads messages until the connection ends. It is the goroutine that a
// client lives and dies with.
func (c *client) read() {
	h := c.hub
	defer h.leave(c)
	c.tell("ws_connect")
	broken := false
	defer func() {
		c.abandon()
		if broken || c.cutOff() {
			h.remember(c)
		}
		c.tell("ws_disconnect")
		c.disconnect()
		_ = c.ws.CloseNow() // already closed in most cases
	}()
	for {
		_, r, err := c.ws.Reader(c.ctx)
		var msg []byte
		free := func() {}
		if err == nil {
			c.arriving.Store(time.Now().UnixNano())
			msg, free, err = c.message(r)
			c.arriving.Store(0)
		}
		if err != nil {
			free()
			// A client that closes in due form has left; any other will be back.
			broken = websocket.CloseStatus(err) == -1
			return
		}
		c.unanswered.Store(0) // whoever speaks is alive
		c.busy.Store(true)
		turn, err := c.turn()
		if err != nil {
			free()
			return
		}
		// Elsewhere, because a stack that has grown for a message stays as it
		// is while its goroutine waits: 4 KiB of each silent client.
		handled := make(chan bool, 1)
		go func() { handled <- c.handle(msg) }()
		ok := <-handled
		turn.Leave()
		free()
		c.busy.Store(false)
		if !ok {
			return
		}
	}
}

// turn waits for the turn of a message, if many have come from the same
// network: whoever says much, says it where all that takes long has to wait.
func (c *client) turn() (fair.Turn, error) {
	if c.hub.opts.Lane == nil || !c.network.pace.Exceeds(time.Now(), messageEvery, messageBurst) {
		return fair.Turn{}, nil
	}
	return c.hub.opts.Lane.Enter(c.hub.ending, c.network.name)
}

// message reads a message. All large ones together are bounded: one has to
// wait for others, and free must be called once it is served.
func (c *client) message(r io.Reader) (msg []byte, free func(), err error) {
	free = func() {}
	msg, err = io.ReadAll(io.LimitReader(r, largeMessage))
	if err != nil || len(msg) < largeMessage {
		return msg, free, err
	}
	c.busy.Store(true)
	defer c.busy.Store(false)
	select {
	case c.hub.large <- struct{}{}:
	case <-c.hub.quit:
		return nil, free, net.ErrClosed
	}
	free = func() { <-c.hub.large }
	rest, err := io.ReadAll(r)
	return append(msg, rest...), free, err
}

// handle serves one message. It reports whether the client may go on: a
// panic, which only a fault of the server can cause, ends it alone.
func (c *client) handle(msg []byte) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			c.hub.log.Error("live query message panicked", "panic", p, "stack", string(debug.Stack()))
			c.close(websocket.StatusInternalError, "internal error")
			ok = false
		}
	}()
	c.size = len(msg)
	v, err := parse.Decode(msg, c.hub.opts.ParseLimits)
	if err != nil {
		c.undecodable(err)
		return true
	}
	m, op, fault := checkMessage(v)
	if fault != "" {
		c.send(errorFrame(codeInvalid, fault, true, nil))
		return true
	}
	switch op {
	case "connect":
		c.connect(c.ctx, m)
	case "subscribe":
		c.subscribe(c.ctx, m)
	case "update":
		c.update(c.ctx, m)
	case "unsubscribe":
		c.unsubscribe(m)
	case "query":
		c.query(c.ctx, m)
	}
	return true
}

// undecodable treats a frame that is no JSON: the protocol does not answer
// it. One that is beyond our limits is answered like a wrong message.
func (c *client) undecodable(err error) {
	e := asParseError(err)
	if e == nil {
		c.hub.log.Debug("live query message is not JSON", "client", c.ip, "error", err)
		return
	}
	c.send(errorFrame(codeInvalid, e.Message, true, nil))
}

// connect makes the connection a client. A second connect starts over.
func (c *client) connect(ctx context.Context, m *parse.Map) {
	h := c.hub
	if !h.validKey(m) {
		c.send(errorFrame(codeKey, "Key in request is not valid", true, nil))
		return
	}
	c.disconnect()
	c.id = uuid.NewString()
	// Clones: what is kept must not keep the message.
	c.installation = strings.Clone(m.String("installationId"))
	c.token = strings.Clone(m.String("sessionToken"))
	c.member = appendMember(nil, c.id, c.installation)
	c.master = h.isMaster(m, c.ip)
	if err := c.beforeConnect(ctx); err != nil {
		c.id, c.master = "", false
		code, text := h.refusal(err)
		c.send(errorFrame(code, text, false, nil))
		return
	}
	c.subs = map[parse.Value]*subscription{}
	c.greeted.Store(true)
	c.ws.SetReadLimit(h.opts.MaxMessageBytes)
	c.ident = h.acquire(ctx, c.token, c.installation, c.ip)
	c.send(replyFrame("connected", c.member, nil))
	c.tell("connect")
}

// disconnect forgets the client and its subscriptions.
func (c *client) disconnect() {
	for id, sub := range c.subs {
		c.drop(id, sub)
	}
	c.hub.release(c.ident)
	c.id, c.subs, c.ident, c.master = "", nil, nil, false
}

// drop ends one subscription.
func (c *client) drop(id parse.Value, sub *subscription) {
	delete(c.subs, id)
	c.hub.delist(sub)
	c.hub.shardOf(sub.class).remove(sub)
	c.hub.detach(sub)
	c.hub.release(sub.own)
	c.hub.ledger.part(sub.inquiry)
	c.hub.ledger.give(c.network, usage{1, sub.bytes})
}

// reserve counts a new subscription in, in the place of old, which may be nil,
// and refuses it beyond the limits. It is given back to the ledger in the end.
func (c *client) reserve(sub, old *subscription) error {
	h := c.hub
	var err error
	if old == nil && len(c.subs) >= h.opts.MaxSubscriptions {
		err = parse.Errorf(parse.RequestLimitExceeded, "Too many subscriptions, the limit is %d", h.opts.MaxSubscriptions)
	} else {
		var instead usage
		if old != nil {
			instead = usage{1, old.bytes}
		}
		err = h.ledger.take(c.network, usage{1, sub.bytes}, instead)
	}
	if err != nil {
		h.refused.Add(1)
	}
	return err
}

func equalSecret(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// validKey checks the application and, if keys are configured, that one matches.
func (h *Hub) validKey(m *parse.Map) bool {
	if h.opts.AppID != "" && m.String("applicationId") != h.opts.AppID {
		return false
	}
	for name, secret := range h.opts.KeyPairs {
		if equalSecret(m.String(name), secret) {
			return true
		}
	}
	return len(h.opts.KeyPairs) == 0
}

func (h *Hub) isMaster(m *parse.Map, ip string) bool {
	key := m.String("masterKey")
	return (equalSecret(key, h.opts.MasterKey) || equalSecret(key, h.opts.KeyPairs["masterKey"])) && h.opts.MasterKeyAllowed(ip)
}

const (
	textUnconnected = "Can not find this client, make sure you connect to server before "
	actSubscribing  = "subscribing"
	actUnsubscribe  = "unsubscribing"
	actQuerying     = "querying"
)

// connected reports whether the client has connected, and complains if not.
func (c *client) connected(act string) bool {
	if c.id == "" {
		c.send(errorFrame(codeUnknown, textUnconnected+act, true, nil))
		return false
	}
	return true
}

func (c *client) subscribe(ctx context.Context, m *parse.Map) {
	if !c.connected(actSubscribing) {
		return
	}
	requestID, _ := m.Get("requestId")
	old := c.subs[requestID]
	sub, err := c.newSubscription(ctx, requestID, m, old)
	if err != nil {
		code, text := c.hub.refusal(err)
		c.send(errorFrame(code, text, false, requestID))
		return
	}
	if old != nil {
		c.drop(requestID, old)
	}
	c.subs[requestID] = sub
	c.tell("subscribe")
}

// newSubscription checks a subscription and enters it into the index in the
// place of old, which may be nil.
func (c *client) newSubscription(ctx context.Context, requestID parse.Value, m *parse.Map, old *subscription) (*subscription, error) {
	h := c.hub
	token := m.String("sessionToken")
	sub := &subscription{client: c, requestID: requestID, base: c.ident}
	sub.bytes = subscriptionBytes + int64(len(c.member))
	if token != "" && token != c.token {
		sub.bytes += tokenBytes + 2*int64(len(token))
	}
	if token != "" || c.token != "" {
		sub.bytes += callerBytes
	}
	if err := c.reserve(sub, old); err != nil {
		return nil, err
	}
	err := c.prepare(ctx, sub, m, token, old)
	if err != nil {
		h.ledger.give(c.network, usage{1, sub.bytes})
		return nil, err
	}
	return sub, nil
}

// prepare is newSubscription for one that is counted.
func (c *client) prepare(ctx context.Context, sub *subscription, m *parse.Map, token string, old *subscription) error {
	h := c.hub
	qv, _ := m.Get("query")
	q, _ := qv.(*parse.Map) // checkMessage saw to it
	q, err := c.beforeSubscribe(ctx, m, q)
	if err != nil {
		return err
	}
	from := resume{}
	if v, ok := m.Get("resume"); ok { // a string: checkMessage saw to it
		from.asked = true
		from.position, _ = v.(string)
	}
	asked, whereErr, err := c.inquire(q, from.asked)
	if err != nil {
		return err
	}
	var replaced *inquiry
	if old != nil {
		replaced = old.inquiry
	}
	if sub.inquiry, err = h.ledger.share(c.network, asked, c.size, replaced); err != nil {
		h.refused.Add(1)
		return err
	}
	sub.head = eventHead(c.member, sub.requestID)
	if c.master && sub.class != classSession { // sessions are their user's, whatever the key
		sub.master = access.New(access.Principal{Kind: access.Master, InstallationID: c.installation, IP: c.ip})
	}
	sub.own = h.acquire(ctx, token, c.installation, c.ip)
	h.attach(sub)
	if since, goesOn := h.enlist(sub); goesOn && old == nil && !from.asked {
		from.since, from.lost = since, true
	}
	if err := h.shardOf(sub.class).add(sub, whereErr, old, from); err != nil {
		h.delist(sub)
		h.detach(sub)
		h.release(sub.own)
		h.ledger.part(sub.inquiry)
		return err
	}
	return nil
}

// inquire reads what a query asks for. whereErr is what is wrong with its
// where, for [shard.add].
func (c *client) inquire(q *parse.Map, positions bool) (in *inquiry, whereErr, err error) {
	h := c.hub
	in = &inquiry{class: q.String("className"), positions: positions}
	in.keys, in.watch = stringList(q, "keys"), stringList(q, "watch")
	if in.keys == nil {
		in.keys = stringList(q, "fields")
	}
	in.fields = listText(in.keys)
	if err := c.include(in, q); err != nil {
		return nil, nil, err
	}
	in.viewKey = in.fields + "\x01" + listText(in.watch) + "\x01" + in.includeText
	if positions {
		in.viewKey += "\x01+"
	}
	where, _ := q.Get("where")
	if !c.master {
		whereErr = h.opts.Complexity.Check(where)
	}
	if whereErr == nil {
		in.where, whereErr = query.ParseWhere(where, h.opts.QueryLimits, query.Scope{Master: c.master})
	}
	in.canon = query.Canonical(in.where)
	return in, whereErr, nil
}

// include reads what the events of a subscription are to carry.
func (c *client) include(to *inquiry, q *parse.Map) error {
	v, ok := q.Get("include")
	if !ok {
		return nil
	}
	if c.hub.opts.Includes == nil {
		return parse.Errorf(parse.InvalidQuery, "include is not served here")
	}
	in, err := query.ParseQuery(parse.NewMap(parse.MapField{Key: "include", Value: v}), c.hub.opts.QueryLimits, query.Scope{Master: c.master})
	if err != nil {
		return err
	}
	if len(in.Include) == 0 && !in.IncludeAll {
		return nil
	}
	if n := len(in.Include); n > maxIncludes {
		return parse.Errorf(parse.InvalidQuery, "Number of include fields (%d) exceeds maximum allowed (%d)", n, maxIncludes)
	}
	in.Keys = to.keys
	for _, k := range in.Keys { // "owner.name" is a field of what owner points to
		if path := query.Path(k); path.Dotted() && !slices.Contains(to.keys, path.Root()) {
			to.keys = append(slices.Clip(to.keys), path.Root())
		}
	}
	to.include, to.includeText = in, listText(in.Include)
	if in.IncludeAll {
		to.includeText += "*"
	}
	return nil
}

// update replaces a subscription; if the new one is refused, none is left.
func (c *client) update(ctx context.Context, m *parse.Map) {
	if !c.connected(actUnsubscribe) {
		c.connected(actSubscribing) // the protocol complains of both halves
		return
	}
	requestID, _ := m.Get("requestId")
	old := c.subs[requestID]
	c.subscribe(ctx, m)
	if old != nil && c.subs[requestID] == old {
		c.drop(requestID, old)
	}
}

func (c *client) unsubscribe(m *parse.Map) {
	requestID, sub := c.subscription(m, actUnsubscribe)
	if sub == nil {
		return
	}
	c.drop(requestID, sub)
	c.send(replyFrame("unsubscribed", c.member, requestID))
	c.tell("unsubscribe")
}

// subscription returns the one that a message is about, and complains if there
// is none.
func (c *client) subscription(m *parse.Map, act string) (requestID parse.Value, sub *subscription) {
	if !c.connected(act) {
		return nil, nil
	}
	requestID, _ = m.Get("requestId")
	if sub = c.subs[requestID]; sub == nil {
		text := "Cannot find subscription with clientId " + c.id + " subscriptionId " + string(parse.AppendJSON(nil, requestID)) +
			". Make sure you subscribe to live query server before " + act + "."
		c.send(errorFrame(codeUnknown, text, true, nil))
	}
	return requestID, sub
}

// query answers what a find with the query of a subscription gives its caller
// now (reference 05 §2.6).
func (c *client) query(ctx context.Context, m *parse.Map) {
	requestID, sub := c.subscription(m, actQuerying)
	if sub == nil {
		return
	}
	if c.hub.opts.Find == nil {
		c.send(errorFrame(codeUnknown, "Queries are not served here.", false, requestID))
		return
	}
	for _, id := range sub.identities() {
		c.hub.refresh(ctx, id, false)
	}
	q := query.Query{}
	if sub.include != nil {
		q = *sub.include
	}
	q.Where, q.Keys, q.Limit = sub.where, sub.keys, query.UnsetLimit
	list, err := c.hub.opts.Find(ctx, sub.principal(c.hub.stranger), sub.class, &q)
	if err != nil {
		code, text := c.hub.refusal(err)
		c.send(errorFrame(code, text, false, requestID))
		return
	}
	b := replyFrame("result", c.member, requestID)
	b = append(b[:len(b)-1], `,"results":[`...)
	for i, o := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendObject(b, sub.class, selectKeys(sub.class, o, nil))
	}
	c.send(append(b, "]}"...))
}

// stringList returns the distinct strings at a key that checkMessage passed; nil if absent.
func stringList(q *parse.Map, key string) []string {
	v, ok := q.Get(key)
	if !ok {
		return nil
	}
	return names(v)
}
