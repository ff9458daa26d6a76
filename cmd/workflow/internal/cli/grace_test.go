package cli

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestGraceful(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")

	err := graceful(t.Context(), time.Hour, func() { t.Error("it leaves although nobody said so") },
		func(context.Context) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("work that ends by itself: %v, want its error", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	left := false
	err = graceful(ctx, time.Hour, func() { left = true }, func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		if !left {
			t.Error("the work is stopped before others learn that it stops")
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("work that stops in time: %v, want its error", err)
	}

	stuck := make(chan struct{})
	defer close(stuck)
	err = graceful(ctx, time.Nanosecond, func() {}, func(context.Context) error {
		<-stuck
		return nil
	})
	if p, ok := errors.AsType[*problem](err); !ok || p.code != exitFailed || p.reason != "grace-over" {
		t.Errorf("work that does not stop: %v, want a problem with exit code %d", err, exitFailed)
	}
}
