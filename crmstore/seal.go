package crmstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

var scriptSeal = mustLuaScript("seal")

// takeTries is how often a run is taken whose ranges are taken at the same time: each of them has a number too.
const takeTries = 20

// TakeRun saves r for its new owner, who carries it from then on, as [Store.SaveRun] does, with the run's next fencing
// number as its Fence: above r.Fence, and above all that were taken for it before. The number is taken in the same script,
// so that whoever is too late (ErrConflict) takes none, and the owner is not refused for a number that nobody works with.
func (s *Store) TakeRun(ctx context.Context, r Run, notes ...record.Event) (Run, error) {
	if err := s.require(ctx, r.Object, r.Permissions()...); err != nil {
		return Run{}, err
	}
	floor := r.Fence
	for range takeTries {
		last, err := s.db.Redis.Get(ctx, s.keyFence(r.ID)).Uint64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return Run{}, fmt.Errorf("read the fencing number of run %s: %w", r.ID, s.db.Explain(err))
		}
		r.Fence = max(last, floor) + 1
		saved, _, err := s.saveRun(ctx, r, takesFence, notes)
		if errors.Is(err, record.ErrConflict) && r.Owner != "" {
			now, readErr := s.readRun(ctx, r.ID)
			if readErr == nil && now.Version == r.Version+1 && now.Fence == r.Fence && now.Owner == r.Owner && now.Beat.Equal(r.Beat) {
				return now, nil // our own write, whose answer was lost on the way
			}
		}
		if !errors.Is(err, errFenceTaken) {
			return saved, err
		}
	}
	return Run{}, fmt.Errorf("take run %s: %w", r.ID, record.ErrConflict)
}

// SealRun is [Store.SaveRun], and then refuses all fencing numbers that were taken before: when it has returned, nothing
// is deleted and no matches are changed any more by anybody who carried the run until then, however long that process
// was frozen. A number taken after it is good. With an error other than ErrConflict the run may be saved and not sealed
// in all partitions: seal it again.
func (s *Store) SealRun(ctx context.Context, r Run, notes ...record.Event) (Run, error) {
	if err := s.require(ctx, r.Object, r.Permissions()...); err != nil {
		return Run{}, err
	}
	saved, fence, err := s.saveRun(ctx, r, sealsFence, notes)
	if err != nil {
		return saved, err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return saved, fmt.Errorf("seal run %s: %w", r.ID, err)
	}
	err = s.changeMatches(ctx, partitions, func(p int) redisdb.Call {
		return redisdb.Call{Script: scriptSeal, Keys: []string{s.partition(r.Object, p).run(r.ID)}, Args: []any{strconv.FormatUint(fence, 10)}}
	})
	if err != nil {
		return saved, fmt.Errorf("seal run %s: %w", r.ID, err)
	}
	return saved, nil
}
