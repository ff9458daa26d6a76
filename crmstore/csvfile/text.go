package csvfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// bufferSize is how much of a file is read at a time, and how far the header may reach for the
// separator to be found from it.
const bufferSize = 256 << 10

// counter counts the bytes of the file as they are read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// openRows finds out how the file is encoded and which character separates its cells.
// utf16 says that the text was decoded, so that U+FFFD may stand for something that was not text.
func openRows(r io.Reader) (rows *rowReader, utf16 bool, err error) {
	in := bufio.NewReaderSize(r, bufferSize)
	head, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, fmt.Errorf("read: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = in.Discard(3) // peeked at, so it cannot fail
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		decoder := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder()
		in, utf16 = bufio.NewReaderSize(transform.NewReader(in, decoder), bufferSize), true
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return nil, false, broken(FileEncoding, 0, "this is a workbook or another zip archive, not a CSV file", "save it as CSV UTF-8")
	}
	head, err = in.Peek(bufferSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, fmt.Errorf("read: %w", err)
	}
	if what, help := otherFormat(head); what != "" {
		return nil, false, broken(FileEncoding, 0, "this is "+what+", not a CSV file", help)
	}
	rows = &rowReader{in: in, comma: separator(head)}
	if comma, size := saidSeparator(head); size > 0 {
		_, _ = in.Discard(size) // peeked at, so it cannot fail
		rows.comma, rows.line = comma, 1
	}
	return rows, utf16, nil
}

// otherFormat names a file that is text, and no CSV.
func otherFormat(head []byte) (what, help string) {
	head = bytes.TrimLeft(head, " \t\r\n")
	is := func(prefix string) bool {
		return len(head) >= len(prefix) && strings.EqualFold(string(head[:len(prefix)]), prefix)
	}
	switch {
	case is("BEGIN:VCARD"):
		return "a vCard", "export the contacts as CSV, which every address book can"
	case is("BEGIN:VCALENDAR"):
		return "a calendar", "export contacts as CSV"
	case is("%PDF-"):
		return "a PDF", "export the contacts as CSV"
	case is("<!DOCTYPE"), is("<html"), is("<?xml"):
		return "a page or an XML document", "export the contacts as CSV"
	}
	return "", ""
}

// saidSeparator reads a first line such as sep=; which spreadsheets understand; size is 0 when there is none.
func saidSeparator(head []byte) (comma byte, size int) {
	line, _, more := bytes.Cut(head, []byte("\n"))
	text := bytes.TrimSuffix(line, []byte("\r"))
	if !more || len(text) != len("sep=;") || !strings.EqualFold(string(text[:4]), "sep=") {
		return 0, 0
	}
	switch text[4] {
	case ',', ';', '\t':
		return text[4], len(line) + 1
	}
	return 0, 0
}

// separator is the character that the first line with anything on it uses most outside quotes; a comma when in doubt.
func separator(head []byte) byte {
	var commas, semicolons, tabs int
	quoted := false
	head = bytes.TrimLeft(head, "\r\n")
	for _, b := range head {
		switch {
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == ',':
			commas++
		case b == ';':
			semicolons++
		case b == '\t':
			tabs++
		}
		if b == '\n' && !quoted {
			break
		}
	}
	switch {
	case tabs > commas && tabs > semicolons:
		return '\t'
	case semicolons > commas:
		return ';'
	}
	return ','
}
