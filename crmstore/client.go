package crmstore

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// Client makes another connection to where the store is, for a library that keeps data of its own there, beside the
// account's: the queue of runs. Whoever asks for it closes it, before the store. Commands that do not reach the server
// come back after a pause, so that a library which tries again at once does not keep a processor busy while the server is away.
func (s *Store) Client() redis.UniversalClient {
	c := s.open()
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
