package cli

import (
	"context"
	"time"
)

// defaultGrace is how long a daemon that was told to stop may take: a batch takes far less than a second, and a
// supervisor commonly waits longer than this before it kills.
const defaultGrace = 30 * time.Second

// graceful does work until it ends by itself or ctx ends. In the second case it calls leaving, so that others learn
// first that nothing new is taken, ends the work's own context, and waits for the work for the grace period. When that
// is over it returns an error and leaves the work behind: the process must end then.
func graceful(ctx context.Context, grace time.Duration, leaving func(), work func(context.Context) error) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- work(working) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	leaving()
	stop()
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case err := <-ended:
		return err
	case <-patience.C:
		return &problem{
			code: exitFailed, reason: "grace-over", message: "the batch in hand was not over within " + grace.String(),
			help: "nothing is lost: another daemon goes on with it once this one was silent for 15 s",
		}
	}
}
