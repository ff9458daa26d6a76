package workflow

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// An answer that arrives after the answer to a later question changes nothing: not what may be done, and not the log.
func TestHealth_AnswersInAnotherOrder(t *testing.T) {
	t.Parallel()
	full := []crmstore.Trouble{{Code: crmstore.TroubleMemory, Message: "the store is out of memory"}}
	for _, c := range []struct {
		name         string
		early, later []crmstore.Trouble
		ends         string // what the log ends with
	}{
		{"well before, in trouble now", nil, full, crmstore.TroubleMemory},
		{"in trouble before, well now", full, nil, "the store is well again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			h := &Health{Log: slog.New(slog.NewTextHandler(&log, nil))}
			h.remember(t.Context(), h.begin(), c.early, nil)
			first, second := h.begin(), h.begin()
			h.remember(t.Context(), second, c.later, nil)
			before := log.String()
			if !strings.Contains(before[strings.LastIndex(strings.TrimSpace(before), "\n")+1:], c.ends) {
				t.Errorf("the log does not end with %q:\n%s", c.ends, before)
			}
			h.remember(t.Context(), first, c.early, nil)
			if log.String() != before {
				t.Errorf("the late answer was logged:\n%s", log.String())
			}
			if got := h.May() == nil; got != (len(c.later) == 0) {
				t.Errorf("the process may work: %t, want what the later question heard", got)
			}
		})
	}
}
