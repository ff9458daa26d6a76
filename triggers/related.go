package triggers

import (
	"context"
	"errors"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// associated is a live record that the record in hand is associated with.
type associated struct {
	id     record.ID
	record *record.Record // nil: its properties are not asked, or it is damaged
}

// related are the associated records of one record, by object type and id.
type related map[record.ObjectType][]associated

// relatedOf is what the record in hand is associated with. The flag is false where that was not read: nothing is decided then.
func (e *env) relatedOf(o record.ObjectType) (others []associated, read bool) {
	return e.related[o], e.related != nil
}

// of asks a condition of an associated record. One that cannot be read gives Unknown.
func (e *env) of(a *associated, condition truthFunc) Answer {
	if a.record == nil {
		return Unknown
	}
	e.other = a.record
	answer := condition(e)
	e.other = nil
	return answer
}

// relatedAtOnce is of how many records the associations are read together.
const relatedAtOnce = 1024

// readRelated reads which live records the records are associated with, whether these are live or in the recycle bin.
func readRelated(ctx context.Context, src Source, o record.ObjectType, ids []record.ID, asked []relation) (map[record.ID]related, error) {
	all := make(map[record.ID]related, len(ids))
	others := make([]record.ObjectType, len(asked))
	for i := range asked {
		others[i] = asked[i].object
	}
	for part := range slices.Chunk(ids, relatedAtOnce) {
		refs, err := src.ReadAssociated(ctx, o, part, others)
		if err != nil {
			return nil, err
		}
		records := map[record.ObjectType]map[record.ID]*record.Record{}
		for _, r := range asked {
			if !r.properties {
				continue
			}
			if records[r.object], err = readOthers(ctx, src, r.object, refs); err != nil {
				return nil, err
			}
		}
		for i, id := range part {
			found := related{}
			for _, ref := range refs[i] {
				known := records[ref.Object]
				r, there := known[ref.ID]
				if known != nil && !there {
					continue // it went since its association was read
				}
				found[ref.Object] = append(found[ref.Object], associated{ref.ID, r})
			}
			all[id] = found
		}
	}
	return all, nil
}

// readOthers reads the live records of an object type among the refs, nil for one that is damaged.
func readOthers(ctx context.Context, src Source, o record.ObjectType, refs [][]record.Ref) (map[record.ID]*record.Record, error) {
	var ids []record.ID
	for _, list := range refs {
		for _, ref := range list {
			if ref.Object == o {
				ids = append(ids, ref.ID)
			}
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	found := make(map[record.ID]*record.Record, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	partitions, err := src.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	err = src.ReadRecords(ctx, o, record.ByPartition(ids, partitions), func(_ int, recs []*record.Record) error {
		for _, r := range recs {
			if r != nil && r.Deletion == nil {
				found[r.ID] = r
			}
		}
		return nil
	})
	if damaged, ok := errors.AsType[*record.DamagedError](err); ok {
		for _, id := range damaged.IDs {
			found[id] = nil
		}
		return found, nil
	}
	return found, err
}

// mayMatch reports whether the record that m.env looks at can match, whatever it is associated with.
func (m *Matcher) mayMatch() bool {
	return slices.ContainsFunc(m.possible, func(possible func(*env) bool) bool { return possible(m.env) })
}

// relate reads the associations of those records that may match. What it returns is nil for a trigger that does not ask for them.
func (m *Matcher) relate(ctx context.Context, src Source, o record.ObjectType, recs []*record.Record) (map[record.ID]related, error) {
	if len(m.relations) == 0 {
		return nil, nil
	}
	ids := make([]record.ID, 0, len(recs))
	for _, r := range recs {
		ids = append(ids, r.ID)
	}
	return readRelated(ctx, src, o, ids, m.relations)
}

// undecided is a record that may match one of the triggers, depending on what it is associated with.
type undecided struct {
	place   int // in search.decided, of its partition
	matcher int
	id      record.ID
	slot    int
	lists   map[int][]byte
	values  []record.Value // by their place in Together.numbers
}

// decided is a partition whose records were tested, but for those that are undecided.
type decided struct {
	partition int
	live      int64
	found     []Found
}

// undecidedAtOnce is how many records wait for their associations to be read.
const undecidedAtOnce = 4096

// postpone keeps the record in hand until associations are read.
func (r *search) postpone(matcher int, id record.ID, slot int) {
	kept := make([]record.Value, len(r.numbers))
	for i, number := range r.numbers {
		kept[i] = r.values[number].Clone()
	}
	r.undecided = append(r.undecided, undecided{
		place: len(r.decided), matcher: matcher, id: id, slot: slot, lists: r.matchers[matcher].env.lists, values: kept,
	})
}

// decide reads the associations of all that is undecided, and hands over what was found.
func (r *search) decide(ctx context.Context) error {
	ids := make([]record.ID, 0, len(r.undecided))
	for i := range r.undecided {
		ids = append(ids, r.undecided[i].id)
	}
	slices.Sort(ids)
	known, err := readRelated(ctx, r.src, r.object, slices.Compact(ids), r.relations)
	if err != nil {
		return err
	}
	values := make([]record.Value, len(r.values))
	for i := range r.undecided {
		u := &r.undecided[i]
		for j, number := range r.numbers {
			values[number] = u.values[j]
		}
		m := r.matchers[u.matcher]
		m.env.lists, m.env.related = u.lists, known[u.id]
		m.env.read(values, u.slot)
		r.decided[u.place].found[u.matcher].take(m.verdict(), u.id)
		m.env.related = nil
	}
	for _, d := range r.decided {
		if err := r.give(d); err != nil {
			return err
		}
	}
	r.undecided, r.decided = r.undecided[:0], r.decided[:0]
	return nil
}
