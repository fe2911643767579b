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
	name := "MongoDB"
	if storage.AsTransactor(openStore(t)) == nil {
		name = "MongoDB, single server" // neither in a replica set nor a router
	}
	storagetest.Run(t, name, openStore)
}

func TestProperty(t *testing.T) { storagetest.RunProperty(t, openStore) }

func BenchmarkStore(b *testing.B) {
	storagetest.Bench(b, func(tb testing.TB) storage.Store {
		s, _ := open(tb)
		return s
	}, nil)
}
