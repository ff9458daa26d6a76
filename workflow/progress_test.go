package workflow

import (
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// A sign of life says how far the stage is; the end says nothing any more.
func TestRun_SignsOfLifeSayHowFarItIs(t *testing.T) {
	t.Parallel()
	w, stale := sharingWorld(t)
	run, err := w.store.CreateRun(t.Context(), crmstore.Run{
		ID: "stale@1", Workflow: "stale", Object: record.Contact, Revision: 1, Now: testNow, State: crmstore.RunRunning, Stage: stageEvaluate,
		StartedAt: testNow, Owner: "a:1:1", Fence: 1,
	})
	w.must(err)
	p := w.runner.newPass(run)
	beat := func() crmstore.Progress {
		w.must(p.update(t.Context(), func(run *crmstore.Run) { run.Progress = p.progress.of(*run) }))
		saved, err := w.store.Run(t.Context(), run.ID)
		w.must(err)
		return saved.Progress
	}
	p.progress.scan(3, 128)
	if got := beat(); got != (crmstore.Progress{Done: 3, Of: 128}) {
		t.Errorf("evaluating: %+v", got)
	}
	w.must(p.update(t.Context(), func(run *crmstore.Run) { run.Stage, run.Matched = stageAct, int64(len(stale)) }))
	total := int64(len(stale))
	p.progress.settle(7, total)
	p.progress.setOthers(5, total)
	if got := beat(); got != (crmstore.Progress{Done: 12, Of: int64(len(stale))}) {
		t.Errorf("acting: %+v, want 12 of %d", got, len(stale))
	}
	p.sum = &crmstore.Totals{Matched: int64(len(stale)), Deleted: int64(len(stale))}
	_, err = (&closing{pass: p}).end(t.Context(), nil)
	w.must(err)
	saved, err := w.store.Run(t.Context(), run.ID)
	w.must(err)
	if saved.Progress != (crmstore.Progress{}) || saved.State != crmstore.RunDone {
		t.Errorf("in the end it is %s, with %+v", saved.State, saved.Progress)
	}
}
