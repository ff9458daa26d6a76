package workflow

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// scanners is how many goroutines evaluate: one waits for the store while the other tests.
const scanners = 2

// scanResult is what a scan found in a range of partitions.
type scanResult struct {
	from, to int
	totals   crmstore.Totals       // Evaluated, Matched, Suppressed, AlreadyEnrolled
	matched  []record.PartitionIDs // matches after suppression, enrolled before or not
	enroll   []record.PartitionIDs // of these, the ones that enroll now
}

// scan is one definition's part in a scan of one object type, which may serve several definitions.
type scan struct {
	ctx      context.Context // of found and save; nil = that of the whole scan
	def      *definition.Definition
	now      time.Time
	progress func(done, total int64)                            // partitions; may be nil
	save     func(ctx context.Context, found *scanResult) error // puts down what was found, before found hears of it; its calls overlap; may be nil
	found    func(ctx context.Context, found scanResult) error

	mu   sync.Mutex // guards what follows, and keeps found's calls apart
	done int64
	err  error // what found returned: the others go on without this one
}

// run scans all partitions for this definition alone. It calls found for every range, one call at a time, in any order.
func (l *scan) run(ctx context.Context, store *crmstore.Store) error {
	if err := scanTogether(ctx, store, []*scan{l}); err != nil {
		return err
	}
	return l.failure()
}

// scanTogether evaluates all scans in one reading of the store. Each scan's found is called for every range of
// partitions, one call at a time, in any order, until it returns an error, which becomes that scan's err. The error
// returned is of the reading as a whole: no scan may rely on what it found.
func scanTogether(ctx context.Context, store *crmstore.Store, scans []*scan) error {
	whole := func(err error) error {
		if len(scans) == 1 {
			return fmt.Errorf("evaluate workflow %s: %w", scans[0].def.Name, err)
		}
		return fmt.Errorf("evaluate %d workflows: %w", len(scans), err)
	}
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return whole(err)
	}
	matchers := make([]*triggers.Matcher, len(scans))
	for i, l := range scans {
		if matchers[i], err = l.def.Trigger.At(l.now); err != nil {
			return whole(err)
		}
	}
	together := triggers.NewTogether(matchers...)
	step := min(max((partitions+7)/8, 1), 64)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range scanners {
		matcher := together.Clone()
		group.Go(func() error {
			for ctx.Err() == nil {
				from := int(next.Add(int64(step))) - step
				if from >= partitions || !anyGoesOn(scans) {
					return nil
				}
				found, err := scanRange(ctx, store, matcher, scans, from, min(from+step, partitions))
				if err != nil {
					return whole(err)
				}
				for i, l := range scans {
					l.take(ctx, found[i], int64(partitions))
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// anyGoesOn reports whether a scan is left that has not failed.
func anyGoesOn(scans []*scan) bool {
	for _, l := range scans {
		if l.failure() == nil {
			return true
		}
	}
	return false
}

// take hands over what was found in a range.
func (l *scan) take(ctx context.Context, found scanResult, partitions int64) { //nolint:contextcheck // its own context ends with its run
	if l.ctx != nil {
		ctx = l.ctx // ends with the run of this definition, not with the whole scan
	}
	err := cmp.Or(l.failure(), ctx.Err())
	if err == nil && l.save != nil {
		err = l.save(ctx, &found)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err = cmp.Or(l.err, err); l.err != nil {
		return
	}
	l.err = l.found(ctx, found)
	l.done += int64(found.to - found.from)
	if l.progress != nil {
		l.progress(l.done, partitions)
	}
}

// scanRange evaluates partitions from ≤ p < to and takes out the records that are enrolled already.
func scanRange(ctx context.Context, store *crmstore.Store, t *triggers.Together, scans []*scan, from, to int) ([]scanResult, error) {
	object := scans[0].def.Object
	found := make([]scanResult, len(scans))
	for i := range found {
		found[i].from, found[i].to = from, to
	}
	err := t.Evaluate(ctx, store, object, from, to, func(i int, f triggers.Found) error {
		s := &found[i]
		s.totals.Evaluated += f.Evaluated
		s.totals.Matched += f.Matched
		s.totals.Suppressed += f.Suppressed
		s.totals.Damaged += f.Damaged
		if len(f.IDs) > 0 {
			s.matched = append(s.matched, record.PartitionIDs{Partition: f.Partition, IDs: f.IDs})
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	enrolling := make([]crmstore.Enrolling, len(scans))
	for i, l := range scans {
		enrolling[i] = crmstore.Enrolling{Workflow: l.def.Name, Want: found[i].matched}
	}
	enrolled, err := store.EnrollmentsOf(ctx, object, enrolling)
	if err != nil {
		return found, err
	}
	for i, l := range scans {
		held, err := store.HeldAmong(ctx, object, found[i].matched)
		if err != nil {
			return found, err
		}
		found[i].leaveOut(l.def, enrolled[i], held)
		if err := found[i].countRepeated(ctx, store, object); err != nil {
			return found, err
		}
	}
	return found, nil
}

// leaveOut splits matches into those that enroll and those that are enrolled already, or on legal hold.
func (s *scanResult) leaveOut(def *definition.Definition, enrolled [][]record.Enrollment, held [][]crmstore.Hold) {
	for i, part := range s.matched {
		ids := make([]record.ID, 0, len(part.IDs))
		for j, id := range part.IDs {
			if stays(def, enrolled[i][j]) {
				s.totals.AlreadyEnrolled++
				continue
			}
			if slices.ContainsFunc(held[i], func(h crmstore.Hold) bool { return h.ID == id }) {
				s.totals.OnHold++
				continue
			}
			ids = append(ids, id)
		}
		if len(ids) > 0 {
			s.enroll = append(s.enroll, record.PartitionIDs{Partition: part.Partition, IDs: ids})
		}
	}
}

// countRepeated counts which of those that enroll were restored before, and which of the others have a deleted contact's address.
func (s *scanResult) countRepeated(ctx context.Context, store *crmstore.Store, o record.ObjectType) error {
	all, err := store.Repeated(ctx, o, s.enroll, store.Now())
	for _, part := range all {
		for _, r := range part {
			switch {
			case !r.Restored.IsZero():
				s.totals.RestoredBefore++
			case !r.Heir.IsZero():
				s.totals.DeletedBefore++
			}
		}
	}
	return err
}

// stays reports whether a record with that enrollment does not enroll again.
func stays(def *definition.Definition, e record.Enrollment) bool {
	switch e.State {
	case record.NotEnrolled:
		return false
	case record.Completed:
		return !def.Reenroll
	default:
		return true
	}
}

// add sums what evaluations count.
func add(to *crmstore.Totals, t crmstore.Totals) {
	to.Evaluated += t.Evaluated
	to.Matched += t.Matched
	to.Suppressed += t.Suppressed
	to.Damaged += t.Damaged
	to.AlreadyEnrolled += t.AlreadyEnrolled
	to.OnHold += t.OnHold
	to.RestoredBefore += t.RestoredBefore
	to.DeletedBefore += t.DeletedBefore
}

// enrolling is how many records an evaluation with these totals enrolls.
func enrolling(t crmstore.Totals) int64 {
	return t.Matched - t.Suppressed - t.AlreadyEnrolled - t.OnHold
}
