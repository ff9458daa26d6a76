package crmstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// spreadRun is a run that acts, with its work laid out in that many ranges.
func spreadRun(t *testing.T, d *desk, ranges int) crmstore.Run {
	t.Helper()
	run, err := d.CreateRun(t.Context(), crmstore.Run{
		ID: "w@1", Workflow: "w", Object: record.Contact, Revision: 1, State: crmstore.RunRunning, Stage: "act", StartedAt: noon, Fence: 1,
	})
	noError(t, err)
	noError(t, d.OpenRanges(t.Context(), run, ranges))
	return run
}

func wantRanges(t *testing.T, d *desk, want ...crmstore.Range) {
	t.Helper()
	got, err := d.Ranges(t.Context(), "w@1")
	noError(t, err)
	if want == nil {
		want = []crmstore.Range{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
}

func free(number int) crmstore.Range {
	return crmstore.Range{Number: number, Beat: time.UnixMilli(0).UTC()}
}

func TestRanges_OneOwnerAtATime(t *testing.T) {
	t.Parallel()
	for _, memory := range []bool{false, true} {
		d := newDesk(t, storetest.Options{Partitions: 4, Memory: memory})
		ctx := t.Context()
		run := spreadRun(t, d, 3)
		wantRanges(t, d, free(0), free(1), free(2))
		anna, err := d.TakeRange(ctx, run, free(1), "anna", noon)
		noError(t, err)
		if _, err := d.TakeRange(ctx, run, free(1), "ben", noon); !errors.Is(err, record.ErrConflict) {
			t.Errorf("ben takes what anna has: %v, want ErrConflict", err)
		}
		anna.Settled, anna.Beat = 7, noon.Add(time.Second)
		noError(t, d.KeepRange(ctx, run, anna))
		noError(t, d.OpenRanges(ctx, run, 3)) // again, by the carrier after trouble: changes nothing
		wantRanges(t, d, free(0), anna, free(2))

		ben, err := d.TakeRange(ctx, run, anna, "ben", noon.Add(time.Minute)) // anna was silent
		noError(t, err)
		if ben.Fence <= anna.Fence || ben.Settled != 0 {
			t.Errorf("ben has %+v after anna's %+v: want a higher number, and to count anew", ben, anna)
		}
		if err := d.KeepRange(ctx, run, anna); !errors.Is(err, record.ErrConflict) {
			t.Errorf("anna wakes up: %v, want ErrConflict", err)
		}
		ben.Done = true
		noError(t, d.KeepRange(ctx, run, ben))
		other := ben
		other.Done = false
		if _, err := d.TakeRange(ctx, run, other, "cleo", noon); !errors.Is(err, record.ErrConflict) {
			t.Errorf("cleo takes a range that was done since: %v, want ErrConflict", err)
		}
		again, err := d.TakeRange(ctx, run, ben, "cleo", noon) // whoever knows that it is done may open it again
		noError(t, err)
		wantRanges(t, d, free(0), again, free(2))
	}
}

// A run that ends or is stopped has no ranges, and nobody lays them out again who carried it until then.
func TestRanges_EndWithTheRun(t *testing.T) {
	t.Parallel()
	for _, state := range []crmstore.RunState{crmstore.RunDone, crmstore.RunHeld, crmstore.RunFailed, crmstore.RunCancelled} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, storetest.Options{Partitions: 4})
			ctx := t.Context()
			run := spreadRun(t, d, 2)
			mine, err := d.TakeRange(ctx, run, free(0), "anna", noon)
			noError(t, err)
			carrier := run
			run.State = state
			if state == crmstore.RunDone {
				run, err = d.SaveRun(ctx, run)
			} else {
				run, err = d.SealRun(ctx, run)
			}
			noError(t, err)
			wantRanges(t, d)
			if _, err := d.TakeRange(ctx, carrier, free(1), "anna", noon); !errors.Is(err, record.ErrConflict) {
				t.Errorf("taking another range: %v, want ErrConflict", err)
			}
			if err := d.KeepRange(ctx, carrier, mine); !errors.Is(err, record.ErrConflict) {
				t.Errorf("keeping a range: %v, want ErrConflict", err)
			}
			if err := d.OpenRanges(ctx, carrier, 2); !errors.Is(err, record.ErrFenced) {
				t.Errorf("laying out again: %v, want ErrFenced", err)
			}
			if state == crmstore.RunDone {
				return
			}
			run.State = crmstore.RunRunning
			run, err = d.TakeRun(ctx, run)
			noError(t, err)
			noError(t, d.OpenRanges(ctx, run, 1)) // whoever takes it up afterwards does
			wantRanges(t, d, free(0))
		})
	}
}
