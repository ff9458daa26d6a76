package table

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Row is one piece of work and what it is compared with.
type Row struct {
	What    string
	Samples []Sample // one for each round
	Unit    Unit
	Against []Against
	Bounds  []Bound // targets that are no ratios
	Note    string  // one sentence below the table; "" = none
}

// Unit says how a row's amounts are shown. The zero Unit is seconds.
type Unit uint8

// The units of amounts.
const (
	Seconds Unit = iota
	Bytes
)

// Against is one thing that a row is compared with, in the same rounds.
type Against struct {
	Name    string
	Samples []Sample
	Limit   bool    // the most that is possible, instead of what a person would use otherwise
	AtLeast float64 // target for its amount divided by ours; 0 = none
	AtMost  float64 // target for ours divided by its amount; 0 = none. It decides which of the two is shown
	Inverse bool    // show ours divided by its amount though there is no target
}

// Bound is a target that is not a ratio, and whether it was met.
type Bound struct {
	Text string
	Met  bool
}

// ratio is what is shown and what the target is about.
func (a Against) ratio(ours []Sample) float64 {
	if a.AtMost > 0 || a.Inverse {
		return Ratio(ours, a.Samples)
	}
	return Ratio(a.Samples, ours)
}

// target is the target in words, and whether it was met; "" without one.
func (a Against) target(ours []Sample) (text string, met bool) {
	switch r := a.ratio(ours); {
	case a.AtMost > 0:
		return "≤ " + number(a.AtMost) + " × " + a.Name, r <= a.AtMost
	case a.AtLeast > 0 && a.Limit:
		return "≥ " + number(a.AtLeast) + " of " + a.Name, r >= a.AtLeast
	case a.AtLeast > 0:
		return "≥ " + number(a.AtLeast) + " × " + a.Name, r >= a.AtLeast
	}
	return "", true
}

// heads are the columns.
func heads() []string {
	return []string{"what", "median", "spread", "rate or each", "of its limit", "against", "target", "met"}
}

// cells are the row as it is printed.
func (r Row) cells() []string {
	var limits, others, targets, met []string
	judge := func(text string, good bool) {
		if text == "" {
			return
		}
		targets = append(targets, text)
		if good {
			met = append(met, "yes")
		} else {
			met = append(met, "NO")
		}
	}
	for _, a := range r.Against {
		if len(a.Samples) == 0 {
			continue
		}
		text := number(a.ratio(r.Samples))
		if a.Limit {
			limits = append(limits, text+" of "+a.Name)
		} else {
			others = append(others, text+" × "+a.Name)
		}
		judge(a.target(r.Samples))
	}
	for _, b := range r.Bounds {
		judge(b.Text, b.Met)
	}
	list := amounts(r.Samples)
	return []string{
		r.What, r.Unit.show(Median(list)), fmt.Sprintf("± %.0f %%", 100*Spread(list)), r.each(),
		strings.Join(limits, ", "), strings.Join(others, ", "), strings.Join(targets, ", "), strings.Join(met, ", "),
	}
}

// each is the rate of what takes time, and the size of one of what takes memory.
func (r Row) each() string {
	var list []float64
	for _, s := range r.Samples {
		list = append(list, s.Each())
	}
	m := Median(list)
	switch {
	case m == 0:
		return ""
	case r.Unit == Bytes:
		return fmt.Sprintf("%.0f B each", m)
	case len(r.Samples) > 0 && r.Samples[0].Units == 1:
		return ""
	default:
		return thousands(1/m) + "/s"
	}
}

func (u Unit) show(amount float64) string {
	switch {
	case u == Bytes:
		return fmt.Sprintf("%.1f MB", amount/1e6)
	case amount < 1e-3:
		return fmt.Sprintf("%.0f µs", amount*1e6)
	case amount < 0.1:
		return fmt.Sprintf("%.1f ms", amount*1e3)
	case amount < 1:
		return fmt.Sprintf("%.0f ms", amount*1e3)
	default:
		return fmt.Sprintf("%.2f s", amount)
	}
}

// number shows a ratio with as many digits as mean something.
func number(f float64) string {
	switch {
	case f >= 100:
		return thousands(f)
	case f >= 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0")
	case f < 0.1:
		return fmt.Sprintf("%.2g", f)
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", f), "0"), ".")
}

// thousands is a whole number with commas.
func thousands(f float64) string {
	digits := fmt.Sprintf("%.0f", f)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// Print writes the rows as one table: aligned for a terminal, or as Markdown.
func Print(w io.Writer, rows []Row, markdown bool) {
	lines := [][]string{heads()}
	var notes []string
	for _, r := range rows {
		cells := r.cells()
		if r.Note != "" {
			notes = append(notes, r.Note)
			cells[0] += fmt.Sprintf(" [%d]", len(notes))
		}
		lines = append(lines, cells)
	}
	widths := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, cells := range lines {
		fmt.Fprintln(w, line(cells, widths, markdown))
		if n == 0 && markdown {
			fmt.Fprintln(w, "|"+strings.Repeat(" --- |", len(cells)))
		}
	}
	for i, note := range notes {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "[%d] %s\n", i+1, note)
		if markdown {
			fmt.Fprintln(w)
		}
	}
}

func line(cells []string, widths []int, markdown bool) string {
	if markdown {
		return "| " + strings.Join(cells, " | ") + " |"
	}
	var b strings.Builder
	for i, cell := range cells {
		gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i >= 1 && i <= 3 { // figures
			b.WriteString(gap + cell + "  ")
		} else {
			b.WriteString(cell + gap + "  ")
		}
	}
	return strings.TrimRight(b.String(), " ")
}
