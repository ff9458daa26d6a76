package triggers

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// String is the Plan for people: what is read, and under each expression its conditions.
func (p Plan) String() string { return p.show(nil) }

// String is the Explanation for people: the Plan with a count before each line.
func (x Explanation) String() string {
	return fmt.Sprintf("live records: %s\n", diag.Thousands(x.Live)) + x.show(diag.Thousands)
}

// show writes the Plan, with counts when count is not nil. What is short stands first, so that long
// expressions do not push the rest out of sight.
func (p Plan) show(count func(int64) string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "answered by:  %s\n", p.Mode)
	if len(p.Columns) > 0 {
		fmt.Fprintf(&out, "columns:      %s\n", strings.Join(p.Columns, ", "))
	}
	if len(p.Lists) > 0 {
		fmt.Fprintf(&out, "lists:        %s\n", strings.Join(p.Lists, ", "))
	}
	if len(p.Associations) > 0 {
		fmt.Fprintf(&out, "associations: %s\n", strings.Join(p.Associations, ", "))
	}
	row := func(keeps int64, by, text string) []string {
		if count == nil {
			return []string{"  " + by, text}
		}
		return []string{fmt.Sprintf("%12s", count(keeps)), by, text}
	}
	for _, e := range slices.Concat(p.Expressions, p.ActiveLists) {
		fmt.Fprintf(&out, "\n%s\n", title(e.List, e.Suppress, e.Number))
		rows := [][]string{row(e.Keeps, e.By, oneLine(e.Source))}
		if len(e.Conditions) > 1 {
			for _, c := range e.Conditions {
				rows = append(rows, row(c.Keeps, c.By, "  "+c.Text))
			}
		}
		out.WriteString(table(rows))
	}
	return out.String()
}

// String is the Why for people: each condition, its answer and what it saw.
func (w Why) String() string {
	var out strings.Builder
	switch {
	case !w.Found:
		fmt.Fprintf(&out, "record %s is not there\n", w.ID)
	case w.Deletion != nil:
		fmt.Fprintf(&out, "record %s is in the bin, so it does not enroll\n", w.ID)
	case w.Verdict.Suppressed:
		fmt.Fprintf(&out, "record %s matches trigger %d, and is suppressed\n", w.ID, w.Verdict.Trigger)
	case w.Verdict.Match:
		fmt.Fprintf(&out, "record %s matches trigger %d\n", w.ID, w.Verdict.Trigger)
	default:
		fmt.Fprintf(&out, "record %s does not match\n", w.ID)
	}
	for _, e := range slices.Concat(w.Expressions, w.ActiveLists) {
		fmt.Fprintf(&out, "\n%s\n", title(e.List, e.Suppress, e.Number))
		rows := [][]string{{"  " + e.Answer.String(), oneLine(e.Source)}}
		if len(e.Conditions) == 1 && len(e.Conditions[0].Values) > 0 {
			rows[0] = append(rows[0], seen(e.Conditions[0].Values))
		}
		if len(e.Conditions) > 1 {
			for _, c := range e.Conditions {
				rows = append(rows, []string{"  " + c.Answer.String(), "  " + c.Text, seen(c.Values)})
			}
		}
		out.WriteString(table(rows))
	}
	return out.String()
}

func seen(values []Seen) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = v.Property + " is unknown"
		if v.Known {
			texts[i] = v.Property + " = " + strconv.Quote(v.Value)
		}
	}
	return strings.Join(texts, ", ")
}

func title(list string, suppress bool, number int) string {
	if list != "" {
		return fmt.Sprintf("active list %q", list)
	}
	if suppress {
		return fmt.Sprintf("suppress %d", number)
	}
	return fmt.Sprintf("trigger %d", number)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// table aligns cells and leaves no blanks at the ends of lines.
func table(rows [][]string) string {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	lines := strings.Split(out.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
