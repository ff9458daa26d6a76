package crmstore

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// associationPatience is how long an association may look half-written before doctor believes it: somebody may be
// between two of its scripts.
const associationPatience = time.Second

// compareAssociations checks the fields of the partition's associations, and collects their halves.
func (x *examination) compareAssociations() {
	for _, name := range slices.Sorted(maps.Keys(x.associations)) {
		var own record.Ref
		if len(name) > 8 && slices.Contains(x.doctor.types, record.ObjectType(name[8:])) {
			own = record.Ref{Object: x.doctor.object, ID: record.IDFromBytes(record.BytesOf(name))}
		}
		if own.ID == 0 || own.ID.Partition(x.doctor.partitions) != x.partition {
			x.foundf(problemAssociation, own.ID, "partition %d: a field of associations is no record's", x.partition)
			x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) { pipe.HDel(ctx, k.assoc(), name) })
			continue
		}
		other, value := record.ObjectType(name[8:]), x.associations[name]
		if parseEntries(value, func(record.ID, byte) {}) != nil {
			x.foundf(problemAssociation, own.ID, "its associations with %s cannot be read as they stand", other.Plural())
			if value = mendEntries(value); value == "" {
				x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) { pipe.HDel(ctx, k.assoc(), name) })
				continue
			}
			x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
				pipe.HSet(ctx, k.assoc(), name, value)
			})
		}
		_ = parseEntries(value, func(id record.ID, mark byte) { // it has been mended
			t := &tie{first: own, second: record.Ref{Object: other, ID: id}}
			t.marks[0] = mark
			x.halves = append(x.halves, t)
		})
	}
}

// mendEntries is what can be read of a damaged value: entries of possible ids, sorted, each once. What is not so in
// truth has no other half, and is found out by that.
func mendEntries(value string) string {
	marks := map[record.ID]byte{}
	for b := record.BytesOf(value); len(b) >= entrySize; b = b[entrySize:] {
		id, mark := record.IDFromBytes(b), b[entrySize-1]
		if _, twice := marks[id]; id == 0 || id > record.MaxID || twice {
			continue
		}
		if !goodMark(mark) {
			mark = 0
		}
		marks[id] = mark
	}
	var b []byte
	for _, id := range slices.Sorted(maps.Keys(marks)) {
		b = append(binary.LittleEndian.AppendUint64(b, uint64(id)), marks[id])
	}
	return string(b)
}

// wrong says what is wrong with a half that begins at a record of the object type under examination; "" when nothing is,
// or when it will be found from the other side. Each association is reported once.
func (t *tie) wrong() string {
	if record.CompareRefs(t.first, t.second) > 0 { // the truth is on the other side
		if t.marks[1] == noEntry && t.marks[0] != noEntry {
			return "stands at this end only"
		}
		return ""
	}
	switch {
	case t.marks[0] == noEntry:
		return ""
	case t.states[0] == stateGone:
		return "is kept although the record is gone"
	case t.states[1] == stateGone:
		return "is kept although the other record is gone"
	case t.marks[0]%4 == markRemoving:
		return "is half removed"
	case t.marks[0]%4 == markAdding:
		return "is half added"
	case t.marks[1] == noEntry:
		return "stands at this end only"
	}
	return ""
}

// suspectAssociations compares the halves of a partition with their other halves.
func (d *doctor) suspectAssociations(ctx context.Context, x *examination) error {
	work := tying{store: d.store, partitions: d.partitions}
	if err := work.look(ctx, x.halves, true); err != nil {
		return err
	}
	for _, t := range x.halves {
		id := t.first.ID.Bytes()
		t.states[0] = stateLive
		if _, there := x.body.records[string(id[:])]; !there && !x.lost[t.first.ID] {
			t.states[0] = stateGone
		}
		if t.wrong() != "" {
			d.suspects = append(d.suspects, t)
		}
	}
	return nil
}

// isLost reports whether a record is missing and may be put back: its associations are kept until its loss is accepted.
func (d *doctor) isLost(r record.Ref) bool { return r.Object == d.object && d.lostIDs[r.ID] }

// examineSuspects looks again at the associations that looked half-written, and repairs those that still look the same.
func (d *doctor) examineSuspects(ctx context.Context) error {
	if len(d.suspects) == 0 {
		return nil
	}
	if err := redisdb.Sleep(ctx, d.store.patience); err != nil {
		return err
	}
	before := make(map[*tie][2]byte, len(d.suspects))
	for _, t := range d.suspects {
		before[t] = t.marks
	}
	work := tying{store: d.store, partitions: d.partitions}
	for _, second := range []bool{false, true} {
		if err := work.look(ctx, d.suspects, second); err != nil {
			return err
		}
	}
	for _, t := range d.suspects {
		words := t.wrong()
		if words == "" || t.marks != before[t] || d.isLost(t.first) || d.isLost(t.second) {
			continue
		}
		p := Problem{Code: problemAssociation, ID: t.first.ID, Detail: "its association with " + t.second.String() + " " + words}
		if d.repair {
			work := tying{store: d.store, partitions: d.partitions, mode: "again"}
			gone := t.states[0] == stateGone || t.states[1] == stateGone
			if record.CompareRefs(t.first, t.second) > 0 {
				work.mode = "complete" // nothing says that it was taken apart
				t.first, t.second = t.second, t.first
			}
			if gone {
				work.mode = "dissolve"
			}
			if err := work.run(ctx, []*tie{t}); err != nil {
				return err
			}
			p.Repaired = true
		}
		if err := d.report(p); err != nil {
			return err
		}
	}
	return nil
}
