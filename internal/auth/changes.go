package auth

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// outageTTL is how long what was read is believed while the bus that tells of
// the changes of other servers is broken.
const outageTTL = time.Second

// maxTold is how many users and roles one message on the bus names.
const maxTold = 500

// notice tells what is to be forgotten: the news of changes, within the
// process and between servers.
type notice struct {
	// Node is the server that has made the changes.
	Node string `json:"node"`
	// Users are to be read again, with their sessions and roles.
	Users []string `json:"users,omitempty"`
	// Roles changed their name or the roles they list, or are gone.
	Roles []string `json:"roles,omitempty"`
	// Made are new roles, by which nobody loses anything.
	Made []string `json:"made,omitempty"`
	// All: anything may have changed.
	All bool `json:"all,omitempty"`
}

func (n *notice) empty() bool { return len(n.Users)+len(n.Roles)+len(n.Made) == 0 && !n.All }

// Wants implements objects.Publisher.
func (s *Service) Wants(class string) bool {
	return class == userClass || class == sessionClass || class == roleClass
}

// Publish implements objects.Publisher: what changed is forgotten by the
// caches of this server and, a moment later, of the others.
func (s *Service) Publish(_ context.Context, changes []parse.Change) {
	var n notice
	for i := range changes {
		c := &changes[i]
		switch c.Class {
		case userClass:
			if c.Action != parse.Created {
				n.Users = append(n.Users, c.Before.ID)
			}
		case sessionClass:
			if c.Action == parse.Created {
				continue
			}
			s.cache.forgetToken(c.Before.String("sessionToken"))
			if u, ok := c.Before.Pointer("user"); ok {
				n.Users = append(n.Users, u.ObjectID)
			}
		case roleClass:
			n.role(c)
		}
	}
	s.forget(n)
}

// role adds what follows from the change of a role.
func (n *notice) role(c *parse.Change) {
	n.Users = append(n.Users, c.Related[usersJoin.Key]...)
	switch {
	case c.Action == parse.Deleted:
		n.Roles = append(n.Roles, c.Before.ID)
	case c.Action == parse.Created:
		n.Made = append(n.Made, c.After.ID)
	case c.Related[rolesJoin.Key] != nil, c.Before.String("name") != c.After.String("name"):
		n.Roles = append(n.Roles, c.After.ID)
	}
}

// forget clears the caches here and tells the other servers.
func (s *Service) forget(n notice) {
	if n.empty() {
		return
	}
	slices.Sort(n.Users)
	n.Users = slices.Compact(n.Users)
	s.apply(n)
	if all := n.All || len(n.Roles) > 0; all || len(n.Users) > 0 {
		s.mu.Lock()
		told := s.onOwnRevoke
		s.mu.Unlock()
		for _, f := range told {
			f(n.Users, all)
		}
	}
	if s.o.Bus == nil {
		return
	}
	for !n.empty() {
		part := notice{Node: s.node, All: n.All}
		part.Users, n.Users = cutList(n.Users)
		part.Roles, n.Roles = cutList(n.Roles)
		part.Made, n.Made = cutList(n.Made)
		n.All = false
		body, err := json.Marshal(part)
		if err != nil { // a struct of strings
			panic("auth: notice is no JSON: " + err.Error())
		}
		s.o.Bus.Publish(s.o.Channel, body)
	}
}

func cutList(list []string) (head, rest []string) {
	n := min(len(list), maxTold)
	return list[:n], list[n:]
}

// hear is told what other servers have changed; nil: some of it was missed.
func (s *Service) hear(message []byte) {
	n := notice{All: true}
	if message != nil {
		n = notice{}
		if err := json.Unmarshal(message, &n); err != nil {
			s.o.Log.Warn("a message of another server is not understood", "error", err)
			n = notice{All: true} // what it meant may matter
		}
		if n.Node == s.node {
			return
		}
	}
	s.apply(n)
}

// ForgetUsers is told, by other means than the bus, that rights of users (or of all)
// have changed on another server.
func (s *Service) ForgetUsers(userIDs []string, all bool) { s.apply(notice{Users: userIDs, All: all}) }

// apply clears the caches and lets all who want to know that rights may have
// shrunk know it.
func (s *Service) apply(n notice) {
	if len(n.Users) > 0 {
		s.cache.forgetUsers(n.Users)
	}
	if changed := slices.Concat(n.Roles, n.Made); len(changed) > 0 {
		s.graph.mark(changed)
	}
	if n.All {
		s.graph.mark(nil)
		s.cache.forgetMembers()
	}
	all := n.All || len(n.Roles) > 0
	if !all && len(n.Users) == 0 {
		return
	}
	s.mu.Lock()
	told := s.onRevoke
	s.mu.Unlock()
	for _, f := range told {
		f(n.Users, all)
	}
}

// believed reports whether what was read at a time may still be used. On a
// server that alone writes to its database, every change has been forgotten
// when it was made. Else it may be used for a while, and only for a moment if
// the bus cannot have told of every change since.
func (s *Service) believed(at time.Time) bool {
	if s.o.CacheTTL == 0 {
		return true
	}
	ttl := s.o.CacheTTL
	if s.bus != nil {
		if since := s.bus.Since(); since.IsZero() || at.Before(since) {
			ttl = min(ttl, outageTTL)
		}
	}
	return s.o.Now().Sub(at) <= ttl
}
