package paymentgateway

import (
	"context"
	"log/slog"
	"strconv"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// refund gives back all or a part of a payment; its owner, an admin and the
// master key may ask for it.
func (g *gateway) refund(ctx context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
	if !r.Caller.Master {
		if _, err := caller(r); err != nil {
			return nil, err
		}
	}
	id, err := idParam(r.Params, "payment", classPayment)
	if err != nil {
		return nil, err
	}
	cents, given, err := centsParam(r.Params)
	if err != nil {
		return nil, err
	}
	leave, _, err := g.flights.enter(ctx, "refund/"+id)
	if err != nil {
		return nil, err
	}
	defer leave()

	// The caller must see the payment; what counts is read without his protected fields missing.
	if _, err := r.Client.Get(ctx, classPayment, id); err != nil {
		return nil, err
	}
	payment, err := r.Client.AsMaster().Get(ctx, classPayment, id)
	if err != nil {
		return nil, err
	}
	owner, _ := payment.Pointer(fieldUser)
	if !r.Caller.Master && owner.ObjectID != r.Caller.UserID() && !r.Caller.HasRole(adminRole) {
		return nil, parse.ErrNotFound()
	}
	if status := payment.String(fieldStatus); status != Completed {
		return nil, cloudcode.Err(parse.ValidationError, "a payment that is %s cannot be refunded", status)
	}
	already := refundedCents(payment)
	rest := paymentCents(payment) - already
	if !given {
		cents = rest
	}
	if cents < 1 || cents > rest {
		return nil, cloudcode.Err(parse.ValidationError, "amount must not exceed %s, which is what has not been refunded yet", formatCents(rest))
	}
	if err := g.giveBack(ctx, RefundRequest{
		TransactionID: payment.String(fieldTransactionID),
		// What was refunded before makes each part distinct, and a repeated one equal.
		RefundID: payment.String(fieldTransactionID) + "-" + strconv.FormatInt(already, 10),
		Cents:    cents,
	}); err != nil {
		return nil, err
	}
	refunded, err := g.recordRefund(ctx, r.Client.AsMaster(), id, already, cents)
	if err != nil {
		return nil, err
	}
	return answer(refunded), nil
}

func (g *gateway) giveBack(ctx context.Context, r RefundRequest) error {
	ctx, cancel := outlive(ctx, g.timeout)
	defer cancel()
	result, err := g.proc.Refund(ctx, r)
	if err != nil {
		g.app.Logger().ErrorContext(ctx, "outcome of refund unknown",
			slog.String("refund_id", r.RefundID), slog.Any("error", err))
	}
	switch {
	case err != nil || result.Outcome == Unknown:
		return cloudcode.Err(parse.ScriptFailed, "the outcome of the refund is not known yet; repeat the call with the same amount")
	case result.Outcome == Declined:
		return cloudcode.Err(parse.ScriptFailed, "the refund was declined: %s", result.Reason)
	}
	return nil
}

// recordRefund stores a refund that has happened. A payment on which another
// server has recorded one in the meantime stays as it is: the processor took
// both for one.
func (g *gateway) recordRefund(ctx context.Context, master cloudcode.Client, id string, already, cents int64) (*parse.Object, error) {
	ctx, cancel := outlive(ctx, storeTimeout)
	defer cancel()
	var refunded *parse.Object
	err := master.InTx(audited(ctx), func(ctx context.Context, c cloudcode.Client) error {
		payment, err := c.Get(ctx, classPayment, id)
		if err != nil {
			return err
		}
		refunded = payment
		if refundedCents(payment) != already {
			return nil
		}
		fields := parse.NewMap(parse.MapField{Key: fieldRefunded, Value: Amount(already + cents)})
		full := already+cents == paymentCents(payment)
		if full {
			fields.Set(fieldStatus, Refunded)
		}
		if refunded, err = c.Update(ctx, classPayment, id, fields); err != nil {
			return err
		}
		if full {
			if err := moveTraces(ctx, c, payment, Completed, Refunded); err != nil {
				return err
			}
		}
		owner, ok := payment.Pointer(fieldUser)
		if !ok {
			return nil
		}
		return g.tell(ctx, c, owner, "refund",
			formatCents(cents)+" of your payment of "+formatCents(paymentCents(payment))+" has been refunded.",
			"payment refunded "+id)
	})
	return refunded, err
}
