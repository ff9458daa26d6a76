package csvfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// facts are what the cells of one column show when they are looked at together, before any of them is taken.
type facts struct {
	guess
	point, comma, eitherNumber       int  // numbers by how they can be read
	dayFirst, monthFirst, eitherDate int  // dates such as 25/03/2026, 03/25/2026 and 03/04/2026
	standIns                         int  // dates that stand for none
	optioned, noOption               bool // of a column that has a twin: some cell says anything; some cell is no option
	orders                           orders
	ofFile                           DateOrder // the one that the other columns of the file agree on
	units                            []unit    // of numbers, which are not kept
}

// unit is a currency or a percent sign beside numbers of a column.
type unit struct {
	name string
	n    int
}

// maxUnits is how many units of a column are told apart.
const maxUnits = 20

// orders are the ways in which all dates with two-digit years of a column can be read.
type orders struct{ seen, dayMonth, monthDay, yearFirst bool }

// without drops the ways in which a date is none.
func (o *orders) without(first, second, third int) {
	if !o.seen {
		*o = orders{true, true, true, true}
	}
	month, day := func(n int) bool { return n >= 1 && n <= 12 }, func(n int) bool { return n >= 1 && n <= 31 }
	o.dayMonth = o.dayMonth && day(first) && month(second)
	o.monthDay = o.monthDay && month(first) && day(second)
	o.yearFirst = o.yearFirst && month(second) && day(third)
}

// order is the one way that is left; NoOrder when there are several, or the year comes first.
func (o *orders) order() DateOrder {
	switch {
	case o.dayMonth && !o.monthDay && !o.yearFirst:
		return DayMonth
	case o.monthDay && !o.dayMonth && !o.yearFirst:
		return MonthDay
	}
	return NoOrder
}

// others says how many other cells of the column the same is true for; n counts all of them.
func (f *facts) others(n int) string {
	switch {
	case f == nil || n <= 1:
		return ""
	case n == 2:
		return ", as 1 more cell of the column"
	}
	return fmt.Sprintf(", as %d more cells of the column", n-1)
}

// look takes a cell of a property into account.
func (f *facts) look(t record.PropertyType, s string) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
	case t == record.Number:
		f.lookNumber(s)
	case t == record.Date || t == record.DateTime:
		f.lookDate(t, s)
	}
}

func (f *facts) lookNumber(s string) {
	a := takeApart(s)
	if a.percent {
		a.unit = "%"
	}
	if a.unit != "" {
		f.countUnit(a.unit)
	}
	switch shapeOf(a.digits) {
	case shapePoint:
		f.point++
	case shapeComma:
		f.comma++
	case shapeEither:
		f.eitherNumber++
	}
}

func (f *facts) countUnit(name string) {
	i := slices.IndexFunc(f.units, func(u unit) bool { return u.name == name })
	if i < 0 && len(f.units) < maxUnits {
		i, f.units = len(f.units), append(f.units, unit{name: name})
	}
	if i >= 0 {
		f.units[i].n++
	}
}

// unitNote says which signs of numbers are left out; "" when there are none.
func (f *facts) unitNote() string {
	if len(f.units) == 0 {
		return ""
	}
	var all []string
	for _, u := range f.units {
		all = append(all, fmt.Sprintf("%s (%d)", u.name, u.n))
	}
	if len(all) == 1 {
		return "the numbers are kept without their " + all[0]
	}
	return "the numbers are kept without " + strings.Join(all, ", ") + ", and are not converted"
}

func (f *facts) lookDate(t record.PropertyType, s string) {
	if standIn(t, s) || standsIn(t, s) {
		f.standIns++
		return
	}
	if s[0] < '0' || s[0] > '9' || !strings.ContainsAny(s[:min(len(s), 3)], "/.-") {
		return
	}
	c := cursor{s: s}
	first, ok := c.number(1, 2)
	if !ok || c.end() {
		return
	}
	second, ok := c.after(s[c.i], 1, 2)
	switch {
	case !ok || c.end():
	case !fourDigitYear(s[c.i+1:]): // 25/03/24 may be a day in 2025
		f.eitherDate++
		if third, ok := c.after(s[c.i], 2, 2); ok {
			f.orders.without(first, second, third)
		}
	case first > 12 && second <= 12:
		f.dayFirst++
	case second > 12 && first <= 12:
		f.monthFirst++
	default:
		f.eitherDate++
	}
}

func fourDigitYear(s string) bool {
	return len(s) >= 4 && wholeNumber(s[:4]) && s[0] != '-' && (len(s) == 4 || s[4] < '0' || s[4] > '9')
}

// eitherDates counts the dates of which the column does not say which number is the day.
func (f *facts) eitherDates() int {
	if f == nil {
		return 0
	}
	if f.order() == NoOrder {
		return f.eitherDate + f.dayFirst + f.monthFirst
	}
	return f.eitherDate
}

// unfit counts the dates that cannot be read in an order.
func (f *facts) unfit(order DateOrder) int {
	switch {
	case f == nil:
		return 0
	case order == MonthDay:
		return f.dayFirst
	case order == DayMonth:
		return f.monthFirst
	}
	return f.eitherDates()
}

// order is the order of day and month that all dates of the column agree on.
func (f *facts) order() DateOrder {
	short := f.orders.order()
	day, month := f.dayFirst > 0 || short == DayMonth, f.monthFirst > 0 || short == MonthDay
	switch {
	case day && !month && (!f.orders.seen || f.orders.dayMonth):
		return DayMonth
	case month && !day && (!f.orders.seen || f.orders.monthDay):
		return MonthDay
	case !day && !month && (!f.orders.seen || f.ofFile == DayMonth && f.orders.dayMonth || f.ofFile == MonthDay && f.orders.monthDay):
		return f.ofFile
	}
	return NoOrder
}

// agree has columns of which no date is plain read by the others of the file, when all of those agree.
func agree(all []facts) {
	shown := NoOrder
	for i := range all {
		f := &all[i]
		own := f.order()
		if own == NoOrder && f.dayFirst+f.monthFirst > 0 || own != NoOrder && shown != NoOrder && own != shown {
			return
		}
		if own != NoOrder {
			shown = own
		}
	}
	for i := range all {
		all[i].ofFile = shown
	}
}

// decimal is the decimal sign that all numbers of the column agree on. In a file with commas between cells, such as an
// export of ours, 1.234 has a decimal point unless another number of the column has a comma.
func (f *facts) decimal() Decimal {
	switch {
	case f.comma > 0 && f.point == 0:
		return DecimalComma
	case f.comma == 0 && (f.point > 0 || f.commas):
		return DecimalPoint
	}
	return NoDecimal
}

// settle says how the cells of a column are read.
func (f *facts) settle(r reading) reading {
	r.facts = f
	if r.order == NoOrder {
		r.order = f.order()
	}
	if r.decimal == NoDecimal {
		r.decimal = f.decimal()
	}
	return r
}

// standIn reports whether a date is one that systems write where they have none. In a property of days, such as a
// birthday, the days on which calendars of computers begin are days like others.
func standIn(t record.PropertyType, s string) bool {
	day, clock, _ := strings.Cut(strings.Replace(s, "T", " ", 1), " ")
	if strings.Trim(clock, "0:.Z+ ") != "" && !strings.HasPrefix(day, "9999-12-31") && !strings.HasPrefix(day, "0001-") && !strings.HasPrefix(day, "0000-") {
		return false
	}
	switch strings.ReplaceAll(day, "/", "-") {
	case "0000-00-00", "0000-01-01", "0001-01-01", "1601-01-01", "1753-01-01", "1899-12-30", "1899-12-31", "1900-01-00", "9999-12-31", "00-00-0000", "01-01-0001":
		return true
	case "1900-01-01", "1970-01-01", "01-01-1970", "01-01-1900", "0":
		return t == record.DateTime
	}
	return false
}

// standsIn is standIn by what the text means, for texts that are not plainly of our century.
func standsIn(t record.PropertyType, s string) bool {
	if strings.Contains(s, "20") {
		return false
	}
	m, p := parseDate(s, NoOrder)
	return p == nil && m.standsIn(t, time.UTC)
}

// anyZone is how far clocks of the world are from UTC: a system that writes its first second in local time is within it.
const anyZone = 14 * time.Hour

// standsIn reports whether the moment is one that systems write where they have none, however it is written: the day on which
// a calendar of computers begins or ends. Nothing that a contact did with a time of day lies before 1900.
func (m moment) standsIn(t record.PropertyType, zone *time.Location) bool {
	if t == record.Date {
		switch m.face.Format(time.DateOnly) {
		case "0001-01-01", "1601-01-01", "1753-01-01", "1899-12-30", "1899-12-31", "9999-12-31":
			return true
		}
		return false
	}
	at := m.instant(zone)
	near := func(year int, month time.Month, day int) bool {
		return at.Sub(time.Date(year, month, day, 0, 0, 0, 0, time.UTC)).Abs() <= anyZone
	}
	return at.Year() < 1900 || near(1900, time.January, 1) || near(1904, time.January, 1) || near(1970, time.January, 1) ||
		near(9999, time.December, 31) || near(10000, time.January, 1)
}

// codeWords are words in headers of columns whose cells look like numbers and are none.
var codeWords = regexp.MustCompile(`^(zip|plz|cap|postal|postcode|postleitzahl|phone|telephone|telefon|tel|mobile|mobil|cell|fax|version|ver|release|build|code|sku|ean|gtin|isbn|iban|bic|vat|ssn)$`)

// aCode reports whether a header says that its cells are codes, whose zeros matter.
func aCode(header string) bool {
	low := squash(header)
	if strings.Contains(low, "postal") || strings.Contains(low, "postcode") || strings.Contains(low, "phone") || strings.Contains(low, "version") {
		return true
	}
	spaced := regexp.MustCompile(`([a-z0-9])([A-Z])`).ReplaceAllString(header, "$1 $2")
	return slices.ContainsFunc(strings.Split(record.SnakeCase(spaced), "_"), codeWords.MatchString)
}

// squash is a header without what people write differently: case, blanks, underscores, hyphens and accents.
func squash(name string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ReplaceAll(record.SnakeCase(name), "_", "")) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 0x36f {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// findAlike is the property whose name, or else whose label, differs from the header in nothing but case, blanks,
// underscores and hyphens; several when several do.
func findAlike(schema *record.Schema, header string) []*record.Property {
	if found := schema.Find(header); len(found) > 0 {
		return found
	}
	want := squash(header)
	var byName, byLabel []*record.Property
	for i := range schema.Properties {
		p := &schema.Properties[i]
		switch {
		case p.Removed || want == "":
		case squash(p.Name) == want:
			byName = append(byName, p)
		case squash(p.Label) == want:
			byLabel = append(byLabel, p)
		}
	}
	if len(byName) > 0 {
		return byName
	}
	return byLabel
}
