package crmstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// The codes of problems.
const (
	problemColumn     = "column"     // a property column's cells differ from the records
	problemSlot       = "slot"       // the ids column differs, or two records share a slot
	problemFree       = "free"       // the list of free slots differs
	problemCount      = "count"      // a counter is wrong
	problemArchived   = "archived"   // the archived-at column differs
	problemEmail      = "email"      // a live contact without the claim to its e-mail
	problemList       = "list"       // a free slot is on a list
	problemEnrollment = "enrollment" // an enrollment of no record
	problemErasure    = "erasure"    // a permanent deletion that is not finished
	problemRecord     = "record"     // a record cannot be decoded
	problemDeletion   = "deletion"   // a record in the bin without its audit event, its enrollment or its place among its run's matches
	problemType       = "type"       // a key has a wrong type
	problemLost       = "lost"       // records, members, enrollments or events are not there any more
	problemAccepted   = "accepted"   // the same, earlier, and a person accepted it
	problemProperty   = "property"   // a property that a killed import made, and that nothing uses

	problemQuarantined = "quarantined" // a record stands aside, since it could not be read

	problemClock = "clock" // what the account knew of its store's time is lost

	problemAssociation = "association" // one half of an association is missing or half-written
)

// examination is what was found in one partition.
type examination struct {
	*body
	doctor   *doctor
	problems []Problem
	cures    []func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys)
	records  []*record.Record // that can be decoded, by id
	headers  map[record.ID]record.Header
	owners   []record.ID // by slot; 0 = free
	sick     []record.ID // records that cannot be decoded
	halves   []*tie      // of associations
	highest  record.ID

	short     []shortfall          // of what is counted
	lost      map[record.ID]bool   // records that are not there and keep their slots
	lostCount int64                // how many records are lost, named or not
	sums      map[string]memberSum // of lists, enrollments and holds, by the name of the counter
	strangers map[string]int64     // entries of no record, which a repair takes away, by the name of the counter
}

// curable reports whether a repair that was carried out puts it right.
func (p *Problem) curable() bool {
	return p.Code != problemRecord && p.Code != problemLost && p.Code != problemClock && !p.Known()
}

// diagnose compares all that is derived from the records with them.
func (d *doctor) diagnose(b *body) *examination {
	x := &examination{body: b, doctor: d, headers: make(map[record.ID]record.Header, len(b.records)), strangers: map[string]int64{}, sums: map[string]memberSum{}}
	x.readRecords()
	x.mendHeaders()
	x.findLostRecords()
	x.keepAside()
	x.giveSlots()
	x.compareIDs()
	x.compareFree()
	x.compareArchived()
	for i, p := range d.columns {
		x.compareColumn(p, b.columns[i])
	}
	for i, l := range d.lists {
		x.compareList(l, b.lists[i])
	}
	x.compareCounts()
	x.compareAssociations()
	x.compareTombs()
	for i, workflow := range d.workflows {
		x.compareEnrollments(workflow, slices.Collect(maps.Keys(b.enrollments[i])))
	}
	x.sumHolds()
	x.compareValues()
	x.compareSizes()
	if !d.repair || b.blocked() {
		x.cures = nil
	}
	if d.order.Quarantine {
		x.quarantine()
	}
	return x
}

func (x *examination) foundf(code string, id record.ID, format string, args ...any) {
	x.problems = append(x.problems, Problem{Code: code, ID: id, Detail: fmt.Sprintf(format, args...)})
}

func (x *examination) readRecords() {
	for name, bytes := range x.body.records {
		if len(name) != 8 {
			x.foundf(problemRecord, 0, "partition %d: the name of a record has %d bytes, want 8", x.partition, len(name))
			continue
		}
		id := record.IDFromBytes(record.BytesOf(name))
		x.highest = max(x.highest, id)
		r, err := record.ParseRecord(x.doctor.schema, id, bytes)
		if err != nil {
			x.foundf(problemRecord, id, "%v%s", err, x.differing(id, bytes))
			x.sick = append(x.sick, id)
			continue
		}
		if want := id.Partition(x.doctor.partitions); want != x.partition {
			x.foundf(problemRecord, id, "the record stands in partition %d, but belongs in %d", x.partition, want)
		}
		x.headers[id], _ = record.ParseHeader(record.BytesOf(bytes))
		x.records = append(x.records, r)
	}
	slices.SortFunc(x.records, func(a, b *record.Record) int { return int(int64(a.ID) - int64(b.ID)) })
	slices.Sort(x.sick)
	slices.SortFunc(x.problems, func(a, b Problem) int { return int(int64(a.ID) - int64(b.ID)) })
}

// giveSlots finds out whose each slot is. Where two records have the same slot, the one that the ids column names
// keeps it (else the one with the lower id), and the other one moves to a new slot at the end.
func (x *examination) giveSlots() {
	slots := len(x.ids) / 8
	limit := slots + len(x.body.records) // a slot beyond is damage, and not worth a column of that size
	for _, r := range x.records {
		if int(r.Slot) < limit {
			slots = max(slots, int(r.Slot)+1)
		}
	}
	x.owners = make([]record.ID, slots)
	for at := 0; at+8 <= len(x.ids); at += 8 {
		id := record.IDFromBytes(x.ids[at:])
		if h, ok := x.headers[id]; ok && int(h.Slot) == at/8 || slices.Contains(x.sick, id) || x.lost[id] {
			x.owners[at/8] = id
		}
	}
	for _, r := range x.records {
		slot := int(r.Slot)
		switch {
		case slot < len(x.owners) && x.owners[slot] == 0:
			x.owners[slot] = r.ID
		case slot >= len(x.owners) || x.owners[slot] != r.ID:
			x.foundf(problemSlot, r.ID, "partition %d: its slot %d is another record's, or out of reach", x.partition, slot)
			x.move(r)
		}
	}
}

// move gives a record a new slot at the end, and with it a new version.
func (x *examination) move(r *record.Record) {
	r.Slot = uint32(len(x.owners))
	x.owners = append(x.owners, r.ID)
	h := x.headers[r.ID]
	rest := x.body.records[idFields([]record.ID{r.ID})[0]][record.HeaderSize:]
	h.Version, h.Slot = h.Version+1, r.Slot
	moved := append(record.AppendHeader(nil, h), rest...)
	x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
		pipe.HSet(ctx, k.rec(), idFields([]record.ID{r.ID})[0], moved)
	})
}

// column is a column as it is and as it must be.
type column struct {
	code, name string
	is, want   []byte
	key        func(k partitionKeys) string
	whole      bool // its length means something: zeros that are not there count
}

// compare compares a column with what it must be. It reports one problem with a count, and cures by writing the
// whole column.
func (x *examination) compare(c column) {
	if bytes.Equal(c.is, c.want) {
		return
	}
	wrong, first := 0, record.ID(0)
	for i := range max(len(c.is), len(c.want)) / 8 {
		if cellAt(c.is, i) == cellAt(c.want, i) && (!c.whole || 8*i+8 <= min(len(c.is), len(c.want))) {
			continue
		}
		if wrong == 0 && i < len(x.owners) {
			first = x.owners[i]
		}
		wrong++
	}
	if len(c.is)%8 != 0 {
		wrong++
	}
	if wrong == 0 {
		return
	}
	x.foundf(c.code, first, "partition %d: %d of %d cells of %s differ from the records", x.partition, wrong, len(x.owners), c.name)
	x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) { pipe.Set(ctx, c.key(k), c.want, 0) })
}

func cellAt(column []byte, slot int) uint64 {
	if 8*slot+8 > len(column) {
		return 0
	}
	return binary.LittleEndian.Uint64(column[8*slot:])
}

func (x *examination) compareIDs() {
	want := make([]byte, 8*len(x.owners))
	for slot, id := range x.owners {
		binary.LittleEndian.PutUint64(want[8*slot:], uint64(id))
	}
	x.compare(column{problemSlot, "the ids", x.ids, want, partitionKeys.ids, true})
}

// compareFree compares the list of free slots with the slots that no record has. A slot that is in use all the same is
// not given to a new record (the script looks), one that is missing is lost space.
func (x *examination) compareFree() {
	var want []any
	for slot, id := range x.owners {
		if id == 0 {
			want = append(want, slot)
		}
	}
	listed := make(map[int]bool, len(x.free))
	wrong := 0
	for _, text := range x.free {
		slot, err := strconv.Atoi(text)
		if err != nil || slot < 0 || slot >= len(x.owners) || x.owners[slot] != 0 || listed[slot] {
			wrong++
			continue
		}
		listed[slot] = true
	}
	missing := len(want) - len(listed)
	if wrong == 0 && missing == 0 {
		return
	}
	x.foundf(problemFree, 0, "partition %d: of %d free slots %d are missing on their list, and %d are on it that are not free",
		x.partition, len(want), missing, wrong)
	x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
		pipe.Del(ctx, k.free())
		for part := range slices.Chunk(want, recordsPerCall) {
			pipe.RPush(ctx, k.free(), part...)
		}
	})
}

func (x *examination) compareArchived() {
	want := make([]byte, 8*len(x.owners))
	for slot, id := range x.owners {
		cell := record.FreeCell
		if h, ok := x.headers[id]; ok {
			cell = h.Archived
		} else if id != 0 {
			cell = cellAt(x.archived, slot)
		}
		binary.LittleEndian.PutUint64(want[8*slot:], cell)
	}
	x.compare(column{problemArchived, "archived-at", x.archived, want, partitionKeys.arch, true})
}

func (x *examination) compareColumn(p *record.Property, is []byte) {
	want := make([]byte, 8*len(x.owners))
	for _, r := range x.records {
		for rest := record.BytesOf(r.RawFields()); len(rest) > 0; {
			f, n := record.NextField(rest)
			rest = rest[n:]
			if f.Number == p.Number {
				binary.LittleEndian.PutUint64(want[8*r.Slot:], f.Cell(p))
			}
			if f.Number >= p.Number {
				break
			}
		}
	}
	for slot, id := range x.owners {
		if _, ok := x.headers[id]; id != 0 && !ok {
			binary.LittleEndian.PutUint64(want[8*slot:], cellAt(is, slot))
		}
	}
	key := func(k partitionKeys) string { return k.col(p.Number) }
	x.compare(column{problemColumn, "column " + p.Name, is, want, key, false})
}

func (x *examination) compareList(l List, is []byte) {
	want := slices.Clone(is)
	wrong := 0
	defer func() { x.sums[listCounter(l.Number)] = memberSum{sumOf(is), sumOf(is) - sumOf(want)} }()
	for slot := range 8 * len(is) {
		bit := byte(1) << (7 - slot%8)
		if is[slot/8]&bit != 0 && (slot >= len(x.owners) || x.owners[slot] == 0) {
			want[slot/8] &^= bit
			wrong++
		}
	}
	if wrong == 0 {
		return
	}
	x.foundf(problemList, 0, "partition %d: %d free slots are on list %q", x.partition, wrong, l.Name)
	x.strangers[listCounter(l.Number)] = int64(wrong)
	x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
		pipe.Set(ctx, k.list(l.Number), want, 0)
	})
}

// compareCounts compares the counters. A record that cannot be decoded was counted somewhere; if its bytes do not
// tell where, it may stand on either side.
func (x *examination) compareCounts() {
	if x.noCounters() && !x.doctor.order.AcceptLoss {
		return // that is a loss
	}
	var want Counts
	for _, r := range x.records {
		if r.Deletion == nil {
			want.Live++
		} else {
			want.Archived++
		}
	}
	for range int64(len(x.sick)) + x.lostCount {
		if x.counts.Live > want.Live {
			want.Live++
		} else {
			want.Archived++
		}
	}
	if want == x.counts && !x.uncounted {
		return
	}
	x.foundf(problemCount, 0, "partition %d: counted %d live and %d archived, there are %d and %d",
		x.partition, x.counts.Live, x.counts.Archived, want.Live, want.Archived)
	x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
		pipe.HSet(ctx, k.cnt(), "live", want.Live, "archived", want.Archived)
	})
}

func (x *examination) compareEnrollments(workflow string, ids []string) {
	var strangers []string
	first := record.ID(math.MaxUint64)
	for _, name := range ids {
		if _, ok := x.body.records[name]; ok || len(name) == 8 && x.lost[record.IDFromBytes(record.BytesOf(name))] {
			continue
		}
		strangers = append(strangers, name)
		if len(name) == 8 {
			first = min(first, record.IDFromBytes(record.BytesOf(name)))
		}
	}
	x.sums[enrollmentCounter(workflow)] = memberSum{sumOfIDs(ids), sumOfIDs(strangers)}
	if len(strangers) == 0 {
		return
	}
	if first > record.MaxID {
		first = 0
	}
	x.foundf(problemEnrollment, first, "partition %d: %d enrollments in workflow %s are of no record", x.partition, len(strangers), workflow)
	x.strangers[enrollmentCounter(workflow)] = int64(len(strangers))
	x.cures = append(x.cures, func(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) {
		pipe.HDel(ctx, k.enr(workflow), strangers...)
	})
}

// sumHolds sums the legal holds up. A hold of no record stays: whoever removed the record by hand may put it back.
func (x *examination) sumHolds() {
	x.sums[countHold] = memberSum{all: sumOfIDs(slices.Collect(maps.Keys(x.body.holds)))}
}
