package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/cmd/workflow/internal/cli"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// This file has wrong clocks of every kind use the program: that of a machine, that of the server, and that of a server that took over.

const day = 24 * time.Hour

// clocked is an account behind a relay whose clock can be moved. It has a contact that a run deletes in five days, one that is purged
// in five days, and one that stays.
type clocked struct {
	t     *testing.T
	url   string           // of the store
	relay *storetest.Relay // before the server, where there is only one
	at    string           // that server
	store *crmstore.Store
}

const clockWorkflow = `workflow: stale
object: contact
enroll:
  existing: true
  triggers:
    - daysSince(contact.last_activity_date) > 365
schedule:
  cron: "* * * * *"
actions:
  - delete_contact
`

func newClocked(t *testing.T) *clocked {
	t.Helper()
	at := storetest.StartServer(t)
	relay := storetest.StartRelay(t, at)
	c := newClockedAt(t, "redis://"+relay.Address)
	c.relay, c.at = relay, at
	return c
}

// newClockedAt is newClocked with any servers.
func newClockedAt(t *testing.T, url string) *clocked {
	t.Helper()
	c := &clocked{t: t, url: url}
	c.must(0, "account", "create", "--partitions", "4")
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: url, User: "mira"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	c.store = store
	nearly := time.Now().Add(-360 * day).UTC().Format(time.DateOnly)
	file := filepath.Join(t.TempDir(), "contacts.csv")
	text := "email,last_activity_date\na@example.com," + nearly + "\nb@example.com," + nearly + "\nc@example.com," + time.Now().UTC().Format(time.DateOnly) + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.must(0, "records", "import", file)
	if err := workflow.DeleteRecord(t.Context(), store, record.Contact, 1, record.Cause{}, time.Now().Add(-85*day)); err != nil {
		t.Fatal(err)
	}
	definition := filepath.Join(t.TempDir(), "stale.yaml")
	if err := os.WriteFile(definition, []byte(clockWorkflow), 0o600); err != nil {
		t.Fatal(err)
	}
	c.must(0, "publish", definition, "--yes")
	return c
}

// call is the program, called on a machine whose clock is ahead.
func (c *clocked) call(ahead time.Duration, out, errs *bytes.Buffer, args ...string) *cli.Command {
	return &cli.Command{Args: append(args, "--store", c.url), Stdout: out, Stderr: errs, User: "mira", ClockAhead: ahead}
}

func (c *clocked) run(ahead time.Duration, args ...string) (int, string) {
	c.t.Helper()
	var out, errs bytes.Buffer
	code := c.call(ahead, &out, &errs, args...).Run(c.t.Context())
	return code, out.String() + errs.String()
}

func (c *clocked) must(code int, args ...string) string {
	c.t.Helper()
	got, out := c.run(0, args...)
	if got != code {
		c.t.Fatalf("workflow %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// kept is what a right clock keeps: who is there, who is in the bin, and the events of the audit log but the clock's own.
func (c *clocked) kept() []string {
	c.t.Helper()
	counts, err := c.store.Count(c.t.Context(), record.Contact)
	if err != nil {
		c.t.Fatal(err)
	}
	kept := []string{fmt.Sprintf("%d live, %d in the bin", counts.Live, counts.Archived)}
	events := map[string]int{}
	err = c.store.Audit(c.t.Context(), crmstore.AuditFilter{}, func(e record.Event) error {
		events[e.Op]++
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, op := range []string{"create", "delete", "publish", "purge", "create-account"} {
		kept = append(kept, op+" "+strconv.Itoa(events[op]))
	}
	return kept
}

// watched is a log that a test waits on.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
	return w.text.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (w *watched) wait(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(w.String(), text) {
		select {
		case <-w.news:
		case <-t.Context().Done():
			t.Fatalf("the log never says %q:\n%s", text, w)
		}
	}
}

// daemon runs a daemon until its log says each of the texts, doing something before each but the first.
func (c *clocked) daemon(ahead time.Duration, first string, change func(), then string) string {
	c.t.Helper()
	log := &watched{news: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(c.t.Context())
	defer stop()
	command := c.call(ahead, nil, nil, "daemon", "--listen", "none", "--log-format", "json")
	command.Stdout, command.Stderr = nil, log
	ended := make(chan int, 1)
	go func() { ended <- command.Run(ctx) }()
	log.wait(c.t, first)
	if change != nil {
		change()
		log.wait(c.t, then)
	}
	stop()
	<-ended
	return log.String()
}

// With any clock wrong, nothing is purged, trimmed, deleted or forgotten that a right clock keeps. Verbs that write end with 3 (or
// with 0 where the difference is small), and afterwards, with the clock right again and accepted where it has to be, all goes on.
func TestClocks_Matrix(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		client, server time.Duration
		failover       bool
		trouble        string // "" = the clocks are taken to agree
	}{
		{name: "client 5 s ahead", client: 5 * time.Second},
		{name: "client 5 s behind", client: -5 * time.Second},
		{name: "client 90 s ahead", client: 90 * time.Second, trouble: "clock-differs"},
		{name: "client 90 s behind", client: -90 * time.Second, trouble: "clock-differs"},
		{name: "client a day ahead", client: day, trouble: "clock-differs"},
		{name: "client a day behind", client: -day, trouble: "clock-differs"},
		{name: "client ten years ahead", client: 3650 * day, trouble: "clock-differs"},
		{name: "client ten years behind", client: -3650 * day, trouble: "clock-differs"},
		{name: "server 5 s ahead", server: 5 * time.Second},
		{name: "server 5 s behind", server: -5 * time.Second},
		{name: "server 90 s ahead", server: 90 * time.Second, trouble: "clock-differs"},
		{name: "server 90 s behind", server: -90 * time.Second, trouble: "clock-differs"},
		{name: "server a day ahead", server: day, trouble: "clock-differs"},
		{name: "server a day behind", server: -day, trouble: "clock-differs"},
		{name: "server ten years ahead", server: 3650 * day, trouble: "clock-differs"},
		{name: "server ten years behind", server: -3650 * day, trouble: "clock-differs"},
		{name: "all a day ahead", client: day, server: day, trouble: "clock-leapt"},
		{name: "all a day behind", client: -day, server: -day, trouble: "clock-went-back"},
		{name: "all 200 days ahead", client: 200 * day, server: 200 * day, trouble: "clock-leapt"},
		{name: "all ten years ahead", client: 3650 * day, server: 3650 * day, trouble: "clock-leapt"},
		{name: "all ten years behind", client: -3650 * day, server: -3650 * day, trouble: "clock-went-back"},
		{name: "fail-over to 5 s ahead", server: 5 * time.Second, failover: true},
		{name: "fail-over to 90 s ahead", server: 90 * time.Second, failover: true, trouble: "clock-differs"},
		{name: "fail-over to 90 s behind", server: -90 * time.Second, failover: true, trouble: "clock-differs"},
		{name: "fail-over to a day ahead", server: day, failover: true, trouble: "clock-differs"},
		{name: "fail-over to a day behind", server: -day, failover: true, trouble: "clock-differs"},
		{name: "fail-over to ten years ahead", server: 3650 * day, failover: true, trouble: "clock-differs"},
		{name: "fail-over to ten years behind", server: -3650 * day, failover: true, trouble: "clock-differs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newClocked(t)
			before := w.kept()
			wrong := `"trouble":"` + c.trouble + `"`
			if c.failover {
				move := func() {
					w.relay.Ahead(c.server)
					w.relay.FailOver(w.at)
				}
				if c.trouble == "" {
					w.daemon(c.client, `"scheduling"`, nil, "")
					move()
				} else {
					w.daemon(c.client, `"scheduling"`, move, wrong)
				}
			} else {
				w.relay.Ahead(c.server)
				first := wrong
				if c.trouble == "" {
					first = `"scheduling"`
				}
				w.daemon(c.client, first, nil, "")
			}
			w.wantVerbs(c.client, c.trouble != "")
			if d := cmp.Diff(before, w.kept()); d != "" {
				t.Errorf("what a right clock keeps (-before +after):\n%s", d)
			}
			w.relay.Ahead(0)
			w.wantRightAgain(before)
		})
	}
}

// wantVerbs checks that verbs that write end with 3 in trouble, else with 0, and that a verb that reads says what is wrong.
func (c *clocked) wantVerbs(client time.Duration, trouble bool) {
	c.t.Helper()
	want := 0
	if trouble {
		want = 3
	}
	for _, verb := range [][]string{{"purge", "--expired"}, {"run", "stale"}, {"lists", "create", "x"}, {"delete", "--where", "daysSince(contact.last_activity_date) > 365", "--confirm", "0"}} {
		if code, out := c.run(client, verb...); code != want {
			c.t.Errorf("workflow %s: exit code %d, want %d\n%s", strings.Join(verb, " "), code, want, out)
		}
	}
	if code, out := c.run(client, "runs"); code != 0 || trouble != strings.Contains(out, "note:") {
		c.t.Errorf("a verb that reads: exit code %d\n%s", code, out)
	}
}

// wantRightAgain accepts the clock, which is right by now, where it has to be, and checks that all goes on with nothing lost.
func (c *clocked) wantRightAgain(before []string) {
	c.t.Helper()
	if code, _ := c.run(0, "account", "clock"); code == 1 {
		c.must(0, "account", "clock", "--accept")
	}
	c.must(0, "run", "stale")
	if d := cmp.Diff(before, c.kept()); d != "" {
		c.t.Errorf("with the clock right again (-before +after):\n%s", d)
	}
}

// One master of a cluster whose clock differs stops daemons and verbs: that which has the account as well as another.
func TestClocks_Cluster(t *testing.T) {
	t.Parallel()
	cluster, relays := storetest.StartClusterOfManyClocks(t)
	w := newClockedAt(t, cluster.URL(""))
	account, replica := cluster.MasterOf("crm:{default}:account")
	before := w.kept()
	same := func(when string) {
		t.Helper()
		if d := cmp.Diff(before, w.kept()); d != "" {
			t.Errorf("%s: what a right clock keeps (-before +after):\n%s", when, d)
		}
	}
	const wrong = `"trouble":"clock-servers-differ"`
	for _, c := range []struct {
		name   string
		master int
		ahead  time.Duration
	}{
		{"another master 90 s ahead", (account + 1) % 3, 90 * time.Second},
		{"another master ten years behind", (account + 2) % 3, -3650 * day},
		{"the account's master a day ahead", account, day},
	} {
		w.daemon(0, `"scheduling"`, func() { relays[c.master].Ahead(c.ahead) }, wrong)
		w.wantVerbs(0, true)
		same(c.name)
		relays[c.master].Ahead(0)
		w.wantRightAgain(before)
	}
	relays[replica].Ahead(3650 * day)
	w.daemon(0, `"scheduling"`, func() { cluster.FailOverOf("crm:{default}:account") }, wrong)
	w.wantVerbs(0, true)
	same("fail-over to ten years ahead")
	relays[replica].Ahead(0)
	w.wantRightAgain(before)
}

// A sentinel fails over to a server ten years ahead, under a daemon.
func TestClocks_Sentinel(t *testing.T) {
	t.Parallel()
	servers, relay := storetest.StartSentinelOfTwoClocks(t)
	w := newClockedAt(t, servers.URL(""))
	before := w.kept()
	relay.Ahead(3650 * day)
	servers.Synced()
	w.daemon(0, `"scheduling"`, servers.FailOver, `"trouble":"clock-differs"`)
	w.wantVerbs(0, true)
	if d := cmp.Diff(before, w.kept()); d != "" {
		t.Errorf("what a right clock keeps (-before +after):\n%s", d)
	}
	relay.Ahead(0)
	w.wantRightAgain(before)
}

// A leap that was accepted does not purge what fell due in it; a person who types how much that is does.
func TestClocks_PurgeIsHeld(t *testing.T) {
	t.Parallel()
	w := newClocked(t)
	const ahead = 200 * day
	w.relay.Ahead(ahead)
	at := func(code int, args ...string) string {
		t.Helper()
		got, out := w.run(ahead, args...)
		if got != code {
			t.Fatalf("workflow %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
		}
		return out
	}
	at(3, "purge", "--expired")
	if out := at(1, "account", "clock"); !strings.Contains(out, "leapt by 200 days") {
		t.Errorf("account clock says:\n%s", out)
	}
	at(0, "account", "clock", "--accept")
	purged := func(want string) {
		t.Helper()
		if kept := w.kept(); kept[4] != want {
			t.Errorf("%q, want %s", kept, want)
		}
	}
	if out := at(1, "purge", "--expired"); !strings.Contains(out, "--confirm 1") {
		t.Errorf("purge says:\n%s", out)
	}
	if log := w.daemon(ahead, `"held":1`, nil, ""); strings.Contains(log, "records purged") || strings.Contains(log, "history trimmed") {
		t.Errorf("a daemon removed something:\n%s", log)
	}
	if out := at(0, "doctor"); !strings.Contains(out, "1 record is still in the recycle bin: the purge waits") {
		t.Errorf("doctor says:\n%s", out)
	}
	at(1, "purge", "--expired", "--confirm", "2")
	if out := at(0, "account", "clock", "--format", "json"); !strings.Contains(out, `"held_records": 1`) || !strings.Contains(out, "not-all-counted") {
		t.Errorf("account clock says:\n%s", out)
	}
	purged("purge 0")
	at(0, "purge", "--expired", "--confirm", "1")
	purged("purge 1")
	if out := at(0, "account", "clock", "--format", "json"); !strings.Contains(out, `"held_records": 0`) || !strings.Contains(out, `"good"`) {
		t.Errorf("account clock says:\n%s", out)
	}
}

// Whoever deletes as of an instant that is more than a day ahead says that it is meant; to look needs no leave.
func TestClocks_AllowFuture(t *testing.T) {
	t.Parallel()
	w := newClocked(t)
	before := w.kept()
	ahead := time.Now().Add(30 * day).UTC().Format(time.DateOnly)
	for _, verb := range [][]string{{"run", "stale"}, {"delete", "--where", "daysSince(contact.last_activity_date) > 365", "--confirm", "1"}} {
		if out := w.must(2, append(verb, "--now", ahead)...); !strings.Contains(out, "--allow-future") {
			t.Errorf("workflow %s says:\n%s", verb[0], out)
		}
	}
	w.must(0, "run", "stale", "--dry-run", "--now", ahead)
	w.must(0, "review", "stale", "--now", ahead)
	w.must(0, "run", "stale", "--now", time.Now().Add(20*time.Hour).UTC().Format(time.RFC3339))
	if d := cmp.Diff(before, w.kept()); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
	w.must(0, "delete", "--where", "daysSince(contact.last_activity_date) > 365", "--now", ahead, "--allow-future", "--confirm", "1")
	if kept := w.kept(); kept[0] != "1 live, 2 in the bin" {
		t.Errorf("%q", kept)
	}
}

// While a slot is recorded in the future, list says that nothing is due; a daemon mends it, says so and goes on.
func TestClocks_SlotInTheFuture(t *testing.T) {
	t.Parallel()
	w := newClocked(t)
	workflow, err := w.store.Workflow(t.Context(), "stale")
	if err != nil {
		t.Fatal(err)
	}
	workflow.LastSlot = time.Now().AddDate(10, 0, 0)
	if _, err := w.store.AsSystem().SaveWorkflow(t.Context(), workflow, nil, "", record.Cause{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if out := w.must(0, "list"); !strings.Contains(out, "when a daemon has mended it") {
		t.Errorf("list says:\n%s", out)
	}
	if out := w.must(0, "doctor"); !strings.Contains(out, "workflow stale: its last slot is recorded for") {
		t.Errorf("doctor says:\n%s", out)
	}
	w.daemon(0, "a wrong clock had stopped the schedule", nil, "")
	if out := w.must(0, "doctor", "--format", "json"); !strings.Contains(out, `"stuck": []`) || !strings.Contains(out, `"not_purged": 0`) {
		t.Errorf("doctor says:\n%s", out)
	}
	if out := w.must(0, "list"); strings.Contains(out, "mended") {
		t.Errorf("list says:\n%s", out)
	}
}
