// Package storetest gives tests a real store: one redis-server (or valkey-server) for a test package, an account
// of its own for each test. Only tests may import it.
//
// It promises that nothing is left behind, and it never skips: without a server on PATH a test fails and says
// what to install. It never keeps anything on disk.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// The server of this test process. Main sets it before any test runs and nothing changes it afterwards.
var server struct {
	url      string
	trouble  error
	started  bool
	accounts atomic.Int64
}

// Main starts the server, runs the tests and stops it; call it from TestMain: os.Exit(storetest.Main(m)).
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "crm")
	if err != nil {
		fmt.Fprintln(os.Stderr, "storetest:", err)
		return 3
	}
	defer os.RemoveAll(dir)
	server.started = true
	stop, err := start(dir)
	if err != nil {
		server.trouble = err // tests that need no server still run
		return m.Run()
	}
	defer stop()
	return m.Run()
}

// start starts a server on a socket in dir, with nothing on disk, and waits until it answers.
func start(dir string) (stop func(), err error) {
	program, err := findServer()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(program, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700",
		"--save", "", "--appendonly", "no", "--dir", dir, "--logfile", filepath.Join(dir, "log"), "--daemonize", "no")
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	var why error // of its end; set before ended is closed
	ended := make(chan struct{})
	go func() {
		why = cmd.Wait()
		close(ended)
	}()
	stop = func() {
		_ = cmd.Process.Kill()
		<-ended
	}
	server.url = "unix://" + socket
	for deadline := time.Now().Add(20 * time.Second); ; {
		if s, err := crmstore.Open(context.Background(), crmstore.Config{URL: server.url}); err == nil {
			return stop, s.Close()
		} else if time.Now().After(deadline) {
			stop()
			return nil, fmt.Errorf("%s does not answer: %w", program, err)
		}
		select {
		case <-ended:
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return nil, fmt.Errorf("%s ended at once: %w\n%s", program, why, log)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func findServer() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("these tests need redis-server or valkey-server on PATH; " +
		"install it (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis; Fedora: dnf install valkey)")
}

// URL is the address of the test package's server, for tests that open the store themselves or start a program.
func URL(t testing.TB) string {
	t.Helper()
	switch {
	case !server.started:
		t.Fatal("storetest: this package needs: func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }")
	case server.trouble != nil:
		t.Fatal("storetest: ", server.trouble)
	}
	return server.url
}

// Options say what account a test gets; the zero Options mean what [Open] gives.
type Options struct {
	Tier       crmstore.Tier // "" = professional
	Partitions int           // 0 = 16
	Memory     bool          // in miniredis instead of the real server
}

// User is who acts through the stores that this package opens: super admin of the accounts that it makes.
const User = "storetest"

// From is what the audit log says of the processes that open a store through this package.
const From = "tester@storetest"

// Time is when the accounts of tests are made.
var Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Open opens the store with a new account of its own: professional, 16 partitions.
func Open(t testing.TB) *crmstore.Store { return OpenWith(t, Options{}) }

// OpenWith is [Open] with another kind of account.
func OpenWith(t testing.TB, o Options) *crmstore.Store {
	t.Helper()
	if o.Tier == "" {
		o.Tier = crmstore.Professional
	}
	if o.Partitions == 0 {
		o.Partitions = 16
	}
	address := "memory"
	if !o.Memory {
		address = URL(t)
	}
	s := open(t, address, NewAccountName(t))
	if _, err := s.CreateAccount(t.Context(), o.Tier, o.Partitions, record.Cause{}, Time); err != nil {
		t.Fatal("storetest: ", err)
	}
	return s
}

// OpenEmpty opens the store with a name of its own under which no account exists yet.
func OpenEmpty(t testing.TB) *crmstore.Store {
	t.Helper()
	return open(t, URL(t), NewAccountName(t))
}

// Memory is [Open] on an in-memory store.
func Memory(t testing.TB) *crmstore.Store { return OpenWith(t, Options{Memory: true}) }

// Again opens the account of s a second time, as another process would.
func Again(t testing.TB, s *crmstore.Store) *crmstore.Store {
	t.Helper()
	return open(t, URL(t), s.AccountName())
}

// NewAccountName is an account name that no other test of the package has.
func NewAccountName(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()))
	return fmt.Sprintf("%.40s-%d", name, server.accounts.Add(1))
}

func open(t testing.TB, address, account string) *crmstore.Store {
	t.Helper()
	s, err := crmstore.Open(context.Background(), crmstore.Config{URL: address, Account: account, User: User, From: From})
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("storetest: ", err)
		}
	})
	return s
}
