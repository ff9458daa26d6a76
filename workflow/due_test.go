package workflow

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/triggers/schedule"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

func parseSchedule(t *testing.T, cron, zone string) *schedule.Schedule {
	t.Helper()
	s, list := schedule.Parse(diag.NewText("test", cron, nil), diag.NewText("test", zone, nil))
	if s == nil {
		t.Fatalf("schedule %q %q: %v", cron, zone, list)
	}
	return s
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

func TestDueAt(t *testing.T) {
	t.Parallel()
	type when struct{ switched, published, last, now string }
	for _, tt := range []struct {
		name       string
		cron, zone string
		missed     definition.Missed
		off        bool
		when       when
		slot       string // "" = nothing is due
		run        bool
		skipped    int
	}{
		{name: "before the first slot", cron: "0 3 * * *", when: when{switched: "2026-11-23T12:00:00Z", now: "2026-11-24T02:59:59Z"}},
		{name: "at the slot", cron: "0 3 * * *", when: when{switched: "2026-11-23T12:00:00Z", now: "2026-11-24T03:00:00Z"}, slot: "2026-11-24T03:00:00Z", run: true},
		{name: "dealt with already", cron: "0 3 * * *", when: when{switched: "2026-11-23T12:00:00Z", last: "2026-11-24T03:00:00Z", now: "2026-11-24T03:00:05Z"}},
		{name: "switched off", cron: "0 3 * * *", off: true, when: when{switched: "2026-11-23T12:00:00Z", now: "2026-11-24T03:00:00Z"}},
		{name: "switched on later the same day: not replayed", cron: "0 3 * * *", when: when{switched: "2026-11-24T03:00:01Z", last: "2026-11-20T03:00:00Z", now: "2026-11-24T10:00:00Z"}},
		{name: "switched on at the very slot: counts from the next", cron: "0 3 * * *", when: when{switched: "2026-11-24T03:00:00Z", now: "2026-11-24T03:00:01Z"}},
		{name: "a new revision does not replay its slots", cron: "0 * * * *", when: when{switched: "2026-11-01T00:00:00Z", last: "2026-11-24T03:00:00Z", published: "2026-11-24T10:30:00Z", now: "2026-11-24T10:31:00Z"}},
		{name: "once: three missed become one run", cron: "0 3 * * *", missed: definition.MissedOnce, when: when{switched: "2026-11-01T00:00:00Z", last: "2026-11-20T03:00:00Z", now: "2026-11-23T09:00:00Z"}, slot: "2026-11-23T03:00:00Z", run: true, skipped: 2},
		{name: "skip: three missed, none runs", cron: "0 3 * * *", missed: definition.MissedSkip, when: when{switched: "2026-11-01T00:00:00Z", last: "2026-11-20T03:00:00Z", now: "2026-11-23T09:00:00Z"}, slot: "2026-11-23T03:00:00Z", skipped: 3},
		{name: "skip: a minute late is on time", cron: "0 3 * * *", missed: definition.MissedSkip, when: when{switched: "2026-11-01T00:00:00Z", last: "2026-11-22T03:00:00Z", now: "2026-11-23T03:01:00Z"}, slot: "2026-11-23T03:00:00Z", run: true},
		{name: "skip: more is missed", cron: "0 3 * * *", missed: definition.MissedSkip, when: when{switched: "2026-11-01T00:00:00Z", last: "2026-11-22T03:00:00Z", now: "2026-11-23T03:01:01Z"}, slot: "2026-11-23T03:00:00Z", skipped: 1},
		{name: "skip: the newest is on time, older ones are missed", cron: "0 3 * * *", missed: definition.MissedSkip, when: when{switched: "2026-11-01T00:00:00Z", last: "2026-11-20T03:00:00Z", now: "2026-11-23T03:00:10Z"}, slot: "2026-11-23T03:00:00Z", run: true, skipped: 2},
		{name: "a yearly slot is caught up months later", cron: "0 3 1 1 *", missed: definition.MissedOnce, when: when{switched: "2025-06-01T00:00:00Z", now: "2026-11-23T00:00:00Z"}, slot: "2026-01-01T03:00:00Z", run: true},
		{name: "Amsterdam, the night without 02:30: one run", cron: "30 2 * * *", zone: "Europe/Amsterdam", when: when{switched: "2026-03-28T12:00:00Z", now: "2026-03-29T23:00:00Z"}, slot: "2026-03-29T01:00:00Z", run: true},
		{name: "Amsterdam, the night with two 02:30: the first", cron: "30 2 * * *", zone: "Europe/Amsterdam", when: when{switched: "2026-10-24T12:00:00Z", now: "2026-10-25T00:30:00Z"}, slot: "2026-10-25T00:30:00Z", run: true},
		{name: "Amsterdam, the second 02:30: nothing", cron: "30 2 * * *", zone: "Europe/Amsterdam", when: when{switched: "2026-10-24T12:00:00Z", last: "2026-10-25T00:30:00Z", now: "2026-10-25T12:00:00Z"}},
		{name: "the clock went back before the last slot", cron: "0 3 * * *", when: when{switched: "2026-11-01T00:00:00Z", last: "2026-11-23T03:00:00Z", now: "2026-11-22T04:00:00Z"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			at := func(s string) time.Time {
				if s == "" {
					return time.Time{}
				}
				return instant(t, s)
			}
			w := crmstore.Workflow{On: !tt.off, SwitchedAt: at(tt.when.switched), PublishedAt: at(tt.when.published), LastSlot: at(tt.when.last)}
			got := dueAt(parseSchedule(t, tt.cron, tt.zone), w, tt.missed, at(tt.when.now))
			want := due{slot: at(tt.slot), run: tt.run, missed: tt.skipped}
			got.slot = got.slot.UTC()
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// A daemon that was away for longer than slots are looked back for must not take minutes to start.
func TestDueAt_LookingBackIsBounded(t *testing.T) {
	t.Parallel()
	var s counting
	now := instant(t, "2026-11-23T12:00:00Z")
	got := dueAt(&s, crmstore.Workflow{On: true}, definition.MissedOnce, now)
	if want := int(lookBack / time.Hour); got.missed != want-1 || s.calls > want+1 {
		t.Errorf("missed %d slots in %d calls, want %d slots", got.missed, s.calls, want-1)
	}
	if diff := cmp.Diff(now, got.slot); diff != "" {
		t.Errorf("slot (-want +got):\n%s", diff)
	}
}

// counting has a slot every hour.
type counting struct{ calls int }

func (c *counting) Next(after time.Time) time.Time {
	c.calls++
	return after.Truncate(time.Hour).Add(time.Hour)
}
