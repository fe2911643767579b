package postgres_test

import (
	"testing"
	"time"

	"github.com/pargo-baas/pargo/internal/storage/postgres"
)

// What Parse Server notifies is heard; what this process announces is not, but
// goes out in the form that Parse Server reads.
func TestListen(t *testing.T) {
	uri := place(t)
	db, err := postgres.Open(t.Context(), postgres.Options{URI: uri, Listen: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	told := db.SchemaChanges(t.Context())
	hear := func(what string) {
		t.Helper()
		select {
		case <-told:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s was not heard", what)
		}
	}
	hear("the beginning")
	run(t, uri, `NOTIFY "schema.change", '{"senderId":"7d0f4f4e-0000-0000-0000-000000000000"}'`)
	hear("Parse Server")
	other := open(t, uri)
	if _, err := other.AnnounceSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	hear("another pargo")
	if open(t, uri).SchemaChanges(t.Context()) != nil {
		t.Error("it listens without being asked to")
	}
}
