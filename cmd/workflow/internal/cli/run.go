package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

func runCommand(s *session) *cobra.Command {
	var now string
	var dry, allowFuture bool
	cmd := &cobra.Command{
		Use: "run NAME|FILE [--now TIME [--allow-future]] [--dry-run]", Short: "one pass now",
		Long: "run looks once for the contacts that enroll, and deletes them. A run that would delete more than the limits allow\n" +
			"is held: nothing is touched until somebody approves it. An earlier run of the workflow that was interrupted is\n" +
			"finished first. A file runs only if it is what is published, or with --dry-run, which writes nothing.\n" +
			"Exit codes: 0 done, 1 held or refused, 3 failed.",
		Example:           "  workflow run stale-leads\n  workflow run stale-leads --now 2026-12-01 --dry-run\n  workflow run stale.yaml --dry-run",
		Args:              args(1, 1, "the name of a published workflow, or a workflow file"),
		ValidArgsFunction: completeTarget(s),
		RunE: s.work(needs{now: &now}, func(ctx context.Context, w *work) error {
			if dry {
				return dryRun(ctx, w, w.words[0], w.at)
			}
			if err := mayDeleteFrom(w.session, w.at, allowFuture); err != nil {
				return err
			}
			name, err := publishedName(ctx, w, w.words[0])
			if err != nil {
				return err
			}
			return runWorkflow(ctx, w, name, w.at)
		}),
	}
	nowFlag(cmd, &now)
	allowFutureFlag(cmd, &allowFuture)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "count who would be deleted and write nothing")
	return cmd
}

// newRunner carries runs for a person who waits for them.
func newRunner(w *work) (*workflow.Runner, *progress) {
	bar := w.progress()
	return &workflow.Runner{
		Store: w.store, Health: &workflow.Health{Store: w.store.AsSystem(), Acting: w.store.User()}, Owner: workflow.NewOwner(), Progress: bar.update, Helpers: workflow.DaemonsHelp(w.store),
		Resumed: func(run crmstore.Run) {
			bar.end()
			w.err.printf("finished run %s first, which had been interrupted: %s deleted\n", run.ID, records(run.Deleted, run.Object))
		},
	}, bar
}

func dryRun(ctx context.Context, w *work, target string, at time.Time) error {
	d, err := loadTarget(ctx, w, target)
	if err != nil {
		return err
	}
	r, bar := newRunner(w)
	started := time.Now()
	run, err := r.DryRun(ctx, d, at)
	bar.end()
	if err != nil {
		return err
	}
	if !isFile(target) {
		if published, err := w.store.Workflow(ctx, target); err == nil {
			run.Revision = published.Revision
		}
	}
	report := workflow.NewReport(run)
	report.DurationSeconds = time.Since(started).Seconds()
	w.emit(report, func(o *output) {
		would := run.Matched - run.Suppressed - run.AlreadyEnrolled - run.OnHold
		o.printf("%s would be deleted; this was a dry run, nothing was written\n", records(would, run.Object))
		showTotals(o, run)
		if run.Reason != "" {
			o.printf("a real run would be held: %s\n", run.Reason)
		}
		o.printf("who exactly: workflow review %s --now %s\n", target, stamp(run.Now))
	})
	return nil
}

// publishedName is the name of the workflow to run. A file must be what is published and switched on, so that only
// what a person reviewed runs.
func publishedName(ctx context.Context, w *work, target string) (string, error) {
	if !isFile(target) {
		_, err := w.store.Workflow(ctx, target)
		if errors.Is(err, record.ErrNotFound) {
			return "", unknownWorkflow(ctx, w, target)
		}
		return target, err
	}
	d, err := loadFile(ctx, w, target)
	if err != nil {
		return "", err
	}
	refuse := func(format string, args ...any) (string, error) {
		return "", &problem{
			code: exitRefused, reason: "not-published", message: fmt.Sprintf(format, args...),
			help: fmt.Sprintf("publish it: workflow publish %s; or only look: workflow run %s --dry-run", target, target),
		}
	}
	published, err := w.store.Workflow(ctx, d.Name)
	if errors.Is(err, record.ErrNotFound) {
		return refuse("%s is not published", d.Name)
	}
	if err != nil {
		return "", err
	}
	rev, err := w.store.Revision(ctx, published.Name, published.Revision)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(rev.Source, d.Source) {
		return refuse("%s differs from the published %s of %s", target, revisionText(published.Revision), published.Name)
	}
	return d.Name, nil
}

func runWorkflow(ctx context.Context, w *work, name string, at time.Time) error {
	r, bar := newRunner(w)
	run, err := r.Run(ctx, workflow.RunRequest{Name: name, Now: at})
	bar.end()
	return emitRun(w.session, run, err)
}

// emitRun says how a run ended and sets the exit code: a run that was held is a refusal, one that failed a failure.
func emitRun(s *session, run crmstore.Run, err error) error {
	var refused *workflow.RefusedError
	var denied *crmstore.PermissionError
	if err != nil && (run.ID == "" || errors.As(err, &refused) || errors.As(err, &denied)) {
		return err
	}
	if err != nil && errors.Is(err, context.Canceled) {
		return &problem{
			code: exitFailed, reason: "interrupted",
			message: fmt.Sprintf("run %s was stopped; %s deleted so far", run.ID, records(run.Deleted, run.Object)),
			help:    "it goes on where it stopped: workflow run " + run.Workflow + ", or by the daemon",
		}
	}
	s.emit(workflow.NewReport(run), func(o *output) { showRun(o, run) })
	switch {
	case err != nil && s.json():
		return said(exitFailed)
	case err != nil:
		return failedf("when the cause is gone, go on where it stopped: workflow resume "+run.ID, "%v", err)
	}
	return endCode(run)
}

// endCode is the exit code of how a run ended, which was said.
func endCode(run crmstore.Run) error {
	switch run.State {
	case crmstore.RunFailed:
		return said(exitFailed)
	case crmstore.RunHeld, crmstore.RunCancelled:
		return said(exitRefused)
	}
	return nil
}

func showRun(o *output, run crmstore.Run) {
	state := o.paint(stateInk(run.State), string(run.State))
	o.printf("run %s: %s\n", o.paint(bold, run.ID), state)
	if run.Reason != "" {
		o.printf("  %s\n", clean(run.Reason))
	}
	showTotals(o, run)
	switch run.State {
	case crmstore.RunHeld:
		showHeldNext(o, run, leftOf(run))
	case crmstore.RunFailed:
		o.printf("go on where it stopped: workflow resume %s\n", run.ID)
	case crmstore.RunDone, crmstore.RunCancelled:
		if left := run.Deleted - int64(run.Undone); left > 0 {
			o.printf("they stay in the recycle bin for %d days; bring them back: workflow undo %s\n", binDays, run.ID)
		}
	}
}

// leftOf is how many records a stopped run has not dealt with.
func leftOf(run crmstore.Run) int64 {
	return run.Matched - run.Suppressed - run.AlreadyEnrolled - run.OnHold - run.Deleted - run.Changed - run.Held - run.Failed
}

func matchedNote(run crmstore.Run) string {
	if run.Kind == crmstore.RunDelete {
		return "asked to be deleted"
	}
	return "a trigger was true"
}

func showTotals(o *output, run crmstore.Run) {
	tb := &table{columns: []column{{head: ""}, {head: "", right: true}, {head: ""}}}
	line := func(name string, n int64, always bool, note string) {
		if n != 0 || always {
			tb.add(txt(name), txt(count(n)), ink(dim, note))
		}
	}
	line("evaluated", run.Evaluated, true, "live "+run.Object.Plural())
	line("matched", run.Matched, true, matchedNote(run))
	line("suppressed", run.Suppressed, false, "kept by a suppression")
	line("enrolled before", run.AlreadyEnrolled, false, "left alone")
	line("on legal hold", run.OnHold, false, "left alone")
	line("restored before", run.RestoredBefore, false, "were in the recycle bin before")
	line("deleted before", run.DeletedBefore, false, "under the same address")
	if run.State != workflow.RunDryRun {
		line("deleted", run.Deleted, true, "to the recycle bin")
	}
	line("held", run.Held, false, "put on legal hold meanwhile; left alone")
	line("changed", run.Changed, false, "no longer matched when their turn came; left alone")
	if run.State == crmstore.RunHeld && run.Deleted > 0 {
		line("left", leftOf(run), true, "not deleted yet")
	}
	line("damaged", run.Damaged, false, "could not be read; left alone; see: workflow doctor")
	line("failed", run.Failed, false, "kept changing; left alone")
	line("restored", int64(run.Undone), false, "by undo")
	for _, r := range tb.rows {
		r[0].ink = dim
	}
	o.rows(tb, 2)
}
