package workflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// runMatches names the run's matches with the pass's fence.
func (p *pass) runMatches() crmstore.RunMatches {
	run := p.saved()
	return crmstore.RunMatches{Object: run.Object, Run: p.id, Fence: p.fence}
}

// halted reports whether the run was held or cancelled from outside while this pass carried it, and has no newer owner.
func (p *pass) halted(run crmstore.Run) bool {
	return (run.State == crmstore.RunCancelled || run.State == crmstore.RunHeld) && run.Fence == p.fence
}

// stopRuns holds and fences the workflow's unfinished run, if there is one. After that, no process that carried it deletes
// anything more. Its carrier still counts what it did, and lets the run go.
func stopRuns(ctx context.Context, store *crmstore.Store, w crmstore.Workflow, at time.Time) error {
	for range 20 {
		run, err := unfinished(ctx, store, w.Name)
		if err != nil || run.ID == "" {
			return err
		}
		if err := hold(ctx, store, run, refusedOff(w).Message, at); !errors.Is(err, record.ErrConflict) {
			return err // a conflict is the carrier's sign of life
		}
	}
	return fmt.Errorf("hold the run that is under way: %w", record.ErrConflict)
}

// unfinished is the workflow's run that is not over; the zero Run when there is none.
func unfinished(ctx context.Context, store *crmstore.Store, name string) (crmstore.Run, error) {
	runs, err := store.ActiveRuns(ctx)
	if err != nil {
		return crmstore.Run{}, err
	}
	for _, run := range runs {
		if run.Kind == crmstore.RunWorkflow && run.Workflow == name {
			return run, nil
		}
	}
	return crmstore.Run{}, nil
}

// hold makes a running run held, and fences it in any case: an earlier carrier may be frozen in a deletion.
func hold(ctx context.Context, store *crmstore.Store, run crmstore.Run, reason string, at time.Time) error {
	if run.State == crmstore.RunRunning {
		if abandoned(run, at) { // no carrier will count what it did
			var err error
			if run.Totals, err = tally(ctx, store, run); err != nil {
				return err
			}
			run.Owner = ""
		}
		run.State, run.Reason = crmstore.RunHeld, reason
		askAgain(&run)
	}
	fenced, err := store.SealRun(ctx, run)
	if err != nil || fenced.Owner != "" {
		return err
	}
	_, err = settleFenced(ctx, store, fenced)
	return err
}

// recount counts again what a fenced run without a carrier did: until it was fenced, helpers may have worked on its ranges.
func recount(ctx context.Context, store *crmstore.Store, run crmstore.Run) (crmstore.Run, error) {
	totals, err := tally(ctx, store, run)
	if err != nil || totals == run.Totals {
		return run, err
	}
	run.Totals = totals
	saved, err := store.SaveRun(ctx, run)
	if errors.Is(err, record.ErrConflict) { // a new carrier took it, and counts at its end
		return run, nil
	}
	return saved, err
}

// askAgain sends a run that is held in its guard back to its evaluation, so that an approval cannot skip the guard: no
// user has seen the run's count yet.
func askAgain(run *crmstore.Run) {
	if run.Stage == stageGuard {
		run.Stage = stageEvaluate
	}
}
