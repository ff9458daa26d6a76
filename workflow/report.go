package workflow

import (
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// RunDryRun is the state of what [Runner.DryRun] returns; the store never holds it.
const RunDryRun crmstore.RunState = "dry-run"

// Report is a run as `run --format json` prints it.
type Report struct {
	Run      string            `json:"run"`
	Workflow string            `json:"workflow"`
	Revision int               `json:"revision"`
	State    crmstore.RunState `json:"state"`
	Reason   string            `json:"reason,omitempty"`
	Now      time.Time         `json:"now"`
	crmstore.Totals
	Undone          int     `json:"undone,omitempty"`
	DurationSeconds float64 `json:"duration_seconds"` // until it ended or was last seen; 0 for a dry run
}

// NewReport is the report of a run.
func NewReport(run crmstore.Run) Report {
	return Report{
		Run: run.ID, Workflow: run.Workflow, Revision: run.Revision, State: run.State, Reason: run.Reason,
		Now: run.Now, Totals: run.Totals, Undone: run.Undone, DurationSeconds: duration(run).Seconds(),
	}
}

// duration is how long the run took from its start to its end, waiting for an approval included.
func duration(run crmstore.Run) time.Duration {
	end := run.FinishedAt
	if end.IsZero() {
		end = run.Beat
	}
	if run.StartedAt.IsZero() || end.Before(run.StartedAt) {
		return 0
	}
	return end.Sub(run.StartedAt)
}
