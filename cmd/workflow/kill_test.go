package main

import (
	"bytes"
	"cmp"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

const (
	killContacts   = 20_000
	killPartitions = 256
	killsWanted    = 25
	actingWanted   = 10
	killedNow      = "2026-07-01T00:00:00Z"
)

const killWorkflow = `workflow: stale
object: contact
enroll:
  triggers:
    - contact.lifecyclestage == "lead" && daysSince(contact.last_activity_date) > 365
limits: {max_deletions: 20000, max_percent: 100}
actions: [delete_contact]
`

// TestRun_KilledAtAnyMoment kills the process that carries a run again and again, each time at another moment, and
// starts the command again, until at least killsWanted of them were killed. Between two kills nothing is repaired:
// whoever is started next must find out what was done. When a run got to its end before it could be killed, the next
// round has an account of its own.
func TestRun_KilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0)) // the moments shall differ from day to day
	kills, acting := 0, 0
	for round := 1; kills < killsWanted || acting < actingWanted; round++ {
		if round > 12 {
			t.Fatalf("only %d processes were killed in 12 rounds, %d of them while they deleted", kills, acting)
		}
		k, a := killRound(t, random)
		kills, acting = kills+k, acting+a
	}
	t.Logf("killed %d processes, %d of them while they deleted", kills, acting)
}

// killRound makes an account, has its run killed over and over, and checks what is there in the end. acting counts
// the kills that left some contacts deleted and some not, a number of them that no kill before had left.
func killRound(t *testing.T, random *rand.Rand) (kills, acting int) {
	store := storetest.OpenWith(t, storetest.Options{Partitions: killPartitions})
	want := fillForKills(t, store)
	p := program{t: t, store: store}
	file := filepath.Join(t.TempDir(), "stale.yaml")
	if err := os.WriteFile(file, []byte(killWorkflow), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must("publish", file, "--yes")
	for before := int64(0); kills < killsWanted; kills++ {
		if !p.killed(p.moment(random, kills, before), "run", "stale", "--now", killedNow) {
			break
		}
		n := p.deleted()
		if n > before && n < int64(len(want)) {
			acting++
		}
		before = n
	}
	p.must("run", "stale", "--now", killedNow) // finishes what is left, and then finds nobody
	checkKilledRun(t, store, want)
	wantCounted(t, store, len(want))
	if out := p.must("doctor"); !strings.Contains(out, "everything agrees") {
		t.Errorf("doctor says:\n%s", out)
	}
	return kills, acting
}

// raiseCeiling lets workflows delete more than a fifth of an account in a day.
func raiseCeiling(t *testing.T, store *crmstore.Store) {
	t.Helper()
	if _, err := store.SetSetting(t.Context(), crmstore.SettingPerDay, "1000000000", record.Cause{Actor: "test"}, storetest.Time); err != nil {
		t.Fatal(err)
	}
}

// wantCounted checks that the limits on 24 hours count exactly what was deleted, and that no run has anything set aside any more.
func wantCounted(t *testing.T, store *crmstore.Store, deleted int) {
	t.Helper()
	got, err := store.DeletedLately(t.Context(), record.Contact, time.Now())
	if err != nil || got.All.Deleted != int64(deleted) || got.All.Aside != 0 {
		t.Errorf("the limits count %d deletions in 24 hours, and %d about to be, %v; want %d and 0", got.All.Deleted, got.All.Aside, err, deleted)
	}
}

// fillForKills makes the contacts and returns those that the workflow must delete.
func fillForKills(t *testing.T, store *crmstore.Store) map[record.ID]bool {
	t.Helper()
	raiseCeiling(t, store)
	schema, err := store.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	stage, seen := schema.Find("lifecyclestage")[0].Number, schema.Find("last_activity_date")[0].Number
	stages := []string{"lead", "lead", "lead", "customer"}
	old, fresh := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	want := map[record.ID]bool{}
	batch := make([]crmstore.Upsert, killContacts)
	for i := range batch {
		at := old
		if i%5 == 0 {
			at = fresh
		}
		batch[i] = crmstore.Upsert{ID: record.ID(i + 1), Set: []record.Assignment{
			{Property: stage, Value: record.EnumValue(stages[i%4])}, {Property: seen, Value: record.DateTimeValue(at)},
		}}
		if stages[i%4] == "lead" && i%5 != 0 {
			want[batch[i].ID] = true
		}
	}
	if _, err := store.Write(t.Context(), record.Contact, crmstore.CreateOnly, batch, record.Cause{Actor: "test"}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	return want
}

// checkKilledRun compares the store, the audit log and the totals with what the run had to do.
func checkKilledRun(t *testing.T, store *crmstore.Store, want map[record.ID]bool) {
	t.Helper()
	checkLiveness(t, store, want)
	events := map[record.ID]int{}
	err := store.Audit(t.Context(), crmstore.AuditFilter{Object: record.Contact}, func(e record.Event) error {
		if e.Op == "delete" {
			events[e.IDs[0]]++
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for id, n := range events {
		if n != 1 || !want[id] {
			t.Fatalf("contact %s: %d deletions in the audit log, to be deleted: %v", id, n, want[id])
		}
	}
	if len(events) != len(want) {
		t.Errorf("%d contacts have a deletion in the audit log, want %d", len(events), len(want))
	}
	runs, err := store.Runs(t.Context(), crmstore.RunFilter{Workflow: "stale"})
	if err != nil {
		t.Fatal(err)
	}
	var deleted int64
	for _, r := range runs {
		deleted += r.Deleted
		if r.State != crmstore.RunDone || r.Changed != 0 || r.Failed != 0 {
			t.Errorf("run %s is %s, with %d changed and %d failed", r.ID, r.State, r.Changed, r.Failed)
		}
	}
	if deleted != int64(len(want)) {
		t.Errorf("the runs count %d deletions, want %d", deleted, len(want))
	}
}

// program starts the program itself, as another process.
type program struct {
	t     *testing.T
	store *crmstore.Store // whose account it works on; nil = the default one
	url   string          // of the store; "" = the tests' server

	mayBeRefused bool // exit code 1 is a good end
}

func (p program) command(args ...string) *exec.Cmd {
	cmd := exec.Command("workflow", args...)
	race, atOnce := endAtOnce()
	cmd.Env = append(os.Environ(), race+"="+atOnce, "WORKFLOW_STORE="+cmp.Or(p.url, storetest.URL(p.t)), "WORKFLOW_USER="+storetest.User)
	if p.store != nil {
		cmd.Env = append(cmd.Env, "WORKFLOW_ACCOUNT="+p.store.AccountName())
	}
	return cmd
}

// must runs the program to a good end and returns what it printed.
func (p program) must(args ...string) string {
	p.t.Helper()
	out, err := p.command(args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("workflow %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// moment is when the next kill happens: at any time from the process's start, at any time from when it carries the
// run, or, most often, when it has deleted some more contacts. The function answers when the moment has come.
func (p program) moment(random *rand.Rand, kills int, before int64) func() bool {
	switch kills % 5 {
	case 0:
		at := time.Now().Add(time.Duration(random.IntN(80_000)) * time.Microsecond)
		return func() bool { return time.Now().After(at) }
	case 1:
		was, wait := p.owner(), time.Duration(random.IntN(20_000))*time.Microsecond
		var at time.Time
		return func() bool {
			if at.IsZero() && p.owner() != was {
				at = time.Now().Add(wait)
			}
			return !at.IsZero() && time.Now().After(at)
		}
	default:
		enough := before + 1 + random.Int64N(killContacts/40)
		return func() bool { return p.deleted() >= enough }
	}
}

// killed starts the program and kills it when the moment has come. It is false when the program ended before that.
func (p program) killed(now func() bool, args ...string) bool {
	p.t.Helper()
	cmd := p.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for len(ended) == 0 {
		if now() {
			_ = cmd.Process.Kill() // it may have ended by itself
			break
		}
	}
	err := <-ended
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	if err != nil && !(p.mayBeRefused && exit != nil && exit.ExitCode() == 1) {
		p.t.Fatalf("workflow %s: %v\n%s", strings.Join(args, " "), err, out.Bytes())
	}
	return false
}

// deleted is how many contacts are in the recycle bin.
func (p program) deleted() int64 {
	n, err := p.store.Count(p.t.Context(), record.Contact)
	if err != nil {
		p.t.Fatal(err)
	}
	return n.Archived
}

// owner is who carries the newest run; "" when there is none.
func (p program) owner() string {
	runs, err := p.store.Runs(p.t.Context(), crmstore.RunFilter{Limit: 1})
	if err != nil {
		p.t.Fatal(err)
	}
	if len(runs) == 0 {
		return ""
	}
	return runs[0].Owner
}
