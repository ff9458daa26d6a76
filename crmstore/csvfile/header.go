package csvfile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
)

// recordID is the header of record ids in exports, HubSpot's and ours.
const recordID = "Record ID"

// isIDHeader reports whether a header holds record ids when nobody says which column does. A property of the
// account that has such a name wins over it, except for Record ID itself. A plain id is that of any system.
func isIDHeader(name string, schema *record.Schema) bool {
	if strings.EqualFold(name, recordID) || strings.EqualFold(name, recordID+" - "+string(schema.Object)) {
		return true
	}
	switch squash(name) { // RecordID and record-id too: a property of such a name would hide the ids of the next file
	case "recordid", "hsobjectid":
		return len(schema.Find(name)) == 0
	}
	return false
}

// plainID reports whether a header may mean the ids of any system.
func plainID(name string) bool { return strings.EqualFold(name, "id") }

// layout says what each column of the file is.
type layout struct {
	columns   []column
	id        int // index of the column of record ids, -1 = none
	width     int // columns of the file; those after them take another part of a cell
	source    *Source
	deleted   int  // index of the column that says that a record was deleted where the file comes from, -1 = none
	byID      bool // a line without a record id is a finding, also with an e-mail address
	sameEmail bool // a line's id and its e-mail address must be those of one contact
	spareHeld bool // a line changes no record on legal hold
	email     int  // index of the column of e-mail addresses that identify contacts, -1 = none
	unknown   int  // columns that are to become properties
	tail      int  // columns at the end that have no header, whose cells are to be empty
	paired    bool // some column holds ids of associated records
}

type column struct {
	header   string
	use      Use
	note     string
	property *record.Property // with UseProperty and UseCreated
	options  optionIndex
	create   bool // unknown, to be made into a property
	how      reading
	told     bool // what is said once for a column was said

	cell  int               // the place of its cell in a row
	part  *part             // of the cell; nil = all of it
	want  *record.Property  // what it is to become, with create; nil = named after the header
	twin  *record.Property  // another property of the same label, for cells that are none of the options
	pairs record.ObjectType // with UseAssociations: which records the cell holds the ids of
}

// filled reports whether a cell of the column gives its property a value.
func (c *column) filled(s string) bool {
	return s != "" && (c.property.Type == record.String || strings.TrimSpace(s) != "")
}

// report is the columns as the caller sees them.
func (l *layout) report() []Column {
	out := make([]Column, len(l.columns))
	for i, c := range l.columns {
		out[i] = Column{Header: c.header, Use: c.use, Note: c.note}
		if c.property != nil {
			out[i].Property = c.property.Name
		}
	}
	return out
}

// repeats reports whether a record has a line for each record that is associated with it, as in an export of HubSpot that
// has the associated records beside it.
func (l *layout) repeats() bool {
	return slices.ContainsFunc(l.columns, func(c column) bool {
		return c.use == UseAssociations && strings.HasPrefix(strings.ToLower(c.header), strings.ToLower(recordID)+" - ")
	})
}

// Bounds of a header; nobody has more on purpose.
const (
	maxColumns = 10_000
	maxHeader  = 1000 // bytes of one name
)

// headerNames takes the names out of the header record, or says why there are none.
func headerNames(r *row) ([]string, *Finding) {
	if r.bad != nil {
		return nil, r.bad
	}
	fault := func(message, help string) ([]string, *Finding) {
		return nil, &Finding{Code: HeaderText, Line: r.line, Message: message, Help: help}
	}
	switch {
	case bytes.IndexByte(r.data, 0) >= 0:
		return fault("the header holds NUL bytes", "the file may be UTF-16 without a byte order mark; save it as CSV UTF-8")
	case !utf8.Valid(r.data):
		return fault("the header is not UTF-8 text", "save the file as CSV UTF-8, or say which encoding it has with --encoding")
	case len(r.ends) > maxColumns:
		return fault(fmt.Sprintf("the header has %d columns", len(r.ends)), fmt.Sprintf("at most %d can be imported", maxColumns))
	case strings.Contains(strings.ReplaceAll(r.text(), "\r\n", "\n"), "\r"):
		return fault("the header holds a carriage return without a line feed", "save the file with line ends LF or CRLF")
	}
	text := r.text()
	names := make([]string, len(r.ends))
	for i := range names {
		names[i] = strings.TrimSpace(r.cell(text, i))
		if strings.ContainsAny(names[i], "\n\t") {
			names[i] = strings.Join(strings.Fields(names[i]), " ") // a header that is broken over lines in a spreadsheet
		}
		if len(names[i]) > maxHeader {
			return fault(fmt.Sprintf("the header of column %d has %d bytes", i+1, len(names[i])), fmt.Sprintf("at most %d fit", maxHeader))
		}
	}
	return names, nil
}

// resolve finds out what each header means, with what the cells of each column show once that is known. When there are findings, nothing may be imported.
func resolve(names []string, line int, schema *record.Schema, o *Options, surveyed []facts) (layout, []Finding) {
	h := &headers{line: line, schema: schema, o: o, names: names, layout: layout{columns: make([]column, len(names)), id: -1, email: -1, deleted: -1, width: len(names)}}
	if o.Source != NoSource {
		h.source = findSource(o.Source, names)
	}
	h.readMap()
	h.findID()
	h.findForeign()
	h.checkTwice()
	for i := range names {
		h.column(i)
	}
	h.settleTwins(surveyed)
	h.checkSame()
	h.checkKey()
	h.spareHeld, h.byID = !o.ChangeHeld, o.Key == KeyID
	h.sameEmail = h.id >= 0 && !o.TrustIDs && (h.email >= 0 || o.Object == record.Contact && o.IDColumn == "")
	return h.layout, h.found
}

// headers is the header while it is being resolved.
type headers struct {
	line   int
	schema *record.Schema
	o      *Options
	names  []string
	layout
	byEmail bool // --id-column names the e-mail column
	found   []Finding
	mapped  map[int]string // by column: the property that the caller names for it; "" = none
	foreign []string       // by column: the object type that it is about, when that is another one than the file's
}

// findForeign finds the columns of associated records in an export of HubSpot: they follow their own record ids, as in
// "Record ID - Contact, Email, Record ID - Company, Company name".
func (h *headers) findForeign() {
	h.foreign = make([]string, len(h.names))
	about := ""
	for i, n := range h.names {
		if object, ok := strings.CutPrefix(strings.ToLower(n), strings.ToLower(recordID)+" - "); ok {
			if about = object; object == string(h.o.Object) {
				about = ""
			}
		}
		h.foreign[i] = about
	}
}

func (h *headers) fault(code Code, header, message, help string) {
	h.found = append(h.found, Finding{Code: code, Line: h.line, Column: header, Message: message, Help: help})
}

// findID chooses the column of record ids.
func (h *headers) findID() {
	if h.o.Key == KeyEmail {
		h.byEmail = true
		return
	}
	if want := strings.TrimSpace(h.o.IDColumn); want != "" {
		for i, n := range h.names {
			if n == want || h.id < 0 && strings.EqualFold(n, want) {
				h.id = i
			}
		}
		if h.id < 0 {
			help := "the headers are " + strings.Join(h.names, ", ")
			if near := spelling.Nearest(want, h.names); near != "" {
				help = "did you mean " + near + "?"
			}
			h.fault(IDColumn, "", "there is no column "+quote(want)+" to take record ids from", help)
			return
		}
		if p := h.schema.Find(h.names[h.id]); len(p) == 1 && h.keyProperty(p[0]) {
			h.id, h.byEmail = -1, true
		}
		return
	}
	for i, n := range h.names {
		rule := h.source.rule(n, h.o.Object)
		property, said := h.mapped[i]
		if isID := isIDHeader(n, h.schema) || rule != nil && rule.ID; said && !isIDHeader(property, h.schema) || !said && !isID {
			continue
		}
		if h.id >= 0 && !strings.EqualFold(n, h.names[h.id]) {
			h.fault(IDColumn, n, fmt.Sprintf("both %s and %s may hold the record ids", quote(h.names[h.id]), quote(n)), "say which one with --id-column")
			return
		}
		if h.id < 0 {
			h.id = i
		}
	}
}

func (h *headers) keyProperty(p *record.Property) bool {
	return h.o.Object == record.Contact && p.Number == record.PropertyEmail
}

func (h *headers) checkTwice() {
	first := make(map[string]int, len(h.names))
	for i, n := range h.names {
		if n == "" || h.foreign[i] != "" {
			continue
		}
		key := strings.ToLower(n)
		if _, said := h.mapped[i]; said {
			continue
		}
		f, twice := first[key]
		if found := findAlike(h.schema, n); twice && h.source != nil && (len(found) != 1 || !standard(h.o.Object, found[0])) {
			continue // programs have several properties of one label; see twins
		} else if twice {
			h.fault(HeaderTwice, n, fmt.Sprintf("columns %d and %d have the same header", f+1, i+1), "give each column a header of its own")
			continue
		}
		first[key] = i
	}
}

// column finds out what one header means.
func (h *headers) column(i int) {
	c := &h.columns[i]
	c.header, c.use, c.cell = h.names[i], UseIgnored, i
	property, said := h.mapped[i]
	rule := h.source.rule(c.header, h.o.Object)
	switch found := findAlike(h.schema, c.header); {
	case i == h.id:
		c.use = UseID
	case said:
		h.saidColumn(i, property)
	case rule != nil && rule.Associates != "":
		c.use, c.pairs = UseAssociations, rule.Associates
		h.paired = true
	case h.foreign[i] != "":
		c.note = "is about the associated " + h.foreign[i]
		if !h.o.IgnoreUnknown && h.source == nil {
			h.fault(HeaderUnknown, c.header, c.note, "leave such columns out with --ignore-unknown")
		}
	case c.header == "":
		h.unnamed(c, i)
	case isIDHeader(c.header, h.schema), rule != nil && rule.ID, plainID(c.header) && rule == nil && len(found) == 0 && h.o.IDColumn != "" && !h.o.CreateProperties:
		c.note = "record ids are taken from another column"
		if h.byEmail {
			c.note = "records are matched by e-mail address"
		}
	case rule != nil:
		h.ruled(i, rule)
	case len(found) > 1 && h.source != nil && h.twins(i, found):
	case len(found) > 1:
		names := make([]string, len(found))
		for j, p := range found {
			names[j] = p.Name
		}
		h.fault(HeaderAmbiguous, c.header, "is the label of several properties: "+strings.Join(names, ", "), "write the internal name, or say which one with --map "+quote(c.header+"=NAME"))
	case h.twinNumber(i) > 1 && (h.o.CreateProperties || h.schema.Named(h.numbered(i, h.twinNumber(i)).Name) != nil):
		h.make(i, h.numbered(i, h.twinNumber(i)))
	case len(found) == 1:
		h.use(i, found[0])
	case h.o.CreateProperties:
		c.create = true
		h.unknown++
		if _, _, stranger, mixed := unseen.Mixed(c.header); mixed {
			h.fault(HeaderUnknown, c.header, fmt.Sprintf("has the letter %q (%U), which looks like another one", stranger, stranger), "write the header in letters of one alphabet")
		}
	case h.o.IgnoreUnknown:
		c.note = "no property has this name"
	default:
		h.unknownHeader(c.header)
	}
}

// use has a column give its cells to a property.
func (h *headers) use(i int, p *record.Property) {
	c := &h.columns[i]
	switch {
	case p.Counts != "":
		c.note = p.Name + " is counted from associations"
		return
	case p.ReadOnly:
		c.note = p.Name + " is set by the store alone"
		return
	}
	c.use, c.property = UseProperty, p
	if p.Type == record.Enumeration {
		c.options = indexOptions(p)
	}
	if h.keyProperty(p) {
		h.email = i
	}
}

func (h *headers) unnamed(c *column, i int) {
	if h.o.IgnoreUnknown {
		c.note = "the column has no header"
		return
	}
	if strings.Join(h.names[i:], "") == "" && i > 0 { // separators at the end of each line
		h.tail = max(h.tail, len(h.names)-i)
		return
	}
	h.fault(HeaderEmpty, "", fmt.Sprintf("column %d has no header", i+1), "name it, take it out, or leave it out with --ignore-unknown")
}

func (h *headers) unknownHeader(name string) {
	if len(h.found) >= h.o.MaxFindings {
		h.fault(HeaderUnknown, name, "no property has this name", "") // counted, but not shown
		return
	}
	labels := make([]string, 0, len(h.schema.Properties))
	for i := range h.schema.Properties {
		if p := &h.schema.Properties[i]; !p.Removed {
			labels = append(labels, p.Label)
		}
	}
	help := "make it a property with --create-properties, or leave it out with --ignore-unknown"
	if plainID(name) {
		h.fault(HeaderUnknown, name, "may be the id of another system, so it is not taken for the record id",
			"keep it as a property with --create-properties, leave it out with --ignore-unknown, or say with --id-column "+quote(name)+" that these are this account's ids")
		return
	}
	if near := spelling.Nearest(name, h.schema.Names(), labels); near != "" {
		help = fmt.Sprintf("did you mean %s? Else %s", near, help)
	}
	h.fault(HeaderUnknown, name, "no property has this name", help)
}

// checkSame finds headers that mean one property, such as its name and its label.
func (h *headers) checkSame() {
	first := make(map[int]int, len(h.columns))
	alike := make(map[string]int)
	for i := range h.columns {
		c := &h.columns[i]
		if c.create && c.want == nil && squash(c.header) != "" {
			if f, twice := alike[squash(c.header)]; twice {
				h.fault(HeaderTwice, c.header, fmt.Sprintf("columns %d and %d would both become the property %s", f+1, i+1, nameOf(h.columns[f].header)), "keep one of them, or name them apart")
			} else {
				alike[squash(c.header)] = i
			}
		}
		if c.use != UseProperty {
			continue
		}
		f, twice := first[c.property.Number]
		if !twice {
			first[c.property.Number] = i
			continue
		}
		if !strings.EqualFold(c.header, h.columns[f].header) || h.source != nil { // else checkTwice has said it
			h.fault(HeaderTwice, c.header, fmt.Sprintf("columns %d and %d both mean the property %s", f+1, i+1, c.property.Name), "keep one of them")
		}
	}
}

// checkKey asks for something that tells which record a line is about.
func (h *headers) checkKey() {
	if h.o.Key == KeyID && h.id < 0 && len(h.found) == 0 {
		h.fault(NoKeyColumn, "", "no column holds record ids", "say which one does with --id-column, or leave --key out")
		return
	}
	if h.o.Key == KeyEmail && h.email < 0 && len(h.found) == 0 {
		h.fault(NoKeyColumn, "", "no column holds e-mail addresses", `name the column Email, or say which one does with --map "HEADER=email"`)
		return
	}
	if h.id >= 0 || h.email >= 0 || h.o.Mode == crmstore.CreateOnly || len(h.found) > 0 {
		return
	}
	message, help := "no column holds record ids", "say which one does with --id-column; without ids, lines can only make new records, with --mode create"
	if h.o.Object == record.Contact {
		message, help = "no column holds record ids or e-mail addresses", "name the column Email, or say with --id-column which one holds record ids; without both, lines can only make new contacts, with --mode create"
	}
	h.fault(NoKeyColumn, "", message, help)
}
