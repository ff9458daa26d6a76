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

// Two hashes of a partition remember of live records what a deletion of them would repeat; a partition in which
// nobody ever was restored has neither, so nothing is looked for:
//
//	crm:{account/object/p}:back  hash  id (8 bytes) → when the record was restored last (ms)
//	crm:{account/object/p}:heir  hash  id (8 bytes) → when the contact was deleted whose address this one took over (ms)
//
// An entry is written before what it tells of, so no crash can lose it; of a record that is not live it says nothing yet.

func (k partitionKeys) back() string { return string(k) + "back" }
func (k partitionKeys) heir() string { return string(k) + "heir" }

// Repeated says what a deletion of a record would repeat.
type Repeated struct {
	Restored time.Time // when it was restored last; zero = it never was in the bin
	Heir     time.Time // when the contact was deleted that had its address before, at most [Retention] ago; zero = none was
}

// Repeated finds out of live records which were restored, and which have the address of a contact that was deleted in
// the last 90 days before the instant at; in the order asked. Only partitions where there are such records are looked into.
func (s *Store) Repeated(ctx context.Context, o record.ObjectType, want []record.PartitionIDs, at time.Time) ([][]Repeated, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	found := make([][]Repeated, len(want))
	err := redisdb.InWindows(ctx, len(want), redisdb.ReadsPerWindow, func(ctx context.Context, from, to int) error {
		return s.repeated(ctx, o, want[from:to], at, found[from:to])
	})
	if err != nil {
		return nil, fmt.Errorf("read which %s were deleted before: %w", o.Plural(), err)
	}
	return found, nil
}

func (s *Store) repeated(ctx context.Context, o record.ObjectType, want []record.PartitionIDs, at time.Time, found [][]Repeated) error {
	pipe := s.db.Redis.Pipeline()
	there := make([]*redis.IntCmd, 0, 2*len(want))
	for i := range want {
		keys := s.partition(o, want[i].Partition)
		there = append(there, pipe.Exists(ctx, keys.back()), pipe.Exists(ctx, keys.heir()))
	}
	if len(there) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return s.db.Explain(err)
	}
	pipe = s.db.Redis.Pipeline()
	asked := make([]*redis.SliceCmd, len(there))
	for i, one := range there {
		w := &want[i/2]
		if i%2 == 0 {
			found[i/2] = make([]Repeated, len(w.IDs))
		}
		if one.Val() == 0 || len(w.IDs) == 0 {
			continue
		}
		keys := s.partition(o, w.Partition)
		asked[i] = pipe.HMGet(ctx, []string{keys.back(), keys.heir()}[i%2], idFields(w.IDs)...)
	}
	if pipe.Len() == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return s.db.Explain(err)
	}
	for i, reply := range asked {
		if reply == nil {
			continue
		}
		for j, v := range reply.Val() {
			text, marked := v.(string)
			if !marked {
				continue
			}
			ms, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return fmt.Errorf("%s %s: when it was deleted before is damaged: %w", o, want[i/2].IDs[j], err)
			}
			switch when := time.UnixMilli(ms).UTC(); {
			case i%2 == 0:
				found[i/2][j].Restored = when
			case at.Sub(when) <= Retention:
				found[i/2][j].Heir = when
			}
		}
	}
	return nil
}

// remember writes entries of one kind about records.
func (s *Store) remember(ctx context.Context, partitions int, key func(p int) string, when map[record.ID]time.Time) error {
	if len(when) == 0 {
		return nil
	}
	fields := map[int][]any{}
	for id, at := range when {
		b, p := id.Bytes(), id.Partition(partitions)
		fields[p] = append(fields[p], b[:], at.UnixMilli())
	}
	pipe := s.db.Redis.Pipeline()
	for p, list := range fields {
		for part := range slices.Chunk(list, 2*recordsPerCall) {
			pipe.HSet(ctx, key(p), part...)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("write which records were deleted before: %w", s.db.Explain(err))
	}
	return nil
}

// forgetRepeated removes what is remembered of records that are gone for good.
func (s *Store) forgetRepeated(ctx context.Context, o record.ObjectType, partitions int, ids []record.ID) error {
	if len(ids) == 0 {
		return nil
	}
	pipe := s.db.Redis.Pipeline()
	want, _ := byPartition(ids, partitions)
	for _, w := range want {
		keys := s.partition(o, w.Partition)
		pipe.HDel(ctx, keys.back(), idFields(w.IDs)...)
		pipe.HDel(ctx, keys.heir(), idFields(w.IDs)...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("forget which %s were deleted before: %w", o.Plural(), s.db.Explain(err))
	}
	return nil
}

// inherited are the drafts that take over the address of a contact in the bin, with when that one was deleted.
func (r *round) inherited(drafts []*draft) map[record.ID]time.Time {
	var heirs map[record.ID]time.Time
	for _, d := range drafts {
		a := d.claim
		if d.lost || a.claimant == 0 || a.claimant == d.id {
			continue
		}
		old := r.byID[a.claimant]
		if old == nil || old.stored == nil || old.stored.Deletion == nil || normalAddress(old.stored.Value(r.email.Number).Text()) != a.text {
			continue
		}
		if heirs == nil {
			heirs = map[record.ID]time.Time{}
		}
		heirs[d.id] = old.stored.Deletion.At
	}
	return heirs
}
