package crmstore

import (
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

var scriptCompact = mustLuaScript("compact")

// Compact gives back the memory that the columns of an object type were given in advance while they grew. It changes no
// data, may run while others write, and pays after many records were made at once.
func (s *Store) Compact(ctx context.Context, o record.ObjectType) error {
	if err := s.require(ctx, o, CanEdit); err != nil {
		return err
	}
	return s.compact(ctx, o)
}

func (s *Store) compact(ctx context.Context, o record.ObjectType) error {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return err
	}
	t, err := s.traces(ctx, o)
	if err != nil {
		return err
	}
	err = redisdb.InWindows(ctx, partitions, redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		calls := make([]redisdb.Call, 0, to-from)
		for p := from; p < to; p++ {
			k := s.partition(o, p)
			keys := []string{k.spare(), k.ids(), k.arch()}
			for _, number := range t.columns {
				keys = append(keys, k.col(number))
			}
			calls = append(calls, redisdb.Call{Script: scriptCompact, Keys: keys, Args: nil})
		}
		_, err := s.db.RunAll(ctx, calls)
		return err
	})
	if err != nil {
		return fmt.Errorf("compact columns of %s: %w", o.Plural(), err)
	}
	return nil
}
