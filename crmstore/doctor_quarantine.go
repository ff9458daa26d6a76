package crmstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// A record in quarantine stands in the partition's hash "bad", under its id: its archived-at cell (8 bytes), its slot (4
// bytes, little-endian; the highest number = it has none), and then its bytes as they were. It keeps its slot, and with
// it its cells and its places on lists; its archived-at cell says free, so that nobody looks for it.
const asideHead = 8 + 4

// noSlot says that a record in quarantine has no slot.
const noSlot = math.MaxUint32

// keepAside lets records in quarantine keep their slots, and reports them.
func (x *examination) keepAside() {
	names := make([]string, 0, len(x.aside))
	for name := range x.aside {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if len(name) != 8 {
			x.foundf(problemQuarantined, 0, "partition %d: %d bytes that stood under a name that is no id are kept aside", x.partition, len(x.aside[name]))
			continue
		}
		id := record.IDFromBytes(record.BytesOf(name))
		x.lost[id] = true
		x.foundf(problemQuarantined, id, "its %d bytes could not be read and are kept aside%s; bring it anew with an import, or put the bytes back with: workflow doctor --put-back %s --object %s",
			max(len(x.aside[name])-asideHead, 0), x.heldWords(name), id, x.doctor.object)
	}
}

// quarantine moves the records that cannot be read aside.
func (x *examination) quarantine() {
	for i := range x.problems {
		p := &x.problems[i]
		if p.Code != problemRecord || p.ID == 0 || !slices.Contains(x.sick, p.ID) {
			continue
		}
		name := idFields([]record.ID{p.ID})[0]
		cell, slot := uint64(0), uint32(noSlot)
		if at := slices.Index(x.owners, p.ID); at >= 0 {
			cell, slot = cellAt(x.archived, at), uint32(at)
		}
		kept := binary.LittleEndian.AppendUint64(nil, cell)
		kept = binary.LittleEndian.AppendUint32(kept, slot)
		kept = append(kept, x.body.records[name]...)
		p.Detail, p.Repaired = p.Detail+"; its bytes were moved aside"+x.heldWords(name), true
		x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
			pipe.HSet(ctx, k.bad(), name, kept)
			pipe.HDel(ctx, k.rec(), name)
			counter := countLive
			if cell != 0 {
				counter = "archived"
			}
			pipe.HIncrBy(ctx, k.cnt(), counter, -1)
			if slot != noSlot {
				pipe.SetRange(ctx, k.arch(), 8*int64(slot), string(binary.LittleEndian.AppendUint64(nil, record.FreeCell)))
			}
		})
	}
	for name, bytes := range x.body.records {
		if len(name) != 8 {
			x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
				pipe.HSet(ctx, k.bad(), name, bytes)
				pipe.HDel(ctx, k.rec(), name)
			})
		}
	}
	for i := range x.problems {
		if p := &x.problems[i]; p.Code == problemRecord && p.ID == 0 {
			p.Detail, p.Repaired = p.Detail+"; its bytes were moved aside", true
		}
	}
}

// heldWords says of a record aside that it is on legal hold, which it stays.
func (x *examination) heldWords(name string) string {
	if _, ok := x.holds[name]; ok {
		return ", and it stays on legal hold"
	}
	return ""
}

// noteQuarantined remembers for the audit log whom the examination moved aside.
func (d *doctor) noteQuarantined(x *examination) {
	for _, p := range x.problems {
		if p.Code == problemRecord && p.Repaired {
			d.note(opQuarantine, fmt.Sprintf("%s %s moved to quarantine", d.object, p.ID))
		}
	}
}

var scriptPutBack = mustLuaScript("put_back")

// PutBack puts a record that [Store.Examine] moved into quarantine back as it was, damage included, with an audit event. ErrNotFound
// when it is not in quarantine, ErrExists when there is a record of its id by now. Only a super admin.
func (s *Store) PutBack(ctx context.Context, o record.ObjectType, id record.ID, c record.Cause, at time.Time) error {
	if err := s.require(ctx, o, IsSuperAdmin); err != nil {
		return err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return err
	}
	k := s.partition(o, id.Partition(partitions))
	reply, err := s.db.Run(ctx, scriptPutBack, []string{k.rec(), k.bad(), k.arch(), k.cnt(), k.log()},
		s.wall(), record.AppendFacts(nil, at, s.by(c)), idFields([]record.ID{id})[0])
	switch {
	case err != nil:
		return fmt.Errorf("put %s %s back: %w", o, id, err)
	case reply == int64(0):
		return fmt.Errorf("%s %s in quarantine: %w", o, id, record.ErrNotFound)
	case reply == int64(-1):
		return fmt.Errorf("%s %s: %w", o, id, record.ErrExists)
	}
	return nil
}
