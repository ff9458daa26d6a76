package workflow

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// staleLeads asks for the deletion of all stale leads.
const staleLeads = `contact.lifecyclestage == "lead" && daysSince(contact.notes_last_updated) > 365`

// prepare prepares a deletion and wants it held with a number of records.
func (w *world) prepare(q DeleteRequest, want int) crmstore.Run {
	w.Helper()
	q.Object, q.Now = record.Contact, testNow
	run, err := w.runner.PrepareDelete(context.Background(), q)
	w.must(err)
	w.wantState(run, crmstore.RunHeld)
	if run.Matched != int64(want) {
		w.Fatalf("run %s found %d records, want %d", run.ID, run.Matched, want)
	}
	return run
}

// confirm types the run's number and wants the run done.
func (w *world) confirm(run crmstore.Run) crmstore.Run {
	w.Helper()
	run, err := w.runner.Confirm(context.Background(), run.ID, run.Matched, testNow)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	return run
}

func (w *world) refused(err error, reason string) {
	w.Helper()
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Reason != reason {
		w.Fatalf("error %v, want a refusal because of %q", err, reason)
	}
}

func (w *world) list(name string, ids ...record.ID) crmstore.List {
	w.Helper()
	list, err := w.store.CreateList(context.Background(), record.Contact, name, record.Cause{Actor: "test"}, testPublish)
	w.must(err)
	_, missing, err := w.store.SetMembers(context.Background(), list, ids, true, record.Cause{Actor: "test"}, testPublish)
	w.must(err)
	if len(missing) > 0 {
		w.Fatalf("list %s: there is no contact %v", name, missing)
	}
	return list
}

func TestDelete_EverySelection(t *testing.T) {
	t.Parallel()
	for name, selection := range map[string]crmstore.Selection{
		"an expression":           {Where: staleLeads},
		"a list":                  {List: `old "leads"`},
		"some of a list":          {List: "everybody", Where: staleLeads + " || unknown(contact.lifecyclestage)"},
		"ids, some of them twice": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stale := w.leads(300)
			w.list(`old "leads"`, stale...)
			w.list("everybody", slices.Concat(stale, []record.ID{3, 6, 9})...)
			q := DeleteRequest{Selection: selection, Why: "trigger of a test"}
			if selection == (crmstore.Selection{}) {
				q.IDs = slices.Concat(stale, stale[:7])
			}
			run := w.prepare(q, len(stale))
			if got := w.deletedBy(run.ID); len(got) > 0 {
				t.Fatalf("%d contacts are deleted before the number was typed", len(got))
			}
			run = w.confirm(run)
			w.wantDeleted(run, stale)
			report, err := w.runner.Undo(t.Context(), run.ID, testNow)
			w.must(err)
			if report.Restored != int64(len(stale)) || len(report.NotRestored) > 0 {
				t.Errorf("undo restored %d of %d; not %v", report.Restored, len(stale), report.NotRestored)
			}
			w.wantClean()
		})
	}
}

func TestDelete_TheSetChangesBeforeTheNumberIsTyped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(60)
	run := w.prepare(DeleteRequest{Selection: crmstore.Selection{Where: staleLeads}}, len(stale))
	w.write(w.lead(1000, 900))                                           // a new one that matches: it was not shown
	w.write(crmstore.Upsert{ID: stale[0], Set: w.lead(stale[0], 3).Set}) // no longer matches
	w.must(DeleteRecord(t.Context(), w.store, record.Contact, stale[1], record.Cause{Actor: "bob"}, testNow))
	run = w.confirm(run)
	w.wantDeleted(run, stale[2:])
	if run.Changed != 2 || run.Failed != 0 {
		t.Errorf("%d changed and %d failed, want 2 and 0", run.Changed, run.Failed)
	}
}

func TestDelete_WrongNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	run := w.prepare(DeleteRequest{Selection: crmstore.Selection{Where: staleLeads}}, len(stale))
	_, err := w.runner.Confirm(t.Context(), run.ID, run.Matched+1, testNow)
	w.refused(err, RefusedCount)
	_, err = w.runner.Approve(t.Context(), run.ID, Approval{Count: run.Matched - 1, At: testNow})
	w.refused(err, RefusedCount)
	if got := w.deletedBy(run.ID); len(got) > 0 {
		t.Errorf("%d contacts are deleted", len(got))
	}
	cancelled, err := w.runner.Cancel(t.Context(), run.ID, testNow)
	w.must(err)
	if cancelled.State != crmstore.RunCancelled {
		t.Errorf("the run is %s", cancelled.State)
	}
	partitions, err := w.store.Partitions(t.Context())
	w.must(err)
	left, err := w.store.Matches(t.Context(), record.Contact, run.ID, 0, partitions)
	w.must(err)
	if len(left) > 0 {
		t.Errorf("a deletion that was never confirmed keeps matches in %d partitions", len(left))
	}
	_, err = w.runner.Confirm(t.Context(), run.ID, run.Matched, testNow)
	w.refused(err, RefusedState)
}

// TestDelete_GoesOnAfterACrash has a process die half-way. What it deleted and somebody restored since stays live;
// what came to match since stays too.
func TestDelete_GoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	w := worldOn(t, storetest.OpenWith(t, storetest.Options{Partitions: 256}))
	stale := w.leads(300)
	run := w.prepare(DeleteRequest{Selection: crmstore.Selection{Where: staleLeads}}, len(stale))
	ctx, cancel := context.WithCancel(t.Context())
	w.runner.Progress = func(stage string, done, _ int64) {
		if stage == stageAct && done > 50 {
			cancel()
		}
	}
	run, err := w.runner.Confirm(ctx, run.ID, run.Matched, testNow)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want an interruption", err)
	}
	w.runner.Progress = nil
	half := w.deletedBy(run.ID)
	if len(half) == 0 || len(half) == len(stale) {
		t.Fatalf("%d of %d are deleted, want some", len(half), len(stale))
	}
	results, err := w.store.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Contact, At: testNow, Cause: record.Cause{Actor: "bob"}}, half[:1])
	w.must(err)
	if results[0].Outcome != crmstore.Restored {
		t.Fatalf("restore: %v", results)
	}
	w.write(w.lead(1000, 900))
	run.Owner = nobody()
	_, err = w.store.SaveRun(t.Context(), run)
	w.must(err)

	run, err = w.runner.Resume(t.Context(), run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	if run.Deleted != int64(len(stale)) {
		t.Errorf("the run counts %d deletions, want %d", run.Deleted, len(stale))
	}
	if got, want := w.deletedBy(run.ID), without(stale, half[:1]); !slices.Equal(got, want) {
		t.Errorf("%d are deleted, want %d: all but the one that was restored", len(got), len(want))
	}
	w.wantClean()
}

func TestDelete_ListGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.list("old", stale...)
	_, err := w.runner.PrepareDelete(t.Context(), DeleteRequest{
		Object: record.Contact, Selection: crmstore.Selection{List: "odl"}, Now: testNow,
	})
	w.refused(err, RefusedList)
	run := w.prepare(DeleteRequest{Selection: crmstore.Selection{List: "old"}}, len(stale))
	lists, err := w.store.Lists(t.Context(), record.Contact)
	w.must(err)
	w.must(w.store.DeleteList(t.Context(), lists["old"], record.Cause{}, testNow))
	_, err = w.runner.Confirm(t.Context(), run.ID, run.Matched, testNow)
	w.refused(err, RefusedList)
	w.list("old", stale...) // another one of that name
	_, err = w.runner.Confirm(t.Context(), run.ID, run.Matched, testNow)
	w.refused(err, RefusedList)
	if got := w.deletedBy(run.ID); len(got) > 0 {
		t.Errorf("%d contacts are deleted", len(got))
	}
}

// TestDelete_ListGoneMeanwhile deletes the list while its contacts are being deleted: the run stops, says so, and can be
// undone.
func TestDelete_ListGoneMeanwhile(t *testing.T) {
	t.Parallel()
	w := worldOn(t, storetest.OpenWith(t, storetest.Options{Partitions: 256}))
	stale := w.leads(300)
	list := w.list("old", stale...)
	run := w.prepare(DeleteRequest{Selection: crmstore.Selection{List: "old"}}, len(stale))
	gone := false
	w.runner.Progress = func(stage string, done, _ int64) {
		if stage == stageAct && done > 50 && !gone {
			gone = true
			w.must(w.store.DeleteList(t.Context(), list, record.Cause{}, testNow))
		}
	}
	run, err := w.runner.Confirm(t.Context(), run.ID, run.Matched, testNow)
	w.refused(err, RefusedList)
	w.wantState(run, crmstore.RunFailed)
	got := w.deletedBy(run.ID)
	if len(got) == 0 || len(got) == len(stale) || run.Deleted != int64(len(got)) {
		t.Errorf("%d of %d are deleted, and the run counts %d", len(got), len(stale), run.Deleted)
	}
	w.runner.Progress = nil
	_, err = w.runner.Resume(t.Context(), run.ID)
	w.refused(err, RefusedList)
	report, err := w.runner.Undo(t.Context(), run.ID, testNow)
	w.must(err)
	if report.Restored != int64(len(got)) || len(w.deletedBy(run.ID)) > 0 {
		t.Errorf("undo restored %d of %d", report.Restored, len(got))
	}
	w.wantClean()
}

func TestDelete_IDsThatCannotBeDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(10)
	w.must(DeleteRecord(t.Context(), w.store, record.Contact, 5, record.Cause{Actor: "bob"}, testNow))
	company, err := w.store.Write(t.Context(), record.Company, crmstore.CreateOnly, []crmstore.Upsert{{ID: 77}}, record.Cause{Actor: "test"}, testPublish)
	w.must(errors.Join(err, company[0].Err))
	q := DeleteRequest{Object: record.Contact, IDs: []record.ID{1, 5, 77, 78}, Now: testNow}
	_, err = w.runner.PrepareDelete(t.Context(), q)
	var bad *UndeletableError
	if !errors.As(err, &bad) {
		t.Fatalf("error %v, want an *UndeletableError", err)
	}
	want := "nothing was deleted: there is no contact 77, but there is a company 77; there is no contact 78; contact 5 is in the recycle bin already"
	if bad.Error() != want {
		t.Errorf("it says\n%s\nwant\n%s", bad, want)
	}
	if runs, err := w.store.Runs(t.Context(), crmstore.RunFilter{ByHand: true}); err != nil || len(runs) > 0 {
		t.Errorf("%d runs were made; %v", len(runs), err)
	}
	q.Skip = true
	run, err := w.runner.PrepareDelete(t.Context(), q)
	w.must(err)
	if run.Matched != 1 {
		t.Errorf("%d are to be deleted, want the one that can be", run.Matched)
	}
	err = DeleteRecord(t.Context(), w.store, record.Contact, 5, record.Cause{Actor: "bob"}, testNow)
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "in the recycle bin already") {
		t.Errorf("error %v, want that it is in the bin already", err)
	}
}

// TestDelete_OfIDsStoppedBeforeTheyWereSaved has a process die before the store has its ids: the run cannot go on.
func TestDelete_OfIDsStoppedBeforeTheyWereSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(3)
	run, err := w.runner.createDelete(t.Context(), DeleteRequest{Object: record.Contact, IDs: []record.ID{1, 2}, Now: testNow})
	w.must(err)
	run.Owner = nobody()
	_, err = w.store.SaveRun(t.Context(), run)
	w.must(err)
	run, err = w.runner.Resume(t.Context(), run.ID)
	w.refused(err, RefusedState)
	if run.State != crmstore.RunFailed || run.Deleted != 0 {
		t.Errorf("the run is %s, with %d deleted", run.State, run.Deleted)
	}
}

// TestDelete_IsNotTheDaemons checks that a deletion that nobody carries waits for a person.
func TestDelete_IsNotTheDaemons(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	run := w.prepare(DeleteRequest{Selection: crmstore.Selection{Where: staleLeads}}, len(stale))
	run.State, run.Stage, run.Owner = crmstore.RunRunning, stageAct, nobody()
	run, err := w.store.SaveRun(t.Context(), run)
	w.must(err)
	l := newLoop(&Scheduler{Runner: w.runner})
	l.tick(t.Context(), testNow)
	l.running.Wait()
	w.wantCount("held runs", w.metrics.held, 0)
	if got := w.deletedBy(run.ID); len(got) > 0 {
		t.Errorf("the daemon deleted %d contacts", len(got))
	}
}

// A search that finds all live records deletes nothing unless it says that all are meant, also when it is resumed.
func TestDelete_EverythingIsSaid(t *testing.T) {
	t.Parallel()
	for _, selection := range []crmstore.Selection{
		{Where: "true"},
		{Where: "contact.lifecyclestage == contact.lifecyclestage || unknown(contact.lifecyclestage)"},
		{Where: "contact.lifecyclestage == \"lead\""},
	} {
		w := newWorld(t)
		w.leads(9)
		run, err := w.runner.PrepareDelete(t.Context(), DeleteRequest{Object: record.Contact, Selection: selection, Now: testNow})
		w.refused(err, RefusedEverything)
		_, err = w.runner.Resume(t.Context(), run.ID)
		w.refused(err, RefusedEverything)
		if ids := w.deletedBy(run.ID); len(ids) > 0 {
			t.Errorf("%d deleted", len(ids))
		}
		selection.Everything = true
		run = w.confirm(w.prepare(DeleteRequest{Selection: selection}, 9))
		if run.Deleted != 9 {
			t.Errorf("%q with everything said deleted %d, want 9", selection.Where, run.Deleted)
		}
	}
}
