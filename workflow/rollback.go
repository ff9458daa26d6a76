package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// errRolledBack says that the store lost writes that it had confirmed: the power went off, or a replica took over that did
// not have them yet. The run goes on from what the store still has; see reconcile.
var errRolledBack = errors.New("the store went back to an earlier state")

// fenceLeap is how far a run's fencing number leaps after the store went back. The leap passes all numbers that the store
// has forgotten and would give out again.
const fenceLeap = 1 << 20

// leapt reports whether a run with this fence was taken anew after the store went back. The fence says it, because the
// store could lose any other note of it.
func leapt(fence uint64) bool { return fence > fenceLeap }

// reconcile finds out, after trouble, whether the store lost what it had saved of the run. If it did, the pass takes the
// run anew with a fencing number above all earlier ones: processes with an earlier number change nothing any more. The
// pass then goes on deleting if the store has all matches, and otherwise evaluates again.
func (p *pass) reconcile(ctx context.Context) error {
	own := p.saved()
	now, err := p.store.Run(ctx, p.id)
	if err != nil {
		return fmt.Errorf("read run %s: %w", p.id, err)
	}
	if now.Version >= own.Version && !p.matchesLost && now.Stage == own.Stage {
		return nil
	}
	if now.State != crmstore.RunRunning || now.Fence > p.fence {
		return &lostError{now: now}
	}
	kept := !p.matchesLost && (own.Stage == stageAct || own.Stage == stageClose)
	if kept {
		switch err := p.allSaved(ctx, enrolling(own.Totals)); {
		case errors.Is(err, errRolledBack):
			kept = false
		case err != nil:
			return err
		}
	}
	p.matchesLost = !kept // until forgetMatches has come to its end
	next := now
	next.Fence, next.Owner, next.Beat = p.fence+fenceLeap, p.r.owner(), p.store.Now()
	if next.Stage, next.Totals = stageEvaluate, (crmstore.Totals{}); kept {
		next.Stage, next.Totals = stageAct, own.Totals
	}
	saved, err := p.store.TakeRun(ctx, next)
	if err != nil {
		return fmt.Errorf("take run %s again: %w", p.id, err)
	}
	p.mu.Lock()
	p.run, p.fence, p.ranges = saved, saved.Fence, nil
	p.mu.Unlock()
	p.r.event(ctx, saved, slog.LevelWarn, "store went back to an earlier state; the run goes on from there", slog.String(keyStage, saved.Stage))
	if p.matchesLost {
		return p.forgetMatches(ctx)
	}
	return nil
}

// refusedMatches explains why the store refused an evaluation's matches. If this pass still owns the run, a higher fencing
// number is left of an earlier run of the same name, which the store has lost in part.
func (p *pass) refusedMatches(ctx context.Context, err error) error {
	if !errors.Is(err, record.ErrFenced) {
		return err
	}
	if err := p.owned(ctx); err != nil {
		return err
	}
	p.mu.Lock() // several ranges may come here at once
	p.matchesLost = true
	p.mu.Unlock()
	return errRolledBack
}

// forgetMatches removes what is left of the matches. Its fencing number stops all processes with a lower one.
func (p *pass) forgetMatches(ctx context.Context) error {
	partitions, err := p.store.Partitions(ctx)
	if err != nil {
		return fmt.Errorf("evaluate again: %w", err)
	}
	none := make([]crmstore.Matches, partitions)
	for i := range none {
		none[i].Partition = i
	}
	if err := p.store.SaveMatches(ctx, p.runMatches(), none); err != nil {
		return fmt.Errorf("evaluate again: %w", err)
	}
	p.matchesLost = false
	return nil
}

// addDeleted adds the records that the run has deleted already to what the scan found. They matched in an earlier scan.
func (e *evaluation) addDeleted(ctx context.Context, found *scanResult) error {
	run := e.pass.saved()
	deleted, err := e.pass.store.EnrolledBy(ctx, e.pass.def.Object, run.EnrollsIn(), e.pass.id, found.from, found.to)
	if err != nil {
		return fmt.Errorf("evaluate again: %w", err)
	}
	for _, part := range deleted {
		n := int64(len(part.IDs))
		found.totals.Evaluated += n
		found.totals.Matched += n
		at, there := slices.BinarySearchFunc(found.enroll, part.Partition, func(part record.PartitionIDs, partition int) int { return part.Partition - partition })
		if there {
			found.enroll[at].IDs = append(found.enroll[at].IDs, part.IDs...)
			continue
		}
		found.enroll = slices.Insert(found.enroll, at, part)
	}
	return nil
}

// reopenLost compares each partition's count of deletions with the deletions that the store has. It opens partitions that
// lost some again, and returns how many these are.
func (a *actor) reopenLost(ctx context.Context, from, to int) (int, error) {
	parts, err := a.pass.store.Matches(ctx, a.pass.def.Object, a.pass.id, from, to)
	if err != nil {
		return 0, err
	}
	var done []record.PartitionIDs
	for _, m := range parts {
		done = append(done, record.PartitionIDs{Partition: m.Partition, IDs: m.IDs})
	}
	deleted, err := completed(ctx, a.pass.store, a.pass.saved(), done)
	if err != nil {
		return 0, err
	}
	var lost []crmstore.Matches
	for i, m := range parts {
		if m.Done && int64(len(deleted[i])) < m.Deleted {
			lost = append(lost, crmstore.Matches{Partition: m.Partition, IDs: m.IDs})
			a.addSettled(-len(m.IDs))
		}
	}
	if len(lost) == 0 {
		return 0, nil
	}
	return len(lost), a.pass.store.SaveMatches(ctx, a.rangeMatches(), lost)
}
