package triggers

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// fake is a Source over records in memory; its cells are those that crmstore computes. Columns end where
// only zeros follow, as the store's may.
type fake struct {
	schema     *record.Schema
	partitions []partition
	deals      map[record.ID][]*record.Record // by contact; nil = damaged
	asked      int                            // contacts whose associations were read
	reads      int                            // records that ReadRecords and ReadAll handed out
}

type partition []slot

type slot struct {
	record *record.Record // nil = free
	lists  int            // bit 0 = keep (list 1), bit 1 = vip (list 3)
}

func (f *fake) add(p int, r *record.Record, state string, lists int) {
	r.Slot = uint32(len(f.partitions[p]))
	switch state {
	case "archived":
		r.Deletion = &record.Deletion{}
	case "free":
		r = nil
	}
	f.partitions[p] = append(f.partitions[p], slot{r, lists})
}

func (f *fake) member(r *record.Record, list int) bool {
	for _, p := range f.partitions {
		if int(r.Slot) < len(p) && p[r.Slot].record == r {
			return p[r.Slot].lists>>(list/2)&1 == 1
		}
	}
	return false
}

func (f *fake) Partitions(context.Context) (int, error) { return len(f.partitions), nil }

func (f *fake) ReadColumns(_ context.Context, _ record.ObjectType, from, to int, want crmstore.Want, fn func(*crmstore.Columns) error) error {
	for p := from; p < to; p++ {
		slots := f.partitions[p]
		column := func(cell func(s slot) uint64) []byte {
			b := make([]byte, 0, len(slots)*8)
			for _, s := range slots {
				b = binary.LittleEndian.AppendUint64(b, cell(s))
			}
			return bytes.TrimRight(b, "\x00")[:(len(bytes.TrimRight(b, "\x00"))+7)/8*8]
		}
		c := &crmstore.Columns{Partition: p, Slots: len(slots)}
		c.Archived = column(func(s slot) uint64 {
			switch {
			case s.record == nil:
				return record.FreeCell
			case s.record.Deletion != nil:
				return record.TimeCell(1)
			}
			return 0
		})
		if want.IDs {
			c.IDs = column(func(s slot) uint64 {
				if s.record == nil {
					return 0
				}
				return uint64(s.record.ID)
			})
		}
		for _, number := range want.Properties {
			c.Properties = append(c.Properties, column(func(s slot) uint64 {
				if s.record == nil {
					return 0
				}
				return f.schema.Number(number).Cell(s.record.Value(number))
			}))
		}
		for _, list := range want.Lists {
			members := make([]byte, (len(slots)+7)/8)
			for i, s := range slots {
				if s.record != nil && s.lists>>(list/2)&1 == 1 {
					members[i/8] |= 0x80 >> (i % 8)
				}
			}
			c.Lists = append(c.Lists, bytes.TrimRight(members, "\x00"))
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	return nil
}

// ReadAssociated knows of deals. The number of a damaged deal follows from its contact.
func (f *fake) ReadAssociated(_ context.Context, _ record.ObjectType, ids []record.ID, others []record.ObjectType) ([][]record.Ref, error) {
	refs := make([][]record.Ref, len(ids))
	for i, id := range ids {
		f.asked++
		for _, deal := range f.deals[id] {
			ref := record.Ref{Object: record.Deal, ID: damagedDeal}
			if deal != nil {
				ref.ID = deal.ID
			}
			if slices.Contains(others, record.Deal) {
				refs[i] = append(refs[i], ref)
			}
		}
	}
	return refs, nil
}

const damagedDeal record.ID = 1 << 40

func (f *fake) readDeals(want []record.PartitionIDs, fn func(int, []*record.Record) error) error {
	known := map[record.ID]*record.Record{}
	for _, deals := range f.deals {
		for _, d := range deals {
			if d != nil {
				known[d.ID] = d
			}
		}
	}
	var damaged []record.ID
	for _, w := range want {
		recs := make([]*record.Record, len(w.IDs))
		for i, id := range w.IDs {
			if recs[i] = known[id]; id == damagedDeal {
				damaged = append(damaged, id)
			}
		}
		if err := fn(w.Partition, recs); err != nil {
			return err
		}
	}
	if damaged != nil {
		return &record.DamagedError{Object: record.Deal, IDs: damaged}
	}
	return nil
}

func (f *fake) ReadRecords(_ context.Context, o record.ObjectType, want []record.PartitionIDs, fn func(int, []*record.Record) error) error {
	if o == record.Deal {
		return f.readDeals(want, fn)
	}
	for _, w := range want {
		recs := make([]*record.Record, len(w.IDs))
		for i, id := range w.IDs {
			for _, s := range f.partitions[w.Partition] {
				if s.record != nil && s.record.ID == id {
					recs[i] = s.record
					f.reads++
				}
			}
		}
		if err := fn(w.Partition, recs); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) ReadAll(_ context.Context, _ record.ObjectType, from, to int, fn func(int, []*record.Record) error) error {
	for p := from; p < to; p++ {
		var recs []*record.Record
		for _, s := range f.partitions[p] {
			if s.record != nil {
				recs = append(recs, s.record)
				f.reads++
			}
		}
		if err := fn(p, recs); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) ReadRows(_ context.Context, _ record.ObjectType, picks []crmstore.Pick, numbers []int, fn func(*crmstore.Rows) error) error {
	for _, pick := range picks {
		slots := f.partitions[pick.Partition]
		var records []*record.Record
		for i, s := range slots {
			if pick.Whole || slices.Contains(pick.Slots, uint32(i)) {
				records = append(records, s.record)
			}
		}
		for _, r := range records {
			if r != nil {
				f.reads++
			}
		}
		if err := fn(crmstore.NewRows(pick.Partition, f.schema, numbers, records)); err != nil {
			return err
		}
	}
	return nil
}
