package csvfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
)

// maxRecord bounds the bytes of one record, so that a quote that is never closed does not pull the
// rest of a file into memory.
const maxRecord = 8 << 20

// row is one record of the file. Its bytes are valid until the next record is read.
type row struct {
	line  int      // on which the record begins
	last  int      // on which it ends
	data  []byte   // all cells, quotes resolved, one after the other
	ends  []int    // where each cell ends in data
	lines []int    // on which each cell begins
	gap   bool     // an empty line stands before it
	marks []byte   // of a sheet: what each cell is marked with, as package container does; else empty
	bad   *Finding // a quote that makes the cells doubtful, the first one
	badAt int      // the cell it stands in
}

// text is the whole record as one string, and cell(i) of it shares its bytes.
func (r *row) text() string { return string(r.data) }

func (r *row) cell(text string, i int) string {
	from := 0
	if i > 0 {
		from = r.ends[i-1]
	}
	return text[from:r.ends[i]]
}

// mark is what a cell of a sheet is marked with, 0 when it is a text.
func (r *row) mark(i int) byte {
	if i < len(r.marks) {
		return r.marks[i]
	}
	return 0
}

// brokenError is a finding that the file cannot be read past.
type brokenError struct{ finding Finding }

func (e *brokenError) Error() string { return e.finding.String() }

// rowReader splits text into records as RFC 4180 has them. It stands in for encoding/csv because that
// takes the carriage return out of a line break within quotes, holds an open quote's whole rest of the file
// in memory, and cannot go on after a stray quote that leaves no doubt where the record ends.
type rowReader struct {
	in    *bufio.Reader
	comma byte
	sheet bool // the text is that of a sheet: each record is one line, whatever its cells hold
	line  int  // lines of the file read so far
	long  []byte
	row   row
}

// next reads one record and passes over lines with nothing on them. It returns io.EOF at the end,
// a *brokenError where the file cannot be read further, and else the reader's own error.
func (r *rowReader) next() (*row, error) {
	for r.row.gap = false; ; r.row.gap = true {
		line, err := r.readLine()
		if err != nil {
			return nil, err
		}
		if len(trimEOL(line)) == 0 {
			continue
		}
		r.row.line, r.row.bad = r.line, nil
		r.row.data, r.row.ends, r.row.lines = r.row.data[:0], r.row.ends[:0], r.row.lines[:0]
		r.row.marks = r.row.marks[:0]
		err = r.split(line)
		r.row.last = r.line
		return &r.row, err
	}
}

func (r *rowReader) split(line []byte) error {
	for {
		r.row.lines = append(r.row.lines, r.line)
		if len(line) > 0 && line[0] == '"' {
			rest, more, err := r.quoted(line[1:])
			if err != nil || !more {
				return err
			}
			line = rest
			continue
		}
		i := bytes.IndexByte(line, r.comma)
		cell := trimEOL(line)
		if i >= 0 {
			cell = line[:i]
		}
		if r.sheet {
			cell = r.takeMark(cell)
		} else if bytes.IndexByte(cell, '"') >= 0 && r.row.bad == nil {
			r.row.badAt = len(r.row.ends)
			r.row.bad = &Finding{
				Code: QuoteBare, Line: r.line, Message: "a quote stands within a cell that does not begin with one: " + quote(string(cell)),
				Help: `put the cell in quotes and double the quotes within, like "5"" pipe"`,
			}
		}
		r.endCell(cell)
		if i < 0 {
			return nil
		}
		line = line[i+1:]
	}
}

// takeMark remembers and takes off what an unquoted cell of a sheet is marked with.
func (r *rowReader) takeMark(cell []byte) []byte {
	if len(cell) == 0 || cell[0] != container.Number && cell[0] != container.Fault {
		return cell
	}
	for len(r.row.marks) < len(r.row.ends) {
		r.row.marks = append(r.row.marks, 0)
	}
	r.row.marks = append(r.row.marks, cell[0])
	return cell[1:]
}

// quoted reads a cell whose opening quote has been taken off the line. It returns what follows the
// comma after the cell, and whether there was a comma.
func (r *rowReader) quoted(line []byte) (rest []byte, more bool, err error) {
	opened := r.line
	for {
		i := bytes.IndexByte(line, '"')
		if i < 0 {
			r.row.data = append(r.row.data, line...)
			if len(r.row.data) > maxRecord {
				return nil, false, broken(QuoteOpen, opened, fmt.Sprintf("the quote that opens here is not closed within %d MiB", maxRecord>>20), quoteHelp)
			}
			if line, err = r.readLine(); err != nil {
				if errors.Is(err, io.EOF) {
					err = broken(QuoteOpen, opened, "the quote that opens here is never closed", quoteHelp)
				}
				return nil, false, err
			}
			if r.sheet {
				r.line--
			}
			continue
		}
		r.row.data = append(r.row.data, line[:i]...)
		line = line[i+1:]
		switch {
		case len(line) > 0 && line[0] == '"':
			r.row.data = append(r.row.data, '"')
			line = line[1:]
		case len(line) > 0 && line[0] == r.comma:
			r.endCell(nil)
			return line[1:], true, nil
		case len(trimEOL(line)) == 0:
			r.endCell(nil)
			return nil, false, nil
		default:
			return nil, false, broken(QuoteOpen, opened, fmt.Sprintf("the quote that opens here is closed on line %d in the middle of a cell, before %s",
				r.line, quote(string(trimEOL(line)))), quoteHelp)
		}
	}
}

const quoteHelp = "close the quote, and double each quote within the cell; nothing from this line on is imported, since it is not certain where the next record begins"

func broken(code Code, line int, message, help string) error {
	return &brokenError{Finding{Code: code, Line: line, Message: message, Help: help}}
}

func (r *rowReader) endCell(rest []byte) {
	r.row.data = append(r.row.data, rest...)
	r.row.ends = append(r.row.ends, len(r.row.data))
}

// rest reads to the end, and counts the lines with anything on them.
func (r *rowReader) rest() (lines int, err error) {
	for {
		line, err := r.readLine()
		var b *brokenError
		switch {
		case errors.Is(err, io.EOF):
			return lines, nil
		case errors.As(err, &b): // longer than lines may be
			return lines + 1, nil
		case err != nil:
			return lines, err
		case len(trimEOL(line)) > 0:
			lines++
		}
	}
}

// readLine reads up to and including the next line feed; the last line may lack one.
func (r *rowReader) readLine() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		r.long = r.long[:0]
		for errors.Is(err, bufio.ErrBufferFull) {
			r.long = append(r.long, line...)
			if len(r.long) > maxRecord {
				return nil, broken(LineTooLong, r.line+1, fmt.Sprintf("the line is longer than %d MiB", maxRecord>>20), "this does not look like a CSV file")
			}
			line, err = r.in.ReadSlice('\n')
		}
		r.long = append(r.long, line...)
		line = r.long
	}
	if len(line) == 0 {
		return nil, err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r.line++
	return line, nil
}

// trimEOL takes the line break off a line: LF, CRLF, or at the end of the file a lone CR.
func trimEOL(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}
