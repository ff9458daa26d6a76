package workflow

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// ticking is a scheduler whose clock is the test's: each tick is at an instant, and its runs are over when it returns.
type ticking struct {
	*world
	*loop
}

func (w *world) ticking() ticking { return ticking{w, newLoop(&Scheduler{Runner: w.runner})} }

func (k ticking) at(now time.Time) {
	k.tick(context.Background(), now)
	k.running.Wait()
}

func (k ticking) wantRuns(ids ...string) {
	k.Helper()
	runs, err := k.store.Runs(context.Background(), crmstore.RunFilter{})
	k.must(err)
	var got []string
	for _, r := range runs {
		got = append(got, r.ID+" "+string(r.State))
	}
	slices.Sort(got)
	slices.Sort(ids)
	if d := cmp.Diff(ids, got); d != "" {
		k.Errorf("runs (-want +got):\n%s", d)
	}
}

func TestScheduler_RunsEachSlotOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.publish(file())
	k := w.ticking()
	k.at(testNow.Add(-time.Second))
	k.wantRuns()
	for i := range 5 {
		k.at(testNow.Add(time.Duration(i) * time.Second))
	}
	w.ticking().at(testNow.Add(30 * time.Second)) // a daemon that starts now
	k.wantRuns("stale@2026-11-24T03:00:00Z done")
	run, err := w.store.Run(t.Context(), "stale@2026-11-24T03:00:00Z")
	w.must(err)
	w.wantDeleted(run, stale)
	if !run.Scheduled || run.StartedBy != "workflow" || !run.Now.Equal(testNow) {
		t.Errorf("run %+v: want a scheduled one of the slot", run)
	}
	k.at(testNow.AddDate(0, 0, 1))
	k.wantRuns("stale@2026-11-24T03:00:00Z done", "stale@2026-11-25T03:00:00Z done")
	w.wantCount("missed", w.metrics.missedSlots.WithLabelValues("stale"), 0)
	w.wantCount("success", w.metrics.runs.WithLabelValues("stale", "done"), 2)
}

func TestScheduler_MissedSlots(t *testing.T) {
	t.Parallel()
	for missed, tt := range map[definition.Missed]struct {
		runs   []string
		missed float64
	}{
		definition.MissedOnce: {[]string{"stale@2026-11-26T03:00:00Z done"}, 2},
		definition.MissedSkip: {nil, 3},
	} {
		t.Run(string(missed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.leads(3)
			w.publish(file("schedule:\n  cron: \"0 3 * * *\"\n  missed: " + string(missed)))
			k := w.ticking()
			k.at(testNow.AddDate(0, 0, 2).Add(5 * time.Hour)) // three slots passed, the newest five hours ago
			k.at(testNow.AddDate(0, 0, 2).Add(6 * time.Hour))
			k.wantRuns(tt.runs...)
			w.wantCount("missed", w.metrics.missedSlots.WithLabelValues("stale"), tt.missed)
			got, err := w.store.Workflow(t.Context(), "stale")
			if err != nil || !got.LastSlot.Equal(testNow.AddDate(0, 0, 2)) {
				t.Errorf("last slot %v, %v", got.LastSlot, err)
			}
		})
	}
}

func TestScheduler_SwitchesAndTiers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(3)
	w.publish(file())
	k := w.ticking()
	w.switchTo(false)
	k.at(testNow)
	k.wantRuns()
	w.wantCount("published", w.metrics.published.WithLabelValues("stale"), 0)
	_, err := Switch(t.Context(), w.store, "stale", true, testNow.Add(time.Hour))
	w.must(err)
	k.at(testNow.Add(2 * time.Hour))
	k.wantRuns() // what passed while it was off is not replayed
	w.tier(crmstore.Starter)
	k.at(testNow.AddDate(0, 0, 1))
	k.at(testNow.AddDate(0, 0, 1).Add(time.Second))
	k.wantRuns()
	w.wantCount("refusals", w.metrics.refusals.WithLabelValues("stale", RefusedTier), 1)
	w.tier(crmstore.Enterprise)
	k.at(testNow.AddDate(0, 0, 2))
	k.wantRuns("stale@2026-11-26T03:00:00Z done")
}

func TestScheduler_OneFailingWorkflowDoesNotStopOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var lines bytes.Buffer
	w.runner.Log = slog.New(slog.NewTextHandler(&lines, nil))
	_, err := w.store.AddProperties(t.Context(), record.Contact, []record.Property{{Name: "score", Label: "Score", Type: record.Number}}, record.Cause{Actor: "ann"}, testPublish)
	w.must(err)
	w.leads(9)
	w.publish(file("workflow: broken", "enroll:\n  triggers:\n    - contact.score > 3"))
	w.publish(file())
	k := w.ticking()
	k.at(testNow.Add(-time.Minute))
	_, err = w.store.RemoveProperty(t.Context(), record.Contact, "score", record.Cause{Actor: "ann"}, testPublish)
	w.must(err)
	k.at(testNow)
	k.wantRuns("broken@2026-11-24T03:00:00Z failed", "stale@2026-11-24T03:00:00Z done")
	w.wantCount("failed", w.metrics.runs.WithLabelValues("broken", "failed"), 1)
	// A daemon that starts now cannot even read the schedule, and says so once.
	fresh := w.ticking()
	lines.Reset()
	fresh.at(testNow.Add(time.Second))
	fresh.at(testNow.Add(2 * time.Second))
	if n := strings.Count(lines.String(), "cannot run"); n != 1 || !strings.Contains(lines.String(), "workflow=broken") {
		t.Errorf("%d lines about it, want 1:\n%s", n, lines.String())
	}
	w.wantCount("failed", w.metrics.runs.WithLabelValues("broken", "failed"), 2)
}

func TestScheduler_GoesOnWithOrphans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(crowd)
	w.publish(file())
	killed := storetest.Again(t, w.store)
	dying := &Runner{Store: killed, Owner: nobody(), Patience: -1, Progress: func(stage string, done, _ int64) {
		if stage == stageAct && done > 0 {
			_ = killed.Close()
		}
	}}
	if _, err := dying.Run(t.Context(), RunRequest{Name: "stale", Now: testNow, Scheduled: true}); err == nil {
		t.Fatal("the run was over without a store")
	}
	k := w.ticking()
	k.at(testNow.Add(time.Minute))
	k.wantRuns("stale@2026-11-24T03:00:00Z done")
	run, err := w.store.Run(t.Context(), "stale@2026-11-24T03:00:00Z")
	w.must(err)
	w.wantDeleted(run, stale)
}

func TestScheduler_OrphanOfAWorkflowThatIsOffIsHeld(t *testing.T) {
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
	if err == nil {
		t.Fatal("the run was not interrupted")
	}
	w.runner.Progress = nil
	w.switchTo(false)
	k := w.ticking()
	k.at(testNow)
	k.wantRuns(run.ID + " held")
	w.switchTo(true)
	k.at(testNow.Add(10 * time.Second))
	k.wantRuns(run.ID + " held") // switching on again does not set it going
	w.wantCount("held runs", w.metrics.held, 1)
	run, err = w.approve(run.ID)
	w.must(err)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
	k.at(testNow.Add(20 * time.Second))
	w.wantCount("held runs", w.metrics.held, 0)
}

func TestScheduler_SlotsWhileARunIsHeldAreMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(9)
	w.publish(file("limits:\n  max_deletions: 1"))
	k := w.ticking()
	k.at(testNow)
	k.at(testNow.AddDate(0, 0, 1))
	k.at(testNow.AddDate(0, 0, 1).Add(time.Second))
	k.wantRuns("stale@2026-11-24T03:00:00Z held")
	w.wantCount("missed", w.metrics.missedSlots.WithLabelValues("stale"), 1)
}

func TestScheduler_RecordMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(9)
	w.publish(file())
	w.run(crmstore.RunDone)
	seen, err := readRecords(t.Context(), w.store, w.store.Now().Add(time.Hour))
	w.must(err)
	w.metrics.show(seen, nil)
	w.wantCount("live", w.metrics.records.WithLabelValues("contact", "live"), 3)
	w.wantCount("archived", w.metrics.records.WithLabelValues("contact", "archived"), 6)
	w.wantCount("companies", w.metrics.records.WithLabelValues("company", "live"), 0)
	if age := testutil.ToFloat64(w.metrics.oldest); age < 3600 || age > 3660 {
		t.Errorf("the oldest in the bin is %v s old, want about an hour", age)
	}
}

// The real loop: several workflows at once, published and stopped while it runs, and nothing left behind.
func TestScheduler_Run(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(60)
	ctx, stop := context.WithCancel(t.Context())
	var seen sync.Map
	done := make(chan struct{})
	w.runner.Log = slog.New(&watch{on: func(r slog.Record) {
		if r.Message == "run done" {
			r.Attrs(func(a slog.Attr) bool {
				if a.Key == keyWorkflow {
					seen.Store(a.Value.String(), true)
				}
				return true
			})
			if _, a := seen.Load("stale"); a {
				if _, b := seen.Load("second"); b {
					close(done)
				}
			}
		}
	}})
	s := Scheduler{Runner: w.runner, Poll: 10 * time.Millisecond}
	var running sync.WaitGroup
	var err error
	running.Go(func() { err = s.Run(ctx) })
	yearly := "schedule:\n  cron: \"0 3 1 1 *\""
	for _, name := range []string{"stale", "second"} {
		d := w.load(file("workflow: "+name, yearly))
		_, err := Publish(t.Context(), w.store, d, w.store.Now().AddDate(0, 0, -399))
		w.must(err)
	}
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("the slots did not run within 20 s")
	}
	stop()
	running.Wait()
	if err != nil {
		t.Errorf("Run returned %v", err)
	}
	if active, err := w.store.ActiveRuns(t.Context()); err != nil || len(active) != 0 {
		t.Errorf("runs left: %v, %v", active, err)
	}
}

// watch is a log handler that shows each record to the test.
type watch struct {
	mu sync.Mutex
	on func(slog.Record)
}

func (h *watch) Enabled(context.Context, slog.Level) bool { return true }
func (h *watch) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *watch) WithGroup(string) slog.Handler            { return h }
func (h *watch) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on(r)
	return nil
}
