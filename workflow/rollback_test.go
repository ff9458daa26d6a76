package workflow

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// A store loses its last moments, as at a power cut with everysec, and nobody's connection breaks. Whatever moment that is, and
// however much is lost, the run ends as if nothing had happened: everybody is deleted, once, and counted.
func TestRun_StoreGoesBack(t *testing.T) {
	t.Parallel()
	for _, from := range []int64{1, 1 << 40} { // shared out, and not
		t.Run(fmt.Sprint(from), func(t *testing.T) {
			t.Parallel()
			rolled := 0
			for keep := 1; ; keep++ {
				more := false
				for _, rewind := range []int{keep + 1, keep + 3} {
					more = goBack(t, from, keep, rewind) || more
				}
				if !more {
					break
				}
				rolled++
			}
			if rolled < 8 {
				t.Errorf("rolled back to %d moments only", rolled)
			}
		})
	}
}

// goBack keeps the store at one report of progress and rewinds it at another. It is false when the run was over before that.
func goBack(t *testing.T, shareFrom int64, keep, rewind int) bool {
	t.Helper()
	server := storetest.StartRewindable(t)
	w, stale := worldToLose(t, server)
	w.runner.ShareFrom, w.runner.Patience = shareFrom, 300*time.Millisecond
	var mu sync.Mutex
	calls, done := 0, false
	log := ""
	w.runner.Progress = func(stage string, n, of int64) {
		mu.Lock()
		defer mu.Unlock()
		log += fmt.Sprint(calls+1, stage, n, of, "; ")
		switch calls++; calls {
		case keep:
			server.Keep()
		case rewind:
			server.Rewind()
			done = true
		}
	}
	run, err := w.runner.Run(t.Context(), w.request())
	if err != nil || run.State != crmstore.RunDone || run.Deleted != int64(len(stale)) {
		t.Errorf("kept at %d, rewound at %d: run %s is %s (%s) and says it deleted %d of %d, %v", keep, rewind, run.ID, run.State, run.Reason, run.Deleted, len(stale), err)
	}
	if n := len(w.deletedBy(run.ID)); n != len(stale) {
		t.Errorf("kept at %d, rewound at %d: %d are deleted of %d\n%s", keep, rewind, n, len(stale), log)
	}
	w.wantDeleted(run, stale)
	w.wantClean()
	return done
}

// worldToLose is a world in the store of a server, with leads to delete in several ranges.
func worldToLose(t *testing.T, server *storetest.Rewindable) (w *world, stale []record.ID) {
	t.Helper()
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: server.URL, User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.CreateAccount(t.Context(), crmstore.Professional, 4*rangePartitions, record.Cause{}, testPublish); err != nil {
		t.Fatal(err)
	}
	w = worldOn(t, store)
	stale = w.leads(600)
	w.publish(file())
	return w, stale
}

// A cluster loses a run that was under way, but not what it did: the slot's run, made anew, counts that too.
func TestRun_StoreLosesTheRun(t *testing.T) {
	t.Parallel()
	for _, from := range []int64{1, 1 << 40} { // with ranges, whose numbers are higher than the new run's, and without
		t.Run(fmt.Sprint(from), func(t *testing.T) {
			t.Parallel()
			server := storetest.StartRewindable(t)
			w, stale := worldToLose(t, server)
			w.runner.ShareFrom, w.runner.Patience = from, 300*time.Millisecond
			ctx, stop := context.WithCancel(t.Context())
			w.runner.Progress = func(stage string, done, _ int64) {
				if stage == stageAct && done > 0 {
					stop()
				}
			}
			lost, err := w.runner.Run(ctx, w.request())
			if n := len(w.deletedBy(lost.ID)); err == nil || n == 0 || n == len(stale) {
				t.Fatalf("%d of %d were deleted, %v: want some", n, len(stale), err)
			}
			server.Lose("crm:{default}:run*", "crm:{default}:active")
			w.runner.Progress = nil
			run, err := w.runner.Run(t.Context(), w.request())
			if err != nil || run.ID != lost.ID || run.State != crmstore.RunDone || run.Deleted != int64(len(stale)) || run.Matched != run.Deleted {
				t.Errorf("run %s is %s (%s), %+v, %v", run.ID, run.State, run.Reason, run.Totals, err)
			}
			w.wantDeleted(run, stale)
			w.wantClean()
		})
	}
}
