package triggers

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Comparisons of calendar functions with something fixed are answered by columns alone, or but for what cannot be reckoned.
func TestCalendarIsAnsweredByColumns(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`monthsSince(contact.createdate) > 24`:                                     ByColumns,
		`monthsSince(contact.createdate) in [1, 2]`:                                ByColumns,
		`contact.createdate < monthsAgo(24)`:                                       ByColumns,
		`yearsAgo(2) > contact.closedate`:                                          ByColumns,
		`daysBetween(contact.createdate, now) == 1`:                                ByColumns,
		`!(daysBetween(today, contact.closedate) < -1)`:                            ByColumns,
		`dayOf(contact.createdate) == date("2026-03-29")`:                          ByColumns,
		`dayOf(contact.createdate) in [today, dayOf(daysAgo(1))]`:                  ByColumns,
		`monthsSince(contact.createdate ?? contact.closedate) > 3`:                 ByBoth,
		`daysBetween(contact.createdate, contact.closedate) == 0`:                  ByBoth,
		`monthsAgo(contact.num_associated_deals) < date("2026-01-31")`:             ByBoth,
		`number(contact.zip) > 3`:                                                  ByRecords,
		`contact.lifecyclestage == "lead" && domain(contact.email) == "x.example"`: ByBoth,
	} {
		if got := matcher(t, []string{source}, nil).Plan().Mode; got != want {
			t.Errorf("%s is answered by %s, want %s", source, got, want)
		}
	}
}

// calendarZones put their clocks forward or back at midnight, over midnight, by a day, by half an hour, or never.
var calendarZones = []string{
	"UTC", "Europe/Amsterdam", "America/New_York", "America/St_Johns", "America/Havana", "Asia/Beirut", "Pacific/Apia",
	"America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Nuuk",
}

// TestCalendar holds what the functions of the calendar promise for any two instants, also beside those at which clocks change.
func TestCalendar(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		z := zone(t, rapid.SampledFrom(calendarZones).Draw(rt, "zone"))
		instant := func() time.Time {
			at := time.UnixMilli(rapid.Int64Range(0, 2_000_000_000_000).Draw(rt, "instant")).In(z)
			if _, end := at.ZoneBounds(); rapid.Bool().Draw(rt, "beside a change") && !end.IsZero() {
				at = end.Add(time.Duration(rapid.IntRange(-180, 180).Draw(rt, "minutes")) * time.Minute)
			}
			return at.In(z)
		}
		now, a, b := instant(), instant(), instant()
		e := newEnv(Vocabulary{Schema: testSchema(), Zone: z}, now, pZip)
		x, y := float64(a.UnixMilli()), float64(b.UnixMilli())
		if x > y {
			a, b, x, y = b, a, y, x
		}

		if e.dayNumber(x) > e.dayNumber(y) || e.dayOf(x) > e.dayOf(y) || e.monthsSince(x) < e.monthsSince(y) {
			rt.Fatalf("%s is before %s, and the calendar goes back", a, b)
		}
		if start := e.dayOf(x); start > x || e.dayOf(start) != start || e.day(int64(e.dayNumber(x)+1)*dayMilli) <= x {
			rt.Fatalf("%s begins its day at %s", a, time.UnixMilli(int64(start)).In(z))
		}
		if n := e.monthsSince(x); x > e.monthsAgo(n) || x <= e.monthsAgo(n+1) {
			rt.Fatalf("%s is %g months before %s", a, n, now)
		}
		if e.today != e.dayOf(e.now) || e.monthsAgo(0) != e.now {
			rt.Fatalf("%s: today is %g, no months ago is %g", now, e.today, e.monthsAgo(0))
		}
		n := rapid.IntRange(-30, 30).Draw(rt, "months")
		ago := time.UnixMilli(int64(e.monthsAgo(float64(n)))).In(z)
		if want := now.Year()*12 + int(now.Month()) - n; n != 0 && ago.Year()*12+int(ago.Month()) != want || ago.Day() > now.Day() && ago.Sub(ago.Truncate(time.Hour)) > 0 && n != 0 && !afterGap(ago) {
			rt.Fatalf("%d months before %s is %s", n, now, ago)
		}
		if e.monthsAgo(float64(n)) <= e.monthsAgo(float64(n+1)) {
			rt.Fatalf("%d months before %s is not after %d", n, now, n+1)
		}
	})
}

// afterGap reports whether clocks were put forward at an instant.
func afterGap(at time.Time) bool {
	start, _ := at.ZoneBounds()
	return start.Equal(at)
}

// The last day of a month stands for those that the month lacks.
func TestMonthsAgo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone, now string
		months    float64
		want      string
	}{
		{"UTC", "2026-01-31T10:00:00Z", 1, "2025-12-31T10:00:00Z"},
		{"UTC", "2026-03-31T10:00:00Z", 1, "2026-02-28T10:00:00Z"},
		{"UTC", "2028-03-31T10:00:00Z", 1, "2028-02-29T10:00:00Z"},
		{"UTC", "2028-02-29T10:00:00Z", 12, "2027-02-28T10:00:00Z"},
		{"UTC", "2028-02-29T10:00:00Z", 48, "2024-02-29T10:00:00Z"},
		{"UTC", "2026-05-31T10:00:00Z", -1, "2026-06-30T10:00:00Z"},
		{"UTC", "2026-05-31T10:00:00Z", 1.5, "2026-04-30T10:00:00Z"},
		{"UTC", "2026-05-31T10:00:00.123Z", 0, "2026-05-31T10:00:00.123Z"},
		{"Europe/Amsterdam", "2026-07-01T00:30:00+02:00", 6, "2026-01-01T00:30:00+01:00"},
		{"Europe/Amsterdam", "2026-04-29T02:30:00+02:00", 1, "2026-03-29T03:00:00+02:00"},
		{"Europe/Amsterdam", "2026-11-25T02:30:00+01:00", 1, "2026-10-25T02:30:00+02:00"},
		{"Europe/Amsterdam", "2026-10-25T02:30:00+01:00", 0, "2026-10-25T02:30:00+01:00"},
		{"Pacific/Apia", "2012-01-30T10:00:00+14:00", 1, "2011-12-31T00:00:00+14:00"},
	} {
		e := newEnv(Vocabulary{Schema: testSchema(), Zone: zone(t, c.zone)}, at(t, c.now), pZip)
		if got := time.UnixMilli(int64(e.monthsAgo(c.months))); !got.Equal(at(t, c.want)) {
			t.Errorf("%g months before %s is %s in %s, want %s", c.months, c.now, got.In(e.zone).Format(time.RFC3339Nano), c.zone, c.want)
		}
	}
}

// TestWhyAndExplain_Functions holds that the functions stand in both as they were written, with the values that they saw.
func TestWhyAndExplain_Functions(t *testing.T) {
	t.Parallel()
	f := plain(t, 10, 1)
	sources := []string{
		`monthsSince(contact.createdate) > 24`, `contact.createdate < yearsAgo(2)`, `daysBetween(contact.closedate, now) == 1`,
		`dayOf(contact.notes_last_updated) == today`, `domain(contact.email) == "example.com"`, `number(contact.zip, "comma") > 3`, `number(contact.zip) > 3`,
	}
	m := matcher(t, []string{sources[0] + " && " + sources[1] + " && " + sources[2] + " && " + sources[3] + " && " + sources[4] + " && " + sources[5] + " && " + sources[6]}, nil)
	x, err := m.Explain(t.Context(), f, record.Contact, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	why, err := m.Why(t.Context(), f, record.Contact, 3)
	if err != nil {
		t.Fatal(err)
	}
	var explained, answered []string
	for i, c := range x.Expressions[0].Conditions {
		explained, answered = append(explained, c.Text), append(answered, why.Expressions[0].Conditions[i].Text)
		if c.Text == sources[4] && (c.Keeps != 10 || why.Expressions[0].Conditions[i].Values[0].Value != "c2@example.com") {
			t.Errorf("%s keeps %d, and saw %v", c.Text, c.Keeps, why.Expressions[0].Conditions[i].Values)
		}
	}
	if !slices.Equal(explained, sources) || !slices.Equal(answered, sources) {
		t.Errorf("explain has %q, why %q", explained, answered)
	}
}
