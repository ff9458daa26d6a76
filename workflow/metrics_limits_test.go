package workflow

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// The daemon shows what is used of the account's ceiling and of each workflow's own limits, undone deletions and those that are
// about to be included, and shows nothing of a workflow that is off.
func TestScheduler_ShowsWhatIsUsedOfTheLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(100)
	w.setting(crmstore.SettingPerDay, "")
	w.publish(named("stale", 1, 9, "{max_deletions: 1000, max_percent: 10}"))
	w.publish(named("other", 20, 23, "{max_deletions: 50, max_percent: 100}"))
	k := w.ticking()
	metrics := func(now time.Time, used, most float64, own map[string][2]float64) {
		t.Helper()
		k.at(now)
		limits := w.metrics.limits
		w.wantCount("used of the ceiling", limits.used.WithLabelValues("contact"), used)
		w.wantCount("ceiling", limits.most.WithLabelValues("contact"), most)
		w.wantCount("used of companies", limits.used.WithLabelValues("company"), 0)
		if n, m := testutil.CollectAndCount(limits.ownUsed), testutil.CollectAndCount(limits.ownMost); n != len(own) || m != len(own) {
			t.Errorf("%d and %d workflows have series, want %d", n, m, len(own))
		}
		for name, want := range own {
			w.wantCount("used by "+name, limits.ownUsed.WithLabelValues(name), want[0])
			w.wantCount("limit of "+name, limits.ownMost.WithLabelValues(name), want[1])
		}
	}
	before := testNow.Add(-time.Hour) // of the slots
	metrics(before, 0, 1000, map[string][2]float64{"stale": {0, 10}, "other": {0, 50}})

	run := w.run(crmstore.RunDone)
	metrics(before.Add(recordsEvery), 8, 1000, map[string][2]float64{"stale": {8, 9}, "other": {0, 50}})
	_, err := w.runner.Undo(t.Context(), run.ID, testNow)
	w.must(err)
	w.setting(crmstore.SettingPerDay, "12")
	metrics(before.Add(2*recordsEvery), 8, 12, map[string][2]float64{"stale": {8, 10}, "other": {0, 50}})

	room, err := w.store.Reserve(t.Context(), crmstore.Reservation{
		Object: record.Contact, Run: "other@1", Workflow: "other", Records: 3, Most: -1, MostAll: -1,
	}, w.store.Now())
	if err != nil || !room.Granted {
		t.Fatal(room, err)
	}
	w.switchTo(false)
	metrics(before.Add(3*recordsEvery), 11, 12, map[string][2]float64{"other": {3, 50}})
}
