package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

const (
	// shareFrom is the number of matches from which a run's ranges are laid out, so that other processes can help.
	// For a smaller run, laying out ranges and inviting helpers would cost more than it saves.
	shareFrom = 10_000
	// A carrier without a range to take reads the list of ranges again after recheckFirst, then after twice as long … up to
	// recheckMost, and at once when another worker of its pass ends a range.
	recheckFirst = 5 * time.Millisecond
	recheckMost  = 200 * time.Millisecond
	// mostHelpers is how many helpers a carrier asks for at most: a server cannot serve more at full speed.
	mostHelpers = 8
)

// errRangeLost says that another process has taken the range, or that the run was stopped.
var errRangeLost = errors.New("the range was taken by another process")

// Helpers asks other processes to help with a run.
type Helpers interface {
	// AskForHelp invites up to n helpers to take ranges of the run until none is left. Helpers need not come: the run's
	// carrier takes every range that no helper takes.
	AskForHelp(ctx context.Context, run string, n int) error
}

// sharing is what one process knows of the ranges of a large run, which it shares with others.
type sharing struct {
	pass *pass

	mu    sync.Mutex     // guards what follows
	own   map[int]bool   // ranges that this pass has or has done
	ended map[int]uint64 // by range, the fence of its last end in this pass: the store may not know of that end
	wake  chan struct{}  // closed, and made anew, when a worker of this pass ends a range
}

// sharing returns the pass's one sharing, which remembers across troubles what this pass had.
func (p *pass) sharing() *sharing {
	if p.ranges == nil {
		p.ranges = &sharing{pass: p, own: map[int]bool{}, ended: map[int]uint64{}, wake: make(chan struct{})}
	}
	return p.ranges
}

// isLarge reports whether the run is laid out in ranges. It depends on the run alone, so that every later carrier decides
// the same.
func (p *pass) isLarge() bool {
	from := p.r.ShareFrom
	if from == 0 {
		from = shareFrom
	}
	return enrolling(p.saved().Totals) >= from
}

// rangesOf is the number of ranges of so many partitions.
func rangesOf(partitions int) int { return (partitions + rangePartitions - 1) / rangePartitions }

// carryOut takes one range after the other, two at a time, until this process and its helpers have done them all.
func (s *sharing) carryOut(ctx context.Context, partitions int) error {
	s.mu.Lock()
	clear(s.own) // what this pass did before trouble counts as the others'
	s.mu.Unlock()
	if err := s.pass.store.OpenRanges(ctx, s.pass.saved(), rangesOf(partitions)); err != nil {
		return err
	}
	s.askForHelp(ctx, min(rangesOf(partitions)-rangeWorkers, mostHelpers))
	group, ctx := errgroup.WithContext(ctx)
	for range min(rangeWorkers, rangesOf(partitions)) {
		group.Go(func() error { return s.takeAll(ctx, partitions) })
	}
	return group.Wait()
}

// askForHelp invites helpers. A failure is logged only, since the carrier can do without them.
func (s *sharing) askForHelp(ctx context.Context, n int) {
	if s.pass.r.Helpers == nil || n < 1 {
		return
	}
	if err := s.pass.r.Helpers.AskForHelp(ctx, s.pass.id, n); err != nil && ctx.Err() == nil {
		s.pass.r.event(ctx, s.pass.saved(), slog.LevelWarn, "no helper could be asked to help with the run", slog.Any(keyError, err))
	}
}

// takeAll carries out the ranges without an owner. A carrier then waits for those that helpers have, and takes the ranges
// of helpers that fall silent. A helper does not wait.
func (s *sharing) takeAll(ctx context.Context, partitions int) error {
	for pause := recheckFirst; ; {
		wake := s.nextEnd() // asked for before the list is read, so that no later end is missed
		list, err := s.list(ctx, partitions)
		if err != nil {
			return err
		}
		took, over := false, true
		for i := range list {
			next := list[len(list)-1-i] // a carrier begins at the end, a helper at the start: they seldom want the same range
			if s.pass.helping {
				next = list[i]
			}
			if over = over && next.Done; took || !s.takeable(next, s.pass.store.Now()) {
				continue
			}
			if took, err = s.take(ctx, next, partitions); err != nil {
				return err
			}
		}
		switch {
		case took:
			s.wakeWorkers()
			pause = recheckFirst
			continue
		case over, s.pass.helping:
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
			pause = min(2*pause, recheckMost)
		}
		timer.Stop()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// nextEnd is a channel that is closed when a worker of this pass next ends a range.
func (s *sharing) nextEnd() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wake
}

// wakeWorkers wakes the waiting workers of this pass.
func (s *sharing) wakeWorkers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.wake)
	s.wake = make(chan struct{})
}

// list reads how far the ranges are. Ranges that are gone belong to a stopped run, or the store has lost them.
func (s *sharing) list(ctx context.Context, partitions int) ([]crmstore.Range, error) {
	for range maxTroubles {
		list, err := s.pass.store.Ranges(ctx, s.pass.id)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 || s.pass.helping {
			s.count(list)
			return list, nil
		}
		if err := s.pass.owned(ctx); err != nil {
			return nil, err
		}
		if err := s.pass.store.OpenRanges(ctx, s.pass.saved(), rangesOf(partitions)); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the store keeps losing the ranges of run %s", s.pass.id)
}

// count sums up what other processes settled.
func (s *sharing) count(list []crmstore.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	others := int64(0)
	for _, r := range list {
		if !s.own[r.Number] {
			others += r.Settled
		}
	}
	s.pass.progress.setOthers(others, enrolling(s.pass.saved().Totals))
}

// takeable reports whether a range has no owner, or an owner that is gone. After the store went back, an owner with an
// earlier fencing number can change nothing more: this process need not wait for its silence.
func (s *sharing) takeable(r crmstore.Range, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := leapt(s.pass.fence) && r.Fence < s.pass.fence
	over := r.Fence <= s.ended[r.Number]
	return !r.Done && (r.Owner == "" || before || over || dead(r.Owner) || silent(r.Beat, now))
}

// take takes a range as it was seen and carries it out. It is false when another process was faster.
func (s *sharing) take(ctx context.Context, seen crmstore.Range, partitions int) (bool, error) {
	taken, err := s.pass.store.TakeRange(ctx, s.pass.saved(), seen, s.pass.r.owner(), s.pass.store.Now())
	if errors.Is(err, record.ErrConflict) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if seen.Owner != "" && !seen.Done {
		s.pass.metrics().tookOver(s.pass.workflow, takeoverRange)
		s.pass.r.event(ctx, s.pass.saved(), slog.LevelWarn, "range taken over", slog.Int("range", seen.Number))
	}
	a := s.pass.newActor()
	a.rangeFence, a.repeats = taken.Fence, a.repeats || seen.Fence > 0
	s.markOwn(taken)
	err = s.work(ctx, a, taken, partitions)
	if s.markEnded(taken, err == nil); err != nil {
		s.pass.progress.settle(-a.settled.Load(), enrolling(s.pass.saved().Totals))
	}
	if errors.Is(err, errRangeLost) || errors.Is(err, record.ErrFenced) {
		err = s.pass.owned(ctx) // nil when another process has taken this range alone
	}
	return true, err
}

// markOwn notes that a worker of this pass has a range.
func (s *sharing) markOwn(r crmstore.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own[r.Number] = true
}

// markEnded notes that this pass has ended its work on a range, and whether the range is done.
func (s *sharing) markEnded(r crmstore.Range, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[r.Number] = r.Fence
	if !done {
		delete(s.own, r.Number)
	}
}

// work carries a range out and saves it as done. When it cannot, it gives the range back.
func (s *sharing) work(ctx context.Context, a *actor, r crmstore.Range, partitions int) error {
	work, stop := context.WithCancelCause(ctx)
	var beating sync.WaitGroup
	beating.Go(func() { s.beatRange(work, stop, a, r) })
	from := r.Number * rangePartitions
	err := a.actRange(work, from, min(from+rangePartitions, partitions))
	if cause := context.Cause(work); err != nil && cause != nil {
		err = cause
	}
	stop(nil)
	beating.Wait()
	r.Settled, r.Beat = a.settled.Load(), s.pass.store.Now()
	if r.Done = err == nil; !r.Done {
		r.Owner = ""
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	keepErr := s.pass.store.KeepRange(end, s.pass.saved(), r)
	if err != nil || errors.Is(keepErr, record.ErrConflict) { // the range's new owner finds that it is done
		return err
	}
	return keepErr
}

// beatRange gives signs of life for a range until the work is over. It stops the work when the range is lost.
func (s *sharing) beatRange(ctx context.Context, stop context.CancelCauseFunc, a *actor, r crmstore.Range) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		r.Settled, r.Beat = a.settled.Load(), s.pass.store.Now()
		if errors.Is(s.pass.store.KeepRange(ctx, s.pass.saved(), r), record.ErrConflict) {
			stop(errRangeLost)
			return
		}
		// Other errors are left to the work: it meets the same store, and reports it.
	}
}

// reopen makes ranges takeable again that are marked done and have partitions that are not.
func (s *sharing) reopen(ctx context.Context, open []int) error {
	list, err := s.pass.store.Ranges(ctx, s.pass.id)
	if err != nil {
		return err
	}
	for _, r := range list {
		if !r.Done || !slices.ContainsFunc(open, func(partition int) bool { return partition/rangePartitions == r.Number }) {
			continue
		}
		taken, err := s.pass.store.TakeRange(ctx, s.pass.saved(), r, "", s.pass.store.Now())
		if errors.Is(err, record.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		s.markEnded(taken, false)
	}
	return nil
}

// Help carries out ranges of a run that another process carries, one after the other, until each has an owner or is done.
// It returns nil when there is nothing to do, or the run ends or stops meanwhile: its carrier reports that. When the
// context ends it finishes the batch in hand and gives the range back.
func (r *Runner) Help(ctx context.Context, id string) error {
	run, err := r.Store.Run(ctx, id)
	if errors.Is(err, record.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("help with run %s: %w", id, err)
	}
	s := r.newPass(run).sharing()
	if s.pass.helping = true; run.State != crmstore.RunRunning || run.Stage != stageAct {
		return nil
	}
	list, err := s.pass.store.Ranges(ctx, id)
	if err != nil {
		return fmt.Errorf("help with run %s: %w", id, err)
	}
	if !slices.ContainsFunc(list, func(r crmstore.Range) bool { return s.takeable(r, s.pass.store.Now()) }) {
		return nil
	}
	partitions, err := s.pass.store.Partitions(ctx)
	if err == nil {
		err = s.pass.load(ctx)
	}
	if err == nil {
		err = s.takeAll(ctx, partitions)
	}
	if err == nil || errors.As(err, new(*lostError)) || errors.As(err, new(*RefusedError)) || errors.As(err, new(*TroubleError)) {
		return nil // the run's carrier meets the same, and reports it
	}
	return fmt.Errorf("help with run %s: %w", id, err)
}
