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
	e := &evaluation{pass: p, replaces: p.carriedBefore()}
	err := e.run(ctx)
	totals := e.totals
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

// evaluation is the work of a run's first stage.
type evaluation struct {
	pass     *pass
	replaces bool // an earlier evaluation may have left matches
	totals   crmstore.Totals
}

// run saves the matches of all partitions and counts them. A run in a run group does so together with the others.
func (e *evaluation) run(ctx context.Context) error {
	if member := e.pass.member; member != nil && !e.replaces {
		err := member.evaluate(ctx, e.pass.acting, e.scan())
		if !errors.Is(err, errAlone) {
			return err
		}
		e.totals, e.replaces = crmstore.Totals{}, true // the second scan replaces what the first one saved
	}
	return e.scan().run(ctx, e.pass.acting)
}

// scan is the scan that the evaluation makes, alone or in a run group.
func (e *evaluation) scan() *scan {
	return &scan{def: e.pass.def, now: e.pass.saved().Now, progress: e.pass.progress.scan, save: e.save, found: e.add}
}

// save saves what was found in a range. Its calls overlap.
func (e *evaluation) save(ctx context.Context, found *scanResult) error {
	if e.replaces { // the run may have deleted before the store went back
		if err := e.addDeleted(ctx, found); err != nil {
			return err
		}
	}
	// Another owner may act on its own matches by now: this pass must not replace them.
	if err := e.pass.owned(ctx); err != nil {
		return err
	}
	saved := e.pass.runMatches()
	saved.First = !e.replaces // matches that are there already are this run's own, or of a run that the store has lost
	if err := e.pass.acting.SaveMatches(ctx, saved, found.matches(e.replaces)); err != nil {
		return fmt.Errorf("evaluate: %w", e.pass.refusedMatches(ctx, err))
	}
	return nil
}

// add counts what was found in a range.
func (e *evaluation) add(_ context.Context, found scanResult) error {
	add(&e.totals, found.totals)
	return nil
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
