//go:build unix

package guard

import "syscall"

// MaxConnections is how many connections the process can have open, with
// files left for all else; 0 if that is not known.
func MaxConnections() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	const most = 1 << 20
	files := int(min(r.Cur, most)) //nolint:unconvert // its type differs between systems
	return max(files-files/10-64, files/2)
}
