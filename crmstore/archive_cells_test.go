package crmstore_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// Cells of neighbouring slots are set together; slots in between, and targets in any order, stay apart.
func TestArchiveSetsTheRightCells(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		o.Partitions = 1
		d := newDesk(t, o)
		var batch []crmstore.Upsert
		for id := range record.ID(20) {
			batch = append(batch, d.up(id+1))
		}
		d.write(crmstore.UpsertAny, noon, batch...)
		in := func() (ids []record.ID) {
			err := d.ReadColumns(t.Context(), record.Contact, 0, 1, crmstore.Want{IDs: true}, func(c *crmstore.Columns) error {
				for slot := range c.Slots {
					if binary.LittleEndian.Uint64(c.Archived[8*slot:]) != 0 {
						ids = append(ids, record.IDFromBytes(c.IDs[8*slot:]))
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(ids)
			return ids
		}
		d.published("stale")
		d.archive(byRun("stale@1"), d.targets("", 1, 2, 3, 5, 8, 7, 20, 19, 10, 12, 13))
		if got, want := in(), []record.ID{1, 2, 3, 5, 7, 8, 10, 12, 13, 19, 20}; !slices.Equal(got, want) {
			t.Errorf("in the bin are %v, want %v", got, want)
		}
		d.restore(byHand, 13, 12, 1, 3, 20)
		if got, want := in(), []record.ID{2, 5, 7, 8, 10, 19}; !slices.Equal(got, want) {
			t.Errorf("in the bin are %v, want %v", got, want)
		}
		if problems := d.doctor(false); len(problems) != 0 {
			t.Errorf("the doctor finds %v", problems)
		}
	})
}

// A version is eight bytes that scripts count up, the carry included.
func TestVersionsCarry(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		o.Partitions = 1
		for _, version := range []uint64{254, 255, 256, 1<<16 - 1, 1<<40 - 1} {
			d := newDesk(t, o)
			d.write(crmstore.UpsertAny, noon, d.up(1, "firstname", "Ann"))
			before := dump(d.get(1))
			id := record.ID(1).Bytes()
			key, field, raw := crmstore.KeyOf(d.Store, record.Contact, 0, "rec"), string(id[:]), crmstore.Raw(d.Store)
			record := []byte(raw.HGet(t.Context(), key, field).Val())
			binary.LittleEndian.PutUint64(record, version)
			if err := raw.HSet(t.Context(), key, field, record).Err(); err != nil {
				t.Fatal(err)
			}
			d.archive(byRun("stale@1"), d.targets("", 1))
			if got := d.get(1); got.Version != version+1 || got.Deletion == nil || dump(got) != before {
				t.Errorf("version %d became %d: %s", version, got.Version, dump(got))
			}
			d.restore(byHand, 1)
			if got := d.get(1); got.Version != version+2 || got.Deletion != nil || dump(got) != before {
				t.Errorf("version %d became %d: %s", version+1, got.Version, dump(got))
			}
		}
	})
}
