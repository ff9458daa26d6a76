package workflow

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// The same file under another name finds those again whom an undo brought back: more than ten of them hold the run.
func TestRepeated_RestoredContacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(60)
	w.publish(named("stale", 1, 12, "{max_percent: 100}"))
	first := w.run(crmstore.RunDone)
	_, err := w.runner.Undo(t.Context(), first.ID, testNow)
	w.must(err)
	again := named("other", 1, 31, "{max_percent: 100}") // the 11, and 19 others
	review, err := MakeReview(t.Context(), w.store, w.load(again), testNow)
	w.must(err)
	want := "11 restored before and 0 deleted before under the same address are more than repeat_deletions 10"
	if review.RestoredBefore != 11 || review.DeletedBefore != 0 || review.OverLimit != want {
		t.Errorf("review: %d restored, %d by address, %q", review.RestoredBefore, review.DeletedBefore, review.OverLimit)
	}
	w.publish(again)
	run, err := w.runner.Run(t.Context(), RunRequest{Name: "other", Now: testNow, Scheduled: true})
	w.must(err)
	if run.State != crmstore.RunHeld || run.Reason != want || run.RestoredBefore != 11 || run.Deleted != 0 {
		t.Errorf("run is %s (%s), %+v", run.State, run.Reason, run.Totals)
	}
	w.wantCount("repeated", w.metrics.repeated.WithLabelValues("other", "restored"), 11)
	w.wantCount("refusals", w.metrics.refusals.WithLabelValues("other", RefusedRepeated), 1)
	if n := w.lately().All.Aside; n != 0 {
		t.Errorf("the held run has set %d aside", n)
	}
	_, err = w.runner.Cancel(t.Context(), run.ID, testNow)
	w.must(err)
	w.setting(crmstore.SettingRepeated, "11")
	run, err = w.runner.Run(t.Context(), RunRequest{Name: "other", Now: testNow})
	w.must(err)
	if run.State != crmstore.RunDone || run.Deleted != 30 {
		t.Errorf("with room for eleven: run is %s (%s), %+v", run.State, run.Reason, run.Totals)
	}
	w.wantClean()
}

// Contacts that somebody creates anew every day, and that a workflow deletes every night.
func TestRepeated_SameAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	night := func(first int, state crmstore.RunState) crmstore.Run {
		t.Helper()
		var batch []crmstore.Upsert
		for i := range 12 {
			lead := w.lead(record.ID(first+i), 400)
			lead.Set[1] = w.set("email", fmt.Sprintf("again%d@example.com", i))
			batch = append(batch, lead)
		}
		w.write(batch...)
		run := w.run(state)
		if state == crmstore.RunHeld && !strings.HasPrefix(run.Reason, "0 restored before and 12 deleted before under the same address are more than repeat_deletions 10") {
			t.Errorf("reason %q", run.Reason)
		}
		return run
	}
	w.publish(file())
	if run := night(1, crmstore.RunDone); run.DeletedBefore != 0 || run.Deleted != 12 {
		t.Errorf("the first night: %+v", run.Totals)
	}
	run := night(101, crmstore.RunHeld)
	w.wantCount("repeated", w.metrics.repeated.WithLabelValues("stale", "address"), 12)
	run, err := w.approve(run.ID)
	w.must(err)
	if run.Deleted != 12 {
		t.Errorf("approved: %+v", run.Totals)
	}
	night(201, crmstore.RunHeld) // of the second contact's, too
}

// What is remembered goes away with the record, and 90 days after the deletion of the other contact.
func TestRepeated_IsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(2) // both are stale
	w.publish(file())
	w.run(crmstore.RunDone)
	w.write(crmstore.Upsert{ID: 100, Set: []record.Assignment{w.set("email", "c1@example.com")}})
	_, err := w.store.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Contact, At: w.store.Now()}, []record.ID{2})
	w.must(err)
	repeated := func(at time.Time) (restored, heirs int) {
		want := make([]record.PartitionIDs, 0, 2)
		for _, id := range []record.ID{2, 100} {
			want = append(want, record.PartitionIDs{Partition: id.Partition(16), IDs: []record.ID{id}})
		}
		found, err := w.store.Repeated(t.Context(), record.Contact, want, at)
		w.must(err)
		for _, part := range found {
			for _, r := range part {
				if !r.Restored.IsZero() {
					restored++
				}
				if !r.Heir.IsZero() {
					heirs++
				}
			}
		}
		return restored, heirs
	}
	if restored, heirs := repeated(w.store.Now()); restored != 1 || heirs != 1 {
		t.Errorf("%d restored and %d by address, want 1 and 1", restored, heirs)
	}
	if restored, heirs := repeated(w.store.Now().Add(crmstore.Retention + time.Hour)); restored != 1 || heirs != 0 {
		t.Errorf("after 90 days: %d restored and %d by address, want 1 and 0", restored, heirs)
	}
	w.must(DeleteRecord(t.Context(), w.store, record.Contact, 2, record.Cause{}, w.store.Now()))
	w.must(DeleteRecord(t.Context(), w.store, record.Contact, 100, record.Cause{}, w.store.Now()))
	_, err = w.store.Purge(t.Context(), crmstore.PurgeOrder{Object: record.Contact, At: w.store.Now().Add(crmstore.Retention + time.Hour)})
	w.must(err)
	if restored, heirs := repeated(w.store.Now()); restored != 0 || heirs != 0 {
		t.Errorf("after a purge: %d restored and %d by address, want none", restored, heirs)
	}
}
