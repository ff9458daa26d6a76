package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow"
)

func undoCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "undo RUN", Short: "restore all that a run deleted",
		Long: "undo brings back everything that a run deleted and that is still in the recycle bin, exactly as it was, and says\n" +
			"what it could not restore and why. The contacts stay enrolled: the next run does not delete them again, unless the\n" +
			"workflow says reenroll: true. Exit code 1 when something could not be restored.",
		Example: "  workflow undo stale-leads@2026-11-23T03:00:00Z",
	}
	states := []crmstore.RunState{crmstore.RunDone, crmstore.RunCancelled, crmstore.RunFailed}
	return onRun(s, cmd, states, undoRun)
}

func undoRun(ctx context.Context, w *work, id string) error {
	r, bar := newRunner(w)
	report, err := r.Undo(ctx, id, w.now())
	bar.end()
	if err != nil {
		return err
	}
	return emitUndo(w.session, id, report)
}

// undoDocument is what an undo did.
type undoDocument struct {
	Run         string                `json:"run"`
	Workflow    string                `json:"workflow"`
	Restored    int64                 `json:"restored"`
	NotRestored []workflow.Unrestored `json:"not_restored"`
	Left        int64                 `json:"deleted_still"` // of what the run deleted, not live now
	Gone        int64                 `json:"gone"`          // of these, what cannot be restored any more
}

// shownUnrestored bounds how many contacts are listed for people; programs get all.
const shownUnrestored = 20

func emitUndo(s *session, id string, u workflow.UndoReport) error {
	doc := undoDocument{Run: id, Workflow: u.Run.Workflow, Restored: u.Restored, NotRestored: []workflow.Unrestored{}, Gone: u.Gone}
	stuck := 0
	for _, x := range u.NotRestored {
		doc.NotRestored = append(doc.NotRestored, x)
		if x.Reason != workflow.UndoLive {
			stuck++
		}
	}
	doc.Left = max(int64(stuck), u.Gone)
	object := u.Run.Object
	s.emit(doc, func(o *output) {
		o.printf("%s restored; run %s had deleted %s\n", o.paint(green, records(u.Restored, object)), id, count(u.Run.Deleted))
		if already := len(u.NotRestored) - stuck; already > 0 {
			o.printf("%s restored before\n", records(already, object))
		}
		if u.Gone > 0 {
			o.printf("%s can no longer be restored: %d days in the recycle bin are over, or deleted permanently\n",
				records(u.Gone, object), crmstore.BinDays)
		}
		shown := 0
		for _, x := range u.NotRestored {
			if x.Reason == workflow.UndoLive {
				continue
			}
			if shown++; shown > shownUnrestored {
				o.printf("  and %s more (--format json lists all)\n", count(stuck-shownUnrestored))
				break
			}
			o.printf("  %s %s stays deleted: %s", object, x.ID, x.Reason)
			if x.Holder != 0 {
				o.printf(" (%s %s)", object, x.Holder)
			}
			o.printf("\n")
		}
	})
	if doc.Left > 0 {
		return said(exitRefused)
	}
	return nil
}
