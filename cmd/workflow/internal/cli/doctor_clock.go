package cli

import (
	"context"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// clockNotes is what stands still because of a wrong clock. Nothing of it is damage, so doctor repairs none of it.
type clockNotes struct {
	NotPurged int64       `json:"not_purged"` // records whose 90 days in the bin are over only by time that no process counted
	Stuck     []stuckNote `json:"stuck"`      // workflows of which no slot is due
}

type stuckNote struct {
	Workflow string `json:"workflow"`
	Why      string `json:"why"`
}

// newClockNotes asks the store what a clock holds back; o narrows the records, and with it no workflow is looked at.
func newClockNotes(ctx context.Context, w *work, o record.ObjectType) (clockNotes, error) {
	notes := clockNotes{Stuck: []stuckNote{}}
	c, err := w.store.Clock(ctx)
	if err != nil {
		return notes, err
	}
	held, err := workflow.Held(ctx, w.store, c)
	if err != nil {
		return notes, err
	}
	for object, n := range held {
		if o == "" || o == object {
			notes.NotPurged += n
		}
	}
	if o != "" {
		return notes, nil
	}
	all, err := w.store.Workflows(ctx)
	if err != nil {
		return notes, err
	}
	for _, one := range all {
		if why := workflow.Stuck(one, c.Time); why != "" {
			notes.Stuck = append(notes.Stuck, stuckNote{one.Name, why})
		}
	}
	return notes, nil
}

// show says what stands still, and what ends it.
func (n *clockNotes) show(o *output) {
	if n.NotPurged > 0 {
		o.printf("\n%s in the recycle bin: the purge waits, since part of the 90 days was not counted; see: workflow account clock\n",
			counted(int(n.NotPurged), "record is", "records are")+" still")
	}
	for _, one := range n.Stuck {
		o.printf("\nworkflow %s: %s; a daemon mends it\n", clean(one.Workflow), one.Why)
	}
}
