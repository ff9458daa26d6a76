package container

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
)

// Workbook is an .xlsx workbook of one sheet that is being written. Rows beyond 16 MB go to a temporary file.
type Workbook struct {
	file         *excelize.File
	rows         *excelize.StreamWriter
	row          int
	day, instant int // numbers of styles
}

// Day is a date without a time of day, as a cell of a [Workbook].
type Day time.Time

// maxCellText is how many characters of UTF-16 a cell holds.
const maxCellText = excelize.TotalCellChars

// NewWorkbook begins a workbook. It is to be closed.
func NewWorkbook(sheet string) (*Workbook, error) {
	b := &Workbook{file: excelize.NewFile()}
	if r := []rune(sheet); len(r) > excelize.MaxSheetNameLength {
		sheet = string(r[:excelize.MaxSheetNameLength])
	}
	err := b.file.SetSheetName(b.file.GetSheetName(0), sheet)
	if err == nil {
		b.rows, err = b.file.NewStreamWriter(sheet)
	}
	for _, s := range []struct {
		number *int
		format string
	}{{&b.day, "yyyy-mm-dd"}, {&b.instant, "yyyy-mm-dd hh:mm:ss.000"}} {
		if err == nil {
			*s.number, err = b.file.NewStyle(&excelize.Style{CustomNumFmt: &s.format})
		}
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("begin a workbook: %w", err)
	}
	return b, nil
}

// Close gives back what the workbook holds. It can be called again.
func (b *Workbook) Close() { _ = b.file.Close() } // its temporary files are of no use to anybody

// Write adds a row. A cell is a string, a float64, a bool, a [Day], a [time.Time] as its clock shows it, or nil for none. What a sheet
// cannot hold is an error, and nothing is cut off.
func (b *Workbook) Write(cells []any) error {
	if b.row++; b.row > maxRows {
		return fmt.Errorf("a sheet holds %d rows; write a CSV file", maxRows)
	}
	if len(cells) > maxCols {
		return fmt.Errorf("a sheet holds %d columns; write a CSV file", maxCols)
	}
	row := make([]any, len(cells))
	for i, c := range cells {
		var err error
		if row[i], err = b.cell(c); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	at, err := excelize.CoordinatesToCellName(1, b.row)
	if err == nil {
		err = b.rows.SetRow(at, row)
	}
	if err != nil {
		return fmt.Errorf("write row %d: %w", b.row, err)
	}
	return nil
}

func (b *Workbook) cell(c any) (any, error) {
	switch v := c.(type) {
	case string:
		return v, fits(v)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, fmt.Errorf("a cell cannot hold the number %v", v)
		}
		return numberCell(v), nil
	case Day:
		return b.date(time.Time(v), b.day, time.DateOnly), nil
	case time.Time:
		return b.date(v, b.instant, "2006-01-02T15:04:05.999"), nil
	}
	return c, nil
}

// numberCell is a number as a cell. A spreadsheet keeps 15 digits, so that one with more is a text.
func numberCell(v float64) any {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return int64(v)
	}
	if short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 14, 64), 64); err == nil && short == v {
		return v
	}
	return plain(v)
}

// date is a date as a cell: a number of days where spreadsheets and calendars count alike, else a text.
func (b *Workbook) date(t time.Time, style int, layout string) any {
	const exact = 1_000_000 // days that leave room for milliseconds within 15 digits
	first := time.Date(1900, 3, 1, 0, 0, 0, 0, time.UTC)
	days := float64(t.UnixMilli()-time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC).UnixMilli()) / msPerDay
	if t.Before(first) || days >= exact || t.Nanosecond()%1e6 != 0 {
		return t.Format(layout)
	}
	return excelize.Cell{StyleID: style, Value: days}
}

// fits says why a text does not fit into a cell.
func fits(s string) error {
	if len(s) > maxCellText {
		if n := len(utf16.Encode([]rune(s))); n > maxCellText {
			return fmt.Errorf("a cell holds %d characters, and the text has %d; write a CSV file", maxCellText, n)
		}
	}
	i := strings.IndexFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
	})
	if i >= 0 || !utf8.ValidString(s) {
		return fmt.Errorf("a workbook cannot hold a control character of the text; write a CSV file")
	}
	return nil
}

// Finish ends the workbook and writes it.
func (b *Workbook) Finish(w io.Writer) error {
	err := b.rows.Flush()
	if err == nil {
		_, err = b.file.WriteTo(w)
	}
	if err != nil {
		return fmt.Errorf("write the workbook: %w", err)
	}
	return nil
}
