package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

func explainCommand(s *session) *cobra.Command {
	var now string
	explainTarget := s.work(needs{now: &now}, func(ctx context.Context, w *work) error {
		d, err := loadTarget(ctx, w, w.words[0])
		if err != nil {
			return err
		}
		e, err := explainTrigger(ctx, w.store, d, w.at)
		if err != nil {
			return err
		}
		w.noteDamaged(e.Damaged, d.Object)
		w.emit(explainDocument{Workflow: d.Name, Object: d.Object, Now: stamp(w.at), Explanation: e}, func(o *output) {
			showExplanation(o, d, e)
		})
		return nil
	})
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "explain FILE|NAME|CODE", Short: "how a trigger is answered and what each condition keeps; or what a finding means",
		Long: "explain shows, for a workflow, which conditions the columns answer and which need whole records, and how many\n" +
			"contacts each condition keeps on its own: the place to look when a workflow matches too many or too few.\n" +
			"With the code of a finding, such as WF201, it says why the rule is there and what to do.",
		Example:           "  workflow explain stale.yaml\n  workflow explain stale-leads --now 2026-01-01\n  workflow explain WF201",
		Args:              args(1, 1, "a workflow file, the name of a published workflow, or the code of a finding"),
		ValidArgsFunction: completeTarget(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			if code, err := findingCode(args[0]); code != nil || err != nil {
				if err == nil {
					emitCode(s, *code)
				}
				return err
			}
			return explainTarget(cmd, args)
		},
	}
	nowFlag(cmd, &now)
	return cmd
}

type explainDocument struct {
	Workflow string            `json:"workflow"`
	Object   record.ObjectType `json:"object"`
	Now      string            `json:"now"`
	triggers.Explanation
}

// findingCode is the code that an argument like WF201 means; nil when it means none. A workflow's name has no capitals.
func findingCode(id string) (*diag.Code, error) {
	if len(id) != 5 || !strings.HasPrefix(id, "WF") || strings.Trim(id[2:], "0123456789") != "" {
		return nil, nil
	}
	if code, ok := diag.Find(id); ok {
		return &code, nil
	}
	var known []string
	for _, c := range diag.Codes() {
		known = append(known, c.ID)
	}
	return nil, usagef("did you mean "+spelling.Nearest(id, known)+"?", "there is no finding %s", id)
}

func emitCode(s *session, c diag.Code) {
	doc := map[string]string{"code": c.ID, "title": c.Title, "severity": c.Severity.String(), "explain": c.Explain}
	s.emit(doc, func(o *output) {
		o.printf("%s %s (%s)\n\n%s\n", o.paint(bold, c.ID), c.Title, c.Severity, wrap(c.Explain, 100))
	})
}

func explainTrigger(ctx context.Context, store *crmstore.Store, d *definition.Definition, at time.Time) (triggers.Explanation, error) {
	matcher, err := d.Trigger.At(at)
	if err != nil {
		return triggers.Explanation{}, err
	}
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return triggers.Explanation{}, err
	}
	return matcher.Explain(ctx, store, d.Object, 0, partitions)
}

// answeredBy are the plan's words for people.
var answeredBy = map[string]string{
	triggers.ByColumns: "columns alone",
	triggers.ByBoth:    "columns, then the records that are left",
	triggers.ByRecords: "every record",

	triggers.ByAssociations: "associations",
}

// expressionTitle says whose expression it is.
func expressionTitle(list string, suppress bool, number int) string {
	switch {
	case list != "":
		return "active list " + clean(list)
	case suppress:
		return fmt.Sprintf("suppression %d", number)
	}
	return fmt.Sprintf("trigger %d", number)
}

func showExplanation(o *output, d *definition.Definition, e triggers.Explanation) {
	o.printf("%s looks at %s, and reads %s.\n", o.paint(bold, d.Name), records(e.Live, d.Object), answeredBy[e.Mode])
	o.facts([2]string{"columns", strings.Join(e.Columns, ", ")}, [2]string{"lists", strings.Join(e.Lists, ", ")},
		[2]string{"associations", strings.Join(e.Associations, ", ")})
	for _, x := range slices.Concat(e.Expressions, e.ActiveLists) {
		o.printf("\n%s keeps %s (%s)\n", expressionTitle(x.List, x.Suppress, x.Number), records(x.Keeps, d.Object), percent(x.Keeps, e.Live))
		o.printf("  %s\n", o.paint(dim, clean(strings.Join(strings.Fields(x.Source), " "))))
		tb := &table{columns: []column{{head: "condition", flex: true}, {head: "keeps", right: true}, {head: "", right: true}, {head: "answered by"}}}
		for _, c := range x.Conditions {
			tb.add(txt(c.Text), txt(count(c.Keeps)), txt(percent(c.Keeps, e.Live)), txt(answeredBy[c.By]))
		}
		o.table(tb, 2)
	}
}
