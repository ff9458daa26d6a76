package crmstore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// accountKey stands for all keys of the account default: they have one slot.
const accountKey = "crm:{default}:account"

// Masters of a cluster whose clocks differ by more than a minute stop everything, whichever of them it is; the message names each with
// its time. Differences of some seconds do not, nor does the clock of a replica, until it is the master.
func TestClock_ServersOfAClusterDiffer(t *testing.T) {
	t.Parallel()
	cluster, relays := storetest.StartClusterOfManyClocks(t)
	s, err := openAt(t, cluster.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	newAccount(t, s)
	account, replica := cluster.MasterOf(accountKey)
	want := func(what, state string) crmstore.Clock {
		t.Helper()
		c := keep(t, s)
		if c.State == crmstore.ClockUnconfirmed { // which may act as well
			c.State = crmstore.ClockGood
		}
		if c.State != state {
			t.Errorf("%s: state %s, want %s: %+v", what, c.State, state, c.Servers)
		}
		if may := state == crmstore.ClockGood; (c.May() == nil) != may {
			t.Errorf("%s: may it act? %v", what, c.May())
		}
		return c
	}
	if c := want("all agree", crmstore.ClockGood); len(c.Servers) != 3 {
		t.Errorf("%d servers were asked, want 3", len(c.Servers))
	}
	other := (account + 1) % 3
	for _, ahead := range []time.Duration{5 * time.Second, -5 * time.Second} {
		relays[other].Ahead(ahead)
		want("one master "+ahead.String(), crmstore.ClockGood)
	}
	for _, master := range []int{other, account} {
		for _, ahead := range []time.Duration{90 * time.Second, -90 * time.Second, 3 * time.Hour} {
			before := s.Now()
			relays[master].Ahead(ahead)
			c := want("one master "+ahead.String(), crmstore.ClockServers)
			if text := c.May().Error(); !strings.Contains(text, relays[master].Address) || strings.Count(text, "Z") != 3 {
				t.Errorf("the message does not name the servers with their times: %s", text)
			}
			if moved := s.Now().Sub(before); moved.Abs() > 30*time.Second {
				t.Errorf("the store's time moved by %v with one master's clock", moved)
			}
			if _, err := s.AcceptClock(t.Context(), record.Cause{}); !errors.As(err, new(*crmstore.ClockError)) {
				t.Errorf("a person accepts clocks that differ: %v", err)
			}
			relays[master].Ahead(0)
		}
	}
	c := keep(t, s)
	if c.State == crmstore.ClockWentBack { // the account's own master was behind, which stays until a person has looked
		if c, err = s.AcceptClock(t.Context(), record.Cause{}); err != nil || c.May() != nil {
			t.Fatal(c, err)
		}
	}
	want("all agree again", crmstore.ClockGood)

	relays[replica].Ahead(3650 * day)
	want("a replica is ten years ahead", crmstore.ClockGood)
	before := s.Now()
	cluster.FailOverOf(accountKey)
	want("it is the master", crmstore.ClockServers)
	if moved := s.Now().Sub(before); moved > 10*time.Minute {
		t.Errorf("after the fail-over the store's time is taken to be %v later", moved)
	}
	if c, err := s.Clock(t.Context()); err != nil || c.Hidden != crmstore.ClockLeapt {
		t.Errorf("behind the clocks that differ: %q, %v; want that the time leapt", c.Hidden, err)
	}
}

// A sentinel that makes a replica with another clock the master stops everything, and nobody takes its time over.
func TestClock_SentinelFailsOverToAnotherClock(t *testing.T) {
	t.Parallel()
	servers, relay := storetest.StartSentinelOfTwoClocks(t)
	s, err := openAt(t, servers.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	newAccount(t, s)
	if c := keep(t, s); c.State != crmstore.ClockGood {
		t.Fatalf("at first: %s", c.State)
	}
	relay.Ahead(200 * day)
	servers.Synced()
	if c := keep(t, s); c.State != crmstore.ClockGood {
		t.Errorf("with the master's clock right: %s", c.State)
	}
	before := s.Now()
	servers.FailOver()
	c := keep(t, s)
	if c.State != crmstore.ClockDiffers || c.Hidden != crmstore.ClockLeapt {
		t.Errorf("after the fail-over: %s, behind it %q; want differs, and that the time leapt", c.State, c.Hidden)
	}
	if moved := s.Now().Sub(before); moved > 10*time.Minute {
		t.Errorf("the store's time is taken to be %v later", moved)
	}
	relay.Ahead(0)
	if c := keep(t, s); c.State != crmstore.ClockLeapt {
		t.Errorf("with the clock right again: %s, want that a person has to accept it", c.State)
	}
	if c, err := s.AcceptClock(t.Context(), record.Cause{}); err != nil || c.May() != nil {
		t.Errorf("accepted: %+v, %v", c, err)
	}
}
