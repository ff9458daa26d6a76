package csvfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
)

// bufferSize is how much of a file is read at a time, and how far the header may reach for the
// separator to be found from it.
const bufferSize = 256 << 10

// openFile opens a file of any kind; what cannot be read is a *brokenError.
func openFile(ctx context.Context, r io.Reader, o container.Options) (*container.File, error) {
	file, err := container.Open(ctx, r, o)
	if f, ok := errors.AsType[*container.FormatError](err); ok {
		return nil, broken(FileEncoding, 0, f.What, f.Help)
	}
	return file, err
}

// openRows finds out which character separates the cells of a text. A sheet is the text of one sheet of a workbook, as
// package container writes it.
func openRows(r io.Reader, sheet bool) (*rowReader, error) {
	in := bufio.NewReaderSize(r, bufferSize)
	if sheet {
		return &rowReader{in: in, comma: ',', sheet: true}, nil
	}
	head, err := in.Peek(bufferSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read: %w", err)
	}
	rows := &rowReader{in: in, comma: separator(head)}
	if comma, size := saidSeparator(head); size > 0 {
		_, _ = in.Discard(size) // peeked at, so it cannot fail
		rows.comma, rows.line = comma, 1
	}
	return rows, nil
}

// saidSeparator reads a first line such as sep=; which spreadsheets understand; size is 0 when there is none.
func saidSeparator(head []byte) (comma byte, size int) {
	line, _, more := bytes.Cut(head, []byte("\n"))
	text := bytes.TrimSuffix(line, []byte("\r"))
	if !more || len(text) != len("sep=;") || !strings.EqualFold(string(text[:4]), "sep=") {
		return 0, 0
	}
	switch text[4] {
	case ',', ';', '\t', '|':
		return text[4], len(line) + 1
	}
	return 0, 0
}

// separators are what may stand between cells; where two are as frequent, the first one does.
const separators = ",;\t|"

// separator is the character that the first line with anything on it uses most outside quotes; a comma when in doubt.
func separator(head []byte) byte {
	var n [len(separators)]int
	quoted := false
	for _, b := range bytes.TrimLeft(head, "\r\n") {
		if b == '"' {
			quoted = !quoted
		}
		if quoted {
			continue
		}
		if b == '\n' {
			break
		}
		if i := strings.IndexByte(separators, b); i >= 0 {
			n[i]++
		}
	}
	best := 0
	for i := range n {
		if n[i] > n[best] {
			best = i
		}
	}
	return separators[best]
}
