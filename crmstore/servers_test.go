package crmstore_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
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
	if _, err := s.AddProperties(ctx, crmstore.Contact, []crmstore.Property{{Name: "x", Type: crmstore.Bool}}, someone, storetest.Time); err != nil {
		t.Fatal(err)
	}
	matches := make([]crmstore.Matches, 64)
	for p := range matches {
		matches[p] = crmstore.Matches{Partition: p, IDs: []crmstore.ID{crmstore.ID(p + 1)}}
	}
	if err := s.SaveMatches(ctx, crmstore.RunMatches{Object: crmstore.Contact, Run: "w@1"}, matches); err != nil {
		t.Fatal(err)
	}
	useRecords(t, s)
	if got, err := s.Matches(ctx, crmstore.Contact, "w@1", 0, 64); err != nil || len(got) != 64 {
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
	at := storetest.StartServer(t, "--replicaof", host+" "+port)
	s, err := openAt(t, "redis://"+at)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateAccount(t.Context(), crmstore.Free, 1, someone, storetest.Time)
	wantError(t, err, "read-only replica (open the primary")
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
	err = s.Doctor(t.Context(), crmstore.Contact, false, func(crmstore.Problem) error { return nil })
	wantError(t, err, "out of memory (raise its maxmemory")
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
	if !errors.Is(err, crmstore.ErrLayout) {
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
		schema, err := s.AddProperties(t.Context(), crmstore.Deal, []crmstore.Property{{Name: "x", Type: crmstore.Bool}}, someone, storetest.Time)
		if errors.Is(err, crmstore.ErrExists) {
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

func TestSentinel(t *testing.T) {
	t.Parallel()
	primary := storetest.StartServer(t, "--requirepass", "secret")
	host, port, _ := net.SplitHostPort(primary)
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	text := "sentinel monitor main " + host + " " + port + " 1\nsentinel auth-pass main secret\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := storetest.FreePort(t)
	at := storetest.StartServerAt(t, sentinel, config, "--port", sentinel, "--sentinel")
	s, err := openAt(t, "redis+sentinel://:secret@"+at+"/main?db=2")
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	direct, err := openAt(t, "redis://:secret@"+primary+"/2")
	if err != nil {
		t.Fatal(err)
	}
	if a, err := direct.Account(t.Context()); err != nil || a.Tier != crmstore.Enterprise {
		t.Errorf("account behind the sentinel: %+v, %v", a, err)
	}
	_, err = openAt(t, "redis+sentinel://:secret@"+at+"/other")
	wantError(t, err, "no sentinel")
}

// Two nodes share the partitions: scripts reach the right one, and each learns the scripts it needs.
func TestCluster(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var nodes []*redis.Client
	var at []string
	for range 2 {
		address := storetest.StartServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
		at = append(at, address)
		nodes = append(nodes, redis.NewClient(&redis.Options{Addr: address}))
		defer nodes[len(nodes)-1].Close()
	}
	host, port, _ := net.SplitHostPort(at[0])
	for i, cmd := range []*redis.StatusCmd{
		nodes[0].ClusterAddSlotsRange(ctx, 0, 8191),
		nodes[1].ClusterAddSlotsRange(ctx, 8192, 16383),
		nodes[1].ClusterMeet(ctx, host, port),
	} {
		if err := cmd.Err(); err != nil {
			t.Fatal(i, err)
		}
	}
	for _, node := range nodes {
		waitFor(t, func() bool {
			info, err := node.ClusterInfo(ctx).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:2")
		})
	}
	_, err := openAt(t, "redis://"+at[0])
	wantError(t, err, "redis+cluster://")
	s, err := openAt(t, "redis+cluster://"+strings.Join(at, ","))
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	for i, node := range nodes {
		if n, err := node.DBSize(ctx).Result(); err != nil || n < 10 {
			t.Errorf("node %d has %d keys, %v; want its share", i, n, err)
		}
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
	if got, err := again.Matches(t.Context(), crmstore.Contact, "w@1", 0, 64); err != nil || len(got) != 64 {
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
