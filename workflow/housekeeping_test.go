package workflow

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// After 90 days housekeeping removes what a run deleted, and an undo says how much can no longer be restored.
func TestHousekeeper_PurgesAndUndoTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(6) // 1, 2, 4, 5 are stale
	w.publish(file())
	run := w.run(crmstore.RunDone)
	restored := []record.ID{2, 5}
	_, err := w.store.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Contact, At: testNow}, restored)
	w.must(err)

	h := &Housekeeper{Store: w.store, Metrics: w.metrics}
	w.must(h.Round(t.Context(), time.Now().Add(crmstore.Retention-time.Minute)))
	if n := w.counts(); n.Archived != 2 {
		t.Fatalf("a minute before 90 days: %+v, want 2 in the bin", n)
	}
	w.must(h.Round(t.Context(), time.Now().Add(crmstore.Retention)))
	if n := w.counts(); n != (crmstore.Counts{Live: 4}) {
		t.Fatalf("after 90 days: %+v, want 4 live and none in the bin", n)
	}
	w.wantCount("contacts purged", w.metrics.purges.WithLabelValues("contact"), 2)
	w.wantCount("deals purged", w.metrics.purges.WithLabelValues("deal"), 0)

	report, err := w.runner.Undo(t.Context(), run.ID, testNow)
	w.must(err)
	slices.SortFunc(report.NotRestored, func(a, b Unrestored) int { return int(a.ID) - int(b.ID) })
	want := []Unrestored{{ID: 1, Reason: UndoGone}, {ID: 2, Reason: UndoLive}, {ID: 4, Reason: UndoGone}, {ID: 5, Reason: UndoLive}}
	if d := cmp.Diff(want, report.NotRestored); d != "" || report.Gone != 2 {
		t.Errorf("%d are gone, want 2; not restored (-want +got):\n%s", report.Gone, d)
	}
	w.wantClean()
}

// Columns that grew in steps are compacted once a day.
func TestHousekeeper_Compacts(t *testing.T) {
	t.Parallel()
	url := "redis://" + storetest.StartServer(t)
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: url, Account: "compact", User: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	_, err = store.CreateAccount(t.Context(), crmstore.Professional, 1, record.Cause{}, testPublish)
	if err != nil {
		t.Fatal(err)
	}
	w := worldOn(t, store)
	made := record.ID(0)
	grow := func(batches int) int64 {
		for range batches {
			var batch []crmstore.Upsert
			for range 100 {
				made++
				batch = append(batch, w.lead(made, 400))
			}
			w.write(batch...)
		}
		return storetest.TextBytes(t, url)
	}
	h := &Housekeeper{Store: store}
	round := func(at time.Time) int64 {
		w.must(h.Round(t.Context(), at))
		return storetest.TextBytes(t, url)
	}
	if before, after := grow(11), round(testNow); after >= before*9/10 {
		t.Errorf("texts took %d bytes, and after the first round %d", before, after)
	}
	before := grow(6)
	if after := round(testNow.Add(time.Hour)); after != before {
		t.Errorf("texts took %d bytes, and an hour later %d", before, after)
	}
	if after := round(testNow.Add(compactEvery)); after >= before*95/100 {
		t.Errorf("texts took %d bytes, and a day later %d", before, after)
	}
	w.wantClean()
}

// Housekeeping that finishes a permanent deletion says when the append-only file still holds the contact.
func TestHousekeeper_FileStillHoldsTheContact(t *testing.T) {
	t.Parallel()
	for outcome, user := range map[crmstore.FileRewrite]string{crmstore.FileRewriting: "", crmstore.FileForbidden: "daemon:secret@"} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			at := storetest.StartServer(t, "--appendonly", "yes")
			server := storetest.Client(t, at)
			if err := server.Do(t.Context(), "ACL", "SETUSER", "daemon", "on", ">secret", "~*", "&*", "+@all", "-bgrewriteaof").Err(); err != nil {
				t.Fatal(err)
			}
			store, err := crmstore.Open(t.Context(), crmstore.Config{URL: "redis://" + user + at, User: storetest.User})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			if _, err := store.CreateAccount(t.Context(), crmstore.Professional, 16, record.Cause{}, testPublish); err != nil {
				t.Fatal(err)
			}
			w := worldOn(t, store)
			w.leads(1)
			// The process that was told to delete contact 1 died when it had saved what it was about to do.
			w.must(server.HSet(t.Context(), "crm:{default}:erasing", "1", `{"run":"permanent@1","at":1,"actor":"`+storetest.User+`"}`).Err())
			var log bytes.Buffer
			h := &Housekeeper{Store: store, Metrics: w.metrics, Log: slog.New(slog.NewTextHandler(&log, nil))}
			w.must(h.Round(t.Context(), testNow))
			if n := w.counts(); n != (crmstore.Counts{}) {
				t.Fatalf("%+v, want the deletion finished", n)
			}
			said := strings.Contains(log.String(), "append-only file still holds") && strings.Contains(log.String(), "+bgrewriteaof") && strings.Contains(log.String(), "redis-cli BGREWRITEAOF")
			if said != (outcome == crmstore.FileForbidden) {
				t.Errorf("log:\n%s", &log)
			}
			for _, o := range []crmstore.FileRewrite{crmstore.FileRewriting, crmstore.FileForbidden, crmstore.FileFailed} {
				want := 0.0
				if o == outcome {
					want = 1
				}
				w.wantCount(string(o), w.metrics.files.WithLabelValues(string(o)), want)
			}
		})
	}
}

// The loop does a round at once, and ends with its context.
func TestHousekeeper_Run(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leads(3)
	recs, err := w.store.Get(t.Context(), record.Contact, []record.ID{1})
	w.must(err)
	_, err = w.store.Archive(t.Context(), crmstore.ArchiveOrder{Object: record.Contact, At: time.Now().Add(-crmstore.Retention)},
		[]crmstore.Archive{{Partition: record.ID(1).Partition(16), Targets: []crmstore.Target{{ID: 1, Version: recs[0].Version}}}})
	w.must(err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- (&Housekeeper{Store: w.store, Metrics: w.metrics}).Run(ctx) }()
	for testutil.ToFloat64(w.metrics.purges.WithLabelValues("contact")) == 0 {
		if len(ended) > 0 {
			break
		}
		runtime.Gosched() // until the first round is done
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := w.counts(); n != (crmstore.Counts{Live: 2}) {
		t.Errorf("%+v, want 2 live and none in the bin", n)
	}
}

func (w *world) counts() crmstore.Counts {
	w.Helper()
	n, err := w.store.Count(w.Context(), record.Contact)
	w.must(err)
	return n
}

// History is trimmed by the account's own retention, and not again within the hour.
func TestHousekeeper_TrimsOnceAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.store.SetSetting(w.Context(), crmstore.SettingAuditDays, "30", record.Cause{}, testNow)
	w.must(err)
	events := func() (n int) {
		w.must(w.store.Audit(w.Context(), crmstore.AuditFilter{}, func(record.Event) error { n++; return nil }))
		return n
	}
	h := &Housekeeper{Store: w.store, Metrics: w.metrics}
	day := 24 * time.Hour
	now := time.Now().Add(29 * day)
	w.must(h.Round(w.Context(), now))
	if events() == 0 {
		t.Fatal("events of 29 days ago are gone")
	}
	h.trimmed = now.Add(2 * day) // as if a round had just been done
	w.must(h.Round(w.Context(), now.Add(2*day+trimEvery-time.Second)))
	if events() == 0 {
		t.Error("trimmed again within the hour")
	}
	w.must(h.Round(w.Context(), now.Add(2*day+trimEvery)))
	if n := events(); n != 0 {
		t.Errorf("%d events of more than 30 days ago are left", n)
	}
	if n := testutil.ToFloat64(w.metrics.history.WithLabelValues("events")); n == 0 {
		t.Error("nothing was counted")
	}
}
