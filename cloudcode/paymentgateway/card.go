package paymentgateway

import "unicode"

// Lengths of card numbers.
const (
	minCard = 13
	maxCard = 19
	// keptDigits is how much of a card number may be stored.
	keptDigits = 4
)

// MaskCards replaces every card number in s by asterisks but for its last four
// digits; separators stay, so that "4242 4242 4242 4242" becomes
// "**** **** **** 4242". A card number is 13 to 19 digits with a right check
// digit (Luhn), with spaces and dashes between them, that begins and ends
// where a group of digits does; in a group longer than 19 it may be anywhere.
func MaskCards(s string) string {
	out := []byte(s)
	eachCard(s, func(digits []int) bool {
		for _, at := range digits[:len(digits)-keptDigits] {
			out[at] = '*'
		}
		return true
	})
	return string(out)
}

// HasCard reports whether s contains a card number.
func HasCard(s string) bool {
	found := false
	eachCard(s, func([]int) bool {
		found = true
		return false
	})
	return found
}

// run is a sequence of digits with nothing but separators between them.
type run struct {
	at         []int  // where each digit is in the string
	start, end []bool // whether a card number may begin or end here
	group      int    // where the current group began
}

func (r *run) endGroup() {
	n := len(r.at)
	if n == r.group {
		return
	}
	if n-r.group > maxCard {
		for i := r.group; i < n; i++ {
			r.start[i], r.end[i] = true, true
		}
	}
	r.start[r.group], r.end[n-1] = true, true
	r.group = n
}

// eachCard calls f with the places of the digits of each card number, from the
// left, until f returns false. The four digits that a mask would leave may
// begin the next number, so that no masking produces a new one.
func eachCard(s string, f func(digits []int) bool) {
	var r run
	flush := func() bool {
		r.endGroup()
		more := len(r.at) < minCard || r.cards(s, f)
		r.at, r.start, r.end, r.group = r.at[:0], r.start[:0], r.end[:0], 0
		return more
	}
	for i, c := range s {
		switch {
		case '0' <= c && c <= '9':
			r.at = append(r.at, i)
			r.start, r.end = append(r.start, false), append(r.end, false)
		case unicode.IsSpace(c) || unicode.Is(unicode.Pd, c):
			r.endGroup()
		default:
			if !flush() {
				return
			}
		}
	}
	flush()
}

func (r *run) cards(s string, f func([]int) bool) bool {
	for i := 0; i+minCard <= len(r.at); {
		n := 0
		if r.start[i] {
			n = r.card(s, i)
		}
		if n == 0 {
			i++
			continue
		}
		if !f(r.at[i : i+n]) {
			return false
		}
		i += n - keptDigits
		r.start[i] = true
	}
	return true
}

// card returns the length of the longest card number that begins at digit i, or 0.
func (r *run) card(s string, i int) int {
	for n := min(maxCard, len(r.at)-i); n >= minCard; n-- {
		if r.end[i+n-1] && luhn(s, r.at[i:i+n]) {
			return n
		}
	}
	return 0
}

func luhn(s string, at []int) bool {
	sum := 0
	for k := range at {
		d := int(s[at[len(at)-1-k]] - '0')
		if k%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
