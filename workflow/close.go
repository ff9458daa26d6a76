package workflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// lostError says that this pass no longer owns the run: a user stopped it, or another process took it over.
type lostError struct{ now crmstore.Run }

func (e *lostError) Error() string {
	return fmt.Sprintf("run %s was taken over by another process (it is %s now)", e.now.ID, e.now.State)
}

// Unwrap makes it an ErrFenced.
func (e *lostError) Unwrap() error { return record.ErrFenced }

// limitError holds a run that is over a limit.
type limitError struct {
	reason string
	metric string // as the metric of refusals says it
}

func (e *limitError) Error() string { return e.reason }

// interruptedError says that the context ended; the run was let go and goes on when it is resumed.
type interruptedError struct {
	run   string
	cause error
}

func (e *interruptedError) Error() string {
	return fmt.Sprintf("run %s was interrupted and can be resumed: %v", e.run, e.cause)
}

func (e *interruptedError) Unwrap() error { return e.cause }

// ending is how a pass ends.
type ending struct {
	state  crmstore.RunState
	reason string
	cause  error // what the caller gets
	asked  bool  // held because it is over a limit: an approval answers that
}

// closing is the end of a pass: what it saves, counts and logs.
type closing struct{ pass *pass }

// end saves how the pass ended, counts it, and writes its line in the log.
func (c *closing) end(ctx context.Context, err error) (crmstore.Run, error) {
	var limit *limitError
	var room *roomError
	var lost *lostError
	var refused *RefusedError
	var interrupted *interruptedError
	switch {
	case err == nil:
		return c.finish(ctx, ending{state: crmstore.RunDone})
	case errors.As(err, &interrupted):
		return c.finish(ctx, ending{state: crmstore.RunRunning, cause: err})
	case errors.As(err, &room):
		return c.finish(ctx, ending{state: crmstore.RunRunning, reason: room.reason, cause: err})
	case errors.As(err, &limit):
		c.pass.metrics().refused(c.pass.workflow, cmp.Or(limit.metric, RefusedLimit))
		return c.finish(ctx, ending{state: crmstore.RunHeld, reason: limit.reason + c.approvalWords(ctx), asked: true})
	case errors.As(err, &refused) && c.pass.byHand: // its user reads the refusal at once, and may repeat the command
		return c.finish(ctx, ending{state: crmstore.RunFailed, reason: refused.Message, cause: refused})
	case errors.As(err, &refused):
		c.pass.metrics().refused(c.pass.workflow, refused.Reason)
		return c.finish(ctx, ending{state: crmstore.RunHeld, reason: refused.Message})
	case errors.As(err, &lost), errors.Is(err, record.ErrFenced):
		return c.leave(ctx)
	default:
		return c.finish(ctx, ending{state: crmstore.RunFailed, reason: err.Error(), cause: fmt.Errorf("run %s: %w", c.pass.id, err)})
	}
}

// finish saves the run in its new state, with exact totals and without an owner.
func (c *closing) finish(ctx context.Context, e ending) (crmstore.Run, error) {
	totals, err := crmstore.Totals{}, error(nil)
	if e.state == crmstore.RunDone && c.pass.sum != nil {
		totals = *c.pass.sum
	} else {
		totals, err = tally(ctx, c.pass.store, c.pass.saved())
	}
	if err == nil && e.state == crmstore.RunDone {
		err = complete(totals)
	}
	if err != nil && e.state == crmstore.RunDone {
		e = ending{state: crmstore.RunFailed, reason: err.Error(), cause: fmt.Errorf("run %s: %w", c.pass.id, err)}
	}
	if e.state == crmstore.RunDone {
		done := c.pass.saved()
		done.Totals = totals
		if err := settle(ctx, c.pass.store, done, true, c.pass.store.Now()); err != nil {
			c.keepCount()
			return c.pass.saved(), fmt.Errorf("run %s: %w", c.pass.id, err) // a later pass carries it on and counts it
		}
	}
	saveErr := c.pass.update(ctx, func(run *crmstore.Run) {
		run.State, run.Reason, run.Owner, run.Progress = e.state, e.reason, "", crmstore.Progress{}
		if run.Totals = c.known(run.Totals); err == nil {
			run.Totals = totals
		}
		switch e.state {
		case crmstore.RunDone, crmstore.RunFailed:
			run.FinishedAt = run.Beat
		case crmstore.RunHeld:
			if !e.asked {
				askAgain(run)
			}
		}
	})
	if _, lost := errors.AsType[*lostError](saveErr); lost {
		return c.leave(ctx)
	}
	run := c.pass.saved()
	if saveErr != nil {
		e.cause = errors.Join(e.cause, saveErr)
		run.State = crmstore.RunFailed
		if run.Totals = c.known(run.Totals); err == nil {
			run.Totals = totals
		}
		c.report(ctx, run, e.cause)
		c.pass.r.Metrics.remember(c.pass.workflow, run) // the store does not know what was counted
		return run, e.cause
	} else if run.State == crmstore.RunHeld || run.State == crmstore.RunFailed {
		run, err = settleFenced(ctx, c.pass.store, run)
		e.cause = errors.Join(e.cause, err)
	}
	c.report(ctx, run, e.cause)
	return run, e.cause
}

// sumUp counts what the run did. It is part of a stage, so that the pass waits for a store in trouble here too.
func (p *pass) sumUp(ctx context.Context) error {
	totals, err := tally(ctx, p.store, p.saved())
	if err != nil {
		return err
	}
	if complete(totals) != nil && !leapt(p.fence) { // once
		p.matchesLost = true
		return errRolledBack
	}
	p.sum = &totals
	return nil
}

// complete is an error unless every match has an outcome.
func complete(t crmstore.Totals) error {
	if got, want := t.Deleted+t.Changed+t.Held+t.Failed, enrolling(t); got != want {
		return fmt.Errorf("%s of %s matches have an outcome: the run's data in the store was changed by something else",
			diag.Thousands(got), diag.Thousands(want))
	}
	return nil
}

// leave ends a pass that lost its run. It saves the final totals of a run that a user or another process stopped: only now
// is the last batch over.
func (c *closing) leave(ctx context.Context) (crmstore.Run, error) {
	for range 5 {
		run, err := c.pass.store.Run(ctx, c.pass.id)
		if err != nil {
			c.keepCount()
			return c.pass.saved(), fmt.Errorf("read run %s: %w", c.pass.id, err)
		}
		if !c.pass.halted(run) {
			c.pass.r.event(ctx, run, slog.LevelWarn, "run lost to another process", slog.String(keyState, string(run.State)))
			return run, &lostError{now: run}
		}
		if c.pass.isLarge() { // a helper may have a batch on its way until the run is fenced
			if run, err = c.pass.store.SealRun(ctx, run); errors.Is(err, record.ErrConflict) {
				continue
			}
			if err != nil {
				return run, fmt.Errorf("fence run %s: %w", c.pass.id, err)
			}
		}
		if run.Totals, err = tally(ctx, c.pass.store, run); err != nil {
			c.keepCount()
			return run, fmt.Errorf("sum run %s up: %w", c.pass.id, err)
		}
		run.Owner = ""
		saved, err := c.pass.store.SaveRun(ctx, run)
		if errors.Is(err, record.ErrConflict) {
			continue
		}
		if err != nil {
			c.keepCount()
			return run, fmt.Errorf("save run %s: %w", c.pass.id, err)
		}
		if err := settleStopped(ctx, c.pass.store, saved, c.pass.store.Now()); err != nil {
			return saved, err
		}
		if saved.State == crmstore.RunHeld {
			c.pass.metrics().refused(c.pass.workflow, c.whyHeld(ctx, saved))
		}
		c.report(ctx, saved, nil)
		return saved, nil
	}
	return c.pass.saved(), fmt.Errorf("save run %s: %w", c.pass.id, record.ErrConflict)
}

// approvalWords is the part of a held run's reason that names the rules of its approval; "" where any user may approve. It
// only informs: an approval reads the rules again.
func (c *closing) approvalWords(ctx context.Context) string {
	rules, err := c.pass.r.rulesOf(ctx, c.pass.saved())
	if err != nil || rules.String() == "" {
		return ""
	}
	return "; " + rules.String()
}

// whyHeld is the reason, for the metric of refusals, of a run that was held from outside while this pass carried it.
func (c *closing) whyHeld(ctx context.Context, run crmstore.Run) string {
	if _, err := mayAct(ctx, c.pass.store, run); err != nil {
		if refused, ok := errors.AsType[*RefusedError](err); ok {
			return refused.Reason
		}
	}
	return RefusedOff
}

// known is the totals with at least the deletions that this pass knows of. It is for an end that cannot ask the store.
func (c *closing) known(t crmstore.Totals) crmstore.Totals {
	t.Deleted = max(t.Deleted, c.pass.counted.Deleted+c.pass.did.Load())
	return t
}

// keepCount counts what this pass deleted when its end could not be saved. A later pass of this process counts the rest.
func (c *closing) keepCount() {
	run := c.pass.saved()
	run.State, run.Totals = crmstore.RunRunning, c.known(run.Totals)
	c.pass.metrics().ended(c.ending(run))
	c.pass.r.Metrics.remember(c.pass.workflow, run)
}

// ending is the pass's end for the metrics.
func (c *closing) ending(run crmstore.Run) passEnd {
	end := passEnd{run: run, counted: c.pass.counted, took: monotonic().Sub(c.pass.began)}
	if c.pass.def != nil {
		for _, step := range c.pass.def.Actions {
			end.actions = append(end.actions, step.Spec.Name)
		}
	}
	return end
}

// report counts the end of the pass and writes its line.
func (c *closing) report(ctx context.Context, run crmstore.Run, cause error) {
	c.pass.metrics().ended(c.ending(run))
	c.pass.r.Metrics.forgetCount(run.ID)
	what, level := "run done", slog.LevelInfo
	switch run.State {
	case crmstore.RunRunning:
		what = "run interrupted"
		if errors.As(cause, new(*roomError)) {
			what = "run waits for room in its limits"
		}
	case crmstore.RunHeld:
		what, level = "run held", slog.LevelWarn
	case crmstore.RunFailed:
		what, level = "run failed", slog.LevelError
	case crmstore.RunCancelled:
		what = "run stopped after being cancelled"
	case crmstore.RunDone:
	}
	attrs := append([]slog.Attr{slog.String(keyStage, run.Stage)}, totalsAttrs(run.Totals)...)
	if run.Reason != "" {
		attrs = append(attrs, slog.String(keyReason, run.Reason))
	} else if cause != nil {
		attrs = append(attrs, slog.String(keyError, cause.Error()))
	}
	c.pass.r.event(ctx, run, level, what, attrs...)
}

// tally counts what the run did from what the store holds: the totals of partitions that are done, and in the others the
// enrollments that the run completed. So it is exact at any moment, whichever process died.
func tally(ctx context.Context, store *crmstore.Store, run crmstore.Run) (crmstore.Totals, error) {
	totals := run.Totals
	totals.Deleted, totals.Changed, totals.Held, totals.Failed = 0, 0, 0, 0
	if run.Stage == stageEvaluate || run.Stage == stageGuard {
		return totals, nil
	}
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return totals, fmt.Errorf("sum up: %w", err)
	}
	counts, err := store.CountMatches(ctx, run.Object, run.ID, 0, partitions)
	if err != nil {
		return totals, fmt.Errorf("sum up: %w", err)
	}
	var open []int
	for _, c := range counts {
		if !c.Done {
			open = append(open, c.Partition)
			continue
		}
		totals.Deleted += c.Deleted
		totals.Changed += c.Changed
		totals.Held += c.Held
		totals.Failed += c.Failed
	}
	for len(open) > 0 {
		from := open[0]
		end, _ := slices.BinarySearch(open, from+rangePartitions)
		deleted, err := deletedIn(ctx, store, run, open[:end])
		if err != nil {
			return totals, fmt.Errorf("sum up: %w", err)
		}
		totals.Deleted += deleted
		open = open[end:]
	}
	return totals, nil
}

// deletedIn counts the records that the run deleted in partitions that are not done. They are sorted and near each other.
func deletedIn(ctx context.Context, store *crmstore.Store, run crmstore.Run, partitions []int) (deleted int64, err error) {
	parts, err := store.Matches(ctx, run.Object, run.ID, partitions[0], partitions[len(partitions)-1]+1)
	if err != nil {
		return 0, err
	}
	var open []record.PartitionIDs
	for _, m := range parts {
		if slices.Contains(partitions, m.Partition) {
			open = append(open, record.PartitionIDs{Partition: m.Partition, IDs: m.IDs})
		}
	}
	byRun, err := completed(ctx, store, run, open)
	for _, part := range byRun {
		deleted += int64(len(part))
	}
	return deleted, err
}

// completed is, for each of the given partitions, the set of its records that the run deleted, wherever they are now.
func completed(ctx context.Context, store *crmstore.Store, run crmstore.Run, parts []record.PartitionIDs) ([]map[record.ID]bool, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	enrolled, err := store.Enrollments(ctx, run.Object, run.EnrollsIn(), parts)
	if err != nil {
		return nil, err
	}
	byRun := make([]map[record.ID]bool, len(parts))
	for i, part := range parts {
		byRun[i] = map[record.ID]bool{}
		for j, id := range part.IDs {
			if e := enrolled[i][j]; e.State == record.Completed && e.Run == run.ID {
				byRun[i][id] = true
			}
		}
	}
	return byRun, nil
}
