package paymentgateway

import (
	"context"
	"log/slog"
	"strconv"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// refundOrder is what refund is asked for.
type refundOrder struct {
	// Payment is the objectId of one, or a pointer to it.
	Payment parse.Value
	Amount  *float64 // nil: all that is left
}

// refund gives back all or a part of a payment; its owner, an admin and the
// master key may ask for it.
func (g *gateway) refund(ctx context.Context, r *cloudcode.Call[refundOrder]) (*receipt, error) {
	if !r.Caller.Master {
		if _, err := caller(r.FunctionRequest); err != nil {
			return nil, err
		}
	}
	id, err := idOf[Payment]("payment", r.Params.Payment)
	if err != nil {
		return nil, err
	}
	leave, _, err := g.flights.enter(ctx, "refund/"+id)
	if err != nil {
		return nil, err
	}
	defer leave()

	// The caller must see the payment; what counts is read without his protected fields missing.
	if _, err := cloudcode.Get[Payment](ctx, r.Client, id); err != nil {
		return nil, err
	}
	payment, err := cloudcode.Get[Payment](ctx, r.Client.AsMaster(), id)
	if err != nil {
		return nil, err
	}
	if !r.Caller.Master && payment.User.ObjectID != r.Caller.UserID() && !r.Caller.HasRole(adminRole) {
		return nil, parse.ErrNotFound()
	}
	if payment.Status != Completed {
		return nil, cloudcode.Err(parse.ValidationError, "a payment that is %s cannot be refunded", payment.Status)
	}
	already := payment.refunded()
	rest := payment.cents() - already
	cents := rest
	if amount := r.Params.Amount; amount != nil {
		ok := false
		if cents, ok = Cents(*amount); !ok {
			return nil, errAmount()
		}
	}
	if cents < 1 || cents > rest {
		return nil, cloudcode.Err(parse.ValidationError, "amount must not exceed %s, which is what has not been refunded yet", formatCents(rest))
	}
	if err := g.giveBack(ctx, RefundRequest{
		TransactionID: payment.TransactionID,
		// What was refunded before makes each part distinct, and a repeated one equal.
		RefundID: payment.TransactionID + "-" + strconv.FormatInt(already, 10),
		Cents:    cents,
	}); err != nil {
		return nil, err
	}
	refunded, err := g.recordRefund(ctx, r.Client.AsMaster(), id, already, cents)
	if err != nil {
		return nil, err
	}
	return receiptOf(refunded), nil
}

func (g *gateway) giveBack(ctx context.Context, r RefundRequest) error {
	ctx, cancel := cloudcode.Outlive(ctx, g.timeout)
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
func (g *gateway) recordRefund(ctx context.Context, master cloudcode.Client, id string, already, cents int64) (*Payment, error) {
	ctx, cancel := cloudcode.Outlive(ctx, storeTimeout)
	defer cancel()
	var refunded *Payment
	err := master.InTx(audited(ctx), func(ctx context.Context, c cloudcode.Client) error {
		recorded, full := false, false
		var err error
		refunded, err = cloudcode.Update(ctx, c, id, func(p *Payment) error {
			if recorded = p.refunded() == already; !recorded {
				return nil
			}
			p.RefundedAmount = Amount(already + cents)
			if full = already+cents == p.cents(); full {
				p.Status = Refunded
			}
			return nil
		})
		if err != nil || !recorded {
			return err
		}
		if full {
			if err := moveTraces(ctx, c, refunded, Completed, Refunded); err != nil {
				return err
			}
		}
		if refunded.User.ObjectID == "" {
			return nil
		}
		return g.tell(ctx, c, refunded.User, "refund",
			formatCents(cents)+" of your payment of "+formatCents(refunded.cents())+" has been refunded.",
			"payment refunded "+id)
	})
	return refunded, err
}
