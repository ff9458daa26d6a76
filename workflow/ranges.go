package workflow

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	// rangePartitions is how many partitions are acted on together: enough for one pipeline.
	rangePartitions = 32
	// rangeWorkers is how many ranges are acted on at a time: one waits for the store while the other tests.
	rangeWorkers = 2
)

// eachRange covers partitions 0 to partitions-1 with ranges of so many partitions and has two goroutines carry them out, each with a
// function of its own, which newWorker makes. After an error no range begins, and those in hand see their context
// end; the first error is returned.
func eachRange(ctx context.Context, partitions, size int, newWorker func() func(ctx context.Context, from, to int) error) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(rangeWorkers, (partitions+size-1)/size) {
		work := newWorker()
		group.Go(func() error {
			for ctx.Err() == nil {
				from := int(next.Add(int64(size))) - size
				if from >= partitions {
					return nil
				}
				if err := work(ctx, from, min(from+size, partitions)); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}
