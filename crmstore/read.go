package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Get reads records by id, live and archived, in the order asked; those not there are left out. With a *DamagedError come
// the records that are not damaged.
func (s *Store) Get(ctx context.Context, o record.ObjectType, ids []record.ID) ([]*record.Record, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	recs, damaged := s.get(ctx, o, ids)
	if damaged != nil && !errors.Is(damaged, record.ErrDamaged) {
		return nil, damaged
	}
	if err := s.FillCounts(ctx, o, recs); err != nil {
		return nil, err
	}
	return recs, damaged
}

func (s *Store) get(ctx context.Context, o record.ObjectType, ids []record.ID) ([]*record.Record, error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	want, places := byPartition(ids, partitions)
	found := make([]*record.Record, len(ids))
	i := 0
	err = s.readRecords(ctx, o, want, func(_ int, recs []*record.Record) error {
		for j, r := range recs {
			found[places[i][j]] = r
		}
		i++
		return nil
	})
	if err != nil && !errors.Is(err, record.ErrDamaged) {
		return nil, err
	}
	return slices.DeleteFunc(found, func(r *record.Record) bool { return r == nil }), err
}

// ReadRecords fetches the named records, pipelined over partitions, and hands each partition's to fn in the
// order asked; a record that is not there is nil. So is one that is damaged: then a *DamagedError comes in the end,
// when all others were handed over.
func (s *Store) ReadRecords(ctx context.Context, o record.ObjectType, want []record.PartitionIDs, fn func(p int, recs []*record.Record) error) error {
	if err := s.require(ctx, o, CanView); err != nil {
		return err
	}
	return s.readRecords(ctx, o, want, fn)
}

func (s *Store) readRecords(ctx context.Context, o record.ObjectType, want []record.PartitionIDs, fn func(p int, recs []*record.Record) error) error {
	schema, err := s.schema(ctx, o)
	if err != nil {
		return err
	}
	var damaged []record.ID
	err = s.fetch(ctx, o, want, func(i int, values []any) error {
		recs := make([]*record.Record, len(values))
		for j, v := range values {
			bytes, ok := v.(string)
			if !ok {
				continue
			}
			if recs[j], err = record.ParseRecord(schema, want[i].IDs[j], bytes); err != nil {
				damaged = append(damaged, want[i].IDs[j])
				recs[j] = nil
			}
		}
		return fn(want[i].Partition, recs)
	})
	if err != nil {
		return err
	}
	return record.AsDamaged(o, damaged)
}

// fetch reads the bytes of the named records and hands those of want[i] to fn, in order; nil for one that is not there.
func (s *Store) fetch(ctx context.Context, o record.ObjectType, want []record.PartitionIDs, fn func(i int, values []any) error) error {
	starts := windowStarts(want)
	type window struct {
		from     int
		commands []*redis.SliceCmd
	}
	load := func(ctx context.Context, w int) (window, error) {
		from, to := starts[w], starts[w+1]
		pipe := s.db.Redis.Pipeline()
		commands := make([]*redis.SliceCmd, 0, to-from)
		for _, group := range want[from:to] {
			ids := record.PackIDs(group.IDs)
			args := make([]any, 2, 2+len(group.IDs))
			args[0], args[1] = "hmget", s.partition(o, group.Partition).rec()
			for at := 0; at < len(ids); at += 8 {
				args = append(args, ids[at:at+8])
			}
			command := redis.NewSliceCmd(ctx, args...)
			if len(group.IDs) == 0 {
				command = redis.NewSliceCmd(ctx, "mget", args[1]) // HMGET needs a field; no key here is a plain string
			}
			commands = append(commands, command)
			_ = pipe.Process(ctx, command)
		}
		_, err := pipe.Exec(ctx)
		return window{from, commands}, s.db.Explain(err)
	}
	err := redisdb.Prefetch(ctx, len(starts)-1, load, func(w window) error {
		for j, command := range w.commands {
			values := command.Val()
			if err := fn(w.from+j, values[:len(want[w.from+j].IDs)]); err != nil {
				return callerError{err}
			}
		}
		return nil
	})
	return readError(o, err)
}

// callerError marks an error that came from the caller's own function, which goes back as it was.
type callerError struct{ error }

func readError(o record.ObjectType, err error) error {
	var own callerError
	if errors.As(err, &own) {
		return own.error
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", o.Plural(), err)
	}
	return nil
}

// windowStarts cuts want into windows: where each starts, and the end.
func windowStarts(want []record.PartitionIDs) []int {
	starts := []int{0}
	records, commands := 0, 0
	for i := range want {
		if commands > 0 && (commands == redisdb.ReadsPerWindow || records+len(want[i].IDs) > redisdb.RecordsPerWindow) {
			starts = append(starts, i)
			records, commands = 0, 0
		}
		records += len(want[i].IDs)
		commands++
	}
	if len(want) > 0 {
		starts = append(starts, len(want))
	}
	return starts
}

// ReadAll fetches whole partitions from ≤ p < to, live and archived records alike, in slot order. Damaged records are left
// out: then a *DamagedError comes in the end, when all others were handed over.
func (s *Store) ReadAll(ctx context.Context, o record.ObjectType, from, to int, fn func(p int, recs []*record.Record) error) error {
	if err := s.require(ctx, o, CanView); err != nil {
		return err
	}
	schema, err := s.schema(ctx, o)
	if err != nil {
		return err
	}
	var damaged []record.ID
	err = s.eachWhole(ctx, o, from, to, func(p int, w whole) error {
		recs, good := w.parse(schema)
		if !good {
			var sick []record.ID
			if recs, sick, err = s.readNamed(ctx, schema, p); err != nil {
				return err
			}
			damaged = append(damaged, sick...)
		}
		slices.SortFunc(recs, func(a, b *record.Record) int { return int(a.Slot) - int(b.Slot) })
		return fn(p, recs)
	})
	if err != nil {
		return err
	}
	return record.AsDamaged(o, damaged)
}

// parse reads the records; false when one of them, or whose it is, cannot be trusted.
func (w *whole) parse(schema *record.Schema) ([]*record.Record, bool) {
	recs := make([]*record.Record, 0, len(w.records))
	for _, bytes := range w.records {
		h, err := record.ParseHeader(record.BytesOf(bytes))
		if err != nil {
			return nil, false
		}
		id := idIn(w.ids, h.Slot)
		if id == 0 {
			return nil, false
		}
		r, err := record.ParseRecord(schema, id, bytes)
		if err != nil {
			return nil, false
		}
		recs = append(recs, r)
	}
	return recs, true
}

// readNamed reads a partition that holds damaged records, each record together with its id, and says which are damaged.
func (s *Store) readNamed(ctx context.Context, schema *record.Schema, p int) (recs []*record.Record, damaged []record.ID, err error) {
	all, err := s.db.Redis.HGetAll(ctx, s.partition(schema.Object, p).rec()).Result()
	if err != nil {
		return nil, nil, fmt.Errorf("read %s of partition %d: %w", schema.Object.Plural(), p, s.db.Explain(err))
	}
	for name, bytes := range all {
		if len(name) != 8 {
			damaged = append(damaged, 0)
			continue
		}
		r, err := record.ParseRecord(schema, record.IDFromBytes(record.BytesOf(name)), bytes)
		if err != nil {
			damaged = append(damaged, record.IDFromBytes(record.BytesOf(name)))
			continue
		}
		recs = append(recs, r)
	}
	return recs, damaged, nil
}

// whole is all records' bytes of one partition and its ids column. The column is read after the records, and no slot
// was given up in between, so it knows the slot of each.
type whole struct {
	records []string
	ids     []byte
}

// wholeRead is the commands that read one partition. A slot may only go from one record to another when a purge gave
// it up, and purges are counted: when the counts before and after differ, ids may name another record than the one
// that was read, and the partition is read again.
type wholeRead struct {
	before, after *redis.SliceCmd // of one: nil, or how many were purged
	records       *redis.StringSliceCmd
	column        *redis.SliceCmd // of one: the ids
}

func (s *Store) readWhole(ctx context.Context, pipe redis.Pipeliner, k partitionKeys) wholeRead {
	return wholeRead{
		before: pipe.HMGet(ctx, k.cnt(), countPurged), records: pipe.HVals(ctx, k.rec()),
		column: pipe.MGet(ctx, k.ids()), after: pipe.HMGet(ctx, k.cnt(), countPurged),
	}
}

// ids is the ids column; empty when there is none.
func (r wholeRead) ids() []byte {
	text, _ := r.column.Val()[0].(string)
	return record.BytesOf(text)
}

// steady reports whether no slot was given up while the partition was read.
func (r wholeRead) steady() bool { return r.before.Val()[0] == r.after.Val()[0] }

// readWholeAlone reads one partition in one transaction.
func (s *Store) readWholeAlone(ctx context.Context, k partitionKeys) (r wholeRead, err error) {
	_, err = s.db.Redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		r = s.readWhole(ctx, pipe, k)
		return nil
	})
	return r, s.db.Explain(err)
}

func (s *Store) eachWhole(ctx context.Context, o record.ObjectType, from, to int, fn func(p int, w whole) error) error {
	type window struct {
		from  int
		reads []wholeRead
	}
	load := func(ctx context.Context, i int) (window, error) {
		w := window{from: from + i*redisdb.WholesPerWindow}
		pipe := s.db.Redis.Pipeline()
		for p := w.from; p < min(w.from+redisdb.WholesPerWindow, to); p++ {
			w.reads = append(w.reads, s.readWhole(ctx, pipe, s.partition(o, p)))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return w, s.db.Explain(err)
		}
		for j := range w.reads {
			if w.reads[j].steady() {
				continue
			}
			var err error
			if w.reads[j], err = s.readWholeAlone(ctx, s.partition(o, w.from+j)); err != nil {
				return w, err
			}
		}
		return w, nil
	}
	n := (max(to-from, 0) + redisdb.WholesPerWindow - 1) / redisdb.WholesPerWindow
	err := redisdb.Prefetch(ctx, n, load, func(w window) error {
		for j, r := range w.reads {
			if err := fn(w.from+j, whole{r.records.Val(), r.ids()}); err != nil {
				return callerError{err}
			}
		}
		return nil
	})
	return readError(o, err)
}

// Counts are how many records an object type has.
type Counts struct {
	Live     int64 `json:"live"`
	Archived int64 `json:"archived"`
}

// Count sums the partitions' counters.
func (s *Store) Count(ctx context.Context, o record.ObjectType) (Counts, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return Counts{}, err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return Counts{}, err
	}
	pipe := s.db.Redis.Pipeline()
	commands := make([]*redis.SliceCmd, partitions)
	for p := range partitions {
		commands[p] = pipe.HMGet(ctx, s.partition(o, p).cnt(), "live", "archived")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return Counts{}, fmt.Errorf("count %s: %w", o.Plural(), s.db.Explain(err))
	}
	var sum, one Counts
	for p, command := range commands {
		if one, err = readCounts(command.Val()); err != nil {
			return Counts{}, fmt.Errorf("count %s of partition %d: %w", o.Plural(), p, err)
		}
		sum.Live += one.Live
		sum.Archived += one.Archived
	}
	return sum, nil
}

// countsOf reads them from all counters of a partition.
func countsOf(counters map[string]string) (Counts, error) {
	values := make([]any, 2)
	for i, name := range []string{"live", "archived"} {
		if text, ok := counters[name]; ok {
			values[i] = text
		}
	}
	return readCounts(values)
}

// readCounts reads the fields live and archived of a partition's counters; one that is not there is 0.
func readCounts(values []any) (Counts, error) {
	var n [2]int64
	for i, v := range values {
		text, ok := v.(string)
		if !ok {
			continue
		}
		var err error
		if n[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return Counts{}, errors.New("its counters are damaged")
		}
	}
	return Counts{Live: n[0], Archived: n[1]}, nil
}
