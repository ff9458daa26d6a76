package crmstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// step is one script over one half of each tie.
type step struct {
	second bool
	class  func(*tie) string // ties of different classes go into different calls; nil: all are of one
	build  func(*half) redisdb.Call
	size   int // bytes of the reply for each tie
	use    func(t *tie, told []byte)
}

// half is what one call is about: halves at records of one partition, with others of one object type.
type half struct {
	keys   partitionKeys
	other  record.ObjectType
	class  string
	second bool
	ties   []*tie // by own id, then other id
	told   string // what the script answered
}

func (h *half) pairs() []byte {
	b := make([]byte, 0, 16*len(h.ties))
	for _, t := range h.ties {
		own, other := t.ends(h.second)
		x, y := own.ID.Bytes(), other.ID.Bytes()
		b = append(append(b, x[:]...), y[:]...)
	}
	return b
}

// ends are the record at which the first (or second) half stands, and the other one.
func (t *tie) ends(second bool) (own, other record.Ref) {
	if second {
		return t.second, t.first
	}
	return t.first, t.second
}

// tiesPerCall is the most halves that one script takes on, so that it ends soon.
const tiesPerCall = 256

// each carries out a step, pipelined over partitions; then it hands what the scripts told to st.use.
func (w *tying) each(ctx context.Context, ties []*tie, st step) error {
	halves := w.halves(ties, &st)
	err := redisdb.InWindows(ctx, len(halves), redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		calls := make([]redisdb.Call, 0, to-from)
		for i := from; i < to; i++ {
			calls = append(calls, st.build(&halves[i]))
		}
		replies, err := w.store.db.RunAll(ctx, calls)
		for i := from; i < to && err == nil; i++ {
			halves[i].told, err = redisdb.Outcomes(replies[i-from], st.size*len(halves[i].ties))
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range halves {
		for j, t := range halves[i].ties {
			st.use(t, record.BytesOf(halves[i].told)[st.size*j:st.size*(j+1)])
		}
	}
	return nil
}

// halves sorts the ties into calls.
func (w *tying) halves(ties []*tie, st *step) []half {
	type placed struct {
		*tie
		own, other record.Ref
		partition  int
		class      string
	}
	all := make([]placed, len(ties))
	for i, t := range ties {
		p := placed{tie: t}
		p.own, p.other = t.ends(st.second)
		p.partition = p.own.ID.Partition(w.partitions)
		if st.class != nil {
			p.class = st.class(t)
		}
		all[i] = p
	}
	together := func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.own.Object, b.own.Object),
			cmp.Compare(a.partition, b.partition), cmp.Compare(a.other.Object, b.other.Object))
	}
	slices.SortFunc(all, func(a, b placed) int {
		return cmp.Or(together(a, b), cmp.Compare(a.own.ID, b.own.ID), cmp.Compare(a.other.ID, b.other.ID))
	})
	var halves []half
	for i, p := range all {
		if i == 0 || together(all[i-1], p) != 0 || len(halves[len(halves)-1].ties) == tiesPerCall {
			halves = append(halves, half{
				keys: w.store.partition(p.own.Object, p.partition), other: p.other.Object, class: p.class, second: st.second,
			})
		}
		h := &halves[len(halves)-1]
		h.ties = append(h.ties, p.tie)
	}
	return halves
}

// entrySize is the size of an entry; see lua/lib/associations.lua.
const entrySize = 9

var errEntries = errors.New("its associations are damaged")

// parseEntries reads the value of a field: the other ids and the marks.
func parseEntries(value string, fn func(id record.ID, mark byte)) error {
	b := record.BytesOf(value)
	if len(b) == 0 || len(b)%entrySize != 0 {
		return errEntries
	}
	last := record.ID(0)
	for ; len(b) > 0; b = b[entrySize:] {
		id, mark := record.IDFromBytes(b), b[entrySize-1]
		if id <= last || id > record.MaxID || !goodMark(mark) {
			return errEntries
		}
		last = id
		fn(id, mark)
	}
	return nil
}

func goodMark(m byte) bool { return m == 0 || m%4 == markAdding || m%4 == markRemoving }

// readHalves reads all halves at the records, with records of the given types: as ties that begin at the record, which
// may not be the lower one.
func (s *Store) readHalves(ctx context.Context, o record.ObjectType, ids []record.ID, types []record.ObjectType) ([]*tie, error) {
	if len(types) == 0 {
		return nil, nil
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	unique := slices.Clone(ids)
	slices.Sort(unique)
	want, _ := byPartition(slices.Compact(unique), partitions)
	type window []*redis.SliceCmd
	starts := windowStarts(want)
	load := func(ctx context.Context, i int) (window, error) {
		pipe := s.db.Redis.Pipeline()
		var commands window
		for _, group := range want[starts[i]:starts[i+1]] {
			fields := make([]string, 0, len(group.IDs)*len(types))
			for _, name := range idFields(group.IDs) {
				for _, other := range types {
					fields = append(fields, name+string(other))
				}
			}
			commands = append(commands, pipe.HMGet(ctx, s.partition(o, group.Partition).assoc(), fields...))
		}
		_, err := pipe.Exec(ctx)
		return commands, s.db.Explain(err)
	}
	var ties []*tie
	next := 0
	err = redisdb.Prefetch(ctx, len(starts)-1, load, func(w window) error {
		for _, command := range w {
			for j, v := range command.Val() {
				value, ok := v.(string)
				if !ok {
					continue
				}
				own := record.Ref{Object: o, ID: want[next].IDs[j/len(types)]}
				err := parseEntries(value, func(id record.ID, mark byte) {
					t := &tie{first: own, second: record.Ref{Object: types[j%len(types)], ID: id}}
					t.marks[0] = mark
					ties = append(ties, t)
				})
				if err != nil {
					return fmt.Errorf("%s: %w (see: doctor)", own, err)
				}
			}
			next++
		}
		return nil
	})
	return ties, err
}

// dissolve takes the associations of records out at both ends, whether they are live, in the bin, or gone by now. It
// comes before a record goes for good: the script that removes it must refuse a record that has_association
// (lua/lib/associations.lua) finds a field of. Without an audit event: the removal of the record has one.
// A half that a crash left at the other record alone is not found here, but by doctor; it is not seen, and holds an id.
func (s *Store) dissolve(ctx context.Context, o record.ObjectType, ids []record.ID) error {
	types, err := s.objectTypes(ctx)
	if err != nil {
		return err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(ids, recordsPerCall) {
		ties, err := s.readHalves(ctx, o, part, types)
		if err != nil {
			return err
		}
		seen := make(map[Pair]bool)
		for _, t := range ties {
			if record.CompareRefs(t.first, t.second) > 0 {
				t.first, t.second = t.second, t.first
			}
		}
		ties = slices.DeleteFunc(ties, func(t *tie) bool { // two of the records may be associated with each other
			p := Pair{t.first, t.second}
			twice := seen[p]
			seen[p] = true
			return twice
		})
		work := tying{store: s, partitions: partitions, mode: "dissolve"}
		if err := work.run(ctx, ties); err != nil {
			return fmt.Errorf("dissolve associations of %s: %w", o.Plural(), err)
		}
	}
	return nil
}
