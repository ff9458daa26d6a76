package crmstore_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// seen is what a row says, in plain values.
type seen struct {
	ID   record.ID
	Live bool
	City string
}

// rows reads picks of one property.
func (d *desk) rows(city int, picks ...crmstore.Pick) [][]seen {
	d.t.Helper()
	var all [][]seen
	values := make([]record.Value, city+1)
	err := d.ReadRows(d.t.Context(), record.Contact, picks, []int{city}, func(r *crmstore.Rows) error {
		list := []seen{}
		for i, row := range r.Rows {
			if err := r.Values(i, values); err != nil {
				return err
			}
			list = append(list, seen{row.ID, row.Live, values[city].Text()})
		}
		if want := picks[len(all)].Partition; r.Partition != want {
			d.t.Errorf("rows of partition %d, want %d", r.Partition, want)
		}
		all = append(all, list)
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// However records are asked for, the rows say what ReadAll says.
func TestReadRows(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 4})
	var batch []crmstore.Upsert
	for i := range 300 {
		batch = append(batch, d.up(0, "city", fmt.Sprint("city ", i)))
	}
	d.write(crmstore.UpsertAny, noon, batch...)
	d.archive(byRun("stale@1"), d.targets("", 5, 6, 7, 250))
	city := d.schema.Find("city")[0].Number
	var want [][]seen
	err := d.ReadAll(t.Context(), record.Contact, 0, 4, func(_ int, recs []*record.Record) error {
		var list []seen
		for i, r := range recs {
			if int(r.Slot) != i {
				t.Fatalf("slot %d stands at %d", r.Slot, i)
			}
			list = append(list, seen{r.ID, r.Deletion == nil, r.Value(city).Text()})
		}
		want = append(want, list)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var whole, some, named []crmstore.Pick
	var few [][]seen
	for p, all := range want {
		whole = append(whole, crmstore.Pick{Partition: p, Whole: true})
		pick, byID, list := crmstore.Pick{Partition: p, Slots: []uint32{}}, crmstore.Pick{Partition: p}, []seen{}
		for slot := p; slot < len(all); slot += p * p { // partition 0: none; 1: all but one; 3: one in nine
			if p == 0 {
				break
			}
			pick.Slots, list = append(pick.Slots, uint32(slot)), append(list, all[slot])
			byID.IDs = append(byID.IDs, all[slot].ID)
		}
		byID.Slots, byID.IDs = pick.Slots, append([]record.ID{}, byID.IDs...)
		some, named, few = append(some, pick), append(named, byID), append(few, list)
	}
	if diff := cmp.Diff(want, d.rows(city, whole...)); diff != "" {
		t.Errorf("whole partitions (-want +got):\n%s", diff)
	}
	for range 2 {
		if diff := cmp.Diff(few, d.rows(city, some...)); diff != "" {
			t.Errorf("by slot (-want +got):\n%s", diff)
		}
		named, some = some, named
	}
	mixed := d.rows(city, whole[3], some[1], named[2], whole[0])
	if diff := cmp.Diff([][]seen{want[3], few[1], few[2], want[0]}, mixed); diff != "" {
		t.Errorf("mixed (-want +got):\n%s", diff)
	}
	for p := range 4 {
		got, err := crmstore.RowIDsOfChanging(t.Context(), d.Store, record.Contact, p)
		if err != nil {
			t.Fatal(err)
		}
		if ids := crmstore.IDsOf(want[p], func(s seen) record.ID { return s.ID }); !slices.Equal(got, ids) {
			t.Errorf("read with their ids, partition %d holds %v, want %v", p, got, ids)
		}
	}
	if got := d.rows(city, crmstore.Pick{Partition: 2, Slots: []uint32{0, 100_000}}); got[0][0] != want[2][0] || got[0][1] != (seen{}) {
		t.Errorf("a slot beyond the last gives %v", got)
	}
}

// While records are being added, a whole partition never shows a record under another's id.
func TestReadRowsWhileWriting(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 1})
	city := d.schema.Find("city")[0].Number
	var written atomic.Int64
	var writing sync.WaitGroup
	other := &desk{storetest.Again(t, d.Store), t, d.schema}
	writing.Go(func() {
		for i := range 60 {
			var batch []crmstore.Upsert
			for j := range 10 {
				id := record.ID(10*i + j + 1)
				batch = append(batch, other.up(id, "city", id.String()))
			}
			other.write(crmstore.UpsertAny, noon, batch...)
			written.Add(10)
		}
	})
	for done := int64(0); done < 600; {
		done = written.Load()
		rows := d.rows(city, crmstore.Pick{Whole: true})[0]
		if int64(len(rows)) < done {
			t.Errorf("%d rows, %d were written before", len(rows), done)
		}
		for slot, r := range rows {
			if r.ID.String() != r.City {
				t.Fatalf("slot %d: record %s is shown as %s", slot, r.City, r.ID)
			}
		}
	}
	writing.Wait()
}
