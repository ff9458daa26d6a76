package workflow

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/triggers"
)

// sweepers is how many goroutines evaluate: one waits for the store while the other tests.
const sweepers = 2

// sweep evaluates a definition's trigger over all partitions. It only reads.
type sweep struct {
	store    *crmstore.Store
	def      *Definition
	now      time.Time
	progress func(done, total int64) // partitions; may be nil
}

// swept is what a sweep found in a range of partitions.
type swept struct {
	from, to int
	totals   crmstore.Totals         // Evaluated, Matched, Suppressed, AlreadyEnrolled
	matched  []crmstore.PartitionIDs // matches after suppression, enrolled before or not
	enroll   []crmstore.PartitionIDs // of these, the ones that enroll now
}

// run calls fn for every range of partitions, one call at a time, in any order.
func (s sweep) run(ctx context.Context, fn func(ctx context.Context, found swept) error) error {
	partitions, err := s.store.Partitions(ctx)
	if err != nil {
		return fmt.Errorf("evaluate workflow %s: %w", s.def.Name, err)
	}
	matcher, err := s.def.Trigger.At(s.now)
	if err != nil {
		return fmt.Errorf("evaluate workflow %s: %w", s.def.Name, err)
	}
	step := min(max((partitions+7)/8, 1), 64)
	var next atomic.Int64
	var mu sync.Mutex // guards done and keeps fn's calls apart
	var done int64
	group, ctx := errgroup.WithContext(ctx)
	for range sweepers {
		mine := matcher.Clone()
		group.Go(func() error {
			for ctx.Err() == nil {
				from := int(next.Add(int64(step))) - step
				if from >= partitions {
					return nil
				}
				found, err := s.chunk(ctx, mine, from, min(from+step, partitions))
				if err != nil {
					return fmt.Errorf("evaluate workflow %s: %w", s.def.Name, err)
				}
				mu.Lock()
				err = fn(ctx, found)
				done += int64(found.to - found.from)
				if s.progress != nil {
					s.progress(done, int64(partitions))
				}
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// chunk evaluates partitions from ≤ p < to and takes out who is enrolled already.
func (s sweep) chunk(ctx context.Context, m *triggers.Matcher, from, to int) (swept, error) {
	found := swept{from: from, to: to}
	err := m.Evaluate(ctx, s.store, s.def.Object, from, to, func(f triggers.Found) error {
		found.totals.Evaluated += f.Evaluated
		found.totals.Matched += f.Matched
		found.totals.Suppressed += f.Suppressed
		if len(f.IDs) > 0 {
			found.matched = append(found.matched, crmstore.PartitionIDs{Partition: f.Partition, IDs: slices.Clone(f.IDs)})
		}
		return nil
	})
	if err != nil || len(found.matched) == 0 {
		return found, err
	}
	enrolled, err := s.store.Enrollments(ctx, s.def.Object, s.def.Name, found.matched)
	if err != nil {
		return found, err
	}
	for i, part := range found.matched {
		var ids []crmstore.ID
		for j, id := range part.IDs {
			if s.stays(enrolled[i][j]) {
				found.totals.AlreadyEnrolled++
				continue
			}
			ids = append(ids, id)
		}
		if len(ids) > 0 {
			found.enroll = append(found.enroll, crmstore.PartitionIDs{Partition: part.Partition, IDs: ids})
		}
	}
	return found, nil
}

// stays reports whether a record with that enrollment does not enroll again.
func (s sweep) stays(e crmstore.Enrollment) bool {
	switch e.State {
	case crmstore.NotEnrolled:
		return false
	case crmstore.Completed:
		return !s.def.Reenroll
	default:
		return true
	}
}

// add sums what evaluations count.
func add(to *crmstore.Totals, t crmstore.Totals) {
	to.Evaluated += t.Evaluated
	to.Matched += t.Matched
	to.Suppressed += t.Suppressed
	to.AlreadyEnrolled += t.AlreadyEnrolled
}

// enrolling is how many records an evaluation with these totals enrolls.
func enrolling(t crmstore.Totals) int64 { return t.Matched - t.Suppressed - t.AlreadyEnrolled }
