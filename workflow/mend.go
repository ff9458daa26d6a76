package workflow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// opMendSlot is what mending is called in the audit log.
const opMendSlot = "mend-slot"

// AheadOf reports whether an instant that was written down is after now by more than clocks may differ: a wrong clock wrote it.
func AheadOf(written, now time.Time) bool { return written.Sub(now) > crmstore.MostApart }

// silent reports whether a sign of life is too old at the moment now. One from the future is none: a wrong clock gave it.
func silent(beat, now time.Time) bool { return now.Sub(beat) > silentAfter || AheadOf(beat, now) }

// stuck is what of a workflow was written down by a clock that was ahead. While it stands, no slot is due.
func stuck(w crmstore.Workflow, now time.Time) []string {
	var found []string
	for _, one := range []struct {
		what string
		at   time.Time
	}{{"last slot", w.LastSlot}, {"publication", w.PublishedAt}, {"switching on", w.SwitchedAt}} {
		if AheadOf(one.at, now) {
			found = append(found, fmt.Sprintf("its %s is recorded for %s, which is still to come", one.what, one.at.UTC().Format(time.RFC3339)))
		}
	}
	return found
}

// Stuck says why no slot of a workflow is due until a daemon has mended it; "" when nothing is wrong.
func Stuck(w crmstore.Workflow, now time.Time) string { return strings.Join(stuck(w, now), "; ") }

// mended is the workflow with its schedule alive again: the last slot is the newest that is due at now, and it was published and
// switched on at now at the latest.
func mended(s slots, w crmstore.Workflow, now time.Time) crmstore.Workflow {
	if AheadOf(w.LastSlot, now) {
		w.LastSlot = lastSlot(s, now)
	}
	for _, at := range []*time.Time{&w.PublishedAt, &w.SwitchedAt} {
		if AheadOf(*at, now) {
			*at = now.UTC()
		}
	}
	return w
}

// lastSlot is the newest slot that is not later than now; zero when there is none within lookBack.
func lastSlot(s slots, now time.Time) time.Time {
	for back := time.Minute; ; back = min(2*back, lookBack) { // about as many slots as one step back has are gone through
		var last time.Time
		for at := s.Next(now.Add(-back)); !at.IsZero() && !at.After(now); at = s.Next(at) {
			last = at
		}
		if !last.IsZero() || back == lookBack {
			return last.UTC()
		}
	}
}

// mend sets back what a clock that was ahead wrote down of a workflow, and says so. Another daemon may be faster.
func (l *loop) mend(ctx context.Context, now time.Time, w crmstore.Workflow, s slots) crmstore.Workflow {
	wrong := Stuck(w, now)
	if wrong == "" {
		return w
	}
	cause := record.Cause{Workflow: w.Name, Reason: wrong}
	saved, err := l.r.system().SaveWorkflow(ctx, mended(s, w, now), nil, opMendSlot, cause, now)
	if errors.Is(err, record.ErrConflict) {
		return w // the next tick sees what the other wrote
	}
	if err != nil {
		l.report(ctx, err)
		return w
	}
	l.r.Metrics.mendedSlot(w.Name)
	l.r.log().LogAttrs(ctx, slog.LevelWarn, "a wrong clock had stopped the schedule; it goes on from the last slot that is due",
		slog.String(keyWorkflow, w.Name), slog.Time(keySlot, saved.LastSlot), slog.String(keyReason, wrong))
	return saved
}
