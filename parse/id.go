package parse

import "crypto/rand"

const idLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// NewObjectID returns size random characters of A-Z a-z 0-9, every one equally
// likely. Ten of them, the default, make 8·10¹⁷ ids.
func NewObjectID(size int) string {
	id := make([]byte, 0, size)
	var pool [32]byte
	for len(id) < size {
		_, _ = rand.Read(pool[:]) // crypto/rand.Read never fails
		for _, b := range pool {
			// 248 is the largest multiple of 62 in a byte; what is above would be biased.
			if b < 248 && len(id) < size {
				id = append(id, idLetters[b%62])
			}
		}
	}
	return string(id)
}
