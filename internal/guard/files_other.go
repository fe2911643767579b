//go:build !unix

package guard

// MaxConnections is 0: the system does not say.
func MaxConnections() int { return 0 }
