package csvfile

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// moment is a date as it is written: a clock face, and how far it is from UTC when that is said.
type moment struct {
	face   time.Time // what the calendar and the clock show, in UTC
	clock  bool      // a time of day is given
	zoned  bool      // the distance from UTC is given
	offset time.Duration
}

// day is the calendar day as written.
func (m moment) day() record.Value { return record.DateValue(m.face) }

// instant is the moment in time, with the zone for a moment that names none.
func (m moment) instant(zone *time.Location) time.Time {
	if m.zoned {
		return m.face.Add(-m.offset)
	}
	f := m.face
	return time.Date(f.Year(), f.Month(), f.Day(), f.Hour(), f.Minute(), f.Second(), f.Nanosecond(), zone)
}

const dateHelp = "write it like 2006-01-02, 2006-01-02 15:04:05 or 2006-01-02T15:04:05Z"

func badDate(s, what, help string) *problem {
	return &problem{code: BadDate, message: quote(s) + " " + what, help: help}
}

// parseDate reads a date with or without a time of day. s is trimmed and not empty.
func parseDate(s string, order DateOrder) (moment, *problem) {
	switch {
	case wholeNumber(s):
		return parseMillis(s)
	case len(s) > 4 && wholeNumber(s[:4]) && (s[4] == '-' || s[4] == '/'):
		return parseYearFirst(s)
	case s[0] >= '0' && s[0] <= '9' && strings.ContainsAny(s[:min(len(s), 3)], "/.-") && !strings.ContainsFunc(s[:min(len(s), 5)], unicode.IsLetter):
		return parseYearLast(s, order)
	default:
		return parseNamedMonth(s, order)
	}
}

func wholeNumber(s string) bool {
	if len(s) > 1 && s[0] == '-' {
		s = s[1:]
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// parseMillis reads milliseconds since 1970, and 20060102150405, which no milliseconds of our time look like. Fewer than
// 11 digits are refused, since they may as well be seconds, or a date without dashes; so are 12 that may be 200601021504.
func parseMillis(s string) (moment, *problem) {
	digits := len(strings.TrimPrefix(s, "-"))
	compact, isCompact := parseCompact(s)
	switch {
	case digits == 14 && isCompact:
		return compact, nil
	case digits == 14 && s[0] != '-':
		return moment{}, badDate(s, "is neither a date without dashes nor milliseconds of our time", dateHelp)
	case digits == 12 && isCompact:
		ms, _ := strconv.ParseInt(s, 10, 64) // 12 digits are a number
		return moment{}, badDate(s, "may be "+compact.face.Format("2006-01-02 15:04")+" or milliseconds since 1970, which is "+
			time.UnixMilli(ms).UTC().Format(time.DateOnly), dateHelp)
	case digits == 8:
		return moment{}, badDate(s, "may be a date without dashes or milliseconds", dateHelp)
	case digits == 9 || digits == 10:
		return moment{}, badDate(s, "may be seconds or milliseconds since 1970", "add 000 to make seconds milliseconds, or "+dateHelp)
	case digits < 11 || digits > 14:
		return moment{}, badDate(s, "is not a date", dateHelp)
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return moment{}, badDate(s, "is not a date", dateHelp)
	}
	return moment{face: time.UnixMilli(ms).UTC(), clock: true, zoned: true}, nil
}

// parseCompact reads 20060102150405 and 200601021504, in years that such dates are about.
func parseCompact(s string) (moment, bool) {
	layout := "20060102150405"
	if len(s) != len(layout) && len(s) != len(layout)-2 {
		return moment{}, false
	}
	t, err := time.Parse(layout[:len(s)], s)
	return moment{face: t, clock: true}, err == nil && t.Year() >= 1900 && t.Year() < 2200
}

func parseYearFirst(s string) (moment, *problem) {
	c := cursor{s: s}
	year, ok := c.number(4, 4)
	month, ok1 := c.after(s[4], 1, 2)
	day, ok2 := c.after(s[4], 1, 2)
	if !ok || !ok1 || !ok2 {
		return moment{}, badDate(s, "is not a date", dateHelp)
	}
	return c.finish(year, month, day)
}

func parseYearLast(s string, order DateOrder) (moment, *problem) {
	c := cursor{s: s}
	first, ok := c.number(1, 2)
	if !ok || c.end() {
		return moment{}, badDate(s, "is not a date", dateHelp)
	}
	sep := s[c.i]
	second, ok2 := c.after(sep, 1, 2)
	from := c.i + 1
	year, ok3 := c.after(sep, 2, 4)
	if short := c.i-from == 2; short && ok3 && order != NoOrder {
		year = fullYear(year)
	} else if c.i-from != 4 {
		ok3 = false
		if short && ok2 {
			return moment{}, asked(s, "does not say which number is the day and which is the year")
		}
	}
	if !ok2 || !ok3 {
		return moment{}, badDate(s, "is not a date", dateHelp+", with a year of four digits")
	}
	switch {
	case order == MonthDay && first > 12 && second <= 12:
		return moment{}, otherOrder(s, "the month comes first", DayMonth)
	case order == MonthDay:
		return c.finish(year, first, second)
	case order == DayMonth && second > 12 && first <= 12:
		return moment{}, otherOrder(s, "the day comes first", MonthDay)
	case order == DayMonth:
		return c.finish(year, second, first)
	}
	return moment{}, asked(s, "does not say which number is the day")
}

// otherOrder is about a date that the order of its column does not fit.
func otherOrder(s, order string, other DateOrder) *problem {
	p := badDate(s, "is no date, where "+order, fmt.Sprintf("say --date-order %s if all dates of the column are so; else %s", other, dateHelp))
	p.once = true
	return p
}

// asked is about a date that can be read in two ways.
func asked(s, what string) *problem {
	p := badDate(s, what, "say --date-order mdy or --date-order dmy, or "+dateHelp)
	p.once = true
	return p
}

// fullYear is the year that two digits mean, as POSIX has it: 69 to 99 lie before 2000.
func fullYear(year int) int {
	if year >= 69 {
		return 1900 + year
	}
	return 2000 + year
}

// parseNamedMonth reads Jan 2, 2006, 2 January 2006, 2-Jan-2006, and with an order 2-Jan-06.
func parseNamedMonth(s string, order DateOrder) (moment, *problem) {
	c := cursor{s: s}
	day, dayFirst := c.number(1, 2)
	c.apart()
	month := c.month()
	c.apart()
	ok := true
	if !dayFirst {
		day, ok = c.number(1, 2)
		c.skip(',')
		c.skip(' ')
	}
	from := c.i
	year, okYear := c.number(2, 4)
	switch digits := c.i - from; {
	case !ok || !okYear || digits == 3 || month == 0:
		return moment{}, badDate(s, "is not a date", dateHelp)
	case digits == 2 && order == NoOrder:
		return moment{}, asked(s, "does not say which number is the day and which is the year")
	case digits == 2:
		year = fullYear(year)
	}
	return c.finish(year, int(month), day)
}

// cursor reads a date piece by piece.
type cursor struct {
	s string
	i int
}

func (c *cursor) end() bool { return c.i >= len(c.s) }

func (c *cursor) skip(b byte) bool {
	if c.end() || c.s[c.i] != b {
		return false
	}
	c.i++
	return true
}

// apart passes over what stands between a day, a month's name and a year.
func (c *cursor) apart() {
	c.skip('.')
	if !c.skip('-') {
		c.skip(' ')
	}
}

// number reads as many digits as there are, and is ok when they are between least and most.
func (c *cursor) number(least, most int) (n int, ok bool) {
	from := c.i
	for !c.end() && c.s[c.i] >= '0' && c.s[c.i] <= '9' && c.i-from <= most {
		n = n*10 + int(c.s[c.i]-'0')
		c.i++
	}
	length := c.i - from
	return n, length >= least && length <= most
}

// after reads a separator and a number.
func (c *cursor) after(sep byte, least, most int) (int, bool) {
	if !c.skip(sep) {
		return 0, false
	}
	return c.number(least, most)
}

// month reads an English month, in full or its first three letters; 0 when there is none.
func (c *cursor) month() time.Month {
	from := c.i
	for !c.end() && (c.s[c.i]|0x20) >= 'a' && (c.s[c.i]|0x20) <= 'z' {
		c.i++
	}
	word := c.s[from:c.i]
	for m := time.January; m <= time.December; m++ {
		if strings.EqualFold(word, m.String()) || strings.EqualFold(word, m.String()[:3]) {
			return m
		}
	}
	return 0
}

// finish reads the time of day and the zone, if any, and checks that the day exists.
func (c *cursor) finish(year, month, day int) (moment, *problem) {
	var m moment
	var hour, minute, second, nano int
	ok := true
	if !c.end() {
		m.clock = true
		c.skip(',')
		if !c.skip('T') {
			ok = c.skip(' ')
		}
		if ok {
			hour, minute, second, nano, ok = c.clock()
		}
		if ok {
			m.offset, m.zoned, ok = c.zone()
		}
	}
	if !ok || !c.end() {
		return m, badDate(c.s, "is not a date and time", dateHelp)
	}
	if year < record.MinYear || year > record.MaxYear {
		return m, badDate(c.s, "lies outside the years 1 to 9999", "")
	}
	m.face = time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC)
	if m.face.Day() != day || int(m.face.Month()) != month {
		return m, badDate(c.s, "is a day that does not exist", dateHelp)
	}
	return m, nil
}

// clock reads 15:04, 15:04:05, 15:04:05.999 and each of them with AM or PM.
func (c *cursor) clock() (hour, minute, second, nano int, ok bool) {
	hour, ok1 := c.number(1, 2)
	minute, ok2 := c.after(':', 2, 2)
	ok = ok1 && ok2 && minute < 60
	if ok && !c.end() && c.s[c.i] == ':' {
		second, ok = c.after(':', 2, 2)
		ok = ok && second < 60
		if ok && c.skip('.') {
			from := c.i
			nano, ok = c.number(1, 9)
			for range 9 - (c.i - from) {
				nano *= 10
			}
		}
	}
	if half := c.half(); half != "" {
		ok = ok && hour >= 1 && hour <= 12
		hour %= 12
		if half == "PM" {
			hour += 12
		}
	}
	return hour, minute, second, nano, ok && hour < 24
}

// half reads AM or PM, with or without a space before it.
func (c *cursor) half() string {
	rest := strings.TrimPrefix(c.s[c.i:], " ")
	for _, h := range []string{"AM", "PM"} {
		if len(rest) >= 2 && strings.EqualFold(rest[:2], h) {
			c.i = len(c.s) - len(rest) + 2
			return h
		}
	}
	return ""
}

// zone reads Z, UTC, GMT, +01:00, +0100 or +01, with or without a space before it; nothing at all is fine.
func (c *cursor) zone() (offset time.Duration, zoned, ok bool) {
	if c.end() {
		return 0, false, true
	}
	c.skip(' ')
	switch rest := c.s[c.i:]; rest {
	case "Z", "z", "UTC", "GMT":
		c.i = len(c.s)
		return 0, true, true
	}
	sign := 1
	if c.skip('-') {
		sign = -1
	} else if !c.skip('+') {
		return 0, false, false
	}
	digits := strings.Replace(c.s[c.i:], ":", "", 1)
	z := cursor{s: digits}
	if len(digits) == 2 {
		digits += "00"
		z.s = digits
	}
	n, ok := z.number(4, 4)
	c.i = len(c.s)
	return time.Duration(sign*(n/100*60+n%100)) * time.Minute, true, ok && z.end() && n%100 < 60 && n/100 < 24
}
