package workflow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// setting gives one of the account's settings a value; "" = its default.
func (w *world) setting(key, value string) {
	w.Helper()
	_, err := w.store.SetSetting(context.Background(), key, value, record.Cause{Actor: "test"}, testPublish)
	w.must(err)
}

// named is a workflow file of that name for the leads whose ids are in [from, to).
func named(name string, from, to int, limits string) string {
	var addresses []string
	for id := from; id < to; id++ {
		addresses = append(addresses, fmt.Sprintf("%q", fmt.Sprintf("c%d@example.com", id)))
	}
	return file("workflow: "+name, "limits: "+limits, "enroll:\n  triggers:\n    - contact.email in ["+strings.Join(addresses, ", ")+"]")
}

// deletedSoFar is how many contacts are in the bin.
func (w *world) deletedSoFar() int64 {
	w.Helper()
	counts, err := w.store.Count(context.Background(), record.Contact)
	w.must(err)
	return counts.Archived
}

func (w *world) lately() crmstore.Lately {
	w.Helper()
	got, err := w.store.DeletedLately(context.Background(), record.Contact, w.store.Now())
	w.must(err)
	return got
}

// Each of the runs is within max_deletions, and all of them together are not.
func TestLimits_CountWhatTheWorkflowDeletedIn24Hours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(400)
	w.publish(named("stale", 1, 4, "{max_deletions: 3}"))
	if run := w.run(crmstore.RunDone); run.Deleted != 3 {
		t.Fatalf("the first deleted %d, want 3", run.Deleted)
	}
	for i := range 3 {
		w.publish(named("stale", 10+i, 11+i, "{max_deletions: 3}"))
		run := w.run(crmstore.RunHeld)
		want := "1 contacts match; with 3 deleted by stale in the last 24 hours they are 4, more than max_deletions 3; there is room from 2"
		if !strings.HasPrefix(run.Reason, want) {
			t.Errorf("reason %q, want %q", run.Reason, want)
		}
		_, err := w.runner.Cancel(t.Context(), run.ID, testNow)
		w.must(err)
	}
	if n := w.deletedSoFar(); n != 3 {
		t.Errorf("%d were deleted, want 3", n)
	}
	review, err := MakeReview(t.Context(), w.store, w.load(named("stale", 20, 21, "{max_deletions: 3}")), testNow)
	w.must(err)
	if !strings.Contains(review.OverLimit, "with 3 deleted by stale") || review.OverCeiling != "" {
		t.Errorf("review: %q, ceiling %q", review.OverLimit, review.OverCeiling)
	}
	dry, err := w.runner.DryRun(t.Context(), w.load(named("stale", 20, 21, "{max_deletions: 3}")), testNow)
	if err != nil || !strings.HasPrefix(dry.Reason, review.OverLimit) {
		t.Errorf("dry run: %q, %v", dry.Reason, err)
	}
}

// Ten percent of those that are live now: what was deleted before counts, and undo gives nothing back.
func TestLimits_PercentAndUndo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(100)
	limits := "{max_deletions: 1000, max_percent: 10}"
	w.publish(named("stale", 1, 9, limits))
	first := w.run(crmstore.RunDone)
	_, err := w.runner.Undo(t.Context(), first.ID, testNow)
	w.must(err)
	w.publish(named("stale", 20, 23, limits))
	run := w.run(crmstore.RunHeld)
	if want := "3 contacts match; with 8 deleted by stale in the last 24 hours they are 11, 11 % of 100 live contacts, more than max_percent 10 %"; !strings.HasPrefix(run.Reason, want) {
		t.Errorf("reason %q, want %q", run.Reason, want)
	}
	_, err = w.runner.Cancel(t.Context(), run.ID, testNow)
	w.must(err)
	w.publish(named("stale", 20, 22, limits))
	if run := w.run(crmstore.RunDone); run.Deleted != 2 {
		t.Errorf("8 and 2 are 10 %% of 100, but %d were deleted", run.Deleted)
	}
}

// Twenty workflows of a hundred each, due at once: together they delete what the account allows and no more.
func TestCeiling_HoldsACrowdOfSmallWorkflows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(2001)
	w.setting(crmstore.SettingPerDay, "")
	const each, most = 100, 1000 // 20 % of 2,001 are 400, but at least 1,000
	var runs sync.WaitGroup
	var mu sync.Mutex
	states := map[crmstore.RunState]int{}
	for i := range 20 {
		name := fmt.Sprintf("w%d", i)
		w.publish(named(name, 1+each*i, 1+each*(i+1), "{max_deletions: 1000, max_percent: 50}"))
		runs.Go(func() {
			run, err := w.runner.Run(t.Context(), RunRequest{Name: name, Now: testNow})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			states[run.State]++
			if run.State == crmstore.RunHeld && !strings.Contains(run.Reason, "more than the account's deletions_per_day 1,000 (the default)") {
				t.Errorf("reason %q", run.Reason)
			}
		})
	}
	runs.Wait()
	if n := w.deletedSoFar(); n != most || states[crmstore.RunDone] != 10 || states[crmstore.RunHeld] != 10 {
		t.Errorf("%d were deleted by %v, want 1,000 by 10, and 10 held", n, states)
	}
	if got := w.lately(); got.All.Deleted != most || got.All.Aside != 0 || len(got.By) != 10 {
		t.Errorf("counted %d and %d aside of %d workflows, want 1,000, 0, 10", got.All.Deleted, got.All.Aside, len(got.By))
	}
	w.wantClean()
}

// Only a super admin passes the account's ceiling; the message says what is in the way, and by what.
func TestCeiling_IsPassedByASuperAdminAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(300)
	w.setting(crmstore.SettingPerDay, "50")
	theo := w.approver("theo")
	w.publish(named("first", 1, 41, "{max_deletions: 1000, max_percent: 50}"))
	run, err := w.runner.Run(t.Context(), RunRequest{Name: "first", Now: testNow})
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.must(DeleteRecord(t.Context(), w.store, record.Contact, 300, record.Cause{}, w.store.Now()))
	w.publish(named("stale", 101, 121, "{max_deletions: 1000, max_percent: 50}"))
	held := w.run(crmstore.RunHeld)
	want := "20 with 41 deleted in the last 24 hours (first 40, by hand 1) are 61, more than the account's deletions_per_day 50; there is room from "
	if !strings.HasPrefix(held.Reason, want) || !strings.HasSuffix(held.Reason, "; only a super admin can approve it") {
		t.Errorf("reason %q, want %q", held.Reason, want)
	}
	w.wantCount("refusals", w.metrics.refusals.WithLabelValues("stale", RefusedCeiling), 1)
	other := *w.runner
	other.Store = theo
	var refused *RefusedError
	if _, err := other.Approve(t.Context(), held.ID, Approval{Count: 20, At: testNow}); !errors.As(err, &refused) || refused.Reason != RefusedCeiling {
		t.Errorf("theo approves: %v, want a refusal by the ceiling", err)
	}
	if n := w.deletedSoFar(); n != 41 {
		t.Errorf("%d were deleted, want 41", n)
	}
	done, err := w.approve(held.ID)
	w.must(err)
	if done.State != crmstore.RunDone || done.Deleted != 20 || !done.Lifted {
		t.Errorf("approved by a super admin: %+v", done)
	}
	if got := w.lately(); got.All.Sum() != 61 {
		t.Errorf("%d are counted, want 61", got.All.Sum())
	}
}

// Deletions by hand of a user who is no super admin stay below the ceiling, one by one and many at once, whatever happens at
// the same moment; a super admin's pass it.
func TestCeiling_HoldsDeletionsByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(60)
	w.setting(crmstore.SettingPerDay, "7")
	theo := *w.runner
	theo.Store = w.approver("theo")
	errs := make([]error, 20)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			errs[i] = DeleteRecord(t.Context(), theo.Store, record.Contact, record.ID(i+1), record.Cause{}, w.store.Now())
		})
	}
	all.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
			continue
		}
		w.refused(err, RefusedCeiling)
	}
	if n := w.deletedSoFar(); n != 7 || done != 7 {
		t.Errorf("%d are deleted, %d calls say so, want 7", n, done)
	}
	if got := w.lately(); got.All.Deleted != 7 || got.All.Aside != 0 {
		t.Errorf("counted: %+v", got.All)
	}
	run := w.prepare(DeleteRequest{IDs: []record.ID{41, 42, 43}}, 3)
	_, err := theo.Confirm(t.Context(), run.ID, 3, testNow)
	w.refused(err, RefusedCeiling)
	if n := w.deletedSoFar(); n != 7 {
		t.Errorf("%d are deleted, want 7", n)
	}
	w.must(DeleteRecord(t.Context(), w.store, record.Contact, 50, record.Cause{}, w.store.Now()))
	if done := w.confirm(run); done.Deleted != 3 || !done.Lifted {
		t.Errorf("confirmed by a super admin: %+v", done)
	}
	if got := w.lately(); got.All.Sum() != 11 {
		t.Errorf("%d are counted, want 11", got.All.Sum())
	}
}

// What a run set aside and did not delete is given back: when it is stopped, and when its carrier died before it could.
func TestLimits_WhatIsNotDeletedIsGivenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var batch []crmstore.Upsert
	for id := range crowd {
		batch = append(batch, w.lead(record.ID(id+1), 400))
	}
	w.write(batch...)
	w.publish(file())
	run, err := w.during(func() { w.switchTo(false) })
	w.must(err)
	w.wantState(run, crmstore.RunHeld)
	if got := w.lately(); got.All.Aside != 0 || got.All.Deleted != run.Deleted || run.Deleted == 0 || run.Deleted == crowd {
		t.Fatalf("held after %d: counted %+v", run.Deleted, got.All)
	}
	// Its carrier sets the rest aside again and dies; the run is stopped by another process, which dies before it counts.
	_, err = w.store.Reserve(t.Context(), crmstore.Reservation{
		Object: record.Contact, Run: run.ID, Workflow: "stale", Records: crowd, Most: -1, MostAll: -1,
	}, w.store.Now())
	w.must(err)
	w.setting(crmstore.SettingPerDay, fmt.Sprint(run.Deleted+1))
	w.write(w.lead(100_000, 400))
	w.publish(named("other", 100_000, 100_001, "{max_deletions: 1000}"))
	other, err := w.runner.Run(t.Context(), RunRequest{Name: "other", Now: testNow})
	w.must(err)
	w.wantState(other, crmstore.RunDone)
	w.setting(crmstore.SettingPerDay, "1000000")
	w.switchTo(true)
	done, err := w.approve(run.ID)
	w.must(err)
	if done.Deleted != crowd {
		t.Fatalf("the approved run deleted %d", done.Deleted)
	}
	if got := w.lately(); got.All.Deleted != crowd+1 || got.All.Aside != 0 {
		t.Errorf("counted %d and %d aside, want %d and 0", got.All.Deleted, got.All.Aside, crowd+1)
	}
}

// A scheduled run that would have room soon waits for it; one by hand, and one that never has room, is held.
func TestLimits_AScheduledRunWaitsForRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(300)
	w.publish(named("stale", 1, 7, "{max_deletions: 10}"))
	nearlyADay := w.store.Now().Add(-23 * time.Hour)
	w.must(w.store.Settle(t.Context(), crmstore.Settlement{Object: record.Contact, Workflow: "stale", Deleted: 8}, nearlyADay))
	run, err := w.runner.Run(t.Context(), RunRequest{Name: "stale", Now: testNow, Scheduled: true})
	var waits *roomError
	if !errors.As(err, &waits) || run.State != crmstore.RunRunning || run.Owner != "" || w.deletedSoFar() != 0 {
		t.Fatalf("%s is %s, owner %q, %v; want it to wait", run.ID, run.State, run.Owner, err)
	}
	if want := "6 contacts match; with 8 deleted by stale in the last 24 hours they are 14, more than max_deletions 10; there is room from "; !strings.HasPrefix(run.Reason, want) {
		t.Errorf("reason %q, want %q", run.Reason, want)
	}
	// Two of the eight were too much, and the setting is not what holds it: there is room, and whoever finds it carries it on.
	_, err = w.runner.Resume(t.Context(), run.ID)
	if !errors.As(err, &waits) {
		t.Errorf("taken up again: %v, want it to wait on", err)
	}
	cancelled, err := w.runner.Cancel(t.Context(), run.ID, testNow)
	if err != nil || cancelled.State != crmstore.RunCancelled {
		t.Fatalf("cancel: %s, %v", cancelled.State, err)
	}
	w.run(crmstore.RunHeld)
}

// A limit that the author writes above what the account allows is found, with its place; one that is not written is not.
func TestCheckCeiling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(6)
	for _, tt := range []struct {
		set, limits, code, message string
	}{
		{"5", "{max_deletions: 5}", "", ""},
		{"5", "{max_percent: 100}", "", ""},
		{"5", "{max_deletions: 6}", "WF409", "max_deletions is 6; the account allows 5 in 24 hours (deletions_per_day, which a super admin has set)"},
		{"", "{max_deletions: 1000}", "", ""},
		{"", "{max_deletions: 1001}", "WF410", "max_deletions is 1,001; the account allows 1,000 in 24 hours (deletions_per_day, the default for 6 contacts live)"},
	} {
		w.setting(crmstore.SettingPerDay, tt.set)
		list, err := CheckCeiling(t.Context(), w.store, w.load(file("limits: "+tt.limits)))
		w.must(err)
		switch {
		case tt.code == "" && len(list) == 0:
		case len(list) != 1 || list[0].Code.ID != tt.code || list[0].Message != tt.message || list[0].Pos.Line == 0:
			t.Errorf("set to %q, %s: %+v, want %s: %s", tt.set, tt.limits, list, tt.code, tt.message)
		}
	}
}

// BenchmarkLimits compares what the limits on 24 hours cost a run with the whole run, when something was deleted in each minute of the
// 24 hours, by this workflow and by all.
func BenchmarkLimits(b *testing.B) {
	w := newWorld(b)
	const contacts = 10_000
	var batch []crmstore.Upsert
	for id := range contacts {
		batch = append(batch, w.lead(record.ID(id+1), 400))
	}
	w.write(batch...)
	w.setting(crmstore.SettingRepeated, "1000000")
	at := w.store.Now()
	for m := range 24 * 60 {
		w.must(w.store.Settle(b.Context(), crmstore.Settlement{
			Object: record.Contact, Workflow: "stale", Deleted: 1,
		}, at.Add(-time.Duration(m)*time.Minute)))
	}
	w.publish(file("enroll:\n  reenroll: true\n  triggers:\n    - contact.lifecyclestage == \"lead\" && daysSince(contact.notes_last_updated) > 365",
		"limits: {max_deletions: 1000000000, max_percent: 100}"))
	w.setting(crmstore.SettingPerDay, "1000000000")
	b.Run("run", func(b *testing.B) {
		for b.Loop() {
			run := w.run(crmstore.RunDone)
			if run.Deleted != contacts {
				b.Fatalf("run deleted %d of %d", run.Deleted, contacts)
			}
			b.StopTimer()
			if _, err := w.runner.Undo(b.Context(), run.ID, testNow); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
	b.Run("limits", func(b *testing.B) {
		r := crmstore.Reservation{Object: record.Contact, Run: "stale@1", Workflow: "stale", Records: 1, Most: 1 << 40, MostAll: 1 << 40}
		for b.Loop() { // as a run asks: in its guard and in the end
			if _, err := w.store.DeletionLimits(b.Context()); err != nil {
				b.Fatal(err)
			}
			if room, err := w.store.Reserve(b.Context(), r, at); err != nil || !room.Granted {
				b.Fatal(room, err)
			}
			w.must(w.store.Settle(b.Context(), crmstore.Settlement{Object: record.Contact, Run: r.Run, Workflow: "stale", Deleted: 1, Final: true}, at))
		}
	})
}
