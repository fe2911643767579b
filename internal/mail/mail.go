// Package mail makes the messages of the server out of templates, and sends
// them in the background with retries. How a message leaves the machine is an
// Adapter's business: mail/smtp sends it, mail/capture keeps it for developers.
package mail

import (
	"context"
	"errors"
)

// Message is one mail to one address.
type Message struct {
	To      string
	Subject string
	// Text is the message in plain text, HTML the same for those who see HTML; "" without.
	Text, HTML string
}

// Adapter sends messages.
type Adapter interface {
	// Send hands a message on, and returns nil once somebody else has taken
	// the responsibility for it. An error is reason to try again, unless
	// IsPermanent says that it is of no use. It may be called concurrently.
	Send(ctx context.Context, m *Message) error
}

// permanent marks an error that no further attempt mends.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error as one that no further attempt mends.
func Permanent(err error) error { return permanent{err} }

// IsPermanent reports whether an error was marked by Permanent.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}
