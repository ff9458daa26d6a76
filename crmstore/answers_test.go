package crmstore_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// What a server says that cannot do something at the moment: when it passes, nobody notices; when it stays, the error says what to
// do.
func TestServerSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		says   string
		passes bool // a little patience helps
		want   string
	}{
		{"LOADING Redis is loading the dataset in memory", true, "still loading its data (try again in a moment)"},
		{"READONLY You can't write against a read only replica.", true, "read-only replica (open the primary"},
		{"CLUSTERDOWN The cluster is down", true, "the cluster is down (see CLUSTER INFO on a node)"},
		{"TRYAGAIN Multiple keys request during rehashing of slot", true, "moving what was asked for (try again in a moment)"},
		{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true, "the primary is down"},
		{"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", true, "SCRIPT KILL"},
		{"OOM command not allowed when used memory > 'maxmemory'.", false, "raise its maxmemory"},
		{"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", false, "cannot save to disk"},
		{"NOPERM this user has no permissions to run the 'evalsha' command", false, "ACL does not allow"},
	} {
		name, _, _ := strings.Cut(c.says, " ")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := storetest.StartRelay(t, storetest.StartServer(t))
			s, err := openAt(t, "redis://"+relay.Address)
			if err != nil {
				t.Fatal(err)
			}
			use(t, s)
			deed := func(name string) error {
				_, err := s.CreateList(t.Context(), record.Contact, name, someone, noon)
				return err
			}
			var times atomic.Int64
			scripts := func(atMost int64) func(string) string {
				times.Store(0)
				return func(command string) string {
					if (command == "evalsha" || command == "eval") && times.Add(1) <= atMost {
						return c.says
					}
					return ""
				}
			}
			relay.Answer(scripts(2))
			if err := deed("passing"); c.passes && (err != nil || times.Load() != 3) {
				t.Errorf("said twice: %v, tried %d times", err, times.Load())
			} else if !c.passes {
				wantError(t, err, c.want)
				if times.Load() != 1 {
					t.Errorf("tried %d times, which cannot help", times.Load())
				}
			}
			relay.Answer(scripts(1 << 40))
			wantError(t, deed("staying"), c.want)
			if n := times.Load(); c.passes != (n > 1) || n > 10 {
				t.Errorf("tried %d times", n)
			}
			relay.Answer(nil)
			if err := deed("over"); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// A server that runs somebody else's endless script answers nothing else. The store waits a little, says so, and works on when the
// script is over.
func TestBusyServer(t *testing.T) {
	t.Parallel()
	at := storetest.StartServer(t, "--lua-time-limit", "20")
	s, err := openAt(t, "redis://"+at)
	if err != nil {
		t.Fatal(err)
	}
	use(t, s)
	rdb := redis.NewClient(&redis.Options{Addr: at, DisableIdentity: true, ReadTimeout: time.Minute, MaxRetries: -1})
	defer rdb.Close()
	endless := func() <-chan error {
		ended := make(chan error, 1)
		go func() { ended <- rdb.Eval(context.WithoutCancel(t.Context()), "while true do end", nil).Err() }()
		waitFor(t, func() bool { return redis.HasErrorPrefix(rdb.Ping(t.Context()).Err(), "BUSY") })
		return ended
	}
	kill := func(ended <-chan error) {
		if err := rdb.ScriptKill(t.Context()).Err(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("the endless script came to an end")
		}
	}
	ended := endless()
	_, err = s.CreateList(t.Context(), record.Contact, "busy", someone, noon)
	wantError(t, err, "SCRIPT KILL")
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a busy server counts as one that answers")
	}
	kill(ended)
	if _, err := s.CreateList(t.Context(), record.Contact, "busy", someone, noon); err != nil && !errors.Is(err, record.ErrExists) {
		t.Errorf("afterwards: %v", err)
	}
}
