package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/terminal"
)

var runStates = []string{
	string(crmstore.RunRunning), string(crmstore.RunHeld), string(crmstore.RunDone), string(crmstore.RunFailed), string(crmstore.RunCancelled),
}

func runsCommand(s *session) *cobra.Command {
	var filter crmstore.RunFilter
	var state string
	var watch bool
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "runs [RUN] [--watch] [--workflow NAME] [--by-hand] [--state STATE] [--limit N]", Short: "past and present runs; or all about one",
		Example:           "  workflow runs --state held\n  workflow runs stale-leads@2026-11-23T03:00:00Z\n  workflow runs stale-leads@2026-11-23T03:00:00Z --watch\n  workflow runs --state running --watch",
		Args:              args(0, 1, "the id of a run, or nothing"),
		ValidArgsFunction: completeRuns(s),
		RunE: s.work(needs{check: func(args []string) error {
			if filter.Limit < 1 {
				return usagef("", "--limit %d: want 1 or more", filter.Limit)
			}
			if filter.State = crmstore.RunState(state); state != "" && !slices.Contains(runStates, state) {
				return usagef("one of: running, held, done, failed, cancelled", "--state %q is not known", state)
			}
			if watch && len(args) == 0 && (s.json() || !s.out.terminal) {
				return usagef("name a run, as in: workflow runs RUN --watch", "--watch without a run is for a terminal")
			}
			return nil
		}}, func(ctx context.Context, w *work) error {
			if len(w.words) == 1 && watch {
				return watchRun(ctx, w, w.words[0])
			}
			if len(w.words) == 1 {
				return showOneRun(ctx, w, w.words[0])
			}
			if watch {
				return watchRuns(ctx, w, filter)
			}
			return showRuns(ctx, w, filter)
		}),
	}
	cmd.Flags().StringVar(&filter.Workflow, "workflow", "", "only runs of this workflow")
	cmd.Flags().BoolVar(&filter.ByHand, "by-hand", false, "only deletions by hand")
	cmd.Flags().StringVar(&state, "state", "", "only runs in this state: running, held, done, failed or cancelled")
	cmd.Flags().BoolVar(&watch, "watch", false, "with RUN: show how far it is until it is over, the exit code says how it ended; without: show the list anew every second")
	cmd.Flags().IntVar(&filter.Limit, "limit", 20, "at most so many runs")
	_ = cmd.RegisterFlagCompletionFunc("workflow", completeWorkflows(s, false))
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(runStates, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// runDocument is a run with all that is known of it.
type runDocument struct {
	workflow.Report
	Kind       crmstore.RunKind    `json:"kind,omitempty"`
	Object     record.ObjectType   `json:"object"`
	Selection  *crmstore.Selection `json:"selection,omitempty"`
	Why        string              `json:"why,omitempty"`
	Scheduled  bool                `json:"scheduled"`
	Stage      string              `json:"stage"`
	StartedBy  string              `json:"started_by"`
	ApprovedBy string              `json:"approved_by,omitempty"`
	Approvals  []crmstore.Approval `json:"approvals,omitempty"`
	StartedAt  time.Time           `json:"started_at"`
	FinishedAt *time.Time          `json:"finished_at,omitempty"`
	LastSeen   time.Time           `json:"last_seen"`
	Owner      string              `json:"owner,omitempty"`
	Progress   crmstore.Progress   `json:"progress,omitzero"`
}

func newRunDocument(r crmstore.Run) runDocument {
	doc := runDocument{
		Report: workflow.NewReport(r), Kind: r.Kind, Object: r.Object, Selection: r.Selection, Why: r.Why, Scheduled: r.Scheduled, Stage: r.Stage, StartedBy: r.StartedBy,
		ApprovedBy: r.ApprovedBy, Approvals: r.Approvals, StartedAt: r.StartedAt, LastSeen: r.Beat, Owner: r.Owner,
		Progress: r.Progress,
	}
	if !r.FinishedAt.IsZero() {
		doc.FinishedAt = &r.FinishedAt
	}
	return doc
}

func showOneRun(ctx context.Context, w *work, id string) error {
	run, err := w.store.Run(ctx, id)
	if err != nil {
		return unknownRun(w.session, id, err)
	}
	w.emit(newRunDocument(run), func(o *output) {
		showRun(o, run)
		by := run.StartedBy
		if run.Scheduled {
			by += " (scheduled)"
		}
		o.printf("\n")
		o.facts(append(whatFor(run),
			[2]string{"as of", stamp(run.Now)},
			[2]string{"started", stamp(run.StartedAt) + " by " + by},
			[2]string{"approved by", approvedBy(run)},
			[2]string{"ended", stamp(run.FinishedAt)},
			[2]string{"took", took(runTime(run))},
			[2]string{"stage", run.Stage},
			[2]string{"so far", soFar(run)},
			[2]string{"carried by", carriedBy(run, w.now())})...)
	})
	return nil
}

// approvedBy is everybody who approved a run, in their order.
func approvedBy(run crmstore.Run) string {
	if len(run.Approvals) == 0 {
		return run.ApprovedBy
	}
	var names []string
	for _, a := range run.Approvals {
		names = append(names, a.By)
	}
	return strings.Join(names, ", ")
}

// soFar is how far a run was that is under way, at its last sign of life.
func soFar(run crmstore.Run) string {
	p := run.Progress
	if run.State != crmstore.RunRunning || p.Of == 0 {
		return ""
	}
	if run.Stage == "evaluate" {
		return fmt.Sprintf("looked into %s of %s partitions", count(p.Done), count(p.Of))
	}
	return fmt.Sprintf("acted on %s of %s, %s left", count(p.Done), count(p.Of), count(max(p.Of-p.Done, 0)))
}

// carriedBy is who carries a run that is under way, and whether anything is heard of them.
func carriedBy(run crmstore.Run, now time.Time) string {
	switch silent := now.Sub(run.Beat); {
	case run.State != crmstore.RunRunning:
		return ""
	case run.Owner == "":
		return "nobody; the next daemon goes on with it, or: workflow resume " + run.ID
	case workflow.Silent(crmstore.Daemon{Beat: run.Beat}, now):
		return fmt.Sprintf("%s, silent for %s: the next daemon takes it over, or: workflow resume %s", run.Owner, took(silent), run.ID)
	default:
		return fmt.Sprintf("%s, last seen %s", run.Owner, ago(run.Beat, now))
	}
}

// watchEvery is how often a run that is watched is looked at.
const watchEvery = time.Second

// watchRun shows how far a run is, in place on a terminal, until it is over or held, and then all about it. The exit code is
// that of the verb or the daemon that carried the run.
func watchRun(ctx context.Context, w *work, id string) error {
	bar, pause := w.progress(), time.NewTicker(watchEvery)
	defer pause.Stop()
	for {
		run, err := w.store.Run(ctx, id)
		if err != nil {
			bar.end()
			return unknownRun(w.session, id, err)
		}
		if run.State != crmstore.RunRunning {
			bar.end()
			if err := showOneRun(ctx, w, id); err != nil {
				return err
			}
			return endCode(run)
		}
		bar.update(run.Stage, run.Progress.Done, run.Progress.Of)
		select {
		case <-ctx.Done():
			bar.end()
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// whatFor is what a run carries out: a revision of a workflow, or what a deletion by hand was asked for.
func whatFor(run crmstore.Run) [][2]string {
	if run.Kind != crmstore.RunDelete {
		return [][2]string{{"workflow", run.Workflow + " " + revisionText(run.Revision)}}
	}
	asked := "ids"
	if *run.Selection != (crmstore.Selection{}) {
		asked = workflow.SelectionExpression(*run.Selection)
	}
	return [][2]string{{"deletes", run.Object.Plural() + ": " + clean(asked)}, {"reason", clean(run.Why)}}
}

func runTime(run crmstore.Run) time.Duration {
	return time.Duration(workflow.NewReport(run).DurationSeconds * float64(time.Second))
}

// unknownRun turns "not found" into words that lead on.
func unknownRun(s *session, id string, err error) error {
	if !errors.Is(err, record.ErrNotFound) {
		return err
	}
	return &problem{
		code: exitRefused, reason: "not-found", message: fmt.Sprintf("there is no run %q", id), help: "see: workflow runs" + s.repeatFlags(),
	}
}

func showRuns(ctx context.Context, w *work, filter crmstore.RunFilter) error {
	runs, err := w.store.Runs(ctx, filter)
	if err != nil {
		return err
	}
	docs := []runDocument{}
	for _, r := range runs {
		docs = append(docs, newRunDocument(r))
	}
	w.emit(map[string]any{"runs": docs}, func(o *output) { tableOfRuns(w.session, o, runs) })
	return nil
}

func tableOfRuns(s *session, o *output, runs []crmstore.Run) {
	if len(runs) == 0 {
		o.printf("no runs; start one with: workflow run NAME\n")
		return
	}
	tb := &table{columns: []column{
		{head: "run"}, // whole, since it is what the next command names
		{head: "state"},
		{head: "started"},
		{head: "by"},
		{head: "matched", right: true},
		{head: "deleted", right: true},
		{head: "took", right: true},
		{head: "why", flex: true},
	}}
	for _, r := range runs {
		tb.add(ink(bold, r.ID), ink(stateInk(r.State), string(r.State)), txt(ago(r.StartedAt, s.now())), txt(r.StartedBy),
			txt(count(r.Matched)), txt(count(r.Deleted)), txt(took(runTime(r))), txt(cmp.Or(r.Reason, soFar(r))))
	}
	o.table(tb, 0)
}

// watchRuns shows the list in place, until it is interrupted.
func watchRuns(ctx context.Context, w *work, filter crmstore.RunFilter) error {
	pause := time.NewTicker(watchEvery)
	defer pause.Stop()
	for lines := 0; ; {
		runs, err := w.store.Runs(ctx, filter)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		o := newOutput(&text, true, w.out.colour, w.out.width)
		tableOfRuns(w.session, o, runs)
		if err := o.flush(); err != nil {
			return err
		}
		if lines > 0 {
			w.out.printf(terminal.ClearAbove, lines)
		}
		w.out.printf("%s", text.Bytes())
		if err := w.out.flush(); err != nil {
			return err
		}
		lines = bytes.Count(text.Bytes(), []byte("\n"))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// onRun is a verb that does something to one run.
func onRun(s *session, cmd *cobra.Command, states []crmstore.RunState, do func(context.Context, *work, string) error) *cobra.Command {
	cmd.Args = args(1, 1, "the id of a run")
	cmd.ValidArgsFunction = completeRuns(s, states...)
	cmd.RunE = s.work(needs{}, func(ctx context.Context, w *work) error {
		if _, err := w.store.Run(ctx, w.words[0]); err != nil {
			return unknownRun(w.session, w.words[0], err)
		}
		return do(ctx, w, w.words[0])
	})
	return cmd
}

func resumeCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume RUN", Short: "go on with a run that failed or was interrupted",
		Example: "  workflow runs --state failed\n  workflow resume stale-leads@2026-11-23T03:00:00Z",
	}
	return onRun(s, cmd, []crmstore.RunState{crmstore.RunFailed, crmstore.RunRunning}, func(ctx context.Context, w *work, id string) error {
		r, bar := newRunner(w)
		run, err := r.Resume(ctx, id)
		bar.end()
		switch {
		case run.Kind != crmstore.RunDelete:
			return emitRun(w.session, run, err)
		case err == nil && run.State == crmstore.RunHeld && w.command.StdinTerminal:
			return confirmDeletion(ctx, w, run, typedNumber{})
		}
		return emitDeletion(w.session, run, err)
	})
}

func cancelCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: mends},
		Use:         "cancel RUN", Short: "end a run that is held, under way or failed",
		Long: "cancel ends a run. When it has returned, nothing more is deleted by the run, not even by a process that was frozen\n" +
			"meanwhile; what it deleted stays in the recycle bin until it is undone.",
		Example: "  workflow cancel stale-leads@2026-11-23T03:00:00Z",
	}
	states := []crmstore.RunState{crmstore.RunHeld, crmstore.RunRunning, crmstore.RunFailed}
	return onRun(s, cmd, states, func(ctx context.Context, w *work, id string) error {
		r, bar := newRunner(w)
		run, err := r.Cancel(ctx, id, w.now())
		bar.end()
		if err != nil {
			return err
		}
		w.emit(workflow.NewReport(run), func(o *output) { showRun(o, run) })
		return nil
	})
}
