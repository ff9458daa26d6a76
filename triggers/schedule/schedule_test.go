package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

func parse(spec, zone string) (*Schedule, diag.List) {
	return Parse(diag.NewText("", spec, nil), diag.NewText("", zone, nil))
}

func mustSchedule(t interface {
	Helper()
	Fatalf(string, ...any)
}, spec, zone string,
) *Schedule {
	t.Helper()
	s, findings := parse(spec, zone)
	if s == nil {
		t.Fatalf("%q %q: %v", spec, zone, findings)
	}
	return s
}

// slots lists the runs after `from` and up to `to`, both in the schedule's zone, as "02 15:04 -0700".
func slots(t *testing.T, s *Schedule, from, to string) []string {
	t.Helper()
	at, err := time.ParseInLocation(time.DateTime, from, s.Location())
	if err != nil {
		t.Fatal(err)
	}
	end, err := time.ParseInLocation(time.DateTime, to, s.Location())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for at = s.Next(at); !at.IsZero() && !at.After(end); at = s.Next(at) {
		got = append(got, at.Format("02 15:04 -0700"))
	}
	return got
}

func TestSchedule_NightsOnWhichTheClockIsMoved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, zone, spec, from, to string
		want                       string
	}{
		{
			"Amsterdam, spring: 02:30 does not exist", "Europe/Amsterdam", "30 2 * * *", "2026-03-27 12:00:00", "2026-03-30 12:00:00",
			"28 02:30 +0100, 29 03:00 +0200, 30 02:30 +0200",
		},
		{
			"Amsterdam, spring: six slots in the gap are one run", "Europe/Amsterdam", "*/10 2 * * *", "2026-03-28 03:00:00", "2026-03-30 02:00:00",
			"29 03:00 +0200, 30 02:00 +0200",
		},
		{
			"Amsterdam, spring: a slot in the gap and one at its end are one run", "Europe/Amsterdam", "0 2,3 * * *", "2026-03-28 12:00:00", "2026-03-30 02:30:00",
			"29 03:00 +0200, 30 02:00 +0200",
		},
		{
			"Amsterdam, autumn: 02:30 exists twice", "Europe/Amsterdam", "30 2 * * *", "2026-10-24 12:00:00", "2026-10-26 12:00:00",
			"25 02:30 +0200, 26 02:30 +0100",
		},
		{
			"Amsterdam, autumn: a range of hours", "Europe/Amsterdam", "0 1-4 * * *", "2026-10-24 12:00:00", "2026-10-25 12:00:00",
			"25 01:00 +0200, 25 02:00 +0200, 25 03:00 +0100, 25 04:00 +0100",
		},
		{
			"Amsterdam, autumn: hourly follows time that passes", "Europe/Amsterdam", "0 * * * *", "2026-10-25 00:30:00", "2026-10-25 04:00:00",
			"25 01:00 +0200, 25 02:00 +0200, 25 02:00 +0100, 25 03:00 +0100, 25 04:00 +0100",
		},
		{
			"Amsterdam, spring: hourly follows time that passes", "Europe/Amsterdam", "30 * * * *", "2026-03-29 00:00:00", "2026-03-29 04:00:00",
			"29 00:30 +0100, 29 01:30 +0100, 29 03:30 +0200",
		},
		{
			"Amsterdam, autumn: the other day's slot", "Europe/Amsterdam", "30 2 25 10 *", "2026-01-01 00:00:00", "2027-12-31 00:00:00",
			"25 02:30 +0200, 25 02:30 +0200",
		},
		{
			"New York, spring", "America/New_York", "30 2 * * *", "2026-03-07 12:00:00", "2026-03-09 12:00:00",
			"08 03:00 -0400, 09 02:30 -0400",
		},
		{
			"New York, autumn", "America/New_York", "30 1 * * *", "2026-10-31 12:00:00", "2026-11-02 12:00:00",
			"01 01:30 -0400, 02 01:30 -0500",
		},
		{
			"Lord Howe, spring: half an hour is missing", "Australia/Lord_Howe", "15 2 * * *", "2026-10-03 12:00:00", "2026-10-05 12:00:00",
			"04 02:30 +1100, 05 02:15 +1100",
		},
		{
			"Lord Howe, autumn: half an hour comes twice", "Australia/Lord_Howe", "45 1 * * *", "2026-04-04 12:00:00", "2026-04-06 12:00:00",
			"05 01:45 +1100, 06 01:45 +1030",
		},
		{
			"Lord Howe, autumn: hourly", "Australia/Lord_Howe", "30 * * * *", "2026-04-05 00:45:00", "2026-04-05 02:45:00",
			"05 01:30 +1100, 05 01:30 +1030, 05 02:30 +1030",
		},
		{
			"Lord Howe, spring: hourly", "Australia/Lord_Howe", "0 * * * *", "2026-10-04 00:30:00", "2026-10-04 04:00:00",
			"04 01:00 +1030, 04 03:00 +1100, 04 04:00 +1100",
		},
		{
			"Kathmandu: an odd offset", "Asia/Kathmandu", "0 3 * * *", "2026-03-28 12:00:00", "2026-03-30 12:00:00",
			"29 03:00 +0545, 30 03:00 +0545",
		},
		{
			"São Paulo 2018: midnight does not exist", "America/Sao_Paulo", "@daily", "2018-11-03 12:00:00", "2018-11-05 12:00:00",
			"04 01:00 -0200, 05 00:00 -0200",
		},
		{
			"São Paulo 2018: the day before ends twice", "America/Sao_Paulo", "30 23 * * *", "2018-02-16 12:00:00", "2018-02-18 23:45:00",
			"16 23:30 -0200, 17 23:30 -0200, 18 23:30 -0300",
		},
		{
			"Apia 2011: a whole day does not exist", "Pacific/Apia", "0 3 * * *", "2011-12-29 00:00:00", "2011-12-31 12:00:00",
			"29 03:00 -1000, 31 00:00 +1400, 31 03:00 +1400",
		},
		{
			"UTC", "", "30 2 * * *", "2026-03-28 12:00:00", "2026-03-30 12:00:00",
			"29 02:30 +0000, 30 02:30 +0000",
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(slots(t, mustSchedule(t, c.spec, c.zone), c.from, c.to), ", ")
			if got != c.want {
				t.Errorf("%s in %s\n got %s\nwant %s", c.spec, c.zone, got, c.want)
			}
		})
	}
}

func TestSchedule_LongNightsHaveTheirHours(t *testing.T) {
	t.Parallel()
	for day, want := range map[string]int{"2026-10-25": 25, "2026-03-29": 23, "2026-06-01": 24} {
		got := slots(t, mustSchedule(t, "@hourly", "Europe/Amsterdam"), day+" 00:00:00", day+" 23:59:59")
		if len(got)+1 != want { // midnight itself is not after midnight
			t.Errorf("%s has %d hourly runs, want %d", day, len(got)+1, want)
		}
	}
}

func TestSchedule_Next(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ spec, after, want string }{
		{"0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"},
		{"0 3 * * *", "2026-01-01T02:59:59.999999999Z", "2026-01-01T03:00:00Z"},
		{"0 3 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T03:00:00Z"},
		{"0 3 * * 0", "2026-01-01T00:00:00Z", "2026-01-04T03:00:00Z"},
		{"0 3 * * sat-sun", "2026-01-04T03:00:00Z", "2026-01-10T03:00:00Z"},
		{"0 3 * * 5-7", "2026-01-03T03:00:00Z", "2026-01-04T03:00:00Z"},
		{"0 3 * JAN-mar MON", "2026-03-30T03:00:00Z", "2027-01-04T03:00:00Z"},
		{"0 3 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T03:00:00Z"},
		{"0 3 13 * 5", "2026-02-13T03:00:00Z", "2026-02-20T03:00:00Z"},
		{"0 0 ? * *", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"},
		{"5/20 * * * *", "2026-01-01T00:05:00Z", "2026-01-01T00:25:00Z"},
		{"@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"},
		{"@monthly", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"},
		{" 0\t3  * * * \n", "2026-01-31T00:00:00Z", "2026-01-31T03:00:00Z"},
	} {
		after, err := time.Parse(time.RFC3339Nano, c.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := mustSchedule(t, c.spec, "UTC").Next(after).Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%q after %s: got %s, want %s", c.spec, c.after, got, c.want)
		}
	}
	if got := mustSchedule(t, "@daily", "").Next(time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)); !got.IsZero() {
		t.Errorf("after the year 9900: got %s, want the zero time", got)
	}
}

var testZones = []string{
	"UTC", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo",
	"Africa/Casablanca", "Asia/Beirut", "America/Havana", "Asia/Gaza", "Pacific/Chatham", "Antarctica/Troll",
}

// A daily workflow runs exactly once on every local day, whatever the clock does.
func TestSchedule_DailyRunsOnceADay(t *testing.T) {
	t.Parallel()
	for _, zone := range testZones {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			for _, at := range []struct{ hour, minute int }{{0, 0}, {0, 30}, {1, 59}, {2, 0}, {2, 30}, {3, 0}, {23, 59}} {
				s := mustSchedule(t, fmt.Sprintf("%d %d * * *", at.minute, at.hour), zone)
				day := time.Date(2014, 1, 1, 12, 0, 0, 0, s.Location())
				run := s.Next(time.Date(2013, 12, 31, 23, 59, 59, 0, s.Location()))
				for range 5 * 365 {
					if run.Format(time.DateOnly) != day.Format(time.DateOnly) {
						t.Fatalf("%s: the run for %s is at %s", s, day.Format(time.DateOnly), run)
					}
					run, day = s.Next(run), day.AddDate(0, 0, 1)
				}
			}
		})
	}
}

// crossed is the slow and simple reading of the promise: a slot runs at the first minute at which the
// clock shows it or has passed it; with a star as the hour, at each minute at which the clock shows it.
func crossed(s *Schedule, from, to time.Time) []time.Time {
	var runs []time.Time
	fits := func(wall time.Time) bool { return s.spec.Next(wall.Add(-time.Second)).Equal(wall) }
	furthest := reading(from, s.zone)
	for at := from.Add(time.Minute); !at.After(to); at = at.Add(time.Minute) {
		wall := reading(at, s.zone)
		if s.fields[hour].star {
			if fits(wall) {
				runs = append(runs, at)
			}
			continue
		}
		hit := false
		for furthest.Before(wall) {
			furthest = furthest.Add(time.Minute)
			hit = hit || fits(furthest)
		}
		if hit {
			runs = append(runs, at)
		}
	}
	return runs
}

func TestSchedule_AgreesWithCountingMinutes(t *testing.T) {
	t.Parallel()
	fields := []*rapid.Generator[string]{
		rapid.SampledFrom([]string{"*", "0", "30", "59", "*/15", "0,45", "10-40/10", "29/10"}),
		rapid.SampledFrom([]string{"*", "*/1", "0", "1", "2", "3", "23", "*/2", "0-3", "1,2", "0-23"}),
		rapid.SampledFrom([]string{"*", "*", "*", "1-7", "*/2", "25-31"}),
		rapid.SampledFrom([]string{"*", "*", "mar-apr", "10,11"}),
		rapid.SampledFrom([]string{"*", "*", "*", "7", "sat-sun", "0-7", "1-5"}),
	}
	rapid.Check(t, func(t *rapid.T) {
		words := make([]string, len(fields))
		for i, f := range fields {
			words[i] = f.Draw(t, fieldKinds()[i].name)
		}
		s := mustSchedule(t, strings.Join(words, " "), rapid.SampledFrom(testZones).Draw(t, "zone"))
		// Two days around a move of the clock, or somewhere else where there is none.
		from := time.Date(rapid.IntRange(2008, 2032).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 1, 0, 0, 0, 0, time.UTC)
		if _, end := from.In(s.zone).ZoneBounds(); !end.IsZero() {
			from = end.Add(-12 * time.Hour)
		}
		from = from.Truncate(time.Minute).Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(t, "minutes")) * time.Minute)
		to := from.Add(36 * time.Hour)
		// Readings on the second pass of an hour are behind those of the first; begin where they are not.
		if reading(from.Add(-3*time.Hour), s.zone).Add(3 * time.Hour).After(reading(from, s.zone)) {
			t.Skip("begins on a second pass")
		}
		var got []time.Time
		for at := s.Next(from); !at.IsZero() && !at.After(to); at = s.Next(at) {
			got = append(got, at)
		}
		if diff := cmp.Diff(crossed(s, from, to), got, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Fatalf("%s after %s (-want +got):\n%s", s, from, diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, spec := range []string{
		"0 3 * * *", "TZ=0", "CRON_TZ=", "TZ=Europe/Paris", "TZ=UTC 0 3 * * *", "@every 0s", "@daily", "*/70 * * * *", "0 0 31 2 *", "* * * * 7",
		"1-2-3 * * * *", "*-5 * * * *", "1/2/3 * * * *", ",, * * * *", "-1 * * * *", "0 3 * * fri-mon", "99999999999999999999 * * * *", "*/0 * * * *",
	} {
		f.Add(spec, "Europe/Amsterdam", int64(1774742400))
	}
	f.Add("@hourly", "Local", int64(-62135596800))
	f.Fuzz(func(t *testing.T, spec, zone string, unix int64) {
		s, findings := parse(spec, zone)
		if (s == nil) != findings.HasErrors() {
			t.Fatalf("schedule %v with findings %v", s, findings)
		}
		if s == nil {
			return
		}
		began := time.Now()
		at := time.Unix(unix%200_000_000_000, 0)
		for range 5 {
			next := s.Next(at)
			if next.IsZero() {
				break
			}
			if !next.After(at) || next.Second() != 0 && next.Year() > 1972 {
				t.Fatalf("%s: the slot after %s is %s", s, at, next)
			}
			at = next
		}
		if s.Describe() == "" || time.Since(began) > time.Second {
			t.Fatalf("%s took %s", s, time.Since(began))
		}
	})
}
