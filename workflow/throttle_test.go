package workflow

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// limited is a file whose limits slow it down.
func limited(perSecond string) string {
	return file("limits:\n  max_deletions: 100000\n  max_percent: 100\n  max_per_second: " + perSecond)
}

func (w *world) setDeletions(perSecond string) {
	w.Helper()
	_, err := w.store.SetSetting(context.Background(), crmstore.SettingDeletions, perSecond, record.Cause{Actor: "test"}, testPublish)
	w.must(err)
}

func (w *world) paused(reason string) float64 {
	return testutil.ToFloat64(w.metrics.paused.WithLabelValues("stale", reason))
}

// wantPaced checks that so many records at that rate took their time: the first half second's worth is free.
func wantPaced(t *testing.T, began time.Time, records, perSecond int) {
	t.Helper()
	least := time.Duration(records-perSecond/2)*time.Second/time.Duration(perSecond) - 200*time.Millisecond
	if took := time.Since(began); took < least {
		t.Errorf("%d deletions at %d per second took %s, want %s at least", records, perSecond, took, least)
	}
}

func TestRun_StaysBelowItsLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, account string
		perSecond     int
	}{
		"the workflow's":           {limited("50"), "", 50},
		"the account's":            {file(), "50", 50},
		"the lower of both":        {limited("400"), "50", 50},
		"the lower, other way":     {limited("50"), "400", 50},
		"one that is hardly noted": {limited("1000000"), "1000000", 1_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stale := w.leads(150) // 100 of them
			w.publish(c.file)
			w.setDeletions(c.account)
			began := time.Now()
			run := w.run(crmstore.RunDone)
			wantPaced(t, began, len(stale), c.perSecond)
			w.wantDeleted(run, stale)
			w.wantClean()
			if paused := w.paused(pausedRate); (paused > 0) != (c.perSecond < 1000) {
				t.Errorf("paused for %v s", paused)
			}
			w.wantCount("slow", w.metrics.paused.WithLabelValues("stale", pausedSlow), 0)
		})
	}
}

// A deletion of many by hand has the account's limit too, and no other.
func TestDelete_ByHandStaysBelowTheAccountsLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stale := w.leads(150)
	w.setDeletions("50")
	run, err := w.runner.PrepareDelete(t.Context(), DeleteRequest{Object: record.Contact, IDs: stale, Now: testNow})
	w.must(err)
	began := time.Now()
	run, err = w.runner.Confirm(t.Context(), run.ID, int64(len(stale)), testNow)
	w.must(err)
	wantPaced(t, began, len(stale), 50)
	paced := time.Since(began)
	w.wantState(run, crmstore.RunDone)
	w.wantDeleted(run, stale)
	began = time.Now()
	_, err = w.runner.Undo(t.Context(), run.ID, testNow)
	w.must(err)
	if took := time.Since(began); took > paced/2 {
		t.Errorf("undo took %s, the deletion with its limit %s: undo has no limit", took, paced)
	}
}

// Two processes with ranges of one run have one limit together.
func TestSharing_ProcessesShareALimit(t *testing.T) {
	t.Parallel()
	w, stale := sharingWorld(t)
	perSecond := len(stale) / 3
	w.publish(limited(strconv.Itoa(perSecond)))
	helper := w.other(t, "b:1:1")
	var helping sync.WaitGroup
	w.runner.Helpers = called(func(_ context.Context, run string, _ int) error {
		for range 2 {
			helping.Go(func() {
				if err := helper.Help(t.Context(), run); err != nil {
					t.Error(err)
				}
			})
		}
		return nil
	})
	began := time.Now()
	run, err := w.runner.Run(t.Context(), w.request())
	helping.Wait()
	wantPaced(t, began, len(stale), perSecond)
	w.wantShared(run, err, stale)
}

// While a run waits for its turn, it can be cancelled, switched off, taken over and interrupted, within about a second.
func TestRun_IsStoppedWhileItWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stop func(w *world, run string, interrupt func())
		want func(run crmstore.Run, err error) bool
	}{
		"cancelled": {
			func(w *world, run string, _ func()) {
				_, err := w.runner.Cancel(t.Context(), run, testNow)
				w.must(err)
			},
			func(run crmstore.Run, err error) bool { return run.State == crmstore.RunCancelled },
		},
		"switched off": {
			func(w *world, _ string, _ func()) {
				_, err := Switch(t.Context(), w.store, "stale", false, testNow)
				w.must(err)
			},
			func(run crmstore.Run, err error) bool { return run.State == crmstore.RunHeld },
		},
		"taken over": {
			func(w *world, id string, _ func()) {
				run, err := w.store.Run(t.Context(), id)
				w.must(err)
				_, err = (&Runner{Store: w.store, Owner: nobody()}).take(t.Context(), run, func(*crmstore.Run) {})
				w.must(err)
			},
			func(run crmstore.Run, err error) bool {
				return errors.As(err, new(*lostError)) || run.Owner == nobody()
			},
		},
		"interrupted": {
			func(_ *world, _ string, interrupt func()) { interrupt() },
			func(run crmstore.Run, err error) bool { return errors.Is(err, context.Canceled) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.leads(150)
			w.publish(limited("1")) // 100 seconds
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			var first sync.Once
			var stopping sync.WaitGroup
			w.runner.Progress = func(stage string, done, _ int64) {
				if stage != stageAct || done == 0 {
					return
				}
				first.Do(func() {
					stopping.Go(func() {
						<-time.After(300 * time.Millisecond) // it waits by now
						active, err := w.store.ActiveRuns(t.Context())
						w.must(err)
						c.stop(w, active[0].ID, interrupt)
					})
				})
			}
			run, err := w.runner.Run(ctx, w.request())
			stopping.Wait()
			if !c.want(run, err) {
				t.Errorf("run %+v, %v", run, err)
			}
			if n := len(w.deletedBy(run.ID)); n == 0 || n > 10 {
				t.Errorf("%d deleted, want a few", n)
			}
		})
	}
}

// command gives a server one command in passing.
func command(t *testing.T, server, line string) {
	t.Helper()
	conn, err := net.Dial("tcp", server)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 64)); err != nil {
		t.Error(err)
	}
}

// A server that is slow for a while makes deletions pause, once in the log, and then they go on.
func TestRun_PausesWhileTheStoreIsSlow(t *testing.T) {
	t.Parallel()
	w, c := worldOverCable(t)
	stale := w.leads(crowd)
	w.publish(file())
	var log bytes.Buffer
	w.runner.Log, w.runner.PauseAbove = slog.New(slog.NewTextHandler(&log, nil)), 200*time.Millisecond
	var first sync.Once
	var slowing sync.WaitGroup
	w.runner.Progress = func(stage string, done, _ int64) {
		if stage == stageAct && done > 0 {
			first.Do(func() {
				slowing.Go(func() {
					for i := 0; i < 20 && w.paused(pausedSlow) == 0; i++ {
						command(t, c.server, "CLIENT PAUSE 400") // answered when the one before is over
					}
				})
			})
		}
	}
	run := w.run(crmstore.RunDone)
	slowing.Wait()
	w.wantDeleted(run, stale)
	if w.paused(pausedSlow) == 0 {
		t.Error("no pause was counted")
	}
	if n := strings.Count(log.String(), "store is slow; deletions pause"); n != 1 {
		t.Errorf("the log says %d times that the store is slow:\n%s", n, log.String())
	}
	w.wantCount("rate", w.metrics.paused.WithLabelValues("stale", pausedRate), 0)
}

func TestRun_NeverPausesWhenTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(crowd)
	w.publish(file())
	w.runner.PauseAbove = -1
	w.run(crmstore.RunDone)
	w.wantCount("slow", w.metrics.paused.WithLabelValues("stale", pausedSlow), 0)
}

// A store that stays slow lets a small round through after a while, so that every run ends.
func TestRun_EndsOnAStoreThatStaysSlow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for ten seconds")
	}
	w := worldOn(t, storetest.OpenWith(t, storetest.Options{Partitions: 1}))
	stale := w.leads(60)
	w.publish(file())
	w.runner.PauseAbove = 1 // nanosecond
	began := time.Now()
	run := w.run(crmstore.RunDone)
	w.wantDeleted(run, stale)
	if took := time.Since(began); took < slowMost {
		t.Errorf("it waited %s, want %s", took, slowMost)
	}
}

// Rounds get half as large while the store is slow, and grow again.
func TestThrottle_RoundsShrinkAndGrow(t *testing.T) {
	t.Parallel()
	throttle := &throttle{pass: &pass{r: &Runner{}}}
	got, low := []int{}, roundRecords>>mostHalved
	if low != batchRecords {
		t.Errorf("the smallest round takes %d, want a batch", low)
	}
	for _, ms := range []int{0, 250, 251, 0, 0, 300, 300, 300, 300, 300, 300, 300, 0, 0, 0, 0, 0, 0} {
		throttle.answered(t.Context(), time.Duration(ms)*time.Millisecond)
		got = append(got, throttle.roundSize())
	}
	want := []int{2048, 2048, 1024, 2048, 2048, 1024, 512, 256, 128, 64, 64, 64, 128, 256, 512, 1024, 2048, 2048}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
