package triggers

import (
	"math"
	"time"
)

// This file counts days and months as the calendar of the workflow's zone does.

// maxMonths is how far monthsAgo goes: 10,000 years, longer than any two dates lie apart.
const maxMonths = 12 * 10_000

// inCalendar moves an instant that the store does not take to the nearest end, so that no calendar arithmetic runs over.
func inCalendar(x float64) int64 {
	const margin = 2 * dayMilli // for zones, and for the day after
	return int64(min(max(x, float64(firstDay+margin)), float64(lastDay-margin)))
}

// dayNumber is the calendar day of an instant, counted from 1 January 1970. It never goes down as time goes on, also where a
// clock is put back over midnight: the day that began goes on. Infinity stays, which stands for unknown.
func (e *env) dayNumber(x float64) float64 {
	if math.IsInf(x, 0) {
		return x
	}
	at := inCalendar(x)
	number := floorDiv(at+offset(at, e.zone), dayMilli)
	if e.day((number+1)*dayMilli) <= float64(at) {
		number++
	}
	return float64(number)
}

// dayOf is the first instant of an instant's day.
func (e *env) dayOf(x float64) float64 {
	number := e.dayNumber(x)
	if math.IsInf(number, 0) {
		return number
	}
	return e.day(int64(number) * dayMilli)
}

// monthsAgo is now minus n months, rounded down, at the same time of day. It is infinite beyond maxMonths.
func (e *env) monthsAgo(n float64) float64 {
	switch n = math.Floor(n); {
	case n > maxMonths:
		return math.Inf(-1)
	case n < -maxMonths:
		return math.Inf(1)
	}
	return e.monthsBack(int64(n))
}

// monthsBack is now minus n months. A day that the month lacks becomes its last one, and a time that the clock leaves out on
// that day the one after it. It only goes down as n grows.
func (e *env) monthsBack(n int64) float64 {
	if n == 0 {
		return e.now // also on the second pass of an hour that comes twice
	}
	now := int64(e.now)
	wall := time.UnixMilli(now + offset(now, e.zone)).UTC()
	y, m, d := wall.Date()
	first := time.Date(y, m-time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	timeOfDay := now + offset(now, e.zone) - time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMilli()
	return float64(firstShown(first.AddDate(0, 0, min(d, last)-1).UnixMilli()+timeOfDay, e.zone))
}

// monthsSince is the number of whole months from an instant until now: the largest n for which the instant is not after
// monthsAgo(n). So monthsSince(x) >= n and x <= monthsAgo(n) say the same.
func (e *env) monthsSince(x float64) float64 {
	if math.IsInf(x, 0) {
		return -x
	}
	at, now := inCalendar(x), int64(e.now)
	n := monthNumber(now+offset(now, e.zone)) - monthNumber(at+offset(at, e.zone))
	passed := func(n int64) bool { return float64(at) <= e.monthsBack(n) }
	for passed(n + 1) {
		n++
	}
	for !passed(n) {
		n--
	}
	return float64(n)
}

// monthNumber counts the months of a clock's reading.
func monthNumber(reading int64) int64 {
	y, m, _ := time.UnixMilli(reading).UTC().Date()
	return int64(y)*12 + int64(m)
}

// offset is what zone's clock is ahead of UTC at an instant, in milliseconds.
func offset(at int64, zone *time.Location) int64 {
	if zone == time.UTC {
		return 0
	}
	_, seconds := time.UnixMilli(at).In(zone).Zone()
	return int64(seconds) * 1000
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
