package container

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of a sheet, which are those of Excel.
const (
	maxRows = 1 << 20
	maxCols = 1 << 14
)

// sheetWriter writes the rows of a sheet as lines. All rows have at least as many cells as the first one that has any.
type sheetWriter struct {
	b     *book
	w     *bufio.Writer
	n     int64 // bytes written
	row   int   // number of the last row that was written
	width int   // cells of the first row with any
	cells []cell
}

// cell is a cell of the row in hand, as it will stand in the text.
type cell struct {
	text string
	mark byte // 0 = a text
}

// write writes the sheet as text.
func (b *book) write(w io.Writer) error {
	out := &sheetWriter{b: b, w: bufio.NewWriter(w)}
	err := b.elements(b.part, func(e xml.StartElement, t *tokens) error {
		if e.Name.Local != "row" {
			return nil
		}
		number := out.row + 1
		if r := attr(e, "r"); r != "" {
			n, err := strconv.Atoi(r)
			if err != nil || n < number || n > maxRows {
				return b.damage("row " + strconv.Quote(r) + " is out of order")
			}
			number = n
		}
		return out.readRow(number, t)
	})
	if err != nil {
		return err
	}
	return out.w.Flush()
}

func (b *book) damage(what string) error {
	return &FormatError{"this workbook is damaged: " + what, "open it in a spreadsheet and save it again"}
}

// readRow reads the cells of a row that has begun, and writes it.
func (o *sheetWriter) readRow(number int, t *tokens) error {
	o.cells = o.cells[:0]
	for {
		token, err := t.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("row %d: %w", number, err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local != "c" {
				continue
			}
			if err := o.readCell(e, t); err != nil {
				return fmt.Errorf("row %d: %w", number, err)
			}
		case xml.EndElement:
			if e.Name.Local == "row" {
				return o.writeRow(number)
			}
		}
	}
}

// readCell reads a cell that has begun, to its end.
func (o *sheetWriter) readCell(e xml.StartElement, t *tokens) error {
	place := len(o.cells)
	if ref := attr(e, "r"); ref != "" {
		at, ok := columnOf(ref)
		if !ok || at < place {
			return o.b.damage("cell " + strconv.Quote(ref) + " is out of order")
		}
		place = at
	}
	if place >= maxCols {
		return o.b.damage("a row has too many cells")
	}
	for len(o.cells) < place {
		o.cells = append(o.cells, cell{})
	}
	kind, value, formula := attr(e, "t"), "", false
	valued := false
	for {
		token, err := t.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		switch e := token.(type) {
		case xml.StartElement:
			switch e.Name.Local {
			case "f":
				formula = true
			case "is":
				if value, err = t.text("is"); err != nil {
					return err
				}
			case "v":
				if value, err = t.plain("v"); err != nil {
					return err
				}
				valued = true
			}
			continue
		case xml.EndElement:
			if e.Name.Local != "c" {
				continue
			}
		default:
			continue
		}
		break
	}
	if formula && !valued && value == "" {
		o.cells = append(o.cells, cell{"a formula that was never calculated", Fault})
		return nil
	}
	c, err := o.b.cell(kind, value, attr(e, "s"))
	o.cells = append(o.cells, c)
	return err
}

// plain reads the text of an element that has begun, to its end.
func (t *tokens) plain(within string) (string, error) {
	var out bytes.Buffer
	for {
		token, err := t.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		switch e := token.(type) {
		case xml.EndElement:
			if e.Name.Local == within {
				return out.String(), nil
			}
		case xml.CharData:
			if out.Write(e); out.Len() > maxToken {
				return "", &FormatError{"this workbook holds a text that is too long", "a cell of a spreadsheet holds 32,767 characters"}
			}
		}
	}
}

// columnOf is the place of the column of a cell such as AB12, from 0.
func columnOf(ref string) (int, bool) {
	n := 0
	for i := range len(ref) {
		b := ref[i] &^ 0x20
		if b < 'A' || b > 'Z' {
			return n - 1, n > 0
		}
		if n = n*26 + int(b-'A') + 1; n > maxCols {
			return 0, false
		}
	}
	return n - 1, n > 0
}

// cell is what a cell of that kind, value and style says.
func (b *book) cell(kind, value, styled string) (cell, error) {
	switch kind {
	case "s":
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil {
			return cell{}, b.damage("a cell names the text " + strconv.Quote(value))
		}
		s, ok, err := b.texts.get(n)
		if err == nil && !ok {
			err = b.damage("a cell names the text " + strconv.Quote(value))
		}
		return cell{text: s}, err
	case "str":
		return cell{text: unescape(value)}, nil
	case "inlineStr", "d":
		return cell{text: value}, nil
	case "b":
		switch strings.TrimSpace(value) {
		case "1", "true":
			return cell{text: "true"}, nil
		case "":
			return cell{}, nil
		}
		return cell{text: "false"}, nil
	case "e":
		return cell{"the error " + value, Fault}, nil
	}
	value = strings.TrimSpace(value)
	if value == "" {
		return cell{}, nil
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return cell{}, b.damage("a cell holds the number " + strconv.Quote(value))
	}
	var s style
	if n, err := strconv.Atoi(styled); err == nil && n >= 0 && n < len(b.styles) {
		s = b.styles[n]
	}
	text, number := s.cell(v, b.base)
	if number {
		return cell{text, Number}, nil
	}
	return cell{text: text}, nil
}

// writeRow writes the row in hand, and an empty line for each row that the sheet leaves out.
func (o *sheetWriter) writeRow(number int) error {
	for len(o.cells) > 0 && o.cells[len(o.cells)-1].text == "" {
		o.cells = o.cells[:len(o.cells)-1]
	}
	if len(o.cells) == 0 {
		return nil
	}
	if o.width == 0 {
		o.width = len(o.cells)
	}
	for ; o.row < number-1; o.row++ {
		if err := o.put("\n"); err != nil {
			return err
		}
	}
	o.row = number
	for i := range max(o.width, len(o.cells)) {
		c := cell{}
		if i < len(o.cells) {
			c = o.cells[i]
		}
		if i > 0 {
			if err := o.put(","); err != nil {
				return err
			}
		}
		if err := o.putCell(c); err != nil {
			return err
		}
	}
	return o.put("\n")
}

func (o *sheetWriter) putCell(c cell) error {
	text := c.text
	switch {
	case c.mark == Fault: // no quotes, since they would hide the mark
		text = string(rune(c.mark)) + strings.NewReplacer(",", " ", "\n", " ", "\r", " ", `"`, "'").Replace(text)
	case c.mark != 0:
		text = string(rune(c.mark)) + text
	case text != "" && (text[0] < ' ' || strings.ContainsAny(text, ",\"\r\n")):
		text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return o.put(text)
}

func (o *sheetWriter) put(s string) error {
	o.n += int64(len(s))
	if refused := bomb(o.n, max(o.b.file.original, o.b.n/4)); refused != nil { // cells may share one long text
		return refused
	}
	_, err := o.w.WriteString(s)
	return err
}
