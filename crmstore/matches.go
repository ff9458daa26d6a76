package crmstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Matches are a run's contacts in one partition and what became of them.
type Matches struct {
	Partition int
	IDs       []record.ID
	Done      bool // every id was acted on or left alone for good
	Deleted   int64
	Changed   int64
	Held      int64
	Failed    int64
}

// A run's matches in a partition are a hash: ids (8 bytes each), done (1), del, chg, fail, hold (0 where it is not there), and
// the highest fence (f) of those who changed them or deleted by them.
const (
	matchIDs     = "ids"
	matchDone    = "done"
	matchDeleted = "del"
	matchChanged = "chg"
	matchFailed  = "fail"
	matchHeld    = "hold"
)

// matchesKept is how long finished matches stay: longer than the 90 days in which a run can be undone.
const (
	matchesKept        = 100 * 24 * time.Hour
	matchesKeptSeconds = int64(matchesKept / time.Second)
)

// How many partitions' matches travel in one pipeline.
const matchesAtOnce = 256

// inChunks calls fn for from ≤ i < to in pieces.
func inChunks(from, to, size int, fn func(from, to int) error) error {
	for ; from < to; from += size {
		if err := fn(from, min(from+size, to)); err != nil {
			return err
		}
	}
	return nil
}

var (
	scriptSaveMatches   = mustLuaScript("save_matches")
	scriptFinishMatches = mustLuaScript("finish_matches")
)

// RunMatches names the matches of one run, and who changes them.
type RunMatches struct {
	Object record.ObjectType
	Run    string
	Fence  uint64 // ErrFenced when a higher one has been seen in a partition; 0 = never refused
	First  bool   // SaveMatches only: nobody has saved any yet, ErrExists where somebody has
}

// fence is the number as scripts take it.
func (r RunMatches) fence() string {
	if r.Fence == 0 {
		return ""
	}
	return strconv.FormatUint(r.Fence, 10)
}

// SaveMatches replaces the run's matches in the given partitions (empty IDs: removes them). Each partition is
// replaced as a whole; what it was counted before starts from zero again. With ErrFenced
// or ErrExists some may have been replaced.
func (s *Store) SaveMatches(ctx context.Context, r RunMatches, m []Matches) error {
	if err := s.require(ctx, r.Object, CanDelete); err != nil {
		return err
	}
	err := s.changeMatches(ctx, len(m), func(i int) redisdb.Call {
		match := &m[i]
		return redisdb.Call{Script: scriptSaveMatches, Keys: []string{s.partition(r.Object, match.Partition).run(r.Run)}, Args: []any{
			r.fence(), record.PackIDs(match.IDs), match.Done, match.Deleted, match.Changed, match.Failed, matchesKeptSeconds, r.First, match.Held,
		}}
	})
	if err != nil {
		return fmt.Errorf("save matches of run %s: %w", r.Run, err)
	}
	return nil
}

// changeMatches carries out n calls, each on one partition's matches.
func (s *Store) changeMatches(ctx context.Context, n int, change func(i int) redisdb.Call) error {
	return inChunks(0, n, matchesAtOnce, func(from, to int) error {
		calls := make([]redisdb.Call, 0, to-from)
		for i := from; i < to; i++ {
			calls = append(calls, change(i))
		}
		replies, err := s.db.RunAll(ctx, calls)
		if err != nil {
			return err
		}
		if slices.Contains(replies, any(int64(-1))) {
			return record.ErrFenced
		}
		if slices.Contains(replies, any(int64(-2))) {
			return record.ErrExists
		}
		return nil
	})
}

// Matches reads the run's matches of partitions from ≤ p < to; partitions without any are left out.
func (s *Store) Matches(ctx context.Context, o record.ObjectType, run string, from, to int) ([]Matches, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	var found []Matches
	err := inChunks(from, to, matchesAtOnce, func(from, to int) error {
		pipe := s.db.Redis.Pipeline()
		replies := make([]*redis.SliceCmd, 0, to-from)
		for p := from; p < to; p++ {
			replies = append(replies, pipe.HMGet(ctx, s.partition(o, p).run(run),
				matchIDs, matchDone, matchDeleted, matchChanged, matchFailed, matchHeld))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("read matches of run %s: %w", run, s.db.Explain(err))
		}
		for i, reply := range replies {
			m, there, err := parseMatches(from+i, reply.Val())
			if err != nil {
				return fmt.Errorf("read matches of run %s: %w", run, err)
			}
			if there {
				found = append(found, m)
			}
		}
		return nil
	})
	return found, err
}

// MatchCounts are a run's matches in one partition, in numbers.
type MatchCounts struct {
	Partition int
	IDs       int64 // how many there are
	Done      bool
	Deleted   int64 // these four are 0 until it is done
	Changed   int64
	Held      int64
	Failed    int64
}

// CountMatches counts the run's matches of partitions from ≤ p < to; partitions without any are left out. It does not read them.
func (s *Store) CountMatches(ctx context.Context, o record.ObjectType, run string, from, to int) ([]MatchCounts, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	all := make([]MatchCounts, to-from)
	err := redisdb.InWindows(ctx, to-from, matchesAtOnce, func(ctx context.Context, first, end int) error {
		pipe := s.db.Redis.Pipeline()
		sizes, words := make([]*redis.IntCmd, 0, end-first), make([]*redis.SliceCmd, 0, end-first)
		for i := first; i < end; i++ {
			key := s.partition(o, from+i).run(run)
			sizes = append(sizes, pipe.HStrLen(ctx, key, matchIDs))
			words = append(words, pipe.HMGet(ctx, key, matchDone, matchDeleted, matchChanged, matchFailed, matchHeld))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return s.db.Explain(err)
		}
		for i := range words {
			c, err := parseCounts(from+first+i, sizes[i].Val(), words[i].Val())
			if err != nil {
				return err
			}
			all[first+i] = c
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count matches of run %s: %w", run, err)
	}
	return slices.DeleteFunc(all, func(c MatchCounts) bool { return c.IDs == 0 }), nil
}

func parseCounts(partition int, size int64, words []any) (MatchCounts, error) {
	c := MatchCounts{Partition: partition, IDs: size / 8}
	if size%8 != 0 {
		return c, fmt.Errorf("partition %d: %d bytes of ids, want a multiple of 8", partition, size)
	}
	if c.IDs == 0 {
		return c, nil
	}
	c.Done = words[0] == "1"
	for i, count := range []*int64{&c.Deleted, &c.Changed, &c.Failed, &c.Held} {
		text, there := words[1+i].(string)
		if count == &c.Held && !there {
			break // an older version counted it as changed
		}
		var err error
		if *count, err = strconv.ParseInt(text, 10, 64); err != nil {
			return c, fmt.Errorf("partition %d: a count is damaged: %w", partition, err)
		}
	}
	return c, nil
}

func parseMatches(partition int, fields []any) (m Matches, there bool, err error) {
	packed, there := fields[0].(string)
	if !there {
		return Matches{}, false, nil
	}
	c, err := parseCounts(partition, int64(len(packed)), fields[1:])
	if err != nil {
		return Matches{}, false, err
	}
	m = Matches{Partition: partition, IDs: make([]record.ID, 0, c.IDs), Done: c.Done, Deleted: c.Deleted, Changed: c.Changed, Held: c.Held, Failed: c.Failed}
	for b := []byte(packed); len(b) > 0; b = b[8:] {
		m.IDs = append(m.IDs, record.IDFromBytes(b))
	}
	return m, true, nil
}

// FinishMatches marks partitions done with their totals; their ids, and what a deletion by hand keeps under its own
// name, stay for 100 days, for undo. With ErrFenced some may have been marked.
func (s *Store) FinishMatches(ctx context.Context, r RunMatches, m []Matches) error {
	if err := s.require(ctx, r.Object, CanDelete); err != nil {
		return err
	}
	err := s.changeMatches(ctx, len(m), func(i int) redisdb.Call {
		match := &m[i]
		keys := s.partition(r.Object, match.Partition)
		return redisdb.Call{Script: scriptFinishMatches, Keys: []string{keys.run(r.Run), keys.enr(r.Run)}, Args: []any{
			r.fence(), match.Deleted, match.Changed, match.Failed, matchesKeptSeconds, match.Held,
		}}
	})
	if err != nil {
		return fmt.Errorf("finish matches of run %s: %w", r.Run, err)
	}
	return nil
}
