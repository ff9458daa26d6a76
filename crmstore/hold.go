package crmstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Hold is a legal hold: as long as it is there, nothing deletes the record, takes it out of the bin for good, or deletes it
// permanently. It may be changed, and restored. Holds stand in the hash hold of the record's partition, id (8 bytes) →
// facts, and are asked by the very scripts that delete.
type Hold struct {
	ID     record.ID `json:"id"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
}

// HeldTie is an association of a record, which is not on legal hold itself, with one that is.
type HeldTie struct {
	ID    record.ID  `json:"id"`
	Other record.Ref `json:"other"`
	Hold  Hold       `json:"hold"` // of the other
}

// HeldError refuses an act on records since some of them are on legal hold, or are associated with records that are. Nothing was
// changed. It has at least one of the two.
type HeldError struct {
	Object record.ObjectType
	Holds  []Hold    // by id
	Ties   []HeldTie // by id
}

// Error names the first records, and why they are held.
func (e *HeldError) Error() string {
	const named = 5
	var parts []string
	for _, h := range e.Holds[:min(len(e.Holds), named)] {
		parts = append(parts, fmt.Sprintf("%s %s is on legal hold since %s, by %s: %s", e.Object, h.ID, h.At.Format("2006-01-02"), h.Actor, h.Reason))
	}
	for _, t := range e.Ties[:min(len(e.Ties), max(named-len(e.Holds), 0))] {
		parts = append(parts, fmt.Sprintf("%s %s is associated with %s, which is on legal hold since %s, by %s: %s",
			e.Object, t.ID, t.Other, t.Hold.At.Format("2006-01-02"), t.Hold.Actor, t.Hold.Reason))
	}
	if more := len(e.Holds) + len(e.Ties) - named; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// HoldOutcome says what became of one record.
type HoldOutcome uint8

// The outcomes of a change of legal holds.
const (
	HoldChanged  HoldOutcome = iota + 1
	HoldAsItWas              // it was on hold already (the earlier reason stays), or was not
	HoldNoRecord             // there is no such record to put on hold
)

// errHoldReason refuses a change without a reason.
var errHoldReason = errors.New("a legal hold needs a reason")

// noReason is a change of holds that says nothing.
func noReason(c record.Cause) bool { return strings.TrimSpace(c.Reason) == "" }

var scriptSetHold = mustLuaScript("set_hold")

// SetHold puts records on legal hold, live ones and those in the bin, or takes them off it; each with an audit event (hold
// or release) that has the cause's reason, which must be given. Results are in the order of ids. A contact whose
// permanent deletion has begun is gone when it is over, whatever was held since: *HeldError is the answer of whoever comes
// later. It needs the permission legal-hold, and no other.
func (s *Store) SetHold(ctx context.Context, o record.ObjectType, ids []record.ID, hold bool, c record.Cause, at time.Time) ([]HoldOutcome, error) {
	if err := s.require(ctx, o, CanLegalHold); err != nil {
		return nil, err
	}
	if noReason(c) {
		return nil, errHoldReason
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	facts := record.AppendFacts(nil, at, s.by(c))
	if len(facts) > record.MaxFacts {
		return nil, fmt.Errorf("legal hold: the reason takes %d bytes, want at most %d", len(facts), record.MaxFacts)
	}
	bit := 0
	if hold {
		bit = 1
	}
	results := make([]HoldOutcome, len(ids))
	g := redisdb.GroupBy(len(ids), partitions, func(i int) int { return ids[i].Partition(partitions) })
	var calls []redisdb.Call
	var parts [][]int
	for _, p := range g.Used() {
		k := s.partition(o, p)
		for part := range slices.Chunk(g.Of(p), targetsPerCall) {
			some := make([]record.ID, len(part))
			for i, at := range part {
				some[i] = ids[at]
			}
			parts = append(parts, part)
			calls = append(calls, redisdb.Call{Script: scriptSetHold, Keys: []string{k.rec(), k.hold(), k.cnt(), k.log()}, Args: []any{s.wall(), facts, bit, record.PackIDs(some)}})
		}
	}
	err = redisdb.InWindows(ctx, len(calls), redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		replies, err := s.db.RunAll(ctx, calls[from:to])
		for i := from; i < to && err == nil; i++ {
			var told string
			if told, err = redisdb.Outcomes(replies[i-from], len(parts[i])); err == nil {
				for j, at := range parts[i] {
					results[at] = map[byte]HoldOutcome{'1': HoldChanged, '0': HoldAsItWas, '2': HoldNoRecord}[told[j]]
				}
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("change legal holds of %s: %w", o.Plural(), err)
	}
	return results, nil
}

// Holds lists the records on legal hold, by id. It needs view.
func (s *Store) Holds(ctx context.Context, o record.ObjectType) ([]Hold, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	all := []Hold{}
	err = inChunks(0, partitions, redisdb.ReadsPerWindow, func(from, to int) error {
		pipe := s.db.Redis.Pipeline()
		commands := make([]*redis.MapStringStringCmd, 0, to-from)
		for p := from; p < to; p++ {
			commands = append(commands, pipe.HGetAll(ctx, s.partition(o, p).hold()))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return s.db.Explain(err)
		}
		for _, command := range commands {
			for name, text := range command.Val() {
				h, err := parseHold(name, text)
				if err != nil {
					return err
				}
				all = append(all, h)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read legal holds of %s: %w", o.Plural(), err)
	}
	sortHolds(all)
	return all, nil
}

func sortHolds(all []Hold) {
	slices.SortFunc(all, func(a, b Hold) int { return int(int64(a.ID) - int64(b.ID)) })
}

func parseHold(name, text string) (Hold, error) {
	facts, err := record.ParseFacts(record.BytesOf(text))
	if err != nil || len(name) != 8 {
		return Hold{}, errors.Join(errors.New("a legal hold is damaged"), err)
	}
	return Hold{ID: record.IDFromBytes(record.BytesOf(name)), At: facts.At, Actor: facts.Actor, Reason: facts.Reason}, nil
}

// HoldsOf reads which of some records are on legal hold, by id. It needs view.
func (s *Store) HoldsOf(ctx context.Context, o record.ObjectType, ids []record.ID) ([]Hold, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	return s.holdsOf(ctx, o, ids)
}

func (s *Store) holdsOf(ctx context.Context, o record.ObjectType, ids []record.ID) ([]Hold, error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	want, _ := byPartition(ids, partitions)
	held, err := s.heldAmong(ctx, o, want)
	if err != nil {
		return nil, err
	}
	var all []Hold
	for _, part := range held {
		all = append(all, part...)
	}
	sortHolds(all)
	return slices.CompactFunc(all, func(a, b Hold) bool { return a.ID == b.ID }), nil
}

// HeldAmong reads which records of some partitions are on legal hold; results as want. Where the store has lost holds, or
// what counts them, that is a *LostError. It reads the ids of all holds of these partitions, and a counter of each. It
// needs view; the program itself asks it before each run.
func (s *Store) HeldAmong(ctx context.Context, o record.ObjectType, want []record.PartitionIDs) ([][]Hold, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	return s.heldAmong(ctx, o, want)
}

func (s *Store) heldAmong(ctx context.Context, o record.ObjectType, want []record.PartitionIDs) ([][]Hold, error) {
	held := make([][]Hold, len(want))
	err := inChunks(0, len(want), redisdb.ReadsPerWindow, func(from, to int) error {
		some, err := s.withHolds(ctx, o, want[from:to])
		if err != nil || len(some) == 0 {
			return err
		}
		pipe := s.db.Redis.Pipeline()
		commands := make([]*redis.SliceCmd, len(some))
		for i, at := range some {
			commands[i] = pipe.HMGet(ctx, s.partition(o, want[from+at].Partition).hold(), idFields(want[from+at].IDs)...)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return s.db.Explain(err)
		}
		for i, at := range some {
			for j, v := range commands[i].Val() {
				text, ok := v.(string)
				if !ok {
					continue
				}
				h, err := parseHold(idFields(want[from+at].IDs[j : j+1])[0], text)
				if err != nil {
					return err
				}
				held[from+at] = append(held[from+at], h)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read legal holds of %s: %w", o.Plural(), err)
	}
	return held, nil
}

// withHolds says which of the partitions have holds, by their place in want; a *LostError when these do not add up.
func (s *Store) withHolds(ctx context.Context, o record.ObjectType, want []record.PartitionIDs) ([]int, error) {
	pipe := s.db.Redis.Pipeline()
	ids, counters := make([]*redis.StringSliceCmd, len(want)), make([]*redis.SliceCmd, len(want))
	ask := func(pipe redis.Pipeliner, i int) {
		k := s.partition(o, want[i].Partition)
		ids[i], counters[i] = pipe.HKeys(ctx, k.hold()), pipe.HMGet(ctx, k.cnt(), countHold, countSum+countHold)
	}
	for i := range want {
		ask(pipe, i)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, s.db.Explain(err)
	}
	var some []int
	for i := range want {
		good := func() bool {
			names, counts := ids[i].Val(), counters[i].Val()
			return addUp(counts[0], counts[1], int64(len(names)), sumOfIDs(names))
		}
		if !good() {
			if err := s.steadily(ctx, o, []string{countHold}, func(pipe redis.Pipeliner) { ask(pipe, i) }, good); err != nil {
				return nil, err
			}
		}
		if len(ids[i].Val()) > 0 && len(want[i].IDs) > 0 {
			some = append(some, i)
		}
	}
	return some, nil
}

// heldTies reads which of the records are associated with records on legal hold, live ones or not. An association is part of both of
// its records, so that whoever is on hold keeps it.
func (s *Store) heldTies(ctx context.Context, o record.ObjectType, ids []record.ID) ([]HeldTie, error) {
	types, err := s.objectTypes(ctx)
	if err != nil {
		return nil, err
	}
	halves, err := s.readHalves(ctx, o, ids, types)
	if err != nil || len(halves) == 0 {
		return nil, err
	}
	others := map[record.ObjectType][]record.ID{}
	for _, t := range halves {
		others[t.second.Object] = append(others[t.second.Object], t.second.ID)
	}
	held := map[record.Ref]Hold{}
	for other, some := range others {
		slices.Sort(some)
		holds, err := s.holdsOf(ctx, other, slices.Compact(some))
		if err != nil {
			return nil, err
		}
		for _, h := range holds {
			held[record.Ref{Object: other, ID: h.ID}] = h
		}
	}
	var ties []HeldTie
	for _, t := range halves {
		if h, ok := held[t.second]; ok {
			ties = append(ties, HeldTie{t.first.ID, t.second, h})
		}
	}
	slices.SortFunc(ties, func(a, b HeldTie) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), record.CompareRefs(a.Other, b.Other))
	})
	return ties, nil
}
