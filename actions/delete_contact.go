package actions

import (
	"context"
	"fmt"
	"strconv"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

const deleteContactName = "delete_contact"

const deleteContactExample = `workflow: delete-stale-leads
title: Delete stale leads
object: contact
enroll:
  triggers:
    - contact.lifecyclestage == "lead" && daysSince(contact.notes_last_updated) > 365
schedule:
  cron: "0 3 * * *"
actions:
  - delete_contact
`

func deleteContact() Spec {
	return Spec{
		Name:        deleteContactName,
		Summary:     "Moves the contact to the recycle bin, from where it can be restored for 90 days.",
		Example:     deleteContactExample,
		Objects:     []crmstore.ObjectType{crmstore.Contact},
		Destructive: true,
		New:         func() Action { return contactDeleter{} },
	}
}

// contactDeleter soft-deletes contacts and finishes their enrollment, both in the store's one script.
type contactDeleter struct{}

// Do archives the contacts. The reason in record and audit is the number of the trigger.
func (contactDeleter) Do(ctx context.Context, records Records, call Call) ([][]Outcome, error) {
	if err := deleteContact().Refuse(call.Object); err != nil {
		return nil, err
	}
	order := crmstore.ArchiveOrder{
		Object: call.Object, Cause: call.Cause, At: call.At, Enroll: call.Cause.Workflow, Fence: call.Fence,
	}
	batches := make([]crmstore.Archive, len(call.Batches))
	for i, b := range call.Batches {
		targets := make([]crmstore.Target, len(b.Records))
		for j, r := range b.Records {
			targets[j] = crmstore.Target{
				ID: r.ID, Slot: r.Slot, Version: r.Version, Reason: "trigger " + strconv.Itoa(r.Trigger),
			}
		}
		batches[i] = crmstore.Archive{Partition: b.Partition, Targets: targets}
	}
	archived, err := records.Archive(ctx, order, batches)
	if err != nil {
		return nil, fmt.Errorf("delete contacts for run %s: %w", call.Cause.Run, err)
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
			case crmstore.VersionChanged:
				out[i][j] = Stale
			default:
				return nil, fmt.Errorf("delete contacts: the store answered %d, which is no outcome of an archive", o)
			}
		}
	}
	return out, nil
}
