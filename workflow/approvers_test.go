package workflow

import (
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// four is a world whose account wants two approvals, with a run that is held, and two users who may approve.
func four(t *testing.T) (w *world, held crmstore.Run, eve, theo *Runner, stale []record.ID) {
	t.Helper()
	w = newWorld(t)
	stale = w.leads(9)
	w.setting(crmstore.SettingApprovals, "2")
	w.publish(file("limits:\n  max_deletions: 1\n  max_percent: 100"))
	held = w.run(crmstore.RunHeld)
	return w, held, &Runner{Store: w.approver("eve"), Metrics: w.metrics}, &Runner{Store: w.approver("theo"), Metrics: w.metrics}, stale
}

func yes(n int64) Approval { return Approval{Count: n, At: testNow} }

// Two different users approve: the first is noted and shown, and the run goes on with the second.
func TestFourEyes(t *testing.T) {
	t.Parallel()
	w, held, eve, theo, stale := four(t)
	if !strings.HasSuffix(held.Reason, "; 2 different users approve a held run") {
		t.Errorf("reason %q does not say who must approve", held.Reason)
	}
	run, err := eve.Approve(t.Context(), held.ID, yes(6))
	w.must(err)
	w.wantState(run, crmstore.RunHeld)
	w.wantDeleted(run, nil)
	if len(run.Approvals) != 1 || run.Approvals[0].By != "eve" || run.Approvals[0].Count != 6 {
		t.Errorf("approvals %+v, want eve's of 6", run.Approvals)
	}
	if words, err := eve.WaitsForMore(t.Context(), held.ID); err != nil || words != "approved by eve; another user must approve it too" {
		t.Errorf("%q, %v", words, err)
	}
	_, err = eve.Approve(t.Context(), held.ID, yes(6))
	w.refused(err, RefusedApprover)
	_, err = theo.Approve(t.Context(), held.ID, yes(5))
	w.refused(err, RefusedCount)
	run, err = theo.Approve(t.Context(), held.ID, yes(6))
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
	if len(run.Approvals) != 2 || run.ApprovedBy != "theo" {
		t.Errorf("approved by %s, approvals %+v; want theo after eve", run.ApprovedBy, run.Approvals)
	}
}

// Two users approve at the same moment: both count, and the run is carried once.
func TestFourEyes_AtOnce(t *testing.T) {
	t.Parallel()
	w, held, eve, theo, stale := four(t)
	who := make(chan *Runner, 2)
	who <- eve
	who <- theo
	runs, errs := w.atOnce(2, func(*Runner) (crmstore.Run, error) { return (<-who).Approve(t.Context(), held.ID, yes(6)) })
	states := map[crmstore.RunState]int{}
	for i, run := range runs {
		w.must(errs[i])
		states[run.State]++
	}
	if states[crmstore.RunHeld] != 1 || states[crmstore.RunDone] != 1 {
		t.Errorf("ended %v, want one noted and one that carried the run", states)
	}
	w.wantDeleted(held, stale)
}

// An approval counts no more when the run was carried since, another revision was published, or its user may no longer.
func TestFourEyes_ApprovalIsVoid(t *testing.T) {
	t.Parallel()
	for name, since := range map[string]func(w *world, held crmstore.Run){
		"its user may no longer": func(w *world, _ crmstore.Run) { w.revoke("eve", crmstore.CanBulkDelete) },
		"another revision": func(w *world, _ crmstore.Run) {
			_, err := PublishWith(t.Context(), w.store, w.load(narrow("limits:\n  max_deletions: 1\n  max_percent: 100")), PublishOptions{KeepHeld: true}, testNow)
			w.must(err)
		},
		"carried since": func(w *world, held crmstore.Run) {
			run, err := w.store.Run(t.Context(), held.ID)
			w.must(err)
			_, err = w.store.TakeRun(t.Context(), run)
			w.must(err)
		},
		"its user is barred": func(w *world, _ crmstore.Run) {
			_, err := Publish(t.Context(), w.store.As("eve"), w.load(file("limits:\n  max_deletions: 1\n  max_percent: 100")), testNow)
			w.must(err) // eve takes the workflow over
			w.setting(crmstore.SettingApprover, crmstore.ApprovalNotPublisher)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, held, eve, theo, _ := four(t)
			_, err := eve.Approve(t.Context(), held.ID, yes(6))
			w.must(err)
			since(w, held)
			run, err := theo.Approve(t.Context(), held.ID, yes(6))
			w.must(err)
			w.wantState(run, crmstore.RunHeld)
			w.wantDeleted(run, nil)
			if len(run.Approvals) != 1 || run.Approvals[0].By != "theo" {
				t.Errorf("approvals %+v, want theo's alone", run.Approvals)
			}
		})
	}
}

// With not_publisher neither who published the run's revision nor who published the workflow since approves its run.
func TestApprover_NotThePublisher(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(9)
	w.setting(crmstore.SettingApprover, crmstore.ApprovalNotPublisher)
	eve, theo, ann := w.approver("eve"), w.approver("theo"), w.approver("ann")
	d := w.load(file("limits:\n  max_deletions: 1\n  max_percent: 100"))
	for _, store := range []*crmstore.Store{eve, theo} {
		_, err := Publish(t.Context(), store, d, testPublish)
		w.must(err)
	}
	held := w.run(crmstore.RunHeld)
	if !strings.HasSuffix(held.Reason, "; one user approves a held run, not who published the workflow") {
		t.Errorf("reason %q", held.Reason)
	}
	for _, store := range []*crmstore.Store{eve, theo} {
		_, err := (&Runner{Store: store, Metrics: w.metrics}).Approve(t.Context(), held.ID, yes(6))
		w.refused(err, RefusedApprover)
	}
	run, err := (&Runner{Store: ann, Metrics: w.metrics}).Approve(t.Context(), held.ID, yes(6))
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
}

// A deletion by hand that is over the default limits needs two users too; a smaller one does not.
func TestFourEyes_ByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(60)
	w.setting(crmstore.SettingApprovals, "2")
	eve, theo := &Runner{Store: w.approver("eve")}, &Runner{Store: w.approver("theo")}
	small, err := eve.PrepareDelete(t.Context(), DeleteRequest{Object: record.Contact, IDs: []record.ID{3, 6}, Now: testNow})
	w.must(err)
	small, err = eve.Confirm(t.Context(), small.ID, 2, testNow)
	w.must(err)
	w.wantState(small, crmstore.RunDone)
	large, err := eve.PrepareDelete(t.Context(), DeleteRequest{Object: record.Contact, Selection: crmstore.Selection{Where: staleLeads}, Now: testNow})
	w.must(err)
	large, err = eve.Confirm(t.Context(), large.ID, 40, testNow)
	w.must(err)
	w.wantState(large, crmstore.RunHeld)
	if ids := w.deletedBy(large.ID); len(ids) > 0 {
		t.Errorf("%d deleted by one user", len(ids))
	}
	_, err = eve.Confirm(t.Context(), large.ID, 40, testNow)
	w.refused(err, RefusedApprover)
	large, err = theo.Confirm(t.Context(), large.ID, 40, testNow)
	w.must(err)
	w.wantState(large, crmstore.RunDone)
	if ids := w.deletedBy(large.ID); len(ids) != 40 {
		t.Errorf("%d deleted, want 40", len(ids))
	}
}
