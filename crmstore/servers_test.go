package crmstore_test

import (
	"errors"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// openAt opens a store at an address and closes it at the end of the test.
func openAt(t *testing.T, address string) (*crmstore.Store, error) {
	t.Helper()
	s, err := crmstore.Open(t.Context(), crmstore.Config{URL: address, User: storetest.User})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// use makes an account and changes it: scripts, plain commands and pipelines.
func use(t *testing.T, s *crmstore.Store) {
	t.Helper()
	ctx := t.Context()
	if _, err := s.CreateAccount(ctx, crmstore.Enterprise, 64, someone, storetest.Time); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddProperties(ctx, record.Contact, []record.Property{{Name: "x", Type: record.Bool}}, someone, storetest.Time); err != nil {
		t.Fatal(err)
	}
	matches := make([]crmstore.Matches, 64)
	for p := range matches {
		matches[p] = crmstore.Matches{Partition: p, IDs: []record.ID{record.ID(p + 1)}}
	}
	if err := s.SaveMatches(ctx, crmstore.RunMatches{Object: record.Contact, Run: "w@1"}, matches); err != nil {
		t.Fatal(err)
	}
	useRecords(t, s)
	if got, err := s.Matches(ctx, record.Contact, "w@1", 0, 64); err != nil || len(got) != 64 {
		t.Fatalf("%d matches, %v; want 64", len(got), err)
	}
}

// wantError checks that an error is there, says what it should and hides passwords.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v; want %q and no password", err, want)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t, "--requirepass", "secret")
	s, err := openAt(t, "redis://:secret@"+at)
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	if s.Describe() != "redis://"+at {
		t.Errorf("Describe is %q", s.Describe())
	}
	_, err = openAt(t, "redis://"+at)
	wantError(t, err, "asks for a password")
	_, err = openAt(t, "redis://anna:secretly@"+at)
	wantError(t, err, "refuses the user name or the password")
	_, err = openAt(t, "redis+cluster://"+at)
	wantError(t, err, "password")
}

func TestDown(t *testing.T) {
	t.Parallel()
	port := storetest.FreePort(t)
	for _, address := range []string{"redis://:secret@127.0.0.1:" + port, "redis+cluster://:secret@127.0.0.1:" + port} {
		_, err := openAt(t, address)
		wantError(t, err, "cannot be reached (is the server up, and the address right?)")
	}
	_, err := openAt(t, "redis+sentinel://127.0.0.1:"+port+"/m")
	wantError(t, err, "sentinel")
	_, err = openAt(t, "unix://"+filepath.Join(t.TempDir(), "none"))
	wantError(t, err, "cannot be reached")
}

func TestReadOnlyReplica(t *testing.T) {
	t.Parallel()
	primary := storetest.StartServer(t)
	host, port, _ := net.SplitHostPort(primary)
	at := storetest.StartServer(t, "--replicaof", host, port)
	s, err := openAt(t, "redis://"+at)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateAccount(t.Context(), crmstore.Free, 1, someone, storetest.Time)
	wantError(t, err, "read-only replica (open the primary")
}

// A question about the health of a server that refuses writes sends it no script: scripts are sent again until the server takes
// them, and the answer that it takes none would come too late.
func TestHealth_SendsNoScriptWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t)
	s, err := openAt(t, "redis://"+at)
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	rdb := storetest.Client(t, at)
	if err := rdb.Do(t.Context(), "REPLICAOF", "127.0.0.1", storetest.FreePort(t)).Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	troubles, err := s.Health(t.Context())
	if err != nil || len(troubles) == 0 || troubles[0].Code != crmstore.TroubleNotInSync {
		t.Fatalf("Health() = %v, %v; want %s first", troubles, err, crmstore.TroubleNotInSync)
	}
	stats, err := rdb.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stats, "cmdstat_eval") {
		t.Errorf("the server was sent a script:\n%s", stats)
	}
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t, "--maxmemory", "1kb")
	s, err := openAt(t, "redis://"+at)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateAccount(t.Context(), crmstore.Free, 1, someone, storetest.Time)
	wantError(t, err, "out of memory (raise its maxmemory")
	rdb := redis.NewClient(&redis.Options{Addr: at})
	defer rdb.Close()
	limit := func(memory string) {
		if err := rdb.ConfigSet(t.Context(), "maxmemory", memory).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("0")
	use(t, s)
	limit("1kb")
	_, err = s.CreateList(t.Context(), record.Contact, "one", someone, storetest.Time)
	wantError(t, err, "out of memory (raise its maxmemory")
	// A transaction that only reads is refused by Redis 6.2 and 7.0, and not by later servers.
	if err = s.Doctor(t.Context(), record.Contact, false, func(crmstore.Problem) error { return nil }); err != nil {
		wantError(t, err, "out of memory (raise its maxmemory")
	}
	_, err = openAt(t, "redis://"+storetest.StartServer(t, "--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"))
	wantError(t, err, "set noeviction")
}

func TestAnotherLayout(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t)
	s, err := openAt(t, "redis://"+at)
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	rdb := redis.NewClient(&redis.Options{Addr: at})
	defer rdb.Close()
	if err := rdb.HSet(t.Context(), "crm:{default}:account", "layout", 99).Err(); err != nil {
		t.Fatal(err)
	}
	_, err = openAt(t, "redis://"+at)
	if !errors.Is(err, record.ErrLayout) {
		t.Errorf("Open: %v, want ErrLayout", err)
	}
	wantError(t, err, `version "99", this program reads version 2`)
}

// A server that forgot its scripts (a restart, a failover) is told them again, and only what failed is repeated.
func TestForgottenScripts(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t)
	s, err := openAt(t, "redis://"+at)
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	rdb := redis.NewClient(&redis.Options{Addr: at})
	defer rdb.Close()
	if err := rdb.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		schema, err := s.AddProperties(t.Context(), record.Deal, []record.Property{{Name: "x", Type: record.Bool}}, someone, storetest.Time)
		if errors.Is(err, record.ErrExists) {
			continue
		}
		if err != nil || schema.Version != 2 {
			t.Errorf("version %d, %v; want 2", schema.Version, err)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	storetest.WriteCertificate(t, dir)
	port := storetest.FreePort(t)
	at := storetest.StartServerAt(t, port, "--port", "0", "--tls-port", port, "--tls-auth-clients", "no", "--requirepass", "secret",
		"--tls-cert-file", filepath.Join(dir, "cert"), "--tls-key-file", filepath.Join(dir, "key"), "--tls-ca-cert-file", filepath.Join(dir, "cert"))
	s, err := openAt(t, "rediss://:secret@"+at+"?skip_verify=true")
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	_, err = openAt(t, "rediss://:secret@"+at)
	wantError(t, err, "certificate is not trusted")
}

// Through a sentinel, with a password and a database of its own, the store reaches the master.
func TestSentinel(t *testing.T) {
	t.Parallel()
	servers := storetest.StartSentinel(t)
	s, err := openAt(t, servers.URL("")+"?db=2")
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	direct, err := openAt(t, "redis://"+servers.Nodes()[0]+"/2")
	if err != nil {
		t.Fatal(err)
	}
	if a, err := direct.Account(t.Context()); err != nil || a.Tier != crmstore.Enterprise {
		t.Errorf("account behind the sentinel: %+v, %v", a, err)
	}
	_, err = openAt(t, strings.TrimSuffix(servers.URL(""), "main")+"other")
	wantError(t, err, "no sentinel")
	for _, fail := range []func(){servers.FailOver, servers.KillMaster} {
		servers.Synced()
		fail()
		again(t, s)
	}
}

// Three masters share the partitions: scripts reach the right one, each learns the scripts it needs, and the store is used on
// after slots have moved and masters were replaced.
func TestCluster(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 0))
	cluster := storetest.StartCluster(t)
	_, err := openAt(t, "redis://"+cluster.Nodes()[0])
	wantError(t, err, "redis+cluster://")
	s, err := openAt(t, cluster.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	for _, change := range []func(){
		func() {
			if n := cluster.MoveSlots(random, 20); n < 20 {
				t.Errorf("%d keys were moved; want at least one for each of 20 slots", n)
			}
		},
		func() { cluster.FailOver(random) },
		func() { cluster.KillMaster(random) },
	} {
		cluster.Synced()
		change()
		again(t, s)
	}
	for i, node := range cluster.Nodes() {
		rdb := redis.NewClient(&redis.Options{Addr: node})
		if n, err := rdb.DBSize(t.Context()).Result(); err != nil || n < 10 {
			t.Errorf("node %d has %d keys, %v; want its share", i, n, err)
		}
		_ = rdb.Close()
	}
}

// again reads and writes what use has made.
func again(t *testing.T, s *crmstore.Store) {
	t.Helper()
	if got, err := s.Matches(t.Context(), record.Contact, "w@1", 0, 64); err != nil || len(got) != 64 {
		t.Fatalf("%d matches, %v; want 64", len(got), err)
	}
	schema, err := s.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{s, t, schema}
	var batch []crmstore.Upsert
	var ids []record.ID
	for id := range 100 { // those that useRecords restored
		batch = append(batch, d.up(record.ID(id+1), "num_associated_deals", -1))
		ids = append(ids, record.ID(id+1))
	}
	d.write(crmstore.UpdateOnly, noon, batch...)
	d.archive(crmstore.ArchiveOrder{Object: record.Contact, Cause: byHand.Cause, At: noon}, d.targets("", ids...))
	if c, err := s.Count(t.Context(), record.Contact); c != (crmstore.Counts{Archived: 150}) || err != nil {
		t.Errorf("Count = %+v, %v", c, err)
	}
	for _, got := range d.restore(byHand, ids...) {
		if got.Outcome != crmstore.Restored {
			t.Errorf("restore: %+v", got)
		}
	}
	if err := s.Doctor(t.Context(), record.Contact, false, func(p crmstore.Problem) error {
		t.Errorf("doctor: %+v", p)
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// waitFor waits until something outside this process has come true.
func waitFor(t *testing.T, come func() bool) {
	t.Helper()
	for deadline := time.After(20 * time.Second); !come(); {
		select {
		case <-deadline:
			t.Fatal("it does not come true within 20 s")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestDir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := openAt(t, "dir:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	if s.Volatile() || s.Describe() != "dir:"+dir {
		t.Errorf("Volatile %v, Describe %q", s.Volatile(), s.Describe())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := openAt(t, "dir:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := again.Account(t.Context()); err != nil || a.Tier != crmstore.Enterprise {
		t.Fatalf("account after closing: %+v, %v", a, err)
	}
	if got, err := again.Matches(t.Context(), record.Contact, "w@1", 0, 64); err != nil || len(got) != 64 {
		t.Errorf("%d matches after closing, %v; want 64", len(got), err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if err := again.Ping(t.Context()); err == nil {
		t.Error("Ping after Close has no error")
	}
}
