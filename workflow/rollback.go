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

// errRolledBack says that the store lost what it had said was saved: the power went off, or a replica took over that did not have
// it yet. The run goes on from what the store knows of it; see reconcile.
var errRolledBack = errors.New("the store went back to an earlier state")

// fenceLeap is how far a run's fencing number leaps after the store went back: above all numbers that may have been taken for the run
// since, which the store has forgotten and would give out again.
const fenceLeap = 1 << 20

// leapt reports whether a run with this fence was taken anew after the store went back. The fence says it because every
// other note of it could be among what the store lost.
func leapt(fence uint64) bool { return fence > fenceLeap }

// reconcile finds out, after trouble, whether the store went back behind what it had saved of the run. When it did, the pass takes
// the run anew, with a number above all that were taken, so that nobody who still carries out what was before changes
// anything; and goes on deleting when the store has all matches, or else evaluates again.
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

// refusedMatches is why matches of an evaluation could not be saved. Numbers above the run's own, though the run is still this
// pass's, are those of an earlier run of its name that the store has lost, but not all that it did.
func (p *pass) refusedMatches(ctx context.Context, err error) error {
	if !errors.Is(err, record.ErrFenced) {
		return err
	}
	if err := p.owned(ctx); err != nil {
		return err
	}
	p.mu.Lock() // several ranges may find it at once
	p.matchesLost = true
	p.mu.Unlock()
	return errRolledBack
}

// forgetMatches takes away what is left of the matches, and with it keeps everybody with a lower number from deleting any more.
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

// addDeleted adds to what an evaluation found the records that the run has deleted already. They matched when it evaluated before.
func (p *pass) addDeleted(ctx context.Context, found *scanResult) error {
	name := p.saved()
	deleted, err := p.store.EnrolledBy(ctx, p.def.Object, name.EnrollsIn(), p.id, found.from, found.to)
	if err != nil {
		return fmt.Errorf("evaluate again: %w", err)
	}
	for _, part := range deleted {
		n := int64(len(part.IDs))
		found.totals.Evaluated += n
		found.totals.Matched += n
		at, there := slices.BinarySearchFunc(found.enroll, part.Partition, func(e record.PartitionIDs, p int) int { return e.Partition - p })
		if there {
			found.enroll[at].IDs = append(found.enroll[at].IDs, part.IDs...)
			continue
		}
		found.enroll = slices.Insert(found.enroll, at, part)
	}
	return nil
}

// reopenLost compares the partitions' counts of deletions with what was deleted. It opens again the partitions that
// count too many, and returns how many these are.
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
