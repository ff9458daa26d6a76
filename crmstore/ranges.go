package crmstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Range is a part of a large run's work, some of its partitions, which one process at a time carries out. Which partitions
// are meant is the caller's affair. What was done stands in the run's matches: a range only says who is at work.
type Range struct {
	Number  int       // from 0
	Fence   uint64    // of who has it or had it last; 0 = nobody ever had it
	Owner   string    // "" = nobody has it
	Beat    time.Time // the owner's last sign of life
	Settled int64     // matches with an outcome, as the owner said last
	Done    bool
}

// String is the range as it is kept: done (1 or 0), fence, beat (ms), settled, owner, with blanks between.
func (r Range) String() string {
	done := 0
	if r.Done {
		done = 1
	}
	return fmt.Sprintf("%d %d %d %d %s", done, r.Fence, r.Beat.UnixMilli(), r.Settled, r.Owner)
}

func parseRange(number, text string) (Range, error) {
	var r Range
	parts := strings.SplitN(text, " ", 5)
	if len(parts) != 5 {
		return r, fmt.Errorf("range %s is damaged", number)
	}
	var err error
	if r.Number, err = strconv.Atoi(number); err != nil {
		return r, fmt.Errorf("range %s is damaged: %w", number, err)
	}
	if r.Fence, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return r, fmt.Errorf("range %s is damaged: %w", number, err)
	}
	beat, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return r, fmt.Errorf("range %s is damaged: %w", number, err)
	}
	if r.Settled, err = strconv.ParseInt(parts[3], 10, 64); err != nil {
		return r, fmt.Errorf("range %s is damaged: %w", number, err)
	}
	r.Done, r.Beat, r.Owner = parts[0] == "1", time.UnixMilli(beat).UTC(), parts[4]
	return r, nil
}

var (
	scriptOpenRanges = mustLuaScript("open_ranges")
	scriptTakeRange  = mustLuaScript("take_range")
	scriptKeepRange  = mustLuaScript("keep_range")
)

// OpenRanges lays a run's work out as ranges 0 to n-1, unless it is laid out already. They go away when the run is over,
// or is stopped with [Store.SealRun]. ErrFenced when somebody else has taken the run since it was read, or stopped it.
func (s *Store) OpenRanges(ctx context.Context, r Run, n int) error {
	if err := s.require(ctx, r.Object, r.Permissions()...); err != nil {
		return err
	}
	args := []any{strconv.FormatUint(r.Fence, 10)}
	for number := range n {
		args = append(args, number)
	}
	reply, err := s.db.Run(ctx, scriptOpenRanges, []string{s.keyRanges(r.ID), s.keyFence(r.ID)}, args...)
	if err == nil && reply == int64(-1) {
		err = record.ErrFenced
	}
	if err != nil {
		return fmt.Errorf("lay out the ranges of run %s: %w", r.ID, err)
	}
	return nil
}

// Ranges lists the run's ranges by number; none when its work is not laid out, or not any more.
func (s *Store) Ranges(ctx context.Context, run string) ([]Range, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	texts, err := s.db.Redis.HGetAll(ctx, s.keyRanges(run)).Result()
	if err != nil {
		return nil, fmt.Errorf("list the ranges of run %s: %w", run, s.db.Explain(err))
	}
	all := make([]Range, 0, len(texts))
	for number, text := range texts {
		r, err := parseRange(number, text)
		if err != nil {
			return nil, fmt.Errorf("list the ranges of run %s: %w", run, err)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Range) int { return a.Number - b.Number })
	return all, nil
}

// TakeRange makes owner the owner of a range, as it was listed, at the instant at. The range comes back with a fencing number
// above all that were taken for the run before: whoever had the range is refused in its partitions from when the
// new owner has changed something there. ErrConflict when somebody else was faster, or the run was stopped.
func (s *Store) TakeRange(ctx context.Context, run Run, seen Range, owner string, at time.Time) (Range, error) {
	if err := s.require(ctx, run.Object, run.Permissions()...); err != nil {
		return Range{}, err
	}
	done := "0"
	if seen.Done {
		done = "1"
	}
	reply, err := s.db.Run(ctx, scriptTakeRange, []string{s.keyRanges(run.ID), s.keyFence(run.ID)},
		seen.Number, strconv.FormatUint(seen.Fence, 10), done, strconv.FormatUint(run.Fence, 10), at.UnixMilli(), owner)
	if err == nil && reply == int64(0) {
		err = record.ErrConflict
	}
	if err != nil {
		return Range{}, fmt.Errorf("take range %d of run %s: %w", seen.Number, run.ID, err)
	}
	number, _ := reply.(int64)
	return Range{Number: seen.Number, Fence: uint64(number), Owner: owner, Beat: at}, nil
}

// KeepRange saves a range that its owner has: a sign of life, what is settled, that it is done, or with an empty owner that
// anybody may take it at once. ErrConflict when somebody else has it by now, or the run was stopped.
func (s *Store) KeepRange(ctx context.Context, run Run, r Range) error {
	if err := s.require(ctx, run.Object, run.Permissions()...); err != nil {
		return err
	}
	reply, err := s.db.Run(ctx, scriptKeepRange, []string{s.keyRanges(run.ID)}, r.Number, strconv.FormatUint(r.Fence, 10), r.String())
	if err == nil && reply == int64(0) {
		err = record.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("keep range %d of run %s: %w", r.Number, run.ID, err)
	}
	return nil
}
