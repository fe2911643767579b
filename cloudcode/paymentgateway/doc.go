// Package paymentgateway is the cloud code of the payment gateway: the rules
// that a schema cannot state, the audit log, and the functions processPayment,
// refund and transactionSummary. [Register] adds it to an App.
//
// It works together with schema.json, which keeps each object to its owner
// (ownerField "user") and makes Payment.transaction_id unique.
//
// # Statuses
//
// Payment, Transaction and TransactionHistory have one of six statuses. For
// everybody, the master key included, only these changes are legal
// ([CanTransition]):
//
//	pending     → processing, failed, cancelled
//	processing  → completed, failed, cancelled
//	completed   → refunded
//	failed, cancelled, refunded: final
//
// A client creates pending objects only, and makes one change of status by
// itself: pending → cancelled. What is no longer pending is immutable to
// clients; what is processing, completed or refunded they cannot delete either.
//
// # Money
//
// Amounts are numbers with at most two decimals, above zero and below 10¹².
// All arithmetic is done in integer cents ([Cents]).
//
// # Card numbers
//
// A full card number is never stored: in a PaymentMethod it is masked to its
// last four digits ([MaskCards]), in descriptions it is refused.
package paymentgateway

//go:generate go run ../../cmd/pargo gen go ../../schema.json --out classes.go
