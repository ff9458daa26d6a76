package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

const fiveFields = `write five fields: minute, hour, day, month, day of the week; "0 3 * * *" is every day at 03:00`

// longestSpec keeps messages short that quote a spec; minutes, hours and days written out one by one fit.
const longestSpec = 500

// The fields of a spec, in order.
const (
	minute = iota
	hour
	monthDay
	month
	weekDay
)

// fieldKind says what may stand in a field.
type fieldKind struct {
	name     string
	min, max int
	names    []string // of the values from min on, three letters each
	question bool     // ? may stand for *
}

func fieldKinds() []fieldKind {
	months := strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")
	days := strings.Fields("sun mon tue wed thu fri sat")
	return []fieldKind{
		minute:   {name: "minute", min: 0, max: 59},
		hour:     {name: "hour", min: 0, max: 23},
		monthDay: {name: "day of month", min: 1, max: 31, question: true},
		month:    {name: "month", min: 1, max: 12, names: months},
		weekDay:  {name: "day of week", min: 0, max: 7, names: days, question: true},
	}
}

// aliases are the specs that have a name.
func aliases() map[string]string {
	return map[string]string{
		"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
		"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
	}
}

// wordsOf splits a text at white space; each word knows its place.
func wordsOf(text diag.Text) []diag.Text {
	var words []diag.Text
	at := 0
	for word := range strings.FieldsSeq(text.Value) {
		from := at + strings.Index(text.Value[at:], word)
		at = from + len(word)
		words = append(words, part(text, from, at))
	}
	return words
}

// part is the bytes from ≤ i < to of a text.
func part(text diag.Text, from, to int) diag.Text {
	return diag.NewText(text.File, text.Value[from:to], func(offset int) diag.Pos { return text.Pos(from + offset) })
}

func joined(words []diag.Text) string {
	values := make([]string, len(words))
	for i, w := range words {
		values[i] = w.Value
	}
	return strings.Join(values, " ")
}

func about(word diag.Text, code diag.Code, message, help string) diag.Finding {
	return word.Finding(code, 0, len(word.Value), message, help)
}

// refuseSpec refuses what is not five fields and not the name of a spec.
func refuseSpec(text diag.Text, words []diag.Text) diag.List {
	switch {
	case len(words) == 0:
		return diag.List{about(text, diag.BadCron, "the schedule is empty", fiveFields)}
	case len(text.Value) > longestSpec:
		return diag.List{about(text, diag.BadCron, fmt.Sprintf("the schedule has %d characters, more than %d", len(text.Value), longestSpec), fiveFields)}
	}
	first := words[0]
	if name, zone, ok := strings.Cut(first.Value, "="); ok && (strings.EqualFold(name, "TZ") || strings.EqualFold(name, "CRON_TZ")) {
		help := "write the zone as a key of its own: `timezone: " + zone + "`"
		if zone == "" {
			help = "write the zone as a key of its own, such as `timezone: Europe/Amsterdam`"
		}
		return diag.List{about(first, diag.ZoneInCron, fmt.Sprintf("the time zone %q does not belong in cron", first.Value), help)}
	}
	if strings.HasPrefix(first.Value, "@") {
		return refuseName(text, words)
	}
	switch n := len(words); n {
	case 5:
		return nil
	case 6, 7:
		return diag.List{about(text, diag.SecondsInCron, fmt.Sprintf("%d fields; a schedule has five, without seconds and years", n),
			"did you mean "+strconv.Quote(joined(words[1:6]))+"?")}
	default:
		return diag.List{about(text, diag.BadCron, fmt.Sprintf("%s; a schedule has five", diag.Counted(n, "field", "fields")), fiveFields)}
	}
}

// refuseName refuses names of specs that are unknown, or that have no fixed slots.
func refuseName(text diag.Text, words []diag.Text) diag.List {
	name := words[0].Value
	_, known := aliases()[name]
	switch {
	case known && len(words) == 1:
		return nil
	case known:
		return diag.List{about(words[1], diag.BadCron, fmt.Sprintf("%q after %s", joined(words[1:]), name), "leave it out")}
	case name == "@every":
		return diag.List{about(text, diag.NoFixedSlots, fmt.Sprintf("%q has no fixed slots", joined(words)), insteadOfEvery(words))}
	case name == "@reboot":
		return diag.List{about(text, diag.NoFixedSlots, `"@reboot" has no slots at all`, fiveFields)}
	}
	names := []string{"@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@midnight", "@annually"}
	help := "known are " + strings.Join(names[:5], ", ")
	if near := spelling.Nearest(name, names); near != "" {
		help = fmt.Sprintf("did you mean %q?", near)
	}
	return diag.List{about(words[0], diag.BadCron, fmt.Sprintf("unknown schedule %q", name), help)}
}

// insteadOfEvery is help for a person who wrote @every.
func insteadOfEvery(words []diag.Text) string {
	if len(words) != 2 {
		return fiveFields
	}
	d, err := time.ParseDuration(words[1].Value)
	minutes, hours := int(d/time.Minute), int(d/time.Hour)
	switch {
	case err != nil || d <= 0:
		return fiveFields
	case d < time.Minute:
		return `a workflow runs at most once a minute: write "* * * * *"`
	case d == 24*time.Hour:
		return `write "@daily", or "0 3 * * *" for every day at 03:00`
	case d == time.Hour:
		return `write "@hourly"`
	case d < time.Hour && d == time.Duration(minutes)*time.Minute && 60%minutes == 0:
		return fmt.Sprintf(`write "*/%d * * * *"`, minutes)
	case d < 24*time.Hour && d == time.Duration(hours)*time.Hour && 24%hours == 0:
		return fmt.Sprintf(`write "0 */%d * * *"`, hours)
	}
	return fiveFields
}

// field is one checked field of a spec.
type field struct {
	kind fieldKind
	set  uint64 // bit per value; Sunday is bit 0
	star bool   // *, ? or */1: not restricted
	step int    // of a field that is nothing but */step; else 0
	open int    // of a field that is nothing but a step up to the field's end, such as */2, 1-31/2 or 5/20; else 0
}

func (f *field) has(v int) bool { return f.set&(1<<v) != 0 }

func (f *field) values() []int {
	var values []int
	for v := f.kind.min; v <= f.kind.max; v++ {
		if f.has(v) {
			values = append(values, v)
		}
	}
	return values
}

// bits is the field as the library keeps it: bit v for the value v, and the highest bit for a star. The library
// wants a date and a weekday both to fit if one of them has a star, and otherwise either of the two.
func (f *field) bits() uint64 {
	const star = 1 << 63
	if f.star {
		return f.set | star
	}
	return f.set
}

// parseField checks one field.
func parseField(kind fieldKind, word diag.Text) (field, diag.List) {
	f := field{kind: kind}
	var findings diag.List
	at := 0
	for item := range strings.SplitSeq(word.Value, ",") {
		if found := f.add(part(word, at, at+len(item))); found != nil {
			findings = append(findings, *found)
		}
		at += len(item) + 1
	}
	if strings.Contains(word.Value, ",") {
		f.step, f.open = 0, 0
	}
	return f, findings
}

// add checks one item of a field, such as 5, 1-5, */15 or 10-40/10, and adds its values.
func (f *field) add(item diag.Text) *diag.Finding {
	bad := func(message, help string) *diag.Finding {
		found := about(item, diag.BadCron, message, help)
		return &found
	}
	k := f.kind
	span, stepText, stepped := strings.Cut(item.Value, "/")
	low, high, whole := k.min, k.max, span == "*" || (span == "?" && k.question)
	if k.max == 7 {
		high = 6
	}
	if !whole {
		from, to, ranged := strings.Cut(span, "-")
		var problem string
		if low, problem = k.value(from, false); problem != "" {
			return bad(problem, k.help())
		}
		switch {
		case ranged:
			if high, problem = k.value(to, true); problem != "" {
				return bad(problem, k.help())
			}
		case !stepped:
			high = low
		}
		if low > high {
			return bad(fmt.Sprintf("range %q of %s runs backwards", span, k.name), k.forwards(low, high))
		}
	}
	step := 1
	if stepped {
		if step = digits(stepText); step < 1 {
			return bad(fmt.Sprintf("step %q of %s is not a number from 1 on", stepText, k.name), "a step is written as in */15")
		}
		if step > 1 && step > high-low {
			found := about(item, diag.StepTooLarge, fmt.Sprintf("step %s of %s is larger than its range %d-%d: only %d would fit", stepText, k.name, low, high, low),
				fmt.Sprintf("write %d if that is meant", low))
			return &found
		}
	}
	for v := low; v <= high; v += step {
		if k.max == 7 {
			f.set |= 1 << (v % 7)
			continue
		}
		f.set |= 1 << v
	}
	f.star = f.star || (whole && step == 1)
	if step > 1 && (high == k.max || k.max == 7 && high == 6) {
		f.open = step
	}
	if whole && step > 1 {
		f.step = step
	}
	return nil
}

// value reads a number or a name; a problem is a message for people. As the end of a range, sun is 7.
func (k fieldKind) value(s string, end bool) (v int, problem string) {
	if i := slices.Index(k.names, strings.ToLower(s)); i >= 0 {
		if i == 0 && end && k.max == 7 {
			return 7, ""
		}
		return k.min + i, ""
	}
	v = digits(s)
	switch {
	case s == "":
		return 0, "a value of " + k.name + " is missing"
	case v < 0:
		return 0, fmt.Sprintf("%q is not a value of %s", s, k.name)
	case v < k.min || v > k.max:
		return 0, fmt.Sprintf("%s %s is not within %d-%d", k.name, s, k.min, k.max)
	}
	return v, ""
}

func (k fieldKind) help() string {
	if k.names == nil {
		return fmt.Sprintf("%s is *, a number from %d to %d, a range such as %d-%d or a step such as */2", k.name, k.min, k.max, k.min+1, k.min+5)
	}
	return fmt.Sprintf("%s is *, a number from %d to %d, one of %s, or a range such as %s-%s",
		k.name, k.min, k.max, strings.Join(k.names, " "), k.names[1], k.names[4])
}

// forwards is help for a range that runs backwards.
func (k fieldKind) forwards(low, high int) string {
	if k.max == 7 && low == 7 {
		return fmt.Sprintf("Sunday at the start of a range is 0: write 0-%d", high)
	}
	top := k.max
	if k.max == 7 {
		top = 6
	}
	return fmt.Sprintf("write two ranges: %d-%d,%d-%d", low, top, k.min, high)
}

// digits reads a short decimal number; -1 when it is none. A sign, which the library would take, is none.
func digits(s string) int {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return -1
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

func never(words []diag.Text) diag.Finding {
	from := words[monthDay]
	text := diag.NewText(from.File, joined(words), func(offset int) diag.Pos {
		if offset == 0 {
			return from.Pos(0)
		}
		return words[month].Pos(len(words[month].Value))
	})
	return about(text, diag.NeverFires, fmt.Sprintf("month %s has no day %s: it would never run", words[month].Value, from.Value),
		"for the end of each month, write the first day of the next one: `0 0 1 * *`")
}

// surprises warns of specs that are right and seldom mean what they seem to say.
func surprises(words []diag.Text, fields []field) diag.List {
	var findings diag.List
	if fields[minute].star && !fields[hour].star {
		findings = append(findings, about(words[minute], diag.EveryMinute,
			fmt.Sprintf("every minute of hour %s: 60 runs an hour", words[hour].Value),
			fmt.Sprintf("once an hour is %q", "0 "+joined(words[hour:]))))
	}
	for i, f := range fields {
		findings = append(findings, uneven(words[i], &f)...)
	}
	findings = append(findings, missingDays(words, fields)...)
	if !fields[monthDay].star && !fields[weekDay].star {
		findings = append(findings, about(words[weekDay], diag.EitherDay,
			fmt.Sprintf("runs when day of month is %s and also when day of week is %s, not only when both fit", words[monthDay].Value, words[weekDay].Value),
			"give one of the two, and write * for the other"))
	}
	return findings
}

// uneven warns of a step that seems to go on for ever, and begins anew with each hour, day, week, month or year.
func uneven(word diag.Text, f *field) diag.List {
	if f.open == 0 {
		return nil
	}
	values, k := f.values(), f.kind
	if k.max == 31 {
		return diag.List{about(word, diag.UnevenStep,
			fmt.Sprintf("%s %s is not every %d: after the month's last day comes %d, whatever its length", k.name, word.Value, f.open, values[0]), "")}
	}
	for i, v := range values {
		next := values[(i+1)%len(values)]
		if gap := (next - v + f.period()) % f.period(); gap != f.open && len(values) > 1 {
			return diag.List{about(word, diag.UnevenStep,
				fmt.Sprintf("%s %s is not every %d: after %d comes %d, %d later", k.name, word.Value, f.open, v, next, gap), "")}
		}
	}
	return nil
}

// period is how many values a field has.
func (f *field) period() int {
	if f.kind.max == 7 {
		return 7
	}
	return f.kind.max - f.kind.min + 1
}

// missingDays warns of months that have none of the days that are asked for.
func missingDays(words []diag.Text, fields []field) diag.List {
	f := fields[monthDay]
	if f.star {
		return nil
	}
	first := f.values()[0]
	lengths := []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	var without []string
	for _, m := range fields[month].values() {
		if lengths[m-1] < first {
			without = append(without, time.Month(m).String())
		}
	}
	var message string
	switch {
	case len(without) == 0:
		return nil
	case len(without) == 1 && without[0] == "February" && first == 29:
		message = "February has a day 29 in leap years only: it does not run in the others"
	case len(without) == 1:
		message = fmt.Sprintf("%s has no day %s: it does not run then", without[0], words[monthDay].Value)
	default:
		message = fmt.Sprintf("%d months a year (%s) have no day %s: it does not run then", len(without), enumerated(without), words[monthDay].Value)
	}
	return diag.List{about(words[monthDay], diag.MissingDay, message, "for the end of each month, write the first day of the next one: `0 0 1 * *`")}
}
