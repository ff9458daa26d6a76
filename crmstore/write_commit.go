package crmstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

var (
	scriptInsert = mustLuaScript("insert")
	scriptUpdate = mustLuaScript("update")
)

// commit writes the round's drafts: ids, then claims, then records. It returns the upserts that must be planned
// again, in order, since another process changed what they were planned on.
func (r *round) commit(ctx context.Context) (again []int, err error) {
	if err := r.takeIDs(ctx); err != nil {
		return nil, err
	}
	claimed := r.store.wall()
	if err := r.claimAddresses(ctx); err != nil {
		return nil, err
	}
	ready := slices.DeleteFunc(slices.Clone(r.dirty), func(d *draft) bool { return d.lost })
	g := redisdb.GroupBy(len(ready), r.partitions, func(i int) int { return ready[i].id.Partition(r.partitions) })
	acts := r.acts(ready, &g)
	var unsure atomic.Bool // a script that was not answered may be carried out later
	err = redisdb.InWindows(ctx, len(acts), redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		err := r.write(ctx, inTime(acts[from:to], claimed, r.store.wall()))
		if err != nil && !redisdb.Answered(err) {
			unsure.Store(true)
		}
		return err
	})
	if err != nil {
		if !unsure.Load() {
			r.release(ctx)
		}
		return nil, err
	}
	if err := r.endClaims(ctx, claimed); err != nil {
		return nil, err
	}
	for _, d := range r.dirty {
		if d.lost {
			again = append(again, d.items...)
			continue
		}
		for _, i := range d.items {
			if r.results[i].Outcome != Refused {
				r.results[i].ID = d.id
			}
		}
	}
	for _, t := range r.refusals {
		r.refuse(t.item, r.batch[t.item].ID, &record.EmailTakenError{Email: t.email, Holder: t.holder.id})
	}
	slices.Sort(again)
	return slices.Compact(again), nil
}

// releaseTime is how long giving claims up after a failure may take.
const releaseTime = 5 * time.Second

// release gives up the claims of drafts that were not written, after the server refused some of the round, so that whoever tries
// again need not wait until these claims are dead. What the server wrote keeps its claim: the records say so. When it fails,
// the claims die by themselves.
func (r *round) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	drafts := make(map[record.ID]*draft)
	ids := make([]record.ID, 0, len(r.dirty))
	for _, d := range r.claiming() {
		if d.claim.taken != "" {
			drafts[d.id] = d
			ids = append(ids, d.id)
		}
	}
	slices.Sort(ids)
	want, _ := byPartition(ids, r.partitions)
	var unwritten []*draft
	err := r.store.fetch(ctx, r.object, want, func(i int, values []any) error {
		for j, v := range values {
			d := drafts[want[i].IDs[j]]
			bytes, there := v.(string)
			if !there {
				if d.stored == nil {
					unwritten = append(unwritten, d)
				}
				continue
			}
			if now, err := record.ParseRecord(r.schema, d.id, bytes); err == nil && d.stored != nil && now.Version == d.version() {
				unwritten = append(unwritten, d)
			}
		}
		return nil
	})
	if err == nil {
		_, _ = r.swap(ctx, unwritten, func(a *address) (from, to string) { return a.taken, "" })
	}
}

// fresh reports whether claims that were taken at the moment claimed (ms) are far from being thought dead at the moment now.
func fresh(claimed, now int64) bool {
	return time.Duration(now-claimed)*time.Millisecond < claimPatience/2
}

// inTime is the acts, without drafts that need a claim when claims were taken (in ms) so long before now that they may be
// dead before the drafts are written. Those are planned again.
func inTime(acts []act, claimed, now int64) []act {
	if fresh(claimed, now) {
		return acts
	}
	var kept []act
	for _, a := range acts {
		var drafts []*draft
		for _, d := range a.drafts {
			if d.lost = d.claim != nil; !d.lost {
				drafts = append(drafts, d)
			}
		}
		if a.drafts = drafts; len(drafts) > 0 {
			kept = append(kept, a)
		}
	}
	return kept
}

// takeIDs gives the new records ids, and keeps later ones above those that were given by hand. An id that the round
// names without making it is passed over: nobody who names an id means a record that is only just being made.
func (r *round) takeIDs(ctx context.Context) error {
	var highest record.ID
	for _, d := range r.dirty {
		if d.stored == nil {
			highest = max(highest, d.id)
		}
	}
	made := r.made
	for len(made) > 0 || highest > 0 {
		last, err := r.store.takeIDs(ctx, r.object, len(made), highest)
		if err != nil {
			return err
		}
		for id := last - record.ID(len(made)) + 1; id <= last; id++ {
			if r.byID[id] == nil {
				made[0].id, made = id, made[1:]
			}
		}
		highest = 0
	}
	return nil
}

// claimAddresses takes a claim for each draft that changed its address.
func (r *round) claimAddresses(ctx context.Context) error {
	drafts := r.claiming()
	now := r.store.wall()
	for _, d := range drafts {
		d.claim.taken = newClaim(d.id, d.version(), now)
	}
	done, err := r.swap(ctx, drafts, func(a *address) (from, to string) { return a.claim, a.taken })
	if err != nil {
		return err
	}
	for i, d := range drafts {
		if !done[i].done {
			d.lost, d.claim.taken = true, ""
		}
	}
	return r.store.remember(ctx, r.partitions, func(p int) string { return r.store.partition(r.object, p).heir() }, r.inherited(drafts))
}

// endClaims gives up the claims of drafts that were not written. When the claims (taken at the moment claimed, in ms) got
// so old meanwhile that somebody else may have thought them dead, it makes sure that those of the others stand.
func (r *round) endClaims(ctx context.Context, claimed int64) error {
	var lost, written []*draft
	for _, d := range r.claiming() {
		switch {
		case !d.lost:
			written = append(written, d)
		case d.claim.taken != "":
			lost = append(lost, d)
		}
	}
	if _, err := r.swap(ctx, lost, func(a *address) (from, to string) { return a.taken, "" }); err != nil {
		return err
	}
	if fresh(claimed, r.store.wall()) {
		return nil
	}
	return r.checkClaims(ctx, written)
}

// checkClaims makes sure that the claims of drafts that were written still stand.
func (r *round) checkClaims(ctx context.Context, written []*draft) error {
	done, err := r.swap(ctx, written, func(a *address) (from, to string) { return a.taken, a.taken })
	if err != nil {
		return err
	}
	for i, d := range written {
		if !done[i].done {
			return fmt.Errorf("contact %s was written so slowly that its claim to its e-mail expired; check with doctor: %w", d.id, record.ErrConflict)
		}
	}
	return nil
}

// claiming are the drafts that have changed their address.
func (r *round) claiming() []*draft {
	drafts := make([]*draft, 0, len(r.dirty))
	for _, d := range r.dirty {
		if d.claim != nil && d.claim.now == d && d.claim.holder != d {
			drafts = append(drafts, d)
		}
	}
	return drafts
}

// swap compares and sets the claims of drafts, each on its own.
func (r *round) swap(ctx context.Context, drafts []*draft, fn func(a *address) (from, to string)) ([]swap, error) {
	swaps := make([]swap, len(drafts))
	for i, d := range drafts {
		swaps[i].place = d.claim.place
		swaps[i].old, swaps[i].new = fn(d.claim)
	}
	return swaps, r.store.swapClaims(ctx, r.partitions, swaps)
}

// act is one insert or update script.
type act struct {
	partition int
	insert    bool
	first     uint32 // of an insert: the slot that its first record will most likely get
	drafts    []*draft
}

// acts cuts drafts into scripts: new and changed records apart, and of a bounded size.
func (r *round) acts(ready []*draft, g *redisdb.Groups) []act {
	var acts []act
	for _, p := range g.Used() {
		parts := [2][]*draft{} // changed, new
		for _, i := range g.Of(p) {
			k := 0
			if ready[i].stored == nil {
				k = 1
			}
			parts[k] = append(parts[k], ready[i])
		}
		for k, part := range parts {
			for chunk := range slices.Chunk(part, recordsPerCall) {
				acts = append(acts, act{partition: p, insert: k == 1, drafts: chunk})
			}
		}
	}
	return acts
}

// write carries out acts in one pipeline and marks the drafts that were not written as lost.
func (r *round) write(ctx context.Context, acts []act) error {
	calls := make([]redisdb.Call, len(acts))
	for i := range acts {
		a := &acts[i]
		if a.insert {
			calls[i] = r.insertCall(a)
		} else {
			calls[i] = r.updateCall(a)
		}
	}
	replies, err := r.store.db.RunAll(ctx, calls)
	if err != nil {
		return err
	}
	for i, a := range acts {
		if a.insert {
			if err := r.inserted(ctx, a, replies[i]); err != nil {
				return err
			}
			continue
		}
		done, err := redisdb.Outcomes(replies[i], len(a.drafts))
		if err != nil {
			return err
		}
		for j, d := range a.drafts {
			d.lost = done[j] != '1'
		}
	}
	return nil
}

// inserted takes in what an insert script answered.
func (r *round) inserted(ctx context.Context, a act, reply any) error {
	next, ok := reply.(int64)
	if !ok {
		return fmt.Errorf("a script answered %T, want a number", reply)
	}
	for _, d := range a.drafts {
		d.lost = next < 0
	}
	switch {
	case next == erasedID:
		return r.readTombstones(ctx, a)
	case next >= 0 && uint32(next) != a.first+uint32(len(a.drafts)):
		r.store.slots.correct(r.object, a.partition, uint32(next))
	}
	return nil
}

// erasedID is how the insert script says that one of the ids has a tombstone.
const erasedID = -2

// readTombstones finds out which of the new records have an id that was deleted permanently.
func (r *round) readTombstones(ctx context.Context, a act) error {
	ids := make([]record.ID, len(a.drafts))
	for i, d := range a.drafts {
		ids[i] = d.id
	}
	found, err := r.store.tombstones(ctx, r.object, ids)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.erased == nil {
		r.erased = make(map[record.ID]bool)
	}
	for id := range found {
		r.erased[id] = true
	}
	return err
}

// insertCall makes the script for new records: their bytes, with the slots that they will most likely get, and one run
// of cells for each column that any of them has a value for.
func (r *round) insertCall(a *act) redisdb.Call {
	keys := r.store.partition(r.object, a.partition)
	a.first = r.store.slots.take(r.object, a.partition, len(a.drafts))
	ids := make([]byte, 0, 8*len(a.drafts))
	args := make([]any, 4, 4+2*len(a.drafts)+len(r.columns.byNumber))
	args[0], args[1], args[2], args[3] = r.store.wall(), r.facts, len(a.drafts), a.first
	runs := make([][]byte, len(r.columns.byNumber))
	for i, d := range a.drafts {
		id := d.id.Bytes()
		ids = append(ids, id[:]...)
		record.AppendHeader(d.record[:0], record.Header{Version: 1, Slot: a.first + uint32(i)})
		record.WriteChecksum(d.record, d.id)
		args = append(args, ids[8*i:], d.record)
		for rest := d.fields; len(rest) > 0; {
			f, n := record.NextField(rest)
			rest = rest[n:]
			p := r.columns.property(f.Number)
			if p == nil {
				continue
			}
			if runs[p.Number] == nil {
				runs[p.Number] = make([]byte, 8*len(a.drafts))
			}
			binary.LittleEndian.PutUint64(runs[p.Number][8*i:], f.Cell(p))
		}
	}
	names := []string{keys.rec(), keys.ids(), keys.arch(), keys.cnt(), keys.log(), keys.free(), keys.tomb()}
	for number, run := range runs {
		if run != nil {
			names = append(names, keys.col(number))
			args = append(args, run)
		}
	}
	return redisdb.Call{Script: scriptInsert, Keys: names, Args: args}
}

// updateCall makes the script for changed records: new bytes, the cells that differ, and what the audit log keeps.
func (r *round) updateCall(a *act) redisdb.Call {
	keys := r.store.partition(r.object, a.partition)
	names := []string{keys.rec(), keys.log()}
	args := append(make([]any, 0, 2+4*len(a.drafts)), r.store.wall(), r.facts)
	place := make(map[int]int) // of a column in names, from 1
	for _, d := range a.drafts {
		one := d.id.Bytes()
		match := binary.LittleEndian.AppendUint64(one[:], d.stored.Version)
		record.AppendHeader(d.record[:0], record.Header{Version: d.stored.Version + 1, Slot: d.stored.Slot})
		record.WriteChecksum(d.record, d.id)
		var cells []byte
		r.columns.differences(record.BytesOf(d.stored.RawFields()), d.fields, func(number int, cell uint64) {
			if place[number] == 0 {
				names = append(names, keys.col(number))
				place[number] = len(names)
			}
			cells = binary.LittleEndian.AppendUint16(cells, uint16(place[number]))
			cells = binary.LittleEndian.AppendUint64(cells, cell)
		})
		args = append(args, match, d.record, cells, record.ChangesOf(record.BytesOf(d.stored.RawFields()), d.fields, r.modified.Number))
	}
	return redisdb.Call{Script: scriptUpdate, Keys: names, Args: args}
}

// differences calls fn for each column whose cell is another one for the wanted fields than for the stored ones.
func (c *columnSet) differences(stored, wanted []byte, fn func(number int, cell uint64)) {
	const end = int(^uint(0) >> 1)
	for len(stored) > 0 || len(wanted) > 0 {
		was, n := record.NextField(stored)
		if n == 0 {
			was.Number = end
		}
		is, m := record.NextField(wanted)
		if m == 0 {
			is.Number = end
		}
		number := min(was.Number, is.Number)
		var before, after uint64
		p := c.property(number)
		if was.Number == number {
			if p != nil {
				before = was.Cell(p)
			}
			stored = stored[n:]
		}
		if is.Number == number {
			if p != nil {
				after = is.Cell(p)
			}
			wanted = wanted[m:]
		}
		if before != after {
			fn(number, after)
		}
	}
}
