package workflow

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/queue"
)

// queued opens the account's queues, as one more daemon does.
func (w *world) queued(t *testing.T) *queue.Queue {
	t.Helper()
	q := queue.Open(w.store, nil)
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// daemons runs that many daemons until done is true, and returns their metrics.
func (w *world) daemons(t *testing.T, n int, done func() bool) []*Metrics {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	var all []*Metrics
	for i := range n {
		m := NewMetrics(prometheus.NewRegistry())
		all = append(all, m)
		r := &Runner{Store: w.store, Metrics: m, Owner: fmt.Sprintf("host-%d:1:1", i), ShareFrom: w.runner.ShareFrom}
		s := &Scheduler{Runner: r, Poll: 20 * time.Millisecond, Queue: w.queued(t)}
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	w.waitUntil(done)
	stop()
	running.Wait()
	return all
}

// waitUntil asks again and again; each question goes to the store.
func (w *world) waitUntil(done func() bool) {
	w.Helper()
	for began := time.Now(); !done(); {
		if time.Since(began) > time.Minute {
			w.Fatal("it does not happen")
		}
	}
}

// over reports whether so many runs are there, all done.
func (w *world) over(n int) bool {
	runs, err := w.store.Runs(context.Background(), crmstore.RunFilter{State: crmstore.RunDone})
	w.must(err)
	return len(runs) >= n
}

// Three daemons, ten workflows that are due: each slot gets one run, by whichever daemon.
func TestQueue_EachSlotRunsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(crowd)
	var names []string
	for i := range 10 {
		name := fmt.Sprintf("stale-%d", i)
		names = append(names, name)
		w.publish(file("workflow: "+name, fmt.Sprintf("enroll:\n  triggers:\n    - daysSince(contact.notes_last_updated) > 365 && contact.email endsWith \"%d@example.com\"", i)))
	}
	all := w.daemons(t, 3, func() bool { return w.over(len(names)) })
	runs, err := w.store.Runs(t.Context(), crmstore.RunFilter{})
	w.must(err)
	slots := map[string]bool{}
	for _, r := range runs {
		if !r.Scheduled || slots[r.Workflow] || r.State != crmstore.RunDone {
			t.Errorf("run %s is %s", r.ID, r.State)
		}
		slots[r.Workflow] = true
	}
	if len(runs) != len(names) {
		t.Errorf("%d runs, want %d", len(runs), len(names))
	}
	counts, err := w.store.Count(t.Context(), record.Contact)
	w.must(err)
	if counts.Archived != int64(len(stale)) {
		t.Errorf("%d deleted, want %d", counts.Archived, len(stale))
	}
	duplicates, bypassed := 0.0, 0.0
	for _, m := range all {
		for _, name := range names {
			duplicates += testutil.ToFloat64(m.sharing.duplicates.WithLabelValues(name))
			bypassed += testutil.ToFloat64(m.sharing.late.WithLabelValues(name))
		}
	}
	if duplicates > 2*float64(len(names)) || bypassed > 0 {
		t.Errorf("%v duplicate ticks, %v slots that the queue gave to no daemon", duplicates, bypassed)
	}
	w.wantClean()
}

// A large run is shared out through the queue.
func TestQueue_RangesAreSharedOut(t *testing.T) {
	t.Parallel()
	w, stale := sharingWorld(t)
	w.daemons(t, 3, func() bool { return w.over(1) })
	runs, err := w.store.Runs(t.Context(), crmstore.RunFilter{})
	w.must(err)
	w.wantShared(runs[0], nil, stale)
}

// A daemon that stops hands its run back, and another one carries it to its end.
func TestQueue_StopsAndHandsBack(t *testing.T) {
	t.Parallel()
	w, stale := sharingWorld(t)
	deleting := func() bool {
		counts, err := w.store.Count(t.Context(), record.Contact)
		w.must(err)
		return counts.Archived > 0
	}
	w.daemons(t, 1, deleting)
	w.daemons(t, 2, func() bool { return w.over(1) })
	runs, err := w.store.Runs(t.Context(), crmstore.RunFilter{})
	w.must(err)
	if len(runs) != 1 {
		t.Fatalf("%d runs, want 1", len(runs))
	}
	w.wantShared(runs[0], nil, stale)
}

// A slot that the queue hands to nobody is started without it; one whose workflow is under way elsewhere waits.
func TestQueue_IsBypassed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.publish(file())
	q := w.queued(t)
	k := ticking{w, newLoop(&Scheduler{Runner: w.runner, Queue: q})}
	k.at(testNow)
	k.wantRuns() // it is in the queue, which nobody serves
	k.at(testNow.Add(time.Second))
	k.wantRuns()
	w.wantCount("duplicates", w.metrics.sharing.duplicates.WithLabelValues("stale"), 0)
	twin := ticking{w, newLoop(&Scheduler{Runner: w.runner, Queue: q})} // another daemon
	twin.at(testNow)
	w.wantCount("duplicates", w.metrics.sharing.duplicates.WithLabelValues("stale"), 1)
	if state, err := q.State(queue.Runs); err != nil || state.Pending != 1 {
		t.Errorf("queue %+v, %v; want one task", state, err)
	}
	known := k.offered["stale"]
	known.at = known.at.Add(-bypassAfter)
	k.offered["stale"] = known
	k.carried["stale"] = true
	k.lastActive = testNow.Add(2 * time.Second)
	k.at(testNow.Add(2 * time.Second))
	k.wantRuns()
	k.carried["stale"] = false
	k.at(testNow.Add(3 * time.Second))
	k.wantRuns("stale@2026-11-24T03:00:00Z done")
	w.wantCount("bypassed", w.metrics.sharing.late.WithLabelValues("stale"), 1)
	run, err := w.store.Run(t.Context(), "stale@2026-11-24T03:00:00Z")
	w.must(err)
	w.wantDeleted(run, stale)
	twin.at(testNow.Add(4 * time.Second))
	k.wantRuns("stale@2026-11-24T03:00:00Z done")
}

// A process that serves no queue asks for help only where daemons are.
func TestQueue_DaemonsHelp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.queued(t)
	for pending, d := range []crmstore.Daemon{
		{Name: "silent", Beat: w.store.Now().Add(-time.Minute)}, {Name: "there", Beat: w.store.Now()},
	} {
		w.must(w.store.AsSystem().SaveDaemon(t.Context(), d))
		w.must(DaemonsHelp(w.store).AskForHelp(t.Context(), "r@1", 3))
		if state, err := q.State(queue.Ranges); err != nil || state.Pending != 3*pending {
			t.Errorf("with daemon %s: %+v, %v", d.Name, state, err)
		}
	}
}

// Tasks of another version, of runs that are gone, and late ones do nothing, and are not handed out again.
func TestQueue_UselessTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.publish(file())
	run := w.run(crmstore.RunDone)
	k := ticking{w, newLoop(&Scheduler{Runner: w.runner, Queue: w.queued(t)})}
	for _, payload := range []string{"", "{", `{"run":"none@1","range":0}`, `{"run":"` + run.ID + `","range":7}`} {
		if err := k.takeRange(t.Context(), []byte(payload)); err != nil {
			t.Errorf("range %q: %v", payload, err)
		}
	}
	if err := k.takeSlot(t.Context(), []byte("{")); err != nil {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	k.running.Go(func() { k.collect(ctx) })
	slot, err := json.Marshal(slotTask{Workflow: "none", Slot: testNow})
	w.must(err)
	if err := k.takeSlot(t.Context(), slot); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a workflow that is not there: %v", err)
	}
	slot, err = json.Marshal(slotTask{Workflow: "stale", Slot: testNow})
	w.must(err)
	for range 2 {
		if err := k.takeSlot(t.Context(), slot); err != nil {
			t.Error(err)
		}
	}
	stop()
	k.running.Wait()
	k.wantRuns(run.ID+" done", "stale@2026-11-24T03:00:00Z done")
	if got := w.deletedBy(run.ID); !slices.Equal(got, stale) {
		t.Errorf("%d deleted, want %d", len(got), len(stale))
	}
}
