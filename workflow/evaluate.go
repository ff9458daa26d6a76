package workflow

import (
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// evaluate saves who matches. A restarted evaluation first takes away what the one before left in each range.
func (p *pass) evaluate(ctx context.Context) error {
	if p.byHand && *p.saved().Selection == (crmstore.Selection{}) {
		return errIDsLost(p.id)
	}
	restarted := p.carriedBefore()
	var totals crmstore.Totals
	look := sweep{store: p.store, def: p.def, now: p.saved().Now, progress: p.r.stageProgress(stageEvaluate)}
	err := look.run(ctx, func(ctx context.Context, found swept) error {
		add(&totals, found.totals)
		// Another owner may be acting on its own matches by now: they must not be replaced.
		if err := p.owned(ctx); err != nil {
			return err
		}
		if err := p.store.SaveMatches(ctx, p.def.Object, p.id, found.matches(restarted)); err != nil {
			return fmt.Errorf("evaluate: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = p.update(ctx, func(run *crmstore.Run) {
		run.Stage = stageGuard
		run.Evaluated, run.Matched = totals.Evaluated, totals.Matched
		run.Suppressed, run.AlreadyEnrolled = totals.Suppressed, totals.AlreadyEnrolled
	})
	if err == nil {
		p.metrics().evaluated(p.def.Name, totals)
	}
	return err
}

// matches is what to save of a range: with all, partitions without matches too, so that stale ones go away.
func (s swept) matches(all bool) []crmstore.Matches {
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
