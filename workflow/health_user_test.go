package workflow

import (
	"errors"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// A process whose acting user is taken off the account deletes no more after its batch in hand, starts nothing, says so in its
// metric, and finishes the run when the user is there again.
func TestHealth_ActingUserIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(crowd)
	w.publish(file())
	ctx := t.Context()
	add := func() {
		_, err := w.store.AddUser(ctx, "robot", "", false, record.Cause{}, testNow)
		w.must(err)
	}
	trouble := w.metrics.troubles.WithLabelValues(TroubleNotAUser)
	add()
	h := &Health{Store: w.store.AsSystem(), Metrics: w.metrics, Acting: "robot"}
	w.runner.Health = h
	w.must(h.Ask(ctx))
	w.wantCount("troubles", trouble, 0)
	run, err := w.during(func() {
		w.must(w.store.RemoveUser(ctx, "robot", record.Cause{}, testNow))
		if h.Ask(ctx) == nil { // as Run does each second
			t.Error("the acting user is gone, and nothing is wrong")
		}
	})
	wantTrouble := func(what string, err error) {
		t.Helper()
		var e *TroubleError
		if !errors.As(err, &e) || len(e.Troubles) != 1 || e.Troubles[0].Code != TroubleNotAUser || !strings.Contains(err.Error(), "workflow users add robot") {
			t.Errorf("%s: %v, want a trouble that names the user and the verb", what, err)
		}
	}
	wantTrouble("the run", err)
	w.wantCount("troubles", trouble, 1)
	some := len(w.deletedBy(run.ID))
	if some == 0 || some == len(stale) {
		t.Fatalf("%d of %d deleted, want some", some, len(stale))
	}
	_, err = w.runner.Run(ctx, w.request())
	wantTrouble("another start", err)
	if n := len(w.deletedBy(run.ID)); n != some {
		t.Errorf("%d more deleted without a user", n-some)
	}
	add()
	w.must(h.Ask(ctx))
	w.wantCount("troubles", trouble, 0)
	if _, err := w.runner.Resume(ctx, run.ID); err != nil {
		t.Fatal(err)
	}
	run, err = w.store.Run(ctx, run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
}
