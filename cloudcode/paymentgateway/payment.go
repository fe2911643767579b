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

// order is what processPayment is asked for.
type order struct {
	Amount float64
	// PaymentMethod is the objectId of one, or a pointer to it.
	PaymentMethod  parse.Value
	IdempotencyKey string
	Description    string

	user   parse.Pointer
	cents  int64
	method string
	// id follows from user and key, so that a repeated call meets the same payment.
	id string
}

// orderRules says what an order must have, the master key's as well.
func orderRules() cloudcode.Validator {
	return cloudcode.Validator{ValidateMasterKey: true, Fields: []cloudcode.Field{
		{Name: "amount", Type: cloudcode.Number},
		{Name: "paymentMethod"},
		{Name: "idempotencyKey", Type: cloudcode.String, Check: atMost("idempotencyKey", 1, maxKeyLength)},
		{Name: "description", Optional: true, Check: noCard("description", maxDescriptionLength)},
	}}
}

// atMost checks the length of a text.
func atMost(name string, least, most int) func(parse.Value) error {
	return func(v parse.Value) error {
		if s, _ := v.(string); len(s) < least || len(s) > most {
			return fmt.Errorf("%s must have %d to %d bytes", name, least, most)
		}
		return nil
	}
}

// noCard checks the length of a text, and that it has no card number.
func noCard(name string, most int) func(parse.Value) error {
	short := atMost(name, 0, most)
	return func(v parse.Value) error {
		if s, _ := v.(string); HasCard(s) {
			return fmt.Errorf("%s must not contain a card number", name)
		}
		return short(v)
	}
}

// receipt is what processPayment and refund return: the stored state, so that
// a repeated call gets the same.
type receipt struct {
	Payment        string
	TransactionID  string `parse:"transactionId"`
	PaymentMethod  string
	Amount         float64
	RefundedAmount float64
	Status         string
}

func receiptOf(p *Payment) *receipt {
	return &receipt{
		Payment: p.ID, TransactionID: p.TransactionID, PaymentMethod: p.PaymentMethod,
		Amount: Amount(p.cents()), RefundedAmount: Amount(p.refunded()), Status: p.Status,
	}
}

func (p *Payment) cents() int64 { return nearestCents(p.Amount) }

func (p *Payment) refunded() int64 { return nearestCents(p.RefundedAmount) }

func (p *Payment) self() parse.Pointer {
	return parse.Pointer{ClassName: p.ParseClass(), ObjectID: p.ID}
}

func transactionID(userID, key string) string {
	sum := sha256.Sum256([]byte(userID + "\x00" + key))
	return transactionPrefix + hex.EncodeToString(sum[:20])
}

// idOf reads an object id, or a pointer to an object of the class T.
func idOf[T any](name string, v parse.Value) (string, error) {
	class := cloudcode.ClassOf[T]()
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

func caller(r *cloudcode.FunctionRequest) (parse.Pointer, error) {
	if r.Caller.User == nil {
		return parse.Pointer{}, cloudcode.Err(parse.SessionMissing, "%s needs a logged-in user", r.Name)
	}
	return r.Caller.User.Self(), nil
}

// complete fills in what follows from the parameters and the caller.
func (o *order) complete(r *cloudcode.FunctionRequest) (err error) {
	if o.user, err = caller(r); err != nil {
		return err
	}
	if o.method, err = idOf[PaymentMethod]("paymentMethod", o.PaymentMethod); err != nil {
		return err
	}
	ok := false
	if o.cents, ok = Cents(o.Amount); !ok {
		return errAmount()
	}
	o.id = transactionID(o.user.ObjectID, o.IdempotencyKey)
	return nil
}

// processPayment charges a payment method of the caller once per idempotency key.
func (g *gateway) processPayment(ctx context.Context, r *cloudcode.Call[order]) (*receipt, error) {
	o := &r.Params
	if err := o.complete(r.FunctionRequest); err != nil {
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
	if payment != nil && (waited || payment.Status != Processing) {
		return receiptOf(payment), nil
	}
	retry := payment != nil
	method, err := cloudcode.Get[PaymentMethod](ctx, r.Client, o.method)
	if err != nil {
		if retry && parse.CodeOf(err) == parse.ObjectNotFound {
			// The method is gone; what became of the charge can no longer be asked.
			return receiptOf(payment), nil
		}
		return nil, err
	}
	// An admin sees the methods of others; he does not pay with them.
	if method.User != o.user {
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
			return receiptOf(payment), nil
		}
	}
	result := g.charge(ctx, ChargeRequest{
		TransactionID: o.id, Cents: o.cents, Retry: retry,
		MethodType: method.Type, MethodDetails: method.Details,
	})
	if result.Outcome == Unknown {
		return receiptOf(payment), nil
	}
	settled, err := g.settle(ctx, master, payment.ID, result)
	if err != nil {
		return nil, err
	}
	return receiptOf(settled), nil
}

// findPayment returns the payment of an earlier call with the same key, or nil.
func findPayment(ctx context.Context, master cloudcode.Client, o *order) (*Payment, error) {
	found, err := cloudcode.Find[Payment](ctx, master, query.Query{
		Where: query.AllOf(query.Equal("transaction_id", o.id), query.Equal("user", o.user)), Limit: 1,
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if p := found[0]; p.cents() == o.cents && p.PaymentMethod == o.method {
		return p, nil
	}
	return nil, cloudcode.Err(parse.DuplicateRequest, "idempotencyKey was already used with another amount or payment method")
}

// open stores a payment that is about to be charged, with its traces. nil
// without an error: the payment exists already.
func (g *gateway) open(ctx context.Context, master cloudcode.Client, o *order) (*Payment, error) {
	var payment *Payment
	err := master.InTx(audited(ctx), func(ctx context.Context, c cloudcode.Client) error {
		now, amount := g.now(), Amount(o.cents)
		var err error
		if payment, err = cloudcode.Create(ctx, c, &Payment{
			User: o.user, TransactionID: o.id, IdempotencyKey: o.IdempotencyKey, PaymentMethod: o.method,
			Amount: amount, Status: Processing, Description: o.Description,
		}); err != nil {
			return err
		}
		self := payment.self()
		if _, err = cloudcode.Create(ctx, c, &Transaction{
			User: o.user, Payment: &self, Amount: &amount, Status: Processing, Date: &now, Description: o.Description,
		}); err != nil {
			return err
		}
		if _, err = cloudcode.Create(ctx, c, &TransactionHistory{
			User: o.user, Payment: &self, Amount: amount, Status: Processing, Timestamp: now,
		}); err != nil {
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
	if _, err := cloudcode.Create(ctx, c, &Notification{User: user, Type: kind, Message: message, SentAt: g.now()}); err != nil {
		return err
	}
	return g.addLog(ctx, c, user, action)
}

// charge asks the processor. That it fails to answer is an outcome, too: unknown.
func (g *gateway) charge(ctx context.Context, r ChargeRequest) Result {
	ctx, cancel := cloudcode.Outlive(ctx, g.timeout)
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
func (g *gateway) settle(ctx context.Context, master cloudcode.Client, id string, result Result) (*Payment, error) {
	ctx, cancel := cloudcode.Outlive(ctx, storeTimeout)
	defer cancel()
	status, verb := Completed, "is completed."
	if result.Outcome == Declined {
		status, verb = Failed, "has failed"
		if result.Reason != "" {
			verb += ": " + result.Reason
		}
		verb += "."
	}
	var settled *Payment
	err := master.InTx(audited(ctx), func(ctx context.Context, c cloudcode.Client) error {
		moved := false
		var err error
		settled, err = cloudcode.Update(ctx, c, id, func(p *Payment) error {
			if moved = p.Status == Processing; moved {
				p.Status = status
			}
			return nil
		})
		if err != nil || !moved {
			return err
		}
		if settled.User.ObjectID == "" {
			return errors.New("payment " + id + " has no owner")
		}
		if err := moveTraces(ctx, c, settled, Processing, status); err != nil {
			return err
		}
		return g.tell(ctx, c, settled.User, "payment", "Your payment of "+formatCents(settled.cents())+" "+verb, "payment "+status+" "+id)
	})
	return settled, err
}

// moveTraces gives the Transaction and TransactionHistory of a payment its new status.
func moveTraces(ctx context.Context, c cloudcode.Client, payment *Payment, from, to string) error {
	where := query.AllOf(query.Equal("user", payment.User), query.Equal("payment", payment.self()), query.Equal("status", from))
	for _, class := range [...]string{cloudcode.ClassOf[Transaction](), cloudcode.ClassOf[TransactionHistory]()} {
		traces, err := c.Find(ctx, class, query.Query{Where: where, Limit: query.NoLimit})
		if err != nil {
			return err
		}
		for _, t := range traces {
			if _, err := c.Update(ctx, class, t.ID, parse.NewMap(parse.MapField{Key: "status", Value: to})); err != nil {
				return err
			}
		}
	}
	return nil
}
