package workflow

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// narrow is the file of the tests with a condition more.
func narrow(more ...string) string {
	return file(append(more, "enroll:\n  triggers:\n    - contact.lifecyclestage == \"lead\" && daysSince(contact.notes_last_updated) > 365 && contact.email == \"c1@example.com\"")...)
}

// Publishing ends a held run of the revision before, and says so; with KeepHeld it stays, and its approval goes on beside
// the new revision.
func TestPublish_HeldRunOfTheRevisionBefore(t *testing.T) {
	t.Parallel()
	limits := "limits:\n  max_deletions: 1\n  max_percent: 100"
	for _, keep := range []bool{false, true} {
		w := newWorld(t)
		stale := w.leads(9)
		w.publish(file(limits))
		held := w.run(crmstore.RunHeld)
		p, err := PublishWith(t.Context(), w.store, w.load(narrow(limits)), PublishOptions{KeepHeld: keep}, testNow)
		w.must(err)
		if p.Superseded.Run.ID != held.ID || p.Superseded.Was != crmstore.RunHeld || p.Superseded.Left != 6 {
			t.Errorf("publishing says %+v, want run %s, held with 6", p.Superseded, held.ID)
		}
		run, err := w.store.Run(t.Context(), held.ID)
		w.must(err)
		if !keep {
			w.wantState(run, crmstore.RunCancelled)
			if run.Reason != "ended by "+w.store.User()+", who published revision 2" {
				t.Errorf("reason %q", run.Reason)
			}
			_, err := w.runner.Approve(t.Context(), held.ID, Approval{Count: 6, At: testNow})
			w.refused(err, RefusedState)
			w.wantDeleted(run, nil)
			ended := 0
			w.must(w.store.Audit(t.Context(), crmstore.AuditFilter{Run: held.ID}, func(e record.Event) error {
				if e.Op == opCancel && strings.Contains(e.Detail, "revision 2") {
					ended++
				}
				return nil
			}))
			if ended != 1 {
				t.Errorf("%d audit events of its end, want 1", ended)
			}
			if again := w.run(crmstore.RunDone); again.Revision != 2 || again.Deleted != 1 {
				t.Errorf("the next run: %+v", again)
			}
			continue
		}
		w.wantState(run, crmstore.RunHeld)
		h, err := MakeHeldSet(t.Context(), w.store, held.ID)
		w.must(err)
		if !h.Superseded || h.Current.Revision != 2 || len(h.Records) != 6 || len(h.NotCurrent) != 5 || h.Definition.Name != "stale" {
			t.Errorf("the held set: superseded %v by %d, %d records, %d not by the current one; want 6 and 5", h.Superseded, h.Current.Revision, len(h.Records), len(h.NotCurrent))
		}
		_, err = w.runner.Approve(t.Context(), held.ID, Approval{Count: 6, Revision: 1, At: testNow})
		w.refused(err, RefusedRevision)
		run, err = w.runner.Approve(t.Context(), held.ID, Approval{Count: 6, Revision: 2, At: testNow})
		w.must(err)
		w.wantState(run, crmstore.RunDone)
		w.wantDeleted(run, stale)
	}
}

// A run that is under way when another revision is published stops before its next batch, and is held: nothing is deleted
// after Publish has returned, until the rest is approved. Another revision stops it again.
func TestPublish_StopsTheRunOfTheRevisionBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(crowd)
	w.publish(file())
	var p Publication
	after := 0
	publish := func(source string) {
		var err error
		p, err = Publish(t.Context(), w.store, w.load(source), testNow)
		w.must(err)
		after = len(w.deletedBy(p.Superseded.Run.ID))
	}
	run, err := w.during(func() { publish(narrow()) })
	w.must(err)
	w.wantState(run, crmstore.RunHeld)
	if n := len(w.deletedBy(run.ID)); n != after || n == 0 || n == len(stale) || run.Deleted != int64(n) {
		t.Fatalf("%d deleted, %d when publishing returned, of %d; the run counts %d", n, after, len(stale), run.Deleted)
	}
	if s := p.Superseded; s.Was != crmstore.RunRunning || s.Run.ID != run.ID || s.Run.Deleted != run.Deleted || s.Left != int64(len(stale)-after) {
		t.Errorf("publishing says %+v, want %d deleted and %d left", s, after, len(stale)-after)
	}
	if want := "revision 2 of stale was published while this run of revision 1 was not over"; run.Reason != want {
		t.Errorf("reason %q, want %q", run.Reason, want)
	}
	w.wantCount("refusals", w.metrics.refusals.WithLabelValues("stale", RefusedRevision), 1)
	_, err = w.runner.Run(t.Context(), w.request())
	w.refused(err, RefusedActive)
	w.runner.Progress = func(stage string, done, _ int64) {
		if stage == stageAct && done > int64(after) && p.Revision == 2 {
			publish(narrow("title: third"))
		}
	}
	run, err = w.approve(run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunHeld)
	if n := len(w.deletedBy(run.ID)); n != after || n == len(stale) || p.Revision != 3 {
		t.Fatalf("%d deleted, %d when revision %d was published, of %d", n, after, p.Revision, len(stale))
	}
	w.runner.Progress = nil
	run, err = w.approve(run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
}

// A run of a revision before that failed, or that nobody carries, does not go on by being resumed: it becomes held.
func TestResume_OfARevisionBefore(t *testing.T) {
	t.Parallel()
	for _, state := range []crmstore.RunState{crmstore.RunFailed, crmstore.RunRunning} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stale := w.leads(crowd)
			w.publish(file())
			ctx, stop := context.WithCancel(t.Context())
			w.runner.Progress = func(stage string, done, _ int64) {
				if stage == stageAct && done > 0 {
					stop()
				}
			}
			run, err := w.runner.Run(ctx, w.request())
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("run: %v, want it interrupted", err)
			}
			w.runner.Progress = nil
			before, err := w.store.Workflow(t.Context(), "stale")
			w.must(err)
			rev := crmstore.Revision{Number: 2, Source: w.load(narrow()).Source, At: testNow}
			before.Revision = 2
			_, err = w.store.SaveWorkflow(t.Context(), before, &rev, opPublish, record.Cause{}, testNow) // by a process that died before it stopped the run
			w.must(err)
			if state == crmstore.RunFailed {
				run.State = state
				run, err = w.store.SaveRun(t.Context(), run)
				w.must(err)
			}
			n := len(w.deletedBy(run.ID))
			run, err = w.runner.Resume(t.Context(), run.ID)
			w.must(err)
			w.wantState(run, crmstore.RunHeld)
			if now := len(w.deletedBy(run.ID)); now != n {
				t.Errorf("%d deleted by resuming", now-n)
			}
			run, err = w.approve(run.ID)
			w.must(err)
			w.wantState(run, crmstore.RunDone)
			w.wantDeleted(run, stale)
		})
	}
}
