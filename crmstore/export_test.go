package crmstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Raw is the client below a store, for tests that damage keys on purpose.
func Raw(s *Store) redis.UniversalClient { return s.rdb }

// KeyOf is the key of a partition that ends in name.
func KeyOf(s *Store, o ObjectType, partition int, name string) string {
	return string(s.partition(o, partition)) + name
}

// KeyNextID is the key of the counter that ids are taken from.
func KeyNextID(s *Store, o ObjectType) string { return s.keyNextID(o) }

// KeyRanges is the key of a run's ranges.
func KeyRanges(s *Store, run string) string { return s.keyRanges(run) }

// RowIDsOfChanging reads a partition as one that changes while it is read, and returns the ids by slot.
func RowIDsOfChanging(ctx context.Context, s *Store, o ObjectType, p int) ([]ID, error) {
	w := rowWindow{store: s, object: o, picks: []Pick{{Partition: p, Whole: true}}}
	var rows Rows
	if err := w.load(ctx); err != nil {
		return nil, err
	}
	err := w.changing(ctx, 0, &rows)
	return IDsOf(rows.Rows, func(r Row) ID { return r.ID }), err
}

// IDsOf lists what id says of each.
func IDsOf[T any](list []T, id func(T) ID) []ID {
	ids := make([]ID, len(list))
	for i := range list {
		ids[i] = id(list[i])
	}
	return ids
}

// Unname is the first step of a list's deletion, after which it was interrupted.
func Unname(ctx context.Context, s *Store, l List, c Cause, at time.Time) error {
	return s.unname(ctx, l, c, at)
}

// SetPatience says how long doctor waits before it believes that an association is half-written.
func SetPatience(s *Store, d time.Duration) { s.patience = d }

// AssociateUntil carries the pairs through the first so many scripts of an association's (or its removal's), as a process
// does that dies then.
func AssociateUntil(ctx context.Context, s *Store, pairs []Pair, add bool, steps int) error {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return err
	}
	w := tying{store: s, partitions: partitions, mode: "remove"}
	if add {
		w.mode = "add"
	}
	ties := tiesOf(pairs, make([]PairResult, len(pairs)))
	if steps > 0 {
		err = w.begin(ctx, ties)
	}
	if steps > 1 && err == nil {
		err = w.other(ctx, ties)
	}
	if steps > 2 && err == nil {
		_, err = w.end(ctx, ties)
	}
	return err
}

// Dissolve takes out the associations of records that are about to go for good.
func Dissolve(ctx context.Context, s *Store, o ObjectType, ids []ID) error {
	return s.dissolve(ctx, o, ids)
}

// KeyErasing is the hash of permanent deletions that are not finished.
func KeyErasing(s *Store) string { return s.keyErasing() }

// KeyAccountLog is the stream of the account's own audit events.
func KeyAccountLog(s *Store) string { return s.keyAccountLog() }

// KeyLists is the hash of an object type's lists.
func KeyLists(s *Store, o ObjectType) string { return s.keyLists(o) }
