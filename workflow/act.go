package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
)

const (
	// batchRecords is how many records of one partition one script deletes.
	batchRecords = 64
	// maxTries is how often a record that changes between its test and its deletion is tested again.
	maxTries = 5
)

// part is one partition's matches on their way to an outcome.
type part struct {
	crmstore.Matches             // Deleted, Changed, Held and Failed count up
	open             []record.ID // no outcome yet
	tries            map[record.ID]int
	shown            int // matches with an outcome, as progress shows them
}

// actor carries out ranges for a pass: one after the other, or in a large run a single one. Only settled is safe for
// concurrent use.
type actor struct {
	pass       *pass
	matcher    *triggers.Matcher
	rangeFence uint64       // the run's fence, or in a large run the fence of the range
	repeats    bool         // an earlier process, or this one before trouble, may have deleted some of it
	settled    atomic.Int64 // matches that have an outcome
}

func (p *pass) newActor() *actor {
	return &actor{pass: p, matcher: p.matcher.Clone(), rangeFence: p.fence, repeats: p.carriedBefore()}
}

// act carries out all ranges, two at a time, and closes the run when every partition is done. Before it closes the run
// it asks the store once more: a store that failed over may have lost partitions that it had called done.
func (p *pass) act(ctx context.Context) error {
	if p.again || !p.reserved { // the guard or an earlier carrier has reserved, unless the store lost it
		if err := p.reserve(ctx, p.saved().ApprovedBy != ""); err != nil {
			return err
		}
	}
	partitions, err := p.store.Partitions(ctx)
	if err != nil {
		return fmt.Errorf("act: %w", err)
	}
	for range maxTroubles {
		if err := p.actAll(ctx, partitions); err != nil {
			return err
		}
		counts, err := p.store.CountMatches(ctx, p.def.Object, p.id, 0, partitions)
		if err != nil {
			return fmt.Errorf("act: %w", err)
		}
		var open []int
		for _, c := range counts {
			if !c.Done {
				open = append(open, c.Partition)
			}
		}
		if len(open) == 0 {
			return p.update(ctx, func(run *crmstore.Run) { run.Stage = stageClose })
		}
		p.again = true
		if p.isLarge() {
			if err := p.sharing().reopen(ctx, open); err != nil {
				return fmt.Errorf("act: %w", err)
			}
		}
	}
	return fmt.Errorf("the store keeps losing what run %s has done", p.id)
}

// actAll carries out what is not done: a large run together with others, a small one alone.
func (p *pass) actAll(ctx context.Context, partitions int) error {
	p.progress.restart()
	if p.isLarge() {
		return p.sharing().carryOut(ctx, partitions)
	}
	return eachRange(ctx, partitions, rangePartitions, func() func(ctx context.Context, from, to int) error {
		return p.newActor().actRange
	})
}

// actRange carries out partitions from ≤ p < to. It depends on the run in the store alone: any owner may repeat it, and
// it skips what is done. When the context ends it finishes the batches in hand first. A server that was away may have lost
// deletions of a partition that is done: after a new connection actRange compares, and begins again where some are lost.
func (a *actor) actRange(ctx context.Context, from, to int) error {
	for range maxTroubles {
		before := a.pass.store.Connections()
		if err := a.actOnce(ctx, from, to); err != nil {
			return err
		}
		if a.pass.store.Connections() == before {
			return nil
		}
		reopened, err := a.reopenLost(ctx, from, to)
		if err != nil {
			return fmt.Errorf("act on partitions %d to %d: %w", from, to-1, err)
		}
		if reopened == 0 {
			return nil
		}
		a.repeats = true
	}
	return fmt.Errorf("act on partitions %d to %d: %w", from, to-1, errRolledBack)
}

// actOnce does the work of actRange.
func (a *actor) actOnce(ctx context.Context, from, to int) error {
	parts, err := a.openParts(ctx, from, to)
	if err != nil {
		return fmt.Errorf("act on partitions %d to %d: %w", from, to-1, err)
	}
	for len(parts) > 0 {
		acting, n, err := a.pass.throttle.turn(ctx, openMatches(parts))
		if err != nil {
			return err
		}
		whole := context.WithoutCancel(ctx)
		if err := a.round(whole, acting, parts, n); err != nil {
			return fmt.Errorf("act on partitions %d to %d: %w", from, to-1, err)
		}
		if parts, err = a.settle(whole, parts); err != nil {
			return fmt.Errorf("act on partitions %d to %d: %w", from, to-1, err)
		}
	}
	return nil
}

// mayGoOn asks, before each round, all that may have changed: the context, the run's owner and state, the account's tier,
// the workflow's switch, the permissions of the acting user, and the list of a deletion by hand. It returns the store as
// that user sees it.
func (p *pass) mayGoOn(ctx context.Context) (*crmstore.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := p.r.Health.mayGoOn(ctx); err != nil {
		return nil, err
	}
	if err := p.owned(ctx); err != nil {
		return nil, err
	}
	return mayAct(ctx, p.store, p.saved())
}

// openParts reads what is to be done. In a repeated range, records that the run has deleted count as done, also when a
// user restored them since.
func (a *actor) openParts(ctx context.Context, from, to int) ([]*part, error) {
	saved, err := a.pass.store.Matches(ctx, a.pass.def.Object, a.pass.id, from, to)
	if err != nil {
		return nil, err
	}
	var parts []*part
	var want []record.PartitionIDs
	for _, m := range saved {
		if m.Done {
			a.addSettled(len(m.IDs))
			continue
		}
		m.Deleted, m.Changed, m.Held, m.Failed = 0, 0, 0, 0
		parts = append(parts, &part{Matches: m, open: slices.Clone(m.IDs), tries: map[record.ID]int{}})
		want = append(want, record.PartitionIDs{Partition: m.Partition, IDs: m.IDs})
	}
	if !a.repeats {
		return parts, nil
	}
	byRun, err := completed(ctx, a.pass.store, a.pass.saved(), want)
	if err != nil {
		return nil, err
	}
	for i, part := range parts {
		part.Deleted = int64(len(byRun[i]))
		part.open = slices.DeleteFunc(part.open, func(id record.ID) bool { return byRun[i][id] })
	}
	return a.settle(context.WithoutCancel(ctx), parts)
}

// settle marks the partitions done that have nothing open any more, and returns the others.
func (a *actor) settle(ctx context.Context, parts []*part) ([]*part, error) {
	var open []*part
	var done []crmstore.Matches
	news := 0
	for _, part := range parts {
		had := part.shown
		part.shown = len(part.IDs) - len(part.open)
		news += part.shown - had
		if len(part.open) > 0 {
			open = append(open, part)
			continue
		}
		part.Done = true
		done = append(done, part.Matches)
	}
	if len(done) > 0 {
		if err := a.pass.store.FinishMatches(ctx, a.rangeMatches(), done); err != nil {
			return nil, err
		}
	}
	a.addSettled(news)
	return open, nil
}

// rangeMatches names the run's matches with the fence of the range.
func (a *actor) rangeMatches() crmstore.RunMatches {
	return crmstore.RunMatches{Object: a.pass.def.Object, Run: a.pass.id, Fence: a.rangeFence}
}

// addSettled counts matches that got an outcome, for the range and for the run.
func (a *actor) addSettled(news int) {
	a.settled.Add(int64(news))
	a.pass.progress.settle(int64(news), enrolling(a.pass.saved().Totals))
}

// round reads and tests the next batch of every partition, n records in all. The actions get the records that still match.
func (a *actor) round(ctx context.Context, acting *crmstore.Store, parts []*part, n int) error {
	byNumber := make(map[int]*part, len(parts))
	want := make([]record.PartitionIDs, 0, len(parts))
	for _, part := range parts {
		take := min(len(part.open), batchRecords, n)
		if n -= take; take == 0 {
			break
		}
		byNumber[part.Partition] = part
		want = append(want, record.PartitionIDs{Partition: part.Partition, IDs: part.open[:take:take]})
		part.open = part.open[take:]
	}
	var batches []actions.Batch
	err := a.matcher.Test(ctx, acting, a.pass.def.Object, want, func(n int, recs []*record.Record, verdicts []triggers.Verdict) error {
		if batch := byNumber[n].tested(a.pass.id, recs, verdicts); len(batch.Records) > 0 {
			batches = append(batches, batch)
		}
		return nil
	})
	if damaged, ok := errors.AsType[*record.DamagedError](err); ok {
		for _, id := range damaged.IDs { // tested has counted them as changed
			part := byNumber[a.partitionOf(want, id)]
			part.Changed--
			part.Failed++
		}
		err = nil
	}
	if err != nil || len(batches) == 0 {
		return err
	}
	if err := a.pass.listsStand(ctx); err != nil {
		return err
	}
	outcomes, err := a.do(ctx, acting, batches)
	if err != nil {
		return err
	}
	for i, batch := range batches {
		for j, rec := range batch.Records {
			if outcomes[i][j] == actions.Done {
				a.pass.did.Add(1)
			}
			byNumber[batch.Partition].take(rec.ID, outcomes[i][j])
		}
	}
	return nil
}

// partitionOf is the partition of a record in want.
func (a *actor) partitionOf(want []record.PartitionIDs, id record.ID) int {
	i := slices.IndexFunc(want, func(w record.PartitionIDs) bool { return slices.Contains(w.IDs, id) })
	return want[i].Partition
}

// tested is the batch of the records that still enroll. It counts the outcome of the others.
func (t *part) tested(run string, recs []*record.Record, verdicts []triggers.Verdict) actions.Batch {
	batch := actions.Batch{Partition: t.Partition}
	for i, rec := range recs {
		switch {
		case rec != nil && rec.Deletion != nil && rec.Deletion.Run == run:
			t.Deleted++
		case rec == nil || rec.Deletion != nil || !verdicts[i].Enrolls():
			t.Changed++
		default:
			batch.Records = append(batch.Records, actions.Tested{
				ID: rec.ID, Slot: rec.Slot, Version: rec.Version, Trigger: verdicts[i].Trigger,
			})
		}
	}
	return batch
}

// take counts one record's outcome, or puts it back to be tested again.
func (t *part) take(id record.ID, outcome actions.Outcome) {
	switch outcome {
	case actions.Done, actions.Repeated:
		t.Deleted++
	case actions.Left:
		t.Changed++
	case actions.Held:
		t.Held++
	default:
		t.tries[id]++
		if t.tries[id] >= maxTries {
			t.Failed++
			return
		}
		t.open = append(t.open, id)
	}
}

// do performs the definition's actions in order. A record's outcome is the first that is not done, else done.
func (a *actor) do(ctx context.Context, acting *crmstore.Store, batches []actions.Batch) ([][]actions.Outcome, error) {
	run := a.pass.saved()
	call := actions.Call{
		Object: a.pass.def.Object, At: a.pass.store.Now(), Fence: a.rangeFence, Batches: batches,
		Cause: record.Cause{Workflow: run.Workflow, Revision: run.Revision, Run: run.ID},
	}
	if a.pass.byHand {
		call.Cause.Reason = reasonByHand(run)
	}
	var all [][]actions.Outcome
	for i, step := range a.pass.def.Actions {
		outcomes, err := step.Spec.New().Do(ctx, acting, call)
		if err != nil {
			return nil, asRefusal(a.pass.workflow, err)
		}
		if i == 0 {
			all = outcomes
			continue
		}
		for b := range all {
			for r, before := range all[b] {
				if before == actions.Done || before == actions.Repeated {
					all[b][r] = outcomes[b][r]
				}
			}
		}
	}
	return all, nil
}
