package workflow

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/queue"
)

// agreed is what dashboards and alerts rely on: names, and labels in alphabetical order.
var agreed = []string{
	"crmstore_deletions_per_day_limit{object}",
	"crmstore_deletions_per_day_used{object}",
	"crmstore_file_rewrites_total{outcome}",
	"crmstore_oldest_bin_record_age_seconds{}",
	"crmstore_outbox_waiting{}",
	"crmstore_purge_held_records{object}",
	"crmstore_purged_records_total{object}",
	"crmstore_records{object,state}",
	"crmstore_trimmed_total{what}",
	"crmstore_trouble{trouble}",
	"workflow_actions_total{action,outcome,workflow}",
	"workflow_clock_skew_seconds{}",
	"workflow_contacts_deleted_total{workflow}",
	"workflow_contacts_evaluated_total{workflow}",
	"workflow_contacts_matched_total{workflow}",
	"workflow_contacts_repeated_total{kind,workflow}",
	"workflow_deletions_per_day_limit{workflow}",
	"workflow_deletions_per_day_used{workflow}",
	"workflow_duplicate_ticks_total{workflow}",
	"workflow_held_runs{}",
	"workflow_last_success_timestamp_seconds{workflow}",
	"workflow_mails_total{outcome}",
	"workflow_mended_slots_total{workflow}",
	"workflow_missed_slots_total{workflow}",
	"workflow_paused_seconds_total{reason,workflow}",
	"workflow_published{workflow}",
	"workflow_queue_bypassed_total{workflow}",
	"workflow_queue_oldest_task_age_seconds{queue}",
	"workflow_queue_tasks{queue,state}",
	"workflow_refusals_total{reason,workflow}",
	"workflow_retries_total{workflow}",
	"workflow_run_duration_seconds{workflow}",
	"workflow_runs_total{state,workflow}",
	"workflow_schedule_interval_seconds{workflow}",
	"workflow_switched_on_timestamp_seconds{workflow}",
	"workflow_takeovers_total{what,workflow}",
}

func gathered(t *testing.T, reg *prometheus.Registry) []string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		slices.Sort(labels)
		names = append(names, f.GetName()+"{"+strings.Join(labels, ",")+"}")
	}
	slices.Sort(names)
	return names
}

func TestMetrics_NamesLabelsAndLint(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	m.Track([]crmstore.Workflow{{Name: "stale", On: true}})
	m.interval.WithLabelValues("stale").Set(1)
	m.records.WithLabelValues("contact", "live").Set(1)
	m.purged(record.Contact, 1)
	m.purgeHeld(record.Contact, 1)
	m.limits.show(limitsSeen{lately: map[record.ObjectType]crmstore.Lately{record.Contact: {}}}, nil, map[string]bounds{"stale": {object: record.Contact}})
	m.trimmed(crmstore.Trimmed{Events: 1})
	m.Mail("sent")
	m.queueIs(queue.Runs, queue.State{Pending: 1})
	if d := cmp.Diff(agreed, gathered(t, reg)); d != "" {
		t.Errorf("metrics (-agreed +found):\n%s", d)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetrics_SeriesComeAtZeroAndGoWithTheWorkflow(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	m.Track([]crmstore.Workflow{{Name: "stale", On: true}, {Name: "bounced"}})
	for _, reason := range []string{RefusedTier, RefusedObject, RefusedPermission, RefusedLimit} {
		if got := testutil.ToFloat64(m.refusals.WithLabelValues("stale", reason)); got != 0 {
			t.Errorf("refusals for %s start at %v", reason, got)
		}
	}
	if got := testutil.CollectAndCount(m.runs); got != 2*len(endStates()) {
		t.Errorf("%d series of runs, want %d", got, 2*len(endStates()))
	}
	if on, off := testutil.ToFloat64(m.published.WithLabelValues("stale")), testutil.ToFloat64(m.published.WithLabelValues("bounced")); on != 1 || off != 0 {
		t.Errorf("published: stale %v, bounced %v, want 1 and 0", on, off)
	}
	m.missed("stale", 2)
	m.Track([]crmstore.Workflow{{Name: "stale"}})
	if got := testutil.ToFloat64(m.missedSlots.WithLabelValues("stale")); got != 2 {
		t.Errorf("missed slots %v after a second look, want 2: counters must not start again", got)
	}
	m.Track(nil)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, series := range f.GetMetric() {
			for _, l := range series.GetLabel() {
				if l.GetName() == "workflow" {
					t.Errorf("%s still has a series of %s", f.GetName(), l.GetValue())
				}
			}
		}
	}
}

func TestMetrics_EndedCountsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	m := NewMetrics(nil)
	run := crmstore.Run{Workflow: "stale", State: crmstore.RunHeld, Totals: crmstore.Totals{Deleted: 5}}
	m.ended(passEnd{run: run, actions: []string{"delete_contact"}, took: time.Second})
	counted := run.Totals
	run.State, run.Totals = crmstore.RunDone, crmstore.Totals{Deleted: 12, Changed: 2, Failed: 1}
	run.FinishedAt = time.Unix(1_700_000_000, 0)
	m.ended(passEnd{run: run, counted: counted, actions: []string{"delete_contact"}, took: time.Second})
	for what, tt := range map[string]struct {
		got  prometheus.Collector
		want float64
	}{
		"deleted": {m.deleted.WithLabelValues("stale"), 12},
		"done":    {m.acted.WithLabelValues("stale", "delete_contact", "done"), 12},
		"changed": {m.acted.WithLabelValues("stale", "delete_contact", "changed"), 2},
		"failed":  {m.acted.WithLabelValues("stale", "delete_contact", "failed"), 1},
		"held":    {m.runs.WithLabelValues("stale", "held"), 1},
		"ended":   {m.runs.WithLabelValues("stale", "done"), 1},
		"success": {m.success.WithLabelValues("stale"), 1_700_000_000},
	} {
		if got := testutil.ToFloat64(tt.got); got != tt.want {
			t.Errorf("%s: %v, want %v", what, got, tt.want)
		}
	}
	var none *Metrics
	none.ended(passEnd{run: run})
	none.Track(nil)
	none.refused("stale", RefusedTier)
}
