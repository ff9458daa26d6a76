package workflow

import (
	"context"
	"errors"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// publisher adds a user who may do all that a workflow on contacts does, and gives the store in that user's hands.
func (w *world) publisher(name string) *crmstore.Store {
	w.Helper()
	ctx := context.Background()
	_, err := w.store.AddUser(ctx, name, "", false, record.Cause{}, testPublish)
	w.must(err)
	_, err = w.store.Grant(ctx, name, publishers(), record.Cause{}, testPublish)
	w.must(err)
	return w.store.As(name)
}

func publishers() crmstore.Grants {
	return crmstore.Grants{
		Permissions: []crmstore.Permission{crmstore.CanView, crmstore.CanDelete, crmstore.CanManageWorkflows},
		Objects:     []record.ObjectType{record.Contact},
	}
}

// approver adds a user who may approve runs beside publishing workflows.
func (w *world) approver(name string) *crmstore.Store {
	w.Helper()
	store := w.publisher(name)
	_, err := w.store.Grant(context.Background(), name, crmstore.Grants{Permissions: []crmstore.Permission{crmstore.CanBulkDelete}}, record.Cause{}, testPublish)
	w.must(err)
	return store
}

func (w *world) revoke(name string, perm crmstore.Permission) {
	w.Helper()
	_, err := w.store.Revoke(context.Background(), name, crmstore.Grants{
		Permissions: []crmstore.Permission{perm}, Objects: []record.ObjectType{record.Contact},
	}, record.Cause{}, testNow)
	w.must(err)
}

func (w *world) publishAs(store *crmstore.Store) {
	w.Helper()
	_, err := Publish(context.Background(), store, w.load(file()), testPublish)
	w.must(err)
}

// A workflow whose publisher lost any one permission that it needs is refused at its next run, and that is counted;
// when somebody who may publishes it again, it acts as that user.
func TestPermission_PublisherLosesIt(t *testing.T) {
	t.Parallel()
	for _, perm := range publishers().Permissions {
		t.Run(string(perm), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stale := w.leads(9)
			w.publishAs(w.publisher("eve"))
			w.revoke("eve", perm)
			_, err := w.runner.Run(t.Context(), w.request())
			var refused *RefusedError
			if !errors.As(err, &refused) || refused.Reason != RefusedPermission {
				t.Fatalf("run: %v, want a refusal for lack of %s", err, perm)
			}
			w.wantCount("refusals", w.metrics.refusals.WithLabelValues("stale", RefusedPermission), 1)
			if n, err := w.store.Refusals(t.Context()); err != nil || n[string(perm)] != 1 {
				t.Errorf("the store counted %v, %v; want one for lack of %s", n, err, perm)
			}
			w.publishAs(w.publisher("theo"))
			run := w.run(crmstore.RunDone)
			w.wantDeleted(run, stale)
		})
	}
}

// The scheduler's run is refused as well, once for its slot.
func TestPermission_ScheduledRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(9)
	w.publishAs(w.publisher("eve"))
	w.revoke("eve", crmstore.CanDelete)
	k := w.ticking()
	k.at(testNow)
	k.wantRuns()
	w.wantCount("refusals", w.metrics.refusals.WithLabelValues("stale", RefusedPermission), 1)
	if ids := w.dump(); len(ids) != 9 {
		t.Errorf("%d contacts, want all 9", len(ids))
	}
}

// A permission that is lost in the middle of a run stops it at the next batch; the rest waits for somebody who may.
func TestPermission_LostWhileActing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(crowd)
	w.publishAs(w.publisher("eve"))
	run, err := w.during(func() { w.revoke("eve", crmstore.CanDelete) })
	w.must(err)
	w.wantState(run, crmstore.RunHeld)
	if n := int64(len(w.deletedBy(run.ID))); n == 0 || n == int64(len(stale)) {
		t.Errorf("%d deleted of %d: want some", n, len(stale))
	}
	if _, err := w.approve(run.ID); !isPermission(err) {
		t.Errorf("approved while eve may not delete: %v", err)
	}
	_, err = w.store.Grant(t.Context(), "eve", publishers(), record.Cause{}, testNow)
	w.must(err)
	run, err = w.approve(run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
}

func isPermission(err error) bool {
	var refused *RefusedError
	var denied *crmstore.PermissionError
	return errors.As(err, &denied) || errors.As(err, &refused) && refused.Reason == RefusedPermission
}

// Approving a run needs view and bulk-delete beside manage-workflows. Without one of them nothing is deleted, and the run stays held.
func TestPermission_Approving(t *testing.T) {
	t.Parallel()
	for _, perm := range []crmstore.Permission{crmstore.CanView, crmstore.CanBulkDelete, crmstore.CanManageWorkflows} {
		t.Run(string(perm), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stale := w.leads(9)
			w.publish(file("limits:\n  max_deletions: 1\n  max_percent: 100"))
			run := w.run(crmstore.RunHeld)
			asEve := &Runner{Store: w.approver("eve"), Metrics: w.metrics}
			w.revoke("eve", crmstore.CanDelete) // the workflow's publisher needs that, not the approver
			w.revoke("eve", perm)
			_, err := asEve.Approve(t.Context(), run.ID, Approval{Count: 6, At: testNow})
			var denied *crmstore.PermissionError
			if !errors.As(err, &denied) || denied.Permission != perm {
				t.Errorf("approved without %s: %v", perm, err)
			}
			w.wantDeleted(run, nil)
			_, err = w.store.Grant(t.Context(), "eve", crmstore.Grants{
				Permissions: []crmstore.Permission{perm}, Objects: []record.ObjectType{record.Contact},
			}, record.Cause{}, testNow)
			w.must(err)
			run, err = asEve.Approve(t.Context(), run.ID, Approval{Count: 6, At: testNow})
			w.must(err)
			w.wantState(run, crmstore.RunDone)
			w.wantDeleted(run, stale)
		})
	}
}

// Who may not manage workflows neither runs, approves, cancels nor resumes one, whoever published it.
func TestPermission_OfWhoAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(9)
	w.publish(file("limits:\n  max_deletions: 1\n  max_percent: 100"))
	run := w.run(crmstore.RunHeld)
	w.publisher("eve")
	w.revoke("eve", crmstore.CanManageWorkflows)
	asEve := &Runner{Store: w.store.As("eve"), Metrics: w.metrics}
	for what, err := range map[string]error{
		"run":     errOf(asEve.Run(t.Context(), RunRequest{Name: "stale", Now: testNow.AddDate(0, 0, 1)})),
		"approve": errOf(asEve.Approve(t.Context(), run.ID, Approval{Count: 6, At: testNow})),
		"cancel":  errOf(asEve.Cancel(t.Context(), run.ID, testNow)),
		"resume":  errOf(asEve.Resume(t.Context(), run.ID)),
	} {
		if !isPermission(err) {
			t.Errorf("%s as eve: %v, want a refusal for lack of manage-workflows", what, err)
		}
	}
	run, err := w.store.Run(t.Context(), run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunHeld)
	if w.store.User() != storetest.User {
		t.Errorf("the store acts as %s", w.store.User())
	}
}

func errOf[T any](_ T, err error) error { return err }
