package paymentgateway

import (
	"fmt"
	"math"
)

// maxAmount is where a double is still much finer than a cent.
const maxAmount = 1e12

// Cents returns an amount in cents. ok is false unless the amount is finite,
// above zero, below 10¹² and has at most two decimals. Noise of double
// arithmetic in the last bits is forgiven: 0.1+0.2 is 30 cents, 1.234 is none.
func Cents(amount float64) (cents int64, ok bool) {
	if math.IsNaN(amount) || amount <= 0 || amount >= maxAmount {
		return 0, false
	}
	c := math.Round(amount * 100)
	ulp := math.Nextafter(amount, math.Inf(1)) - amount
	if c < 1 || math.Abs(c/100-amount) > 4*ulp {
		return 0, false
	}
	return int64(c), true
}

// Amount is the inverse of [Cents]: the number as it is stored.
func Amount(cents int64) float64 { return float64(cents) / 100 }

// nearestCents reads an amount that is already stored, however it came there.
func nearestCents(amount float64) int64 {
	if math.IsNaN(amount) || math.Abs(amount) >= maxAmount {
		return 0
	}
	return int64(math.Round(amount * 100))
}

func formatCents(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
