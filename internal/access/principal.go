// Package access is the one gate: who is asking, what a class lets them do,
// which objects they may touch and which fields they may see. It does no I/O;
// every surface (REST, batch, live query, hooks) goes through it.
package access

import "github.com/pargo-baas/pargo/parse"

// Kind says with which key a request came.
type Kind uint8

// Kinds of principals.
const (
	Client Kind = iota
	Master
	ReadOnlyMaster
	Maintenance
)

// Principal is who is asking. It is immutable once made.
type Principal struct {
	Kind Kind
	// UserID is "" without a user.
	UserID string
	// User is the caller's _User object, nil without one.
	User *parse.Object
	// SessionToken is the token that the request came with; it was valid.
	SessionToken string
	// Roles are the names of all roles reached, inherited ones included, sorted.
	Roles          []string
	InstallationID string
	IP             string

	subjects []string
}

// New completes a principal: it computes the ACL subjects. All principals are made by it.
func New(p Principal) *Principal {
	p.subjects = append(make([]string, 0, 2+len(p.Roles)), parse.Public)
	if p.UserID != "" {
		p.subjects = append(p.subjects, p.UserID)
		for _, r := range p.Roles {
			p.subjects = append(p.subjects, parse.RoleSubject(r))
		}
	}
	return &p
}

// Subjects returns "*", the user id and "role:<name>" for each role. The
// caller must not change it.
func (p *Principal) Subjects() []string { return p.subjects }

// Bypass reports whether ACL and CLP do not apply (all but Client).
func (p *Principal) Bypass() bool { return p.Kind != Client }

// Anonymous returns the principal of a client without a user.
func Anonymous() *Principal { return New(Principal{}) }

// MasterKey returns the principal of the master key.
func MasterKey() *Principal { return New(Principal{Kind: Master}) }
