package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// TestDaemon_HandsItsRunBack stops a daemon in the middle of a run: it ends well, and the next daemon finishes the run
// without waiting until the first counts as silent.
func TestDaemon_HandsItsRunBack(t *testing.T) {
	t.Parallel()
	store := storetest.OpenWith(t, storetest.Options{Partitions: killPartitions})
	want := fillForKills(t, store)
	p := program{t: t, store: store}
	file := filepath.Join(t.TempDir(), "stale.yaml")
	if err := os.WriteFile(file, []byte(killWorkflow), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("publish", file, "--yes")
	if !p.killed(p.carried, "run", "stale", "--now", killedNow) {
		t.Fatal("the run was over before it could be killed")
	}
	first := startDaemon(t, p)
	for before := p.deleted(); p.deleted() == before; { //nolint:revive // the condition asks the store
	}
	first.signal(syscall.SIGTERM)
	if code := first.ended(); code != 0 {
		t.Errorf("after SIGTERM: exit code %d, want 0\n%s", code, strings.Join(first.log, "\n"))
	}
	runs, err := store.Runs(t.Context(), crmstore.RunFilter{})
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d runs, %v; want 1", len(runs), err)
	}
	if r := runs[0]; r.State == crmstore.RunRunning && r.Owner != "" {
		t.Errorf("the run is %s's still, want it handed back", r.Owner)
	}
	second := startDaemon(t, p)
	for run := runs[0]; !run.State.Over(); {
		if run, err = store.Run(t.Context(), run.ID); err != nil {
			t.Fatal(err)
		}
	}
	second.signal(os.Interrupt)
	if code := second.ended(); code != 0 {
		t.Errorf("after SIGINT: exit code %d, want 0\n%s", code, strings.Join(second.log, "\n"))
	}
	checkKilledRun(t, store, want)
}

// carried reports whether somebody carries a run.
func (p program) carried() bool { return p.owner() != "" }

// A store that does not answer keeps a daemon from finishing what it has in hand. It says that it is not ready, and
// ends when the grace period is over; one with a long grace period ends at the second signal.
func TestDaemon_Grace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grace   string
		signals []os.Signal
		want    int
	}{
		"the grace period is over": {"1s", []os.Signal{syscall.SIGTERM}, 3},
		"a second SIGTERM":         {"1h", []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, 130},
		"a second SIGINT":          {"1h", []os.Signal{os.Interrupt, os.Interrupt}, 130},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := storetest.StartServer(t)
			p := program{t: t, url: "redis://" + at}
			p.must("account", "create")
			d := startDaemon(t, p, "--grace", c.grace)
			d.eventually("/readyz", http.StatusOK, "ready")
			pause(t, at)
			d.eventually("/readyz", http.StatusServiceUnavailable, "not ready") // asks for 2 s, so the scheduler asks by then too
			d.signal(c.signals[0])
			d.says("stopping after the batch in hand")
			if c.want == 130 { // the other one may end at any moment
				d.eventually("/readyz", http.StatusServiceUnavailable, "the scheduler does not run")
			}
			for _, again := range c.signals[1:] {
				d.signal(again)
			}
			if code := d.ended(); code != c.want {
				t.Errorf("exit code %d, want %d\n%s", code, c.want, strings.Join(d.log, "\n"))
			}
		})
	}
}

// The second signal ends any verb at once, also one whose store does not answer.
func TestRun_SecondSignal(t *testing.T) {
	t.Parallel()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cmd := program{t: t, url: "redis://" + silent.Addr().String()}.command("run", "stale")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended by then unless the test failed
	d := &runningDaemon{t: t, cmd: cmd, lines: make(chan string, 1000)}
	d.read(stderr)
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	greeting, first := make([]byte, 512), make([]byte, 512)
	if _, err := conn.Read(greeting); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "-ERR unknown command\r\n"); err != nil { // as a server of before HELLO
		t.Fatal(err)
	}
	if _, err := conn.Read(first); err != nil { // a command that waits for its answer, whatever its context says
		t.Fatal(err)
	}
	d.signal(os.Interrupt)
	d.says("stopping after the batch in hand")
	d.signal(os.Interrupt)
	if code := d.ended(); code != 130 {
		t.Errorf("exit code %d, want 130\n%s", code, strings.Join(d.log, "\n"))
	}
}

// pause keeps a server from answering anybody for an hour.
func pause(t *testing.T, address string) {
	t.Helper()
	if answer := ask(t, "tcp", address, "CLIENT", "PAUSE", "3600000", "ALL"); answer != "+OK" {
		t.Fatalf("CLIENT PAUSE: %s", answer)
	}
}

func (d *runningDaemon) signal(s os.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

// says waits for a line on stderr.
func (d *runningDaemon) says(words string) {
	d.t.Helper()
	for line := range d.lines {
		if d.log = append(d.log, line); strings.Contains(line, words) {
			return
		}
	}
	d.t.Fatalf("it ended without saying %q:\n%s", words, strings.Join(d.log, "\n"))
}

// ended waits for the end and returns the exit code; -1 = a signal ended it.
func (d *runningDaemon) ended() int {
	d.t.Helper()
	for line := range d.lines {
		d.log = append(d.log, line)
	}
	err := d.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return 0
}
