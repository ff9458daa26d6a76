package cli

import (
	"strings"

	"github.com/crm-workflow/crm-workflow/workflow/terminal"
)

// column is how one column of a table looks.
type column struct {
	head  string
	right bool // numbers
	flex  bool // may be cut when the terminal is too narrow
}

// cell is one cell; its text may hold anything that came from outside.
type cell struct {
	text string
	ink  terminal.Style
}

func txt(text string) cell                   { return cell{text: text} }
func ink(c terminal.Style, text string) cell { return cell{text: text, ink: c} }

// table is rows under a heading, aligned; nothing is shown between columns but space.
type table struct {
	columns []column
	rows    [][]cell
}

func (tb *table) add(cells ...cell) { tb.rows = append(tb.rows, cells) }

const columnGap = 2

// table writes tb, each line indented, cut to the terminal's width if there is one.
func (o *output) table(tb *table, indent int) {
	widths := tb.widths()
	if o.width > 0 {
		tb.fit(widths, o.width-indent)
	}
	head := make([]cell, len(tb.columns))
	for i, c := range tb.columns {
		head[i] = ink(dim, c.head)
	}
	o.row(tb, head, widths, indent)
	for _, r := range tb.rows {
		o.row(tb, r, widths, indent)
	}
}

// rows writes tb without its heading.
func (o *output) rows(tb *table, indent int) {
	widths := tb.widths()
	for _, r := range tb.rows {
		o.row(tb, r, widths, indent)
	}
}

func (tb *table) widths() []int {
	widths := make([]int, len(tb.columns))
	for i, c := range tb.columns {
		widths[i] = terminal.Width(c.head)
	}
	for _, r := range tb.rows {
		for i := range r {
			r[i].text = clean(r[i].text)
			widths[i] = max(widths[i], terminal.Width(r[i].text))
		}
	}
	return widths
}

// fit takes from the widest flexible column until the line fits, or nothing more can be taken.
func (tb *table) fit(widths []int, room int) {
	total := columnGap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > room; total-- {
		widest := -1
		for i, c := range tb.columns {
			if c.flex && widths[i] > max(8, terminal.Width(c.head)) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func (o *output) row(tb *table, cells []cell, widths []int, indent int) {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", indent))
	for i, c := range cells {
		text := terminal.Cut(c.text, widths[i])
		pad := strings.Repeat(" ", widths[i]-terminal.Width(text))
		text = o.paint(c.ink, text)
		switch {
		case tb.columns[i].right:
			b.WriteString(pad + text)
		case i < len(cells)-1:
			b.WriteString(text + pad)
		default:
			b.WriteString(text)
		}
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", columnGap))
		}
	}
	o.printf("%s\n", strings.TrimRight(b.String(), " "))
}

// facts writes "name  value" lines, the values aligned. Pairs with an empty value are left out.
func (o *output) facts(pairs ...[2]string) {
	widest := 0
	for _, p := range pairs {
		if p[1] != "" {
			widest = max(widest, terminal.Width(p[0]))
		}
	}
	for _, p := range pairs {
		if p[1] != "" {
			o.printf("%s%s  %s\n", o.paint(dim, p[0]), strings.Repeat(" ", widest-terminal.Width(p[0])), clean(p[1]))
		}
	}
}
