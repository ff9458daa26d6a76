package workflow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// publishSome publishes workflows that are due at testNow, for stale leads whose first name is the workflow's.
func (w *world) publishSome(names ...string) {
	w.Helper()
	for _, name := range names {
		w.publish(strings.Replace(file(), "workflow: stale", "workflow: "+name, 1))
	}
}

// Workflows that are due at the same moment read the contacts once, and each does what it would do alone.
func TestScheduler_DueTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.publishSome("one", "two", "three", "four", "five")
	k := w.ticking()
	k.at(testNow)
	k.at(testNow.Add(1e9))
	deleted := int64(0)
	var wanted []string
	for _, name := range []string{"one", "two", "three", "four", "five"} {
		run, err := w.store.Run(t.Context(), name+"@2026-11-24T03:00:00Z")
		w.must(err)
		if run.State != crmstore.RunDone || run.Matched != int64(len(stale)) || run.Deleted+run.Changed != run.Matched {
			t.Errorf("run %s: %s, %+v; want each match deleted, or gone by then", run.ID, run.State, run.Totals)
		}
		deleted += run.Deleted
		wanted = append(wanted, run.ID+" done")
	}
	k.wantRuns(wanted...)
	if deleted != int64(len(stale)) {
		t.Errorf("%d deleted, want %d", deleted, len(stale))
	}
	if len(k.slots) != 0 || len(k.busy) != 0 {
		t.Errorf("%d turns are taken and %v busy after all", len(k.slots), k.busy)
	}
}

// A workflow that cannot run, and one that has a run to finish first, leave the others alone.
func TestScheduler_OneBadOfSeveral(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.publishSome("good", "fine", "held")
	_, err := w.store.CreateRun(t.Context(), crmstore.Run{
		ID: "held@x.1", Workflow: "held", Object: record.Contact, Revision: 1, Now: testNow, State: crmstore.RunHeld, Stage: stageEvaluate, Fence: 1,
	})
	w.must(err)
	k := w.ticking()
	k.at(testNow)
	matched := int64(0)
	for _, name := range []string{"good", "fine"} {
		run, err := w.store.Run(t.Context(), name+"@2026-11-24T03:00:00Z")
		w.must(err)
		if run.State != crmstore.RunDone {
			t.Errorf("run %s is %s", run.ID, run.State)
		}
		matched += run.Matched
	}
	if matched != 2*int64(len(stale)) {
		t.Errorf("%d matches of two workflows, want %d", matched, 2*len(stale))
	}
	k.wantRuns("fine@2026-11-24T03:00:00Z done", "good@2026-11-24T03:00:00Z done", "held@x.1 held")
	if len(k.slots) != 0 || len(k.busy) != 0 {
		t.Errorf("%d turns are taken and %v busy after all", len(k.slots), k.busy)
	}
}

// When saving what one scan found fails, or its run ends, the other scans find everything.
func TestSweepTogether_OneFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	d := w.load(file())
	ended, end := context.WithCancel(t.Context())
	end()
	broken := errors.New("broken")
	var matched int64
	scans := []*scan{
		{def: d, now: testNow, found: func(context.Context, scanResult) error { return broken }},
		{def: d, now: testNow, found: func(_ context.Context, found scanResult) error { matched += found.totals.Matched; return nil }},
		{def: d, now: testNow, ctx: ended, found: func(context.Context, scanResult) error { t.Error("the run was over"); return nil }},
	}
	w.must(scanTogether(t.Context(), w.store, scans))
	if !errors.Is(scans[0].err, broken) || scans[1].err != nil || !errors.Is(scans[2].err, context.Canceled) {
		t.Errorf("errors %v, %v, %v", scans[0].err, scans[1].err, scans[2].err)
	}
	if matched != int64(len(stale)) {
		t.Errorf("%d matched, want %d", matched, len(stale))
	}
}

// A run group whose evaluation cannot be done sends everybody to evaluate alone; who is cancelled or leaves holds nobody up.
func TestGathering(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(10)
	d := w.load(file())
	var running sync.WaitGroup
	turns := make(chan struct{}, 1)
	turns <- struct{}{}
	members := groupRuns(t.Context(), 4, turns, func(fn func()) { running.Go(fn) })
	errs := make([]error, len(members))
	for i, m := range members {
		running.Go(func() {
			defer m.end()
			switch i {
			case 0:
				errs[i] = m.leave(t.Context())
			case 1:
				ctx, stop := context.WithCancel(t.Context())
				stop()
				errs[i] = m.evaluate(ctx, w.store, &scan{def: d, now: testNow, found: func(context.Context, scanResult) error { return nil }})
			default:
				bad := *d
				if i == 3 {
					bad.Trigger.Vocabulary.Schema = nil // which no plan can be made of
				}
				errs[i] = m.evaluate(t.Context(), w.store, &scan{def: &bad, now: testNow, found: func(context.Context, scanResult) error { return nil }})
			}
		})
	}
	running.Wait()
	if got := fmt.Sprint(errs); errs[0] != nil || !errors.Is(errs[1], context.Canceled) || !errors.Is(errs[2], errAlone) || !errors.Is(errs[3], errAlone) {
		t.Errorf("errors %s", got)
	}
	if len(turns) != 0 {
		t.Error("a turn is still taken")
	}
}
