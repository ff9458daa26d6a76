package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// TestRun_FrozenWhileItIsStopped freezes the process that carries a run in the middle of its deletions, stops the run from
// another process, and lets the first one go on: from when the command returned nothing more is deleted. Afterwards the
// rest can be deleted all the same.
func TestRun_FrozenWhileItIsStopped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		stop  func(p program, run crmstore.Run)
		state crmstore.RunState
		goOn  func(p program, run crmstore.Run)
	}{
		{
			"off", func(p program, _ crmstore.Run) { p.must("publish", "--off", "stale", "--yes") }, crmstore.RunHeld,
			func(p program, run crmstore.Run) {
				p.must("publish", "stale", "--yes")
				p.must("approve", run.ID, "--confirm", strconv.FormatInt(run.Matched-run.Deleted, 10))
			},
		},
		{
			"cancel", func(p program, run crmstore.Run) { p.must("cancel", run.ID) }, crmstore.RunCancelled,
			func(p program, _ crmstore.Run) { p.must("run", "stale", "--now", killedNow) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := storetest.OpenWith(t, storetest.Options{Partitions: killPartitions})
			want := fillForKills(t, store)
			p := program{t: t, store: store}
			file := filepath.Join(t.TempDir(), "stale.yaml")
			if err := os.WriteFile(file, []byte(killWorkflow), 0o600); err != nil {
				t.Fatal(err)
			}
			p.must("publish", file, "--yes")
			frozen := p.frozen("run", "stale", "--now", killedNow)
			run := p.newest()
			c.stop(p, run)
			after := p.deleted()
			if after == 0 || after >= int64(len(want)) {
				t.Fatalf("%d of %d deleted when the run was stopped: it was not in the middle", after, len(want))
			}
			frozen.wake()
			if now := p.deleted(); now != after {
				t.Errorf("%d contacts were deleted after the run was stopped", now-after)
			}
			if run = p.newest(); run.State != c.state || run.Deleted != after || run.Owner != "" {
				t.Errorf("the run is %s by %q and counts %d deleted, want %s by nobody and %d", run.State, run.Owner, run.Deleted, c.state, after)
			}
			c.goOn(p, run)
			checkLiveness(t, store, want)
			if out := p.must("doctor"); !strings.Contains(out, "everything agrees") {
				t.Errorf("doctor says:\n%s", out)
			}
		})
	}
}

// icy is a process that is stopped.
type icy struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *bytes.Buffer
	ended chan error
}

// frozen starts the program and stops it while it deletes. The moment is a matter of luck within a few thousand deletions,
// and of no importance: the test says so when it was too late.
func (p program) frozen(args ...string) icy {
	p.t.Helper()
	f := icy{t: p.t, cmd: p.command(args...), out: new(bytes.Buffer), ended: make(chan error, 1)}
	f.cmd.Stdout, f.cmd.Stderr = f.out, f.out
	if err := f.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = f.cmd.Process.Kill() })
	go func() { f.ended <- f.cmd.Wait() }()
	for p.deleted() == 0 {
		if len(f.ended) > 0 {
			p.t.Fatalf("it ended by itself:\n%s", f.out)
		}
	}
	if err := f.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	return f
}

// wake lets the process go on and waits for its end, which may be a refusal.
func (f icy) wake() {
	f.t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		f.t.Fatal(err)
	}
	select {
	case err := <-f.ended:
		var exit *exec.ExitError
		if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
			f.t.Errorf("it ended with %v:\n%s", err, f.out)
		}
	case <-time.After(time.Minute):
		f.t.Fatal("it does not end")
	}
}

// newest is the newest run.
func (p program) newest() crmstore.Run {
	p.t.Helper()
	runs, err := p.store.Runs(p.t.Context(), crmstore.RunFilter{Limit: 1})
	if err != nil || len(runs) == 0 {
		p.t.Fatalf("%d runs, %v", len(runs), err)
	}
	return runs[0]
}
