package workflow

import (
	"slices"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// inBin is whom a filter finds, sorted.
func (w *world) inBin(f BinFilter) []record.ID {
	w.Helper()
	f.Object = record.Contact
	var ids []record.ID
	w.must(InBin(w.Context(), w.store, f, func(found []Deleted) error {
		for _, d := range found {
			ids = append(ids, d.ID)
		}
		return nil
	}))
	slices.Sort(ids)
	return ids
}

func (w *world) matcher(text string) *triggers.Matcher {
	w.Helper()
	known, err := definition.AccountVocabulary(w.Context(), w.store)
	w.must(err)
	vocabulary := known(record.Contact)
	expr, findings := triggers.Compile(diag.NewText("test", text, nil), vocabulary)
	if expr == nil {
		w.Fatal(findings)
	}
	t := triggers.Trigger{Object: record.Contact, Any: []*triggers.Expr{expr}, Vocabulary: vocabulary}
	m, err := t.At(testNow)
	w.must(err)
	return m
}

func TestInBin_Filters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.list("half", stale[:10]...)
	w.publish(file())
	run := w.run(crmstore.RunDone)
	byHand := w.confirm(w.prepare(DeleteRequest{IDs: []record.ID{3, 6}}, 2))
	later := byHand.FinishedAt.AddDate(0, 0, 3).Truncate(time.Second)
	w.must(DeleteRecord(t.Context(), w.store, record.Contact, 9, record.Cause{Reason: "test"}, later))
	user := w.store.User()
	all := slices.Sorted(slices.Values(slices.Concat(stale, []record.ID{3, 6, 9})))
	for name, c := range map[string]struct {
		filter BinFilter
		want   []record.ID
	}{
		"nothing":       {BinFilter{}, all},
		"a run":         {BinFilter{Run: run.ID}, stale},
		"a run by hand": {BinFilter{Run: byHand.ID}, []record.ID{3, 6}},
		"a workflow":    {BinFilter{Workflow: "stale"}, stale},
		"another":       {BinFilter{Workflow: "stal"}, nil},
		"a user":        {BinFilter{User: user}, all},
		"another user":  {BinFilter{User: "nobody"}, nil},
		"since":         {BinFilter{Since: later}, []record.ID{9}},
		"until":         {BinFilter{Until: later}, without(all, []record.ID{9})},
		"an expression": {BinFilter{Where: w.matcher(`contact.email == "c9@example.com" || contact.email == "c12@example.com"`)}, []record.ID{9}},
		"a list":        {BinFilter{Where: w.matcher(`inList("half")`)}, stale[:10]},
		"two of these":  {BinFilter{Workflow: "stale", Where: w.matcher(`contact.email == "c9@example.com"`)}, nil},
	} {
		if got := w.inBin(c.filter); !slices.Equal(got, c.want) {
			t.Errorf("%s: found %v, want %v", name, got, c.want)
		}
	}
}

func TestGone_CountsWhatWasPurged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(30)
	w.publish(file())
	run := w.run(crmstore.RunDone)
	gone := func(since, until time.Time) int64 {
		t.Helper()
		n, err := Gone(t.Context(), w.store, "stale", since, until)
		w.must(err)
		return n
	}
	if n := gone(time.Time{}, time.Time{}); n != 0 {
		t.Errorf("%d are gone while all are in the bin", n)
	}
	_, err := w.store.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Contact, At: testNow}, stale[:4])
	w.must(err)
	_, err = w.store.Purge(t.Context(), crmstore.PurgeOrder{Object: record.Contact, At: run.FinishedAt.Add(crmstore.Retention)})
	w.must(err)
	if n, want := gone(time.Time{}, time.Time{}), int64(len(stale)-4); n != want {
		t.Errorf("%d are gone, want %d", n, want)
	}
	if n := gone(run.FinishedAt.Add(time.Hour), time.Time{}); n != 0 {
		t.Errorf("%d are gone of the runs after the last one", n)
	}
}
