package main

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// This file replays what happened to servers while the program used them, with the program itself and servers of the tests' own.

// siteAt makes an account with 60 stale contacts and a published workflow, whose run over its limits is held, at a server.
func siteAt(t *testing.T, server string) program {
	t.Helper()
	p := program{t: t, url: "redis://" + server}
	p.must("account", "create", "--partitions", "8")
	var lines strings.Builder
	lines.WriteString("email,lifecyclestage,last_activity_date\n")
	for i := range 60 {
		lines.WriteString("c" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "@example.com,lead,2020-01-01\n")
	}
	dir := t.TempDir()
	contacts, file := filepath.Join(dir, "contacts.csv"), filepath.Join(dir, "stale.yaml")
	for name, text := range map[string]string{contacts: lines.String(), file: strings.ReplaceAll(killWorkflow, "max_deletions: 20000", "max_deletions: 5")} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.must("records", "import", contacts)
	p.must("publish", file, "--yes")
	return p
}

// fails runs the program to an end with that exit code and returns what it printed.
func (p program) fails(code int, args ...string) string {
	p.t.Helper()
	out, err := p.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		p.t.Fatalf("workflow %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

// end stops the daemon and returns its log.
func (d *runningDaemon) end() string {
	d.t.Helper()
	d.signal(os.Interrupt)
	d.ended()
	return strings.Join(d.log, "\n")
}

// acceptLoss goes on without what the store has lost, with the number that the program says first.
func (p program) acceptLoss() {
	p.t.Helper()
	out := p.fails(1, "account", "accept-loss")
	_, number, found := strings.Cut(out, "--confirm ")
	if !found {
		p.t.Fatalf("accept-loss without a number says:\n%s", out)
	}
	p.must("account", "accept-loss", "--confirm", strings.Fields(number)[0])
}

// wantOnce wants the log to say a trouble once.
func wantOnce(t *testing.T, log, trouble string) {
	t.Helper()
	if n := strings.Count(log, `"trouble":"`+trouble+`"`); n != 1 {
		t.Errorf("the log says %s %d times, want once:\n%s", trouble, n, log)
	}
}

// FLUSHALL under two daemons: both say so, are not ready, keep the alert about the held run, and write nothing into the empty
// store. An account that is made again under the same name is another one.
func TestHealth_FlushAll(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t)
	p := siteAt(t, at)
	p.fails(1, "run", "stale", "--now", killedNow)
	first, second := startDaemon(t, p), startDaemon(t, p)
	for _, d := range []*runningDaemon{first, second} {
		d.eventually("/readyz", http.StatusOK, "ready")
		d.eventually("/metrics", http.StatusOK, "workflow_held_runs 1")
		d.eventually("/metrics", http.StatusOK, `crmstore_records{object="contact",state="live"} 60`)
		d.eventually("/metrics", http.StatusOK, `crmstore_trouble{trouble="account-gone"} 0`)
	}
	ask(t, "tcp", at, "FLUSHALL")
	for _, d := range []*runningDaemon{first, second} {
		d.eventually("/readyz", http.StatusServiceUnavailable, "account default is gone")
		d.eventually("/metrics", http.StatusOK, `crmstore_trouble{trouble="account-gone"} 1`)
		d.eventually("/metrics", http.StatusOK, "workflow_held_runs 1")
		d.eventually("/metrics", http.StatusOK, `workflow_published{workflow="stale"} 1`)
		d.eventually("/metrics", http.StatusOK, `crmstore_records{object="contact",state="live"} 60`)
	}
	if keys := ask(t, "tcp", at, "KEYS", "crm:*"); keys != "*0" {
		t.Errorf("the daemons wrote into the empty store: %s", keys)
	}
	p.must("account", "create", "--partitions", "8")
	for _, d := range []*runningDaemon{first, second} {
		d.eventually("/readyz", http.StatusServiceUnavailable, "another was made under its name")
		log := d.end()
		wantOnce(t, log, "account-gone")
		wantOnce(t, log, "other-account")
	}
}

// A daemon on a read-only replica is not ready, and says why; one that becomes writable is.
func TestHealth_Replica(t *testing.T) {
	t.Parallel()
	primary := storetest.StartServer(t)
	siteAt(t, primary)
	host, port, _ := net.SplitHostPort(primary)
	at := storetest.StartServer(t, "--replicaof", host, port)
	p := program{t: t, url: "redis://" + at}
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(ask(t, "tcp", at, "ROLE"), "connected"); {
		if time.Now().After(deadline) {
			t.Fatal("the replica does not come in sync")
		}
	}
	d := startDaemon(t, p)
	d.eventually("/readyz", http.StatusServiceUnavailable, "is a read-only replica")
	d.eventually("/metrics", http.StatusOK, `crmstore_trouble{trouble="read-only"} 1`)
	if out := p.fails(3, "records", "create", "email=ada@example.com"); !strings.Contains(out, "read-only replica") || !strings.Contains(out, "open the primary") {
		t.Errorf("a verb that writes says:\n%s", out)
	}
	if out := p.must("records", "count"); !strings.Contains(out, "60") {
		t.Errorf("a verb that reads says:\n%s", out)
	}
	ask(t, "tcp", at, "REPLICAOF", "NO", "ONE")
	d.eventually("/readyz", http.StatusOK, "ready")
	wantOnce(t, d.end(), "read-only")
}

// A replica that was never in sync has no account, and does not ask for one to be created.
func TestHealth_ReplicaThatIsNotInSync(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t, "--replicaof", "127.0.0.1", storetest.FreePort(t))
	p := program{t: t, url: "redis://" + at}
	for _, args := range [][]string{{"account", "show"}, {"records", "list"}, {"daemon"}, {"records", "create", "email=a@example.com"}, {"account", "create"}} {
		out := p.fails(3, args...)
		if !strings.Contains(out, "not in sync with its primary") || strings.Contains(out, "account create") {
			t.Errorf("workflow %s says:\n%s", strings.Join(args, " "), out)
		}
	}
	ask(t, "tcp", at, "CONFIG", "SET", "replica-serve-stale-data", "no")
	for _, args := range [][]string{{"account", "show"}, {"records", "create", "email=a@example.com"}} {
		if out := p.fails(3, args...); strings.Contains(out, "account create") || !strings.Contains(out, "primary") {
			t.Errorf("with replica-serve-stale-data no, workflow %s says:\n%s", strings.Join(args, " "), out)
		}
	}
}

// A server that takes no more data makes daemons wait, and no alert says that the queue is broken.
func TestHealth_OutOfMemory(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t)
	p := siteAt(t, at)
	d := startDaemon(t, p)
	d.eventually("/readyz", http.StatusOK, "ready")
	ask(t, "tcp", at, "CONFIG", "SET", "maxmemory", "1kb")
	d.eventually("/readyz", http.StatusServiceUnavailable, "out of memory")
	d.eventually("/metrics", http.StatusOK, `crmstore_trouble{trouble="out-of-memory"} 1`)
	if out := p.fails(3, "run", "stale"); !strings.Contains(out, "out of memory") {
		t.Errorf("workflow run says:\n%s", out)
	}
	ask(t, "tcp", at, "CONFIG", "SET", "maxmemory", "0")
	d.eventually("/readyz", http.StatusOK, "ready")
	d.eventually("/metrics", http.StatusOK, `workflow_queue_bypassed_total{workflow="stale"} 0`)
	wantOnce(t, d.end(), "out-of-memory")
}

// dropSome has the server drop a few keys by itself. They are another program's: only its keys have a time to live, so the
// account keeps its users, and a verb that reads still works.
func dropSome(t *testing.T, at string) {
	t.Helper()
	rdb := storetest.Client(t, at)
	pipe := rdb.Pipeline()
	for i := range 20000 {
		pipe.Set(t.Context(), "other:"+strconv.Itoa(i), strings.Repeat("x", 64), time.Hour)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := rdb.Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "used_memory:")
	used, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	if err != nil {
		t.Fatal(err)
	}
	ask(t, "tcp", at, "CONFIG", "SET", "maxmemory-policy", "volatile-lru")
	ask(t, "tcp", at, "CONFIG", "SET", "maxmemory", strconv.Itoa(used-20000))
	ask(t, "tcp", at, "EXISTS", "one")
	ask(t, "tcp", at, "CONFIG", "SET", "maxmemory", "0")
	ask(t, "tcp", at, "CONFIG", "SET", "maxmemory-policy", "noeviction")
}

// Eviction that is switched on under a daemon, and keys that were dropped before it was switched off again.
func TestHealth_Eviction(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t)
	p := siteAt(t, at)
	d := startDaemon(t, p)
	d.eventually("/readyz", http.StatusOK, "ready")
	for _, policy := range []string{"volatile-ttl", "allkeys-random"} {
		ask(t, "tcp", at, "CONFIG", "SET", "maxmemory-policy", policy)
		ask(t, "tcp", at, "CONFIG", "SET", "maxmemory", "1gb")
		d.eventually("/readyz", http.StatusServiceUnavailable, "maxmemory-policy "+policy)
		ask(t, "tcp", at, "CONFIG", "SET", "maxmemory-policy", "noeviction")
		d.eventually("/readyz", http.StatusOK, "ready")
	}
	dropSome(t, at)
	d.eventually("/readyz", http.StatusServiceUnavailable, "dropped")
	d.eventually("/metrics", http.StatusOK, `crmstore_trouble{trouble="evicted"} 1`)
	if out := p.fails(3, "records", "create", "email=ada@example.com"); !strings.Contains(out, "keys by itself") {
		t.Errorf("a verb that writes says:\n%s", out)
	}
	wantOnce(t, d.end(), "evicted")
	var talk bytes.Buffer
	cmd := p.command("records", "count")
	cmd.Stderr = &talk
	if err := cmd.Run(); err != nil || !strings.Contains(talk.String(), "dropped") {
		t.Errorf("a verb that reads does not say that keys were dropped: %q", talk.String())
	}
}

// Records that vanish under a daemon stop everything until a person accepts it; doctor does not call that good, repaired or not.
func TestHealth_RecordsMissing(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t)
	p := siteAt(t, at)
	d := startDaemon(t, p)
	d.eventually("/readyz", http.StatusOK, "ready")
	// What an eviction leaves of two partitions: nothing of one, all but the records of the other.
	rdb := storetest.Client(t, at)
	lost := int64(0)
	for _, partition := range []string{"crm:{default/contact/1}:", "crm:{default/contact/2}:"} {
		n, err := rdb.HLen(t.Context(), partition+"rec").Result()
		if err != nil || n == 0 {
			t.Fatalf("%s: %d records, %v", partition, n, err)
		}
		lost += n
	}
	keys, err := rdb.Keys(t.Context(), "crm:{default/contact/1}:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.Del(t.Context(), append(keys, "crm:{default/contact/2}:rec")...).Err(); err != nil {
		t.Fatal(err)
	}
	words := strconv.FormatInt(lost, 10) + " contacts are missing"
	d.eventually("/readyz", http.StatusServiceUnavailable, words)
	d.eventually("/metrics", http.StatusOK, `crmstore_trouble{trouble="records-missing"} 1`)
	for _, args := range [][]string{{"records", "create", "email=ada@example.com"}, {"run", "stale"}, {"purge", "--expired"}} {
		if out := p.fails(3, args...); !strings.Contains(out, words) || !strings.Contains(out, "workflow account accept-loss") {
			t.Errorf("workflow %s says:\n%s", strings.Join(args, " "), out)
		}
	}
	for _, args := range [][]string{{"doctor"}, {"doctor", "--repair"}, {"doctor"}} {
		if out := p.fails(1, args...); strings.Contains(out, "good") || !strings.Contains(out, "records-missing") {
			t.Errorf("workflow %s says:\n%s", strings.Join(args, " "), out)
		}
	}
	d.eventually("/readyz", http.StatusServiceUnavailable, words)
	if out := p.fails(1, "account", "accept-loss"); !strings.Contains(out, strconv.FormatInt(lost, 10)+" contacts missing") {
		t.Errorf("accept-loss without a number says:\n%s", out)
	}
	p.acceptLoss()
	d.eventually("/readyz", http.StatusOK, "ready")
	if out := p.must("audit", "--action", "accept-loss"); !strings.Contains(out, strconv.FormatInt(lost, 10)+" contacts") {
		t.Errorf("the audit log says:\n%s", out)
	}
	if out := p.must("account", "accept-loss"); !strings.Contains(out, "nothing is missing") {
		t.Errorf("accept-loss once more says:\n%s", out)
	}
	p.must("records", "create", "email=ada@example.com")
	d.end()
}

// Without a daemon, a run looks before it finds out who matches.
func TestHealth_RunCountsFirst(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t)
	p := siteAt(t, at)
	rdb := storetest.Client(t, at)
	keys, err := rdb.Keys(t.Context(), "crm:{default/contact/5}:*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if err := rdb.Del(t.Context(), keys...).Err(); err != nil {
		t.Fatal(err)
	}
	if out := p.fails(3, "run", "stale"); !strings.Contains(out, "contacts are missing") || !strings.Contains(out, "can be resumed") {
		t.Errorf("workflow run says:\n%s", out)
	}
	if out := p.must("records", "count", "--archived"); !strings.Contains(out, "0") {
		t.Errorf("after a run that was stopped: %s", out)
	}
	// What explains a fall is no loss: records that are deleted, purged, deleted permanently, imported anew.
	p.acceptLoss()
	p.must("delete", "--where", "contact.email startsWith \"ca\"", "--confirm", strings.TrimSpace(strings.Fields(p.must("records", "count", "--where", "contact.email startsWith \"ca\""))[0]))
	if out := p.must("account", "accept-loss"); !strings.Contains(out, "nothing is missing") {
		t.Errorf("after a deletion: %s", out)
	}
}

// A permanent deletion has the append-only file written anew, so that the person is not in it any more; where the store's user may
// not ask for that, the verb says that the file still holds the person.
func TestHealth_PermanentDeletionLeavesTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := storetest.StartServer(t, "--dir", dir, "--appendonly", "yes", "--appendfsync", "always")
	p := program{t: t, url: "redis://" + at}
	p.must("account", "create", "--partitions", "8")
	const person = "wilhelmina.vandersteen@example.com"
	held := func() bool {
		files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*"))
		older, err2 := filepath.Glob(filepath.Join(dir, "appendonly.aof")) // before Redis 7.0
		if files = append(files, older...); err != nil || err2 != nil || len(files) == 0 {
			t.Fatalf("%d files, %v, %v", len(files), err, err2)
		}
		for _, name := range files {
			if text, err := os.ReadFile(name); err == nil && bytes.Contains(text, []byte("wilhelmina.vandersteen")) {
				return true
			}
		}
		return false
	}
	p.must("records", "create", "email="+person)
	if !held() {
		t.Fatal("the file does not hold the person: the way to look is broken")
	}
	if out := p.must("delete", person, "--permanent", "--confirm", "1"); !strings.Contains(out, "append-only file anew") {
		t.Errorf("the verb says:\n%s", out)
	}
	for deadline := time.Now().Add(30 * time.Second); held(); {
		if time.Now().After(deadline) {
			t.Fatal("the file still holds the person")
		}
	}
	if reply := ask(t, "tcp", at, append(aclLine(t), "-bgrewriteaof")...); reply != "+OK" {
		t.Fatal(reply)
	}
	p.must("records", "create", "email=ada@example.com")
	q := program{t: t, url: "redis://workflow:SECRET@" + at}
	if out := q.must("delete", "ada@example.com", "--permanent", "--confirm", "1"); !strings.Contains(out, "still holds them") || !strings.Contains(out, "redis-cli BGREWRITEAOF") {
		t.Errorf("without the permission the verb says:\n%s", out)
	}
}

// A daemon sends no mail while the store is in trouble, here by its clock. When that is over the mail goes out, once.
func TestHealth_MailsWait(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t)
	box, stop, err := startPost("4xx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	p := siteAt(t, at)
	for key, value := range map[string]string{"smtp_host": "127.0.0.1", "smtp_port": box.port, "smtp_tls": "none", "smtp_from": "crm@example.com"} {
		p.must("account", "set", key, value)
	}
	p.must("users", "email", storetest.User, "anna@example.com")
	if out := p.must("delete", "--permanent", "1", "--confirm", "1"); !strings.Contains(out, "waits in the outbox") {
		t.Fatalf("the deletion says:\n%s", out)
	}
	store, err := crmstore.Open(t.Context(), crmstore.Config{URL: p.url, User: storetest.User})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	passLease(t, store)
	box.mu.Lock()
	box.mode = "accept"
	box.mu.Unlock()
	relay := storetest.StartRelay(t, at)
	relay.Ahead(2 * time.Minute)
	d := startDaemon(t, program{t: t, url: "redis://" + relay.Address})
	d.eventually("/readyz", http.StatusServiceUnavailable, "clock")
	d.eventually("/metrics", http.StatusOK, `crmstore_trouble{trouble="clock-differs"} 1`)
	checkOneMail(t, box, 0)
	relay.Ahead(0)
	d.eventually("/readyz", http.StatusOK, "ready")
	d.eventually("/metrics", http.StatusOK, `workflow_mails_total{outcome="sent"} 1`)
	d.end()
	checkOneMail(t, box, 1)
}

// Whoever is no user of the account starts nothing in it. A daemon whose acting user is taken off the account is not ready, says
// so once and in its metric; when the user is added again it goes on.
func TestHealth_ActingUser(t *testing.T) {
	t.Parallel()
	p := siteAt(t, storetest.StartServer(t))
	for _, args := range [][]string{{"daemon", "--listen", "none", "--as", "robot"}, {"run", "stale", "--now", killedNow, "--as", "robot"}} {
		out := p.fails(1, args...)
		if !strings.Contains(out, "robot is not a user of account default") || !strings.Contains(out, "workflow users add robot") {
			t.Errorf("workflow %s says:\n%s", args[0], out)
		}
	}
	p.must("users", "add", "robot")
	d := startDaemon(t, p, "--as", "robot")
	d.eventually("/readyz", http.StatusOK, "ready")
	p.must("users", "remove", "robot", "--yes")
	d.eventually("/readyz", http.StatusServiceUnavailable, "robot is not a user of account default (a super admin of the account can change that with: workflow users add robot)")
	d.eventually("/metrics", http.StatusOK, `crmstore_trouble{trouble="not-a-user"} 1`)
	p.must("users", "add", "robot")
	d.eventually("/readyz", http.StatusOK, "ready")
	d.eventually("/metrics", http.StatusOK, `crmstore_trouble{trouble="not-a-user"} 0`)
	wantOnce(t, d.end(), "not-a-user")
}
