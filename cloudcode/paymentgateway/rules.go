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

// moneyRule says what is checked in one class of the gateway.
type moneyRule struct {
	class string
	// date is the field with the time of the event; "" for none.
	date string
	// texts may not contain card numbers.
	texts []string
	// server fields are written by the gateway alone.
	server []string
}

func moneyRules() []moneyRule {
	return []moneyRule{
		{class: classPayment, texts: []string{fieldDescription, fieldPaymentMethod}, server: []string{fieldRefunded, fieldKey}},
		{class: classTransaction, date: "date", texts: []string{fieldDescription}, server: []string{fieldPayment}},
		{class: classHistory, date: fieldTimestamp, server: []string{fieldPayment}},
	}
}

func (g *gateway) registerRules() {
	g.app.BeforeSave(classUser, guardRole)
	for _, rule := range moneyRules() {
		g.app.BeforeSave(rule.class, func(_ context.Context, r *cloudcode.SaveRequest) error {
			return g.checkMoney(rule, r)
		})
		g.app.BeforeDelete(rule.class, guardDelete)
	}
	g.app.BeforeSave(classMethod, maskMethod)
	g.app.BeforeSave(classAccessLog, g.guardLog)
	g.app.BeforeDelete(classAccessLog, func(_ context.Context, r *cloudcode.DeleteRequest) error {
		if r.Caller.Master {
			return nil
		}
		return appendOnly()
	})
	g.app.BeforeSave(classNotification, func(_ context.Context, r *cloudcode.SaveRequest) error {
		return g.checkDate(r, "sent_at")
	})
}

// guardRole: everybody signs up as a client; only the master key makes more of him.
func guardRole(_ context.Context, r *cloudcode.SaveRequest) error {
	role, _ := r.Object.Get(fieldRole)
	if r.IsNew() {
		if role == nil || role == "" {
			r.Object.Set(fieldRole, defaultRole)
			return nil
		}
		if role != defaultRole && !r.Caller.Master {
			return cloudcode.Err(parse.OperationForbidden, "role must be %q at sign-up", defaultRole)
		}
		return nil
	}
	if r.Caller.Master {
		return nil
	}
	if was, _ := r.Original.Get(fieldRole); !parse.Equal(was, role) {
		return cloudcode.Err(parse.OperationForbidden, "role can be changed with the master key only")
	}
	return nil
}

func (g *gateway) checkMoney(rule moneyRule, r *cloudcode.SaveRequest) error {
	if r.IsNew() {
		if v, _ := r.Object.Get(fieldStatus); v == nil {
			r.Object.Set(fieldStatus, Pending)
		}
	}
	if err := checkStatus(r); err != nil {
		return err
	}
	if !r.Caller.Master {
		if err := guardServerFields(rule, r); err != nil {
			return err
		}
	}
	if amount, ok := r.Object.Number(fieldAmount); ok && writes(r, fieldAmount) {
		cents, ok := Cents(amount)
		if !ok {
			return cloudcode.Err(parse.ValidationError, "amount must be a number above 0 and below 10^12 with at most two decimals")
		}
		if exact := Amount(cents); exact != amount {
			r.Object.Set(fieldAmount, exact)
		}
	}
	for _, field := range rule.texts {
		if HasCard(r.Object.String(field)) {
			return cloudcode.Err(parse.ValidationError, "%s must not contain a card number", field)
		}
	}
	if rule.date == "" {
		return nil
	}
	return g.checkDate(r, rule.date)
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
func checkStatus(r *cloudcode.SaveRequest) error {
	to := r.Object.String(fieldStatus)
	if !knownStatus(to) {
		return cloudcode.Err(parse.ValidationError, "status must be one of %s", strings.Join(Statuses(), ", "))
	}
	if r.IsNew() {
		if to != Pending && !r.Caller.Master {
			return cloudcode.Err(parse.OperationForbidden, "a client can create objects of class %s with status pending only, not %s", r.Class, to)
		}
		return nil
	}
	from := r.Original.String(fieldStatus)
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

func guardServerFields(rule moneyRule, r *cloudcode.SaveRequest) error {
	for _, field := range rule.server {
		// Zero on create may be the schema's default.
		if v, _ := r.Object.Get(field); writes(r, field) && !(r.IsNew() && parse.Equal(v, float64(0))) {
			return cloudcode.Err(parse.OperationForbidden, "%s is written by the server only", field)
		}
	}
	// A client that could choose such an id could take the one of a charge to come.
	if writes(r, fieldTransactionID) && strings.HasPrefix(r.Object.String(fieldTransactionID), transactionPrefix) {
		return cloudcode.Err(parse.OperationForbidden, "a %s that begins with %q is given by processPayment only", fieldTransactionID, transactionPrefix)
	}
	return nil
}

func (g *gateway) checkDate(r *cloudcode.SaveRequest, field string) error {
	v, _ := r.Object.Get(field)
	if d, ok := v.(parse.Date); ok && d.Time().After(g.now().Add(clockSkew)) {
		return cloudcode.Err(parse.ValidationError, "%s must not be in the future", field)
	}
	return nil
}

func guardDelete(_ context.Context, r *cloudcode.DeleteRequest) error {
	status := r.Object.String(fieldStatus)
	if r.Caller.Master || clientCanDelete(status) {
		return nil
	}
	return cloudcode.Err(parse.OperationForbidden, "a %s object of class %s cannot be deleted by a client", status, r.Class)
}

func maskMethod(_ context.Context, r *cloudcode.SaveRequest) error {
	for _, field := range [...]string{fieldDetails, "type"} {
		text := r.Object.String(field)
		if masked := MaskCards(text); masked != text {
			r.Object.Set(field, masked)
		}
	}
	return nil
}

func (g *gateway) guardLog(_ context.Context, r *cloudcode.SaveRequest) error {
	if !r.IsNew() && !r.Caller.Master {
		return appendOnly()
	}
	return g.checkDate(r, fieldTimestamp)
}

func appendOnly() error {
	return cloudcode.Err(parse.OperationForbidden, "%s can only be added to", classAccessLog)
}
