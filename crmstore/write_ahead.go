package crmstore

import (
	"context"
	"fmt"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// PlannedWrite is a batch whose first upserts have been planned, and nothing written. It may be dropped.
type PlannedWrite struct {
	// Waiting is called once, after a second in which Write waits for e-mail addresses that another process is about to take, or
	// was when it died. Write may then wait up to 30 seconds; nil = nobody is told.
	Waiting func()

	w      *writer
	first  *round
	rounds []*round // that were written
}

// PlanWrite reads what the first upserts of a batch may touch and works out what they come to, so that this can be done
// while an earlier batch is being written. [PlannedWrite.Write] does the rest, once.
func (s *Store) PlanWrite(ctx context.Context, o record.ObjectType, mode WriteMode, batch []Upsert, c record.Cause, at time.Time) (*PlannedWrite, error) {
	if err := s.require(ctx, o, CanEdit); err != nil {
		return nil, err
	}
	w, err := s.newWriter(ctx, o, mode, c, at)
	if err != nil {
		return nil, err
	}
	w.batch, w.results = batch, make([]WriteResult, len(batch))
	p := &PlannedWrite{w: w}
	w.written = func(r *round) { p.rounds = append(p.rounds, r) }
	if p.first, err = w.plan(ctx, w.part(w.all())); err != nil {
		return nil, fmt.Errorf("write %s: %w", o.Plural(), err)
	}
	return p, nil
}

// Write writes the batch, with the results that [Store.Write] would give now. before is the batch that may have been
// under way when this one was planned (nil: none); it must be over, and everything before it must have been over when
// this one was planned. If it changed anything that this one was planned on, this one is planned again.
func (p *PlannedWrite) Write(ctx context.Context, before *PlannedWrite) ([]WriteResult, error) {
	if err := p.w.store.require(ctx, p.w.object, CanEdit); err != nil {
		return nil, err
	}
	first := p.first
	p.first, p.w.waiting = nil, p.Waiting
	if before != nil && first.dependsOn(before.rounds) {
		first = nil
	}
	if err := p.w.run(ctx, first); err != nil {
		return nil, fmt.Errorf("write %s: %w", p.w.object.Plural(), err)
	}
	return p.w.results, nil
}

// dependsOn reports whether the round looked at a record or an address that those rounds wrote. Who gave an address up
// was looked at as its holder.
func (r *round) dependsOn(rounds []*round) bool {
	for _, earlier := range rounds {
		for _, d := range earlier.dirty {
			if r.byID[d.id] != nil || d.claim != nil && r.addresses[d.claim.text] != nil {
				return true
			}
		}
	}
	return false
}
