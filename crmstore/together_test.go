package crmstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// useRecords takes records through all that can happen to them, on any kind of server, and damages and repairs a column.
func useRecords(t *testing.T, s *crmstore.Store) {
	t.Helper()
	ctx := t.Context()
	schema, err := s.Schema(ctx, record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{s, t, schema}
	if _, err := s.SaveWorkflow(ctx, crmstore.Workflow{Name: "stale", Object: record.Contact}, nil, "publish", someone, storetest.Time); err != nil {
		t.Fatal(err)
	}
	const n = 150
	var batch []crmstore.Upsert
	var ids []record.ID
	for i := range n {
		batch = append(batch, d.up(0, "email", fmt.Sprintf("c%d@x.org", i), "num_associated_deals", i))
		ids = append(ids, record.ID(i+1))
	}
	d.write(crmstore.UpsertAny, noon, batch...)
	batch[0].Set = append(batch[0].Set, d.set("firstname", "Ann"))
	if got := d.write(crmstore.UpsertAny, noon, batch...); got[0].Outcome != crmstore.Updated || got[1].Outcome != crmstore.Unchanged {
		t.Errorf("written again: %+v", got[:2])
	}
	keep, err := s.CreateList(ctx, record.Contact, "keep", someone, noon)
	if err != nil {
		t.Fatal(err)
	}
	if changed, _, err := s.SetMembers(ctx, keep, ids, true, someone, noon); changed != n || err != nil {
		t.Errorf("%d put on the list, %v", changed, err)
	}
	for id, got := range d.archive(byRun("stale@1"), d.targets("", ids...)) {
		if got != crmstore.Archived {
			t.Errorf("contact %d: outcome %d", id, got)
		}
	}
	for _, got := range d.restore(byHand, ids[:100]...) {
		if got.Outcome != crmstore.Restored {
			t.Errorf("restore: %+v", got)
		}
	}
	if c, err := s.Count(ctx, record.Contact); c != (crmstore.Counts{Live: 100, Archived: 50}) || err != nil {
		t.Errorf("Count = %+v, %v", c, err)
	}
	if got := d.audit(crmstore.AuditFilter{Run: "stale@1"}); len(got) != n {
		t.Errorf("%d events of the run, want %d", len(got), n)
	}
	p := ids[7].Partition(64)
	column := crmstore.KeyOf(s, record.Contact, p, fmt.Sprint("col:", d.schema.Find("num_associated_deals")[0].Number))
	if err := crmstore.Raw(s).Set(ctx, column, cell, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if found := d.doctor(true); len(found) != 1 {
		t.Errorf("doctor repaired %v, want one column", found)
	}
	if found := d.doctor(false); len(found) != 0 {
		t.Errorf("doctor finds %v", found)
	}
}

// Writers, deleters, restorers and a repairing doctor work on the same few contacts and addresses at once. Afterwards
// everything fits together, and there is one event for each thing that was done.
func TestTogether(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 2})
	if _, err := d.SaveWorkflow(t.Context(), crmstore.Workflow{Name: "stale", Object: record.Contact}, nil, "publish", someone, noon); err != nil {
		t.Fatal(err)
	}
	var archived, restored atomic.Int64
	act := func(d *desk, rng *rand.Rand, step int) {
		id := record.ID(rng.IntN(8) + 1)
		email := fmt.Sprintf("c%d@x.org", rng.IntN(6))
		switch rng.IntN(5) {
		case 0:
			d.write(crmstore.UpsertAny, noon, d.up(id, "email", email, "num_associated_deals", step), d.up(0, "email", email, "firstname", fmt.Sprint(step)))
		case 1:
			d.write(crmstore.UpsertAny, noon, d.up(id, "email", nil), d.up(id%8+1, "email", email))
		case 2:
			o := byRun(fmt.Sprint("stale@", step))
			for _, outcome := range d.archive(o, d.targets("", id)) {
				if outcome == crmstore.Archived {
					archived.Add(1)
				}
			}
		case 3:
			for _, r := range d.restore(byHand, id, id%8+1) {
				if r.Outcome == crmstore.Restored {
					restored.Add(1)
				}
			}
		default:
			d.doctor(true)
		}
	}
	const workers, steps = 4, 60
	seed := rand.Uint64()
	var wg sync.WaitGroup
	for n := range workers {
		s := storetest.Again(t, d.Store)
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(n)))
			for step := range steps {
				act(&desk{s, t, d.schema}, rng, n*steps+step)
			}
		})
	}
	wg.Wait()
	if found := d.doctor(false); len(found) != 0 {
		t.Errorf("doctor finds %v (seed %d)", found, seed)
	}
	deletes, restores := int64(0), int64(0)
	for _, e := range d.audit(crmstore.AuditFilter{Object: record.Contact}) {
		switch e.Op {
		case "delete":
			deletes++
		case "restore":
			restores++
		}
	}
	if deletes != archived.Load() || restores != restored.Load() {
		t.Errorf("%d and %d events for %d deletions and %d restores (seed %d)", deletes, restores, archived.Load(), restored.Load(), seed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for i := range 6 { // nobody has to wait for a claim that was left behind
		up := []crmstore.Upsert{d.up(0, "email", fmt.Sprintf("c%d@x.org", i))}
		if _, err := d.Write(ctx, record.Contact, crmstore.UpsertAny, up, someone, noon); err != nil {
			t.Errorf("address %d after all is over: %v (seed %d)", i, err, seed)
		}
	}
}
