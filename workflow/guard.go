package workflow

import (
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// OverLimit says in one line why a run that would delete count of live records is over the limits; "" when it is not.
func (l Limits) OverLimit(o crmstore.ObjectType, count, live int64) string {
	if count > int64(l.MaxDeletions) {
		return fmt.Sprintf("%s %s match, more than max_deletions %s",
			diag.Thousands(count), o.Plural(), diag.Thousands(int64(l.MaxDeletions)))
	}
	if float64(count)*100 > l.MaxPercent*float64(live) {
		share := "more than all"
		if live > 0 {
			share = percent(float64(count) * 100 / float64(live))
		}
		return fmt.Sprintf("%s %s match, %s of %s live %s, more than max_percent %s",
			diag.Thousands(count), o.Plural(), share, diag.Thousands(live), o.Plural(), percent(l.MaxPercent))
	}
	return ""
}

// guard compares the number of matches with the limits. Over one of them it holds the run. A share is one of the records
// that were evaluated: runs that evaluated at the same moment may have deleted some of them by now.
func (p *pass) guard(ctx context.Context) error {
	if p.byHand {
		return p.guardByHand(ctx)
	}
	totals := p.saved().Totals
	if over := p.def.Limits.OverLimit(p.def.Object, enrolling(totals), totals.Evaluated); over != "" {
		return &limitError{reason: over}
	}
	return p.update(ctx, func(run *crmstore.Run) { run.Stage = stageAct })
}
