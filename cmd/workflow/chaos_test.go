package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
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
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// What the chaos tests do by default; `make chaos` asks for more.
const (
	chaosRounds   = 15               // with one server
	chaosFew      = 6                // with a cluster, and with a sentinel
	chaosStaying  = 3_000            // contacts that are there from the beginning, and stay
	chaosDaemons  = 4                // that run at any time
	chaosFrozen   = 30 * time.Second // twice the 15 s after which others take over
	chaosLarge    = 12_000           // matches of every third round: enough to be shared out
	chaosSmall    = 600
	chaosTogether = 8               // workflows of every fifth round
	chaosPatient  = 4 * time.Minute // for the end of everything
)

// chaos is a store with daemons, to all of which something happens.
type chaos struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	site   site
	store  *crmstore.Store
	p      program

	daemons []*exec.Cmd
	frozen  map[*exec.Cmd]bool
	healing sync.WaitGroup // of what lasts longer than its round
	mu      sync.Mutex     // guards frozen

	next  record.ID
	want  map[record.ID]bool // to be deleted
	slots int                // that have to run
	did   map[string]int
	lost  int64 // deletions that the servers had said were done
}

// TestChaos publishes one workflow after the other, or eight at once, each with contacts of its own and a slot that is due, and
// meanwhile kills and freezes daemons and the server, cuts and slows the network between them, and the power of the server. In the end exactly the right
// contacts are deleted, with one audit event each, each slot has one run, and doctor finds nothing. CHAOS_ROUNDS,
// CHAOS_SEED, CHAOS_STAYING, CHAOS_FSYNC (always, everysec) and CHAOS_ONLY (a word in the name of what shall happen) change it.
func TestChaos(t *testing.T) {
	t.Parallel()
	fsync := "everysec"
	if text := os.Getenv("CHAOS_FSYNC"); text != "" {
		fsync = text
	}
	t.Logf("appendfsync %s", fsync)
	playChaos(t, chaosRounds, func(random *rand.Rand) site { return newOneServer(t, random, fsync) })
}

// TestChaos_Cluster does the same with three masters and their replicas, of which slots move and which fail over.
func TestChaos_Cluster(t *testing.T) {
	t.Parallel()
	playChaos(t, chaosFew, func(random *rand.Rand) site { return newClusterSite(t, random) })
}

// TestChaos_Sentinel does the same with a master and a replica, of which a sentinel makes one out of the other.
func TestChaos_Sentinel(t *testing.T) {
	t.Parallel()
	playChaos(t, chaosFew, func(*rand.Rand) site { return newSentinelSite(t) })
}

// setting is a number in the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(name, err)
	}
	return n
}

func playChaos(t *testing.T, rounds int, start func(*rand.Rand) site) {
	t.Helper()
	seed := setting(t, "CHAOS_SEED", uint64(time.Now().UnixNano()))
	rounds = int(setting(t, "CHAOS_ROUNDS", uint64(rounds)))
	staying := int(setting(t, "CHAOS_STAYING", chaosStaying))
	t.Logf("seed %d, %d rounds, %d contacts that stay", seed, rounds, staying)
	c := newChaos(t, rand.New(rand.NewPCG(seed, 0)), start)
	c.fill("staying", staying, 0)
	for range chaosDaemons {
		c.startDaemon()
	}
	var faults []fault // each as often as any other, in any order
	for round := range rounds {
		if len(faults) == 0 {
			faults = append(c.faults(), c.site.faults()...)
			faults = slices.DeleteFunc(faults, func(f fault) bool { return !strings.Contains(f.name, os.Getenv("CHAOS_ONLY")) })
			c.random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		}
		c.work(round)
		c.disturb(round, faults[0])
		faults = faults[1:]
	}
	c.settle()
	c.check()
	c.checkLimits()
}

func newChaos(t *testing.T, random *rand.Rand, start func(*rand.Rand) site) *chaos {
	t.Helper()
	c := &chaos{
		t: t, random: random, dir: t.TempDir(), site: start(random),
		next: 1, want: map[record.ID]bool{}, did: map[string]int{}, frozen: map[*exec.Cmd]bool{},
	}
	var err error
	if c.store, err = crmstore.Open(t.Context(), crmstore.Config{URL: c.site.url(), User: storetest.User}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.store.Close() }) // it was only used to look
	if _, err := c.store.CreateAccount(t.Context(), crmstore.Professional, killPartitions, record.Cause{}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	raiseCeiling(t, c.store)
	c.p = program{t: t, url: c.site.url()}
	return c
}

// startDaemon starts one more daemon; what it says goes to a file.
func (c *chaos) startDaemon() {
	c.t.Helper()
	n := len(c.daemons)
	log, err := os.Create(filepath.Join(c.dir, fmt.Sprintf("daemon-%d.log", n)))
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd := program{t: c.t, url: c.site.daemonURL(n)}.command("daemon", "--listen", "none")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = cmd.Process.Kill() }) // unless it ended before
	c.daemons = append(c.daemons, cmd)
}

// fill writes contacts of a group, of which the first leads are to go.
func (c *chaos) fill(group string, contacts, leads int) {
	c.t.Helper()
	schema, err := c.store.Schema(c.t.Context(), record.Contact)
	if err != nil {
		c.t.Fatal(err)
	}
	name, stage := schema.Find("firstname")[0].Number, schema.Find("lifecyclestage")[0].Number
	for left := contacts; left > 0; {
		var batch []crmstore.Upsert
		for range min(left, 20_000) {
			is := "customer"
			if left--; leads > 0 {
				leads--
				is, c.want[c.next] = "lead", true
			}
			batch = append(batch, crmstore.Upsert{ID: c.next, Set: []record.Assignment{
				{Property: name, Value: record.StringValue(group)}, {Property: stage, Value: record.EnumValue(is)},
			}})
			c.next++
		}
		if _, err := c.store.Write(c.t.Context(), record.Contact, crmstore.CreateOnly, batch, record.Cause{}, storetest.Time); err != nil {
			c.t.Fatalf("%s: %v", group, err)
		}
	}
}

// work writes contacts of which two of three are to go, and publishes the workflow that deletes them, its slot being due; or
// eight workflows.
func (c *chaos) work(round int) {
	c.t.Helper()
	workflows, matches := 1, chaosSmall
	switch {
	case round%5 == 4:
		workflows = chaosTogether
	case round%3 == 0:
		matches = chaosLarge
	}
	var names []string
	for i := range workflows {
		group := fmt.Sprintf("round-%d-%d", round, i)
		c.publish(group, matches*3/2, matches)
		names = append(names, group)
	}
	for _, name := range names {
		longAgo(c.t, c.store, name)
		c.slots++
	}
	c.site.synced() // what this test wrote shall not be lost
}

// publish writes a group of contacts, of which the first leads are to go, and publishes the workflow that deletes these.
func (c *chaos) publish(group string, contacts, leads int) {
	c.t.Helper()
	c.fill(group, contacts, leads)
	file := filepath.Join(c.dir, group+".yaml")
	text := fmt.Sprintf("workflow: %s\nobject: contact\nenroll:\n  triggers:\n    - contact.firstname == %q && contact.lifecyclestage == \"lead\"\n"+
		"schedule: {cron: '@yearly'}\nlimits: {max_deletions: 20000, max_percent: 100}\nactions: [delete_contact]\n", group, group)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.p.must("publish", file, "--yes")
}

// disturb lets something happen, at any moment of the round's run.
func (c *chaos) disturb(round int, f fault) {
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
	c.did[f.name]++
	was := c.p.deletedSoon()
	c.t.Logf("%s round %d: %s", time.Now().Format(time.TimeOnly), round, f.name)
	f.happen()
	if f.mayLose {
		if lost := was - c.p.deletedSoon(); lost > 0 {
			c.lost += lost
			c.t.Logf("the servers lost at least %d deletions that they had said were done", lost)
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
	n, err := store.Count(p.t.Context(), record.Contact)
	if err != nil {
		p.t.Fatal(err)
	}
	return n.Archived
}

// settle waits until every slot has its run, and every daemon that was frozen or cut off is back; then it ends the daemons.
func (c *chaos) settle() {
	c.t.Helper()
	c.healing.Wait()
	for deadline := time.Now().Add(chaosPatient); ; {
		runs, err := c.store.Runs(c.t.Context(), crmstore.RunFilter{State: crmstore.RunDone})
		if err != nil {
			c.t.Fatal(err)
		}
		if len(runs) >= c.slots {
			break
		}
		if time.Now().After(deadline) {
			c.t.Errorf("%d of %d runs are done", len(runs), c.slots)
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
func (c *chaos) check() {
	c.t.Helper()
	checkLiveness(c.t, c.store, c.want)
	events := map[record.ID]int{}
	err := c.store.Audit(c.t.Context(), crmstore.AuditFilter{Object: record.Contact}, func(e record.Event) error {
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
	if len(slots) != c.slots || deleted != int64(len(c.want)) || len(events) != len(c.want) {
		c.t.Errorf("%d slots ran, of %d; the runs count %d deletions, the audit log %d, want %d", len(slots), c.slots, deleted, len(events), len(c.want))
	}
	wantCounted(c.t, c.store, len(c.want))
	if out := c.p.must("doctor"); !strings.Contains(out, "everything agrees") {
		c.t.Errorf("doctor says:\n%s", out)
	}
	for _, refused := range c.site.refused() {
		c.t.Errorf("the user in workflow.acl may not do what the program does: %s", refused)
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
	c.t.Logf("%d daemons, %d runs, %d contacts deleted of %d, %d runs or ranges taken over, at least %d deletions lost and repeated",
		len(c.daemons), len(runs), deleted, int64(c.next)-1, taken, c.lost)
}

// checkLimits has the ceiling bind, to one contact, by what was counted through all that happened: a run of as many as are left goes
// through, and one of one more is held. An undo gives nothing back.
func (c *chaos) checkLimits() {
	c.t.Helper()
	if c.t.Failed() {
		return
	}
	const left = 20
	deleted := len(c.want)
	c.publish("too-many", left+1, left+1)
	c.publish("as-many", left, left)
	c.publish("one-more", 1, 1)
	ceiling := strconv.Itoa(deleted + left)
	c.p.must("account", "set", crmstore.SettingPerDay, ceiling)
	done, err := c.store.Runs(c.t.Context(), crmstore.RunFilter{State: crmstore.RunDone, Limit: 1})
	if err != nil || len(done) == 0 {
		c.t.Fatal(done, err)
	}
	c.p.must("undo", done[0].ID)
	wantCounted(c.t, c.store, deleted)
	for _, run := range []struct {
		workflow string
		state    crmstore.RunState
	}{{"too-many", crmstore.RunHeld}, {"as-many", crmstore.RunDone}, {"one-more", crmstore.RunHeld}} {
		out, err := c.p.command("run", run.workflow).CombinedOutput()
		runs, err2 := c.store.Runs(c.t.Context(), crmstore.RunFilter{Workflow: run.workflow, Limit: 1})
		if err2 != nil || len(runs) != 1 || runs[0].State != run.state || (err == nil) != (run.state == crmstore.RunDone) {
			c.t.Errorf("run %s, with a ceiling of %s of which %d are used: %v, %+v, want %s\n%s", run.workflow, ceiling, deleted, err, runs, run.state, out)
		}
	}
	wantCounted(c.t, c.store, deleted+left)
}
