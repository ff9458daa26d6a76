package crmstore

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Tombstone is all that stays of a contact that was deleted permanently: its id, when, by whom, and in which run.
type Tombstone struct {
	ID    record.ID `json:"id"`
	At    time.Time `json:"at"`
	Actor string    `json:"actor"`
	Run   string    `json:"run"`
}

// Tombstones reads those of the records that were deleted permanently; others are left out. It needs view.
func (s *Store) Tombstones(ctx context.Context, o record.ObjectType, ids []record.ID) ([]Tombstone, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	found, err := s.tombstones(ctx, o, ids)
	if err != nil {
		return nil, err
	}
	var list []Tombstone
	for _, id := range ids {
		if t, ok := found[id]; ok {
			list = append(list, t)
		}
	}
	return list, nil
}

func (s *Store) tombstones(ctx context.Context, o record.ObjectType, ids []record.ID) (map[record.ID]Tombstone, error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	found := map[record.ID]Tombstone{}
	want, _ := byPartition(ids, partitions)
	err = inChunks(0, len(want), redisdb.ReadsPerWindow, func(from, to int) error {
		pipe := s.db.Redis.Pipeline()
		var commands []*redis.SliceCmd
		for _, group := range want[from:to] {
			commands = append(commands, pipe.HMGet(ctx, s.partition(o, group.Partition).tomb(), idFields(group.IDs)...))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return s.db.Explain(err)
		}
		for i, command := range commands {
			for j, v := range command.Val() {
				text, ok := v.(string)
				if !ok {
					continue
				}
				facts, err := record.ParseFacts(record.BytesOf(text))
				if err != nil {
					return err
				}
				id := want[from+i].IDs[j]
				found[id] = Tombstone{ID: id, At: facts.At, Actor: facts.Actor, Run: facts.Run}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read tombstones of %s: %w", o.Plural(), err)
	}
	return found, nil
}
