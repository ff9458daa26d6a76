package cli

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

const referenceHead = `# Reference

Made by ` + "`make gen`" + ` out of the program itself (` + "`workflow reference`" + `); CI fails when it is stale. Do not edit it by hand.
`

// referenceCommand prints docs/REFERENCE.md. It is hidden: people read the file, and `make gen` writes it.
func referenceCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "reference", Short: "docs/REFERENCE.md: the tables of verbs, functions, actions, findings, metrics, settings and properties",
		Example: "  workflow reference > docs/REFERENCE.md",
		Hidden:  true,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.out.printf("%s", referenceText(cmd.Root()))
			return nil
		},
	}
}

func referenceText(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(referenceHead)
	section(&b, "Verbs", []string{"verb", "what it does"}, verbRows(root, ""))
	section(&b, "Actions", []string{"action", "works on", "what it does"}, actionRows())
	section(&b, "Functions and operators in expressions", []string{"function", "what it is", "example"}, functionRows())
	section(&b, "Findings", []string{"code", "severity", "rule"}, findingRows())
	section(&b, "Metrics", []string{"metric", "labels", "meaning"}, metricRows())
	section(&b, "Settings of the account", []string{"setting", "default", "values", "meaning"}, settingRows())
	section(&b, "Properties that every contact has", []string{"property", "label", "type"}, propertyRows())
	b.WriteString("\n## Exports that an import knows\n\nHeaders match in any case, with or without blanks, underscores and hyphens; # stands for a number. " +
		"Other headers are names or labels of properties.\n")
	for _, source := range csvfile.Sources() {
		section(&b, "Exports of "+source.Title+" (`--source "+source.Name+"`)", []string{"headers", "property", "what else"}, sourceRows(source))
	}
	return b.String()
}

// sourceRows are the columns of the exports of one program.
func sourceRows(source csvfile.Source) [][]string {
	var rows [][]string
	for _, r := range source.Columns {
		property, notes := code(r.To), []string{}
		note := func(is bool, text string) {
			if is {
				notes = append(notes, text)
			}
		}
		switch {
		case r.Keep:
			property = code(source.Name + "_…")
		case r.ID:
			property = "record id"
		case r.Deleted:
			property = "lines with yes are left out"
		case r.Associates != "":
			property = "associated " + r.Associates.Plural()
		}
		note(len(r.Objects) > 0, "object type "+strings.Join(texts(r.Objects), ", "))
		note(r.Type != "" && !r.Keep, "made as "+string(r.Type)+" where the account has none")
		for _, name := range slices.Sorted(maps.Keys(r.Sets)) {
			note(true, "sets "+name+" to "+r.Sets[name])
		}
		note(r.Split != "", "the first of several; the others go to "+code(r.Rest))
		note(len(r.Empty) > 0, "empty when "+strings.Join(r.Empty, ", "))
		for _, word := range slices.Sorted(maps.Keys(r.Words)) {
			note(true, word+" means "+r.Words[word])
		}
		note(r.Note != "", r.Note)
		rows = append(rows, []string{strings.Join(r.Header, ", "), property, strings.Join(notes, "; ")})
	}
	return rows
}

func texts[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

// section writes one table in Markdown.
func section(b *strings.Builder, title string, head []string, rows [][]string) {
	rule := make([]string, len(head))
	for i := range rule {
		rule[i] = "---"
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	for _, row := range append([][]string{head, rule}, rows...) {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = strings.ReplaceAll(strings.Join(strings.Fields(c), " "), "|", `\|`)
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func verbRows(c *cobra.Command, above string) [][]string {
	var rows [][]string
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" {
			continue
		}
		path := above + sub.Name()
		if sub.HasAvailableSubCommands() {
			rows = append(rows, verbRows(sub, path+" ")...)
			continue
		}
		_, arguments, _ := strings.Cut(sub.Use, " ")
		rows = append(rows, []string{code(strings.TrimSpace(path + " " + arguments)), sub.Short})
	}
	return rows
}

func actionRows() [][]string {
	var rows [][]string
	for _, a := range actions.Builtin() {
		objects := make([]string, len(a.Objects))
		for i, o := range a.Objects {
			objects[i] = string(o)
		}
		rows = append(rows, []string{code(a.Name), strings.Join(objects, ", "), a.Summary})
	}
	return rows
}

func functionRows() [][]string {
	var rows [][]string
	for _, f := range triggers.Functions() {
		rows = append(rows, []string{code(f.Signature), f.Doc, code(f.Example)})
	}
	return rows
}

func findingRows() [][]string {
	var rows [][]string
	for _, c := range diag.Codes() {
		severity := "error"
		if c.Severity == diag.Warning {
			severity = "warning"
		}
		rows = append(rows, []string{c.ID, severity, c.Title})
	}
	return rows
}

func settingRows() [][]string {
	var rows [][]string
	for _, one := range crmstore.SettingDefaults() {
		rows = append(rows, []string{code(one.Key), code(one.Value), one.Values, one.Means})
	}
	return rows
}

func propertyRows() [][]string {
	var rows [][]string
	for _, p := range record.DefaultProperties(record.Contact) {
		rows = append(rows, []string{code(p.Name), p.Label, string(p.Type)})
	}
	return rows
}

// collected is a Registerer that only keeps what is registered, to read the descriptions.
type collected struct{ collectors []prometheus.Collector }

// Register keeps a collector.
func (c *collected) Register(x prometheus.Collector) error {
	c.collectors = append(c.collectors, x)
	return nil
}

// MustRegister keeps collectors.
func (c *collected) MustRegister(all ...prometheus.Collector) {
	c.collectors = append(c.collectors, all...)
}

// Unregister keeps everything.
func (c *collected) Unregister(prometheus.Collector) bool { return false }

// described reads a metric's description, which the library offers as text only.
var described = regexp.MustCompile(`fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)",.*? variableLabels: \{([^}]*)\}`)

func metricRows() [][]string {
	var all collected
	workflow.NewMetrics(&all)
	var rows [][]string
	for _, c := range all.collectors {
		descriptions := make(chan *prometheus.Desc, 64)
		c.Describe(descriptions)
		close(descriptions)
		for d := range descriptions {
			if m := described.FindStringSubmatch(d.String()); m != nil {
				rows = append(rows, []string{code(m[1]), strings.ReplaceAll(m[3], ",", ", "), m[2]})
			}
		}
	}
	slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return rows
}
