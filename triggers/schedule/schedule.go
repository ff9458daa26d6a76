package schedule

import (
	"time"

	"github.com/robfig/cron/v3"

	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// Schedule is when a workflow runs: a cron spec on the clock of a time zone. A Schedule is made by
// [Parse], never changes, and is safe for concurrent use.
//
// # Nights on which the clock is moved
//
// A spec whose hour is restricted (`30 2 * * *`, `0 */6 * * *`, @daily) names slots on the local
// calendar, and each slot runs exactly once:
//
//   - A slot that the clock jumps over runs at the moment the jump lands on. 02:30 in Amsterdam on the
//     last Sunday of March is 03:00 summer time. Several slots in one jump are one run.
//   - A slot that the clock shows twice runs the first time.
//
// So a daily workflow has one run on every day, on both nights too. (Where a whole day was left out,
// such as 30 December 2011 in Apia, its slot runs when the next day begins.)
//
// A spec whose hour is * (`0 * * * *`, `*/15 * * * *`, @hourly) is about the time that passes: it runs
// whenever the clock shows a fitting time. The day that is an hour longer has 25 hourly runs, the one
// that is shorter has 23. Where the clock moves by half an hour (Lord Howe), one gap of an hourly
// schedule is 30 or 90 minutes long on those days.
type Schedule struct {
	text   string // as written, with single spaces
	fields []field
	spec   cron.SpecSchedule // finds slots on a clock that is never moved
	zone   *time.Location
}

// Parse checks a cron spec and the name of a time zone ("" = UTC). The schedule is nil exactly
// when the findings hold an error; the findings carry the places of cron and zone.
//
// A spec has five fields, or is one of @hourly, @daily (@midnight), @weekly, @monthly, @yearly
// (@annually). Sunday is 0 or 7. `?` is accepted for a day, and means *.
func Parse(cronText, zone diag.Text) (*Schedule, diag.List) {
	location, findings := parseZone(zone)
	s, more := parseSpec(cronText)
	findings = append(findings, more...)
	if findings.HasErrors() {
		return nil, findings
	}
	s.zone = location
	return s, findings
}

// parseSpec checks a cron spec; the schedule is nil exactly when the findings hold an error.
func parseSpec(text diag.Text) (*Schedule, diag.List) {
	words := wordsOf(text)
	if refused := refuseSpec(text, words); refused != nil {
		return nil, refused
	}
	s := &Schedule{}
	var findings diag.List
	if alias, ok := aliases()[words[0].Value]; ok {
		s.text = words[0].Value
		words = wordsOf(diag.NewText(text.File, alias, func(int) diag.Pos { return text.Pos(0) }))
	} else {
		s.text = joined(words)
	}
	for i, kind := range fieldKinds() {
		f, found := parseField(kind, words[i])
		findings = append(findings, found...)
		s.fields = append(s.fields, f)
	}
	if findings.HasErrors() {
		return nil, findings
	}
	s.spec = cron.SpecSchedule{
		Second: 1 << 0, Minute: s.fields[minute].bits(), Hour: s.fields[hour].bits(),
		Dom: s.fields[monthDay].bits(), Month: s.fields[month].bits(), Dow: s.fields[weekDay].bits(),
		Location: time.UTC,
	}
	// The year does not matter, as long as a leap year is near.
	if s.wall(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, append(findings, never(words))
	}
	return s, append(findings, surprises(words, s.fields)...)
}

// Location is the zone whose clock the schedule follows.
func (s *Schedule) Location() *time.Location { return s.zone }

// String is the spec as written and the zone: "0 3 * * * Europe/Amsterdam".
func (s *Schedule) String() string { return s.text + " " + s.zone.String() }

// Next is the first slot strictly after an instant, on the schedule's clock; the zero time when there
// is none within ten years.
func (s *Schedule) Next(after time.Time) time.Time {
	if y := after.Year(); y < 0 || y > 9900 {
		return time.Time{}
	}
	if s.fields[hour].star {
		return s.nextShown(after)
	}
	return s.nextOnce(after)
}

// nextOnce finds the next slot of a spec whose slots run once each. The clock's reading at `after` is
// where to begin: an earlier slot was crossed before. On the second pass of an hour that comes twice,
// slots that were crossed on the first pass come up again and are left out.
func (s *Schedule) nextOnce(after time.Time) time.Time {
	for slot := s.wall(reading(after, s.zone)); !slot.IsZero(); slot = s.wall(slot) {
		if at := crossing(slot, s.zone); at.After(after) {
			return at
		}
	}
	return time.Time{}
}

// nextShown finds the next instant at which the clock shows a fitting time, one stretch between two
// moves of the clock after the other.
func (s *Schedule) nextShown(after time.Time) time.Time {
	from, start := reading(after, s.zone), after
	for {
		slot := s.wall(from)
		if slot.IsZero() {
			return time.Time{}
		}
		local := start.In(s.zone)
		_, offset := local.Zone()
		_, end := local.ZoneBounds()
		at := slot.Add(-time.Duration(offset) * time.Second)
		if end.IsZero() || at.Before(end) {
			return at.In(s.zone)
		}
		start = end
		from = reading(end, s.zone).Add(-1)
	}
}

// wall is the next fitting time on a clock that is never moved; the zero time when there is none
// within ten years. Clock readings are kept as instants of UTC.
func (s *Schedule) wall(after time.Time) time.Time {
	for range 3 {
		if next := s.spec.Next(after); !next.IsZero() {
			return next
		}
		// The library looks five years ahead, and from one 29 February to the next it can be eight.
		after = time.Date(after.Year()+5, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Time{}
}

// reading is what the zone's clock shows at an instant.
func reading(at time.Time, zone *time.Location) time.Time {
	_, offset := at.In(zone).Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}

// crossing is the first instant at which the zone's clock shows the slot or has jumped over it.
func crossing(slot time.Time, zone *time.Location) time.Time {
	// No zone was ever 16 hours from UTC, so at this instant the slot is still to come.
	for start := slot.Add(-16 * time.Hour); ; {
		local := start.In(zone)
		_, offset := local.Zone()
		_, end := local.ZoneBounds()
		at := slot.Add(-time.Duration(offset) * time.Second)
		switch {
		case at.Before(start):
			return local
		case end.IsZero() || at.Before(end):
			return at.In(zone)
		}
		start = end
	}
}
