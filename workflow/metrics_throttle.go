package workflow

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Why deletions paused, as the metric label has it.
const (
	pausedRate = "rate" // as many were deleted as a limit on deletions per second allows
	pausedSlow = "slow" // the store answered slowly
)

func newPaused() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "workflow_paused_seconds_total",
		Help: "Time that this daemon's batches of deletions waited, by reason: rate (a limit on deletions per second), slow (the store answered slowly). " +
			"Two batches of a run may wait at a time.",
	}, []string{"workflow", "reason"})
}

func pauseReasons() []string { return []string{pausedRate, pausedSlow} }

// waited counts a pause of a workflow's deletions.
func (m *Metrics) waited(workflow, reason string, d time.Duration) {
	if m != nil {
		m.paused.WithLabelValues(workflow, reason).Add(d.Seconds())
	}
}
