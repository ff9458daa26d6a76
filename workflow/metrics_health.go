package workflow

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// newTroubles is the metric of the store's troubles, with every one of them at 0.
func newTroubles() *prometheus.GaugeVec {
	troubles := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "crmstore_trouble",
		Help: "1 while this daemon does nothing because the store is in trouble, by what is wrong; see the log for the words.",
	}, []string{"trouble"})
	for _, code := range troubleCodes() {
		troubles.WithLabelValues(code)
	}
	return troubles
}

func troubleCodes() []string {
	return append(crmstore.TroubleCodes(), TroubleUnreachable, TroubleNotAUser)
}

// inTrouble shows which troubles there are.
func (m *Metrics) inTrouble(codes map[string]bool) {
	if m == nil {
		return
	}
	for _, code := range troubleCodes() {
		value := 0.0
		if codes[code] {
			value = 1
		}
		m.troubles.WithLabelValues(code).Set(value)
	}
}
