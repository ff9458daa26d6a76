package container

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
)

// Marks at the beginning of an unquoted cell of a workbook. Neither can stand in the XML of a workbook.
const (
	Number = '\x1f' // a number follows, with a decimal point, and a percent sign where the cell shows one
	Fault  = '\x1e' // what is wrong with the cell follows
)

// Options say how a file is opened. The zero value finds everything out.
type Options struct {
	Sheet    string // name of the sheet of a workbook; "" = the first that is not hidden
	Encoding string // name of the encoding of a text, such as windows-1252; "" = found out
}

// Info says what a file was taken for.
type Info struct {
	Gzip     bool     `json:"gzip,omitempty"`
	Encoding string   `json:"encoding,omitempty"` // of a text, such as UTF-8 or Windows-1252
	Sheet    string   `json:"sheet,omitempty"`    // the one that is read, of a workbook
	Sheets   []string `json:"sheets,omitempty"`   // all of them
}

// FormatError is a file that cannot be read as what it is.
type FormatError struct {
	What string // what it is or what is wrong with it, as the end of a sentence
	Help string // what to do instead
}

// Error says what is wrong and what to do.
func (e *FormatError) Error() string { return e.What + " (" + e.Help + ")" }

// File is a file that is open. It is not safe for concurrent use.
type File struct {
	Info
	Decoded bool // U+FFFD in the text stands for something that was not text

	source   io.ReadSeeker
	start    int64 // where the text begins in source
	size     int64 // bytes of source from start
	original int64 // bytes of the file that the caller gave
	decoder  encoding.Encoding
	crOnly   bool // lines end in a carriage return alone
	closers  []func()
}

// Bounds of what is unpacked.
const (
	smallUnpacked = 32 << 20 // up to here any share is fine
	mostUnpacked  = 16 << 30
	mostShare     = 200 // how many times a file may unpack to its own size, beyond smallUnpacked
)

// sniffed is how much of a file is looked at to find out what it is.
const sniffed = 4096

// Open finds out what r is and makes its text ready to be read, from its beginning and as often as needed. What r gives is
// copied to a temporary file unless r can be wound back. A [*FormatError] says what cannot be read; any other error is one of
// reading, of the temporary file, or of ctx. The file is to be closed.
func Open(ctx context.Context, r io.Reader, o Options) (*File, error) {
	f := &File{}
	if err := f.open(ctx, r, o); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close removes temporary files. It can be called again.
func (f *File) Close() {
	for _, c := range f.closers {
		c()
	}
	f.closers = nil
}

func (f *File) open(ctx context.Context, r io.Reader, o Options) error {
	if err := f.take(ctx, r); err != nil {
		return err
	}
	f.original = f.size
	head, err := f.head()
	if err != nil {
		return err
	}
	if bytes.HasPrefix(head, []byte("\x1f\x8b")) {
		if err := f.gunzip(ctx); err != nil {
			return err
		}
		if head, err = f.head(); err != nil {
			return err
		}
		if bytes.HasPrefix(head, []byte("\x1f\x8b")) {
			return &FormatError{"this is a gzip file within a gzip file", "unpack it first"}
		}
	}
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06")) {
		if o.Encoding != "" {
			return &FormatError{"this is a workbook or an archive, which has no encoding to name", "leave --encoding out"}
		}
		return f.workbook(ctx, o.Sheet)
	}
	if e := otherFormat(head); e != nil {
		return e
	}
	if o.Sheet != "" {
		return &FormatError{"this is a text file, which has no sheets", "leave --sheet out"}
	}
	return f.text(ctx, head, o.Encoding)
}

// take makes r the source, or what it gives.
func (f *File) take(ctx context.Context, r io.Reader) error {
	if s, ok := r.(io.ReadSeeker); ok { // a pipe is an *os.File too, but cannot seek
		if start, err := s.Seek(0, io.SeekCurrent); err == nil {
			end, err := s.Seek(0, io.SeekEnd)
			if err == nil {
				_, err = s.Seek(start, io.SeekStart)
			}
			if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			f.source, f.start, f.size = s, start, max(0, end-start)
			return nil
		}
	}
	return f.spool(ctx, "copy to a temporary file", func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
}

// temporary makes a temporary file that goes when f is closed.
func (f *File) temporary(pattern string) (*os.File, error) {
	temp, err := os.CreateTemp("", pattern)
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	f.closers = append(f.closers, func() {
		_ = temp.Close() // it was only read since
		_ = os.Remove(temp.Name())
	})
	_ = os.Remove(temp.Name()) // where open files can be removed, nothing is left even after a kill
	return temp, nil
}

// spool makes what fill writes the source.
func (f *File) spool(ctx context.Context, doing string, fill func(io.Writer) error) error {
	temp, err := f.temporary("workflow-import-*.csv")
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(stopWriter{ctx, temp}, 256<<10)
	if err = fill(out); err == nil {
		err = out.Flush()
	}
	if err == nil {
		f.size, err = temp.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	if refused, ok := errors.AsType[*FormatError](err); ok {
		return refused
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	f.source, f.start = temp, 0
	return nil
}

// stopWriter writes until ctx ends.
type stopWriter struct {
	ctx context.Context
	w   io.Writer
}

func (s stopWriter) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}

// rewind goes back to the beginning of the source.
func (f *File) rewind() error {
	if _, err := f.source.Seek(f.start, io.SeekStart); err != nil {
		return fmt.Errorf("read again: %w", err)
	}
	return nil
}

func (f *File) head() ([]byte, error) {
	head := make([]byte, sniffed)
	n, err := io.ReadFull(f.source, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("read: %w", err)
	}
	return head[:n], f.rewind()
}

// bomb is the refusal of a file that unpacks to far more than it is; nil when n bytes are fine.
func bomb(n, packed int64) error {
	if n > mostUnpacked || n > smallUnpacked && n > mostShare*packed {
		return &FormatError{
			fmt.Sprintf("this file has %d kB and unpacks to more than %d MB", packed/1000, n/1_000_000),
			"a file that grows so much may be made to fill a disk; if it is genuine, unpack it, and import the CSV file",
		}
	}
	return nil
}

// bounded reads what is unpacked until it is too much.
type bounded struct {
	r         io.Reader
	n, packed int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if refused := bomb(b.n, b.packed); refused != nil {
		return n, refused
	}
	return n, err
}

func (f *File) gunzip(ctx context.Context) error {
	packed := f.size
	z, err := gzip.NewReader(bufio.NewReader(f.source))
	if err != nil {
		return &FormatError{"this is a gzip file that is damaged: " + err.Error(), "fetch or export it again"}
	}
	f.Gzip = true
	return f.spool(ctx, "unpack to a temporary file", func(w io.Writer) error {
		_, err := io.Copy(w, &bounded{r: z, packed: packed})
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), isCorrupt(err):
			return &FormatError{"this is a gzip file that is damaged or cut off", "fetch or export it again"}
		}
		return err
	})
}

// text finds out how the source is encoded.
func (f *File) text(ctx context.Context, head []byte, named string) error {
	skip := func(n int64) {
		f.start, f.size = f.start+n, f.size-n
	}
	if named != "" {
		enc, name, err := namedEncoding(named)
		if err != nil {
			return err
		}
		if f.Encoding = name; name != utf8Name {
			f.decoder, f.Decoded = enc, true
		} else if bytes.HasPrefix(head, []byte(bom)) {
			skip(int64(len(bom)))
		}
		return f.lineEnds(ctx)
	}
	switch {
	case bytes.HasPrefix(head, []byte(bom)):
		f.Encoding = utf8Name
		skip(int64(len(bom)))
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		f.Encoding, f.decoder, f.Decoded = "UTF-16", unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM), true
	default:
		if err := f.findEncoding(ctx); err != nil {
			return err
		}
	}
	return f.lineEnds(ctx)
}

// lineEnds finds out whether lines end in a carriage return alone, as in files of old programs for the Mac.
func (f *File) lineEnds(ctx context.Context) error {
	r, err := f.Reader()
	if err != nil {
		return err
	}
	buf, returns := make([]byte, 64<<10), false
	for {
		n, err := r.Read(buf)
		returns = returns || bytes.IndexByte(buf[:n], '\r') >= 0
		switch {
		case bytes.IndexByte(buf[:n], '\n') >= 0:
			return f.rewind()
		case errors.Is(err, io.EOF):
			f.crOnly = returns
			return f.rewind()
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// Reader gives the text from its beginning. A file has one reader at a time.
func (f *File) Reader() (*Reader, error) {
	if err := f.rewind(); err != nil {
		return nil, err
	}
	in := &Reader{source: f.source, size: f.size, original: f.original}
	in.r = source{in}
	if f.decoder != nil {
		in.r = f.decoder.NewDecoder().Reader(in.r)
	}
	if f.crOnly {
		in.r = lineFeeds{in.r}
	}
	return in, nil
}

// Reader reads the text of a [File].
type Reader struct {
	r              io.Reader
	source         io.Reader
	n              int64 // bytes of source
	size, original int64
}

// Read reads text in UTF-8.
func (r *Reader) Read(p []byte) (int, error) { return r.r.Read(p) }

// Bytes is how much of the file that was opened is dealt with, in bytes of that file.
func (r *Reader) Bytes() int64 {
	if r.size == 0 || r.size == r.original {
		return r.n
	}
	return int64(float64(r.n) / float64(r.size) * float64(r.original))
}

type source struct{ r *Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.r.source.Read(p)
	s.r.n += int64(n)
	return n, err
}

// lineFeeds turns carriage returns into line feeds.
type lineFeeds struct{ r io.Reader }

func (l lineFeeds) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i := range n {
		if p[i] == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

// list is the first few names, for people.
func list(names []string) string {
	const shown = 8
	if len(names) > shown {
		return strings.Join(names[:shown], ", ") + fmt.Sprintf(" and %d more", len(names)-shown)
	}
	return strings.Join(names, ", ")
}
