package triggers

import (
	"context"
	"fmt"
	"math/bits"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// survivorsAtOnce is how many survivors are gathered before their records are fetched: enough for the
// fetch to be pipelined over many partitions, few enough to stay small in memory.
const survivorsAtOnce = 4096

// Evaluate finds what matches in partitions from ≤ p < to. Live records only; fn gets every partition, in order, also
// empty ones. It writes nothing. When fn returns an error, Evaluate stops with that error.
func (m *Matcher) Evaluate(ctx context.Context, src Source, o crmstore.ObjectType, from, to int, fn func(Found) error) error {
	if m.root.op == testAny {
		return m.evaluateRecords(ctx, src, o, from, to, fn)
	}
	gathered := 0
	var waiting []pending
	flush := func() error {
		err := m.fetch(ctx, src, o, waiting, fn)
		gathered, waiting = 0, waiting[:0]
		return err
	}
	err := src.ReadColumns(ctx, o, from, to, m.finder.want, func(c *crmstore.Columns) error {
		p, err := m.survivors(c)
		if err != nil {
			return err
		}
		waiting = append(waiting, p)
		if gathered += len(p.ids); gathered < survivorsAtOnce {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// pending is a partition whose columns were tested and whose survivors' records are not read yet.
type pending struct {
	partition int
	live      int64
	ids       []crmstore.ID
	lists     map[int][]byte
}

func (m *Matcher) survivors(c *crmstore.Columns) (pending, error) {
	p := pending{partition: c.Partition}
	live := m.finder.live(c)
	for _, word := range live {
		p.live += int64(bits.OnesCount64(word))
	}
	hits := m.finder.run(0, c, live)
	for w, word := range hits {
		for ; word != 0; word &= word - 1 {
			at := (w*64 + bits.TrailingZeros64(word)) * 8
			if at+8 > len(c.IDs) {
				return p, fmt.Errorf("evaluate partition %d: slot %d is live but has no id; run `workflow doctor`", c.Partition, at/8)
			}
			if id := crmstore.IDFromBytes(c.IDs[at:]); id != 0 {
				p.ids = append(p.ids, id)
			}
		}
	}
	if len(p.ids) > 0 && len(m.lists) > 0 {
		p.lists = m.members(m.finder.want, c)
	}
	return p, nil
}

// fetch reads the survivors' records, tests them whole and hands each partition to fn.
func (m *Matcher) fetch(ctx context.Context, src Source, o crmstore.ObjectType, waiting []pending, fn func(Found) error) error {
	var want []crmstore.PartitionIDs
	for _, p := range waiting {
		if len(p.ids) > 0 {
			want = append(want, crmstore.PartitionIDs{Partition: p.partition, IDs: p.ids})
		}
	}
	next := 0
	empty := func() error { // partitions without survivors, up to the next one that has some
		for next < len(waiting) && len(waiting[next].ids) == 0 {
			next++
			if err := fn(Found{Partition: waiting[next-1].partition, Evaluated: waiting[next-1].live}); err != nil {
				return err
			}
		}
		return nil
	}
	if len(want) > 0 {
		err := src.ReadRecords(ctx, o, want, func(p int, recs []*crmstore.Record) error {
			if err := empty(); err != nil {
				return err
			}
			w := waiting[next]
			next++
			if w.partition != p {
				return fmt.Errorf("evaluate: records of partition %d came where those of %d were asked for", p, w.partition)
			}
			found := Found{Partition: p, Evaluated: w.live}
			m.env.lists = w.lists
			m.collect(recs, &found)
			return fn(found)
		})
		if err != nil {
			return err
		}
	}
	return empty()
}

// collect tests records that may have been archived or taken away since the columns were read.
func (m *Matcher) collect(recs []*crmstore.Record, found *Found) {
	for _, r := range recs {
		if r == nil || r.Deletion != nil {
			continue
		}
		v := m.judge(r)
		switch {
		case v.Suppressed:
			found.Matched++
			found.Suppressed++
		case v.Match:
			found.Matched++
			found.IDs = append(found.IDs, r.ID)
			found.Triggers = append(found.Triggers, uint8(v.Trigger))
		}
	}
}

// evaluateRecords reads every record: columns can say nothing.
func (m *Matcher) evaluateRecords(ctx context.Context, src Source, o crmstore.ObjectType, from, to int, fn func(Found) error) error {
	return m.eachPartition(ctx, src, o, from, to, func(p int, recs []*crmstore.Record) error {
		found := Found{Partition: p}
		for _, r := range recs {
			if r != nil && r.Deletion == nil {
				found.Evaluated++
			}
		}
		m.collect(recs, &found)
		return fn(found)
	})
}

// eachPartition reads whole partitions, with the members of their lists ready in m.env.
func (m *Matcher) eachPartition(ctx context.Context, src Source, o crmstore.ObjectType, from, to int, fn func(p int, recs []*crmstore.Record) error) error {
	return src.ReadAll(ctx, o, from, to, func(p int, recs []*crmstore.Record) error {
		m.env.lists = nil
		if len(m.lists) > 0 && len(recs) > 0 {
			ask := crmstore.Want{Lists: slices.Clone(m.lists)}
			err := src.ReadColumns(ctx, o, p, p+1, ask, func(c *crmstore.Columns) error {
				m.env.lists = m.members(ask, c)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return fn(p, recs)
	})
}
