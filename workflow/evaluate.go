package workflow

import (
	"context"
	"errors"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// evaluate saves who matches. A restarted evaluation first takes away what the one before left in each range.
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

// allSaved asks the store whether it has all matches that were saved. One that lost some while others were saved would have them
// forgotten for good.
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

// scan saves the matches of all partitions and counts them, together with other runs where it is in a run group.
func (p *pass) scan(ctx context.Context) (totals crmstore.Totals, err error) {
	restarted := p.carriedBefore()
	save := func(ctx context.Context, found *scanResult) error {
		if restarted { // whoever evaluated before may have deleted, and the store have gone back behind the saying so
			if err := p.addDeleted(ctx, found); err != nil {
				return err
			}
		}
		// Another owner may be acting on its own matches by now: they must not be replaced.
		if err := p.owned(ctx); err != nil {
			return err
		}
		saved := p.runMatches()
		saved.First = !restarted // where there are some, it is this run that saved them, or one that the store has lost
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
		totals, restarted = crmstore.Totals{}, true // what was saved until then is taken away
	}
	err = soloScan{store: p.acting, def: p.def, now: p.saved().Now, progress: p.progress.scan, save: save}.run(ctx, sum)
	return totals, err
}

// matches is what to save of a range: with all, partitions without matches too, so that stale ones go away.
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
