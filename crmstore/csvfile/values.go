package csvfile

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
)

// maxText is how many characters a text may have, as in HubSpot.
const maxText = 65536

// reading is how cells are read: what a date may look like and where a clock without a zone hangs.
type reading struct {
	order    DateOrder
	zone     *time.Location
	decimal  Decimal
	standIns StandIns
	facts    *facts // of the column; nil for a value that stands alone
	exact    bool   // the cell is a number of a workbook, which has a decimal point
}

// marked is how a cell with that mark is read.
func (r reading) marked(mark byte) reading {
	r.exact = mark == container.Number
	return r
}

// value reads a cell of a property; the unknown value means that the cell says nothing.
func (r reading) value(p *record.Property, options optionIndex, s string) (record.Value, *problem) {
	if p.Type == record.String {
		return textValue(s)
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return record.Value{}, nil
	}
	switch p.Type {
	case record.Number:
		return r.number(s)
	case record.Date, record.DateTime:
		return r.dateValue(p.Type, s)
	case record.Bool:
		return boolValue(s)
	case record.Enumeration:
		return options.value(s)
	default:
		return textValue(s)
	}
}

func textValue(s string) (record.Value, *problem) {
	if len(s) > maxText {
		if n := utf8.RuneCountInString(s); n > maxText {
			return record.Value{}, &problem{code: TextTooLong, message: fmt.Sprintf("the text has %d characters", n), help: fmt.Sprintf("at most %d fit", maxText)}
		}
	}
	return record.StringValue(s), nil
}

// emailValue reads an e-mail address in any spelling that has a normal form. What an address may be is said widely on
// purpose: it catches cells that are no address at all, and leaves the rest to the mail servers of this world.
func emailValue(s string) (record.Value, *problem) {
	text, err := record.NormalAddress(s)
	if err != nil {
		return record.Value{}, &problem{code: BadEmail, message: quote(s) + " is " + err.Error(), help: "write one address, like jane@example.com"}
	}
	return textValue(text)
}

// exact reports whether the whole number s is f to the last digit, or what an export writes for f: as many
// digits as tell it from its neighbours, then zeros.
func exact(s string, f float64) bool {
	want := strings.TrimLeft(strings.TrimLeft(s, "+-"), "0")
	for _, precision := range []int{0, -1} {
		got := strings.TrimLeft(strconv.FormatFloat(f, 'f', precision, 64), "-")
		if want == got {
			return true
		}
	}
	return want == "" && f == 0
}

func (r reading) dateValue(t record.PropertyType, s string) (record.Value, *problem) {
	asks := r.facts != nil && r.standIns != KeepStandIns
	if asks && standIn(t, s) {
		return r.standInDate(s)
	}
	m, p := parseDate(s, r.order)
	if p != nil && p.once {
		p.message += r.facts.others(r.facts.unfit(r.order))
	}
	if p != nil {
		return record.Value{}, p
	}
	if asks && m.standsIn(t, r.zone) {
		return r.standInDate(s)
	}
	return r.checkedDate(t, m, s)
}

// standInDate is what becomes of a date that stands for none: nothing, or a question.
func (r reading) standInDate(s string) (record.Value, *problem) {
	if r.standIns == EmptyStandIns {
		return record.Value{}, nil
	}
	return record.Value{}, &problem{
		code: StandInDate, message: quote(s) + " stands for no date in many systems" + r.facts.others(r.facts.standIns),
		help: "take such cells as empty with --stand-in-dates empty, or keep them as dates with --stand-in-dates keep", once: true,
	}
}

// checkedDate is the moment as a value, unless it falls outside the years that a date may have.
func (r reading) checkedDate(t record.PropertyType, m moment, s string) (record.Value, *problem) {
	at := m.face
	if t == record.DateTime {
		at = m.instant(r.zone).UTC()
	}
	switch y := at.Year(); {
	case y < record.MinYear || y > record.MaxYear:
		return record.Value{}, badDate(s, "lies outside the years 1 to 9999", "")
	case t == record.DateTime:
		return record.DateTimeValue(at), nil
	}
	return m.day(), nil
}

func boolValue(s string) (record.Value, *problem) {
	switch {
	case s == "1" || strings.EqualFold(s, "true") || strings.EqualFold(s, "yes"):
		return record.BoolValue(true), nil
	case s == "0" || strings.EqualFold(s, "false") || strings.EqualFold(s, "no"):
		return record.BoolValue(false), nil
	}
	return record.Value{}, &problem{code: BadBool, message: quote(s) + " is neither yes nor no", help: "write true or false, yes or no, 1 or 0"}
}

// optionIndex finds an option of one enumeration by what a cell says.
type optionIndex struct {
	values map[string]string // as written, and in lower case → internal value; "" = several options share the label
	alike  map[string]string // squashed → internal value; "" = several options are alike
	offer  []string          // internal values, in display order
	labels []string
}

func indexOptions(p *record.Property) optionIndex {
	x := optionIndex{values: make(map[string]string, 3*len(p.Options))}
	labels := make(map[string]string, len(p.Options))
	for _, o := range p.Options {
		if o.Removed {
			continue
		}
		x.offer, x.labels = append(x.offer, o.Value), append(x.labels, o.Label)
		label := strings.ToLower(strings.TrimSpace(o.Label))
		if v, taken := labels[label]; taken && v != o.Value {
			labels[label] = ""
		} else {
			labels[label] = o.Value
		}
	}
	maps.Copy(x.values, labels)
	for _, v := range x.offer { // internal values win over labels, and exact spelling over case
		x.values[strings.ToLower(v)] = v
	}
	for _, v := range x.offer {
		x.values[v] = v
	}
	delete(x.values, "")
	x.alike = make(map[string]string, len(x.values))
	for text, v := range x.values {
		key := squash(text)
		if other, taken := x.alike[key]; taken && other != v {
			v = ""
		}
		x.alike[key] = v
	}
	delete(x.alike, "")
	return x
}

func (x optionIndex) value(s string) (record.Value, *problem) {
	v, ok := x.values[s]
	if !ok {
		v, ok = x.values[strings.ToLower(s)]
	}
	if !ok && len(x.values) > 0 { // without blanks, underscores and hyphens
		if v = x.alike[squash(s)]; v != "" {
			return record.EnumValue(v), nil
		}
	}
	switch {
	case ok && v != "":
		return record.EnumValue(v), nil
	case ok:
		return record.Value{}, &problem{code: BadOption, message: quote(s) + " is the label of several options", help: x.help(s)}
	case strings.Contains(s, ";"):
		return record.Value{}, &problem{code: BadOption, message: quote(s) + " holds several options, and the property holds one", help: x.help(s)}
	}
	return record.Value{}, &problem{code: BadOption, message: quote(s) + " is not an option", help: x.help(s)}
}

// offered is how many options a help text lists.
const offered = 12

func (x optionIndex) help(s string) string {
	list := x.offer
	more := ""
	if len(list) > offered {
		list, more = list[:offered], fmt.Sprintf(" and %d more", len(x.offer)-offered)
	}
	help := "the options are " + strings.Join(list, ", ") + more
	if len(x.offer) == 0 {
		return "the property has no options"
	}
	if near := spelling.Nearest(s, x.offer, x.labels); near != "" {
		help = fmt.Sprintf("did you mean %s? %s", near, help)
	}
	return help
}
