package workflow

import (
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Contacts that are put on legal hold after they were evaluated stay, and are counted as held, not as changed: by the run that
// meets them, in its metric, and for whoever looks at a stopped run.
func TestRun_HoldMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(crowd)
	w.publish(file())
	ctx := t.Context()
	run, err := w.during(func() {
		_, err := w.store.SetHold(ctx, record.Contact, stale, true, record.Cause{Reason: "case 7"}, testNow)
		w.must(err)
		w.switchTo(false)
	})
	w.must(err)
	w.wantState(run, crmstore.RunHeld)
	deleted := w.deletedBy(run.ID)
	if len(deleted) == 0 || len(deleted) == len(stale) {
		t.Fatalf("%d of %d deleted, want some", len(deleted), len(stale))
	}
	h, err := MakeHeldSet(ctx, w.store, run.ID)
	w.must(err)
	if len(h.Records) == 0 || len(h.OnHold) != len(h.Records) || len(h.Changed)+len(h.Gone) != 0 {
		t.Errorf("of %d that are left %d are on hold, %d changed, %d gone; want all on hold", len(h.Records), len(h.OnHold), len(h.Changed), len(h.Gone))
	}
	w.switchTo(true)
	run, err = w.approve(run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, deleted)
	if held := int64(len(stale) - len(deleted)); run.Held != held || run.Changed != 0 || run.Failed != 0 {
		t.Errorf("totals %+v, want %d held and none changed", run.Totals, held)
	}
	w.wantCount("held", w.metrics.acted.WithLabelValues("stale", "delete_contact", outcomeHeld), float64(run.Held))
	w.wantCount("changed", w.metrics.acted.WithLabelValues("stale", "delete_contact", outcomeChanged), 0)
}
