package workflow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// The instant of the tests' runs, and of publishing before them.
var (
	testNow     = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	testPublish = testNow.AddDate(0, 0, -1)
)

// world is one account with contacts in it, and a runner.
type world struct {
	testing.TB
	store   *crmstore.Store
	schema  *record.Schema
	runner  *Runner
	metrics *Metrics
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	return worldOn(tb, storetest.Open(tb))
}

func worldOn(tb testing.TB, store *crmstore.Store) *world {
	tb.Helper()
	schema, err := store.Schema(tb.Context(), record.Contact)
	if err != nil {
		tb.Fatal(err)
	}
	// Tests delete most of their contacts, over and over; those of the ceiling set one.
	if _, err := store.SetSetting(tb.Context(), crmstore.SettingPerDay, "1000000", record.Cause{Actor: "test"}, testPublish); err != nil {
		tb.Fatal(err)
	}
	m := NewMetrics(prometheus.NewRegistry())
	return &world{TB: tb, store: store, schema: schema, metrics: m, runner: &Runner{Store: store, Metrics: m}}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// set is one assignment by the property's name.
func (w *world) set(name, value string) record.Assignment {
	w.Helper()
	found := w.schema.Find(name)
	if len(found) != 1 {
		w.Fatalf("property %q: %d found", name, len(found))
	}
	p := found[0]
	var v record.Value
	switch p.Type {
	case record.DateTime:
		at, err := time.Parse(time.RFC3339, value)
		w.must(err)
		v = record.DateTimeValue(at)
	case record.Enumeration:
		v = record.EnumValue(value)
	default:
		v = record.StringValue(value)
	}
	return record.Assignment{Property: p.Number, Value: v}
}

// lately is a last activity that is less than a year ago on whatever day the tests run: some slots are of the day's clock.
const lately = -20 * 365

// lead is a contact whose last activity was that many days before testNow.
func (w *world) lead(id record.ID, daysAgo int) crmstore.Upsert {
	return crmstore.Upsert{ID: id, Set: []record.Assignment{
		w.set("lifecyclestage", "lead"),
		w.set("email", fmt.Sprintf("c%d@example.com", id)),
		w.set("notes_last_updated", testNow.AddDate(0, 0, -daysAgo).Format(time.RFC3339)),
	}}
}

func (w *world) write(batch ...crmstore.Upsert) {
	w.Helper()
	results, err := w.store.Write(context.Background(), record.Contact, crmstore.UpsertAny, batch, record.Cause{Actor: "test"}, testPublish)
	w.must(err)
	for _, r := range results {
		w.must(r.Err)
	}
}

// leads writes n contacts, of which every third (3, 6, …) was active lately; it returns the ids of the stale ones.
func (w *world) leads(n int) []record.ID {
	w.Helper()
	var batch []crmstore.Upsert
	var stale []record.ID
	for id := record.ID(1); id <= record.ID(n); id++ {
		days := 400
		if id%3 == 0 {
			days = lately
		} else {
			stale = append(stale, id)
		}
		batch = append(batch, w.lead(id, days))
	}
	w.write(batch...)
	return stale
}

// file is a workflow file; more lines may replace those of the same key.
func file(more ...string) string {
	parts := map[string]string{
		"workflow": "workflow: stale",
		"object":   "object: contact",
		"enroll":   "enroll:\n  triggers:\n    - contact.lifecyclestage == \"lead\" && daysSince(contact.notes_last_updated) > 365",
		"schedule": "schedule:\n  cron: \"0 3 * * *\"",
		"limits":   "limits:\n  max_deletions: 100000\n  max_percent: 100",
		"actions":  "actions:\n  - delete_contact",
	}
	for _, m := range more {
		key, _, _ := strings.Cut(m, ":")
		parts[key] = m
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		b.WriteString(parts[key] + "\n")
	}
	return b.String()
}

func (w *world) load(source string) *definition.Definition {
	w.Helper()
	vocabulary, err := definition.AccountVocabulary(context.Background(), w.store)
	w.must(err)
	d, list := definition.Load("test.yaml", []byte(source), vocabulary)
	if d == nil {
		w.Fatalf("the file does not load: %v\n%s", list, source)
	}
	return d
}

func (w *world) publish(source string) Publication {
	w.Helper()
	p, err := Publish(context.Background(), w.store, w.load(source), testPublish)
	w.must(err)
	return p
}

func (w *world) request() RunRequest { return RunRequest{Name: "stale", Now: testNow} }

// run carries one pass and wants it to end in a state.
func (w *world) run(state crmstore.RunState) crmstore.Run {
	w.Helper()
	run, err := w.runner.Run(context.Background(), w.request())
	w.must(err)
	w.wantState(run, state)
	return run
}

// approve lets a held run go on with the number of whom it would delete, as the program tells it.
func (w *world) approve(id string) (crmstore.Run, error) {
	run, left, err := w.runner.Waiting(context.Background(), id)
	if err != nil {
		return run, err
	}
	return w.runner.Approve(context.Background(), id, Approval{Count: left, At: testNow})
}

func (w *world) wantState(run crmstore.Run, state crmstore.RunState) {
	w.Helper()
	if run.State != state {
		w.Fatalf("run %s is %s (%s), want %s", run.ID, run.State, run.Reason, state)
	}
	if saved, err := w.store.Run(context.Background(), run.ID); err != nil {
		w.Fatal(err)
	} else if d := cmp.Diff(run, saved, cmpopts.EquateApproxTime(0)); d != "" {
		w.Errorf("run %s as returned and as saved:\n%s", run.ID, d)
	}
	if run.Owner != "" {
		w.Errorf("run %s is %s and still carried by %s", run.ID, run.State, run.Owner)
	}
}

// dump is every contact, live and in the bin, with its values and its deletion's run.
type dumped struct {
	Values string
	Run    string // "" = live
}

func (w *world) dump() map[record.ID]dumped {
	w.Helper()
	all := map[record.ID]dumped{}
	n, err := w.store.Partitions(context.Background())
	w.must(err)
	w.must(w.store.ReadAll(context.Background(), record.Contact, 0, n, func(_ int, recs []*record.Record) error {
		for _, r := range recs {
			if r == nil {
				continue
			}
			var d dumped
			r.Values(func(p *record.Property, v record.Value) { d.Values += p.Name + "=" + v.String() + "\n" })
			if r.Deletion != nil {
				d.Run = r.Deletion.Run
			}
			all[r.ID] = d
		}
		return nil
	}))
	return all
}

// deletedBy is whom a run deleted and who is still in the bin because of it, sorted.
func (w *world) deletedBy(run string) []record.ID {
	w.Helper()
	var ids []record.ID
	for id, d := range w.dump() {
		if d.Run == run {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (w *world) wantDeleted(run crmstore.Run, want []record.ID) {
	w.Helper()
	got := w.deletedBy(run.ID)
	if extra, missing := without(got, want), without(want, got); len(extra)+len(missing) > 0 {
		w.Errorf("run %s deleted %d contacts, want %d; too many: %.10v, too few: %.10v", run.ID, len(got), len(want), extra, missing)
	}
	events := map[record.ID]int{}
	w.must(w.store.Audit(context.Background(), crmstore.AuditFilter{Object: record.Contact, Run: run.ID}, func(e record.Event) error {
		if e.Op == "delete" {
			for _, id := range e.IDs {
				events[id]++
			}
			why := "trigger "
			if run.Kind == crmstore.RunDelete {
				why = reasonByHand(run)
			}
			if e.Workflow != run.Workflow || e.Revision != run.Revision || !strings.HasPrefix(e.Reason, why) {
				w.Errorf("audit event %+v does not name workflow, revision and why", e)
			}
		}
		return nil
	}))
	for _, id := range want {
		if events[id] != 1 {
			w.Errorf("contact %s has %d audit events of run %s, want 1", id, events[id], run.ID)
			break
		}
	}
	if len(events) != len(want) {
		w.Errorf("run %s has audit events of %d contacts, want %d", run.ID, len(events), len(want))
	}
}

func (w *world) wantClean() {
	w.Helper()
	w.must(w.store.Doctor(context.Background(), record.Contact, false, func(p crmstore.Problem) error {
		w.Errorf("doctor: %+v", p)
		return nil
	}))
}

func (w *world) wantCount(what string, c prometheus.Collector, want float64) {
	w.Helper()
	if got := testutil.ToFloat64(c); got != want {
		w.Errorf("metric %s: %v, want %v", what, got, want)
	}
}

// nobody is the owner of a run whose process is gone.
func nobody() string { return ownHost() + ":999999999:1" }
