package csvfile

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
)

// readMap finds the columns that the caller maps, and says which of them are not there.
func (h *headers) readMap() {
	h.mapped = make(map[int]string)
	headers := make([]string, 0, len(h.o.Map))
	for header := range h.o.Map {
		headers = append(headers, header)
	}
	sort.Strings(headers)
	for _, header := range headers {
		i := h.find(header)
		if i < 0 {
			help := "the headers are " + strings.Join(h.names, ", ")
			if near := spelling.Nearest(header, h.names); near != "" {
				help = "did you mean " + near + "?"
			}
			h.fault(HeaderUnknown, "", "there is no column "+quote(header)+" to map", help)
			continue
		}
		h.mapped[i] = h.o.Map[header]
	}
}

// find is the column of that header, which differs in nothing but case, blanks, underscores and hyphens; "X#2" is the second
// column of the header X. It is -1 when there is none.
func (h *headers) find(header string) int {
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold, func(a, b string) bool { return squash(a) == squash(b) }} {
		for i, n := range h.names {
			if same(n, header) {
				return i
			}
		}
	}
	name, number, ok := strings.Cut(header, "#")
	if wanted := 0; ok {
		if _, err := fmt.Sscanf(number, "%d", &wanted); err != nil {
			return -1
		}
		for i, n := range h.names {
			if strings.EqualFold(n, strings.TrimSpace(name)) {
				if wanted--; wanted == 0 {
					return i
				}
			}
		}
	}
	return -1
}

// saidColumn gives a column to the property that the caller has named.
func (h *headers) saidColumn(i int, name string) {
	c := &h.columns[i]
	found := findAlike(h.schema, name)
	switch {
	case name == "":
		c.note = "is left out, as said"
	case len(found) == 1:
		h.use(i, found[0])
	case len(found) > 1:
		h.fault(HeaderAmbiguous, c.header, quote(name)+" is the label of several properties, "+found[0].Name+" among them", "write the internal name after --map "+quote(c.header+"="))
	case h.o.CreateProperties && nameOf(name) != "":
		h.make(i, record.Property{Name: nameOf(name), Label: name})
	default:
		help := "make it with --create-properties"
		if near := spelling.Nearest(name, h.schema.Names()); near != "" {
			help = "did you mean " + near + "? Else " + help
		}
		h.fault(HeaderUnknown, c.header, "is mapped to "+quote(name)+", which no property is named", help)
	}
}

// make has a column become a property, if it has a value.
func (h *headers) make(i int, p record.Property) {
	c := &h.columns[i]
	if found := findAlike(h.schema, p.Name); len(found) == 1 { // an earlier import has made it
		h.use(i, found[0])
		return
	}
	c.create, c.want = true, &p
	h.unknown++
}

// ruled gives a column to the property that its source's table names, or keeps it in one of its own when another column has that.
func (h *headers) ruled(i int, rule *Rule) {
	c := &h.columns[i]
	if rule.Deleted {
		h.deleted, c.note = i, "lines with yes are left out: these records were deleted in "+h.source.Title
		return
	}
	p := rule.property(h.source, c.header)
	if h.taken(i, p.Name) {
		p = h.source.kept(c.header)
		p.Type = rule.Type
	}
	h.make(i, p)
	if len(rule.Empty) > 0 || len(rule.Words) > 0 || rule.Split != "" {
		c.part = &part{empty: rule.Empty, words: rule.Words, split: rule.Split}
	}
	for name, value := range rule.Sets {
		if set := h.schema.Named(name); set != nil && !h.taken(i, name) {
			h.also(i, part{constant: value})
			h.use(len(h.columns)-1, set)
		}
	}
	if rule.Rest != "" {
		h.also(i, part{split: rule.Split, rest: true})
		h.make(len(h.columns)-1, record.Property{Name: rule.Rest, Label: rule.RestLabel, Type: record.String})
	}
}

// also adds a column that takes another part of the same cell.
func (h *headers) also(i int, p part) {
	c := h.columns[i]
	h.columns = append(h.columns, column{header: c.header, use: UseIgnored, cell: i, part: &p})
}

// taken reports whether a column before has the property.
func (h *headers) taken(i int, name string) bool {
	for j := range h.columns {
		c := &h.columns[j]
		if j != i && (c.property != nil && c.property.Name == name || c.want != nil && c.want.Name == name) {
			return true
		}
	}
	return false
}

// twins takes a header that is the label of a property with options and of one of text, once or twice in the file. Which column is
// which the cells say, see settleTwins.
func (h *headers) twins(i int, found []*record.Property) bool {
	if len(found) != 2 || (found[0].Type == record.Enumeration) == (found[1].Type == record.Enumeration) {
		return false
	}
	options, text := found[0], found[1]
	if options.Type != record.Enumeration {
		options, text = text, options
	}
	if text.Type != record.String {
		return false
	}
	if h.taken(i, options.Name) {
		h.use(i, text)
		h.columns[i].twin = options
		return true
	}
	h.use(i, options)
	h.columns[i].twin = text
	return true
}

// settleTwins gives the property with options to the first column all of whose cells are options.
func (h *headers) settleTwins(surveyed []facts) {
	if len(surveyed) == 0 {
		return
	}
	for i := range h.columns {
		c := &h.columns[i]
		if c.twin == nil || c.property.Type != record.Enumeration || i >= len(surveyed) {
			continue
		}
		other := -1
		for j := i + 1; j < len(h.columns) && j < len(surveyed); j++ {
			if h.columns[j].twin != nil && h.columns[j].property == c.twin {
				other = j
			}
		}
		fits := func(j int) bool { return surveyed[j].optioned && !surveyed[j].noOption }
		switch {
		case fits(i), other < 0 && !surveyed[i].noOption:
		case other < 0:
			h.use(i, c.twin)
		case fits(other) || surveyed[i].noOption && !surveyed[other].noOption:
			options, text := c.property, c.twin
			h.use(i, text)
			h.use(other, options)
		case surveyed[i].noOption: // neither fits
			h.use(i, c.twin)
			h.fault(HeaderAmbiguous, h.columns[other].header, "has words that are no options, as the column of the same header before it has", "say what each is with --map "+quote(c.header+"#2=PROPERTY"))
		}
	}
}

// twinNumber is how many columns up to this one have its header, in an export whose program allows several properties of one label; 1 for
// all others.
func (h *headers) twinNumber(i int) int {
	n := 1
	for j := range i {
		if _, said := h.mapped[j]; h.source != nil && !said && h.names[j] != "" && strings.EqualFold(h.names[j], h.names[i]) {
			n++
		}
	}
	return n
}

// numbered is what the n-th column of a header becomes.
func (h *headers) numbered(i, n int) record.Property {
	return record.Property{Name: fmt.Sprintf("%s_%d", nameOf(h.names[i]), n), Label: fmt.Sprintf("%s (%d)", h.names[i], n)}
}

// standard reports whether every account has the property from the beginning.
func standard(object record.ObjectType, p *record.Property) bool {
	return slices.ContainsFunc(record.DefaultProperties(object), func(d record.Property) bool { return d.Number == p.Number && d.Name == p.Name })
}
