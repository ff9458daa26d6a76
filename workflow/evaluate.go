package workflow

import (
	"context"
	"errors"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// evaluate saves the matches. A restarted evaluation replaces, range by range, what the one before it left.
func (p *pass) evaluate(ctx context.Context) error {
	if p.byHand && *p.saved().Selection == (crmstore.Selection{}) {
		return errIDsLost(p.id)
	}
	totals, err := p.scan(ctx)
	if err == nil {
		err = p.allSaved(ctx, enrolling(totals))
	}
	if err == nil {
		err = p.listsStand(ctx)
	}
	if err != nil {
		return err
	}
	err = p.update(ctx, func(run *crmstore.Run) {
		run.Stage = stageGuard
		run.Evaluated, run.Matched = totals.Evaluated, totals.Matched
		run.Suppressed, run.AlreadyEnrolled, run.OnHold = totals.Suppressed, totals.AlreadyEnrolled, totals.OnHold
		run.Damaged = totals.Damaged
		run.RestoredBefore, run.DeletedBefore = totals.RestoredBefore, totals.DeletedBefore
	})
	if err == nil {
		p.metrics().evaluated(p.def.Name, totals)
	}
	return err
}

// allSaved is errRolledBack when the store has fewer matches than were saved. The run would never delete the lost ones.
func (p *pass) allSaved(ctx context.Context, want int64) error {
	partitions, err := p.store.Partitions(ctx)
	if err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	counts, err := p.store.CountMatches(ctx, p.def.Object, p.id, 0, partitions)
	if err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	for _, c := range counts {
		want -= c.IDs
	}
	if want != 0 {
		return fmt.Errorf("evaluate: %w", errRolledBack)
	}
	return nil
}

// scan saves the matches of all partitions and counts them. A run in a run group does so together with the others.
func (p *pass) scan(ctx context.Context) (totals crmstore.Totals, err error) {
	restarted := p.carriedBefore()
	save := func(ctx context.Context, found *scanResult) error {
		if restarted { // the run may have deleted before the store went back
			if err := p.addDeleted(ctx, found); err != nil {
				return err
			}
		}
		// Another owner may act on its own matches by now: this pass must not replace them.
		if err := p.owned(ctx); err != nil {
			return err
		}
		saved := p.runMatches()
		saved.First = !restarted // matches that are there already are this run's own, or of a run that the store has lost
		if err := p.acting.SaveMatches(ctx, saved, found.matches(restarted)); err != nil {
			return fmt.Errorf("evaluate: %w", p.refusedMatches(ctx, err))
		}
		return nil
	}
	sum := func(_ context.Context, found scanResult) error {
		add(&totals, found.totals)
		return nil
	}
	if p.member != nil && !restarted {
		err := p.member.evaluate(ctx, p.acting, &scan{def: p.def, now: p.saved().Now, progress: p.progress.scan, save: save, found: sum})
		if !errors.Is(err, errAlone) {
			return totals, err
		}
		totals, restarted = crmstore.Totals{}, true // the second evaluation replaces what the first one saved
	}
	err = soloScan{store: p.acting, def: p.def, now: p.saved().Now, progress: p.progress.scan, save: save}.run(ctx, sum)
	return totals, err
}

// matches is what to save of a range. With all it has the partitions without matches too, so that stale matches go.
func (s *scanResult) matches(all bool) []crmstore.Matches {
	var out []crmstore.Matches
	if !all {
		for _, part := range s.enroll {
			out = append(out, crmstore.Matches{Partition: part.Partition, IDs: part.IDs})
		}
		return out
	}
	for p := s.from; p < s.to; p++ {
		out = append(out, crmstore.Matches{Partition: p})
	}
	for _, part := range s.enroll {
		out[part.Partition-s.from].IDs = part.IDs
	}
	return out
}
