package workflow

import (
	"context"
	"log/slog"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// The keys of log lines: one thing has one key everywhere.
const (
	keyWorkflow = "workflow"
	keyRun      = "run"
	keyRevision = "revision"
	keyState    = "state"
	keyStage    = "stage"
	keyReason   = "reason"
	keySlot     = "slot"
	keyMissed   = "missed"
	keyError    = "error"
)

func (r *Runner) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}

// event writes one line about a run.
func (r *Runner) event(ctx context.Context, run crmstore.Run, level slog.Level, what string, more ...slog.Attr) {
	attrs := append([]slog.Attr{
		slog.String(keyWorkflow, run.Workflow), slog.String(keyRun, run.ID), slog.Int(keyRevision, run.Revision),
	}, more...)
	r.log().LogAttrs(ctx, level, what, attrs...) //nolint:sloglint // the callers pass constants
}

// totals is what a run counted, as attributes of its last line.
func totalsAttrs(t crmstore.Totals) []slog.Attr {
	attrs := []slog.Attr{
		slog.Int64("evaluated", t.Evaluated), slog.Int64("matched", t.Matched), slog.Int64("suppressed", t.Suppressed),
		slog.Int64("already_enrolled", t.AlreadyEnrolled), slog.Int64("on_hold", t.OnHold), slog.Int64("deleted", t.Deleted),
		slog.Int64("changed", t.Changed), slog.Int64("held", t.Held), slog.Int64("failed", t.Failed),
	}
	if t.Damaged > 0 {
		attrs = append(attrs, slog.Int64("damaged", t.Damaged))
	}
	return attrs
}
