package storagetest_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
)

func TestModel(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Store { return storagetest.NewModel() },
		storagetest.Transactions) // the model has none
}
