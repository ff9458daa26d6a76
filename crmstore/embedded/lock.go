//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// openLock opens a lock file, and makes it if need be. Closing it releases what was locked through it.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	return f, nil
}

// share takes a shared lock; the caller holds the start lock, so nobody has the file alone for long.
func share(f *os.File) error { return flock(f, syscall.LOCK_SH) }

// tryAlone takes the lock for itself alone, if nobody else has it. If it cannot, a share that was held before
// may be lost.
func tryAlone(f *os.File) (bool, error) {
	err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// lock waits until it has the lock file for itself alone.
func lock(ctx context.Context, path string) (*os.File, error) {
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	for {
		mine, err := tryAlone(f)
		if err == nil && mine {
			return f, nil
		}
		if err == nil {
			err = wait(ctx)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("wait for %s: %w", path, err), f.Close())
		}
	}
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// wait lets a little time pass, or returns the context's error when that ends first.
func wait(ctx context.Context) error {
	t := time.NewTimer(pollEvery)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
