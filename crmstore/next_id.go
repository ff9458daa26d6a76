package crmstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

var scriptTakeIDs = mustLuaScript("take_ids")

// takeIDs takes a block of n ids above given and all that were taken or given before; it returns the last one.
func (s *Store) takeIDs(ctx context.Context, o record.ObjectType, n int, given record.ID) (last record.ID, err error) {
	reply, err := s.db.Run(ctx, scriptTakeIDs, []string{s.keyNextID(o)}, n, given.String())
	if err != nil {
		return 0, fmt.Errorf("take ids of %s: %w", o.Plural(), err)
	}
	text, _ := reply.(string)
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("take ids of %s: the counter is damaged: %w", o.Plural(), err)
	}
	return record.ID(number), nil
}

// highestID is the highest id that was ever given to a record of the type, or brought along by one.
func (s *Store) highestID(ctx context.Context, o record.ObjectType) (record.ID, error) {
	highest, err := s.db.Redis.Get(ctx, s.keyNextID(o)).Uint64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("read the highest id of %s: %w", o.Plural(), s.db.Explain(err))
	}
	return record.ID(highest), nil
}
