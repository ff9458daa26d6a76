package crmstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// RestoreOutcome says what became of one record to restore.
type RestoreOutcome uint8

// The outcomes of a restore.
const (
	Restored     RestoreOutcome = iota + 1
	NotArchived                 // live already
	NotThere                    // no such record (never was, or purged)
	EmailTaken                  // a live contact holds its e-mail: see Holder
	NotByThatRun                // OnlyRun was given and another run or person archived it
	EmailBlocked                // its e-mail is on the block list
	NotReadable                 // it is damaged, and stays where it is; see [Store.Examine]
)

// RestoreResult is one record's result.
type RestoreResult struct {
	ID      record.ID
	Outcome RestoreOutcome
	Holder  record.ID
}

// RestoreOrder says why records are restored and narrows which.
type RestoreOrder struct {
	Object  record.ObjectType
	Cause   record.Cause
	At      time.Time
	OnlyRun string // restore only what this run archived; "" = any
}

var scriptRestore = mustLuaScript("restore")

// Restore brings records back exactly as they were, e-mail claim first; batched per partition. Results in order.
// Of several records in ids with the same e-mail the first is restored. An error (ErrConflict when others keep changing
// the same records, or a failed machine) may leave some of them restored.
func (s *Store) Restore(ctx context.Context, o RestoreOrder, ids []record.ID) ([]RestoreResult, error) {
	if err := s.require(ctx, "", CanRestore); err != nil {
		return nil, err
	}
	w, err := s.newWriter(ctx, o.Object, UpdateOnly, o.Cause, o.At)
	if err != nil {
		return nil, err
	}
	results := make([]RestoreResult, len(ids))
	todo := make([]int, len(ids))
	for i, id := range ids {
		todo[i], results[i].ID = i, id
	}
	for tries := 0; len(todo) > 0; {
		r := &restoring{round: &round{writer: w, byID: make(map[record.ID]*draft), addresses: make(map[string]*address)}, order: o, results: results}
		part := todo[:min(len(todo), upsertsPerRound)]
		again, err := r.pass(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("restore %s: %w", o.Object.Plural(), err)
		}
		rest := slices.Concat(again, todo[len(part):])
		limit, pause := contendedTries, contendedPause
		if r.waits {
			limit, pause = waitingTries, waitingPause
		}
		if tries++; len(rest) < len(todo) {
			tries = 0
		} else if tries > limit {
			return nil, fmt.Errorf("restore %s %s: %w", o.Object, ids[rest[0]], record.ErrConflict)
		} else if err := redisdb.Sleep(ctx, pause); err != nil {
			return nil, err
		}
		todo = rest
	}
	return results, nil
}

// restoring is one pass over records to restore. It uses the drafts and addresses of a round of writing.
type restoring struct {
	*round
	order   RestoreOrder
	results []RestoreResult
}

// pass restores what it can; the rest, which another process got in the way of, it returns.
func (r *restoring) pass(ctx context.Context, todo []int) (again []int, err error) {
	ids := make([]record.ID, 0, len(todo))
	for _, i := range todo {
		ids = append(ids, r.results[i].ID)
	}
	if err := r.load(ctx, ids); err != nil {
		return nil, err
	}
	for _, i := range todo {
		d := r.byID[r.results[i].ID]
		if r.results[i].Outcome = r.judge(d); r.results[i].Outcome == Restored {
			d.items = append(d.items, i)
			if !d.dirty {
				d.dirty = true
				r.dirty = append(r.dirty, d)
			}
		}
	}
	if r.email != nil {
		if err := r.wantAddresses(ctx); err != nil {
			return nil, err
		}
	}
	claimed := r.store.wall()
	if err := r.claimAddresses(ctx); err != nil {
		return nil, err
	}
	if err := r.bringBack(ctx, claimed); err != nil {
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
		for _, i := range d.items[1:] {
			r.results[i].Outcome = NotArchived // named twice
		}
	}
	slices.Sort(again)
	return again, nil
}

// judge says what is to become of a record; Restored when nothing but its e-mail may be in the way.
func (r *restoring) judge(d *draft) RestoreOutcome {
	switch {
	case d.damaged != nil:
		return NotReadable
	case d.stored == nil:
		return NotThere
	case d.stored.Deletion == nil:
		return NotArchived
	case r.order.OnlyRun != "" && d.stored.Deletion.Run != r.order.OnlyRun:
		return NotByThatRun
	}
	return Restored
}

// wantAddresses finds out who holds the e-mails of the records, and takes those out whose e-mail is held.
func (r *restoring) wantAddresses(ctx context.Context) error {
	texts := make([]string, len(r.dirty))
	for i, d := range r.dirty {
		texts[i] = normalAddress(d.stored.Value(r.email.Number).Text())
	}
	if err := r.lookUp(ctx, texts); err != nil {
		return err
	}
	kept := r.dirty[:0]
	for i, d := range r.dirty {
		a := r.addresses[texts[i]]
		switch {
		case a == nil: // no e-mail
		case a.blocked:
			for _, i := range d.items {
				r.results[i].Outcome = EmailBlocked
			}
			continue
		case a.now != nil && a.now.stored != nil && a.now.stored.Deletion != nil:
			d.lost = true // another one of this pass comes first; see then
		case a.now != nil:
			for _, i := range d.items {
				r.results[i].Outcome, r.results[i].Holder = EmailTaken, a.now.id
			}
			continue
		case a.busy:
			d.lost, r.waits = true, true
		default:
			a.now, d.claim = d, a
		}
		kept = append(kept, d)
	}
	r.dirty = kept
	return nil
}

// bringBack carries out the scripts, with claims taken at the moment claimed (ms), and marks the drafts that were not
// restored as lost.
func (r *restoring) bringBack(ctx context.Context, claimed int64) error {
	ready := slices.DeleteFunc(slices.Clone(r.dirty), func(d *draft) bool { return d.lost })
	back := make(map[record.ID]time.Time, len(ready))
	for _, d := range ready {
		back[d.id] = r.order.At
	}
	key := func(p int) string { return r.store.partition(r.object, p).back() }
	if err := r.store.remember(ctx, r.partitions, key, back); err != nil {
		return err
	}
	g := redisdb.GroupBy(len(ready), r.partitions, func(i int) int { return ready[i].id.Partition(r.partitions) })
	var acts []act
	for _, p := range g.Used() {
		for part := range slices.Chunk(g.Of(p), targetsPerCall) {
			a := act{partition: p}
			for _, i := range part {
				a.drafts = append(a.drafts, ready[i])
			}
			acts = append(acts, a)
		}
	}
	return redisdb.InWindows(ctx, len(acts), redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		part := inTime(acts[from:to], claimed, r.store.wall())
		calls := make([]redisdb.Call, 0, len(part))
		for _, a := range part {
			keys := r.store.partition(r.object, a.partition)
			targets := make([]byte, 0, 16*len(a.drafts))
			for _, d := range a.drafts {
				id := d.id.Bytes()
				targets = binary.LittleEndian.AppendUint64(append(targets, id[:]...), d.stored.Version)
			}
			calls = append(calls, redisdb.Call{
				Script: scriptRestore,
				Keys:   []string{keys.rec(), keys.arch(), keys.cnt(), keys.log()},
				Args:   []any{r.store.wall(), r.facts, targets},
			})
		}
		replies, err := r.store.db.RunAll(ctx, calls)
		if err != nil {
			return err
		}
		for i, a := range part {
			done, err := redisdb.Outcomes(replies[i], len(a.drafts))
			if err != nil {
				return err
			}
			for j, d := range a.drafts {
				d.lost = done[j] != '1'
			}
		}
		return nil
	})
}
