package crmstore_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func newWorkflow(name string) (crmstore.Workflow, *crmstore.Revision) {
	w := crmstore.Workflow{
		Name: name, Object: record.Contact, On: true, Revision: 1,
		PublishedAt: storetest.Time, PublishedBy: storetest.User, SwitchedAt: storetest.Time,
	}
	return w, &crmstore.Revision{Number: 1, Source: []byte("workflow: " + name + "\n\xff"), At: storetest.Time, By: storetest.User}
}

func TestWorkflows(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		s := storetest.OpenWith(t, o)
		if _, err := s.Workflow(ctx, "b"); !errors.Is(err, record.ErrNotFound) {
			t.Fatalf("Workflow before it is there: %v, want ErrNotFound", err)
		}
		w, rev := newWorkflow("b")
		saved, err := s.SaveWorkflow(ctx, w, rev, "publish", someone, storetest.Time)
		if err != nil {
			t.Fatal(err)
		}
		w.Version = 1
		if diff := cmp.Diff(w, saved); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
		if read, err := s.Workflow(ctx, "b"); err != nil || !cmp.Equal(read, saved) {
			t.Errorf("read %+v, %v; want what was saved", read, err)
		}
		if got, err := s.Revision(ctx, "b", 1); err != nil || !cmp.Equal(got, *rev) {
			t.Errorf("revision %+v, %v; want %+v", got, err, *rev)
		}
		if _, err := s.Revision(ctx, "b", 2); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("Revision that is not there: %v, want ErrNotFound", err)
		}

		off := saved
		off.On = false
		if _, err := s.SaveWorkflow(ctx, off, nil, "switch-off", someone, storetest.Time); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SaveWorkflow(ctx, saved, nil, "switch-on", someone, storetest.Time); !errors.Is(err, record.ErrConflict) {
			t.Errorf("saving an old version: %v, want ErrConflict", err)
		}
		if _, err := s.SaveWorkflow(ctx, w, nil, "publish", someone, storetest.Time); !errors.Is(err, record.ErrConflict) {
			t.Errorf("saving version %d again: %v, want ErrConflict", w.Version, err)
		}
		now, err := s.Workflow(ctx, "b")
		if err != nil || now.On || now.Version != 2 {
			t.Errorf("after the conflicts: %+v, %v; want it off at version 2", now, err)
		}
		now.On = true
		if _, err := s.SaveWorkflow(ctx, now, rev, "publish", someone, storetest.Time); !errors.Is(err, record.ErrConflict) {
			t.Errorf("a revision whose number is taken: %v, want ErrConflict", err)
		}

		first, _ := newWorkflow("a")
		if _, err := s.SaveWorkflow(ctx, first, nil, "publish", someone, storetest.Time); err != nil {
			t.Fatal(err)
		}
		all, err := s.Workflows(ctx)
		if err != nil || len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" {
			t.Errorf("Workflows: %+v, %v; want a and b", all, err)
		}
	})
}

func TestSaveWorkflowRefuses(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	w, rev := newWorkflow("ok")
	rev.Number = 2
	if _, err := s.SaveWorkflow(t.Context(), w, rev, "publish", someone, storetest.Time); err == nil {
		t.Error("a revision with another number than the workflow's is saved")
	}
	w.Name = "Not a name"
	if _, err := s.SaveWorkflow(t.Context(), w, nil, "publish", someone, storetest.Time); err == nil {
		t.Error("a bad name is saved")
	}
}

// Of many that publish at once exactly one wins, and its revision is the one that is there.
func TestSaveWorkflowAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := storetest.Open(t)
	var wins atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		other := storetest.Again(t, s)
		w, rev := newWorkflow("race")
		w.PublishedBy = string(rune('a' + i))
		rev.By = w.PublishedBy
		wg.Go(func() {
			switch _, err := other.SaveWorkflow(ctx, w, rev, "publish", someone, storetest.Time); {
			case err == nil:
				wins.Add(1)
			case !errors.Is(err, record.ErrConflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d of 8 won, want 1", wins.Load())
	}
	w, err := s.Workflow(ctx, "race")
	if err != nil {
		t.Fatal(err)
	}
	if rev, err := s.Revision(ctx, "race", 1); err != nil || rev.By != w.PublishedBy {
		t.Errorf("workflow by %q, revision by %q, %v", w.PublishedBy, rev.By, err)
	}
}

func newRun(workflow, id string, minute int) crmstore.Run {
	at := storetest.Time.Add(time.Duration(minute) * time.Minute)
	return crmstore.Run{
		ID: workflow + "@" + id, Workflow: workflow, Object: record.Contact, Revision: 3, Now: at,
		State: crmstore.RunRunning, Stage: "evaluate", StartedBy: "anna", StartedAt: at, Owner: "p1", Beat: at, Fence: 1,
		Totals: crmstore.Totals{Evaluated: 1 << 40},
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		s := storetest.OpenWith(t, o)
		first, err := s.CreateRun(ctx, newRun("w", "1", 1))
		if err != nil {
			t.Fatal(err)
		}
		want := newRun("w", "1", 1)
		want.Version = 1
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
		if read, err := s.Run(ctx, first.ID); err != nil || !cmp.Equal(read, first) {
			t.Errorf("read %+v, %v; want what was created", read, err)
		}
		var active *record.ActiveRunError
		if _, err := s.CreateRun(ctx, newRun("w", "2", 2)); !errors.As(err, &active) || active.Run != first.ID {
			t.Errorf("a second run beside the first: %v, want ActiveRunError of %s", err, first.ID)
		}
		held := first
		held.State = crmstore.RunHeld
		if held, err = s.SaveRun(ctx, held); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateRun(ctx, newRun("w", "2", 2)); !errors.As(err, &active) {
			t.Errorf("a second run beside a held one: %v, want ActiveRunError", err)
		}
		if _, err := s.SaveRun(ctx, first); !errors.Is(err, record.ErrConflict) {
			t.Errorf("saving an old version: %v, want ErrConflict", err)
		}
		held.State = crmstore.RunFailed
		failed, err := s.SaveRun(ctx, held)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateRun(ctx, newRun("w", "1", 1)); !errors.Is(err, record.ErrExists) {
			t.Errorf("a taken id: %v, want ErrExists", err)
		}
		second, err := s.CreateRun(ctx, newRun("w", "2", 2))
		if err != nil {
			t.Fatal(err)
		}
		failed.State = crmstore.RunRunning
		if _, err := s.SaveRun(ctx, failed); !errors.As(err, &active) || active.Run != second.ID {
			t.Errorf("taking up a failed run beside another: %v, want ActiveRunError of %s", err, second.ID)
		}
		second.State = crmstore.RunDone
		if second, err = s.SaveRun(ctx, second); err != nil {
			t.Fatal(err)
		}
		if failed, err = s.SaveRun(ctx, failed); err != nil {
			t.Errorf("taking up a failed run: %v", err)
		}
		second.Undone = 7 // an undo of an older run leaves the active one alone
		if _, err := s.SaveRun(ctx, second); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateRun(ctx, newRun("w", "3", 3)); !errors.As(err, &active) || active.Run != failed.ID {
			t.Errorf("a third run: %v, want ActiveRunError of %s", err, failed.ID)
		}
		if _, err := s.Run(ctx, "nix"); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("Run that is not there: %v, want ErrNotFound", err)
		}
	})
}

func TestRunsNewestFirst(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := storetest.Open(t)
	const n = 140 // more than one round trip
	for i := range n {
		workflow := []string{"w", "v"}[i%2]
		r, err := s.CreateRun(ctx, newRun(workflow, time.Duration(i).String(), i))
		if err != nil {
			t.Fatal(err)
		}
		if r.State = crmstore.RunDone; i%70 == 1 {
			r.State = crmstore.RunCancelled
		}
		if _, err := s.SaveRun(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		filter crmstore.RunFilter
		want   int
		newest int
	}{
		{crmstore.RunFilter{}, n, 139},
		{crmstore.RunFilter{Workflow: "w"}, n / 2, 138},
		{crmstore.RunFilter{Limit: 3}, 3, 139},
		{crmstore.RunFilter{State: crmstore.RunCancelled}, 2, 71},
		{crmstore.RunFilter{State: crmstore.RunCancelled, Limit: 1}, 1, 71},
		{crmstore.RunFilter{State: crmstore.RunHeld}, 0, 0},
		{crmstore.RunFilter{Workflow: "nix"}, 0, 0},
	} {
		runs, err := s.Runs(ctx, c.filter)
		if err != nil || len(runs) != c.want {
			t.Errorf("Runs(%+v): %d runs, %v; want %d", c.filter, len(runs), err, c.want)
			continue
		}
		for i := range runs {
			if i > 0 && !runs[i].StartedAt.Before(runs[i-1].StartedAt) {
				t.Errorf("Runs(%+v): run %d is not older than the one before", c.filter, i)
			}
		}
		if c.want > 0 && !runs[0].StartedAt.Equal(newRun("w", "", c.newest).StartedAt) {
			t.Errorf("Runs(%+v): the newest is %s", c.filter, runs[0].ID)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		o.Partitions = 300 // more than one pipeline
		s := storetest.OpenWith(t, o)
		in := []crmstore.Matches{
			{Partition: 0, IDs: []record.ID{1, record.MaxID}},
			{Partition: 2, IDs: []record.ID{7}},
			{Partition: 299, IDs: []record.ID{9, 8}},
		}
		check := func(from, to int, want ...crmstore.Matches) {
			t.Helper()
			got, err := s.Matches(ctx, record.Contact, "w@1", from, to)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("matches %d to %d (-want +got):\n%s", from, to, diff)
			}
			var counts []crmstore.MatchCounts
			for _, m := range want {
				counts = append(counts, crmstore.MatchCounts{
					Partition: m.Partition, IDs: int64(len(m.IDs)), Done: m.Done, Deleted: m.Deleted, Changed: m.Changed, Failed: m.Failed,
				})
			}
			counted, err := s.CountMatches(ctx, record.Contact, "w@1", from, to)
			if diff := cmp.Diff(counts, counted, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("counts of matches %d to %d: %v (-want +got):\n%s", from, to, err, diff)
			}
		}
		save := func(m ...crmstore.Matches) {
			t.Helper()
			if err := s.SaveMatches(ctx, crmstore.RunMatches{Object: record.Contact, Run: "w@1"}, m); err != nil {
				t.Fatal(err)
			}
		}
		check(0, 300)
		save(in...)
		check(0, 300, in...)
		check(1, 299, in[1])
		done := crmstore.Matches{Partition: 2, IDs: []record.ID{7}, Done: true, Deleted: 1, Changed: 2, Failed: 3}
		if err := s.FinishMatches(ctx, crmstore.RunMatches{Object: record.Contact, Run: "w@1"}, []crmstore.Matches{{Partition: 2, Deleted: 1, Changed: 2, Failed: 3}}); err != nil {
			t.Fatal(err)
		}
		check(0, 300, in[0], done, in[2])
		save(crmstore.Matches{Partition: 0}, crmstore.Matches{Partition: 2, IDs: []record.ID{5}})
		check(0, 300, crmstore.Matches{Partition: 2, IDs: []record.ID{5}}, in[2])
		if other, err := s.Matches(ctx, record.Contact, "w@2", 0, 300); err != nil || len(other) != 0 {
			t.Errorf("another run has %d matches, %v", len(other), err)
		}
	})
}
