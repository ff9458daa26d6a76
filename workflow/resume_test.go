package workflow

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// Interrupted at each report of progress in turn, and resumed until it is done, a run deletes what it would have deleted.
func TestResume_AfterAnInterruptionAnywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(crowd)
	w.publish(file())
	var calls atomic.Int64
	interruptions := 0
	run, err := func() (crmstore.Run, error) {
		var run crmstore.Run
		for at := int64(1); ; at++ {
			ctx, stop := context.WithCancel(t.Context())
			calls.Store(0)
			w.runner.Progress = func(string, int64, int64) {
				if calls.Add(1) == at {
					stop()
				}
			}
			var err error
			if run.ID == "" {
				run, err = w.runner.Run(ctx, w.request())
			} else {
				run, err = w.runner.Resume(ctx, run.ID)
			}
			stop()
			if !errors.Is(err, context.Canceled) {
				return run, err
			}
			interruptions++
			w.wantState(run, crmstore.RunRunning)
			if n := int64(len(w.deletedBy(run.ID))); n != run.Deleted {
				t.Fatalf("interrupted at %s: %d deleted, the run says %d", run.Stage, n, run.Deleted)
			}
		}
	}()
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
	if want := (crmstore.Totals{Evaluated: crowd, Matched: int64(len(stale)), Deleted: int64(len(stale))}); run.Totals != want {
		t.Errorf("totals %+v, want %+v", run.Totals, want)
	}
	w.wantCount("deleted", w.metrics.deleted.WithLabelValues("stale"), float64(len(stale)))
	if interruptions < 8 {
		t.Errorf("%d interruptions only", interruptions)
	}
	w.wantClean()
}

// A process that loses its store in the middle of anything is as good as killed: it saves nothing more.
func TestRun_TakesOverFromADeadProcess(t *testing.T) {
	t.Parallel()
	at := int64(1)
	for ; ; at++ {
		w := newWorld(t)
		stale := w.leads(crowd)
		w.publish(file())
		killed := storetest.Again(t, w.store)
		var calls atomic.Int64
		dying := &Runner{Store: killed, Owner: nobody(), Patience: -1, Progress: func(string, int64, int64) {
			if calls.Add(1) == at {
				_ = killed.Close()
			}
		}}
		_, err := dying.Run(t.Context(), w.request())
		if calls.Load() < at {
			w.must(err)
			break // it ended before its time
		}
		if err == nil {
			t.Fatalf("at %d the run went on without a store", at)
		}
		var resumed []crmstore.Run
		w.runner.Resumed = func(r crmstore.Run) { resumed = append(resumed, r) }
		after := w.run(crmstore.RunDone)
		if len(resumed) != 1 || after.Deleted != 0 {
			t.Fatalf("at %d: resumed %d runs, then deleted %d; want 1 and 0", at, len(resumed), after.Deleted)
		}
		w.wantState(resumed[0], crmstore.RunDone)
		w.wantDeleted(resumed[0], stale)
		if resumed[0].Deleted != int64(len(stale)) || resumed[0].Fence != 2 {
			t.Errorf("at %d: totals %+v, fence %d", at, resumed[0].Totals, resumed[0].Fence)
		}
	}
	if at < 10 {
		t.Errorf("killed at %d places only", at-1)
	}
}

// A process that wakes up after its run was taken over does nothing more.
func TestRun_SleeperIsFencedOff(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{stageEvaluate, stageAct} {
		w := newWorld(t)
		stale := w.leads(crowd)
		w.publish(file())
		asleep, wake := make(chan struct{}), make(chan struct{})
		var once sync.Once
		sleeper := &Runner{Store: storetest.Again(t, w.store), Owner: nobody(), Progress: func(s string, done, _ int64) {
			if s == stage && done > 0 {
				once.Do(func() { close(asleep); <-wake })
			}
		}}
		var err error
		var other sync.WaitGroup
		other.Go(func() { _, err = sleeper.Run(t.Context(), w.request()) })
		<-asleep
		runs, listErr := w.store.ActiveRuns(t.Context())
		w.must(listErr)
		run, resumeErr := w.runner.Resume(t.Context(), runs[0].ID)
		close(wake)
		other.Wait()
		w.must(resumeErr)
		w.wantState(run, crmstore.RunDone)
		if !errors.Is(err, record.ErrFenced) {
			t.Errorf("asleep in %s: %v, want ErrFenced", stage, err)
		}
		w.wantDeleted(run, stale)
		saved, readErr := w.store.Run(t.Context(), run.ID)
		if readErr != nil || saved.State != crmstore.RunDone || saved.Totals != run.Totals {
			t.Errorf("asleep in %s: the run is now %+v, %v", stage, saved, readErr)
		}
		w.wantClean()
	}
}

// Contacts that somebody restores while the run is interrupted are not deleted a second time, and still count.
func TestResume_LeavesRestoredContactsAlone(t *testing.T) {
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
		t.Fatal(err)
	}
	back := w.deletedBy(run.ID)[:5]
	_, err = w.store.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Contact, At: testNow}, back)
	w.must(err)
	run, err = w.runner.Resume(t.Context(), run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	want := slices.DeleteFunc(slices.Clone(stale), func(id record.ID) bool { return slices.Contains(back, id) })
	if got := w.deletedBy(run.ID); !slices.Equal(got, want) {
		t.Errorf("%d in the bin, want %d: all but those restored", len(got), len(want))
	}
	if run.Deleted != int64(len(stale)) {
		t.Errorf("the run says %d deleted, want %d", run.Deleted, len(stale))
	}
}

// A writer that keeps changing contacts while the run acts makes it test again; nobody is deleted on an old reading.
func TestRun_AgainstAWriter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(crowd)
	w.publish(file())
	saved := map[record.ID]bool{} // made fresh before the run could delete them
	writing, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; writing.Err() == nil; i++ {
			id := stale[(i*7919)%len(stale)]
			u := w.lead(id, 1)
			if i%2 == 0 {
				u = crmstore.Upsert{ID: id, Set: []record.Assignment{w.set("firstname", "Touched")}}
			}
			results, err := w.store.Write(t.Context(), record.Contact, crmstore.UpdateOnly, []crmstore.Upsert{u}, record.Cause{Actor: "test"}, testNow)
			if err != nil {
				t.Error(err)
				return
			}
			if i%2 == 1 && results[0].Err == nil {
				saved[id] = true
			}
		}
	})
	run, err := w.runner.Run(t.Context(), w.request())
	stop()
	writer.Wait()
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	deleted := w.deletedBy(run.ID)
	w.wantDeleted(run, deleted)
	for _, id := range deleted {
		if saved[id] {
			t.Errorf("contact %s was made fresh while it was live, and deleted all the same", id)
		}
	}
	if int64(len(deleted)) != run.Deleted || run.Deleted+run.Changed+run.Failed != enrolling(run.Totals) {
		t.Errorf("%d deleted; totals %+v", len(deleted), run.Totals)
	}
	w.wantClean()
}
