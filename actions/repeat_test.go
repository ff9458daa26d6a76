package actions

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// Every action, on a real store: a repeat of the same call by the same run does nothing more, a call on an old reading
// does nothing at all, and a process that lost the run is refused.
func TestCatalogue_EveryActionIsHarmlessWhenRepeated(t *testing.T) {
	t.Parallel()
	for _, spec := range Builtin() {
		for _, object := range spec.Objects {
			t.Run(spec.Name+" on "+string(object), func(t *testing.T) {
				t.Parallel()
				store := storetest.Open(t)
				batch := records(t, store, object)
				call := Call{
					Object: object, At: storetest.Time, Fence: 2, Batches: []Batch{batch},
					Cause: record.Cause{Actor: "workflow", Workflow: "stale", Revision: 1, Run: "stale@1"},
				}
				saveMatches(t, store, call)
				want(t, spec, store, call, Done, Done, Done)
				events := audit(t, store, call.Cause.Run)
				if events != len(batch.Records) {
					t.Errorf("%d audit events, want %d", events, len(batch.Records))
				}
				want(t, spec, store, call, Repeated, Repeated, Repeated)
				if again := audit(t, store, call.Cause.Run); again != events {
					t.Errorf("the repeat wrote %d more audit events", again-events)
				}
				fenced := call
				fenced.Fence = 1
				if _, err := spec.New().Do(t.Context(), store, fenced); err == nil {
					t.Error("a lower fence passed")
				}
				old := call
				old.Batches = []Batch{records(t, store, object)}
				old.Batches[0].Records[0].Version++
				saveMatches(t, store, old)
				want(t, spec, store, old, Stale, Done, Done)
			})
		}
	}
}

// saveMatches makes the records of a call matches of its run.
func saveMatches(t *testing.T, store *crmstore.Store, call Call) {
	t.Helper()
	var list []crmstore.Matches
	for _, batch := range call.Batches {
		matches := crmstore.Matches{Partition: batch.Partition}
		for _, r := range batch.Records {
			matches.IDs = append(matches.IDs, r.ID)
		}
		list = append(list, matches)
	}
	mine := crmstore.RunMatches{Object: call.Object, Run: call.Cause.Run, Fence: call.Fence}
	if err := store.SaveMatches(t.Context(), mine, list); err != nil {
		t.Fatal(err)
	}
}

// records writes three new records that share a partition, and reads them.
func records(t *testing.T, store *crmstore.Store, object record.ObjectType) Batch {
	t.Helper()
	for id := record.ID(1); ; id++ {
		var ids []record.ID
		for next := id; len(ids) < 3; next++ {
			if next.Partition(16) == id.Partition(16) {
				ids = append(ids, next)
			}
		}
		there, err := store.Get(t.Context(), object, ids)
		if err != nil {
			t.Fatal(err)
		}
		if len(there) > 0 {
			continue
		}
		upserts := make([]crmstore.Upsert, len(ids))
		for i, id := range ids {
			upserts[i].ID = id
		}
		if _, err := store.Write(t.Context(), object, crmstore.CreateOnly, upserts, record.Cause{Actor: "test"}, storetest.Time); err != nil {
			t.Fatal(err)
		}
		recs, err := store.Get(t.Context(), object, ids)
		if err != nil || len(recs) != 3 {
			t.Fatalf("%d records, %v", len(recs), err)
		}
		b := Batch{Partition: id.Partition(16)}
		for _, r := range recs {
			b.Records = append(b.Records, Tested{ID: r.ID, Slot: r.Slot, Version: r.Version, Trigger: 1})
		}
		return b
	}
}

func want(t *testing.T, spec Spec, store *crmstore.Store, call Call, outcomes ...Outcome) {
	t.Helper()
	got, err := spec.New().Do(t.Context(), store, call)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]Outcome{outcomes}, got); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
}

func audit(t *testing.T, store *crmstore.Store, run string) int {
	t.Helper()
	events := 0
	err := store.Audit(t.Context(), crmstore.AuditFilter{Run: run}, func(record.Event) error {
		events++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}
