package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// TestDaemon starts the daemon as a process, lets it run a slot, reads what it serves, and ends it with SIGTERM.
func TestDaemon(t *testing.T) {
	t.Parallel()
	store := storetest.OpenWith(t, storetest.Options{Partitions: 4})
	p := program{t: t, store: store}
	file := filepath.Join(t.TempDir(), "stale.yaml")
	if err := os.WriteFile(file, []byte(killWorkflow), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("records", "create", "email=ada@example.com", "lifecyclestage=lead", "last_activity_date=2020-01-01")
	p.must("publish", file, "--yes")
	d := startDaemon(t, p)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": `workflow_published{workflow="stale"} 1`} {
		d.eventually(path, http.StatusOK, want)
	}
	d.eventually("/metrics", http.StatusOK, `crmstore_records{object="contact",state="live"} 1`)
	d.eventually("/nowhere", http.StatusNotFound, "not found")

	wantDaemons(t, store, 1, false)
	if out := p.must("daemons"); !strings.Contains(out, "working") || !strings.Contains(out, "waits") {
		t.Errorf("workflow daemons says:\n%s", out)
	}
	p.must("publish", "--off", "stale")
	d.eventually("/metrics", http.StatusOK, `workflow_published{workflow="stale"} 0`)

	d.signal(syscall.SIGTERM)
	if code := d.ended(); code != 0 {
		t.Errorf("after SIGTERM: exit code %d, want 0", code)
	}
	wantDaemons(t, store, 0, false)
	if log := strings.Join(d.log, "\n"); !strings.Contains(log, `"msg":"stopped"`) {
		t.Errorf("the log does not say that it stopped:\n%s", log)
	}
}

// A daemon that was killed is silent after 15 seconds, and still listed.
func TestDaemons_Killed(t *testing.T) {
	t.Parallel()
	store := storetest.OpenWith(t, storetest.Options{Partitions: 4})
	p := program{t: t, store: store}
	d := startDaemon(t, p)
	d.eventually("/readyz", http.StatusOK, "ready")
	wantDaemons(t, store, 1, false)
	d.signal(syscall.SIGKILL)
	d.ended()
	wantDaemons(t, store, 1, true)
}

// wantDaemons waits until so many daemons are listed, all of them silent or none.
func wantDaemons(t *testing.T, store *crmstore.Store, n int, silent bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		all, err := store.Daemons(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		as := 0
		for _, d := range all {
			if workflow.Silent(d, time.Now()) == silent {
				as++
			}
		}
		if len(all) == n && as == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d daemons, %d of them silent: %v; want %d", len(all), as, silent, n)
		}
	}
}

type runningDaemon struct {
	t       *testing.T
	cmd     *exec.Cmd
	lines   chan string // of its log; closed at its end
	log     []string    // those that were read
	address string
}

// startDaemon starts a daemon on a free port and reads from its log which one.
func startDaemon(t *testing.T, p program, flags ...string) *runningDaemon {
	t.Helper()
	d := &runningDaemon{t: t, cmd: p.command(append([]string{"daemon", "--listen", "127.0.0.1:0"}, flags...)...), lines: make(chan string, 1000)}
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.cmd.Process.Kill() }) // it has ended by then unless the test failed
	d.read(stderr)
	for line := range d.lines {
		d.log = append(d.log, line)
		var entry struct{ Msg, Address string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("the log is not JSON: %s", line)
		}
		if entry.Msg == "listening" {
			d.address = entry.Address
			return d
		}
	}
	t.Fatalf("the daemon ended at once:\n%s", strings.Join(d.log, "\n"))
	return nil
}

// read passes what the process writes on to lines.
func (d *runningDaemon) read(stderr io.Reader) {
	go func() {
		defer close(d.lines)
		for scan := bufio.NewScanner(stderr); scan.Scan(); {
			d.lines <- scan.Text()
		}
	}()
}

// eventually asks until the answer has the status and holds the text.
func (d *runningDaemon) eventually(path string, status int, text string) {
	d.t.Helper()
	var got string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		request, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://"+d.address+path, nil)
		if err != nil {
			d.t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			d.t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close() // it was read
		if err != nil {
			d.t.Fatal(err)
		}
		if got = string(body); response.StatusCode == status && strings.Contains(got, text) {
			return
		}
	}
	d.t.Fatalf("GET %s does not say %q within 30 s, but:\n%s", path, text, got)
}

// TestRun_Interrupted sends SIGINT to a process that deletes: it finishes the batch in hand, says that the run can go
// on, and the same command finishes it.
func TestRun_Interrupted(t *testing.T) {
	t.Parallel()
	store := storetest.OpenWith(t, storetest.Options{Partitions: killPartitions})
	want := fillForKills(t, store)
	p := program{t: t, store: store}
	file := filepath.Join(t.TempDir(), "stale.yaml")
	if err := os.WriteFile(file, []byte(killWorkflow), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("publish", file, "--yes")

	cmd := p.command("run", "stale", "--now", killedNow, "--format", "json")
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for len(ended) == 0 && p.deleted() == 0 { //nolint:revive // the condition asks the store
	}
	_ = cmd.Process.Signal(os.Interrupt) // it may have ended by itself
	err := <-ended
	var exit *exec.ExitError
	switch {
	case err == nil:
		t.Log("the run was over before the signal") // then it must be complete, which is checked below
	case !errors.As(err, &exit) || exit.ExitCode() != 3:
		t.Errorf("ended with %v, want exit code 3", err)
	case !strings.Contains(talk.String(), "stopping after the batch in hand"):
		t.Errorf("said %q", talk.String())
	default:
		var doc struct {
			Error struct{ Kind, Reason, Help string }
		}
		if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
			t.Fatalf("%v\n%s", err, out.Bytes())
		}
		if doc.Error.Kind != "failed" || doc.Error.Reason != "interrupted" || !strings.Contains(doc.Error.Help, "workflow run stale") {
			t.Errorf("got %+v", doc.Error)
		}
		if n := p.deleted(); n == 0 || n > int64(len(want)) {
			t.Errorf("%d contacts are deleted after the interruption", n)
		}
	}
	p.must("run", "stale", "--now", killedNow)
	checkKilledRun(t, store, want)
	runs, err := store.Runs(t.Context(), crmstore.RunFilter{State: crmstore.RunRunning})
	if err != nil || len(runs) > 0 {
		t.Errorf("%d runs are not over; %v", len(runs), err)
	}
}
