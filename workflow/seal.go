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

// halted reports whether somebody else held or cancelled the run while this pass carried it, and nobody took it since.
func (p *pass) halted(run crmstore.Run) bool {
	return (run.State == crmstore.RunCancelled || run.State == crmstore.RunHeld) && run.Fence == p.fence
}

// stopRuns holds the workflow's run that is not over, if there is one, and seals it: nothing more is deleted afterwards by
// anybody who carried it until then. A process that carries it still counts what it did and lets it go.
func stopRuns(ctx context.Context, store *crmstore.Store, w crmstore.Workflow, at time.Time) error {
	for range 20 {
		run, err := unfinished(ctx, store, w.Name)
		if err != nil || run.ID == "" {
			return err
		}
		if err := hold(ctx, store, run, refusedOff(w).Message, at); !errors.Is(err, record.ErrConflict) {
			return err // or else the owner's sign of life came in between
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

// hold makes a run held, unless it is, and seals it in any case: it may have had a carrier that was frozen.
func hold(ctx context.Context, store *crmstore.Store, run crmstore.Run, reason string, at time.Time) error {
	if run.State == crmstore.RunRunning {
		if abandoned(run, at) { // nobody else will count what was done
			var err error
			if run.Totals, err = tally(ctx, store, run); err != nil {
				return err
			}
			run.Owner = ""
		}
		run.State, run.Reason = crmstore.RunHeld, reason
		askAgain(&run)
	}
	sealed, err := store.SealRun(ctx, run)
	if err != nil || sealed.Owner != "" {
		return err
	}
	_, err = settleSealed(ctx, store, sealed)
	return err
}

// recount counts once more what a run did that nobody carries and that is sealed: until then, others may have been at
// work on its ranges.
func recount(ctx context.Context, store *crmstore.Store, run crmstore.Run) (crmstore.Run, error) {
	totals, err := tally(ctx, store, run)
	if err != nil || totals == run.Totals {
		return run, err
	}
	run.Totals = totals
	saved, err := store.SaveRun(ctx, run)
	if errors.Is(err, record.ErrConflict) { // somebody took it meanwhile, and counts in the end
		return run, nil
	}
	return saved, err
}

// askAgain sends a run that is held before anybody was shown a count back to its evaluation, so that an approval does not
// pass the guard by.
func askAgain(run *crmstore.Run) {
	if run.Stage == stageGuard {
		run.Stage = stageEvaluate
	}
}
