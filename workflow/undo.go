package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// UndoReport says what an undo restored and what it could not.
type UndoReport struct {
	Run         crmstore.Run `json:"run"`
	Restored    int64        `json:"restored"`
	NotRestored []Unrestored `json:"not_restored"` // by partition
}

// Unrestored is one contact that the run deleted and the undo did not restore.
type Unrestored struct {
	ID     crmstore.ID `json:"id"`
	Reason string      `json:"reason"`           // one of the Undo constants
	Holder crmstore.ID `json:"holder,omitempty"` // with UndoEmailTaken: who holds the address
}

// Why an undo does not restore a contact.
const (
	UndoEmailTaken   = "its e-mail belongs to another contact now"
	UndoLive         = "it was restored before"
	UndoDeletedAgain = "it was restored and deleted again since, by another run or by hand"
	UndoGone         = "it was deleted for good"
)

// Undo restores all that an ended run deleted and that is still in the bin because of it. It may be repeated: what was
// restored before is reported so. Enrollments stay, so that the next run does not delete the contacts again unless the
// file says `reenroll: true`. Errors: crmstore.ErrNotFound, a *RefusedError while the run is not over.
func (r *Runner) Undo(ctx context.Context, id, by string, at time.Time) (UndoReport, error) {
	run, err := r.Store.Run(ctx, id)
	if err != nil {
		return UndoReport{}, fmt.Errorf("undo run %s: %w", id, err)
	}
	report := UndoReport{Run: run}
	if run.State == crmstore.RunRunning || run.State == crmstore.RunHeld {
		return report, &RefusedError{
			Reason: RefusedState, Message: fmt.Sprintf("run %s is %s and cannot be undone yet", id, run.State),
			Help: "end it with: workflow cancel " + id,
		}
	}
	partitions, err := r.Store.Partitions(ctx)
	if err != nil {
		return report, fmt.Errorf("undo run %s: %w", id, err)
	}
	order := crmstore.RestoreOrder{
		Object: run.Object, At: at, OnlyRun: id,
		Cause: crmstore.Cause{Actor: by, Workflow: run.Workflow, Revision: run.Revision, Run: id, Reason: "undo"},
	}
	for from := 0; from < partitions; from += rangePartitions {
		if err := ctx.Err(); err != nil {
			return report, fmt.Errorf("undo of run %s was interrupted; repeat it: %w", id, err)
		}
		err := r.undoRange(context.WithoutCancel(ctx), &report, order, from, min(from+rangePartitions, partitions))
		if err != nil {
			return report, fmt.Errorf("undo run %s: %w", id, err)
		}
		if r.Progress != nil {
			r.Progress("undo", report.Restored+int64(len(report.NotRestored)), run.Deleted)
		}
	}
	note := crmstore.Event{Op: opUndo, At: at, Cause: crmstore.Cause{Actor: by}, Detail: fmt.Sprintf("%d restored", report.Restored)}
	if report.Run, err = r.saveUndone(ctx, report, note); err != nil {
		return report, fmt.Errorf("undo run %s: %w", id, err)
	}
	r.event(ctx, run, slog.LevelInfo, "run undone", slog.String("by", by),
		slog.Int64("restored", report.Restored), slog.Int("not_restored", len(report.NotRestored)))
	return report, nil
}

// undoRange restores what the run deleted in partitions from ≤ p < to.
func (r *Runner) undoRange(ctx context.Context, report *UndoReport, order crmstore.RestoreOrder, from, to int) error {
	saved, err := r.Store.Matches(ctx, order.Object, order.OnlyRun, from, to)
	if err != nil {
		return err
	}
	var parts []crmstore.PartitionIDs
	for _, m := range saved {
		parts = append(parts, crmstore.PartitionIDs{Partition: m.Partition, IDs: m.IDs})
	}
	mine, err := r.completed(ctx, report.Run, parts)
	if err != nil {
		return err
	}
	var ids []crmstore.ID
	for i, part := range parts {
		for _, id := range part.IDs {
			if mine[i][id] {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	results, err := r.Store.Restore(ctx, order, ids)
	if err != nil {
		return err
	}
	for _, res := range results {
		if res.Outcome == crmstore.Restored {
			report.Restored++
			continue
		}
		report.NotRestored = append(report.NotRestored, unrestored(res))
	}
	return nil
}

func unrestored(res crmstore.RestoreResult) Unrestored {
	u := Unrestored{ID: res.ID}
	switch res.Outcome {
	case crmstore.EmailTaken:
		u.Reason, u.Holder = UndoEmailTaken, res.Holder
	case crmstore.NotArchived:
		u.Reason = UndoLive
	case crmstore.NotByThatRun:
		u.Reason = UndoDeletedAgain
	default:
		u.Reason = UndoGone
	}
	return u
}

// saveUndone notes how many of the run's contacts are live again.
func (r *Runner) saveUndone(ctx context.Context, report UndoReport, note crmstore.Event) (crmstore.Run, error) {
	undone := int(report.Restored)
	for _, u := range report.NotRestored {
		if u.Reason == UndoLive {
			undone++
		}
	}
	for range 20 {
		run, err := r.Store.Run(ctx, report.Run.ID)
		if err != nil || run.Undone == undone {
			return run, err
		}
		run.Undone = undone
		saved, err := r.Store.SaveRun(ctx, run, note)
		if !errors.Is(err, crmstore.ErrConflict) {
			return saved, err
		}
	}
	return report.Run, crmstore.ErrConflict
}
