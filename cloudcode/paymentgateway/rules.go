package paymentgateway

import (
	"context"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

const (
	// defaultRole is what a user is who says nothing, and all that he may say.
	defaultRole = "client"
	// transactionPrefix begins the ids of charges made by processPayment.
	transactionPrefix = "pay_"
	// clockSkew is how far a client's clock may be ahead.
	clockSkew = 60 * time.Second
)

// entry is what the rules of money look at in an object: a Payment, a
// Transaction or a TransactionHistory.
type entry struct {
	status *string
	amount *float64 // nil: none
	// date is the time of the event, if the object has one.
	date event
	// transactionID is chosen by a client, if it is there.
	transactionID string
	// texts may not contain card numbers.
	texts []text
	// server names the fields that are written by the gateway alone.
	server []string
}

type text struct{ field, value string }

type event struct {
	field string
	at    time.Time
}

func (p *Payment) entry() entry {
	return entry{
		status: &p.Status, amount: &p.Amount, transactionID: p.TransactionID,
		texts:  []text{{"description", p.Description}, {"payment_method", p.PaymentMethod}},
		server: []string{"refunded_amount", "idempotency_key"},
	}
}

func (t *Transaction) entry() entry {
	e := entry{
		status: &t.Status, amount: t.Amount,
		texts:  []text{{"description", t.Description}},
		server: []string{"payment"},
	}
	if t.Date != nil {
		e.date = event{"date", *t.Date}
	}
	return e
}

func (h *TransactionHistory) entry() entry {
	return entry{status: &h.Status, amount: &h.Amount, date: event{"timestamp", h.Timestamp}, server: []string{"payment"}}
}

func (g *gateway) registerRules() {
	cloudcode.BeforeSave(g.app, guardRole)
	guardMoney[Payment](g)
	guardMoney[Transaction](g)
	guardMoney[TransactionHistory](g)
	cloudcode.BeforeSave(g.app, maskMethod)
	cloudcode.BeforeSave(g.app, g.guardLog)
	cloudcode.BeforeDelete(g.app, keepLog)
	cloudcode.BeforeSave(g.app, func(_ context.Context, r *cloudcode.Save[Notification]) error {
		return g.checkDate(event{"sent_at", r.Object.SentAt})
	})
}

// guardRole: everybody signs up as a client; only the master key makes more of him.
func guardRole(_ context.Context, r *cloudcode.Save[User]) error {
	switch user := r.Object; {
	case r.IsNew() && user.Role == "":
		user.Role = defaultRole
	case r.Caller.Master:
	case r.IsNew() && user.Role != defaultRole:
		return cloudcode.Err(parse.OperationForbidden, "role must be %q at sign-up", defaultRole)
	case !r.IsNew() && user.Role != r.Original().Role:
		return cloudcode.Err(parse.OperationForbidden, "role can be changed with the master key only")
	}
	return nil
}

// guardMoney registers the rules of one class of money.
func guardMoney[T any, P interface {
	*T
	entry() entry
}](g *gateway) {
	cloudcode.BeforeSave(g.app, func(_ context.Context, r *cloudcode.Save[T]) error {
		from := ""
		if was := r.Original(); was != nil {
			from = *P(was).entry().status
		}
		return g.checkMoney(r.SaveRequest, P(r.Object).entry(), from)
	})
	cloudcode.BeforeDelete(g.app, func(_ context.Context, r *cloudcode.Delete[T]) error {
		status := *P(r.Object).entry().status
		if r.Caller.Master || clientCanDelete(status) {
			return nil
		}
		return cloudcode.Err(parse.OperationForbidden, "a %s object of class %s cannot be deleted by a client", status, r.Class)
	})
}

// checkMoney applies the rules to a save. from is the status as it was.
func (g *gateway) checkMoney(r *cloudcode.SaveRequest, e entry, from string) error {
	if r.IsNew() && !writes(r, "status") {
		*e.status = Pending
	}
	if err := checkStatus(r, from, *e.status); err != nil {
		return err
	}
	if !r.Caller.Master {
		if err := guardServerFields(r, e); err != nil {
			return err
		}
	}
	if e.amount != nil && writes(r, "amount") {
		cents, ok := Cents(*e.amount)
		if !ok {
			return errAmount()
		}
		*e.amount = Amount(cents)
	}
	for _, t := range e.texts {
		if HasCard(t.value) {
			return cloudcode.Err(parse.ValidationError, "%s must not contain a card number", t.field)
		}
	}
	return g.checkDate(e.date)
}

func errAmount() error {
	return cloudcode.Err(parse.ValidationError, "amount must be a number above 0 and below 10^12 with at most two decimals")
}

// writes reports whether the save gives the field a value that it has not had.
func writes(r *cloudcode.SaveRequest, field string) bool {
	now, _ := r.Object.Get(field)
	if r.Original == nil {
		return now != nil
	}
	was, _ := r.Original.Get(field)
	return !parse.Equal(was, now)
}

// checkStatus applies the table of transitions and keeps clients to what they may do.
func checkStatus(r *cloudcode.SaveRequest, from, to string) error {
	if !knownStatus(to) {
		return cloudcode.Err(parse.ValidationError, "status must be one of %s", strings.Join(Statuses(), ", "))
	}
	if r.IsNew() {
		if to != Pending && !r.Caller.Master {
			return cloudcode.Err(parse.OperationForbidden, "a client can create objects of class %s with status pending only, not %s", r.Class, to)
		}
		return nil
	}
	if from == "" {
		from = Pending
	}
	if !r.Caller.Master {
		if from != Pending {
			return cloudcode.Err(parse.OperationForbidden, "a %s object of class %s cannot be changed by a client", from, r.Class)
		}
		if !ClientCanTransition(from, to) {
			return cloudcode.Err(parse.OperationForbidden, "a client cannot change status from %s to %s", from, to)
		}
	}
	if !CanTransition(from, to) {
		return cloudcode.Err(parse.ValidationError, "status cannot change from %s to %s", from, to)
	}
	return nil
}

func guardServerFields(r *cloudcode.SaveRequest, e entry) error {
	for _, field := range e.server {
		// Zero on create may be the schema's default.
		if v, _ := r.Object.Get(field); writes(r, field) && !(r.IsNew() && parse.Equal(v, float64(0))) {
			return cloudcode.Err(parse.OperationForbidden, "%s is written by the server only", field)
		}
	}
	// A client that could choose such an id could take the one of a charge to come.
	if strings.HasPrefix(e.transactionID, transactionPrefix) && writes(r, "transaction_id") {
		return cloudcode.Err(parse.OperationForbidden, "a transaction_id that begins with %q is given by processPayment only", transactionPrefix)
	}
	return nil
}

func (g *gateway) checkDate(e event) error {
	if e.at.After(g.now().Add(clockSkew)) {
		return cloudcode.Err(parse.ValidationError, "%s must not be in the future", e.field)
	}
	return nil
}

func maskMethod(_ context.Context, r *cloudcode.Save[PaymentMethod]) error {
	r.Object.Type, r.Object.Details = MaskCards(r.Object.Type), MaskCards(r.Object.Details)
	return nil
}

func (g *gateway) guardLog(_ context.Context, r *cloudcode.Save[AccessLog]) error {
	if !r.IsNew() && !r.Caller.Master {
		return errAppendOnly()
	}
	return g.checkDate(event{"timestamp", r.Object.Timestamp})
}

func keepLog(_ context.Context, r *cloudcode.Delete[AccessLog]) error {
	if r.Caller.Master {
		return nil
	}
	return errAppendOnly()
}

func errAppendOnly() error {
	return cloudcode.Err(parse.OperationForbidden, "AccessLog can only be added to")
}
