package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Describe says in plain English when the schedule runs, such as "every day at 03:00
// Europe/Amsterdam". A spec that has no short sentence is given as it is written.
func (s *Schedule) Describe() string {
	when := s.days()
	at := s.times()
	if when == "" || at == "" {
		return "cron " + strconv.Quote(s.text) + " " + s.zone.String()
	}
	if strings.HasPrefix(at, "every") {
		if when == "every day" {
			return at + " " + s.zone.String()
		}
		return at + ", " + when + ", " + s.zone.String()
	}
	return when + " at " + at + " " + s.zone.String()
}

// times is the part of a sentence that minute and hour give; "" when it would be long.
func (s *Schedule) times() string {
	minutes, hours := s.fields[minute].values(), s.fields[hour].values()
	even := s.fields[minute].step > 0 && 60%s.fields[minute].step == 0
	switch {
	case s.fields[hour].star && s.fields[minute].star:
		return "every minute"
	case s.fields[hour].star && even:
		return fmt.Sprintf("every %d minutes", s.fields[minute].step)
	case len(minutes) != 1:
		return ""
	case s.fields[hour].star:
		return fmt.Sprintf("every hour at :%02d", minutes[0])
	case s.fields[hour].step > 0 && 24%s.fields[hour].step == 0:
		return fmt.Sprintf("every %d hours from %02d:%02d", s.fields[hour].step, hours[0], minutes[0])
	case len(hours) > 4:
		return ""
	}
	clock := make([]string, len(hours))
	for i, h := range hours {
		clock[i] = fmt.Sprintf("%02d:%02d", h, minutes[0])
	}
	return enumerated(clock)
}

// days is the part of a sentence that the other three fields give; "" when it would be long.
func (s *Schedule) days() string {
	dates, weekdays, months := s.fields[monthDay].values(), s.fields[weekDay].values(), s.fields[month].values()
	anyDate, anyDay := s.fields[monthDay].star, s.fields[weekDay].star || len(weekdays) == 7
	switch {
	case anyDate && anyDay && s.fields[month].star:
		return "every day"
	case anyDate && s.fields[month].star:
		return "every " + weekdayNames(weekdays)
	case anyDay && len(dates) == 1 && s.fields[month].star:
		return "on the " + ordinal(dates[0]) + " of every month"
	case anyDay && len(dates) == 1 && len(months) == 1:
		return fmt.Sprintf("every year on %d %s", dates[0], time.Month(months[0]))
	}
	return ""
}

func weekdayNames(days []int) string {
	if len(days) == 5 && days[0] == 1 && days[4] == 5 {
		return "weekday (Monday to Friday)"
	}
	names := make([]string, len(days))
	for i, d := range days {
		names[i] = time.Weekday(d).String()
	}
	return enumerated(names)
}

func enumerated(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

func ordinal(n int) string {
	suffix := "th"
	if n/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}
