package crmstore_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// Whoever took a run before it was sealed does nothing more with it; whoever takes it afterwards may do all.
func TestSealRun(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 4})
	ctx := t.Context()
	var batch []crmstore.Upsert
	for id := record.ID(1); id <= 40; id++ {
		batch = append(batch, d.up(id, "firstname", "Ann"))
	}
	d.write(crmstore.UpsertAny, noon, batch...)
	run, err := d.CreateRun(ctx, crmstore.Run{
		ID: "w@1", Workflow: "w", Object: record.Contact, Revision: 1, State: crmstore.RunRunning, Stage: "act", StartedAt: noon, Fence: 1,
	})
	noError(t, err)
	targets := map[int][]crmstore.Target{}
	noError(t, d.ReadAll(ctx, record.Contact, 0, 4, func(p int, recs []*record.Record) error {
		for _, r := range recs {
			targets[p] = append(targets[p], crmstore.Target{ID: r.ID, Slot: r.Slot, Version: r.Version})
		}
		return nil
	}))
	var matches []crmstore.Matches
	for p, list := range targets {
		m := crmstore.Matches{Partition: p}
		for _, target := range list {
			m.IDs = append(m.IDs, target.ID)
		}
		matches = append(matches, m)
	}
	nth := 0 // target of each partition, another one each time
	by := func(fence uint64) error {
		var batches []crmstore.Archive
		for p, list := range targets {
			batches = append(batches, crmstore.Archive{Partition: p, Targets: list[nth : nth+1]})
		}
		nth++
		mine := crmstore.RunMatches{Object: record.Contact, Run: run.ID, Fence: fence}
		order := crmstore.ArchiveOrder{Object: record.Contact, Cause: record.Cause{Run: run.ID, Workflow: "w"}, At: noon, Enroll: "w", Fence: fence}
		saveErr := d.SaveMatches(ctx, mine, matches)
		_, archiveErr := d.Archive(ctx, order, batches)
		finishErr := d.FinishMatches(ctx, mine, matches)
		for _, err := range []error{archiveErr, finishErr} {
			if errors.Is(err, record.ErrFenced) != errors.Is(saveErr, record.ErrFenced) {
				t.Errorf("fence %d: saving %v, deleting %v, finishing %v: want all refused or none", fence, saveErr, archiveErr, finishErr)
			}
		}
		return saveErr
	}
	noError(t, by(1))
	stale := run
	run, err = d.TakeRun(ctx, run) // by a process that then freezes
	noError(t, err)
	taken := run.Fence
	run.State = crmstore.RunHeld
	run, err = d.SealRun(ctx, run)
	noError(t, err)
	before := contents(t, d)
	for _, fence := range []uint64{1, taken} {
		if err := by(fence); !errors.Is(err, record.ErrFenced) {
			t.Errorf("fence %d after the seal: %v, want ErrFenced", fence, err)
		}
	}
	if diff := cmp.Diff(before, contents(t, d)); diff != "" {
		t.Errorf("changed after the seal:\n%s", diff)
	}
	if _, err := d.SealRun(ctx, stale); !errors.Is(err, record.ErrConflict) {
		t.Errorf("sealed at an old version: %v, want ErrConflict", err)
	}
	run, err = d.TakeRun(ctx, run)
	noError(t, err)
	next := run.Fence
	if next <= taken+1 {
		t.Errorf("number after the seal: %d, want above the seal's own, which is above %d", next, taken)
	}
	noError(t, by(next))
}

// Of several who take a run at once one gets it. The losers take no number: one above the winner's would keep the winner
// from laying its work out, and the run would go on with nobody.
func TestTakeRun_LosersTakeNoNumber(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 4})
	ctx := t.Context()
	run, err := d.CreateRun(ctx, crmstore.Run{
		ID: "w@1", Workflow: "w", Object: record.Contact, Revision: 1, State: crmstore.RunRunning, Stage: "act", StartedAt: noon, Fence: 1,
	})
	noError(t, err)
	for range 20 {
		taken := make([]crmstore.Run, 8)
		var together sync.WaitGroup
		for i := range taken {
			together.Go(func() {
				if got, err := d.TakeRun(ctx, run); err == nil {
					taken[i] = got
				} else if !errors.Is(err, record.ErrConflict) {
					t.Errorf("take: %v, want ErrConflict", err)
				}
			})
		}
		together.Wait()
		taken = slices.DeleteFunc(taken, func(r crmstore.Run) bool { return r.ID == "" })
		if len(taken) != 1 || taken[0].Fence <= run.Fence {
			t.Fatalf("%d took the run at fence %d: %+v; want one, with a number above", len(taken), run.Fence, taken)
		}
		run = taken[0]
		noError(t, d.OpenRanges(ctx, run, 2))
		_, err := d.TakeRange(ctx, run, crmstore.Range{Number: 0}, "anna", noon)
		noError(t, err)
		noError(t, crmstore.Raw(d.Store).Del(ctx, crmstore.KeyRanges(d.Store, run.ID)).Err())
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// contents are the matches of run w@1 and how many contacts are in the bin.
func contents(t *testing.T, d *desk) (all struct {
	Matches []crmstore.Matches
	Counts  crmstore.Counts
},
) {
	t.Helper()
	var err error
	all.Matches, err = d.Matches(t.Context(), record.Contact, "w@1", 0, 4)
	noError(t, err)
	all.Counts, err = d.Count(t.Context(), record.Contact)
	noError(t, err)
	return all
}
