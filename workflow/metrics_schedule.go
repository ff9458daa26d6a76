package workflow

import (
	"context"
	"fmt"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// How far the longest gap of a schedule is looked for: over this many slots at least, and over more than a week, so that
// "every ten minutes from nine to five on weekdays" has its weekend in it.
const (
	gapSlots = 8
	gapSpan  = 8 * 24 * time.Hour
)

// scheduled says how far apart the workflow's slots are; nil: it has none.
func (m *Metrics) scheduled(workflow string, s slots, now time.Time) {
	if m == nil {
		return
	}
	if gap := longestGap(s, now); gap > 0 {
		m.interval.WithLabelValues(workflow).Set(gap.Seconds())
		return
	}
	m.interval.DeleteLabelValues(workflow)
}

// longestGap is the longest time between two slots that come after now; 0 when there are no two.
func longestGap(s slots, now time.Time) time.Duration {
	if s == nil {
		return 0
	}
	first := s.Next(now)
	longest := time.Duration(0)
	for n, at := 1, first; !at.IsZero() && (n < gapSlots || at.Sub(first) < gapSpan); n++ {
		next := s.Next(at)
		if next.IsZero() {
			break
		}
		longest, at = max(longest, next.Sub(at)), next
	}
	return longest
}

// recall reads from the store when the workflow last succeeded, since this process may be younger than that.
func (m *Metrics) recall(ctx context.Context, store *crmstore.Store, workflow string) error {
	if m == nil {
		return nil
	}
	runs, err := store.Runs(ctx, crmstore.RunFilter{Workflow: workflow, State: crmstore.RunDone, Limit: 1})
	if err != nil {
		return fmt.Errorf("look for the last success of workflow %s: %w", workflow, err)
	}
	if len(runs) > 0 {
		m.success.WithLabelValues(workflow).Set(float64(runs[0].FinishedAt.Unix()))
	}
	return nil
}
