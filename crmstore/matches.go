package crmstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Matches are a run's contacts in one partition and what became of them.
type Matches struct {
	Partition int
	IDs       []ID
	Done      bool // every id was acted on or left alone for good
	Deleted   int64
	Changed   int64
	Failed    int64
}

// A run's matches in a partition are a hash: ids (8 bytes each), done (1), del, chg, fail. The archive script
// keeps its fence (f) in the same hash, so that field is never touched here.
const (
	matchIDs     = "ids"
	matchDone    = "done"
	matchDeleted = "del"
	matchChanged = "chg"
	matchFailed  = "fail"
)

// matchesKept is how long finished matches stay: longer than the 90 days in which a run can be undone.
const matchesKept = 100 * 24 * time.Hour

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

// SaveMatches replaces the run's matches in the given partitions (empty IDs: removes them). Each partition is
// replaced as a whole; what it was counted before starts from zero again.
func (s *Store) SaveMatches(ctx context.Context, o ObjectType, run string, m []Matches) error {
	if err := s.require(ctx, o, CanDelete); err != nil {
		return err
	}
	return inChunks(0, len(m), matchesAtOnce, func(from, to int) error {
		pipe := s.rdb.Pipeline()
		for i := range m[from:to] {
			match := &m[from+i]
			key := s.partition(o, match.Partition).run(run)
			if len(match.IDs) == 0 {
				pipe.HDel(ctx, key, matchIDs, matchDone, matchDeleted, matchChanged, matchFailed)
				continue
			}
			packed := make([]byte, 0, 8*len(match.IDs))
			for _, id := range match.IDs {
				b := id.Bytes()
				packed = append(packed, b[:]...)
			}
			pipe.HSet(ctx, key, matchIDs, packed, matchDone, match.Done,
				matchDeleted, match.Deleted, matchChanged, match.Changed, matchFailed, match.Failed)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("save matches of run %s: %w", run, s.trouble(err))
		}
		return nil
	})
}

// Matches reads the run's matches of partitions from ≤ p < to; partitions without any are left out.
func (s *Store) Matches(ctx context.Context, o ObjectType, run string, from, to int) ([]Matches, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	var found []Matches
	err := inChunks(from, to, matchesAtOnce, func(from, to int) error {
		pipe := s.rdb.Pipeline()
		replies := make([]*redis.SliceCmd, 0, to-from)
		for p := from; p < to; p++ {
			replies = append(replies, pipe.HMGet(ctx, s.partition(o, p).run(run),
				matchIDs, matchDone, matchDeleted, matchChanged, matchFailed))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("read matches of run %s: %w", run, s.trouble(err))
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

func parseMatches(partition int, fields []any) (m Matches, there bool, err error) {
	packed, there := fields[0].(string)
	if !there {
		return Matches{}, false, nil
	}
	if len(packed)%8 != 0 {
		return Matches{}, false, fmt.Errorf("partition %d: %d bytes of ids, want a multiple of 8", partition, len(packed))
	}
	m = Matches{Partition: partition, IDs: make([]ID, 0, len(packed)/8)}
	for b := []byte(packed); len(b) > 0; b = b[8:] {
		m.IDs = append(m.IDs, IDFromBytes(b))
	}
	m.Done = fields[1] == "1"
	for i, count := range []*int64{&m.Deleted, &m.Changed, &m.Failed} {
		text, _ := fields[2+i].(string)
		if *count, err = strconv.ParseInt(text, 10, 64); err != nil {
			return Matches{}, false, fmt.Errorf("partition %d: a count is damaged: %w", partition, err)
		}
	}
	return m, true, nil
}

// FinishMatches marks partitions done with their totals; their ids, and what a deletion by hand keeps under its own
// name, stay for 100 days, for undo.
func (s *Store) FinishMatches(ctx context.Context, o ObjectType, run string, m []Matches) error {
	if err := s.require(ctx, o, CanDelete); err != nil {
		return err
	}
	return inChunks(0, len(m), matchesAtOnce, func(from, to int) error {
		pipe := s.rdb.Pipeline()
		for i := range m[from:to] {
			match := &m[from+i]
			key := s.partition(o, match.Partition).run(run)
			pipe.HSet(ctx, key, matchDone, true, matchDeleted, match.Deleted, matchChanged, match.Changed, matchFailed, match.Failed)
			pipe.Expire(ctx, key, matchesKept)
			pipe.Expire(ctx, s.partition(o, match.Partition).enr(run), matchesKept) // of a workflow's run nothing is there
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("finish matches of run %s: %w", run, s.trouble(err))
		}
		return nil
	})
}
