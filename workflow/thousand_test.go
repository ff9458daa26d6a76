package workflow

import (
	"context"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/workflow/queue"
)

const (
	thousand = 1000
	warm     = 100 // runs after which everything that is opened once is open
)

// A thousand runs with a helper and ranges, beside a daemon: no goroutine, connection or memory is left behind, and no key that does
// not go away with the history of the runs.
func TestThousandRuns_LeaveNothingBehind(t *testing.T) { //nolint:paralleltest // it counts goroutines
	url := "redis://" + storetest.StartServer(t)
	before := goleak.IgnoreCurrent()
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: url, User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.CreateAccount(t.Context(), crmstore.Professional, 3*rangePartitions, record.Cause{}, testPublish); err != nil {
		t.Fatal(err)
	}
	w := worldOn(t, store)
	w.publish(file("schedule: {cron: '0 0 29 2 *'}")) // the daemon starts none of them
	w.runner.ShareFrom = 1
	q := queue.Open(store, nil)
	w.runner.Helpers = helpers{q}
	ctx, stop := context.WithCancel(t.Context())
	var daemon sync.WaitGroup
	daemon.Go(func() {
		if err := (&Scheduler{Runner: w.runner, Queue: q}).Run(ctx); err != nil {
			t.Error(err)
		}
	})
	var connections int64
	var memory uint64
	for i := range thousand {
		lead := w.lead(record.ID(i+1), 400)
		lead.Set = slices.Delete(lead.Set, 1, 2) // claims to addresses stay, and are no business of runs
		w.write(lead)
		run, err := w.runner.Run(t.Context(), RunRequest{Name: "stale", Now: testNow.Add(time.Duration(i) * time.Second)})
		if err != nil || run.State != crmstore.RunDone || run.Deleted != 1 {
			t.Fatalf("run %s is %s and deleted %d, %v", run.ID, run.State, run.Deleted, err)
		}
		if i == warm {
			connections, memory = storetest.Connections(t, url), inUse()
		}
	}
	if n := storetest.Connections(t, url); n > connections+4 {
		t.Errorf("%d connections after %d runs, %d after %d", n, thousand, connections, warm)
	}
	if now := inUse(); now > memory+memory/4+1<<20 {
		t.Errorf("%d bytes in use after %d runs, %d after %d", now, thousand, memory, warm)
	}
	stop()
	daemon.Wait()
	w.wantClean()

	later := time.Now().AddDate(2, 0, 0)
	h := &Housekeeper{Store: w.store}
	for range 20 { // it works in bounded batches
		w.must(h.Round(t.Context(), later))
		h.trimmed = time.Time{}
	}
	kinds := map[string]int{}
	number := regexp.MustCompile(`\d[-\d:TZ]*`)
	for key := range storetest.Dump(t, url) {
		kinds[number.ReplaceAllString(key, "N")]++
	}
	for kind, n := range kinds {
		if n > thousand*3/4 { // there are five columns in each of 96 partitions
			t.Errorf("%d keys like %s are left after %d runs", n, kind, thousand)
		}
	}
	t.Logf("kinds of keys that are left: %v", kinds)
	w.must(q.Close())
	w.must(store.Close())
	goleak.VerifyNone(t, before)
}

// inUse is the memory that this process cannot do without.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
