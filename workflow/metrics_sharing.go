package workflow

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/crm-workflow/crm-workflow/workflow/queue"
)

// What was taken over from a process that fell silent, as the metric label has it.
const (
	takeoverRun   = "run"
	takeoverRange = "range"
)

// sharingMetrics count what happens when several daemons work on one store.
type sharingMetrics struct {
	takeovers  *prometheus.CounterVec
	retries    *prometheus.CounterVec
	duplicates *prometheus.CounterVec
	late       *prometheus.CounterVec
	depth      *prometheus.GaugeVec
	age        *prometheus.GaugeVec
}

func newSharingMetrics() sharingMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	return sharingMetrics{
		takeovers: counter("workflow_takeovers_total",
			"Runs, and ranges of large runs, that this daemon took over from a process that had died or was silent for 15 s.", "workflow", "what"),
		retries: counter("workflow_retries_total",
			"Times a run waited for a store in trouble and then tried its stage again.", "workflow"),
		duplicates: counter("workflow_duplicate_ticks_total",
			"Slots that this daemon offered to the queue when another daemon had done so; with N daemons N-1 for each slot.", "workflow"),
		late: counter("workflow_queue_bypassed_total",
			"Slots that the queue gave to no daemon for 15 s, so that this daemon started them by itself.", "workflow"),
		depth: gauge("workflow_queue_tasks", "Tasks in the queue, by queue (runs, ranges) and state (pending, active, retry).", "queue", "state"),
		age:   gauge("workflow_queue_oldest_task_age_seconds", "How long the oldest pending task has waited; 0 = none waits.", "queue"),
	}
}

func (m *sharingMetrics) counters() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{m.takeovers, m.retries, m.duplicates, m.late}
}

func (m *sharingMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.takeovers, m.retries, m.duplicates, m.late, m.depth, m.age}
}

// start makes a workflow's series, at zero.
func (m *sharingMetrics) start(name string) {
	for _, what := range []string{takeoverRun, takeoverRange} {
		m.takeovers.WithLabelValues(name, what)
	}
	for _, c := range []*prometheus.CounterVec{m.retries, m.duplicates, m.late} {
		c.WithLabelValues(name)
	}
}

// tookOver counts what was taken over from another process.
func (m *Metrics) tookOver(workflow, what string) {
	if m != nil {
		m.sharing.takeovers.WithLabelValues(workflow, what).Inc()
	}
}

// triedAgain counts a stage that is tried again after trouble.
func (m *Metrics) triedAgain(workflow string) {
	if m != nil {
		m.sharing.retries.WithLabelValues(workflow).Inc()
	}
}

// duplicateTick counts a slot that another daemon had offered.
func (m *Metrics) duplicateTick(workflow string) {
	if m != nil {
		m.sharing.duplicates.WithLabelValues(workflow).Inc()
	}
}

// bypassed counts a run that began without the queue, which had given its slot to no daemon.
func (m *Metrics) bypassed(workflow string) {
	if m != nil {
		m.sharing.late.WithLabelValues(workflow).Inc()
	}
}

// queueIs says how full a queue is.
func (m *Metrics) queueIs(name string, s queue.State) {
	if m == nil {
		return
	}
	m.sharing.depth.WithLabelValues(name, "pending").Set(float64(s.Pending))
	m.sharing.depth.WithLabelValues(name, "active").Set(float64(s.Active))
	m.sharing.depth.WithLabelValues(name, "retry").Set(float64(s.Retry))
	m.sharing.age.WithLabelValues(name).Set(s.Oldest.Seconds())
}
