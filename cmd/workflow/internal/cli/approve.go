package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// approveFlags are what an approval is asked with.
type approveFlags struct {
	confirm typedNumber
	dry     bool
	csv     string
	sample  int
}

func approveCommand(s *session) *cobra.Command {
	f := &approveFlags{}
	cmd := &cobra.Command{
		Use: "approve RUN [--confirm N] [--dry-run] [--csv OUT] [--sample N]", Short: "let a held run go on, with the number of what it deletes",
		Long: "approve shows whom a held run would delete, has their number typed (at the terminal, or --confirm N), and lets the run\n" +
			"go on; another number deletes nothing. It acts on the contacts that matched when the run was held, never on more, and\n" +
			"leaves alone those that no longer match. When the workflow has another revision by now, it says so, and how many of\n" +
			"them that one would not delete. --dry-run only shows, --csv writes all of them. A deletion by hand that was stopped at\n" +
			"its question goes on in the same way. Needs view and bulk-delete, and manage-workflows for a workflow's run.",
		Example: "  workflow runs --state held\n  workflow approve stale-leads@2026-11-23T03:00:00Z --dry-run --csv who.csv\n" +
			"  workflow approve stale-leads@2026-11-23T03:00:00Z --confirm 312",
	}
	f.confirm.flag(cmd, "how many records this must delete; with another number it deletes nothing")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "show whom the run would delete, and change nothing")
	cmd.Flags().StringVar(&f.csv, "csv", "", "write every one of them to this CSV file")
	cmd.Flags().IntVar(&f.sample, "sample", fewShown, "how many of them to show")
	return onRun(s, cmd, []crmstore.RunState{crmstore.RunHeld}, func(ctx context.Context, w *work, id string) error {
		if f.sample < 0 {
			return usagef("", "--sample %d: want 0 or more", f.sample)
		}
		if f.dry {
			return showHeldRun(ctx, w, f, id)
		}
		return approveRun(ctx, w, f, id)
	})
}

// showHeldRun is a dry run of an approval.
func showHeldRun(ctx context.Context, w *work, f *approveFlags, id string) error {
	h, err := workflow.MakeHeldSet(ctx, w.store, id)
	if err != nil {
		return err
	}
	if h.Run.State != crmstore.RunHeld {
		return refusedf("see what it did: workflow runs "+id, "run %s is %s, not held: there is nothing to approve", id, h.Run.State)
	}
	doc, err := newHeldDocument(ctx, w.store, h, f.sample)
	if err != nil {
		return err
	}
	w.emit(doc, func(o *output) {
		doc.show(o, h)
		o.printf("\n")
		showHeldNext(o, h.Run, int64(len(h.Records)))
	})
	return heldCSV(ctx, w, h, f.csv)
}

// approveRun shows the held set where a person is asked, has its number typed, and lets the run go on.
func approveRun(ctx context.Context, w *work, f *approveFlags, id string) error {
	r, bar := newRunner(w)
	run, left, err := r.Waiting(ctx, id)
	bar.end()
	if err != nil || run.State != crmstore.RunHeld {
		return emitRun(w.session, run, err)
	}
	h, err := workflow.MakeHeldSet(ctx, w.store, id)
	if err != nil {
		return err
	}
	if err := heldCSV(ctx, w, h, f.csv); err != nil {
		return err
	}
	typed := f.confirm.n
	if !f.confirm.given {
		if err := showBeforeAsking(ctx, w, h, f.sample); err != nil {
			return err
		}
		if !w.command.StdinTerminal {
			return needsCount("delete", left, run.Object)
		}
		question := fmt.Sprintf("To delete %s (restorable for %d days), type their number: ", records(left, run.Object), binDays)
		if typed, err = w.typedCount(question); err != nil {
			return err
		}
	} else if words := sinceWords(h); h.Superseded {
		talk := w.talk()
		talk.printf("%s\n", talk.paint(yellow, words))
	}
	r, bar = newRunner(w)
	run, err = r.Approve(ctx, id, workflow.Approval{Count: typed, Revision: h.Current.Revision, At: w.now()})
	bar.end()
	return emitApproved(ctx, w.session, r, run, err)
}

// emitApproved says how an approved run ended, or that it waits for another approval: then this one did what it could, and the exit code is 0.
func emitApproved(ctx context.Context, s *session, r *workflow.Runner, run crmstore.Run, err error) error {
	if err == nil && run.State == crmstore.RunHeld {
		words, err := r.WaitsForMore(ctx, run.ID)
		if err != nil {
			return err
		}
		if words != "" {
			s.emit(workflow.NewReport(run), func(o *output) {
				showRun(o, run)
				o.printf("%s\n", o.paint(yellow, words))
			})
			return nil
		}
	}
	if run.Kind == crmstore.RunDelete {
		return emitDeletion(s, run, err)
	}
	return emitRun(s, run, err)
}

// showBeforeAsking shows the held set to the person who is about to type its number.
func showBeforeAsking(ctx context.Context, w *work, h *workflow.HeldSet, sample int) error {
	doc, err := newHeldDocument(ctx, w.store, h, sample)
	if err != nil {
		return err
	}
	doc.show(w.talk(), h)
	return nil
}

// heldDocument says which records a held run would delete.
type heldDocument struct {
	workflow.Report
	Object          record.ObjectType   `json:"object"`
	Selection       *crmstore.Selection `json:"selection,omitempty"`
	Left            int64               `json:"left"`             // whom it would delete
	Contacts        []record.ID         `json:"contacts"`         // their ids
	NoLongerMatch   []record.ID         `json:"no_longer_match"`  // of these, who changed since and stays
	NoLongerLive    []record.ID         `json:"no_longer_live"`   // of these, who is deleted already
	OnLegalHold     []record.ID         `json:"on_legal_hold"`    // of contacts, those that stay because of it
	CurrentRevision int                 `json:"current_revision"` // of the workflow; 0 for a deletion by hand
	Superseded      bool                `json:"superseded"`       // that is another one than the run's
	NotCurrent      []record.ID         `json:"not_current"`      // of contacts, those that the current revision would not delete
	Approvals       int                 `json:"approvals_needed"`
	ApprovalBy      string              `json:"approval_by"`
	Waits           string              `json:"waits_for,omitempty"` // who approved it as it is, and who else must
	Sample          []sampleEntry       `json:"sample"`

	rules workflow.ApprovalRules
}

func newHeldDocument(ctx context.Context, store *crmstore.Store, h *workflow.HeldSet, sample int) (*heldDocument, error) {
	doc := &heldDocument{
		Report: workflow.NewReport(h.Run), Object: h.Run.Object, Selection: h.Run.Selection, Left: int64(len(h.Records)), Contacts: orEmpty(h.Records),
		NoLongerMatch: orEmpty(h.Changed), NoLongerLive: orEmpty(h.Gone), OnLegalHold: orEmpty(h.OnHold), CurrentRevision: h.Current.Revision, Superseded: h.Superseded, NotCurrent: orEmpty(h.NotCurrent),
	}
	var err error
	if doc.rules, err = workflow.ReadApprovalRules(ctx, store); err != nil {
		return nil, err
	}
	doc.Approvals, doc.ApprovalBy = doc.rules.Needed, approvalBy(doc.rules)
	if doc.Waits, err = (&workflow.Runner{Store: store}).WaitsForMore(ctx, h.Run.ID); err != nil {
		return nil, err
	}
	doc.Sample, err = readSample(ctx, store, h.Definition, h.Run.Now, h.Records[:min(sample, len(h.Records))])
	return doc, err
}

func (doc *heldDocument) show(o *output, h *workflow.HeldSet) {
	what := "deletion by hand"
	if doc.Workflow != "" {
		what = fmt.Sprintf("revision %s of %s", count(doc.Revision), doc.Workflow)
	}
	o.printf("run %s: %s (%s, as of %s)\n", o.paint(bold, doc.Run), o.paint(stateInk(doc.State), string(doc.State)), what, stamp(doc.Now))
	if doc.Reason != "" {
		o.printf("  %s\n", clean(doc.Reason))
	}
	would := records(doc.Left, doc.Object)
	if doc.Deleted > 0 {
		would += fmt.Sprintf("; %s were deleted before it was held", count(doc.Deleted))
	}
	o.printf("%s %s\n", o.paint(bold, "would delete"), o.paint(inkOf(doc.Left > 0, yellow), would))
	for _, words := range []string{doc.rules.String(), doc.Waits} {
		if words != "" {
			o.printf("%s\n", clean(words))
		}
	}
	if words := sinceWords(h); words != "" {
		o.printf("%s\n", o.paint(yellow, words))
	}
	if n := len(doc.NoLongerMatch); n > 0 {
		o.printf("%s changed since and would stay\n", records(n, doc.Object))
	}
	if n := len(doc.OnLegalHold); n > 0 {
		o.printf("%s on legal hold by now, and would stay\n", counted(n, "one is", fmt.Sprintf("%s are", count(n))))
	}
	if n := len(doc.NoLongerLive); n > 0 {
		o.printf("%s of them deleted by now\n", counted(n, "one is", fmt.Sprintf("%s are", count(n))))
	}
	if len(doc.Sample) > 0 {
		o.printf("\n")
		showSample(o, doc.Sample)
		if rest := doc.Left - int64(len(doc.Sample)); rest > 0 {
			o.printf("%s\n", o.paint(dim, "and "+count(rest)+" more (--sample N shows more, --csv OUT writes all)"))
		}
	}
}

// approvalBy is who may approve, as the setting says it.
func approvalBy(rules workflow.ApprovalRules) string {
	if rules.NotPublisher {
		return crmstore.ApprovalNotPublisher
	}
	return crmstore.ApprovalByAnyone
}

// sinceWords is what became of the workflow since the run was held; "" when it is the same revision.
func sinceWords(h *workflow.HeldSet) string {
	if !h.Superseded {
		return ""
	}
	words := fmt.Sprintf("the run is of revision %s; revision %s of %s was published %s by %s", count(h.Run.Revision), count(h.Current.Revision),
		h.Current.Name, stamp(h.Current.PublishedAt), clean(h.Current.PublishedBy))
	if h.Broken != "" {
		return words + ", and cannot be compared: " + clean(h.Broken)
	}
	return words + fmt.Sprintf(", which would not delete %s of these %s", count(len(h.NotCurrent)), records(len(h.Records), h.Run.Object))
}

// showHeldNext says what can be done with a held run.
func showHeldNext(o *output, run crmstore.Run, left int64) {
	o.facts(
		[2]string{"see who:", "workflow approve " + run.ID + " --dry-run (--csv OUT writes all)"},
		[2]string{"let it go on:", fmt.Sprintf("workflow approve %s --confirm %d", run.ID, left)},
		[2]string{"or end it:", "workflow cancel " + run.ID})
}

// heldCSV writes a held set to a file; nothing without a path.
func heldCSV(ctx context.Context, w *work, h *workflow.HeldSet, path string) error {
	if path == "" {
		return nil
	}
	err := writeFile(ctx, path, func(f io.Writer) error { return writeHeld(ctx, f, w.store, h) })
	if err != nil {
		return err
	}
	w.err.printf("%s written to %s\n", records(len(h.Records), h.Run.Object), path)
	return nil
}

func writeHeld(ctx context.Context, w io.Writer, store *crmstore.Store, h *workflow.HeldSet) error {
	out := csv.NewWriter(w)
	heading := []string{"Record ID", "Email", "Name", "Trigger", "Why", "Now"}
	if h.Superseded {
		heading = append(heading, "By revision "+strconv.Itoa(h.Current.Revision))
	}
	if err := out.Write(heading); err != nil {
		return err
	}
	for batch := range slices.Chunk(h.Records, csvBatch) {
		entries, err := readSample(ctx, store, h.Definition, h.Run.Now, batch)
		if err != nil {
			return err
		}
		known := map[record.ID]sampleEntry{}
		for _, e := range entries {
			known[e.ID] = e
		}
		for _, id := range batch {
			if err := out.Write(heldRow(h, id, known[id])); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

// heldRow is a held record's line: who it is, by which trigger it enrolls, and what would become of it.
func heldRow(h *workflow.HeldSet, id record.ID, e sampleEntry) []string {
	becomes, trigger := "would be deleted", ""
	switch {
	case has(h.OnHold, id):
		becomes = "on legal hold, stays"
	case has(h.Changed, id):
		becomes = "no longer matches, stays"
	case has(h.Gone, id):
		becomes = "no longer live"
	}
	if e.Trigger > 0 {
		trigger = strconv.Itoa(e.Trigger)
	}
	row := []string{id.String(), inert(e.Email), inert(e.Name), trigger, inert(e.Why), becomes}
	switch {
	case !h.Superseded:
		return row
	case h.Broken != "":
		return append(row, "not known")
	case has(h.NotCurrent, id):
		return append(row, "would not be deleted")
	}
	return append(row, "would be deleted")
}

// has reports whether sorted ids hold one.
func has(ids []record.ID, id record.ID) bool {
	_, found := slices.BinarySearch(ids, id)
	return found
}

// typedNumber is the number of records that a person says a verb is about.
type typedNumber struct {
	n     int64
	given bool
}

// flag adds it to a verb as --confirm.
func (t *typedNumber) flag(cmd *cobra.Command, usage string) { cmd.Flags().Var(t, "confirm", usage) }

// Set reads a number, with or without its separators. Every number counts as given, also one that cannot be right.
func (t *typedNumber) Set(text string) error {
	n, err := strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
	if err != nil {
		return fmt.Errorf("want a number such as 312")
	}
	t.n, t.given = n, true
	return nil
}

// String is the number, "" when none was given.
func (t *typedNumber) String() string {
	if !t.given {
		return ""
	}
	return strconv.FormatInt(t.n, 10)
}

// Type names what is wanted in the usage.
func (t *typedNumber) Type() string { return "number" }
