package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// TestDaemons_ShareALargeRun lets three daemons, with the user that docs/OPERATING.md describes, carry a run that is large enough to
// be shared out, and looks at what they say and leave behind.
func TestDaemons_ShareALargeRun(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "redis.sock")
	storetest.StartServer(t, "--unixsocket", socket)
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: "unix://" + socket, User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // it was only read from in the end
	if _, err := store.CreateAccount(t.Context(), crmstore.Professional, killPartitions, record.Cause{}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	want := fillForKills(t, store)
	p := program{t: t, url: restrictedUser(t, "unix://"+socket)}
	file := filepath.Join(t.TempDir(), "stale.yaml")
	if err := os.WriteFile(file, []byte(killWorkflow+"schedule: {cron: '@daily'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("publish", file, "--yes")
	var daemons []*runningDaemon
	for range 3 {
		d := startDaemon(t, p)
		d.eventually("/readyz", http.StatusOK, "ready")
		daemons = append(daemons, d)
	}
	wantDaemons(t, store, 3, false)
	longAgo(t, store, "stale")
	for deadline := time.Now().Add(time.Minute); ; {
		runs, err := store.Runs(t.Context(), crmstore.RunFilter{State: crmstore.RunDone})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the run is not done after a minute")
		}
	}
	checkKilledRun(t, store, want)
	daemons[0].eventually("/metrics", http.StatusOK, `workflow_queue_tasks{queue="ranges",state="pending"}`)
	for _, d := range daemons {
		d.signal(syscall.SIGTERM)
		if code := d.ended(); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		for _, line := range d.log {
			if strings.Contains(line, `"msg":"slots missed"`) {
				continue // a year of them
			}
			if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
				t.Errorf("a daemon says: %s", line)
			}
		}
	}
	if out := p.must("doctor"); !strings.Contains(out, "everything agrees") {
		t.Errorf("doctor says:\n%s", out)
	}
	if left, err := store.Ranges(t.Context(), newestOf(t, store).ID); err != nil || len(left) > 0 {
		t.Errorf("%d ranges are left, %v", len(left), err)
	}
}

func newestOf(t *testing.T, store *crmstore.Store) crmstore.Run {
	t.Helper()
	runs, err := store.Runs(t.Context(), crmstore.RunFilter{Limit: 1})
	if err != nil || len(runs) == 0 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	return runs[0]
}

// longAgo makes a workflow one that was published more than a year ago, so that a slot of it is due.
func longAgo(t *testing.T, store *crmstore.Store, name string) {
	t.Helper()
	w, err := store.Workflow(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	w.PublishedAt = time.Now().AddDate(-1, -1, 0)
	w.SwitchedAt = w.PublishedAt
	if _, err := store.SaveWorkflow(t.Context(), w, nil, "", record.Cause{}, w.PublishedAt); err != nil {
		t.Fatal(err)
	}
}
