package outbox

import (
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// Attempts come ever more seldom, from minutes to once a day, and end after 14 days.
func TestNextAttempt(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	m := crmstore.Mail{CreatedAt: at}
	var waits []time.Duration
	for {
		m.Attempts++
		next := nextAttempt(m, at)
		if next.IsZero() {
			break
		}
		if len(waits) > 100 {
			t.Fatal("it is never given up")
		}
		waits = append(waits, next.Sub(at))
		at = next
	}
	if waits[0] != time.Minute || waits[1] != 2*time.Minute || waits[len(waits)-1] != 24*time.Hour {
		t.Errorf("waits: %v", waits)
	}
	for i := 1; i < len(waits); i++ {
		if waits[i] < waits[i-1] || waits[i] > 2*waits[i-1] {
			t.Errorf("wait %d is %v after %v", i, waits[i], waits[i-1])
		}
	}
	if lasted := at.Sub(m.CreatedAt); lasted < giveUpAfter || lasted > giveUpAfter+24*time.Hour {
		t.Errorf("given up after %v", lasted)
	}
}
