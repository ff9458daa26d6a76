package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// A person watches a run that another process carries, frozen for a while, and sees its end.
func TestRuns_WatchedToTheEnd(t *testing.T) {
	t.Parallel()
	store := storetest.OpenWith(t, storetest.Options{Partitions: killPartitions})
	fillForKills(t, store)
	p := program{t: t, store: store}
	file := filepath.Join(t.TempDir(), "stale.yaml")
	if err := os.WriteFile(file, []byte(killWorkflow), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("publish", file, "--yes")
	frozen := p.frozen("run", "stale", "--now", killedNow)
	run := p.newest()
	if out := p.must("runs", run.ID); !strings.Contains(out, "carried by") {
		t.Errorf("a run that is under way:\n%s", out)
	}
	watching := p.command("runs", run.ID, "--watch")
	var out bytes.Buffer
	watching.Stdout, watching.Stderr = &out, &out
	if err := watching.Start(); err != nil {
		t.Fatal(err)
	}
	frozen.wake()
	if err := watching.Wait(); err != nil || !strings.Contains(out.String(), "run "+run.ID+": done") {
		t.Errorf("watched to its end: %v\n%s", err, out.String())
	}
}
