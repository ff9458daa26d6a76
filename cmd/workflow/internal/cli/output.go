package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
)

// errClosed says that the reader of our output has gone, as `| head` does when it has seen enough.
var errClosed = errors.New("output is closed")

// output is one of the two streams that a call writes to. The first write error sticks: later writes do nothing.
type output struct {
	w        *bufio.Writer
	terminal bool
	colour   bool
	direct   bool // talk: nothing waits in the buffer
	width    int  // to fit tables into; 0 = as wide as they get
	wrote    bool
	failed   error
}

func newOutput(w io.Writer, terminal, colour bool, width int) *output {
	if w == nil {
		w = io.Discard
	}
	o := &output{w: bufio.NewWriterSize(w, 64<<10), terminal: terminal, colour: colour}
	if terminal {
		o.width = width
		if width <= 0 {
			o.width = 80
		}
	}
	return o
}

// Write lets an encoder write to the stream.
func (o *output) Write(b []byte) (int, error) {
	if o.failed != nil {
		return 0, o.failed
	}
	o.wrote = o.wrote || len(b) > 0
	n, err := o.w.Write(b)
	if err == nil && o.direct {
		err = o.w.Flush()
	}
	return n, o.note(err)
}

func (o *output) note(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		err = errClosed
	}
	o.failed = err
	return err
}

// printf writes for people. Texts among the arguments that hold characters nobody sees are cleaned.
func (o *output) printf(format string, args ...any) {
	for i, arg := range args {
		switch text := arg.(type) {
		case string:
			args[i] = guarded(text)
		case error:
			args[i] = guarded(text.Error())
		}
	}
	fmt.Fprintf(o, format, args...)
}

// json writes one document.
func (o *output) json(v any) {
	enc := json.NewEncoder(escaped{o})
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil && o.failed == nil {
		o.failed = fmt.Errorf("encode the result: %w", err)
	}
}

// flush hands everything to the operating system and reports the first error of the stream.
func (o *output) flush() error {
	if o.failed != nil {
		return o.failed
	}
	return o.note(o.w.Flush())
}

func (o *output) started() bool { return o.wrote }

// colour is an SGR parameter.
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

func (o *output) paint(c colour, text string) string {
	if !o.colour || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// clean takes characters that are not seen out of text that came from outside, so that a contact's name cannot drive the
// terminal of whoever reads it, or look like another one. Line breaks and tabs become spaces; what joins emoji stays.
func clean(s string) string {
	bad := func(r rune) bool {
		return r < ' ' || unseen.Is(r) && !unseen.Joins(r)
	}
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case bad(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// cleanLines cleans each line of a text.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// ours matches the sequences that [output.paint] writes.
var ours = regexp.MustCompile(`\x1b\[[0-9]{1,2}m`)

// guarded cleans a text that goes to people, apart from our own colours: the last line of defence for a value that no one cleaned.
func guarded(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && (r < ' ' || r >= 0x7f && unseen.Is(r)) }) {
		return text
	}
	var b strings.Builder
	for {
		at := ours.FindStringIndex(text)
		if at == nil {
			return b.String() + cleanLines(text)
		}
		b.WriteString(cleanLines(text[:at[0]]) + text[at[0]:at[1]])
		text = text[at[1]:]
	}
}

// escaped writes characters of a JSON document that are not seen as escape sequences; they stand in texts alone.
type escaped struct{ w io.Writer }

// Write takes whole documents: no character is cut in two.
func (e escaped) Write(b []byte) (int, error) {
	if bytes.IndexFunc(b, hiddenInJSON) < 0 {
		return e.w.Write(b)
	}
	out := make([]byte, 0, len(b)+64)
	for _, r := range string(b) {
		switch {
		case !hiddenInJSON(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	if _, err := e.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

func hiddenInJSON(r rune) bool {
	return r >= 0x7f && unseen.Is(r) && !unseen.Joins(r)
}

// forEyes is where a table of records goes: to a terminal cleaned line by line, elsewhere as it is, since another program reads it.
func (o *output) forEyes() io.Writer {
	if !o.terminal {
		return o
	}
	return &lineCleaner{out: o}
}

// lineCleaner cleans whole lines and keeps the last one until it has its end; what is written ends with a line break.
type lineCleaner struct {
	out  *output
	rest []byte
}

// Write cleans the lines that are complete.
func (l *lineCleaner) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	end := bytes.LastIndexByte(l.rest, '\n') + 1
	whole := cleanLines(string(l.rest[:end]))
	l.rest = append(l.rest[:0], l.rest[end:]...)
	if _, err := io.WriteString(l.out, whole); err != nil {
		return 0, err
	}
	return len(b), nil
}
