package workflow

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers/schedule"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// What a clock that was ahead wrote down does not stop the schedule: the slots that are due get their runs, and no old one does.
func TestMend_SlotsInTheFuture(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(w *crmstore.Workflow){
		"the last slot is ten years ahead":    func(w *crmstore.Workflow) { w.LastSlot = testNow.AddDate(10, 0, 0) },
		"the last slot is five minutes ahead": func(w *crmstore.Workflow) { w.LastSlot = testNow.Add(5 * time.Minute) },
		"it was published in ten years":       func(w *crmstore.Workflow) { w.PublishedAt = testNow.AddDate(10, 0, 0) },
		"it was switched on in ten years":     func(w *crmstore.Workflow) { w.SwitchedAt = testNow.AddDate(10, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.leads(5)
			w.publish(file())
			before, err := w.store.Workflow(t.Context(), "stale")
			w.must(err)
			spoil(&before)
			_, err = w.store.AsSystem().SaveWorkflow(t.Context(), before, nil, "", record.Cause{}, testNow)
			w.must(err)
			seen := testNow.Add(-time.Hour)
			if strings.Contains(name, "five minutes") {
				seen = testNow
			}
			if Stuck(before, seen) == "" {
				t.Fatalf("%+v is not seen to be stuck at %v", before, seen)
			}
			k := w.ticking()
			k.at(seen)
			after, err := w.store.Workflow(t.Context(), "stale")
			w.must(err)
			if Stuck(after, seen) != "" || after.LastSlot.After(seen) {
				t.Errorf("after a tick: %q, last slot %v", Stuck(after, seen), after.LastSlot)
			}
			if got := testutil.ToFloat64(w.metrics.clock.mended.WithLabelValues("stale")); got != 1 {
				t.Errorf("counted %v times, want once", got)
			}
			k.at(seen.Add(time.Second))
			k.wantRuns() // nothing old is replayed
			next := testNow
			if seen.Equal(testNow) {
				next = testNow.AddDate(0, 0, 1)
			}
			k.at(next.Add(time.Second))
			k.wantRuns("stale@" + next.Format(time.RFC3339) + " done")
		})
	}
}

// The newest slot is found for schedules of any kind.
func TestMend_LastSlot(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 3, 0, 30, 0, time.UTC)
	for cron, want := range map[string]time.Time{
		"* * * * *":  now.Truncate(time.Minute),
		"0 3 * * *":  now.Truncate(time.Minute),
		"1 3 * * *":  time.Date(2026, 11, 23, 3, 1, 0, 0, time.UTC),
		"0 0 1 1 *":  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		"0 0 29 2 *": {},
	} {
		s, findings := schedule.Parse(diag.NewText("", cron, nil), diag.NewText("", "UTC", nil))
		if s == nil {
			t.Fatalf("%s: %v", cron, findings)
		}
		if got := lastSlot(s, now); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", cron, got, want)
		}
	}
}

// A sign of life from the future is none: whoever gave it had a wrong clock, and what it carried is taken over.
func TestMend_SignsOfLifeInTheFuture(t *testing.T) {
	t.Parallel()
	for ahead, want := range map[time.Duration]bool{0: false, 5 * time.Second: false, -5 * time.Second: false, -time.Minute: true, 90 * time.Second: true, 87600 * time.Hour: true} {
		run := crmstore.Run{State: crmstore.RunRunning, Owner: "elsewhere:1:1", Beat: testNow.Add(ahead)}
		if got := abandoned(run, testNow); got != want {
			t.Errorf("a run whose beat is %v ahead counts as abandoned: %v", ahead, got)
		}
		if got := Silent(crmstore.Daemon{Beat: run.Beat}, testNow); got != want {
			t.Errorf("a daemon whose beat is %v ahead counts as silent: %v", ahead, got)
		}
	}
}
