package mongo_test

import (
	"testing"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/internal/storage/storagetest"
)

func openStore(t *testing.T) storage.Store {
	s, _ := open(t)
	return s
}

func TestStore(t *testing.T) {
	var leftOut []storagetest.Category
	if storage.AsTransactor(openStore(t)) == nil {
		// A server that is neither in a replica set nor a router has none.
		leftOut = append(leftOut, storagetest.Transactions)
	}
	storagetest.Run(t, openStore, leftOut...)
}

func TestProperty(t *testing.T) { storagetest.RunProperty(t, openStore) }
