package triggers

import (
	"time"

	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// Schedule is when a workflow runs: a cron spec on the clock of a time zone.
type Schedule struct {
	spec string
	zone *time.Location
}

// ParseSchedule checks a cron spec and the name of a time zone ("" = UTC). The schedule is nil exactly
// when the findings hold an error.
func ParseSchedule(cron, zone diag.Text) (*Schedule, diag.List) {
	return nil, diag.List{cron.Finding(diag.BadCron, 0, len(cron.Value), "schedules are not built yet", "")}
}

// Next is the first slot strictly after an instant; the zero time when there is none.
func (s *Schedule) Next(after time.Time) time.Time { return time.Time{} }

// Location is the zone whose clock the schedule follows.
func (s *Schedule) Location() *time.Location { return s.zone }

// String is the spec as written, and the zone.
func (s *Schedule) String() string { return s.spec + " " + s.zone.String() }

// Describe says in words when the schedule runs.
func (s *Schedule) Describe() string { return s.String() }
