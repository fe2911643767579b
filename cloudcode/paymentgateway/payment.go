package paymentgateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

const (
	maxKeyLength         = 128
	maxDescriptionLength = 1000
)

// order is a call of processPayment whose parameters are right.
type order struct {
	user        parse.Pointer
	cents       int64
	method      string
	key         string
	description string
	// id follows from user and key, so that a repeated call meets the same payment.
	id string
}

func transactionID(userID, key string) string {
	sum := sha256.Sum256([]byte(userID + "\x00" + key))
	return transactionPrefix + hex.EncodeToString(sum[:20])
}

// idParam reads an object id or a pointer to the class.
func idParam(p *parse.Map, name, class string) (string, error) {
	v, _ := p.Get(name)
	switch v := v.(type) {
	case string:
		if v != "" {
			return v, nil
		}
	case parse.Pointer:
		if v.ClassName == class && v.ObjectID != "" {
			return v.ObjectID, nil
		}
	case *parse.Object:
		if v.ClassName == class && v.ID != "" {
			return v.ID, nil
		}
	}
	return "", cloudcode.Err(parse.ValidationError, "%s must be the objectId of, or a pointer to, an object of class %s", name, class)
}

// centsParam reads an amount; absent is 0, false.
func centsParam(p *parse.Map) (cents int64, given bool, err error) {
	var amount float64
	switch v, _ := p.Get(fieldAmount); v := v.(type) {
	case nil:
		return 0, false, nil
	case float64:
		amount = v
	}
	cents, ok := Cents(amount)
	if !ok {
		return 0, false, cloudcode.Err(parse.ValidationError, "amount must be a number above 0 and below 10^12 with at most two decimals")
	}
	return cents, true, nil
}

func caller(r *cloudcode.FunctionRequest) (parse.Pointer, error) {
	if r.Caller.User == nil {
		return parse.Pointer{}, cloudcode.Err(parse.SessionMissing, "%s needs a logged-in user", r.Name)
	}
	return parse.Pointer{ClassName: classUser, ObjectID: r.Caller.User.ID}, nil
}

func readOrder(r *cloudcode.FunctionRequest) (order, error) {
	var o order
	var err error
	if o.user, err = caller(r); err != nil {
		return o, err
	}
	var given bool
	if o.cents, given, err = centsParam(r.Params); err != nil {
		return o, err
	}
	if !given {
		return o, cloudcode.Err(parse.ValidationError, "amount is required")
	}
	if o.method, err = idParam(r.Params, "paymentMethod", classMethod); err != nil {
		return o, err
	}
	o.key = r.Params.String("idempotencyKey")
	if o.key == "" || len(o.key) > maxKeyLength {
		return o, cloudcode.Err(parse.ValidationError, "idempotencyKey must be a string of 1 to %d bytes", maxKeyLength)
	}
	switch v, _ := r.Params.Get(fieldDescription); v := v.(type) {
	case nil:
	case string:
		o.description = v
	default:
		return o, cloudcode.Err(parse.ValidationError, "description must be a string")
	}
	if len(o.description) > maxDescriptionLength {
		return o, cloudcode.Err(parse.ValidationError, "description must not exceed %d bytes", maxDescriptionLength)
	}
	if HasCard(o.description) {
		return o, cloudcode.Err(parse.ValidationError, "description must not contain a card number")
	}
	o.id = transactionID(o.user.ObjectID, o.key)
	return o, nil
}

// processPayment charges a payment method of the caller once per idempotency key.
func (g *gateway) processPayment(ctx context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
	o, err := readOrder(r)
	if err != nil {
		return nil, err
	}
	leave, waited, err := g.flights.enter(ctx, o.id)
	if err != nil {
		return nil, err
	}
	defer leave()

	master := r.Client.AsMaster()
	payment, err := findPayment(ctx, master, o)
	if err != nil {
		return nil, err
	}
	if payment != nil && (waited || payment.String(fieldStatus) != Processing) {
		return answer(payment), nil
	}
	retry := payment != nil
	method, err := r.Client.Get(ctx, classMethod, o.method)
	if err != nil {
		if retry && parse.CodeOf(err) == parse.ObjectNotFound {
			// The method is gone; what became of the charge can no longer be asked.
			return answer(payment), nil
		}
		return nil, err
	}
	// An admin sees the methods of others; he does not pay with them.
	if owner, _ := method.Pointer(fieldUser); owner.ObjectID != o.user.ObjectID {
		return nil, parse.ErrNotFound()
	}
	if !retry {
		if payment, err = g.open(ctx, master, o); err != nil {
			return nil, err
		}
		if payment == nil { // another server was faster, and charges
			if payment, err = findPayment(ctx, master, o); err != nil {
				return nil, err
			}
			if payment == nil {
				return nil, fmt.Errorf("payment %s is neither new nor stored", o.id)
			}
			return answer(payment), nil
		}
	}
	result := g.charge(ctx, ChargeRequest{
		TransactionID: o.id, Cents: o.cents, Retry: retry,
		MethodType: method.String("type"), MethodDetails: method.String(fieldDetails),
	})
	if result.Outcome == Unknown {
		return answer(payment), nil
	}
	settled, err := g.settle(ctx, master, payment.ID, result)
	if err != nil {
		return nil, err
	}
	return answer(settled), nil
}

// findPayment returns the payment of an earlier call with the same key, or nil.
func findPayment(ctx context.Context, master cloudcode.Client, o order) (*parse.Object, error) {
	found, err := master.Find(ctx, classPayment, query.Query{
		Where: query.AllOf(query.Equal(fieldTransactionID, o.id), query.Equal(fieldUser, o.user)), Limit: 1,
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	p := found[0]
	if paymentCents(p) != o.cents || p.String(fieldPaymentMethod) != o.method {
		return nil, cloudcode.Err(parse.DuplicateRequest, "idempotencyKey was already used with another amount or payment method")
	}
	return p, nil
}

func paymentCents(p *parse.Object) int64 {
	n, _ := p.Number(fieldAmount)
	return nearestCents(n)
}

func refundedCents(p *parse.Object) int64 {
	n, _ := p.Number(fieldRefunded)
	return nearestCents(n)
}

// answer is what processPayment and refund return: the stored state, so that a
// repeated call gets the same.
func answer(p *parse.Object) *parse.Map {
	return parse.NewMap(
		parse.MapField{Key: "payment", Value: p.ID},
		parse.MapField{Key: "transactionId", Value: p.String(fieldTransactionID)},
		parse.MapField{Key: "paymentMethod", Value: p.String(fieldPaymentMethod)},
		parse.MapField{Key: "amount", Value: Amount(paymentCents(p))},
		parse.MapField{Key: "refundedAmount", Value: Amount(refundedCents(p))},
		parse.MapField{Key: "status", Value: p.String(fieldStatus)},
	)
}

// open stores a payment that is about to be charged, with its traces. nil
// without an error: the payment exists already.
func (g *gateway) open(ctx context.Context, master cloudcode.Client, o order) (*parse.Object, error) {
	var payment *parse.Object
	err := master.InTx(audited(ctx), func(ctx context.Context, c cloudcode.Client) error {
		now := parse.NewDate(g.now())
		p := parse.NewMap(
			parse.MapField{Key: fieldTransactionID, Value: o.id},
			parse.MapField{Key: fieldAmount, Value: Amount(o.cents)},
			parse.MapField{Key: fieldPaymentMethod, Value: o.method},
			parse.MapField{Key: fieldStatus, Value: Processing},
			parse.MapField{Key: fieldRefunded, Value: float64(0)},
			parse.MapField{Key: fieldKey, Value: o.key},
			parse.MapField{Key: fieldUser, Value: o.user},
		)
		if o.description != "" {
			p.Set(fieldDescription, o.description)
		}
		var err error
		if payment, err = c.Create(ctx, classPayment, p); err != nil {
			return err
		}
		trace := func(date string) *parse.Map {
			return parse.NewMap(
				parse.MapField{Key: fieldUser, Value: o.user},
				parse.MapField{Key: fieldAmount, Value: Amount(o.cents)},
				parse.MapField{Key: fieldStatus, Value: Processing},
				parse.MapField{Key: date, Value: now},
				parse.MapField{Key: fieldPayment, Value: payment.Self()},
			)
		}
		transaction := trace("date")
		if o.description != "" {
			transaction.Set(fieldDescription, o.description)
		}
		if _, err = c.Create(ctx, classTransaction, transaction); err != nil {
			return err
		}
		if _, err = c.Create(ctx, classHistory, trace(fieldTimestamp)); err != nil {
			return err
		}
		return g.tell(ctx, c, o.user, "payment", "Your payment of "+formatCents(o.cents)+" is being processed.", "payment opened "+payment.ID)
	})
	if parse.CodeOf(err) == parse.DuplicateValue {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return payment, nil
}

// tell adds a notification and an entry of the access log.
func (g *gateway) tell(ctx context.Context, c cloudcode.Client, user parse.Pointer, kind, message, action string) error {
	_, err := c.Create(ctx, classNotification, parse.NewMap(
		parse.MapField{Key: fieldUser, Value: user},
		parse.MapField{Key: "type", Value: kind},
		parse.MapField{Key: "message", Value: message},
		parse.MapField{Key: "sent_at", Value: parse.NewDate(g.now())},
	))
	if err != nil {
		return err
	}
	return g.addLog(ctx, c, user, action)
}

// charge asks the processor. That it fails to answer is an outcome, too: unknown.
func (g *gateway) charge(ctx context.Context, r ChargeRequest) Result {
	ctx, cancel := outlive(ctx, g.timeout)
	defer cancel()
	result, err := g.proc.Charge(ctx, r)
	if err != nil {
		g.app.Logger().ErrorContext(ctx, "outcome of charge unknown",
			slog.String("transaction_id", r.TransactionID), slog.Any("error", err))
		return Result{}
	}
	return result
}

// settle stores the outcome of a charge and returns the payment; one that is
// settled already stays as it is.
func (g *gateway) settle(ctx context.Context, master cloudcode.Client, id string, result Result) (*parse.Object, error) {
	ctx, cancel := outlive(ctx, storeTimeout)
	defer cancel()
	status, verb := Completed, "is completed."
	if result.Outcome == Declined {
		status, verb = Failed, "has failed"
		if result.Reason != "" {
			verb += ": " + result.Reason
		}
		verb += "."
	}
	var settled *parse.Object
	err := master.InTx(audited(ctx), func(ctx context.Context, c cloudcode.Client) error {
		payment, err := c.Get(ctx, classPayment, id)
		if err != nil {
			return err
		}
		settled = payment
		if payment.String(fieldStatus) != Processing {
			return nil
		}
		user, ok := payment.Pointer(fieldUser)
		if !ok {
			return errors.New("payment " + id + " has no owner")
		}
		if settled, err = c.Update(ctx, classPayment, id, parse.NewMap(parse.MapField{Key: fieldStatus, Value: status})); err != nil {
			return err
		}
		if err := moveTraces(ctx, c, payment, Processing, status); err != nil {
			return err
		}
		return g.tell(ctx, c, user, "payment", "Your payment of "+formatCents(paymentCents(payment))+" "+verb, "payment "+status+" "+id)
	})
	return settled, err
}

// moveTraces gives the Transaction and TransactionHistory of a payment its new status.
func moveTraces(ctx context.Context, c cloudcode.Client, payment *parse.Object, from, to string) error {
	owner, _ := payment.Pointer(fieldUser)
	where := query.AllOf(query.Equal(fieldUser, owner), query.Equal(fieldPayment, payment.Self()), query.Equal(fieldStatus, from))
	for _, class := range [...]string{classTransaction, classHistory} {
		traces, err := c.Find(ctx, class, query.Query{Where: where, Limit: query.NoLimit})
		if err != nil {
			return err
		}
		for _, t := range traces {
			if _, err := c.Update(ctx, class, t.ID, parse.NewMap(parse.MapField{Key: fieldStatus, Value: to})); err != nil {
				return err
			}
		}
	}
	return nil
}
