package paymentgateway

import (
	"context"
	"strings"
)

// Outcome is what a processor did.
type Outcome uint8

// Outcomes. Unknown, the zero value, leaves a payment processing: it is asked
// for again when the client repeats its call.
const (
	Unknown Outcome = iota
	Approved
	Declined
)

// Result is the answer of a processor. Reason says why it declined; the client reads it.
type Result struct {
	Outcome Outcome
	Reason  string
}

// ChargeRequest asks a processor for money.
type ChargeRequest struct {
	// TransactionID names the charge for ever: two requests with the same one are one charge.
	TransactionID string
	Cents         int64
	// MethodType and MethodDetails are the PaymentMethod's type and details.
	MethodType, MethodDetails string
	// Retry: the outcome of an earlier request for this charge is not known.
	Retry bool
}

// RefundRequest asks a processor to give money back.
type RefundRequest struct {
	// TransactionID is that of the charge.
	TransactionID string
	// RefundID names the refund as TransactionID does the charge. A processor
	// that knows it with another amount declines.
	RefundID string
	Cents    int64
}

// Processor moves the money. Both methods are idempotent by the id in the
// request: a repeated one returns the outcome of the first and moves nothing.
// An error means that the outcome is not known, as Unknown does. They are
// called outside of any storage transaction, with a context that ends when the
// time for it is up and not when the client goes away.
type Processor interface {
	Charge(ctx context.Context, r ChargeRequest) (Result, error)
	Refund(ctx context.Context, r RefundRequest) (Result, error)
}

// Tokens that steer the [Sandbox] when they are the details of a payment
// method. The test cards that end in 4242, 0002 and 0119 do the same, masked as
// they are stored.
const (
	TokenApprove = "tok_approve"
	TokenDecline = "tok_decline"
	TokenTimeout = "tok_timeout"
)

// Sandbox is a processor that moves no money and has no state: its answers
// follow from the request alone. [TokenDecline] is declined; [TokenTimeout]
// has no known outcome at first and is approved when asked again; anything else
// is approved, as are all refunds.
type Sandbox struct{}

var _ Processor = Sandbox{}

// Charge implements Processor.
func (Sandbox) Charge(_ context.Context, r ChargeRequest) (Result, error) {
	details := strings.TrimSpace(r.MethodDetails)
	masked := strings.HasPrefix(details, "*")
	switch {
	case details == TokenDecline || masked && strings.HasSuffix(details, "0002"):
		return Result{Outcome: Declined, Reason: "card declined"}, nil
	case (details == TokenTimeout || masked && strings.HasSuffix(details, "0119")) && !r.Retry:
		return Result{Outcome: Unknown, Reason: "no answer in time"}, nil
	}
	return Result{Outcome: Approved}, nil
}

// Refund implements Processor.
func (Sandbox) Refund(context.Context, RefundRequest) (Result, error) {
	return Result{Outcome: Approved}, nil
}
