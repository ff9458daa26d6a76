package workflow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// sharingWorld is an account of four ranges with stale leads in it, whose runs are laid out however small they are.
func sharingWorld(t *testing.T) (w *world, stale []record.ID) {
	t.Helper()
	w = worldOn(t, storetest.OpenWith(t, storetest.Options{Partitions: 4 * rangePartitions}))
	var batch []crmstore.Upsert
	for id := record.ID(1); len(batch) < crowd; id++ {
		if id.Partition(4*rangePartitions)%rangePartitions >= 4 {
			continue // few partitions in each range, so that they have several batches each
		}
		days := lately
		if len(batch)%3 > 0 {
			days = 400
			stale = append(stale, id)
		}
		batch = append(batch, w.lead(id, days))
	}
	w.write(batch...)
	w.publish(file())
	w.runner.ShareFrom = 1
	return w, stale
}

// called is a Helpers that calls a function.
type called func(ctx context.Context, run string, n int) error

func (c called) AskForHelp(ctx context.Context, run string, n int) error { return c(ctx, run, n) }

// other is another process, as far as the store can tell.
func (w *world) other(t *testing.T, owner string) *Runner {
	t.Helper()
	return &Runner{Store: storetest.Again(t, w.store), Owner: owner, Metrics: w.metrics, ShareFrom: 1, Patience: -1}
}

// help has a helper carry out so many ranges of a run; in one more it stops after its first batch, and hands it back.
func (w *world) help(helper *Runner, run string, ranges int) {
	w.Helper()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	before := w.rangesDone(run)
	helper.Progress = func(string, int64, int64) {
		if w.rangesDone(run)-before >= ranges {
			stop()
		}
	}
	if err := helper.Help(ctx, run); err != nil && !errors.Is(err, context.Canceled) {
		w.Error(err)
	}
	helper.Progress = nil
}

func (w *world) rangesDone(run string) (done int) {
	list, err := w.store.Ranges(context.Background(), run)
	w.must(err)
	for _, r := range list {
		if r.Done {
			done++
		}
	}
	return done
}

// wantShared checks that a run ended as if one process had carried it out.
func (w *world) wantShared(run crmstore.Run, err error, stale []record.ID) {
	w.Helper()
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
	if want := (crmstore.Totals{Evaluated: crowd, Matched: int64(len(stale)), Deleted: int64(len(stale))}); run.Totals != want {
		w.Errorf("totals %+v, want %+v", run.Totals, want)
	}
	left, err := w.store.Ranges(context.Background(), run.ID)
	w.must(err)
	if len(left) != 0 {
		w.Errorf("%d ranges are left after the run", len(left))
	}
	w.wantClean()
}

func TestSharing_HelpersDoTheirShare(t *testing.T) {
	t.Parallel()
	for helped := range 5 { // ranges that helpers carry out before the carrier begins
		t.Run(fmt.Sprint(helped), func(t *testing.T) {
			t.Parallel()
			w, stale := sharingWorld(t)
			helper, done := w.other(t, "b:1:1"), int64(0)
			w.runner.Helpers = called(func(ctx context.Context, run string, _ int) error {
				w.help(helper, run, helped/2)
				w.help(helper, run, helped-helped/2) // asked twice
				list, err := w.store.Ranges(ctx, run)
				for _, r := range list {
					if r.Done {
						done += r.Settled
					}
				}
				return err
			})
			first := int64(-1)
			w.runner.Progress = func(stage string, n, _ int64) {
				if stage == stageAct && first < 0 {
					first = n
				}
			}
			run, err := w.runner.Run(t.Context(), w.request())
			w.wantShared(run, err, stale)
			if (done > 0) != (helped > 0) || (helped == 4) != (done == int64(len(stale))) {
				t.Errorf("helpers settled %d of %d in %d of 4 ranges", done, len(stale), helped)
			}
			if first < done {
				t.Errorf("progress began at %d, helpers had settled %d", first, done)
			}
		})
	}
}

// Several processes at once, each with as many hands as it likes.
func TestSharing_AllAtOnce(t *testing.T) {
	t.Parallel()
	w, stale := sharingWorld(t)
	var helping sync.WaitGroup
	w.runner.Helpers = called(func(ctx context.Context, run string, n int) error {
		for i := range 3 {
			helper := w.other(t, fmt.Sprintf("b%d:1:1", i))
			for range n {
				helping.Go(func() {
					if err := helper.Help(ctx, run); err != nil {
						t.Error(err)
					}
				})
			}
		}
		return nil
	})
	run, err := w.runner.Run(t.Context(), w.request())
	helping.Wait()
	w.wantShared(run, err, stale)
	w.wantCount("takeovers", w.metrics.sharing.takeovers.WithLabelValues("stale", takeoverRange), 0)
}

// A helper that dies in the middle of its range loses it to the carrier.
func TestSharing_HelperDies(t *testing.T) {
	t.Parallel()
	at := int64(1)
	for ; ; at++ {
		w, stale := sharingWorld(t)
		killed := storetest.Again(t, w.store)
		var calls atomic.Int64
		dying := &Runner{Store: killed, Owner: nobody(), ShareFrom: 1, Patience: -1, Progress: func(string, int64, int64) {
			if calls.Add(1) == at {
				_ = killed.Close()
			}
		}}
		w.runner.Helpers = called(func(ctx context.Context, run string, _ int) error {
			_ = dying.Help(ctx, run) // it has no store any more to say anything to
			return nil
		})
		run, err := w.runner.Run(t.Context(), w.request())
		w.wantShared(run, err, stale)
		if calls.Load() < at {
			break // it ended before its time
		}
		w.wantCount("takeovers", w.metrics.sharing.takeovers.WithLabelValues("stale", takeoverRange), 1)
	}
	if at < 3 {
		t.Errorf("killed at %d places only", at-1)
	}
}

// The carrier dies while helpers are at work: whoever takes the run over finds what they did, and is helped too.
func TestSharing_CarrierDies(t *testing.T) {
	t.Parallel()
	w, stale := sharingWorld(t)
	killed := storetest.Again(t, w.store)
	helper := w.other(t, "b:1:1")
	dying := &Runner{Store: killed, Owner: nobody(), ShareFrom: 1, Patience: -1}
	dying.Helpers = called(func(_ context.Context, run string, _ int) error {
		w.help(helper, run, 1)
		return killed.Close()
	})
	if _, err := dying.Run(t.Context(), w.request()); err == nil {
		t.Fatal("the run went on without a store")
	}
	runs, err := w.store.ActiveRuns(t.Context())
	w.must(err)
	w.help(helper, runs[0].ID, 1) // asked by what was still in the queue: nobody carries the run, and all the same
	before := len(w.deletedBy(runs[0].ID))
	if before == 0 || before >= len(stale) {
		t.Fatalf("%d of %d deleted by the helper", before, len(stale))
	}
	run, err := w.runner.Resume(t.Context(), runs[0].ID)
	w.wantShared(run, err, stale)
	w.wantCount("takeovers", w.metrics.sharing.takeovers.WithLabelValues("stale", takeoverRun), 1)
}

// A helper that was frozen in its range wakes up after the carrier took it: it does nothing more and says nothing.
func TestSharing_FrozenHelper(t *testing.T) {
	t.Parallel()
	w, stale := sharingWorld(t)
	asleep, wake := make(chan struct{}), make(chan struct{})
	var once sync.Once
	sleeper := w.other(t, nobody())
	sleeper.Progress = func(_ string, done, _ int64) {
		if done > 0 {
			once.Do(func() { close(asleep); <-wake })
		}
	}
	var helping sync.WaitGroup
	w.runner.Helpers = called(func(ctx context.Context, run string, _ int) error {
		helping.Go(func() {
			if err := sleeper.Help(context.WithoutCancel(ctx), run); err != nil {
				t.Errorf("the sleeper: %v", err)
			}
		})
		<-asleep
		return nil
	})
	run, err := w.runner.Run(t.Context(), w.request())
	w.must(err)
	close(wake)
	helping.Wait()
	w.wantShared(run, err, stale)
}

// Whoever stops a run stops its helpers: nothing is deleted afterwards, and the totals are exact.
func TestSharing_StoppedWhileHelpersWork(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(w *world, run string){
		"cancel": func(w *world, run string) {
			_, err := w.runner.Cancel(t.Context(), run, testNow)
			w.must(err)
		},
		"off": func(w *world, _ string) { w.switchTo(false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, stale := sharingWorld(t)
			helper := w.other(t, "b:1:1")
			var helping sync.WaitGroup
			var once sync.Once
			after := 0
			helper.Progress = func(_ string, done, _ int64) {
				if done > 0 {
					once.Do(func() {
						runs, err := w.store.ActiveRuns(t.Context())
						w.must(err)
						stop(w, runs[0].ID)
						after = len(w.deletedBy(runs[0].ID))
					})
				}
			}
			w.runner.Helpers = called(func(ctx context.Context, run string, n int) error {
				for range n {
					helping.Go(func() {
						if err := helper.Help(ctx, run); err != nil {
							t.Error(err)
						}
					})
				}
				helping.Wait()
				return nil
			})
			run, err := w.runner.Run(t.Context(), w.request())
			w.must(err)
			if n := len(w.deletedBy(run.ID)); n != after || n == 0 || n >= len(stale) || int64(n) != run.Deleted {
				t.Errorf("%d deleted in the end, %d when it was stopped, of %d; the run is %s and says %d", n, after, len(stale), run.State, run.Deleted)
			}
			w.must(helper.Help(t.Context(), run.ID))
			if n := len(w.deletedBy(run.ID)); n != after {
				t.Errorf("%d deleted by a late helper", n-after)
			}
			if name == "off" {
				w.switchTo(true)
				w.runner.Helpers = nil
				run, err = w.approve(run.ID)
				w.wantShared(run, err, stale)
			}
		})
	}
}

// Interrupted at each report of progress in turn, and resumed until it is done.
func TestSharing_InterruptedAnywhere(t *testing.T) {
	t.Parallel()
	w, stale := sharingWorld(t)
	var calls atomic.Int64
	var run crmstore.Run
	interruptions := 0
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
			w.wantShared(run, err, stale)
			break
		}
		interruptions++
	}
	if interruptions < 8 {
		t.Errorf("%d interruptions only", interruptions)
	}
}

// A server that took over may have lost what it said was done. The run looks before it closes.
func TestSharing_StoreForgetsWhatWasDone(t *testing.T) {
	t.Parallel()
	for _, from := range []int64{1, 1 << 40} {
		w, stale := sharingWorld(t)
		w.runner.ShareFrom = from
		var once sync.Once
		w.runner.Progress = func(stage string, done, total int64) {
			if stage != stageAct || done < total {
				return
			}
			once.Do(func() {
				runs, err := w.store.ActiveRuns(t.Context())
				w.must(err)
				m, err := w.store.Matches(t.Context(), record.Contact, runs[0].ID, 40, 42)
				w.must(err)
				for i := range m {
					m[i].Done, m[i].Deleted = false, 0
				}
				w.must(w.store.SaveMatches(t.Context(), crmstore.RunMatches{Object: record.Contact, Run: runs[0].ID}, m))
			})
		}
		run, err := w.runner.Run(t.Context(), w.request())
		w.wantShared(run, err, stale)
	}
}
