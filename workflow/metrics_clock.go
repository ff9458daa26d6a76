package workflow

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// clockMetrics are about wrong clocks and what they did.
type clockMetrics struct {
	skew   prometheus.Gauge
	held   *prometheus.GaugeVec
	mended *prometheus.CounterVec
}

func newClockMetrics() clockMetrics {
	return clockMetrics{
		skew: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "workflow_clock_skew_seconds",
			Help: "How far this daemon's clock is ahead of the store's, below 0 behind it. Beyond 60 it does nothing.",
		}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "crmstore_purge_held_records",
			Help: "Records in the recycle bin that would be purged if all of the store's time were counted; see workflow account clock.",
		}, []string{"object"}),
		mended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "workflow_mended_slots_total",
			Help: "Times this daemon found a workflow's slot or publication in the future, where a wrong clock put it, and set it back.",
		}, []string{"workflow"}),
	}
}

func (m *clockMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.skew, m.held, m.mended}
}

// clockIs shows how far this process's clock is ahead of the store's.
func (m *Metrics) clockIs(ahead time.Duration) {
	if m != nil {
		m.clock.skew.Set(ahead.Seconds())
	}
}

// purgeHeld shows how many records of a type are not purged yet.
func (m *Metrics) purgeHeld(o record.ObjectType, records int64) {
	if m != nil {
		m.clock.held.WithLabelValues(string(o)).Set(float64(records))
	}
}

// mendedSlot counts a schedule that was brought back.
func (m *Metrics) mendedSlot(workflow string) {
	if m != nil {
		m.clock.mended.WithLabelValues(workflow).Inc()
	}
}
