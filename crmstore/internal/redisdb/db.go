package redisdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// DB is one database that was opened: one server, a primary and its replicas, or a cluster. It is safe for concurrent use.
type DB struct {
	Redis    redis.UniversalClient
	open     func() redis.UniversalClient // another client for the same place
	Place    string                       // the address for people, without secrets
	Volatile bool                         // everything is lost when the process ends
	leave    func() error                 // ends what opening started, after the client is closed; may be nil
	connects atomic.Int64
}

// connected counts a new connection.
func (d *DB) connected(context.Context, *redis.Conn) error {
	d.connects.Add(1)
	return nil
}

// Connections is how many connections were made since the database was opened.
func (d *DB) Connections() int64 { return d.connects.Load() }

// Close closes the client and ends what opening started.
func (d *DB) Close() error {
	err := d.Redis.Close()
	if errors.Is(err, redis.ErrClosed) {
		return nil
	}
	if d.leave != nil {
		err = errors.Join(err, d.leave())
	}
	if err != nil {
		return fmt.Errorf("close store %s: %w", d.Place, err)
	}
	return nil
}

// Ping reports whether the database answers: of a cluster, every master.
func (d *DB) Ping(ctx context.Context) error {
	if c, ok := d.Redis.(*redis.ClusterClient); ok {
		return d.Explain(c.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return master.Ping(ctx).Err() }))
	}
	return d.Explain(d.Redis.Ping(ctx).Err())
}

// silence drops what the client library would write to stderr.
type silence struct{}

// Printf does nothing.
func (silence) Printf(context.Context, string, ...any) {}

// NewClient makes another client for the same place. Commands of it that do not reach the server come back after a pause.
func (d *DB) NewClient() redis.UniversalClient {
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
		if Unavailable(err) {
			_ = Sleep(ctx, awayPause) // the command's own error says more
		}
		return err
	}
}

// ProcessPipelineHook waits after a failure.
func (slowFailure) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if Unavailable(err) {
			_ = Sleep(ctx, awayPause)
		}
		return err
	}
}

// Unavailable reports whether the server did not answer, or does not work at the moment.
func Unavailable(err error) bool {
	var failed net.Error
	return errors.As(err, &failed) || notCarriedOut(err)
}
