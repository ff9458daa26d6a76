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
	"github.com/crm-workflow/crm-workflow/workflow/terminal"
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

func newOutput(w io.Writer, isTerminal, colour bool, width int) *output {
	if w == nil {
		w = io.Discard
	}
	o := &output{w: bufio.NewWriterSize(w, 64<<10), terminal: isTerminal, colour: colour}
	if isTerminal {
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

// printf writes for people. Texts among the arguments that hold characters that a reader cannot see are cleaned.
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

// The styles of [terminal], by the short names that every verb uses.
const (
	plain  = terminal.Plain
	bold   = terminal.Bold
	dim    = terminal.Dim
	red    = terminal.Red
	green  = terminal.Green
	yellow = terminal.Yellow
	cyan   = terminal.Cyan
)

func (o *output) paint(s terminal.Style, text string) string {
	if !o.colour {
		return text
	}
	return s.Paint(text)
}

// clean removes characters that a reader cannot see from text that came from outside. Otherwise a contact's name could drive
// the reader's terminal, or look like another name. Line breaks and tabs become spaces; what joins emoji stays.
func clean(s string) string {
	if strings.IndexFunc(s, terminal.Hidden) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case terminal.Hidden(r):
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

// ours matches the sequences that [terminal.Style.Paint] writes for the styles above.
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
