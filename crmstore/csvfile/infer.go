package csvfile

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// longestName leaves room for a number after the name, within what the store allows.
const longestName = 90

// guess is what the cells of a column that is to become a property have in common.
type guess struct {
	values                   int
	noNumber, noDate, noBool bool
	noEmail                  bool
	open                     bool // the caller has not said which number is the day
	noDayMonth, noMonthDay   bool // no date when the day, or the month, comes first
	clock                    bool // some date has a time of day
	commas                   bool // stand between the cells of the file
	code                     bool // the header says that cells are codes, such as postal codes
	zeroLast, noZeroLast     bool // numbers with a point: some fraction ends in 0; some is shorter than another
	fraction                 int  // digits of the fractions so far
}

// see takes a cell into account.
func (g *guess) see(s string, r reading) {
	s = strings.TrimSpace(s)
	if s == "" {
		return
	}
	g.values++
	if plain := r.asPoint(s); !g.noNumber && !plainNumber(plain) {
		g.noNumber = !g.written(s)
	} else if whole, fraction, point := strings.Cut(plain, "."); point && whole != "" {
		g.zeroLast = g.zeroLast || strings.HasSuffix(fraction, "0")
		g.noZeroLast = g.noZeroLast || g.fraction > 0 && g.fraction != len(fraction)
		g.fraction = len(fraction)
	}
	if !g.noEmail {
		text, err := record.NormalAddress(s)
		g.noEmail = err != nil || text == ""
	}
	if !g.noBool && !strings.EqualFold(s, "true") && !strings.EqualFold(s, "false") {
		g.noBool = true
	}
	if g.noDate && r.order != NoOrder {
		return
	}
	g.seeDate(&g.noDate, s, r)
	if g.open = r.order == NoOrder; g.open {
		r.order = DayMonth
		g.seeDate(&g.noDayMonth, s, r)
		r.order = MonthDay
		g.seeDate(&g.noMonthDay, s, r)
	}
}

// seeDate notes whether a cell is no date as r reads it.
func (g *guess) seeDate(no *bool, s string, r reading) {
	if *no {
		return
	}
	clock, ok := r.surelyDate(s)
	*no, g.clock = !ok, g.clock || ok && clock
}

// written reports whether s is surely a number as people write it: with a currency or a percent sign, or with separators that
// say which one is decimal.
func (g *guess) written(s string) bool {
	a := takeApart(s)
	as := shapeOf(a.digits)
	switch {
	case as == shapeNone || strings.HasPrefix(a.digits, "+") || strings.ContainsAny(a.digits, "eE") || zeroFirst(a.digits):
		return false
	case a.unit != "" || a.percent:
		return true
	case a.dressed: // digits with blanks or in brackets may be a telephone number
		return false
	case strings.Contains(a.digits, ".") && strings.Contains(a.digits, ","):
		return true
	}
	return as == shapeComma && !g.commas
}

// asPoint is a number with a decimal point, when the caller has said which sign its numbers have.
func (r reading) asPoint(s string) string {
	if as := shapeOf(s); r.decimal == DecimalComma && (as == shapeComma || as == shapeEither) || r.decimal == DecimalPoint && (as == shapePoint || as == shapeEither) {
		return plainSigns(s, r.decimal)
	}
	return s
}

// version reports whether numbers such as 1.10 and 1.9 stand in the column: as numbers, 1.10 would be 1.1.
func (g *guess) version() bool { return g.zeroLast && g.noZeroLast }

// surelyDate reports whether s is a date that is not written as a number, and has a time of day.
func (r reading) surelyDate(s string) (clock, ok bool) {
	if wholeNumber(s) {
		return false, false
	}
	m, p := parseDate(s, r.order)
	if p == nil {
		_, p = r.checkedDate(record.DateTime, m, s)
	}
	return m.clock, p == nil
}

// typ is the type that fits every cell; text when nothing else does, or nothing is known.
func (f *facts) typ() record.PropertyType {
	g := &f.guess
	if order := f.order(); g.noDate && g.open && (order == DayMonth && !g.noDayMonth || order == MonthDay && !g.noMonthDay) {
		g.noDate = false
	}
	switch {
	case g.values == 0:
		return record.String
	case !g.noBool:
		return record.Bool
	case !g.noNumber && !g.code && !g.version():
		return record.Number
	case !g.noDate && g.clock:
		return record.DateTime
	case !g.noDate:
		return record.Date
	}
	return record.String
}

// plainNumber reports whether s is sure to be a number. Leading zeros (postal codes), a plus sign
// (telephone numbers), exponents (part numbers such as 12E4) and more than 15 digits (card and account
// numbers) are not.
func plainNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, fraction, point := strings.Cut(s, ".")
	if point && !allDigits(fraction) || len(whole)+len(fraction) > 15 {
		return false
	}
	return point && whole == "" || allDigits(whole) && (len(whole) == 1 || whole[0] != '0')
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// surveyColumns looks at every row for what numbers and dates of a column show together, and for the types of columns that
// are to become properties. Rows that cannot be imported do not count.
func surveyColumns(l *layout, rd *reader, rows func() (*row, error)) ([]facts, error) {
	all := make([]facts, len(l.columns))
	for i := range all {
		all[i].commas = rd.rows.comma == ','
		all[i].code = aCode(l.columns[i].header)
	}
	check := converter{layout: *l, comma: rd.rows.comma, decoded: rd.conv.decoded}
	for {
		r, err := rows()
		if err != nil {
			return all, err
		}
		if check.passed(r) || check.rowFault(r) != nil {
			continue
		}
		text := r.text()
		for i := range l.columns {
			c := &l.columns[i]
			mark, cell := r.mark(c.cell), c.part.of(r.cell(text, c.cell))
			switch {
			case c.create:
				all[i].see(cell, c.how.marked(mark))
				if mark == 0 {
					all[i].look(record.Number, cell)
					all[i].look(c.dates(), cell)
				}
			case c.twin != nil:
				all[i].lookOption(c, cell)
			case c.property != nil && mark == 0:
				all[i].look(c.property.Type, cell)
			}
		}
	}
}

// dates is the type of dates that a column which becomes a property has, as far as it is known.
func (c *column) dates() record.PropertyType {
	if c.want != nil && c.want.Type == record.Date {
		return record.Date
	}
	return record.DateTime
}

// lookOption notes whether a cell is an option of the property, or of its twin.
func (f *facts) lookOption(c *column, s string) {
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	f.optioned = true
	options := c.options
	if c.property.Type != record.Enumeration {
		options = indexOptions(c.twin)
	}
	if _, p := options.value(s); p != nil {
		f.noOption = true
	}
}

// surveyed reports whether the file is to be looked through before anything of it is taken.
func (l *layout) surveyed() bool {
	return l.unknown > 0 || slices.ContainsFunc(l.columns, func(c column) bool {
		return c.twin != nil || c.property != nil && (c.property.Type == record.Number || c.property.Type == record.Date || c.property.Type == record.DateTime)
	})
}

// newProperties are the properties to make, in order of columns, with names that nothing else has.
func newProperties(l *layout, guesses []facts, schema *record.Schema) ([]record.Property, []CreatedProperty) {
	taken := make(map[string]bool, len(schema.Properties))
	for _, name := range schema.Names() {
		taken[name] = true
	}
	var made []record.Property
	var told []CreatedProperty
	for i, c := range l.columns {
		if !c.create {
			continue
		}
		p := record.Property{Label: c.header}
		if c.want != nil {
			if p = *c.want; guesses[i].values == 0 {
				continue
			}
			p.Name = newName(p.Name, i, taken)
		} else {
			p.Name = newName(c.header, i, taken)
		}
		if p.Type == "" {
			p.Type = guesses[i].typ()
			p.Email = p.Type == record.String && guesses[i].values > 0 && !guesses[i].noEmail
		}
		taken[p.Name] = true
		made = append(made, p)
		told = append(told, CreatedProperty{Name: p.Name, Label: p.Label, Type: p.Type, Values: guesses[i].values})
	}
	return made, told
}

// newName is the header in snake case, made fit to be a name and unlike the names that are taken.
func newName(header string, column int, taken map[string]bool) string {
	base := nameOf(header)
	if base == "" {
		base = fmt.Sprintf("column_%d", column+1)
	}
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	return name
}

// nameOf is the snake case with a-z, 0-9 and _ alone, without accents, beginning with a letter.
func nameOf(header string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(record.SnakeCase(header)) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			b.WriteRune(r)
		}
	}
	name := strings.Trim(b.String(), "_")
	if name != "" && name[0] <= '9' {
		name = "p_" + name
	}
	return name[:min(len(name), longestName)]
}
