//go:build !unix

package sqlite

import "os"

// lockFile takes no lock where the system has none that ends with the process:
// it only opens the file.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // beside the operator's database
}
