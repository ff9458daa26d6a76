package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
	"github.com/crm-workflow/crm-workflow/workflow/terminal"
)

func reviewCommand(s *session) *cobra.Command {
	var now, csvFile string
	var sample int
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "review FILE|NAME [--now TIME] [--sample N] [--csv OUT]", Short: "who exactly would be deleted; nothing is changed",
		Long: "review shows what publishing or running a workflow would do, and changes nothing: how many contacts and exactly\n" +
			"who, what is different from the published revision, whether a limit would hold the run, and when it would run.\n" +
			"A run at the same instant deletes exactly the contacts that the review lists.",
		Example: "  workflow review stale.yaml\n  workflow review stale-leads --now 2026-12-01 --sample 50\n" +
			"  workflow review stale.yaml --csv everyone.csv",
		Args:              args(1, 1, "a workflow file or the name of a published workflow"),
		ValidArgsFunction: completeTarget(s),
		RunE: s.work(needs{now: &now, check: func([]string) error {
			if sample < 0 {
				return usagef("", "--sample %d: want 0 or more", sample)
			}
			return nil
		}}, func(ctx context.Context, w *work) error {
			d, err := loadTarget(ctx, w, w.words[0])
			if err != nil {
				return err
			}
			r, err := workflow.MakeReview(ctx, w.store, d, w.at)
			if err != nil {
				return err
			}
			doc, err := newReviewDocument(ctx, w.store, d, r, sample)
			if err != nil {
				return err
			}
			w.emit(doc, func(o *output) { doc.show(o) })
			if csvFile != "" {
				return writeReviewCSV(ctx, w, d, r, csvFile)
			}
			return nil
		}),
	}
	nowFlag(cmd, &now)
	cmd.Flags().IntVar(&sample, "sample", 10, "how many of the contacts to show")
	cmd.Flags().StringVar(&csvFile, "csv", "", "write every one of the contacts to this CSV file")
	return cmd
}

// reviewDocument is a review for programs; the fields that a run has too are named as in a run.
type reviewDocument struct {
	Workflow        string              `json:"workflow"`
	Object          record.ObjectType   `json:"object"`
	Now             string              `json:"now"`
	State           crmstore.RunState   `json:"state"` // dry-run
	Live            int64               `json:"live"`
	Evaluated       int64               `json:"evaluated"`
	Matched         int64               `json:"matched"`
	Suppressed      int64               `json:"suppressed"`
	AlreadyEnrolled int64               `json:"already_enrolled"`
	Damaged         int64               `json:"damaged,omitempty"` // could not be read
	OnHold          int64               `json:"on_hold"`
	Existing        int64               `json:"existing"`
	WouldDelete     int64               `json:"would_delete"`
	RestoredBefore  int64               `json:"restored_before"`
	DeletedBefore   int64               `json:"deleted_before"`
	OverLimit       string              `json:"over_limit,omitempty"`
	OverCeiling     string              `json:"over_ceiling,omitempty"`
	RoomFrom        string              `json:"room_from,omitempty"`
	DeletedLately   int64               `json:"deleted_lately"` // by the workflow in 24 hours, with what its run is about to delete
	AccountLately   int64               `json:"account_lately"` // the same, by all workflows and by hand
	Ceiling         int64               `json:"ceiling"`        // what the account may delete in 24 hours
	Contacts        []record.ID         `json:"contacts"`
	Sample          []sampleEntry       `json:"sample"`
	Published       *publishedDocument  `json:"published,omitempty"`
	Approvals       int                 `json:"approvals"`                // how many users must approve it if it is held
	ApprovalBy      string              `json:"approval_by"`              // who may
	Unfinished      *unfinishedDocument `json:"unfinished_run,omitempty"` // of the workflow
	Lists           []listEntry         `json:"lists"`                    // that the conditions ask, also through active lists
	NextRuns        []string            `json:"next_runs"`
	Warnings        diag.List           `json:"warnings"`

	definition *definition.Definition
	approval   string // who must approve it if it is held, in words
}

type publishedDocument struct {
	Revision int         `json:"revision"`
	On       bool        `json:"on"`
	Same     bool        `json:"same"` // the file is that revision
	Newly    []record.ID `json:"newly"`
	NoLonger []record.ID `json:"no_longer"`
}

func newReviewDocument(ctx context.Context, store *crmstore.Store, d *definition.Definition, r *workflow.Review, sample int) (*reviewDocument, error) {
	doc := &reviewDocument{
		Workflow: r.Workflow, Object: r.Object, Now: stamp(r.Now), State: workflow.RunDryRun,
		Live: r.Live, Evaluated: r.Evaluated, Matched: r.Matched, Suppressed: r.Suppressed, AlreadyEnrolled: r.AlreadyEnrolled, Damaged: r.Damaged, OnHold: r.OnHold,
		Existing: r.Existing, WouldDelete: r.WouldDelete, Contacts: orEmpty(r.Contacts),
		RestoredBefore: r.RestoredBefore, DeletedBefore: r.DeletedBefore,
		OverLimit: r.OverLimit, OverCeiling: r.OverCeiling,
		DeletedLately: r.Lately.Of(r.Workflow).Sum(), AccountLately: r.Lately.All.Sum(), Ceiling: r.Ceiling,
		Lists: []listEntry{}, NextRuns: []string{}, Warnings: r.Warnings, definition: d,
	}
	if !r.RoomFrom.IsZero() {
		doc.RoomFrom = stamp(r.RoomFrom)
	}
	if p := r.Published; p.Revision > 0 {
		doc.Published = &publishedDocument{p.Revision, p.On, r.Same, orEmpty(r.Newly), orEmpty(r.NoLonger)}
	}
	doc.Approvals, doc.ApprovalBy, doc.approval = r.Approval.Needed, approvalBy(r.Approval), r.Approval.String()
	doc.Unfinished = newUnfinished(r.Unfinished, "", leftOf(r.Unfinished))
	for _, l := range r.Lists {
		doc.Lists = append(doc.Lists, newListEntry(l))
	}
	for _, at := range r.NextRuns {
		doc.NextRuns = append(doc.NextRuns, stamp(at))
	}
	var err error
	doc.Sample, err = readSample(ctx, store, d, r.Now, r.Contacts[:min(sample, len(r.Contacts))])
	return doc, err
}

func orEmpty(ids []record.ID) []record.ID {
	if ids == nil {
		return []record.ID{}
	}
	return ids
}

func (doc *reviewDocument) show(o *output) {
	d, object := doc.definition, doc.Object
	o.printf("%s as of %s\n\n", o.paint(bold, d.Title), doc.Now)
	would := fmt.Sprintf("%s of %s live (%s)", records(doc.WouldDelete, object), count(doc.Live), percent(doc.WouldDelete, doc.Live))
	o.printf("%s %s\n", o.paint(bold, "would delete"), o.paint(inkOf(doc.WouldDelete > 0, yellow), would))
	o.facts(
		[2]string{"  a trigger is true", records(doc.Matched, object)},
		[2]string{"  kept by a suppression", some(doc.Suppressed)},
		[2]string{"  enrolled before", some(doc.AlreadyEnrolled)},
		[2]string{"  damaged, and not looked at", some(doc.Damaged)},
		[2]string{"  on legal hold, left alone", some(doc.OnHold)},
		[2]string{"  there already (existing: false)", some(doc.Existing)},
		[2]string{"  restored before", some(doc.RestoredBefore)},
		[2]string{"  deleted before, same address", some(doc.DeletedBefore)})
	o.printf("\n")
	limits, ceiling, room := doc.limits()
	next := "by hand only (the file has no schedule)"
	if len(doc.NextRuns) > 0 {
		next = strings.Join(doc.NextRuns, ", ")
	}
	var lists []string
	for _, l := range doc.Lists {
		lists = append(lists, fmt.Sprintf("%s (%s, %s)", l.Name, l.Kind, records(l.Members, object)))
	}
	o.facts([2]string{"limits", limits}, [2]string{"ceiling", ceiling}, [2]string{"room", room}, [2]string{"approval", doc.approval}, [2]string{"lists", strings.Join(lists, ", ")}, [2]string{"next runs", next}, [2]string{"published", doc.published()}, [2]string{"not over", doc.unfinished()})
	if len(doc.Sample) > 0 {
		o.printf("\n")
		showSample(o, doc.Sample)
		if rest := doc.WouldDelete - int64(len(doc.Sample)); rest > 0 {
			o.printf("%s\n", o.paint(dim, "and "+count(rest)+" more (--sample N shows more, --csv OUT writes all)"))
		}
	}
	if len(doc.Warnings) > 0 {
		o.printf("\n")
		_ = diag.Printer{Color: o.colour}.Print(o, doc.Warnings) // o keeps its error
	}
}

// limits says what would hold the run: its own limits, the account's ceiling, and when there is room.
func (doc *reviewDocument) limits() (limits, ceiling, room string) {
	own := doc.definition.Limits
	limits = fmt.Sprintf("max_deletions %s, max_percent %g %%: within both", count(own.MaxDeletions), own.MaxPercent)
	if doc.OverLimit != "" {
		limits = doc.OverLimit + "; the run would be held until somebody approves it"
	} else if doc.DeletedLately > 0 {
		limits += fmt.Sprintf(", with %s of the last 24 hours", count(doc.DeletedLately))
	}
	if n := own.MaxPerSecond; n > 0 {
		limits += fmt.Sprintf("; at most %s per second", count(n))
	}
	if doc.OverCeiling != "" {
		ceiling = doc.OverCeiling + "; only a super admin can approve it"
	}
	if doc.RoomFrom != "" {
		room = "from " + doc.RoomFrom
	}
	return limits, ceiling, room
}

// published is how the file compares with what is published, in words; "" when nothing is.
func (doc *reviewDocument) published() string {
	p := doc.Published
	if p == nil {
		return "not yet"
	}
	state := fmt.Sprintf("revision %s, switched off", count(p.Revision))
	if p.On {
		state = fmt.Sprintf("revision %s, switched on", count(p.Revision))
	}
	if p.Same {
		return state + "; this file is that revision"
	}
	return fmt.Sprintf("%s; by this file %s more match and %s no longer do", state,
		records(len(p.Newly), doc.Object), count(len(p.NoLonger)))
}

// unfinished is the workflow's run that is not over, and what publishing the file does with it; "" when there is none.
func (doc *reviewDocument) unfinished() string {
	u := doc.Unfinished
	if u == nil {
		return ""
	}
	same := doc.Published != nil && doc.Published.Same
	switch {
	case u.State == crmstore.RunHeld && same:
		return fmt.Sprintf("run %s is held with %s", u.Run, records(u.Left, doc.Object))
	case u.State == crmstore.RunHeld:
		return fmt.Sprintf("run %s of revision %s is held with %s; publishing this file ends it (--keep-held keeps it)", u.Run, count(u.Revision), records(u.Left, doc.Object))
	case same:
		return fmt.Sprintf("run %s is under way", u.Run)
	}
	return fmt.Sprintf("run %s of revision %s is under way; publishing this file stops it, and it is held", u.Run, count(u.Revision))
}

func inkOf(yes bool, s terminal.Style) terminal.Style {
	if yes {
		return s
	}
	return plain
}

// some is a count, "" for zero.
func some(n int64) string {
	if n == 0 {
		return ""
	}
	return count(n)
}

// writeReviewCSV writes all contacts of a review to a file, whole or not at all.
func writeReviewCSV(ctx context.Context, w *work, d *definition.Definition, r *workflow.Review, path string) error {
	err := writeFile(ctx, path, func(f io.Writer) error { return reviewCSV(ctx, f, w.store, d, r) })
	if err != nil {
		return err
	}
	w.err.printf("%s written to %s\n", records(r.WouldDelete, r.Object), path)
	return nil
}
