package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestRun_DeletesExactlyTheStaleOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(300)
	before := w.dump()
	w.publish(file())
	run := w.run(crmstore.RunDone)
	if want := "stale@2026-11-24T03:00:00Z.1"; run.ID != want {
		t.Errorf("run id %q, want %q", run.ID, want)
	}
	w.wantDeleted(run, stale)
	want := crmstore.Totals{Evaluated: 300, Matched: 200, Deleted: 200}
	if d := cmp.Diff(want, run.Totals); d != "" {
		t.Errorf("totals (-want +got):\n%s", d)
	}
	w.wantCount("evaluated", w.metrics.contacts.WithLabelValues("stale"), 300)
	w.wantCount("matched", w.metrics.matches.WithLabelValues("stale"), 200)
	w.wantCount("deleted", w.metrics.deleted.WithLabelValues("stale"), 200)
	w.wantCount("runs", w.metrics.runs.WithLabelValues("stale", "done"), 1)
	if got, err := w.store.Workflow(t.Context(), "stale"); err != nil || got.LastRun != run.ID || !got.LastSlot.IsZero() {
		t.Errorf("workflow after a run by hand: %+v, %v; want last run %s and no slot", got, err, run.ID)
	}

	again := w.run(crmstore.RunDone)
	if want := "stale@2026-11-24T03:00:00Z.2"; again.ID != want || again.Deleted != 0 {
		t.Errorf("second run %s deleted %d, want %s and 0", again.ID, again.Deleted, want)
	}

	report, err := w.runner.Undo(t.Context(), run.ID, testNow)
	w.must(err)
	if report.Restored != 200 || len(report.NotRestored) != 0 || report.Run.Undone != 200 {
		t.Errorf("undo restored %d, not %d, noted %d; want 200, 0, 200", report.Restored, len(report.NotRestored), report.Run.Undone)
	}
	if d := cmp.Diff(before, w.dump()); d != "" {
		t.Errorf("contacts after undo (-before +after):\n%s", d)
	}
	if after := w.run(crmstore.RunDone); after.Deleted != 0 || after.AlreadyEnrolled != 200 {
		t.Errorf("after undo a run deleted %d and found %d enrolled, want 0 and 200", after.Deleted, after.AlreadyEnrolled)
	}
	w.publish(file("enroll:\n  reenroll: true\n  triggers:\n    - contact.lifecyclestage == \"lead\" && daysSince(contact.notes_last_updated) > 365"))
	held := w.run(crmstore.RunHeld) // all of them were restored before
	if after, err := w.approve(held.ID); err != nil || after.Deleted != 200 {
		t.Errorf("with reenroll a run deleted %d, %v; want 200", after.Deleted, err)
	}
	w.wantClean()
}

func TestUndo_SaysWhatItCouldNotRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(6) // 1, 2, 4, 5 are stale
	w.publish(file())
	run := w.run(crmstore.RunDone)
	w.write(crmstore.Upsert{ID: 100, Set: []record.Assignment{w.set("email", "c1@example.com")}})
	_, err := w.store.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Contact, At: testNow}, []record.ID{2, 4})
	w.must(err)
	recs, err := w.store.Get(t.Context(), record.Contact, []record.ID{4})
	w.must(err)
	_, err = w.store.Archive(t.Context(), crmstore.ArchiveOrder{Object: record.Contact, At: testNow, Cause: record.Cause{Actor: "bob"}},
		[]crmstore.Archive{{Partition: record.ID(4).Partition(16), Targets: []crmstore.Target{{ID: 4, Slot: recs[0].Slot, Version: recs[0].Version}}}})
	w.must(err)

	report, err := w.runner.Undo(t.Context(), run.ID, testNow)
	w.must(err)
	slices.SortFunc(report.NotRestored, func(a, b Unrestored) int { return int(a.ID) - int(b.ID) })
	want := []Unrestored{
		{ID: 1, Reason: UndoEmailTaken, Holder: 100}, {ID: 2, Reason: UndoLive}, {ID: 4, Reason: UndoDeletedAgain},
	}
	if d := cmp.Diff(want, report.NotRestored); d != "" || report.Restored != 1 {
		t.Errorf("restored %d, want 1; not restored (-want +got):\n%s", report.Restored, d)
	}
	again, err := w.runner.Undo(t.Context(), run.ID, testNow)
	if err != nil || again.Restored != 0 {
		t.Errorf("a second undo restored %d, %v; want 0", again.Restored, err)
	}
}

func TestReviewAndDryRun_WriteNothing(t *testing.T) {
	t.Parallel()
	url := "redis://" + storetest.StartServer(t)
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: url, User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	_, err = store.CreateAccount(t.Context(), crmstore.Professional, 16, record.Cause{Actor: "test"}, testPublish)
	if err != nil {
		t.Fatal(err)
	}
	w := worldOn(t, store)
	stale := w.leads(60)
	w.publish(file("enroll:\n  triggers:\n    - contact.lifecyclestage == \"lead\" && contact.notes_last_updated < daysAgo(300) && contact.email != \"c1@example.com\""))
	d := w.load(file())
	before := storetest.Dump(t, url)
	review, err := MakeReview(t.Context(), store, d, testNow)
	w.must(err)
	dry, err := w.runner.DryRun(t.Context(), d, testNow)
	w.must(err)
	if diff := cmp.Diff(before, storetest.Dump(t, url)); diff != "" {
		t.Errorf("a review and a dry run changed the store:\n%s", diff)
	}
	if len(before) < 16 {
		t.Errorf("the dump holds %d keys only", len(before))
	}
	if diff := cmp.Diff(stale, review.Contacts); diff != "" {
		t.Errorf("contacts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]record.ID{1}, review.Newly); diff != "" || len(review.NoLonger) != 0 {
		t.Errorf("no longer %v; newly (-want +got):\n%s", review.NoLonger, diff)
	}
	want := []time.Time{testNow.AddDate(0, 0, 1), testNow.AddDate(0, 0, 2), testNow.AddDate(0, 0, 3)}
	if diff := cmp.Diff(want, review.NextRuns, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("next runs (-want +got):\n%s", diff)
	}
	if dry.State != RunDryRun || dry.Matched != int64(len(stale)) || dry.Deleted != 0 {
		t.Errorf("dry run %+v", dry)
	}
}

func TestReview_WarnsOfEveryoneAndOfLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(30)
	r, err := MakeReview(t.Context(), w.store, w.load(file("enroll:\n  triggers:\n    - \"true\"", "limits:\n  max_deletions: 5")), testNow)
	w.must(err)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Message, "30 contacts") {
		t.Errorf("warnings %v, want one with the count", r.Warnings)
	}
	if r.OverLimit != "30 contacts match, more than max_deletions 5" || r.WouldDelete != 30 {
		t.Errorf("over limit %q, would delete %d", r.OverLimit, r.WouldDelete)
	}
}

func TestRun_HeldThenApprovedActsOnWhatWasShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.publish(file("limits:\n  max_deletions: 5\n  max_percent: 100"))
	before := w.dump()
	run := w.run(crmstore.RunHeld)
	if run.Reason != "20 contacts match, more than max_deletions 5" {
		t.Errorf("reason %q", run.Reason)
	}
	if d := cmp.Diff(before, w.dump()); d != "" {
		t.Errorf("a held run touched contacts:\n%s", d)
	}
	w.wantCount("refusals", w.metrics.refusals.WithLabelValues("stale", RefusedLimit), 1)
	_, err := w.runner.Run(t.Context(), w.request())
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Reason != RefusedActive || !strings.Contains(err.Error(), "workflow approve "+run.ID) {
		t.Errorf("a second run: %v, want a refusal that says what to do", err)
	}
	if _, err := w.runner.Undo(t.Context(), run.ID, testNow); !errors.As(err, &refused) {
		t.Errorf("undo of a held run: %v, want a refusal", err)
	}
	// One that matched no longer does, and two new ones do: an approval never acts on those.
	w.write(w.lead(1, 3), w.lead(200, 500), w.lead(201, 500))
	run, err = w.approve(run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale[1:])
	if run.Deleted != 19 || run.Changed != 1 || run.ApprovedBy != storetest.User {
		t.Errorf("deleted %d, changed %d, approved by %q; want 19, 1, the runner's user", run.Deleted, run.Changed, run.ApprovedBy)
	}
	if _, err := w.approve(run.ID); !errors.As(err, &refused) {
		t.Errorf("approving a run that is done: %v, want a refusal", err)
	}
	w.wantClean()
}

func TestRun_HeldThenCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(30)
	w.publish(file("limits:\n  max_percent: 1"))
	run := w.run(crmstore.RunHeld)
	cancelled, err := w.runner.Cancel(t.Context(), run.ID, testNow)
	w.must(err)
	w.wantState(cancelled, crmstore.RunCancelled)
	w.wantDeleted(cancelled, nil)
	var refused *RefusedError
	if _, err := w.runner.Cancel(t.Context(), run.ID, testNow); !errors.As(err, &refused) {
		t.Errorf("a second cancel: %v, want a refusal", err)
	}
	if _, err := w.approve(run.ID); !errors.As(err, &refused) {
		t.Errorf("approving a cancelled run: %v, want a refusal", err)
	}
	w.run(crmstore.RunHeld) // the workflow is free again
}

// during runs the workflow, calls what happens once when acting has begun, and returns how the run ended.
func (w *world) during(what func()) (crmstore.Run, error) {
	var once sync.Once
	w.runner.Progress = func(stage string, done, _ int64) {
		if stage == stageAct && done > 0 {
			once.Do(what)
		}
	}
	defer func() { w.runner.Progress = nil }()
	return w.runner.Run(context.Background(), w.request())
}

// crowd is enough stale contacts for several rounds of batches in each partition.
const crowd = 16*batchRecords*3 + 100

func TestRun_StopsBeforeItsNextBatchAndGoesOn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stop, again func(w *world)
		reason      string
	}{
		"the account drops to starter": {
			stop:   func(w *world) { w.tier(crmstore.Starter) },
			again:  func(w *world) { w.tier(crmstore.Professional) },
			reason: RefusedTier,
		},
		"the workflow is switched off": {
			stop:   func(w *world) { w.switchTo(false) },
			again:  func(w *world) { w.switchTo(true) },
			reason: RefusedOff,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stale := w.leads(crowd)
			w.publish(file())
			run, err := w.during(func() { tt.stop(w) })
			w.must(err)
			w.wantState(run, crmstore.RunHeld)
			if n := int64(len(w.deletedBy(run.ID))); n == 0 || n == int64(len(stale)) || n != run.Deleted {
				t.Fatalf("%d deleted, the run says %d, of %d: want some, and the same", n, run.Deleted, len(stale))
			}
			w.wantCount("refusals", w.metrics.refusals.WithLabelValues("stale", tt.reason), 1)
			var refused *RefusedError
			if _, err := w.approve(run.ID); !errors.As(err, &refused) || refused.Reason != tt.reason {
				t.Errorf("approved too early: %v, want a refusal for %s", err, tt.reason)
			}
			tt.again(w)
			run, err = w.approve(run.ID)
			w.must(err)
			w.wantState(run, crmstore.RunDone)
			w.wantDeleted(run, stale)
			if run.Deleted != int64(len(stale)) {
				t.Errorf("totals say %d deleted, want %d", run.Deleted, len(stale))
			}
			w.wantCount("deleted", w.metrics.deleted.WithLabelValues("stale"), float64(len(stale)))
		})
	}
}

func (w *world) tier(tier crmstore.Tier) {
	_, err := w.store.SetTier(context.Background(), tier, record.Cause{Actor: "ann"}, testNow)
	w.must(err)
}

func (w *world) switchTo(on bool) {
	_, err := Switch(context.Background(), w.store, "stale", on, testNow)
	w.must(err)
}

func TestRun_CancelledWhileActing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(crowd)
	w.publish(file())
	run, err := w.during(func() {
		runs, err := w.store.ActiveRuns(t.Context())
		w.must(err)
		if _, err := w.runner.Cancel(t.Context(), runs[0].ID, testNow); err != nil {
			t.Error(err)
		}
	})
	w.must(err)
	w.wantState(run, crmstore.RunCancelled)
	if n := int64(len(w.deletedBy(run.ID))); n == 0 || n == int64(len(stale)) || n != run.Deleted {
		t.Errorf("%d deleted, the run says %d, of %d: want some, and the same", n, run.Deleted, len(stale))
	}
	report, err := w.runner.Undo(t.Context(), run.ID, testNow)
	if err != nil || report.Restored != run.Deleted {
		t.Errorf("undo restored %d, %v; want %d", report.Restored, err, run.Deleted)
	}
}

func TestRun_ContactsThatChangeWhileItRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.publish(file())
	var once sync.Once
	w.runner.Progress = func(stage string, done, total int64) {
		if stage == stageEvaluate && done == total {
			once.Do(func() {
				w.write(w.lead(1, 2)) // no longer matches
				w.write(crmstore.Upsert{ID: 2, Set: []record.Assignment{w.set("firstname", "Still stale")}})
				recs, err := w.store.Get(t.Context(), record.Contact, []record.ID{4})
				w.must(err)
				_, err = w.store.Archive(t.Context(), crmstore.ArchiveOrder{Object: record.Contact, At: testNow, Cause: record.Cause{Actor: "bob"}},
					[]crmstore.Archive{{Partition: record.ID(4).Partition(16), Targets: []crmstore.Target{{ID: 4, Version: recs[0].Version}}}})
				w.must(err)
			})
		}
	}
	run := w.run(crmstore.RunDone)
	want := slices.DeleteFunc(slices.Clone(stale), func(id record.ID) bool { return id == 1 || id == 4 })
	w.wantDeleted(run, want)
	if run.Deleted != 18 || run.Changed != 2 || run.Failed != 0 {
		t.Errorf("deleted %d, changed %d, failed %d; want 18, 2, 0", run.Deleted, run.Changed, run.Failed)
	}
}

func TestRun_ExistingFalse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(30)
	source := file("enroll:\n  existing: false\n  triggers:\n    - contact.lifecyclestage == \"lead\" && daysSince(contact.notes_last_updated) > 365")
	review, err := MakeReview(t.Context(), w.store, w.load(source), testNow)
	w.must(err)
	if review.Existing != 20 || review.WouldDelete != 0 || len(review.Contacts) != 0 {
		t.Errorf("before publishing: existing %d, would delete %d; want 20, 0", review.Existing, review.WouldDelete)
	}
	p := w.publish(source)
	if p.Existing != 20 {
		t.Errorf("publishing marked %d, want 20", p.Existing)
	}
	w.write(w.lead(100, 400))
	review, err = MakeReview(t.Context(), w.store, w.load(source), testNow)
	w.must(err)
	if d := cmp.Diff([]record.ID{100}, review.Contacts); d != "" {
		t.Errorf("after publishing, review (-want +got):\n%s", d)
	}
	run := w.run(crmstore.RunDone)
	w.wantDeleted(run, []record.ID{100})
	// Off for a while, then on again: who matches when it is switched on is existing too.
	w.switchTo(false)
	w.write(w.lead(101, 400))
	w.switchTo(true)
	if run := w.run(crmstore.RunDone); run.Deleted != 0 {
		t.Errorf("after switching on again %d deleted, want 0", run.Deleted)
	}
}

func TestRun_RemovedPropertyFailsLoudlyAndCanBeResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.store.AddProperties(t.Context(), record.Contact, []record.Property{{Name: "score", Label: "Score", Type: record.Number}}, record.Cause{Actor: "ann"}, testPublish)
	w.must(err)
	w.leads(9)
	w.publish(file("enroll:\n  triggers:\n    - unknown(contact.score)"))
	_, err = w.store.RemoveProperty(t.Context(), record.Contact, "score", record.Cause{Actor: "ann"}, testPublish)
	w.must(err)
	run, err := w.runner.Run(t.Context(), w.request())
	var findings *FindingsError
	if !errors.As(err, &findings) || len(findings.List) == 0 || !strings.Contains(err.Error(), "score") {
		t.Fatalf("error %v, want findings that name the property", err)
	}
	w.wantState(run, crmstore.RunFailed)
	w.wantDeleted(run, nil)
	w.wantCount("failed", w.metrics.runs.WithLabelValues("stale", "failed"), 1)
	if _, _, err := LoadPublished(t.Context(), w.store, "stale"); !errors.As(err, &findings) {
		t.Errorf("LoadPublished: %v, want findings", err)
	}
	_, err = w.store.AddProperties(t.Context(), record.Contact, []record.Property{{Name: "score", Label: "Score", Type: record.Number}}, record.Cause{Actor: "ann"}, testPublish)
	w.must(err)
	run, err = w.runner.Resume(t.Context(), run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	if run.Deleted != 9 {
		t.Errorf("deleted %d, want 9", run.Deleted)
	}
}

func TestRun_Refusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(3)
	var refused *RefusedError
	if _, err := w.runner.Run(t.Context(), w.request()); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a workflow that is not there: %v", err)
	}
	w.tier(crmstore.Free)
	if _, err := Publish(t.Context(), w.store, w.load(file()), testPublish); !errors.As(err, &refused) || refused.Reason != RefusedTier {
		t.Errorf("publish on the free tier: %v, want a refusal", err)
	}
	if _, err := w.store.Workflow(t.Context(), "stale"); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a refused publish left a workflow: %v", err)
	}
	w.tier(crmstore.Enterprise)
	w.publish(file())
	w.switchTo(false)
	if _, err := w.runner.Run(t.Context(), w.request()); !errors.As(err, &refused) || refused.Reason != RefusedOff {
		t.Errorf("run of a workflow that is off: %v, want a refusal", err)
	}
	w.switchTo(true)
	w.tier(crmstore.Starter)
	if _, err := w.runner.Run(t.Context(), w.request()); !errors.As(err, &refused) || refused.Reason != RefusedTier {
		t.Errorf("run on the starter tier: %v, want a refusal", err)
	}
	if runs, err := w.store.Runs(t.Context(), crmstore.RunFilter{}); err != nil || len(runs) != 0 {
		t.Errorf("refused runs left %v, %v", runs, err)
	}
}

func TestPublish_Lifecycle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(3)
	p := w.publish(file())
	if p.Revision != 1 || !p.On || !p.NewRevision || !p.SwitchedOn || p.PublishedBy != storetest.User {
		t.Errorf("first publication %+v", p)
	}
	if p = w.publish(file()); p.Changed() || p.Revision != 1 {
		t.Errorf("the same again %+v, want no change", p)
	}
	w.switchTo(false)
	w.switchTo(false)
	if p = w.publish(file()); p.NewRevision || !p.SwitchedOn || p.Revision != 1 {
		t.Errorf("the same after switching off %+v, want switched on only", p)
	}
	if p = w.publish(file("title: A new title")); !p.NewRevision || p.SwitchedOn || p.Revision != 2 {
		t.Errorf("another file %+v, want revision 2", p)
	}
	d, _, err := LoadPublished(t.Context(), w.store, "stale")
	if err != nil || d.Title != "A new title" {
		t.Errorf("published: %+v, %v", d, err)
	}
	old, err := w.store.Revision(t.Context(), "stale", 1)
	if err != nil || string(old.Source) != file() {
		t.Errorf("revision 1 is not what was published: %v", err)
	}
}

func TestPublish_TwoAtOnce(t *testing.T) {
	t.Parallel()
	for round := range 10 {
		w := newWorld(t)
		var done sync.WaitGroup
		errs := make([]error, 2)
		start := make(chan struct{})
		for i := range errs {
			d := w.load(file(fmt.Sprintf("title: by %d", i)))
			done.Go(func() {
				<-start
				_, errs[i] = Publish(t.Context(), w.store, d, testPublish)
			})
		}
		close(start)
		done.Wait()
		got, err := w.store.Workflow(t.Context(), "stale")
		w.must(err)
		failed := 0
		for _, err := range errs {
			if err != nil {
				failed++
				if !errors.Is(err, record.ErrConflict) {
					t.Errorf("round %d: %v, want a conflict", round, err)
				}
			}
		}
		// One after the other is fine too; but every publication that succeeded has its revision.
		if got.Revision != 2-failed || failed > 1 {
			t.Errorf("round %d: revision %d with errors %v", round, got.Revision, errs)
		}
	}
}

func TestRun_OneSlotOneRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(60)
	w.publish(file())
	q := RunRequest{Name: "stale", Now: testNow, Scheduled: true}
	var done sync.WaitGroup
	runs, errs := make([]crmstore.Run, 4), make([]error, 4)
	for i := range runs {
		done.Go(func() { runs[i], errs[i] = w.runner.Run(t.Context(), q) })
	}
	done.Wait()
	carried := 0
	for i, err := range errs {
		var refused *RefusedError
		switch {
		case err == nil && runs[i].State == crmstore.RunDone:
			carried++
		case !errors.Is(err, ErrSlotTaken) && !errors.As(err, &refused):
			t.Errorf("run %d: %v", i, err)
		}
	}
	if carried != 1 {
		t.Errorf("%d runs of one slot, want 1", carried)
	}
	run, err := w.store.Run(t.Context(), "stale@2026-11-24T03:00:00Z")
	w.must(err)
	w.wantDeleted(run, stale)
	got, err := w.store.Workflow(t.Context(), "stale")
	if err != nil || !got.LastSlot.Equal(testNow) || got.LastRun != run.ID {
		t.Errorf("workflow %+v, %v: want the slot and the run noted", got, err)
	}
}
