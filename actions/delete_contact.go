package actions

import (
	"context"
	"strconv"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
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
		Objects:     []record.ObjectType{record.Contact},
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
	return archive(ctx, records, call, call.Cause.Workflow, func(r Tested) string { return "trigger " + strconv.Itoa(r.Trigger) })
}
