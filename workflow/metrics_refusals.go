package workflow

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// storeRefusals shows what the store counts: every process that uses it adds to the same numbers, and they stay when
// this one starts again.
type storeRefusals struct {
	desc *prometheus.Desc

	mu     sync.Mutex
	counts map[string]int64 // as read last; nil = not yet
}

func newStoreRefusals() *storeRefusals {
	return &storeRefusals{desc: prometheus.NewDesc("crmstore_refusals_total",
		"Times a user was refused for lack of a permission, since the account was made; user = not a user of the account.",
		[]string{"permission"}, nil)}
}

// Describe is part of prometheus.Collector.
func (r *storeRefusals) Describe(ch chan<- *prometheus.Desc) { ch <- r.desc }

// Collect is part of prometheus.Collector. Before the first reading there is nothing to say.
func (r *storeRefusals) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for word, n := range r.counts {
		ch <- prometheus.MustNewConstMetric(r.desc, prometheus.CounterValue, float64(n), word)
	}
}

// readDenied asks the store. Permissions that no user lacked yet are there at zero.
func readDenied(ctx context.Context, store *crmstore.Store) (map[string]int64, error) {
	now, err := store.Refusals(ctx)
	if err != nil {
		return nil, fmt.Errorf("count refusals: %w", err)
	}
	counts := map[string]int64{crmstore.NotAUser: 0}
	for _, p := range crmstore.Permissions() {
		counts[string(p)] = 0
	}
	maps.Copy(counts, now)
	return counts, nil
}

// show takes what was read.
func (r *storeRefusals) show(counts map[string]int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts = counts
}
