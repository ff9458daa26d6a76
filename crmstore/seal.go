package crmstore

import (
	"context"
	"fmt"
	"strconv"
)

var (
	scriptNextFence = mustScript("next_fence")
	scriptSeal      = mustScript("seal")
)

// NextFence takes the run's next fencing number, which is above all that were taken for it before. Whoever is about to
// take the run over sets it as the run's Fence and saves the run.
func (s *Store) NextFence(ctx context.Context, r Run) (uint64, error) {
	if err := s.require(ctx, r.Object, r.Permissions()...); err != nil {
		return 0, err
	}
	reply, err := s.run(ctx, scriptNextFence, []string{s.keyFence(r.ID)}, strconv.FormatUint(r.Fence, 10))
	if err != nil {
		return 0, fmt.Errorf("take a fencing number of run %s: %w", r.ID, err)
	}
	number, _ := reply.(int64)
	return uint64(number), nil
}

// SealRun is [Store.SaveRun], and then refuses all fencing numbers that were taken before: when it has returned, nothing
// is deleted and no matches are changed any more by anybody who carried the run until then, however long that process
// was frozen. A number taken after it is good. With an error other than ErrConflict the run may be saved and not sealed
// in all partitions: seal it again.
func (s *Store) SealRun(ctx context.Context, r Run, notes ...Event) (Run, error) {
	if err := s.require(ctx, r.Object, r.Permissions()...); err != nil {
		return Run{}, err
	}
	saved, fence, err := s.saveRun(ctx, r, true, notes)
	if err != nil {
		return saved, err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return saved, fmt.Errorf("seal run %s: %w", r.ID, err)
	}
	err = s.changeMatches(ctx, partitions, func(p int) call {
		return call{scriptSeal, []string{s.partition(r.Object, p).run(r.ID)}, []any{strconv.FormatUint(fence, 10)}}
	})
	if err != nil {
		return saved, fmt.Errorf("seal run %s: %w", r.ID, err)
	}
	return saved, nil
}
