package triggers

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

const (
	dayMilli = 24 * 60 * 60 * 1000
	maxDays  = 4_000_000 // about 10,000 years, longer than any two dates lie apart
)

// parseDate reads the text of date("..."): a day, which begins in zone (nil = UTC), or an instant with its
// offset. The error's text goes into a finding; help says what to write instead.
func parseDate(s string, zone *time.Location) (ms int64, help string, err error) {
	const say = `write date("2026-01-31"), or date("2026-01-31T10:00:00Z") for an instant`
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UnixMilli(), say, yearError(t)
	}
	if _, err := time.Parse("2006-01-02T15:04:05", s); err == nil {
		return 0, fmt.Sprintf("add Z for UTC, or an offset: date(%q)", s+"Z"), fmt.Errorf("%q does not say in which zone", s)
	}
	t, err := time.Parse(time.DateOnly, s)
	var bad *time.ParseError
	switch {
	case errors.As(err, &bad) && strings.Contains(bad.Message, "out of range"):
		return 0, say, fmt.Errorf("%q is not in the calendar", s)
	case err != nil:
		return 0, say, fmt.Errorf("%q is not a date", s)
	}
	if zone == nil {
		zone = time.UTC
	}
	return firstShown(t.UnixMilli(), zone), say, yearError(t)
}

func yearError(t time.Time) error {
	if y := t.UTC().Year(); y < record.MinYear || y > record.MaxYear {
		return fmt.Errorf("the year %d is out of range", y)
	}
	return nil
}

// parseDuration reads the text of duration("..."): numbers with units, such as 365d or 1h30m, in milliseconds.
func parseDuration(s string) (float64, error) {
	units := map[string]float64{"w": 7 * dayMilli, "d": dayMilli, "h": dayMilli / 24, "m": 60_000, "s": 1000, "ms": 1}
	rest, sign := strings.TrimPrefix(s, "-"), 1.0
	if rest != s {
		sign = -1
	}
	if rest == "" {
		return 0, fmt.Errorf("%q is not a duration", s)
	}
	total := 0.0
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		letters := digits + strings.IndexAny(rest[digits:]+"0", "0123456789.-")
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration", s)
		}
		unit, ok := units[rest[digits:letters]]
		switch {
		case letters == digits:
			return 0, fmt.Errorf("%q lacks a unit", s)
		case !ok:
			return 0, fmt.Errorf("%q has the unknown unit %q", s, rest[digits:letters])
		}
		total += n * unit
		rest = rest[letters:]
	}
	if total > maxDays*dayMilli {
		return 0, fmt.Errorf("%q is longer than any two dates lie apart", s)
	}
	return sign * math.Round(total), nil
}

// firstShown is the first instant at which zone's clock and calendar show a reading, or a later one. Both are in milliseconds;
// the reading is the instant at which UTC shows the same. A day begins at the first instant that shows its midnight: where
// clocks are put forward at midnight, it begins later. The result never goes down as the reading grows.
func firstShown(reading int64, zone *time.Location) int64 {
	if zone == time.UTC {
		return reading
	}
	// The instant is within 36 hours of UTC's, whatever the zone. Go through the stretches of constant offset from there on
	// and take the first instant that shows the reading.
	at := time.UnixMilli(reading).Add(-36 * time.Hour).In(zone)
	for {
		_, offset := at.Zone()
		start, end := at.ZoneBounds()
		begins := reading - int64(offset)*1000
		if !start.IsZero() {
			begins = max(begins, start.UnixMilli())
		}
		if end.IsZero() || begins < end.UnixMilli() {
			return begins
		}
		at = end.In(zone)
	}
}
