package crmstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// ActiveRuns reads the runs that are not over, running and held ones, by id. It costs two small calls however many
// runs there have been, so that a daemon can afford it every second.
func (s *Store) ActiveRuns(ctx context.Context) ([]Run, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	ids, err := s.db.Redis.HVals(ctx, s.keyActive()).Result()
	if err != nil {
		return nil, fmt.Errorf("list active runs: %w", s.db.Explain(err))
	}
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = s.keyRun(id)
	}
	texts, err := s.db.Redis.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("read active runs: %w", s.db.Explain(err))
	}
	runs := make([]Run, 0, len(ids))
	for i, text := range texts {
		text, ok := text.(string)
		if !ok {
			return nil, fmt.Errorf("run %s is active but not there: %w", ids[i], record.ErrNotFound)
		}
		r, err := parseRun(ids[i], text)
		if err != nil {
			return nil, err
		}
		if !r.State.Over() { // it may have ended between the two calls
			runs = append(runs, r)
		}
	}
	return runs, nil
}
