package paymentgateway

import "slices"

// Statuses of Payment, Transaction and TransactionHistory.
const (
	Pending    = "pending"
	Processing = "processing"
	Completed  = "completed"
	Failed     = "failed"
	Cancelled  = "cancelled"
	Refunded   = "refunded"
)

// Statuses returns all statuses in the order of a payment's life.
func Statuses() []string {
	return []string{Pending, Processing, Completed, Failed, Cancelled, Refunded}
}

// Next returns the statuses that may follow; none for a final or unknown one.
func Next(status string) []string {
	switch status {
	case Pending:
		return []string{Processing, Failed, Cancelled}
	case Processing:
		return []string{Completed, Failed, Cancelled}
	case Completed:
		return []string{Refunded}
	}
	return nil
}

// CanTransition reports whether the change is legal for the server and the
// master key. Staying is no change and always legal.
func CanTransition(from, to string) bool { return from == to || slices.Contains(Next(from), to) }

// ClientCanTransition reports whether a client may make the change by itself.
func ClientCanTransition(from, to string) bool {
	return from == to || from == Pending && to == Cancelled
}

// clientCanDelete: what was charged, or may be any moment, stays.
func clientCanDelete(status string) bool {
	return status != Processing && status != Completed && status != Refunded
}

func knownStatus(s string) bool { return slices.Contains(Statuses(), s) }
