package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pargo-baas/pargo/schema"
)

var _ schema.Notifier = (*DB)(nil)

const (
	// watchAgain is the time before the second attempt to open a change stream;
	// it doubles up to watchRarely.
	watchAgain  = 100 * time.Millisecond
	watchRarely = 30 * time.Second
	// awaitEvents is how long the server keeps a question for events open.
	awaitEvents = 10 * time.Second
)

// errStreamEnded is told of a stream that the server ends, as with its collection.
var errStreamEnded = errors.New("the change stream ended")

// SchemaChanges implements [schema.Notifier] by a change stream of _SCHEMA, into
// which pargo and Parse Server both write what they change. Whether the server
// has streams shows when the first one is opened; one that has none tells nothing.
func (d *DB) SchemaChanges(ctx context.Context) <-chan schema.Word {
	told := make(chan schema.Word, 1)
	d.watching.Go(func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(d.closing, cancel)() //nolint:contextcheck // it ends with the store, too
		opened, hearing, pause := false, false, watchAgain
		for {
			err := d.watchSchema(ctx, func() {
				opened, hearing, pause = true, true, watchAgain
				schema.Tell(told, schema.Changed)
			})
			switch {
			case ctx.Err() != nil:
				return
			case !opened && noStreams(err):
				d.log.InfoContext(ctx, "the database has no change streams: changes of the schema are looked for", "error", err)
				return
			case hearing:
				hearing = false
				schema.Tell(told, schema.Deaf)
				d.log.WarnContext(ctx, "changes of the schema are not heard of, but looked for", "error", err)
			}
			again := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				again.Stop()
				return
			case <-again.C:
			}
			pause = min(2*pause, watchRarely)
		}
	})
	return told
}

// watchSchema calls changed when a change stream is open and with each event,
// until the stream fails or ctx ends.
//
// The driver resumes a stream where it can. One that it cannot is opened anew
// without a token: whoever is told reads the whole schema, and so misses nothing
// of the time between.
func (d *DB) watchSchema(ctx context.Context, changed func()) error {
	// That something happened is enough: documents of classes may be large.
	pipeline := mongo.Pipeline{{{Key: "$project", Value: bson.D{{Key: keyID, Value: 1}}}}}
	cs, err := d.schemas().Watch(ctx, pipeline, options.ChangeStream().SetMaxAwaitTime(awaitEvents))
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = cs.Close(ctx)
	}()
	changed()
	for cs.Next(ctx) {
		changed()
	}
	if err := cs.Err(); err != nil {
		return err
	}
	return errStreamEnded
}

// noStreams reports whether the server answered that it gives no change stream,
// rather than not at all or not at the moment. Servers have many codes for that:
// it is no replica set, does not know the stage, or forbids it to this user.
func noStreams(err error) bool {
	var s mongo.ServerError
	return errors.As(err, &s) && !isAway(err) && !mongo.IsTimeout(err) && !s.HasErrorLabel("RetryableError") &&
		!hasCode(err, codeNamespaceNotFound) // a router says so of a database that is still empty
}
