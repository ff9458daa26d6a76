package csvfile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// entry is a line of the file as a change to the store.
type entry struct {
	upsert crmstore.Upsert
	line   int
	email  string       // normalised, good until the next row; "" = none
	pairs  []record.Ref // the records that are to be associated with it
}

// maxPairs is how many records a cell may name.
const maxPairs = 10_000

// associate takes the ids in a cell, with ; or , between them.
func (e *entry) associate(object record.ObjectType, s string) *problem {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ';' || r == ',' }) {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		id, p := parseID(word)
		if p != nil {
			return p
		}
		if e.pairs = append(e.pairs, record.Ref{Object: object, ID: id}); len(e.pairs) > maxPairs {
			return &problem{code: BadID, message: fmt.Sprintf("the line names more than %d associated records", maxPairs), help: "import them with: workflow associations import"}
		}
	}
	return nil
}

// converter turns rows into entries. It is not safe for concurrent use.
type converter struct {
	layout
	mode    crmstore.WriteMode
	comma   byte // between cells
	decoded bool // U+FFFD stands for something that was not text

	trailer     bool // the lines at the end have begun
	after, gone int  // lines at the end, and records that were deleted where they come from

	begun, ended bool // a first row was seen, and it has an empty cell more than the header

	// With a packer, entries are packed. Without one, in a dry run, assignments of many entries share one block, so that
	// a record costs no allocation of its own for them.
	packer *crmstore.Packer
	block  []record.Assignment
}

// blockSize is how many assignments share one allocation.
const blockSize = 16 << 10

// entry reads a row. It is blank when no cell says anything; it is not ok when there is a finding,
// and then nothing of the row may be imported.
func (c *converter) entry(r *row, found *findings) (e entry, blank, ok bool) {
	if c.passed(r) {
		return e, true, true
	}
	if f := c.rowFault(r); f != nil {
		found.add(*f)
		return e, false, false
	}
	if len(r.data) == 0 {
		return e, true, false
	}
	e, ok = c.cells(r, found)
	if ok && e.upsert.ID == 0 && (e.email == "" || c.byID) && c.mode != crmstore.CreateOnly {
		found.add(Finding{
			Code: KeyMissing, Line: r.line, Message: "the line has " + c.missingKey() + ", so it is not certain which record it is about",
			Help: "fill it in; lines without it can only make new records, with --mode create",
		})
		return e, false, false
	}
	return e, false, ok
}

func (c *converter) missingKey() string {
	switch {
	case c.id >= 0 && c.email >= 0 && !c.byID:
		return "neither a record id nor an e-mail address"
	case c.id >= 0:
		return "no record id"
	default:
		return "no e-mail address"
	}
}

// rowFault is what is wrong with the row as a whole; nil when nothing is.
func (c *converter) rowFault(r *row) *Finding {
	if r.bad != nil {
		if r.badAt < c.width {
			r.bad.Column = c.columns[r.badAt].header
		}
		return r.bad
	}
	c.evenOut(r)
	if len(r.ends) != c.width {
		return &Finding{
			Code: CellCount, Line: r.line, Message: fmt.Sprintf("the line has %d cells, and the header has %d", len(r.ends), c.width),
			Help: "a cell that holds the separator or a line break must be in quotes",
		}
	}
	if f := c.linesInCell(r); f != nil {
		return f
	}
	if f := c.markedFault(r); f != nil {
		return f
	}
	if bytes.IndexByte(r.data, 0) >= 0 {
		i := c.cellAt(r, func(s string) bool { return strings.Contains(s, "\x00") })
		return &Finding{Code: NulByte, Line: r.lines[i], Column: c.columns[i].header, Message: "the cell holds a NUL byte", Help: "text cannot hold one; save the file as CSV UTF-8"}
	}
	if !utf8.Valid(r.data) || c.decoded && bytes.Contains(r.data, []byte("\uFFFD")) {
		i := c.cellAt(r, func(s string) bool { return !utf8.ValidString(s) || c.decoded && strings.Contains(s, "\uFFFD") })
		return &Finding{Code: BadText, Line: r.lines[i], Column: c.columns[i].header, Message: "the cell is not valid text", Help: "save the file as CSV UTF-8, or say which encoding it has with --encoding"}
	}
	return nil
}

// passed reports whether a row is no record to be brought in: one of the lines that some programs put at the end, or a record that
// was deleted there. It is counted.
func (c *converter) passed(r *row) bool {
	if c.source == nil {
		return false
	}
	if c.trailer = c.source.Trailer && c.width > 2 && len(r.ends) == 1 && (r.gap || c.trailer); c.trailer {
		c.after++
		return true
	}
	if c.deleted < 0 || len(r.ends) != c.width {
		return false
	}
	yes, p := boolValue(strings.TrimSpace(r.cell(r.text(), c.deleted)))
	if p != nil || !yes.IsTrue() {
		return false
	}
	c.gone++
	return true
}

// evenOut takes the cell off a row, or adds it, that a separator at the end of each line makes. Where the header has no such
// separator, the first line decides for all.
func (c *converter) evenOut(r *row) {
	n, more := c.width, len(r.ends)-c.width
	ended := more == 1 && r.ends[n] == r.ends[n-1]
	if !c.begun {
		c.begun, c.ended = true, ended
	}
	switch {
	case ended && c.ended:
		r.ends, r.lines = r.ends[:n], r.lines[:n]
	case more < 0 && len(r.ends) >= n-c.tail && len(r.ends) > 0:
		for len(r.ends) < n {
			r.ends, r.lines = append(r.ends, len(r.data)), append(r.lines, r.last)
		}
	}
}

// markedFault finds a cell of a sheet that holds an error, and a cell in a column at the end that has no header.
func (c *converter) markedFault(r *row) *Finding {
	if i := bytes.IndexByte(r.marks, container.Fault); i >= 0 {
		return &Finding{
			Code: BadText, Line: r.lines[i], Column: c.columns[i].header, Message: "the cell holds " + r.cell(r.text(), i),
			Help: "correct it in the workbook, or empty the cell",
		}
	}
	n := c.width - c.tail
	if c.tail > 0 && n > 0 && r.ends[n-1] != len(r.data) {
		return &Finding{
			Code: HeaderEmpty, Line: r.line, Message: "the line has a cell beyond the last header: " + quote(string(r.data[r.ends[n-1]:])),
			Help: "name the column, or leave it out with --ignore-unknown",
		}
	}
	return nil
}

// linesInCell finds a quoted cell that holds lines of the file: two quotes that belong nowhere make one cell of all that
// stands between them. It is one when each of its lines, with what stands beside it, has as many cells as the header, and
// an e-mail address or an id where the header has them.
func (c *converter) linesInCell(r *row) *Finding {
	n := c.width
	if n < 2 || r.last == r.line {
		return nil
	}
	text := r.text()
	for i := range r.ends {
		cell := r.cell(text, i)
		if !strings.Contains(cell, "\n") {
			continue
		}
		lines := strings.Split(cell, "\n")
		looks := true
		for k, line := range lines {
			cells := strings.Split(strings.TrimSuffix(line, "\r"), string(rune(c.comma)))
			before, after := 0, 0
			if k == 0 {
				before = i
			}
			if k == len(lines)-1 {
				after = n - 1 - i
			}
			looks = looks && before+len(cells)+after == n && (k == 0 || c.keyIn(cells))
		}
		if looks {
			return &Finding{
				Code: LinesInCell, Line: r.lines[i], Column: c.columns[i].header,
				Message: fmt.Sprintf("a quoted cell holds %d line breaks, each followed by as many cells as the header", len(lines)-1),
				Help:    fmt.Sprintf("take the quotes out that open on line %d and close on line %d; else put no separators into the cell", r.lines[i], r.last),
			}
		}
	}
	return nil
}

// keyIn reports whether the cells at the beginning of a line hold what tells a record where the header says.
func (c *converter) keyIn(cells []string) bool {
	at := func(column int) string { return strings.Trim(strings.TrimSpace(cells[column]), `"`) }
	switch {
	case c.email >= 0 && c.email < len(cells):
		return record.MeansAddress(at(c.email))
	case c.id >= 0 && c.id < len(cells):
		return wholeNumber(at(c.id))
	}
	return true
}

// cellAt is the first cell for which is holds.
func (c *converter) cellAt(r *row, is func(string) bool) int {
	text := r.text()
	for i := range r.ends {
		if is(r.cell(text, i)) {
			return i
		}
	}
	return 0
}

// cells reads every cell, so that one look at the report shows all that is wrong with a line.
func (c *converter) cells(r *row, found *findings) (entry, bool) {
	if c.packer != nil {
		c.block = c.block[:0]
	}
	if cap(c.block)-len(c.block) < len(c.columns) {
		c.block = make([]record.Assignment, 0, max(blockSize, len(c.columns)))
	}
	start, text, ok := len(c.block), c.text(r), true
	e := entry{line: r.line}
	e.upsert.SameEmail, e.upsert.SpareHeld = c.sameEmail, c.spareHeld
	for i := range c.columns {
		col := &c.columns[i]
		if col.use == UseIgnored {
			continue
		}
		s := col.part.of(r.cell(text, col.cell))
		if s == "" {
			continue
		}
		if col.use == UseAssociations {
			if p := e.associate(col.pairs, s); p != nil {
				ok = false
				found.add(Finding{Code: p.code, Line: r.lines[col.cell], Column: col.header, Message: p.message, Help: p.help})
			}
			continue
		}
		var v record.Value
		var p *problem
		switch i {
		case c.id:
			e.upsert.ID, p = parseID(s)
		case c.email:
			v, p = emailValue(s)
			e.email = v.Text()
		default:
			v, p = col.how.marked(r.mark(col.cell)).value(col.property, col.options, s)
		}
		if p != nil {
			if ok = false; p.once && col.told {
				continue
			}
			col.told = col.told || p.once
			found.add(Finding{Code: p.code, Line: r.lines[col.cell], Column: col.header, Message: p.message, Help: p.help})
			continue
		}
		if v.Known() {
			c.block = append(c.block, record.Assignment{Property: col.property.Number, Value: v})
		}
	}
	if !ok {
		c.block = c.block[:start]
		return e, false
	}
	e.upsert.Set = c.block[start:len(c.block):len(c.block)]
	if c.packer == nil {
		return e, true
	}
	var err error
	if e.upsert, err = c.packer.Pack(e.upsert); err != nil {
		found.add(Finding{Code: StoreRefused, Line: r.line, Message: err.Error()})
		return e, false
	}
	return e, true
}

// text is the text of a row. What is packed is copied anyway, so it may share the memory of the row until the next.
func (c *converter) text(r *row) string {
	if c.packer == nil {
		return r.text()
	}
	return unsafe.String(unsafe.SliceData(r.data), len(r.data))
}

func parseID(s string) (record.ID, *problem) {
	if strings.TrimSpace(s) == "" {
		return 0, nil
	}
	id, err := record.ParseID(s)
	if err != nil { // what a new record may bring along, the store says
		return 0, &problem{code: BadID, message: quote(s) + " is not a record id", help: fmt.Sprintf("record ids are whole numbers from 1 to %d", uint64(record.MaxID))}
	}
	return id, nil
}
