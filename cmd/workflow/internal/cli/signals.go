package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
)

// exitTwice is the exit code of a process that was told twice to stop, as shells have it for Ctrl-C.
const exitTwice = 130

// Interruptible is a context that the first SIGINT or SIGTERM ends, so that the batch in hand can be finished. The
// second one, whichever it is, calls exit at once with 130. stop takes the signals back to what they were.
//
// SIGPIPE is caught so that a reader like `| head`, which stops early, is an ordinary write error and not a death.
func Interruptible(parent context.Context, talk io.Writer, exit func(int)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	stopping := make(chan os.Signal, 2)
	broken := make(chan os.Signal, 1)
	signal.Notify(stopping, os.Interrupt, syscall.SIGTERM)
	signal.Notify(broken, syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		select {
		case <-stopping:
		case <-done:
			return
		}
		if f, ok := talk.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
			fmt.Fprintln(talk) // the terminal has written ^C, perhaps behind a question
		}
		fmt.Fprintln(talk, "workflow: stopping after the batch in hand; once more to stop at once")
		cancel()
		select {
		case <-stopping:
			exit(exitTwice)
		case <-done:
		}
	}()
	return ctx, func() {
		close(done)
		signal.Stop(stopping)
		signal.Stop(broken)
		cancel()
	}
}
