package workflow

import (
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/triggers/schedule"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

func TestLongestGap(t *testing.T) {
	t.Parallel()
	day, now := 24*time.Hour, time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	for spec, want := range map[string]time.Duration{
		"0 3 * * *":         day,
		"0 * * * *":         time.Hour,
		"* * * * *":         time.Minute,
		"0 3 * * 1":         7 * day,
		"0 3 * * 1-5":       3 * day,
		"*/10 9-16 * * 1-5": 2*day + 16*time.Hour + 10*time.Minute, // Friday 16:50 to Monday 9:00
		"0 3 1 * *":         31 * day,
		"0 0 29 2 *":        (4*365 + 1) * day,
	} {
		s, findings := schedule.Parse(diag.NewText("", spec, nil), diag.NewText("", "UTC", nil))
		if s == nil {
			t.Fatal(spec, findings)
		}
		if got := longestGap(s, now); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
	if got := longestGap(nil, time.Time{}); got != 0 {
		t.Errorf("no schedule: %s, want 0", got)
	}
}
