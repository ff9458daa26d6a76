package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestEachRange(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 31, 32, 33, 200} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			times := make([]int, partitions)
			err := eachRange(t.Context(), partitions, rangePartitions, func() func(ctx context.Context, from, to int) error {
				return func(_ context.Context, from, to int) error {
					mu.Lock()
					defer mu.Unlock()
					for p := from; p < to; p++ {
						times[p]++
					}
					return nil
				}
			})
			if want := slices.Repeat([]int{1}, partitions); err != nil || !slices.Equal(times, want) {
				t.Errorf("%v; times that each partition was done: %v", err, times)
			}
		})
	}
}

func TestEachRange_FirstErrorEndsIt(t *testing.T) {
	t.Parallel()
	trouble := errors.New("trouble")
	var mu sync.Mutex
	begun := 0
	err := eachRange(t.Context(), 100*rangePartitions, rangePartitions, func() func(ctx context.Context, from, to int) error {
		return func(ctx context.Context, from, _ int) error {
			mu.Lock()
			begun++
			mu.Unlock()
			if from == 3*rangePartitions {
				return trouble
			}
			if from > 3*rangePartitions { // the other worker's, which sees its context end
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
	})
	if !errors.Is(err, trouble) || begun > 5 {
		t.Errorf("%v after %d ranges", err, begun)
	}
}

// An account with many ranges: two are acted on, and later restored, at a time.
func TestRun_ManyRanges(t *testing.T) {
	t.Parallel()
	w := worldOn(t, storetest.OpenWith(t, storetest.Options{Partitions: 5*rangePartitions + 7}))
	stale := w.leads(900)
	w.publish(file())
	var acted, undone []int64
	w.runner.Progress = func(stage string, done, _ int64) {
		switch stage {
		case stageAct:
			acted = append(acted, done)
		case "undo":
			undone = append(undone, done)
		}
	}
	run, err := w.runner.Run(t.Context(), RunRequest{Name: "stale", Now: testNow})
	w.must(err)
	if run.State != crmstore.RunDone || run.Deleted != int64(len(stale)) {
		t.Errorf("the run is %s and deleted %d, want %d", run.State, run.Deleted, len(stale))
	}
	// Somebody needs one of the addresses meanwhile, and restores another contact by hand.
	w.write(crmstore.Upsert{ID: 5000, Set: []record.Assignment{w.set("email", fmt.Sprintf("c%d@example.com", stale[0]))}})
	_, err = w.store.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Contact, At: testNow}, stale[1:2])
	w.must(err)

	report, err := w.runner.Undo(t.Context(), run.ID, testNow)
	w.must(err)
	const partitions = 5*rangePartitions + 7
	want := []Unrestored{{ID: stale[0], Reason: UndoEmailTaken, Holder: 5000}, {ID: stale[1], Reason: UndoLive}}
	slices.SortFunc(want, func(a, b Unrestored) int { return a.ID.Partition(partitions) - b.ID.Partition(partitions) })
	if diff := cmp.Diff(want, report.NotRestored); diff != "" || report.Restored != int64(len(stale)-2) {
		t.Errorf("restored %d of %d; the others (-want +got):\n%s", report.Restored, len(stale), diff)
	}
	for name, reported := range map[string][]int64{"act": acted, "undo": undone} {
		if len(reported) == 0 || !slices.IsSorted(reported) || reported[len(reported)-1] != int64(len(stale)) {
			t.Errorf("progress of %s does not grow to %d: %v", name, len(stale), reported)
		}
	}
	w.must(w.store.Doctor(t.Context(), record.Contact, false, func(p crmstore.Problem) error { return fmt.Errorf("the doctor finds %+v", p) }))
}
