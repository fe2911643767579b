package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

var _ schema.Notifier = (*DB)(nil)

// listenAgain is the time between attempts to listen.
const listenAgain = time.Second

// SchemaChanges implements [schema.Notifier]: it listens, on a connection of
// its own, to what servers of Parse Server and of pargo tell of changes.
func (d *DB) SchemaChanges(ctx context.Context) <-chan schema.Word {
	if !d.listen {
		return nil
	}
	told := make(chan schema.Word, 1)
	d.background.start(func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(d.closing, cancel)() //nolint:contextcheck // it ends with the store, too
		tick := time.NewTicker(listenAgain)
		defer tick.Stop()
		for {
			err := d.hear(ctx, told)
			if ctx.Err() != nil {
				return
			}
			schema.Tell(told, schema.Deaf)
			d.log.WarnContext(ctx, "changes of the schema are not heard of, but looked for", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return told
}

// hear listens until the connection fails or ctx ends.
func (d *DB) hear(ctx context.Context, told chan schema.Word) error {
	c, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	}()
	if _, err := c.Exec(ctx, "LISTEN "+quote(channel)); err != nil {
		return err
	}
	for {
		// Something may have changed before this was heard.
		schema.Tell(told, schema.Changed)
		if err := d.foreign(ctx, c); err != nil {
			return err
		}
	}
}

// foreign waits for word of another process.
func (d *DB) foreign(ctx context.Context, c *pgx.Conn) error {
	for {
		n, err := c.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		m, err := parse.DecodeMap([]byte(n.Payload), parse.Limits{})
		if err != nil || m.String("senderId") != d.sender {
			return nil
		}
	}
}
