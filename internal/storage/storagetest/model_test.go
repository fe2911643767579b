package storagetest

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
)

// The model passes the suite itself, but for what it has no need of.
func TestModel(t *testing.T) {
	run(t, map[Category]bool{Transactions: true}, func(*testing.T) storage.Store { return NewModel() })
}
