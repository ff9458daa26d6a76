package triggers

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// How much is gathered before records are fetched: enough for the fetch to be pipelined over many partitions, few
// enough to stay small in memory.
const (
	survivorsAtOnce  = 4096
	partitionsAtOnce = 256
)

// Evaluate finds what matches in partitions from ≤ p < to. Live records only; fn gets every partition, in order, also
// empty ones. It writes nothing. When fn returns an error, Evaluate stops with that error.
func (m *Matcher) Evaluate(ctx context.Context, src Source, o record.ObjectType, from, to int, fn func(Found) error) error {
	return m.alone.Evaluate(ctx, src, o, from, to, func(_ int, found Found) error { return fn(found) })
}

// search is one call of Evaluate.
type search struct {
	*Together
	src      Source
	object   record.ObjectType
	fn       func(matcher int, found Found) error
	waiting  []pending // partitions whose records are not read yet
	gathered int       // survivors in them
	found    []Found   // of the partition in hand, for each matcher
	picks    []crmstore.Pick

	decided   []decided   // partitions that are tested, in order, where associations are asked
	undecided []undecided // their records whose associations are to be read
}

// pending is a partition whose columns were tested.
type pending struct {
	partition int
	live      int64
	pick      crmstore.Pick
	ids       []record.ID // the record in each slot; nil where the ids do not matter
	any       []uint64    // slots that some matcher has to see; nil = all
	hits      []hits
	lists     map[int][]byte
}

// hits are the slots that one matcher has to see.
type hits struct {
	matcher int
	slots   []uint64
}

// test tests columns and returns how many records are to be read.
func (r *search) test(c *crmstore.Columns) int {
	live := r.columns.live(c)
	p := pending{partition: c.Partition, live: ones(live), any: make([]uint64, len(live))}
	for i := range r.matchers {
		before := r.columns.depth
		found := r.columns.run(i, c, live)
		r.columns.depth = before
		if ones(found) > 0 {
			p.hits = append(p.hits, hits{i, slices.Clone(found)})
			for w, word := range found {
				p.any[w] |= word
			}
		}
	}
	survivors := int(ones(p.any))
	p.pick = crmstore.Pick{Partition: c.Partition}
	if survivors > 0 {
		if r.columns.want.IDs {
			p.ids = columnIDs(c)
			p.lists = members(r.columns.want, c)
		}
		// Reading a whole partition costs less for each record than asking for records one by one.
		if p.pick.Whole, p.pick.Size = 2*survivors > c.Slots, c.Slots; !p.pick.Whole {
			p.choose(survivors)
		}
	}
	r.waiting = append(r.waiting, p)
	return survivors
}

// choose picks the slots of p.any.
func (p *pending) choose(survivors int) {
	p.pick.Slots = make([]uint32, 0, survivors)
	for w, word := range p.any {
		for ; word != 0; word &= word - 1 {
			p.pick.Slots = append(p.pick.Slots, uint32(w*64+bits.TrailingZeros64(word)))
		}
	}
	if p.ids == nil {
		return
	}
	p.pick.IDs = make([]record.ID, len(p.pick.Slots))
	for i, slot := range p.pick.Slots {
		p.pick.IDs[i] = p.ids[slot]
	}
}

func columnIDs(c *crmstore.Columns) []record.ID {
	ids := make([]record.ID, c.Slots)
	for i := range min(len(ids), len(c.IDs)/8) {
		ids[i] = record.IDFromBytes(c.IDs[8*i:])
	}
	return ids
}

// members copies the asked lists' members out of what was read.
func members(want crmstore.Want, c *crmstore.Columns) map[int][]byte {
	lists := make(map[int][]byte, len(want.Lists))
	for i, number := range want.Lists {
		lists[number] = slices.Clone(c.Lists[i])
	}
	return lists
}

// flush reads the records of the partitions that wait, tests them whole and hands each partition to fn.
func (r *search) flush(ctx context.Context) error {
	r.picks = r.picks[:0]
	for i := range r.waiting {
		if w := &r.waiting[i]; w.pick.Whole || len(w.pick.Slots) > 0 {
			r.picks = append(r.picks, w.pick)
		}
	}
	next := 0
	empty := func() error { // partitions without survivors, up to the next one that has some
		for ; next < len(r.waiting); next++ {
			if w := &r.waiting[next]; w.pick.Whole || len(w.pick.Slots) > 0 {
				return nil
			}
			if err := r.hand(ctx, &r.waiting[next]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(r.picks) > 0 {
		err := r.src.ReadRows(ctx, r.object, r.picks, r.numbers, func(rows *crmstore.Rows) error {
			if err := empty(); err != nil {
				return err
			}
			w := &r.waiting[next]
			next++
			if w.partition != rows.Partition {
				return fmt.Errorf("evaluate: records of partition %d came where those of %d were asked for", rows.Partition, w.partition)
			}
			return r.partition(ctx, w, rows)
		})
		if err != nil {
			return err
		}
	}
	err := empty()
	r.waiting, r.gathered = r.waiting[:0], 0
	if err == nil && len(r.decided) > 0 {
		err = r.decide(ctx)
	}
	return err
}

// hand ends a partition, and makes room for the next. Where associations are asked it waits until they are read.
func (r *search) hand(ctx context.Context, w *pending) error {
	if r.found == nil {
		r.found = make([]Found, len(r.matchers))
	}
	d := decided{partition: w.partition, live: w.live, found: r.found}
	if len(r.relations) == 0 {
		return r.give(d)
	}
	r.found = nil
	if r.decided = append(r.decided, d); len(r.undecided) < undecidedAtOnce {
		return nil
	}
	return r.decide(ctx)
}

// give gives what was found in a partition to fn.
func (r *search) give(d decided) error {
	for i := range d.found {
		found := d.found[i]
		d.found[i] = Found{}
		found.Partition, found.Evaluated = d.partition, d.live
		if err := r.fn(i, found); err != nil {
			return err
		}
	}
	return nil
}

// partition tests the records of one partition. Since the columns were read a record may have been archived or purged, and
// another one may have its slot. That record is tested instead. It is tested with the whole expressions, so the result is
// right.
func (r *search) partition(ctx context.Context, w *pending, rows *crmstore.Rows) error {
	if r.found == nil {
		r.found = make([]Found, len(r.matchers))
	}
	for _, m := range r.matchers {
		m.env.lists = w.lists
	}
	for i := range rows.Rows {
		row, slot := &rows.Rows[i], i
		if !w.pick.Whole {
			slot = int(w.pick.Slots[i])
			if row.ID == 0 {
				if err := r.missing(ctx, w.partition, slot); err != nil {
					return err
				}
			}
		}
		if row.Damaged {
			for j := range r.matchers {
				r.found[j].Damaged++
			}
			continue
		}
		if r.blind && row.Live {
			w.live++
		}
		if !row.Live || w.any != nil && !holds(w.any, slot) || slot < len(w.ids) && w.ids[slot] != row.ID {
			continue
		}
		if err := rows.Values(i, r.values); err != nil {
			return err
		}
		if w.any == nil {
			for j := range r.matchers {
				r.judge(j, row.ID, slot)
			}
			continue
		}
		for _, h := range w.hits {
			if holds(h.slots, slot) {
				r.judge(h.matcher, row.ID, slot)
			}
		}
	}
	return r.hand(ctx, w)
}

func holds(words []uint64, slot int) bool {
	return slot/64 < len(words) && words[slot/64]>>(slot%64)&1 == 1
}

// judge tests the record in hand with one matcher's whole expressions.
func (r *search) judge(matcher int, id record.ID, slot int) {
	m := r.matchers[matcher]
	m.env.read(r.values, slot)
	switch {
	case len(m.relations) == 0:
		r.found[matcher].take(m.verdict(), id)
	case m.mayMatch():
		r.postpone(matcher, id, slot)
	}
}

// take counts a verdict.
func (f *Found) take(v Verdict, id record.ID) {
	switch {
	case v.Suppressed:
		f.Matched++
		f.Suppressed++
	case v.Match:
		f.Matched++
		f.IDs = append(f.IDs, id)
		f.Triggers = append(f.Triggers, uint8(v.Trigger))
	}
}

// missing is an error when a live slot has no id: the store is damaged, and a match there would be lost in silence. A slot that was freed since its columns were read is not live any more.
func (r *search) missing(ctx context.Context, partition, slot int) error {
	return r.src.ReadColumns(ctx, r.object, partition, partition+1, crmstore.Want{IDs: true}, func(c *crmstore.Columns) error {
		archived := c.Archived[min(8*slot, len(c.Archived)):]
		if len(archived) < 8 || binary.LittleEndian.Uint64(archived) != 0 || columnIDs(c)[slot] != 0 {
			return nil
		}
		return fmt.Errorf("evaluate partition %d: slot %d is live but has no id; run `workflow doctor`", partition, slot)
	})
}

// eachPartition reads whole partitions, with the members of their lists ready in m.env. A *crmstore.DamagedError names the records
// that were left out; all others were read.
func (m *Matcher) eachPartition(ctx context.Context, src Source, o record.ObjectType, from, to int, fn func(p int, recs []*record.Record) error) error {
	return src.ReadAll(ctx, o, from, to, func(p int, recs []*record.Record) error {
		m.env.lists = nil
		if len(m.lists) > 0 && len(recs) > 0 {
			ask := crmstore.Want{Lists: slices.Clone(m.lists)}
			err := src.ReadColumns(ctx, o, p, p+1, ask, func(c *crmstore.Columns) error {
				m.env.lists = members(ask, c)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return fn(p, recs)
	})
}
