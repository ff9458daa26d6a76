package workflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// PublishOptions say how a file is published.
type PublishOptions struct {
	KeepHeld bool // a held run of the revision before stays held, instead of being ended
}

// Superseded is the run of a revision before that publishing another one found not to be over. The zero value: there was none.
type Superseded struct {
	Run  crmstore.Run      // as publishing left it: held, or cancelled
	Was  crmstore.RunState // as publishing found it: running or held
	Left int64             // matches without an outcome, which it deletes only when it is approved
}

// supersede stops the unfinished run of an earlier revision. A running one becomes held. A held one is cancelled, unless the
// options keep it. When supersede has returned, that run deletes nothing more.
func supersede(ctx context.Context, store *crmstore.Store, w crmstore.Workflow, o PublishOptions, at time.Time) (Superseded, error) {
	system, r := store.AsSystem(), &Runner{Store: store}
	for range 20 {
		run, err := unfinished(ctx, system, w.Name)
		if err != nil || run.ID == "" || run.Revision == w.Revision {
			return Superseded{}, err
		}
		past := Superseded{Was: run.State}
		switch {
		case run.State == crmstore.RunRunning:
			err = hold(ctx, system, run, refusedRevision(w, run).Message, system.Now())
		case !o.KeepHeld:
			reason := fmt.Sprintf("ended by %s, who published revision %s", store.User(), diag.Thousands(int64(w.Revision)))
			_, err = r.cancel(ctx, run.ID, reason, at)
		}
		if errors.Is(err, record.ErrConflict) {
			continue // a sign of life came in between, or an approval
		}
		if err != nil {
			return past, err
		}
		if past.Run, err = system.Run(ctx, run.ID); err != nil {
			return past, err
		}
		if past.Run.State == crmstore.RunRunning { // approved in between
			continue
		}
		if past.Run.Totals, err = tally(ctx, r.system(), past.Run); err != nil { // its carrier saves the totals later
			return past, err
		}
		past.Left = unsettled(past.Run.Totals)
		return past, nil
	}
	return Superseded{}, fmt.Errorf("stop the run of the revision before: %w", record.ErrConflict)
}

// unsettled is how many matches have no outcome.
func unsettled(t crmstore.Totals) int64 {
	return enrolling(t) - t.Deleted - t.Changed - t.Held - t.Failed
}
