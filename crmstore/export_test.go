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
