package redisdb

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Sizes of pipelines. A window is one round trip; two windows are under way at a time, so that the server has
// work while this side prepares the next or reads the last.
const (
	CallsPerWindow   = 32   // scripts
	ReadsPerWindow   = 128  // reads of records by id
	RecordsPerWindow = 4096 // records that such reads ask for together
	ColumnsPerWindow = 32   // partitions whose columns are read
	WholesPerWindow  = 4    // partitions of which all records are read
)

// InWindows calls fn for consecutive ranges that cover [0, n), two at a time.
func InWindows(ctx context.Context, n, size int, fn func(ctx context.Context, from, to int) error) error {
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

// Prefetch loads windows 0 to n-1 in order, one ahead of the one in use; use runs in the caller's goroutine.
func Prefetch[T any](ctx context.Context, n int, load func(ctx context.Context, i int) (T, error), use func(T) error) error {
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

// Groups are n things sorted into groups, those of one group in their first order.
type Groups struct {
	Order []int // the things, group by group
	Start []int // where each group starts in order; one more than there are groups
}

// GroupBy sorts the things 0 to n-1 by the group, of so many, that key names.
func GroupBy(n, count int, key func(i int) int) Groups {
	g := Groups{Order: make([]int, n), Start: make([]int, count+1)}
	keys := make([]int, n)
	for i := range n {
		keys[i] = key(i)
		g.Start[keys[i]+1]++
	}
	for k := range count {
		g.Start[k+1] += g.Start[k]
	}
	next := make([]int, count)
	copy(next, g.Start)
	for i, k := range keys {
		g.Order[next[k]] = i
		next[k]++
	}
	return g
}

// Of is the things in a group.
func (g *Groups) Of(k int) []int { return g.Order[g.Start[k]:g.Start[k+1]] }

// Outcomes reads a script's reply of one character for each thing.
func Outcomes(reply any, want int) (string, error) {
	text, ok := reply.(string)
	if !ok || len(text) != want {
		return "", fmt.Errorf("a script answered %T of another size than %d", reply, want)
	}
	return text, nil
}

// Used are the groups that hold anything.
func (g *Groups) Used() []int {
	var used []int
	for k := range len(g.Start) - 1 {
		if g.Start[k] < g.Start[k+1] {
			used = append(used, k)
		}
	}
	return used
}
