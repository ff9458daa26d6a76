package suite

import (
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// listName is the list that everybody is on.
const listName = "everybody"

// everybodyOnAList makes the list from which byHand deletes.
func (d *deleting) everybodyOnAList(ctx context.Context) error {
	list, err := d.store.CreateList(ctx, record.Contact, listName, cause(), d.crowd.Now)
	if err != nil {
		return err
	}
	var ids []record.ID
	for _, b := range d.batches {
		for _, t := range b.Targets {
			ids = append(ids, t.ID)
		}
	}
	_, _, err = d.store.SetMembers(ctx, list, ids, true, cause(), d.crowd.Now)
	return err
}

// byHand deletes everybody on the list: found and saved, their number confirmed, each tested again and deleted.
func (d *deleting) byHand(ctx context.Context) (table.Sample, error) {
	runner := &workflow.Runner{Store: d.store}
	sample, err := timed(d.contacts, func() (err error) {
		d.run, err = runner.PrepareDelete(ctx, workflow.DeleteRequest{
			Object: record.Contact, Selection: crmstore.Selection{List: listName, Everything: true}, Now: d.crowd.Now,
		})
		if err == nil {
			d.run, err = runner.Confirm(ctx, d.run.ID, int64(d.contacts), d.crowd.Now)
		}
		return err
	})
	if err == nil && d.run.Deleted != int64(d.contacts) {
		err = fmt.Errorf("run %s is %s and deleted %d contacts, want %d", d.run.ID, d.run.State, d.run.Deleted, d.contacts)
	}
	return sample, err
}
