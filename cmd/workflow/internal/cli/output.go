package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"syscall"
	"unicode"
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

func (o *output) printf(format string, args ...any) { fmt.Fprintf(o, format, args...) }

// json writes one document.
func (o *output) json(v any) {
	enc := json.NewEncoder(o)
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

// clean takes control characters out of text that came from outside, so that a contact's name cannot drive the
// terminal of whoever reads it. Line breaks and tabs become spaces.
func clean(s string) string {
	bad := func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }
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

// redactURL is a store's URL without its password.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil {
		return raw
	}
	if _, has := u.User.Password(); !has {
		return raw
	}
	return u.Redacted()
}
