package workflow

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// Several people let one run go on at the same moment, each at a process of their own: one carries it to its end, and the
// others are told that somebody was faster.
func TestApprove_ManyAtOnce(t *testing.T) {
	t.Parallel()
	w, stale := sharingWorld(t)
	w.publish(file("limits:\n  max_deletions: 1\n  max_percent: 100", "enroll:\n  reenroll: true\n  triggers:\n    - contact.lifecyclestage == \"lead\" && daysSince(contact.notes_last_updated) > 365"))
	for range 12 {
		held := w.run(crmstore.RunHeld)
		runs, errs := w.atOnce(4, func(r *Runner) (crmstore.Run, error) {
			return r.Approve(t.Context(), held.ID, Approval{Count: held.Matched, At: testNow})
		})
		w.wantOneWinner(runs, errs, "another user or daemon was faster")
		run, err := w.store.Run(t.Context(), held.ID)
		w.must(err)
		w.wantState(run, crmstore.RunDone)
		w.wantDeleted(run, stale)
		_, err = w.runner.Undo(t.Context(), run.ID, testNow)
		w.must(err)
	}
	w.wantClean()
}

// The number is compared always, whatever it is: another one deletes nothing, and the run stays held.
func TestApprove_ComparesTheNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(9)
	w.publish(file("limits:\n  max_deletions: 1\n  max_percent: 100"))
	held := w.run(crmstore.RunHeld)
	for _, n := range []int64{-6, -1, 0, 1, 5, 7, 25000} {
		_, err := w.runner.Approve(t.Context(), held.ID, Approval{Count: n, At: testNow})
		w.refused(err, RefusedCount)
	}
	run, err := w.store.Run(t.Context(), held.ID)
	w.must(err)
	w.wantState(run, crmstore.RunHeld)
	w.wantDeleted(run, nil)
	run, err = w.runner.Approve(t.Context(), held.ID, Approval{Count: 6, At: testNow})
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
}

// A run that was stopped half-way goes on with the number of whom it has left.
func TestApprove_ComparesWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(crowd)
	w.publish(file())
	held, err := w.during(func() { w.switchTo(false) })
	w.must(err)
	w.wantState(held, crmstore.RunHeld)
	w.switchTo(true)
	_, err = w.runner.Approve(t.Context(), held.ID, Approval{Count: held.Matched, At: testNow})
	w.refused(err, RefusedCount)
	run, err := w.runner.Approve(t.Context(), held.ID, Approval{Count: held.Matched - held.Deleted, At: testNow})
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
}

// A run that was held before it knew its contacts looks for them when it is approved, and asks for their number, also within
// the limits.
func TestApprove_LooksFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(9)
	w.publish(file())
	off := false
	w.runner.Progress = func(stage string, _, _ int64) {
		if stage == stageEvaluate && !off {
			off = true
			w.switchTo(false)
		}
	}
	held := w.run(crmstore.RunHeld)
	w.runner.Progress = nil
	if held.Stage != stageEvaluate || held.Deleted != 0 {
		t.Fatalf("held in stage %s, want %s", held.Stage, stageEvaluate)
	}
	w.switchTo(true)
	for _, n := range []int64{0, 5} {
		run, err := w.runner.Approve(t.Context(), held.ID, Approval{Count: n, At: testNow})
		w.refused(err, RefusedCount)
		w.wantState(run, crmstore.RunHeld)
		w.wantDeleted(run, nil)
	}
	run, err := w.runner.Approve(t.Context(), held.ID, Approval{Count: 6, At: testNow})
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
}

// The same of a run that failed, which several resume at once.
func TestResume_ManyAtOnce(t *testing.T) {
	t.Parallel()
	w, stale := sharingWorld(t)
	w.setting(crmstore.SettingRepeated, "1000000")
	for range 6 {
		ctx, stop := context.WithCancel(t.Context())
		w.runner.Progress = func(stage string, _, _ int64) {
			if stage == stageEvaluate {
				stop()
			}
		}
		interrupted, err := w.runner.Run(ctx, w.request())
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("run: %v, want it interrupted", err)
		}
		w.runner.Progress = nil
		runs, errs := w.atOnce(4, func(r *Runner) (crmstore.Run, error) { return r.Resume(t.Context(), interrupted.ID) })
		w.wantOneWinner(runs, errs, "")
		run, err := w.store.Run(t.Context(), interrupted.ID)
		w.must(err)
		w.wantState(run, crmstore.RunDone)
		w.wantDeleted(run, stale)
		_, err = w.runner.Undo(t.Context(), run.ID, testNow)
		w.must(err)
		w.publish(file("title: "+run.ID, "enroll:\n  reenroll: true\n  triggers:\n    - contact.lifecyclestage == \"lead\" && daysSince(contact.notes_last_updated) > 365"))
	}
}

// atOnce has n processes do the same at the same moment.
func (w *world) atOnce(n int, what func(*Runner) (crmstore.Run, error)) ([]crmstore.Run, []error) {
	runs, errs := make([]crmstore.Run, n), make([]error, n)
	start := make(chan struct{})
	var together sync.WaitGroup
	for i := range n {
		r := *w.runner
		together.Go(func() {
			<-start
			runs[i], errs[i] = what(&r)
		})
	}
	close(start)
	together.Wait()
	return runs, errs
}

// wantOneWinner wants one run done, and all others refused in clear words.
func (w *world) wantOneWinner(runs []crmstore.Run, errs []error, words string) {
	w.Helper()
	winners := 0
	for i, err := range errs {
		var refused *RefusedError
		switch {
		case err == nil:
			winners++
			if runs[i].State != crmstore.RunDone {
				w.Errorf("the winner's run is %s (%s)", runs[i].State, runs[i].Reason)
			}
		case !errors.As(err, &refused):
			w.Errorf("a loser: %v, want a refusal", err)
		case !strings.Contains(refused.Message, words) && !strings.Contains(refused.Message, "there is nothing to approve"):
			w.Errorf("a loser is told %q, want %q", refused.Message, words)
		}
	}
	if winners != 1 {
		w.Errorf("%d winners, want 1: %v", winners, errs)
	}
}
