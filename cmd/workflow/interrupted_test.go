package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// TestUndo_Interrupted sends SIGTERM to a process that restores: the same command brings back the rest, and nothing is
// between deleted and live.
func TestUndo_Interrupted(t *testing.T) {
	t.Parallel()
	store := storetest.OpenWith(t, storetest.Options{Partitions: killPartitions})
	want := int64(len(fillForKills(t, store)))
	p := program{t: t, store: store}
	file := filepath.Join(t.TempDir(), "stale.yaml")
	if err := os.WriteFile(file, []byte(killWorkflow), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("publish", file, "--yes")
	p.must("run", "stale", "--now", killedNow)
	if n := p.deleted(); n != want {
		t.Fatalf("%d contacts are deleted, want %d", n, want)
	}
	undo := []string{"undo", "stale@" + killedNow + ".1"}

	cmd := p.command(undo...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for len(ended) == 0 && p.deleted() == want { //nolint:revive // the condition asks the store
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	err := <-ended
	var exit *exec.ExitError
	switch {
	case err == nil:
		t.Log("the undo was over before the signal") // then it must be complete, which is checked below
	case !errors.As(err, &exit) || exit.ExitCode() != 3:
		t.Errorf("ended with %v, want exit code 3", err)
	case !strings.Contains(talk.String(), "the same command goes on from there"):
		t.Errorf("said %q", talk.String())
	}
	p.must(undo...)
	if n := p.deleted(); n != 0 {
		t.Errorf("%d contacts are deleted still", n)
	}
	p.must("doctor")
}
