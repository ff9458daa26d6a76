package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// UndoReport says what an undo restored and what it could not.
type UndoReport struct {
	Run         crmstore.Run `json:"run"`
	Restored    int64        `json:"restored"`
	NotRestored []Unrestored `json:"not_restored"` // by partition
	Gone        int64        `json:"gone"`         // of what the run deleted, what cannot be restored any more
}

// Unrestored is one contact that the run deleted and the undo did not restore.
type Unrestored struct {
	ID     record.ID `json:"id"`
	Reason string    `json:"reason"`           // one of the Undo constants
	Holder record.ID `json:"holder,omitempty"` // with UndoEmailTaken: the contact that has the address
}

// Why an undo does not restore a contact.
const (
	UndoEmailTaken   = "its e-mail belongs to another contact now"
	UndoEmailBlocked = "its e-mail is on the block list"
	UndoLive         = "it was restored before"
	UndoDeletedAgain = "it was restored and deleted again since, by another run or by hand"
	UndoGone         = "it was deleted for good"
	UndoDamaged      = "it is damaged and cannot be read; see: workflow doctor"
)

// Undo restores all that an ended run deleted and that is still in the bin because of it. It may be repeated: what was
// restored before is reported so. Enrollments stay, so that the next run does not delete the contacts again unless the
// file says `reenroll: true`. It needs restore. Errors: *crmstore.PermissionError, crmstore.ErrNotFound, a *RefusedError while the run is not over.
func (r *Runner) Undo(ctx context.Context, id string, at time.Time) (UndoReport, error) {
	if err := r.Store.Check(ctx, "", crmstore.CanRestore); err != nil {
		return UndoReport{}, err
	}
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
		Cause: record.Cause{Workflow: run.Workflow, Revision: run.Revision, Run: id, Reason: "undo"},
	}
	err = r.undoAll(ctx, &report, order, partitions)
	if err != nil && errors.Is(err, ctx.Err()) {
		return report, fmt.Errorf("undo of run %s was interrupted; repeat it: %w", id, ctx.Err())
	}
	if err != nil {
		return report, fmt.Errorf("undo run %s: %w", id, err)
	}
	note := record.Event{Op: opUndo, At: at, Detail: fmt.Sprintf("%d restored", report.Restored)}
	if report.Run, err = r.saveUndone(ctx, report, note); err != nil {
		return report, fmt.Errorf("undo run %s: %w", id, err)
	}
	r.event(ctx, run, slog.LevelInfo, "run undone", slog.String("by", r.Store.User()),
		slog.Int64("restored", report.Restored), slog.Int("not_restored", len(report.NotRestored)))
	return report, nil
}

// restoredTogether is how many records a range of an undo has, about. E-mail claims stand in other partitions than the
// contacts: only a large range has several claims in each of theirs, and then a script takes them together.
const restoredTogether = 1 << 16

// undoRemembers is how long after a run's end the store keeps its deletions, less a day for clocks that differ.
const undoRemembers = 99 * 24 * time.Hour

// forgottenError says that the store has lost some of a run's deletions. An undo would leave them out in silence.
func forgottenError(run crmstore.Run, missing int64) error {
	return fmt.Errorf("the store has lost which %s contacts the run deleted; the recycle bin knows: workflow restore --run %s (and see workflow doctor)",
		diag.Thousands(missing), run.ID)
}

// undoPartitions is how many partitions a range has when so many records are to be restored in all partitions.
func undoPartitions(partitions int, records int64) int {
	n := int64(partitions) * restoredTogether / max(records, 1)
	return int(max(rangePartitions, min(n, int64(partitions+rangeWorkers-1)/rangeWorkers)))
}

// undoAll restores what the run deleted, two ranges of partitions at a time. A range that was begun is finished when
// the context ends.
func (r *Runner) undoAll(ctx context.Context, report *UndoReport, order crmstore.RestoreOrder, partitions int) error {
	at := order.At
	var mu sync.Mutex // guards left and report, and keeps calls of Progress apart
	left := make([][]Unrestored, partitions)
	done := int64(0)
	known, accounted := 0, int64(0)
	err := eachRange(ctx, partitions, undoPartitions(partitions, report.Run.Deleted), func() func(ctx context.Context, from, to int) error {
		return func(ctx context.Context, from, to int) error {
			results, matches, deleted, err := r.undoRange(context.WithoutCancel(ctx), report.Run, order, from, to)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			known += matches
			accounted += deleted
			for _, res := range results {
				if res.Outcome == crmstore.Restored {
					report.Restored++
				} else {
					left[from] = append(left[from], unrestored(res))
				}
			}
			if done += int64(len(results)); r.Progress != nil {
				r.Progress("undo", done, report.Run.Deleted)
			}
			return nil
		}
	})
	report.NotRestored = slices.Concat(left...)
	for _, u := range report.NotRestored {
		if u.Reason == UndoGone {
			report.Gone++
		}
	}
	if err == nil && accounted < report.Run.Deleted && at.Before(report.Run.FinishedAt.Add(undoRemembers)) {
		return forgottenError(report.Run, report.Run.Deleted-accounted)
	}
	if known == 0 {
		report.Gone = report.Run.Deleted // it is so long ago that even what the run matched is no longer kept
	}
	return err
}

// undoRange restores what the run deleted in partitions from ≤ p < to. known is how many partitions still have the run's
// matches, deleted how many records the run deleted there at most. Records that were purged since are results too: not there.
func (r *Runner) undoRange(
	ctx context.Context, run crmstore.Run, order crmstore.RestoreOrder, from, to int,
) (results []crmstore.RestoreResult, known int, deleted int64, err error) {
	saved, err := r.system().Matches(ctx, order.Object, order.OnlyRun, from, to)
	if err != nil {
		return nil, 0, 0, err
	}
	var parts []record.PartitionIDs
	for _, m := range saved {
		parts = append(parts, record.PartitionIDs{Partition: m.Partition, IDs: m.IDs})
	}
	byRun, err := completed(ctx, r.system(), run, parts)
	if err != nil {
		return nil, 0, 0, err
	}
	var ids []record.ID
	for i, part := range parts {
		for _, id := range part.IDs {
			if byRun[i][id] {
				ids = append(ids, id)
			}
		}
		gone, err := r.purgedSince(ctx, run.Object, saved[i], byRun[i])
		if err != nil {
			return nil, 0, 0, err
		}
		if saved[i].Done {
			deleted += saved[i].Deleted
		} else {
			deleted += int64(len(part.IDs))
		}
		if missing := saved[i].Deleted - int64(len(byRun[i])+len(gone)); run.Kind == crmstore.RunDelete && missing > 0 {
			return nil, 0, 0, forgottenError(run, missing)
		}
		results = append(results, gone...)
	}
	if len(ids) == 0 {
		return results, len(saved), deleted, nil
	}
	restored, err := r.Store.Restore(ctx, order, ids)
	return append(results, restored...), len(saved), deleted, err
}

// purgedSince are the records of one partition that the run deleted and that are gone for good: a purge takes a record's
// enrollment with it, so that fewer are the run's by now than it had counted.
func (r *Runner) purgedSince(
	ctx context.Context, o record.ObjectType, m crmstore.Matches, byRun map[record.ID]bool,
) ([]crmstore.RestoreResult, error) {
	lost := int(m.Deleted) - len(byRun)
	if lost <= 0 {
		return nil, nil
	}
	others := slices.DeleteFunc(slices.Clone(m.IDs), func(id record.ID) bool { return byRun[id] })
	there, err := r.system().Get(ctx, o, others)
	damaged, _ := errors.AsType[*record.DamagedError](err)
	if err != nil && damaged == nil {
		return nil, err
	}
	exists := make(map[record.ID]bool, len(there))
	for _, rec := range there {
		exists[rec.ID] = true
	}
	if damaged != nil {
		for _, id := range damaged.IDs {
			exists[id] = true
		}
	}
	var gone []crmstore.RestoreResult
	for _, id := range others {
		if !exists[id] && len(gone) < lost {
			gone = append(gone, crmstore.RestoreResult{ID: id, Outcome: crmstore.NotThere})
		}
	}
	return gone, nil
}

func unrestored(res crmstore.RestoreResult) Unrestored {
	u := Unrestored{ID: res.ID}
	switch res.Outcome {
	case crmstore.EmailTaken:
		u.Reason, u.Holder = UndoEmailTaken, res.Holder
	case crmstore.EmailBlocked:
		u.Reason = UndoEmailBlocked
	case crmstore.NotArchived:
		u.Reason = UndoLive
	case crmstore.NotReadable:
		u.Reason = UndoDamaged
	case crmstore.NotByThatRun:
		u.Reason = UndoDeletedAgain
	default:
		u.Reason = UndoGone
	}
	return u
}

// saveUndone notes how many of the run's contacts are live again.
func (r *Runner) saveUndone(ctx context.Context, report UndoReport, note record.Event) (crmstore.Run, error) {
	undone := int(report.Restored)
	for _, u := range report.NotRestored {
		if u.Reason == UndoLive {
			undone++
		}
	}
	return r.Store.SaveUndone(ctx, report.Run.ID, undone, note)
}
