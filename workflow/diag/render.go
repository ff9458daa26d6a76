package diag

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/crm-workflow/crm-workflow/workflow/terminal"
)

// Printer writes findings for people.
type Printer struct {
	Sources map[string][]byte // bytes of the files by name; a finding in another file has no source line
	Color   bool              // use ANSI colours; the caller knows whether the reader wants them
	Short   bool              // one line per finding: no source line, no help
}

// Print writes the list, tidied. An error is the writer's.
func (p Printer) Print(w io.Writer, l List) error {
	out := bufio.NewWriter(w)
	var source *Source
	for _, f := range l.Tidy() {
		if p.Short {
			fmt.Fprintln(out, f)
			continue
		}
		if bytes, ok := p.Sources[f.File]; !ok {
			source = nil
		} else if source == nil || source.File != f.File {
			source = NewSource(f.File, bytes)
		}
		p.full(out, f, source)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	return nil
}

func (p Printer) paint(style terminal.Style, s string) string {
	if !p.Color {
		return s
	}
	return style.Paint(s)
}

func (p Printer) full(w io.Writer, f Finding, source *Source) {
	word, style := "", terminal.BoldRed
	if f.Code.Severity == Warning {
		word, style = "warning: ", terminal.BoldYellow
	}
	fmt.Fprintf(w, "%s%s %s\n", p.paint(terminal.Bold, place(f)), p.paint(style, word+visible(f.Message)), p.paint(terminal.Dim, "["+f.Code.ID+"]"))
	gutter := max(4, len(strconv.Itoa(f.Pos.Line)))
	if source != nil && f.Pos.Line > 0 && f.Code.ID != More.ID {
		if line := source.Line(f.Pos.Line); line != nil {
			text, under := underline(string(line), f.Pos, f.End)
			if text != "" {
				text = " " + text
			}
			fmt.Fprintf(w, "%s%s\n", p.paint(terminal.Dim, fmt.Sprintf("%*d |", gutter, f.Pos.Line)), text)
			fmt.Fprintf(w, "%s %s\n", p.paint(terminal.Dim, strings.Repeat(" ", gutter)+" |"), under.string(p))
		}
	}
	for i, line := range strings.Split(f.Help, "\n") {
		if f.Help == "" {
			break
		}
		lead := "= "
		if i > 0 {
			lead = "  "
		}
		fmt.Fprintf(w, "%s %s%s\n", strings.Repeat(" ", gutter), lead, visible(line))
	}
}

// caret is the mark below a source line.
type caret struct{ before, wide int }

func (c caret) string(p Printer) string {
	return strings.Repeat(" ", c.before) + p.paint(terminal.Cyan, "^"+strings.Repeat("~", max(c.wide-1, 0)))
}

// lineWidth is how much of a source line is shown; more is cut around the caret.
const lineWidth = 120

// underline is a source line as a terminal shows it, and the mark that stands below from ≤ place < to.
// Tabs become spaces, so that the mark stands right wherever the reader's tab stops are.
func underline(line string, from, to Pos) (string, caret) {
	line, cut := near(line, from.Col)
	from.Col, to.Col = from.Col-cut, to.Col-cut
	cells := make([]cell, 0, len(line))
	at := 0
	for _, r := range line {
		c := newCell(r, at)
		cells = append(cells, c)
		at += c.wide
	}
	first := min(from.Col-1, len(cells))
	last := min(first+1, len(cells))
	if to.Line > from.Line {
		last = len(cells)
	} else if to.Line == from.Line && to.Col > from.Col {
		last = min(to.Col-1, len(cells))
	}
	low, high := window(cells, first)
	var text strings.Builder
	mark := caret{}
	if low > 0 || cut > 0 {
		text.WriteString("…")
		mark.before++
	}
	for i := low; i < high; i++ {
		text.WriteString(cells[i].text)
		if i < first {
			mark.before += cells[i].wide
		} else if i < last {
			mark.wide += cells[i].wide
		}
	}
	if high < len(cells) {
		text.WriteString("…")
	}
	return strings.TrimRight(text.String(), " "), mark
}

// near cuts a line down to the characters that can be shown around a column, so that the work does not
// grow with the line; cut is how many characters before them are left out.
func near(line string, col int) (part string, cut int) {
	const around = 4 * lineWidth // characters: more than enough, also where most take no column
	n, start := 0, 0
	for i := range line {
		switch n - (col - 1) {
		case -around:
			start, cut = i, n
		case around:
			return line[start:i], cut
		}
		n++
	}
	return line[start:], cut
}

// window is which cells of a line are shown, so that the cell first is among them.
func window(cells []cell, first int) (low, high int) {
	total := 0
	for _, c := range cells {
		total += c.wide
	}
	if total <= lineWidth {
		return 0, len(cells)
	}
	low = first
	for space := lineWidth / 3; low > 0 && space >= cells[low-1].wide; low-- {
		space -= cells[low-1].wide
	}
	high = low
	for space := lineWidth; high < len(cells) && space >= cells[high].wide; high++ {
		space -= cells[high].wide
	}
	return low, high
}

// cell is one character as a terminal shows it.
type cell struct {
	text string
	wide int // columns: 2 for East Asian and emoji, 0 for marks that join the character before
}

const tabStop = 4

func newCell(r rune, column int) cell {
	switch {
	case r == '\t':
		n := tabStop - column%tabStop
		return cell{strings.Repeat(" ", n), n}
	case terminal.Hidden(r):
		return cell{string(utf8.RuneError), 1}
	}
	return cell{string(r), terminal.RuneWidth(r)}
}

// visible is s with everything hidden replaced, so that a file cannot rewrite the reader's screen.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if terminal.Hidden(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// MarshalJSON gives a finding its stable field names: code, severity, file, line, col, end_line,
// end_col, message, help. Line and col are 0 for the file as a whole.
func (f Finding) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code     string `json:"code"`
		Severity string `json:"severity"`
		File     string `json:"file"`
		Line     int    `json:"line"`
		Col      int    `json:"col"`
		EndLine  int    `json:"end_line"`
		EndCol   int    `json:"end_col"`
		Message  string `json:"message"`
		Help     string `json:"help"`
	}{f.Code.ID, f.Code.Severity.String(), f.File, f.Pos.Line, f.Pos.Col, f.End.Line, f.End.Col, f.Message, f.Help})
}

// MarshalJSON makes a list without findings [] instead of null.
func (l List) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Finding(l))
}
