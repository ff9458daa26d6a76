package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// count is a number for people: 11908 reads 11,908.
func count[N ~int | ~int64 | ~uint64](n N) string { return diag.Thousands(int64(n)) }

// counted is a number with its noun: "1 contact", "11,908 contacts".
func counted[N ~int | ~int64 | ~uint64](n N, one, many string) string {
	return diag.Counted(n, one, many)
}

// records is a number of records of a type: "11,908 contacts".
func records[N ~int | ~int64 | ~uint64](n N, o record.ObjectType) string {
	return counted(n, string(o), o.Plural())
}

// percent is part of whole with one digit after the point where it matters: "0.4 %", "51 %".
func percent(part, whole int64) string {
	if whole <= 0 {
		return "0 %"
	}
	p := 100 * float64(part) / float64(whole)
	if p > 0 && p < 10 {
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + " %"
}

// stamp is an instant for people and programs alike: RFC 3339, to the second, in its own zone; "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// ago is how long before now t was: "3 days ago"; "in 3 hours" when it is still to come; "" for no time at all.
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return ""
	case d < 0 && d > -time.Second, d >= 0 && d < 10*time.Second:
		return "just now"
	case d < 0:
		return "in " + span(-d)
	default:
		return span(d) + " ago"
	}
}

// span is a length of time in its largest unit: "3 days".
func span(d time.Duration) string {
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= u.length {
			return counted(int64(d/u.length), u.name, u.name+"s")
		}
	}
	return counted(int64(d/time.Second), "second", "seconds")
}

// took is a duration as it was measured: "45 ms", "2.3 s", "1m32s".
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}

// parseTime reads --now and the like: RFC 3339, or a date, which is its midnight UTC.
func parseTime(flag, text string) (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			if at.Year() < record.MinYear || at.Year() > record.MaxYear {
				break
			}
			return at.UTC(), nil
		}
	}
	return time.Time{}, usagef("write it as 2026-11-23T03:00:00Z, or as 2026-11-23 for midnight UTC",
		"%s %q is not a time", flag, text)
}

// lines are the lines of a file without their ends.
func lines(text []byte) []string {
	return strings.Split(strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), "\n")
}
