package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

func publishCommand(s *session) *cobra.Command {
	var yes, off, keep bool
	cmd := &cobra.Command{
		Use: "publish FILE [--yes] [--keep-held] | NAME | --off NAME", Short: "review and switch a workflow on; switch it on or off again",
		Long: "publish FILE shows the review, asks, freezes the file as a numbered revision and switches the workflow on.\n" +
			"publish NAME switches a published workflow on again, publish --off NAME switches it off: then nothing more\n" +
			"happens, and a run that is under way stops and is held. With a new revision, a run of the one before that is under\n" +
			"way stops and is held too, and one that is held is ended, unless --keep-held is given. A workflow acts with the\n" +
			"permissions of the user that published it last: publish NAME, or the file as it is, takes over a workflow\n" +
			"that acts as another user.",
		Example:           "  workflow publish stale.yaml\n  workflow publish stale.yaml --yes     # where nobody can be asked\n  workflow publish --off stale-leads",
		Args:              args(1, 1, "a workflow file or the name of a published workflow"),
		ValidArgsFunction: completeTarget(s),
		RunE: s.work(needs{check: func(args []string) error {
			if off && isFile(args[0]) {
				return usagef("workflow publish --off NAME", "--off wants the name of a workflow, not a file")
			}
			return nil
		}}, func(ctx context.Context, w *work) error {
			if isFile(w.words[0]) {
				return publishFile(ctx, w, w.words[0], yes, workflow.PublishOptions{KeepHeld: keep})
			}
			return switchWorkflow(ctx, w, w.words[0], !off)
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "publish without asking")
	cmd.Flags().BoolVar(&keep, "keep-held", false, "keep a held run of the revision before, instead of ending it")
	cmd.Flags().BoolVar(&off, "off", false, "switch the workflow off")
	return cmd
}

// publishDocument is what publishing or switching did.
type publishDocument struct {
	crmstore.Workflow
	NewRevision bool                `json:"new_revision"`
	SwitchedOn  bool                `json:"switched_on"`
	ActedAs     string              `json:"acted_as,omitempty"`       // as whom it acted before, when it was taken over
	Existing    int64               `json:"existing"`                 // contacts that matched already and will never be deleted
	Superseded  *unfinishedDocument `json:"superseded_run,omitempty"` // of the revision before
	Review      *reviewDocument     `json:"review,omitempty"`
}

// unfinishedDocument is a run that is not over, or was not when a revision was published.
type unfinishedDocument struct {
	Run      string            `json:"run"`
	Revision int               `json:"revision"`
	Was      crmstore.RunState `json:"was,omitempty"` // before a revision was published
	State    crmstore.RunState `json:"state"`
	Deleted  int64             `json:"deleted"`
	Left     int64             `json:"left"` // not deleted yet
}

func newUnfinished(run crmstore.Run, was crmstore.RunState, left int64) *unfinishedDocument {
	if run.ID == "" {
		return nil
	}
	return &unfinishedDocument{run.ID, run.Revision, was, run.State, run.Deleted, left}
}

// publishSample is how many contacts the review before a yes shows.
const publishSample = 3

func publishFile(ctx context.Context, w *work, file string, yes bool, options workflow.PublishOptions) error {
	if err := mayPublish(ctx, w); err != nil {
		return err
	}
	d, err := loadFile(ctx, w, file)
	if err != nil {
		return err
	}
	return publishDefinition(ctx, w, d, "publish "+file, yes, options)
}

// mayPublish asks the gate, before the user reads a review for nothing.
func mayPublish(ctx context.Context, w *work) error {
	account, err := w.store.Account(ctx)
	if err != nil {
		return err
	}
	return workflow.CheckGate(account)
}

// publishDefinition shows the review, asks and publishes. Call is the verb with its arguments, without --yes.
func publishDefinition(ctx context.Context, w *work, d *definition.Definition, call string, yes bool, options workflow.PublishOptions) error {
	at := w.now()
	r, err := workflow.MakeReview(ctx, w.store, d, at)
	if err != nil {
		return err
	}
	doc, err := newReviewDocument(ctx, w.store, d, r, publishSample)
	if err != nil {
		return err
	}
	if !w.json() {
		doc.show(w.out)
		w.out.printf("\n")
	}
	if !yes && !(r.Same && r.Published.On && r.Published.PublishedBy == w.store.User()) {
		if err := confirmPublish(w.session, call, r); err != nil {
			return err
		}
	}
	p, err := workflow.PublishWith(ctx, w.store, d, options, at)
	if err != nil {
		return err
	}
	past := p.Superseded
	w.emit(publishDocument{p.Workflow, p.NewRevision, p.SwitchedOn, p.ActedAs, p.Existing, newUnfinished(past.Run, past.Was, past.Left), doc}, func(o *output) {
		showPublished(o, p, doc)
	})
	return nil
}

func showPublished(o *output, p workflow.Publication, doc *reviewDocument) {
	switch {
	case !p.Changed():
		o.printf("nothing to do: revision %s of %s is this file, and it is on\n", count(p.Revision), p.Name)
		return
	case p.NewRevision:
		o.printf("%s revision %s of %s, switched on\n", o.paint(green, "published:"), count(p.Revision), p.Name)
	case p.SwitchedOn:
		o.printf("%s %s, revision %s as before\n", o.paint(green, "switched on:"), p.Name, count(p.Revision))
	default:
		o.printf("%s %s, revision %s as before\n", o.paint(green, "taken over:"), p.Name, count(p.Revision))
	}
	if p.ActedAs != "" {
		o.printf("it acts as %s from now on (before: %s)\n", p.PublishedBy, p.ActedAs)
	}
	if p.Existing > 0 {
		o.printf("%s matched already and will not be deleted (existing: false)\n", records(p.Existing, p.Object))
	}
	showSuperseded(o, p.Superseded)
	if len(doc.NextRuns) > 0 {
		o.printf("next run %s by `workflow daemon`, or now: workflow run %s\n", doc.NextRuns[0], p.Name)
	} else {
		o.printf("it has no schedule; run it: workflow run %s\n", p.Name)
	}
}

// showSuperseded says what became of the run of the revision before.
func showSuperseded(o *output, past workflow.Superseded) {
	run, left := past.Run, records(past.Left, past.Run.Object)
	switch {
	case run.ID == "":
		return
	case run.State == crmstore.RunCancelled:
		o.printf("%s run %s of revision %s was held with %s; none of them is deleted by it (--keep-held would have kept it)\n", o.paint(yellow, "ended:"), run.ID, count(run.Revision), left)
		return
	case past.Was == crmstore.RunRunning:
		o.printf("%s run %s of revision %s was under way: %s deleted, %s left\n", o.paint(yellow, "held:"), run.ID, count(run.Revision), count(run.Deleted), left)
	default:
		o.printf("%s run %s of revision %s stays held with %s\n", o.paint(yellow, "kept:"), run.ID, count(run.Revision), left)
	}
	o.printf("until it is over, the workflow has no other run\n")
	showHeldNext(o, run, past.Left)
}

// confirmPublish asks the person at the terminal; where there is none, the call must say --yes.
func confirmPublish(s *session, call string, r *workflow.Review) error {
	if !s.command.StdinTerminal {
		return usagef("read the review, then: workflow "+call+" --yes"+s.repeatFlags(),
			"publishing needs a yes, and there is no terminal to ask at")
	}
	question := fmt.Sprintf("Publish revision %s of %s and switch it on? It would delete %s now.",
		count(r.Published.Revision+boolInt(!r.Same)), r.Workflow, records(r.WouldDelete, r.Object))
	return s.askYes(question, "not published: "+notYes)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func switchWorkflow(ctx context.Context, w *work, name string, on bool) error {
	before, err := w.store.Workflow(ctx, name)
	if errors.Is(err, record.ErrNotFound) {
		return unknownWorkflow(ctx, w, name)
	}
	if err != nil {
		return err
	}
	switched, err := workflow.Switch(ctx, w.store, name, on, w.now())
	if err != nil {
		return err
	}
	doc := publishDocument{Workflow: switched, SwitchedOn: on && !before.On}
	if switched.PublishedBy != before.PublishedBy {
		doc.ActedAs = before.PublishedBy
	}
	w.emit(doc, func(o *output) {
		switch {
		case before.On == on && doc.ActedAs != "":
			o.printf("%s %s acts as %s from now on (before: %s)\n", o.paint(green, "taken over:"), name, clean(switched.PublishedBy), clean(doc.ActedAs))
		case before.On == on:
			o.printf("nothing to do: %s is %s already\n", name, onOff(on))
		case on:
			o.printf("%s %s, revision %s\n", o.paint(green, "switched on:"), name, count(switched.Revision))
		default:
			o.printf("%s %s; nothing more happens until: workflow publish %s\n", o.paint(yellow, "switched off:"), name, name)
		}
	})
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// revisionText is "revision 3".
func revisionText(n int) string { return fmt.Sprintf("revision %s", count(n)) }
