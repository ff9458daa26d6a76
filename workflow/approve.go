package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// What people do to runs is called in the audit log.
const (
	opApprove = "approve"
	opCancel  = "cancel"
	opUndo    = "undo"
)

// Approve lets a held run go on and carries it to its end: it acts on the contacts that were shown, never on more, and
// still tests each again. Errors as [Runner.Run], and a *RefusedError when the run is not held.
func (r *Runner) Approve(ctx context.Context, id string, at time.Time) (crmstore.Run, error) {
	run, err := r.Store.Run(ctx, id)
	if err != nil {
		return run, fmt.Errorf("approve run %s: %w", id, err)
	}
	if err := r.Store.Check(ctx, run.Object, run.Permissions()...); err != nil {
		return run, err
	}
	if run.State != crmstore.RunHeld {
		return run, &RefusedError{Reason: RefusedState, Message: fmt.Sprintf("run %s is %s, not held: there is nothing to approve", id, run.State)}
	}
	if run.Kind == crmstore.RunDelete {
		return run, &RefusedError{
			Reason:  RefusedCount,
			Message: fmt.Sprintf("run %s is a deletion by hand and goes on only with the count of what it deletes", id),
			Help:    fmt.Sprintf("workflow approve %s --confirm %d", id, enrolling(run.Totals)),
		}
	}
	if _, err := checkRuns(ctx, r.books(), run.Workflow, run.Revision); err != nil {
		if refused, ok := errors.AsType[*RefusedError](err); ok {
			r.Metrics.refused(run.Workflow, refused.Reason)
		}
		return run, err
	}
	if err := r.checkCeiling(ctx, run); err != nil {
		return run, err
	}
	return r.goOn(ctx, run, at)
}

// goOn carries a held run on from behind its guard.
func (r *Runner) goOn(ctx context.Context, run crmstore.Run, at time.Time) (crmstore.Run, error) {
	lifts := r.liftsCeiling(ctx)
	taken, err := r.take(ctx, run, func(run *crmstore.Run) {
		run.ApprovedBy, run.Lifted = r.Store.User(), lifts
		if run.Stage == stageGuard {
			run.Stage = stageAct
		}
	}, crmstore.Event{Op: opApprove, At: at})
	if errors.Is(err, crmstore.ErrConflict) {
		return run, r.tooLate(ctx, run.ID)
	}
	if err != nil {
		return run, err
	}
	r.event(ctx, taken, slog.LevelInfo, "run approved", slog.String("by", r.Store.User()), slog.Time("at", at))
	return r.newPass(taken).carry(ctx)
}

// Cancel ends a run that is held, under way or failed. When it has returned without an error, nothing more is deleted by
// the run; what it deleted stays deleted until it is undone. It returns the run as cancelled; its totals are final once the process that
// carried it has stopped. Errors: crmstore.ErrNotFound, a *RefusedError when the run is over.
func (r *Runner) Cancel(ctx context.Context, id string, at time.Time) (crmstore.Run, error) {
	for range 20 {
		run, err := r.Store.Run(ctx, id)
		if err != nil {
			return run, fmt.Errorf("cancel run %s: %w", id, err)
		}
		if err := r.Store.Check(ctx, run.Object, run.Permissions()...); err != nil {
			return run, err
		}
		if run.State == crmstore.RunDone || run.State == crmstore.RunCancelled {
			return run, &RefusedError{
				Reason: RefusedState, Message: fmt.Sprintf("run %s is %s already", id, run.State),
				Help: "to restore what it deleted: workflow undo " + id,
			}
		}
		carried := run.State == crmstore.RunRunning && !abandoned(run, wall())
		counted := run.Totals
		run.State, run.Reason, run.FinishedAt = crmstore.RunCancelled, "cancelled by "+r.Store.User(), at
		if !carried { // nobody else will count what was done
			if run.Totals, err = r.tally(ctx, run); err != nil {
				return run, fmt.Errorf("cancel run %s: %w", id, err)
			}
			run.Owner = ""
		}
		saved, err := r.Store.SealRun(ctx, run, crmstore.Event{Op: opCancel, At: at})
		if errors.Is(err, crmstore.ErrConflict) {
			continue // the owner's sign of life came in between
		}
		if err != nil {
			return run, fmt.Errorf("cancel run %s: %w", id, err)
		}
		if !carried {
			if saved, err = r.settleSealed(ctx, saved); err != nil {
				return saved, fmt.Errorf("cancel run %s: %w", id, err)
			}
			r.newPass(saved).metrics().ended(passEnd{run: saved, counted: counted})
			if err := r.forgetShown(ctx, saved); err != nil {
				return saved, fmt.Errorf("cancel run %s: %w", id, err)
			}
		}
		r.event(ctx, saved, slog.LevelInfo, "run cancelled", slog.String("by", r.Store.User()))
		return saved, nil
	}
	return crmstore.Run{}, fmt.Errorf("cancel run %s: %w", id, crmstore.ErrConflict)
}
