package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/terminal"
)

func listCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "list", Short: "published workflows: on or off, revision, last and next run",
		Example: "  workflow list\n  workflow list --format json", Args: noArgs,
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			all, err := w.store.Workflows(ctx)
			if err != nil {
				return err
			}
			docs := []*workflowDocument{}
			for _, one := range all {
				doc, err := newWorkflowDocument(ctx, w.store, one, w.now())
				if err != nil {
					return err
				}
				docs = append(docs, doc)
			}
			w.emit(map[string]any{"workflows": docs}, func(o *output) { showWorkflows(o, docs, w.now()) })
			return nil
		}),
	}
}

// workflowDocument is a published workflow with what its file says of the future.
type workflowDocument struct {
	crmstore.Workflow
	Title    string           `json:"title"`
	Schedule string           `json:"schedule,omitempty"`
	NextRun  *time.Time       `json:"next_run,omitempty"` // absent when off, without schedule, or when it no longer loads
	Run      *workflow.Report `json:"last,omitempty"`     // the last run
	Stuck    string           `json:"stuck,omitempty"`    // what a wrong clock wrote down; no slot is due until a daemon has mended it
	Trouble  string           `json:"trouble,omitempty"`  // why the published revision no longer loads
}

func newWorkflowDocument(ctx context.Context, store *crmstore.Store, w crmstore.Workflow, now time.Time) (*workflowDocument, error) {
	doc := &workflowDocument{Workflow: w, Stuck: workflow.Stuck(w, now)}
	d, _, err := workflow.LoadPublished(ctx, store, w.Name)
	var stale *workflow.FindingsError
	switch {
	case errors.As(err, &stale):
		doc.Trouble = stale.Error()
	case err != nil:
		return nil, err
	default:
		doc.Title = d.Title
		if d.Schedule != nil {
			doc.Schedule = d.Schedule.String()
			if next := d.Schedule.Next(now); w.On && !next.IsZero() && doc.Stuck == "" {
				doc.NextRun = &next
			}
		}
	}
	if w.LastRun == "" {
		return doc, nil
	}
	run, err := store.Run(ctx, w.LastRun)
	if errors.Is(err, record.ErrNotFound) {
		return doc, nil
	}
	if err != nil {
		return nil, err
	}
	report := workflow.NewReport(run)
	doc.Run = &report
	return doc, nil
}

func showWorkflows(o *output, docs []*workflowDocument, now time.Time) {
	if len(docs) == 0 {
		o.printf("no workflow is published; start with: workflow publish FILE\n")
		return
	}
	tb := &table{columns: []column{
		{head: "name"},
		{head: "state"},
		{head: "revision", right: true},
		{head: "last run", flex: true},
		{head: "deleted", right: true},
		{head: "next run"},
		{head: "title", flex: true},
	}}
	for _, d := range docs {
		tb.add(ink(bold, d.Name), onOffCell(d.On), txt(count(d.Revision)), lastRunCell(d), deletedCell(d), nextRunCell(d, now), txt(d.Title))
	}
	o.table(tb, 0)
}

func onOffCell(on bool) cell {
	if on {
		return ink(green, "on")
	}
	return ink(dim, "off")
}

func lastRunCell(d *workflowDocument) cell {
	if d.Run == nil {
		return ink(dim, "never")
	}
	return ink(stateInk(d.Run.State), string(d.Run.State)+" "+stamp(d.Run.Now))
}

func deletedCell(d *workflowDocument) cell {
	if d.Run == nil {
		return txt("")
	}
	return txt(count(d.Run.Deleted))
}

func nextRunCell(d *workflowDocument, now time.Time) cell {
	switch {
	case d.Trouble != "":
		return ink(red, "no longer loads")
	case d.On && d.Schedule != "" && d.Stuck != "":
		return ink(red, "when a daemon has mended it")
	case d.NextRun != nil:
		return txt(ago(*d.NextRun, now))
	case d.Schedule == "":
		return ink(dim, "by hand")
	}
	return ink(dim, "none")
}

func stateInk(state crmstore.RunState) terminal.Style {
	switch state {
	case crmstore.RunDone:
		return green
	case crmstore.RunHeld, crmstore.RunRunning:
		return yellow
	case crmstore.RunFailed:
		return red
	}
	return plain
}

func showCommand(s *session) *cobra.Command {
	var revision int
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "show NAME [--revision N]", Short: "one workflow with its file as it was published",
		Example:           "  workflow show stale-leads\n  workflow show stale-leads --revision 1",
		Args:              args(1, 1, "the name of a published workflow"),
		ValidArgsFunction: completeWorkflows(s, false),
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			return showPublishedFile(ctx, w, w.words[0], revision)
		}),
	}
	cmd.Flags().IntVar(&revision, "revision", 0, "show this revision's file (default: the current one)")
	return cmd
}

type showDocument struct {
	*workflowDocument
	Shown  int       `json:"shown_revision"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Source string    `json:"source"`
}

func showPublishedFile(ctx context.Context, w *work, name string, number int) error {
	published, err := w.store.Workflow(ctx, name)
	if errors.Is(err, record.ErrNotFound) {
		return unknownWorkflow(ctx, w, name)
	}
	if err != nil {
		return err
	}
	if number == 0 {
		number = published.Revision
	}
	rev, err := w.store.Revision(ctx, name, number)
	if errors.Is(err, record.ErrNotFound) {
		return &problem{
			code: exitRefused, reason: "not-found", message: name + " has no " + revisionText(number),
			help: "the current one is " + revisionText(published.Revision),
		}
	}
	if err != nil {
		return err
	}
	doc, err := newWorkflowDocument(ctx, w.store, published, w.now())
	if err != nil {
		return err
	}
	w.emit(showDocument{doc, rev.Number, rev.By, rev.At, string(rev.Source)}, func(o *output) { showWorkflow(o, doc, rev, w.now()) })
	return nil
}

func showWorkflow(o *output, doc *workflowDocument, rev crmstore.Revision, now time.Time) {
	last, next := "never", "by hand"
	if doc.Run != nil {
		last = doc.Run.Run + ": " + string(doc.Run.State) + ", " + records(doc.Run.Deleted, doc.Object) + " deleted"
	}
	if doc.Schedule != "" {
		next = doc.Schedule
		if doc.NextRun != nil {
			next += "; next " + stamp(*doc.NextRun) + ", " + ago(*doc.NextRun, now)
		}
	}
	o.printf("%s %s\n", o.paint(bold, doc.Name), clean(doc.Title))
	o.facts(
		[2]string{"state", onOff(doc.On) + " since " + stamp(doc.SwitchedAt)},
		[2]string{"object", string(doc.Object)},
		[2]string{"revision", count(doc.Revision) + ", published by " + doc.PublishedBy + " at " + stamp(doc.PublishedAt)},
		[2]string{"runs", next},
		[2]string{"last run", last},
		[2]string{"stuck", doc.Stuck},
		[2]string{"trouble", doc.Trouble})
	o.printf("\n%s\n", o.paint(dim, revisionText(rev.Number)+" by "+clean(rev.By)+" at "+stamp(rev.At)+":"))
	for _, line := range lines(rev.Source) {
		o.printf("  %s\n", clean(line))
	}
}
