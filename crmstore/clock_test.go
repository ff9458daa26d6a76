package crmstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

const day = 24 * time.Hour

// clockAt opens an account of its own behind a relay whose clock can be moved, by a process whose clock is ahead.
func clockAt(t *testing.T) (*storetest.Relay, func(ahead time.Duration) *crmstore.Store) {
	t.Helper()
	relay := storetest.StartRelay(t, storetest.StartServer(t))
	account := storetest.NewAccountName(t)
	return relay, func(ahead time.Duration) *crmstore.Store {
		s, err := crmstore.Open(t.Context(), crmstore.Config{URL: "redis://" + relay.Address, Account: account, User: storetest.User, ClockAhead: ahead})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
}

func newAccount(t *testing.T, s *crmstore.Store) {
	t.Helper()
	if _, err := s.CreateAccount(t.Context(), crmstore.Professional, 4, record.Cause{}, s.Now()); err != nil {
		t.Fatal(err)
	}
}

func keep(t *testing.T, s *crmstore.Store) crmstore.Clock {
	t.Helper()
	c, err := s.KeepClock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Now is the store's time, whatever the process's own clock shows.
func TestClock_NowIsTheStores(t *testing.T) {
	t.Parallel()
	_, open := clockAt(t)
	for _, ahead := range []time.Duration{0, 5 * time.Second, -90 * time.Second, day, -3650 * day} {
		s := open(ahead)
		before := time.Now()
		if got := s.Now(); got.Sub(before).Abs() > 10*time.Second {
			t.Errorf("a process %v ahead takes it to be %v at %v", ahead, got, before)
		}
		told, err := s.Time(t.Context())
		if err != nil || told.Sub(before).Abs() > 20*time.Second {
			t.Errorf("a process %v ahead is told %v at %v, %v", ahead, told, before, err)
		}
	}
}

// A process whose clock differs by more than a minute may not act, and is told by how much; one that differs by less may.
func TestClock_Differs(t *testing.T) {
	t.Parallel()
	_, open := clockAt(t)
	newAccount(t, open(0))
	for _, c := range []struct {
		Prefetch time.Duration
		state    string
	}{
		{0, crmstore.ClockGood},
		{5 * time.Second, crmstore.ClockGood},
		{-5 * time.Second, crmstore.ClockGood},
		{90 * time.Second, crmstore.ClockDiffers},
		{-90 * time.Second, crmstore.ClockDiffers},
		{day, crmstore.ClockDiffers},
		{-day, crmstore.ClockDiffers},
		{3650 * day, crmstore.ClockDiffers},
		{-3650 * day, crmstore.ClockDiffers},
	} {
		got := keep(t, open(c.Prefetch))
		if got.State != c.state || (got.Ahead()-c.Prefetch).Abs() > 10*time.Second {
			t.Errorf("%v ahead: state %s, %v ahead; want %s", c.Prefetch, got.State, got.Ahead(), c.state)
		}
		if _, wrong := errors.AsType[*crmstore.ClockError](got.May()); wrong != (c.state != crmstore.ClockGood) {
			t.Errorf("%v ahead: %v", c.Prefetch, got.May())
		}
	}
	if got := keep(t, open(0)); got.State != crmstore.ClockGood {
		t.Errorf("processes with wrong clocks left %s behind", got.State)
	}
}

// What the store's own clock does is found by a process that was there before and by one that comes anew, whether or not its own
// clock goes along, and stays until a person accepts it.
func TestClock_ServerMoves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		moved time.Duration
		state string // of processes whose clock moves along: nobody has a right one
	}{
		{5 * time.Second, crmstore.ClockGood},
		{-5 * time.Second, crmstore.ClockGood},
		{-90 * time.Second, crmstore.ClockWentBack},
		{day, crmstore.ClockLeapt},
		{-day, crmstore.ClockWentBack},
		{200 * day, crmstore.ClockLeapt},
		{3650 * day, crmstore.ClockLeapt},
		{-3650 * day, crmstore.ClockWentBack},
	} {
		t.Run(c.moved.String(), func(t *testing.T) {
			t.Parallel()
			relay, open := clockAt(t)
			s := open(0)
			newAccount(t, s)
			if got := keep(t, s); got.State != crmstore.ClockGood {
				t.Fatalf("at first: %s", got.State)
			}
			relay.Ahead(c.moved)
			if got := keep(t, open(c.moved)); got.State != c.state {
				t.Errorf("a new process: %s, want %s", got.State, c.state)
			}
			want := c.state
			if c.moved.Abs() > time.Minute {
				want = crmstore.ClockDiffers // its own clock stayed
			}
			before := s.Now()
			if got := keep(t, s); got.State != want {
				t.Errorf("the process from before: %s, want %s", got.State, want)
			}
			if moved := s.Now().Sub(before); c.moved.Abs() > time.Minute && moved.Abs() > 30*time.Second {
				t.Errorf("a process that does not trust the new time takes it over: its time moved by %v", moved)
			}
			relay.Ahead(0)
			if got := keep(t, open(0)); got.State != c.state {
				t.Errorf("right again: %s, want that a person has to accept it", got.State)
			}
			accepted, err := open(0).AcceptClock(t.Context(), record.Cause{})
			if err != nil || accepted.May() != nil {
				t.Errorf("accepted: %+v, %v", accepted, err)
			}
			if got := keep(t, open(0)); got.May() != nil {
				t.Errorf("after it was accepted: %v", got.May())
			}
		})
	}
}

// Accepting is for super admins, is audited, and is refused to a machine whose own clock is wrong.
func TestClock_Accept(t *testing.T) {
	t.Parallel()
	relay, open := clockAt(t)
	s := open(0)
	newAccount(t, s)
	keep(t, s)
	relay.Ahead(200 * day)
	if got := keep(t, s); got.State != crmstore.ClockDiffers {
		t.Fatalf("state %s", got.State)
	}
	if _, err := s.AcceptClock(t.Context(), record.Cause{}); !errors.As(err, new(*crmstore.ClockError)) {
		t.Errorf("a machine whose own clock is wrong: %v", err)
	}
	right := open(200 * day)
	if _, err := right.As("nobody").AcceptClock(t.Context(), record.Cause{}); !errors.As(err, new(*crmstore.PermissionError)) {
		t.Errorf("somebody else: %v", err)
	}
	c, err := right.AcceptClock(t.Context(), record.Cause{Reason: "looked at it"})
	if err != nil || c.State != crmstore.ClockUnconfirmed {
		t.Fatalf("%+v, %v", c, err)
	}
	if left := time.Until(c.Counted()).Abs(); left > time.Minute {
		t.Errorf("what is removed for good goes by %v", c.Counted())
	}
	if err := right.CountTime(t.Context(), record.Cause{}); err != nil {
		t.Fatal(err)
	}
	if c := keep(t, right); c.State != crmstore.ClockGood || c.Uncounted != 0 {
		t.Errorf("all counted: %+v", c)
	}
	ops := map[string]string{}
	err = right.Audit(t.Context(), crmstore.AuditFilter{}, func(event record.Event) error {
		ops[event.Op] = event.Actor
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if ops["accept-clock"] != storetest.User || ops["count-time"] != storetest.User {
		t.Errorf("audited: %v", ops)
	}
}
