package workflow

import (
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// OverLimit says in one line why a run that would delete count of live records is over the limits, when nothing else was deleted
// in the last 24 hours; "" when it is not.
func OverLimit(l definition.Limits, o record.ObjectType, count, live int64) string {
	reason, _ := (&allowance{object: o, limits: l, live: live}).overOwn(count)
	return reason
}

// guard sets the run's deletions aside. It holds the run when the workflow's limits or the account's ceiling on any 24
// hours leave no room. A percentage is taken of the evaluated records: other runs may have deleted some of them by now.
func (p *pass) guard(ctx context.Context) error {
	if p.byHand {
		return p.guardByHand(ctx)
	}
	if err := p.askAnyway(); err != nil {
		return err
	}
	if err := p.reserve(ctx, false); err != nil {
		return err
	}
	p.reserved = true
	return p.update(ctx, func(run *crmstore.Run) { run.Stage = stageAct })
}

// askAnyway holds a run that was held before its matches were counted, so that its approver sees their number.
func (p *pass) askAnyway() error {
	run := p.saved()
	if n := enrolling(run.Totals); run.Ask && n > 0 {
		return &limitError{reason: fmt.Sprintf("it was stopped before its %s were counted, and waits until their number is confirmed", countedRecords(n, run.Object))}
	}
	return nil
}
