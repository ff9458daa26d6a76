package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// What people do to runs is called in the audit log.
const (
	opApprove = "approve"
	opCancel  = "cancel"
	opUndo    = "undo"
)

// Approval is one person's yes to a held run.
type Approval struct {
	Count    int64 // how many deletions the user was shown; the run must be about to delete exactly so many
	Revision int   // the workflow's current revision that the user was shown; 0 = it is not compared
	At       time.Time
}

// approveTries is how often an approval is tried again when the run changed meanwhile: by another approval, or by the
// carrier that just let it go.
const approveTries = 20

// Approve carries a held run to its end, if the approval's count is the number of records that the run is about to delete.
// The run acts on the records that were shown, never on more, and still tests each again. Where the account wants two
// approvals, the first is saved and the run comes back held. The user needs view of the object and bulk-delete, and for a
// workflow's run manage-workflows. A run that was held before its evaluation evaluates first. Errors as [Runner.Run], and a
// *RefusedError when the count differs or the run is not held, also because another approval was faster; then nothing was
// deleted.
func (r *Runner) Approve(ctx context.Context, id string, a Approval) (crmstore.Run, error) {
	for range approveTries {
		run, left, current, err := r.waiting(ctx, id)
		if err != nil {
			return run, err
		}
		if err := sameCount(run, a.Count, left); err != nil {
			return run, err
		}
		if run.State != crmstore.RunHeld {
			return run, nil
		}
		if a.Revision != 0 && a.Revision != current {
			return run, &RefusedError{
				Reason:  RefusedRevision,
				Message: fmt.Sprintf("revision %s of %s was published just now; nothing was deleted", diag.Thousands(int64(current)), run.Workflow),
				Help:    "look again: workflow approve " + id + " --dry-run",
			}
		}
		run, err = r.addApproval(ctx, run, left, current, a.At)
		if !errors.Is(err, record.ErrConflict) || errors.As(err, new(*lostError)) {
			return run, err
		}
	}
	return crmstore.Run{}, fmt.Errorf("approve run %s: %w", id, record.ErrConflict)
}

// addApproval adds the user's approval to a held run, and continues the run when it needs no other. Otherwise the run comes
// back held. crmstore.ErrConflict when it was changed meanwhile.
func (r *Runner) addApproval(ctx context.Context, run crmstore.Run, left int64, current int, at time.Time) (crmstore.Run, error) {
	rules, err := r.rulesOf(ctx, run)
	if err != nil {
		return run, fmt.Errorf("approve run %s: %w", run.ID, err)
	}
	s := seen{run: run, left: left, current: current, rules: rules}
	before, err := r.validApprovals(ctx, s)
	if err == nil {
		err = r.checkSecondApprover(s, before)
	}
	if err != nil {
		return run, err
	}
	run.SeenRevision = current
	run.Approvals = slices.Concat(before, []crmstore.Approval{{By: r.Store.User(), At: at, Count: left, Revision: current, Fence: run.Fence}})
	if len(run.Approvals) < rules.Needed {
		note := record.Event{Op: opApprove, At: at, Detail: fmt.Sprintf("%d of %d approvals", len(run.Approvals), rules.Needed)}
		saved, err := r.Store.SaveRun(ctx, run, note)
		if err == nil {
			r.event(ctx, saved, slog.LevelInfo, "run approved by one of two", slog.String("by", r.Store.User()), slog.Time("at", at))
		}
		return saved, err
	}
	lifts := r.lifted(ctx, run.Approvals)
	if !lifts {
		if err := r.checkCeiling(ctx, run); err != nil {
			return run, err
		}
	}
	return r.letGoOn(ctx, run, lifts, at)
}

// Waiting is a held run that the user may approve now, and how many records it deletes then. A run that was held before its
// evaluation evaluates now. It comes back held with the number, or done when nothing matches. Errors as [Runner.Approve].
func (r *Runner) Waiting(ctx context.Context, id string) (crmstore.Run, int64, error) {
	run, left, _, err := r.waiting(ctx, id)
	return run, left, err
}

// waiting is Waiting, with the workflow's current revision; 0 for a deletion by hand.
func (r *Runner) waiting(ctx context.Context, id string) (run crmstore.Run, left int64, current int, err error) {
	if run, err = r.Store.Run(ctx, id); err != nil {
		return run, 0, 0, fmt.Errorf("approve run %s: %w", id, err)
	}
	if current, err = r.mayApprove(ctx, run); err != nil {
		return run, 0, 0, err
	}
	if run.Stage == stageEvaluate {
		run, err = r.take(ctx, run, func(run *crmstore.Run) { run.Ask = true })
		if errors.Is(err, record.ErrConflict) {
			return run, 0, 0, r.tooLate(ctx, id)
		}
		if err != nil {
			return run, 0, 0, err
		}
		if run, err = r.newPass(run).carry(ctx); err != nil || run.State != crmstore.RunHeld {
			return run, 0, 0, err
		}
	}
	left, err = r.left(ctx, run)
	return run, left, current, err
}

// mayApprove is nil when the run is held and the user may approve it now. It returns the workflow's current revision, which
// need not be the run's.
func (r *Runner) mayApprove(ctx context.Context, run crmstore.Run) (current int, err error) {
	if err := r.Store.Check(ctx, run.Object, run.ApprovalPermissions()...); err != nil {
		return 0, err
	}
	switch {
	case run.State != crmstore.RunHeld && run.ApprovedBy != "":
		return 0, r.tooLate(ctx, run.ID)
	case run.State != crmstore.RunHeld:
		return 0, &RefusedError{Reason: RefusedState, Message: fmt.Sprintf("run %s is %s, not held: there is nothing to approve", run.ID, run.State)}
	case run.Kind == crmstore.RunDelete:
		run.ApprovedBy = r.Store.User()
		_, err := checkByHand(ctx, r.system(), run)
		return 0, err
	}
	_, w, err := checkRuns(ctx, r.system(), run.Workflow, run.Revision)
	if err != nil {
		if refused, ok := errors.AsType[*RefusedError](err); ok {
			r.Metrics.refused(run.Workflow, refused.Reason)
		}
		return 0, err
	}
	rules, err := r.rulesOf(ctx, run)
	if err == nil {
		err = r.mayBeApprover(ctx, run, rules)
	}
	if err == nil && rules.Needed < 2 { // or else another approver may be a super admin
		err = r.checkCeiling(ctx, run)
	}
	return w.Revision, err
}

// left is how many of a run's matches have no outcome: the run deletes them when it goes on, unless they changed.
func (r *Runner) left(ctx context.Context, run crmstore.Run) (int64, error) {
	t, err := tally(ctx, r.system(), run)
	return unsettled(t), err
}

// sameCount is nil when the user typed the number of records that the run would delete.
func sameCount(run crmstore.Run, typed, left int64) error {
	if typed == left {
		return nil
	}
	return &RefusedError{
		Reason:  RefusedCount,
		Message: fmt.Sprintf("the count typed is %s, but run %s would delete %s; nothing was deleted", diag.Thousands(typed), run.ID, countedRecords(left, run.Object)),
		Help:    "see who: workflow approve " + run.ID + " --dry-run",
	}
}

// letGoOn carries a held run on from the stage after its guard. crmstore.ErrConflict when the run was changed meanwhile.
func (r *Runner) letGoOn(ctx context.Context, run crmstore.Run, lifts bool, at time.Time) (crmstore.Run, error) {
	taken, err := r.take(ctx, run, func(run *crmstore.Run) {
		run.ApprovedBy, run.Lifted, run.Ask = r.Store.User(), lifts, false
		if run.Stage == stageGuard {
			run.Stage = stageAct
		}
	}, record.Event{Op: opApprove, At: at})
	if err != nil {
		return run, err
	}
	r.event(ctx, taken, slog.LevelInfo, "run approved", slog.String("by", r.Store.User()), slog.Time("at", at))
	return r.newPass(taken).carry(ctx)
}

// Cancel ends a run that is held, under way or failed. When it has returned without an error, the run deletes nothing
// more. What it deleted stays deleted until it is undone. It returns the cancelled run, whose totals are final once its
// carrier has stopped. Errors: crmstore.ErrNotFound, a *RefusedError when the run is over.
func (r *Runner) Cancel(ctx context.Context, id string, at time.Time) (crmstore.Run, error) {
	return r.cancel(ctx, id, "cancelled by "+r.Store.User(), at)
}

// cancel is Cancel with the reason that the run keeps.
func (r *Runner) cancel(ctx context.Context, id, reason string, at time.Time) (crmstore.Run, error) {
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
		carried := run.State == crmstore.RunRunning && !abandoned(run, r.Store.Now())
		counted := run.Totals
		run.State, run.Reason, run.FinishedAt = crmstore.RunCancelled, reason, at
		if !carried { // no carrier will count what it did
			if run.Totals, err = tally(ctx, r.system(), run); err != nil {
				return run, fmt.Errorf("cancel run %s: %w", id, err)
			}
			run.Owner = ""
		}
		saved, err := r.Store.SealRun(ctx, run, record.Event{Op: opCancel, At: at, Detail: cancelDetail(reason, r.Store.User())})
		if errors.Is(err, record.ErrConflict) {
			continue // the carrier gave a sign of life in between
		}
		if err != nil {
			return run, fmt.Errorf("cancel run %s: %w", id, err)
		}
		if !carried {
			if saved, err = settleFenced(ctx, r.system(), saved); err != nil {
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
	return crmstore.Run{}, fmt.Errorf("cancel run %s: %w", id, record.ErrConflict)
}

// cancelDetail is the reason in the audit event of a cancellation; "" when it only repeats the user.
func cancelDetail(reason, user string) string {
	if reason == "cancelled by "+user {
		return ""
	}
	return reason
}
