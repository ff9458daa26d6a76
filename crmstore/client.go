package crmstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// db is one database that was opened: one server, a primary and its replicas, or a cluster. It is safe for concurrent use.
type db struct {
	rdb      redis.UniversalClient
	open     func() redis.UniversalClient // another client for the same place
	place    string                       // the address for people, without secrets
	volatile bool                         // everything is lost when the process ends
	leave    func() error                 // ends what opening started, after the client is closed; may be nil
	connects atomic.Int64
}

// connected counts a new connection.
func (d *db) connected(context.Context, *redis.Conn) error {
	d.connects.Add(1)
	return nil
}

// connections is how many connections were made since the database was opened.
func (d *db) connections() int64 { return d.connects.Load() }

// close closes the client and ends what opening started.
func (d *db) close() error {
	err := d.rdb.Close()
	if errors.Is(err, redis.ErrClosed) {
		return nil
	}
	if d.leave != nil {
		err = errors.Join(err, d.leave())
	}
	if err != nil {
		return fmt.Errorf("close store %s: %w", d.place, err)
	}
	return nil
}

// ping reports whether the database answers: of a cluster, every master.
func (d *db) ping(ctx context.Context) error {
	if c, ok := d.rdb.(*redis.ClusterClient); ok {
		return d.trouble(c.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return master.Ping(ctx).Err() }))
	}
	return d.trouble(d.rdb.Ping(ctx).Err())
}

// silence drops what the client library would write to stderr.
type silence struct{}

// Printf does nothing.
func (silence) Printf(context.Context, string, ...any) {}

// another makes another client for the same place. Commands of it that do not reach the server come back after a pause.
func (d *db) another() redis.UniversalClient {
	c := d.open()
	c.AddHook(slowFailure{})
	return c
}

// awayPause is how long a command that did not reach the server takes at least.
const awayPause = 500 * time.Millisecond

// slowFailure lets commands fail slowly.
type slowFailure struct{}

// DialHook changes nothing.
func (slowFailure) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook waits after a failure.
func (slowFailure) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if away(err) {
			_ = sleep(ctx, awayPause) // the command's own error says more
		}
		return err
	}
}

// ProcessPipelineHook waits after a failure.
func (slowFailure) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if away(err) {
			_ = sleep(ctx, awayPause)
		}
		return err
	}
}

// away reports whether the server did not answer, or does not work at the moment.
func away(err error) bool {
	var failed net.Error
	return errors.As(err, &failed) || notCarriedOut(err)
}
