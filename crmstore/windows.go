package crmstore

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Sizes of pipelines. A window is one round trip; two windows are under way at a time, so that the server has
// work while this side prepares the next or reads the last.
const (
	callsPerWindow   = 32   // scripts
	readsPerWindow   = 128  // reads of records by id
	recordsPerWindow = 4096 // records that such reads ask for together
	columnsPerWindow = 32   // partitions whose columns are read
	wholesPerWindow  = 4    // partitions of which all records are read
)

// inWindows calls fn for consecutive ranges that cover [0, n), two at a time.
func inWindows(ctx context.Context, n, size int, fn func(ctx context.Context, from, to int) error) error {
	if n <= size {
		if n == 0 {
			return nil
		}
		return fn(ctx, 0, n)
	}
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for from := 0; from < n && inner.Err() == nil; from += size {
		g.Go(func() error { return fn(inner, from, min(from+size, n)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err() // it may have ended before the first window
}

// ahead loads windows 0 to n-1 in order, one ahead of the one in use; use runs in the caller's goroutine.
func ahead[T any](ctx context.Context, n int, load func(ctx context.Context, i int) (T, error), use func(T) error) error {
	if n == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loaded := make(chan T) // owned by the loader, which closes it
	var g errgroup.Group
	g.Go(func() error {
		defer close(loaded)
		for i := range n {
			t, err := load(ctx, i)
			if err != nil {
				return err
			}
			select {
			case loaded <- t:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for t := range loaded {
		if err := use(t); err != nil {
			cancel()
			_ = g.Wait() // only says that it was cancelled
			return err
		}
	}
	return g.Wait()
}

// groups are n things sorted into groups, those of one group in their first order.
type groups struct {
	order []int // the things, group by group
	start []int // where each group starts in order; one more than there are groups
}

// groupBy sorts the things 0 to n-1 by the group, of so many, that key names.
func groupBy(n, count int, key func(i int) int) groups {
	g := groups{order: make([]int, n), start: make([]int, count+1)}
	keys := make([]int, n)
	for i := range n {
		keys[i] = key(i)
		g.start[keys[i]+1]++
	}
	for k := range count {
		g.start[k+1] += g.start[k]
	}
	next := make([]int, count)
	copy(next, g.start)
	for i, k := range keys {
		g.order[next[k]] = i
		next[k]++
	}
	return g
}

// of is the things in a group.
func (g *groups) of(k int) []int { return g.order[g.start[k]:g.start[k+1]] }

// outcomes reads a script's reply of one character for each thing.
func outcomes(reply any, want int) (string, error) {
	text, ok := reply.(string)
	if !ok || len(text) != want {
		return "", fmt.Errorf("a script answered %T of another size than %d", reply, want)
	}
	return text, nil
}

// used are the groups that hold anything.
func (g *groups) used() []int {
	var used []int
	for k := range len(g.start) - 1 {
		if g.start[k] < g.start[k+1] {
			used = append(used, k)
		}
	}
	return used
}
