package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// What TestChaos does by default; `make chaos` asks for more.
const (
	chaosRounds  = 15
	chaosDaemons = 4
	chaosFrozen  = 20 * time.Second // longer than the 15 s after which others take over
	chaosLarge   = 12_000           // matches of every third round: enough to be shared out
	chaosSmall   = 600
	chaosPatient = 3 * time.Minute // for the end of everything
)

// chaos is a store with daemons, to all of which something happens.
type chaos struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	port   string
	fsync  string
	store  *crmstore.Store
	p      program

	daemons []*exec.Cmd
	frozen  map[*exec.Cmd]bool
	thaw    sync.WaitGroup
	mu      sync.Mutex // guards frozen

	next crmstore.ID
	want map[crmstore.ID]bool // to be deleted
	did  map[string]int
}

// TestChaos publishes one workflow after the other, each with contacts of its own and a slot that is due, and meanwhile kills and
// freezes daemons and the server. In the end exactly the right contacts are deleted, with one audit event each, each slot
// has one run, and doctor finds nothing. CHAOS_ROUNDS, CHAOS_SEED and CHAOS_FSYNC (always, everysec) change it.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	rounds, fsync := chaosRounds, "always"
	if text := os.Getenv("CHAOS_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("CHAOS_FSYNC"); text != "" {
		fsync = text
	}
	t.Logf("seed %d, %d rounds, appendfsync %s", seed, rounds, fsync)
	c := newChaos(t, seed, fsync)
	for range chaosDaemons {
		c.startDaemon()
	}
	for round := range rounds {
		c.work(round)
		c.disturb(round)
	}
	c.settle(rounds)
	c.check(rounds)
}

func newChaos(t *testing.T, seed uint64, fsync string) *chaos {
	t.Helper()
	c := &chaos{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), port: storetest.FreePort(t), fsync: fsync,
		next: 1, want: map[crmstore.ID]bool{}, did: map[string]int{}, frozen: map[*exec.Cmd]bool{},
	}
	c.startServer()
	url := "redis://127.0.0.1:" + c.port
	var err error
	if c.store, err = crmstore.Open(t.Context(), crmstore.Config{URL: url, User: storetest.User}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.store.Close() }) // it was only used to look
	if _, err := c.store.CreateAccount(t.Context(), crmstore.Professional, killPartitions, crmstore.Cause{}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	c.p = program{t: t, url: url}
	return c
}

// startServer starts the server on the files that it had.
func (c *chaos) startServer() {
	c.t.Helper()
	storetest.StartServerAt(c.t, c.port, "--port", c.port, "--dir", c.dir, "--appendonly", "yes", "--appendfsync", c.fsync,
		"--pidfile", filepath.Join(c.dir, "pid"))
}

// server is the server's process.
func (c *chaos) server() *os.Process {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		c.t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		c.t.Fatal(err)
	}
	return process
}

// startDaemon starts one more daemon; what it says goes to a file.
func (c *chaos) startDaemon() {
	c.t.Helper()
	log, err := os.Create(filepath.Join(c.dir, fmt.Sprintf("daemon-%d.log", len(c.daemons))))
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd := c.p.command("daemon", "--listen", "none")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = cmd.Process.Kill() }) // unless it ended before
	c.daemons = append(c.daemons, cmd)
}

// work writes contacts of which two of three are to go, and publishes the workflow that deletes them, its slot being due.
func (c *chaos) work(round int) {
	c.t.Helper()
	matches := chaosSmall
	if round%3 == 0 {
		matches = chaosLarge
	}
	schema, err := c.store.Schema(c.t.Context(), crmstore.Contact)
	if err != nil {
		c.t.Fatal(err)
	}
	name, stage := schema.Find("firstname")[0].Number, schema.Find("lifecyclestage")[0].Number
	group := fmt.Sprintf("round-%d", round)
	var batch []crmstore.Upsert
	for i := range matches * 3 / 2 {
		is := "lead"
		if i%3 == 2 {
			is = "customer"
		} else {
			c.want[c.next] = true
		}
		batch = append(batch, crmstore.Upsert{ID: c.next, Set: []crmstore.Assignment{
			{Property: name, Value: crmstore.StringValue(group)}, {Property: stage, Value: crmstore.EnumValue(is)},
		}})
		c.next++
	}
	if _, err := c.store.Write(c.t.Context(), crmstore.Contact, crmstore.CreateOnly, batch, crmstore.Cause{}, storetest.Time); err != nil {
		c.t.Fatalf("round %d: %v", round, err)
	}
	file := filepath.Join(c.dir, group+".yaml")
	text := fmt.Sprintf("workflow: %s\nobject: contact\nenroll:\n  triggers:\n    - contact.firstname == %q && contact.lifecyclestage == \"lead\"\n"+
		"schedule: {cron: '@yearly'}\nlimits: {max_deletions: 20000, max_percent: 100}\nactions: [delete_contact]\n", group, group)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.p.must("publish", file, "--yes")
	longAgo(c.t, c.store, group)
}

// disturb lets something happen, at any moment of the round's run.
func (c *chaos) disturb(round int) {
	c.t.Helper()
	enough := int64(0)
	if c.random.IntN(3) > 0 { // in the middle of its deletions; else whenever it is
		enough = 1 + c.random.Int64N(chaosSmall)
	}
	before := c.p.deletedSoon()
	for deadline := time.Now().Add(8 * time.Second); enough > 0 && time.Now().Before(deadline); {
		if c.p.deletedSoon() >= before+enough {
			break
		}
	}
	kind := []string{"kill a daemon", "freeze a daemon", "kill the server", "kill a daemon", "freeze the server", "kill two daemons"}[c.random.IntN(6)]
	c.did[kind]++
	c.t.Logf("%s round %d: %s", time.Now().Format(time.TimeOnly), round, kind)
	switch kind {
	case "kill two daemons":
		c.kill()
		c.kill()
	case "kill a daemon":
		c.kill()
	case "freeze a daemon":
		c.freeze()
	case "kill the server":
		if err := c.server().Kill(); err != nil {
			c.t.Fatal(err)
		}
		c.untilClosed()
		c.startServer()
		c.untilThere()
	case "freeze the server":
		server := c.server()
		if err := server.Signal(syscall.SIGSTOP); err != nil {
			c.t.Fatal(err)
		}
		<-time.After(time.Second)
		if err := server.Signal(syscall.SIGCONT); err != nil {
			c.t.Fatal(err)
		}
	}
}

// deletedSoon is how many contacts are in the recycle bin.
func (p program) deletedSoon() int64 {
	p.t.Helper()
	store, err := crmstore.Open(p.t.Context(), crmstore.Config{URL: p.url, User: storetest.User})
	if err != nil {
		p.t.Fatal(err)
	}
	defer store.Close()
	n, err := store.Count(p.t.Context(), crmstore.Contact)
	if err != nil {
		p.t.Fatal(err)
	}
	return n.Archived
}

// victim is a daemon that runs.
func (c *chaos) victim() *exec.Cmd {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := slices.DeleteFunc(slices.Clone(c.daemons), func(d *exec.Cmd) bool { return c.frozen[d] || d.ProcessState != nil })
	if len(running) == 0 {
		return nil
	}
	return running[c.random.IntN(len(running))]
}

func (c *chaos) kill() {
	c.t.Helper()
	if d := c.victim(); d != nil {
		_ = d.Process.Kill()
		if err := d.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			c.t.Errorf("a daemon had ended by itself: %v", err)
		}
		c.startDaemon()
	}
}

func (c *chaos) freeze() {
	c.t.Helper()
	d := c.victim()
	if d == nil {
		return
	}
	c.mu.Lock()
	c.frozen[d] = true
	c.mu.Unlock()
	if err := d.Process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	c.startDaemon()
	c.thaw.Go(func() {
		<-time.After(chaosFrozen)
		if err := d.Process.Signal(syscall.SIGCONT); err != nil {
			c.t.Error(err)
		}
		c.mu.Lock()
		delete(c.frozen, d)
		c.mu.Unlock()
	})
}

func (c *chaos) untilClosed() {
	for {
		conn, err := net.Dial("tcp", "127.0.0.1:"+c.port)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

func (c *chaos) untilThere() {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); c.store.Ping(c.t.Context()) != nil; {
		if time.Now().After(deadline) {
			c.t.Fatal("the server does not come back")
		}
	}
}

// settle waits until every slot has its run, and every daemon that was frozen runs again; then it ends the daemons.
func (c *chaos) settle(rounds int) {
	c.t.Helper()
	c.thaw.Wait()
	for deadline := time.Now().Add(chaosPatient); ; {
		runs, err := c.store.Runs(c.t.Context(), crmstore.RunFilter{State: crmstore.RunDone})
		if err != nil {
			c.t.Fatal(err)
		}
		if len(runs) >= rounds {
			break
		}
		if time.Now().After(deadline) {
			c.t.Errorf("%d of %d runs are done", len(runs), rounds)
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	for _, d := range c.daemons {
		if d.ProcessState != nil {
			continue
		}
		_ = d.Process.Signal(syscall.SIGTERM) // one that ended by itself shows now
		if err := d.Wait(); err != nil {
			c.t.Errorf("a daemon ended with %v", err)
		}
	}
}

// check compares what is there with what had to be done.
func (c *chaos) check(rounds int) {
	c.t.Helper()
	checkLiveness(c.t, c.store, c.want)
	events := map[crmstore.ID]int{}
	err := c.store.Audit(c.t.Context(), crmstore.AuditFilter{Object: crmstore.Contact}, func(e crmstore.Event) error {
		for _, id := range e.IDs {
			if e.Op == "delete" {
				events[id]++
			}
		}
		return nil
	})
	if err != nil {
		c.t.Error(err)
	}
	for id, n := range events {
		if n != 1 || !c.want[id] {
			c.t.Fatalf("contact %s: %d deletions in the audit log, to be deleted: %v", id, n, c.want[id])
		}
	}
	runs, err := c.store.Runs(c.t.Context(), crmstore.RunFilter{})
	if err != nil {
		c.t.Fatal(err)
	}
	slots, deleted := map[string]int{}, int64(0)
	for _, r := range runs {
		slots[r.Workflow]++
		deleted += r.Deleted
		if r.State != crmstore.RunDone || !r.Scheduled || r.Failed+r.Changed != 0 || slots[r.Workflow] > 1 {
			c.t.Errorf("run %s is %s (%s), %+v", r.ID, r.State, r.Reason, r.Totals)
		}
	}
	if len(slots) != rounds || deleted != int64(len(c.want)) || len(events) != len(c.want) {
		c.t.Errorf("%d slots ran, of %d; the runs count %d deletions, the audit log %d, want %d", len(slots), rounds, deleted, len(events), len(c.want))
	}
	if out := c.p.must("doctor"); !strings.Contains(out, "everything agrees") {
		c.t.Errorf("doctor says:\n%s", out)
	}
	taken := 0
	for i := range c.daemons {
		log, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprintf("daemon-%d.log", i)))
		if err != nil {
			c.t.Fatal(err)
		}
		text := string(log)
		taken += strings.Count(text, "run resumed") + strings.Count(text, "range taken over")
		if strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic:") || c.t.Failed() {
			c.t.Errorf("daemon %d said:\n%s", i, text)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(c.did)) {
		c.t.Logf("%3d × %s", c.did[kind], kind)
	}
	c.t.Logf("%d daemons, %d runs, %d contacts deleted of %d, %d runs or ranges taken over", len(c.daemons), len(runs), deleted, int64(c.next)-1, taken)
}
