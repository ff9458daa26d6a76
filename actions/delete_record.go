package actions

import (
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// DeleteByHand is the step of a deletion by hand: for any object type, with the reason that the user gave. It is not in the
// catalogue, because no workflow may use it.
func DeleteByHand(o record.ObjectType) Spec {
	return Spec{
		Name: "delete", Summary: "Moves the record to the recycle bin, from where it can be restored for 90 days.",
		Objects: []record.ObjectType{o}, Destructive: true, New: func() Action { return recordDeleter{} },
	}
}

// recordDeleter soft-deletes records and enrolls them under the run's own id, so that a run that is carried on after a
// crash deletes none of them twice, also when a user restored it in between.
type recordDeleter struct{}

// Do archives the records for the reason of the call's cause.
func (recordDeleter) Do(ctx context.Context, records Records, call Call) ([][]Outcome, error) {
	return archive(ctx, records, call, call.Cause.Run, func(Tested) string { return "" })
}

// archive soft-deletes the records of a call and finishes their enrollments under a name, both in the store's one
// script. A record without a reason of its own has the cause's.
func archive(ctx context.Context, records Records, call Call, enroll string, reason func(Tested) string) ([][]Outcome, error) {
	order := crmstore.ArchiveOrder{Object: call.Object, Cause: call.Cause, At: call.At, Enroll: enroll, Fence: call.Fence}
	batches := make([]crmstore.Archive, len(call.Batches))
	for i, b := range call.Batches {
		targets := make([]crmstore.Target, len(b.Records))
		for j, r := range b.Records {
			targets[j] = crmstore.Target{ID: r.ID, Slot: r.Slot, Version: r.Version, Reason: reason(r)}
		}
		batches[i] = crmstore.Archive{Partition: b.Partition, Targets: targets}
	}
	archived, err := records.Archive(ctx, order, batches)
	if err != nil {
		return nil, fmt.Errorf("act for run %s: %w", call.Cause.Run, err)
	}
	return archiveOutcomes(archived)
}

func archiveOutcomes(archived [][]crmstore.ArchiveOutcome) ([][]Outcome, error) {
	out := make([][]Outcome, len(archived))
	for i, batch := range archived {
		out[i] = make([]Outcome, len(batch))
		for j, o := range batch {
			switch o {
			case crmstore.Archived:
				out[i][j] = Done
			case crmstore.AlreadyByRun:
				out[i][j] = Repeated
			case crmstore.AlreadyArchived, crmstore.Gone:
				out[i][j] = Left
			case crmstore.OnHold:
				out[i][j] = Held
			case crmstore.VersionChanged:
				out[i][j] = Stale
			default:
				return nil, fmt.Errorf("delete: the store answered %d, which is no outcome of an archive", o)
			}
		}
	}
	return out, nil
}
