package workflow

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// limitMetrics show how much of what may be deleted in 24 hours is used: of the account's ceiling by object type, and of each
// workflow's own limits.
type limitMetrics struct {
	used, most       *prometheus.GaugeVec
	ownUsed, ownMost *prometheus.GaugeVec
}

func newLimitMetrics() limitMetrics {
	gauge := func(name, help, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{label})
	}
	return limitMetrics{
		used: gauge("crmstore_deletions_per_day_used",
			"Records that all workflows and people together deleted in the last 24 hours, and what runs have set aside.", "object"),
		most: gauge("crmstore_deletions_per_day_limit",
			"How many that may be, by deletions_per_day; what is above it is held.", "object"),
		ownUsed: gauge("workflow_deletions_per_day_used",
			"Records that the workflow deleted in the last 24 hours, and what its runs have set aside; no series while it is off.", "workflow"),
		ownMost: gauge("workflow_deletions_per_day_limit",
			"How many that may be, by max_deletions and max_percent; no series while it is off.", "workflow"),
	}
}

func (m *limitMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.used, m.most, m.ownUsed, m.ownMost}
}

// forget removes the series of a workflow that is off or gone.
func (m *limitMetrics) forget(workflow string) {
	m.ownUsed.DeleteLabelValues(workflow)
	m.ownMost.DeleteLabelValues(workflow)
}

// bounds is what bounds the deletions of a workflow by its file.
type bounds struct {
	object record.ObjectType
	limits definition.Limits
}

// limitsSeen is what the metrics about limits show.
type limitsSeen struct {
	account crmstore.DeletionLimits
	lately  map[record.ObjectType]crmstore.Lately
}

// readLimits reads what was deleted of each object type in the 24 hours before now, by the store's clock.
func readLimits(ctx context.Context, store *crmstore.Store, objects []record.ObjectType) (seen limitsSeen, err error) {
	if seen.account, err = store.DeletionLimits(ctx); err != nil {
		return seen, err
	}
	seen.lately = make(map[record.ObjectType]crmstore.Lately, len(objects))
	for _, o := range objects {
		if seen.lately[o], err = store.DeletedLately(ctx, o, store.Now()); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// show sets the metrics, for so many live records of each type and the workflows that are on.
func (m *limitMetrics) show(seen limitsSeen, counts map[record.ObjectType]crmstore.Counts, on map[string]bounds) {
	for o, lately := range seen.lately {
		m.used.WithLabelValues(string(o)).Set(float64(lately.All.Sum()))
		m.most.WithLabelValues(string(o)).Set(float64(seen.account.Ceiling(counts[o].Live)))
	}
	for name, b := range on {
		m.ownUsed.WithLabelValues(name).Set(float64(seen.lately[b.object].Of(name).Sum()))
		m.ownMost.WithLabelValues(name).Set(float64(b.limits.Own(counts[b.object].Live)))
	}
}
