package crmstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// BinDays is how many days a deleted record stays in the bin, where it can be restored.
const BinDays = 90

// Retention is how long a deleted record stays in the bin: after exactly so long it may be purged. Days are of 24
// hours, whatever any clock does.
const Retention = BinDays * 24 * time.Hour

// PurgeOrder says which records are removed for good: those that at the instant At have been in the bin for
// [Retention] or longer. There is no way to ask for younger ones.
type PurgeOrder struct {
	Object   record.ObjectType
	Cause    record.Cause
	At       time.Time
	Limit    int                     // at most so many records; 0 = all
	Progress func(done, total int64) // partitions looked at; nil = nobody is told
}

// PurgeReport is what a purge did.
type PurgeReport struct {
	Purged int64 // records removed for good
	Held   int64 // records whose time is over, and that stay since they, or records that they are associated with, are on legal hold
	More   bool  // the limit was reached; there may be more
}

// countPurged is the counter of a partition's records that were removed for good. It never goes down: readers tell by
// it that a slot may have gone from one record to another.
const countPurged = "purged"

// purgeAtOnce is how many records one round of a purge reads, and then removes.
const purgeAtOnce = 4096

var scriptPurge = mustLuaScript("purge")

// Purge removes records that have been in the bin for [Retention] for good: record, cells, list bits, enrollments,
// associations; their slots become free. The work is done in scripts of at most 64 records, each of which removes its records wholly and
// adds one audit event with their ids. It may be interrupted and repeated at any time; records that somebody restores
// or changes meanwhile stay. So do records whose slot is in doubt: [Store.Doctor] comes first then. By hand it needs
// the permission super-admin.
func (s *Store) Purge(ctx context.Context, o PurgeOrder) (PurgeReport, error) {
	if err := s.require(ctx, o.Object, IsSuperAdmin); err != nil {
		return PurgeReport{}, err
	}
	report, err := s.purge(ctx, o)
	if err != nil {
		return report, fmt.Errorf("purge %s: %w", o.Object.Plural(), err)
	}
	return report, nil
}

func (s *Store) purge(ctx context.Context, o PurgeOrder) (report PurgeReport, err error) {
	if o.Object == record.Contact { // a permanent deletion reads from the record what is to be looked for
		if _, err := s.FinishErasures(ctx); err != nil {
			return report, err
		}
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return report, err
	}
	last := record.TimeCell(o.At.Add(-Retention).UnixMilli())
	facts := record.AppendFacts(nil, o.At, s.by(o.Cause))
	for from := 0; from < partitions; from += redisdb.ColumnsPerWindow {
		to := min(from+redisdb.ColumnsPerWindow, partitions)
		var due []record.ID
		err := s.ReadColumns(ctx, o.Object, from, to, Want{IDs: true}, func(c *Columns) error {
			due = appendExpired(due, c, last)
			return nil
		})
		if err != nil {
			return report, err
		}
		for len(due) > 0 {
			most := purgeAtOnce
			if o.Limit > 0 {
				most = min(most, o.Limit-int(report.Purged))
			}
			if report.More = most == 0; report.More {
				return report, nil
			}
			part := due[:min(most, len(due))]
			due = due[len(part):]
			n, held, err := s.purgeExpired(ctx, o.Object, part, last, facts)
			report.Held += held
			if report.Purged += n; err != nil {
				return report, err
			}
		}
		if o.Progress != nil {
			o.Progress(int64(to), int64(partitions))
		}
	}
	return report, nil
}

// CountExpired is how many records a purge at the instant to would remove that one at from leaves: those whose time in the bin is
// over between the two. Only a super admin, and the program itself.
func (s *Store) CountExpired(ctx context.Context, o record.ObjectType, from, to time.Time) (int64, error) {
	if err := s.require(ctx, o, IsSuperAdmin); err != nil {
		return 0, err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return 0, err
	}
	first, last := record.TimeCell(from.Add(-Retention).UnixMilli()), record.TimeCell(to.Add(-Retention).UnixMilli())
	found := int64(0)
	for p := 0; p < partitions; p += redisdb.ColumnsPerWindow {
		err := s.ReadColumns(ctx, o, p, min(p+redisdb.ColumnsPerWindow, partitions), Want{IDs: true}, func(c *Columns) error {
			found += int64(len(appendExpired(nil, c, last)) - len(appendExpired(nil, c, first)))
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("count expired %s: %w", o.Plural(), err)
		}
	}
	return found, nil
}

// appendExpired appends the ids of the partition's records that went into the bin at the instant of last, or before.
func appendExpired(ids []record.ID, c *Columns, last uint64) []record.ID {
	for at := 0; at+8 <= len(c.Archived) && at+8 <= len(c.IDs); at += 8 {
		cell := binary.LittleEndian.Uint64(c.Archived[at:])
		if cell == 0 || cell > last {
			continue // live, younger, or a free slot
		}
		if id := record.IDFromBytes(c.IDs[at:]); id != 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// purgeExpired removes those of the records that the record itself, which is the truth, says to have expired.
func (s *Store) purgeExpired(ctx context.Context, o record.ObjectType, ids []record.ID, last uint64, facts []byte) (purged, held int64, err error) {
	targets, err := s.binned(ctx, o, ids, last)
	if err == nil {
		held, err = s.leaveHeld(ctx, o, &targets)
	}
	if err != nil || len(targets.list) == 0 {
		return 0, held, err
	}
	done, err := s.forget(ctx, o, targets, forgetting{event: "purge", facts: facts})
	return int64(len(done)), held, err
}

// leaveHeld takes records on legal hold out of targets, and those that are associated with one, and counts them. The script
// leaves the former too; but associations would be gone by then.
func (s *Store) leaveHeld(ctx context.Context, o record.ObjectType, targets *binTargets) (int64, error) {
	held, err := s.holdsOf(ctx, o, targets.ids())
	if err != nil {
		return 0, err
	}
	ties, err := s.heldTies(ctx, o, targets.ids())
	if err != nil {
		return 0, err
	}
	stay := make(map[record.ID]bool, len(held)+len(ties))
	for _, h := range held {
		stay[h.ID] = true
	}
	for _, t := range ties {
		stay[t.ID] = true
	}
	before := len(targets.list)
	targets.list = slices.DeleteFunc(targets.list, func(t Target) bool { return stay[t.ID] })
	return int64(before - len(targets.list)), nil
}

// binTargets are records in the bin at the versions that were read, and the runs that put them there.
type binTargets struct {
	list []Target
	runs []string
}

func (t *binTargets) ids() []record.ID {
	ids := make([]record.ID, len(t.list))
	for i := range t.list {
		ids[i] = t.list[i].ID
	}
	return ids
}

// binned finds out the versions of those of the records that went into the bin at the instant of the cell last, or before.
func (s *Store) binned(ctx context.Context, o record.ObjectType, ids []record.ID, last uint64) (t binTargets, err error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return t, err
	}
	want, _ := byPartition(ids, partitions)
	runs := map[string]bool{}
	err = s.fetch(ctx, o, want, func(i int, values []any) error {
		for j, v := range values {
			bytes, _ := v.(string)
			h, err := record.ParseHeader(record.BytesOf(bytes))
			if err != nil || h.Archived == 0 || h.Archived > last {
				continue // it is gone, restored, or damaged, which doctor tells
			}
			if facts, err := record.ParseFacts(record.BytesOf(bytes)[record.HeaderSize : record.HeaderSize+h.FactsLen]); err == nil && facts.Run != "" {
				runs[facts.Run] = true
			}
			t.list = append(t.list, Target{ID: want[i].IDs[j], Slot: h.Slot, Version: h.Version})
		}
		return nil
	})
	t.runs = slices.Sorted(maps.Keys(runs))
	return t, err
}

// traces are the keys in which a record leaves something behind, beside its own bytes.
type traces struct {
	columns   []int // of all properties that ever had one
	lists     []int
	workflows []string
}

// traces reads them. Whoever asks must have read the records before: what a record got into later gave it another version.
func (s *Store) traces(ctx context.Context, o record.ObjectType) (t traces, err error) {
	schema, err := s.Schema(ctx, o)
	if err != nil {
		return t, err
	}
	for i := range schema.Properties {
		if p := &schema.Properties[i]; p.Columnar() {
			t.columns = append(t.columns, p.Number)
		}
	}
	lists, err := s.Lists(ctx, o)
	if err != nil {
		return t, err
	}
	for _, l := range lists {
		if !l.Active() {
			t.lists = append(t.lists, l.Number)
		}
	}
	workflows, err := s.Workflows(ctx)
	if err != nil {
		return t, err
	}
	for _, w := range workflows {
		t.workflows = append(t.workflows, w.Name)
	}
	slices.Sort(t.lists)
	return t, nil
}

// keys are the traces' keys in a partition: columns, lists, enrollments.
func (t *traces) keys(k partitionKeys) []string {
	keys := make([]string, 0, len(t.columns)+len(t.lists)+len(t.workflows))
	for _, n := range t.columns {
		keys = append(keys, k.col(n))
	}
	for _, n := range t.lists {
		keys = append(keys, k.list(n))
	}
	for _, name := range t.workflows {
		keys = append(keys, k.enr(name))
	}
	return keys
}

// forgetting is how records are removed: the audit event that stays, who and why, and what stands on the tombstones.
type forgetting struct {
	event     string
	facts     []byte
	tombstone []byte // nil = none are put up
}

// forget removes records in the bin that are still at the version that was read, and says which it removed.
func (s *Store) forget(ctx context.Context, o record.ObjectType, targets binTargets, f forgetting) ([]record.ID, error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.traces(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.dissolve(ctx, o, targets.ids()); err != nil {
		return nil, err
	}
	others, err := s.objectTypes(ctx)
	if err != nil {
		return nil, err
	}
	types := make([]any, len(others))
	for i, other := range others {
		types[i] = string(other)
	}
	t.workflows = append(t.workflows, targets.runs...) // a deletion by hand enrolls under its own name
	free := binary.LittleEndian.AppendUint64(nil, record.FreeCell)
	g := redisdb.GroupBy(len(targets.list), partitions, func(i int) int { return targets.list[i].ID.Partition(partitions) })
	var calls []redisdb.Call
	var parts [][]int
	for _, p := range g.Used() {
		k := s.partition(o, p)
		keys := append([]string{k.rec(), k.ids(), k.arch(), k.cnt(), k.log(), k.free(), k.tomb(), k.assoc(), k.hold()}, t.keys(k)...)
		for part := range slices.Chunk(g.Of(p), targetsPerCall) {
			parts = append(parts, part)
			args := []any{s.wall(), f.facts, free, len(t.columns), len(t.lists), f.event, f.tombstone, packTargets(targets.list, part)}
			calls = append(calls, redisdb.Call{Script: scriptPurge, Keys: keys, Args: append(args, types...)})
		}
	}
	told := make([]string, len(calls))
	err = redisdb.InWindows(ctx, len(calls), redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		replies, err := s.db.RunAll(ctx, calls[from:to])
		for i := from; i < to && err == nil; i++ {
			told[i], err = redisdb.Outcomes(replies[i-from], len(parts[i]))
		}
		return err
	})
	var gone []record.ID
	for i, text := range told {
		for j := range text {
			if text[j] == '1' {
				gone = append(gone, targets.list[parts[i][j]].ID)
			}
		}
	}
	if err == nil {
		err = s.forgetRepeated(ctx, o, partitions, gone)
	}
	return gone, err
}

// packTargets is the targets that part names as scripts take them: id and version each.
func packTargets(targets []Target, part []int) []byte {
	b := make([]byte, 0, 16*len(part))
	for _, i := range part {
		id := targets[i].ID.Bytes()
		b = binary.LittleEndian.AppendUint64(append(b, id[:]...), targets[i].Version)
	}
	return b
}
