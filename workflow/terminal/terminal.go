// Package terminal says how text stands on a terminal: how wide it is, how it is coloured, and which characters must not
// reach it.
//
// It promises widths that hold for terminals that follow Unicode's East Asian Width. It never writes anything and never asks
// what the terminal can do: the caller knows whether colours are wanted.
package terminal

import (
	"unicode"

	"golang.org/x/text/width"

	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
)

// Style is a colour or a weight of text, as the parameters of an SGR sequence. The zero value is [Plain].
type Style string

// The styles that the program uses.
const (
	Plain      Style = ""
	Bold       Style = "1"
	Dim        Style = "2"
	Red        Style = "31"
	Green      Style = "32"
	Yellow     Style = "33"
	Cyan       Style = "36"
	BoldRed    Style = "1;31"
	BoldYellow Style = "1;33"
)

// Paint is text in a style; an empty text stays empty.
func (s Style) Paint(text string) string {
	if s == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// ClearLine is the sequence that empties the line in which the cursor stands and moves the cursor to its beginning.
const ClearLine = "\r\x1b[K"

// ClearAbove is the format of the sequence that moves the cursor up by a number of lines, its argument, and to the
// beginning of the line, and empties all below.
const ClearAbove = "\x1b[%dA\x1b[J"

// Hidden reports whether a character must not reach a terminal as it is: it could move the cursor, change the direction
// of writing, or stand there unseen. What joins emoji is not hidden.
func Hidden(r rune) bool { return r < ' ' || unseen.Is(r) && !unseen.Joins(r) }

// Width is how many columns a text takes. The text has no [Hidden] characters.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += RuneWidth(r)
	}
	return n
}

// RuneWidth is how many columns a character takes: 2 for East Asian characters and emoji, 0 for marks and joiners, which
// stand on the character before, else 1.
func RuneWidth(r rune) int {
	switch {
	case r < 0x300: // the first mark; most text ends here
		return 1
	case r == joiner || unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

const joiner = '\u200d' // joins two emoji into one

// Cut shortens a text to at most n columns, ending in an ellipsis where something is missing.
func Cut(s string, n int) string {
	if Width(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		w := RuneWidth(r)
		if used+w > n-1 {
			return s[:i] + "…"
		}
		used += w
	}
	return s
}
