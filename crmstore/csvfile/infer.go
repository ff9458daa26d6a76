package csvfile

import (
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// longestName leaves room for a number after the name, within what the store allows.
const longestName = 90

// guess is what the cells of a column that is to become a property have in common.
type guess struct {
	values                   int
	noNumber, noDate, noBool bool
	clock                    bool // some date has a time of day
}

// see takes a cell into account.
func (g *guess) see(s string, r reading) {
	s = strings.TrimSpace(s)
	if s == "" {
		return
	}
	g.values++
	if !g.noNumber && !plainNumber(s) {
		g.noNumber = true
	}
	if !g.noBool && !strings.EqualFold(s, "true") && !strings.EqualFold(s, "false") {
		g.noBool = true
	}
	if !g.noDate {
		clock, ok := r.surelyDate(s)
		g.noDate, g.clock = !ok, g.clock || clock
	}
}

// surelyDate reports whether s is a date that is not written as a number, and has a time of day.
func (r reading) surelyDate(s string) (clock, ok bool) {
	if wholeNumber(s) {
		return false, false
	}
	m, p := parseDate(s, r.order)
	if p == nil {
		_, p = r.checkedDate(crmstore.DateTime, m, s)
	}
	return m.clock, p == nil
}

// typ is the type that fits every cell; text when nothing else does, or nothing is known.
func (g *guess) typ() crmstore.PropertyType {
	switch {
	case g.values == 0:
		return crmstore.String
	case !g.noBool:
		return crmstore.Bool
	case !g.noNumber:
		return crmstore.Number
	case !g.noDate && g.clock:
		return crmstore.DateTime
	case !g.noDate:
		return crmstore.Date
	}
	return crmstore.String
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

// guessTypes looks at every row for the columns that are to become properties. Rows that cannot be
// imported do not count.
func guessTypes(l *layout, rows func() (*row, error), how reading, utf16 bool) ([]guess, error) {
	guesses := make([]guess, len(l.columns))
	check := converter{layout: *l, utf16: utf16}
	for {
		r, err := rows()
		if err != nil {
			return guesses, err
		}
		if check.rowFault(r) != nil {
			continue
		}
		text := r.text()
		for i := range l.columns {
			if l.columns[i].create {
				guesses[i].see(r.cell(text, i), how)
			}
		}
	}
}

// newProperties are the properties to make, in order of columns, with names that nothing else has.
func newProperties(l *layout, guesses []guess, schema *crmstore.Schema) ([]crmstore.Property, []CreatedProperty) {
	taken := make(map[string]bool, len(schema.Properties))
	for _, name := range schema.Names() {
		taken[name] = true
	}
	var made []crmstore.Property
	var told []CreatedProperty
	for i, c := range l.columns {
		if !c.create {
			continue
		}
		p := crmstore.Property{Name: newName(c.header, i, taken), Label: c.header, Type: guesses[i].typ()}
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
	for _, r := range norm.NFD.String(crmstore.SnakeCase(header)) {
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
