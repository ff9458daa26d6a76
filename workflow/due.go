package workflow

import (
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

const (
	// punctual is how late a slot may be started and still counts as on time. A later one was missed: no daemon
	// ran, the store was away, or an earlier run was not over.
	punctual = time.Minute
	// lookBack bounds how far back slots are counted. It is longer than a year, so that a yearly slot is found.
	lookBack = 400 * 24 * time.Hour
)

// slots is a schedule; *schedule.Schedule is one.
type slots interface {
	Next(after time.Time) time.Time
}

// due is what is to be done about a workflow at one moment.
type due struct {
	slot   time.Time // the newest slot that has passed and was not dealt with; zero = none
	run    bool      // start a run for it; otherwise it is only noted
	missed int       // slots that get no run
}

// dueAt decides. Slots count from the last one dealt with, and never from before the workflow was switched on
// or its current revision published: nothing old is replayed. Of several that have passed only the newest can run.
func dueAt(s slots, w crmstore.Workflow, missed definition.Missed, now time.Time) due {
	if s == nil || !w.On {
		return due{}
	}
	from := w.SwitchedAt
	for _, t := range []time.Time{w.PublishedAt, w.LastSlot, now.Add(-lookBack)} {
		if t.After(from) {
			from = t
		}
	}
	var d due
	passed := 0
	for at := s.Next(from); !at.IsZero() && !at.After(now); at = s.Next(at) {
		d.slot = at
		passed++
	}
	switch {
	case passed == 0:
	case missed == definition.MissedSkip && now.Sub(d.slot) > punctual:
		d.missed = passed
	default:
		d.run, d.missed = true, passed-1
	}
	return d
}
