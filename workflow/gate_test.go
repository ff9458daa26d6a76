package workflow

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/actions"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

func TestCheckGate(t *testing.T) {
	t.Parallel()
	for tier, allowed := range map[crmstore.Tier]bool{
		crmstore.Free: false, crmstore.Starter: false, crmstore.Professional: true, crmstore.Enterprise: true, "": false, "gold": false,
	} {
		err := CheckGate(crmstore.Account{Name: "acme", Tier: tier})
		var refused *RefusedError
		if allowed != (err == nil) || !allowed && (!errors.As(err, &refused) || refused.Reason != RefusedTier) {
			t.Errorf("tier %q: %v, want allowed %v", tier, err, allowed)
		}
		if !allowed && !strings.Contains(err.Error(), "professional") {
			t.Errorf("tier %q: %v does not say what is needed", tier, err)
		}
	}
}

func TestCheckActions_RefusesOtherObjects(t *testing.T) {
	t.Parallel()
	spec, _ := actions.Find("delete_contact")
	if err := checkActions(&definition.Definition{Object: record.Contact, Actions: []definition.Step{{Spec: spec}}}); err != nil {
		t.Errorf("contacts: %v", err)
	}
	err := checkActions(&definition.Definition{Name: "w", Object: record.Company, Actions: []definition.Step{{Spec: spec}}})
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Reason != RefusedObject {
		t.Errorf("companies: %v, want a refusal for the object", err)
	}
}

func TestLimits_OverLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limits      definition.Limits
		count, live int64
		want        string
	}{
		{definition.Limits{MaxDeletions: 1000, MaxPercent: 10, MaxPerSecond: 0}, 0, 0, ""},
		{definition.Limits{MaxDeletions: 1000, MaxPercent: 10, MaxPerSecond: 0}, 1000, 10000, ""},
		{definition.Limits{MaxDeletions: 1000, MaxPercent: 10, MaxPerSecond: 0}, 1001, 100000, "1,001 contacts match, more than max_deletions 1,000"},
		{definition.Limits{MaxDeletions: 1000, MaxPercent: 10, MaxPerSecond: 0}, 12345, 81000, "12,345 contacts match, more than max_deletions 1,000"},
		{definition.Limits{MaxDeletions: 1000, MaxPercent: 10, MaxPerSecond: 0}, 101, 1000, "101 contacts match, 10.1 % of 1,000 live contacts, more than max_percent 10 %"},
		{definition.Limits{MaxDeletions: 1000, MaxPercent: 10, MaxPerSecond: 0}, 100, 1000, ""},
		{definition.Limits{MaxDeletions: 1000, MaxPercent: 0.5, MaxPerSecond: 0}, 6, 1000, "6 contacts match, 0.6 % of 1,000 live contacts, more than max_percent 0.5 %"},
		{definition.Limits{MaxDeletions: 1000, MaxPercent: 100, MaxPerSecond: 0}, 1000, 1000, ""},
		{definition.Limits{MaxDeletions: 1000, MaxPercent: 100, MaxPerSecond: 0}, 1, 0, "1 contacts match, more than all of 0 live contacts, more than max_percent 100 %"},
	} {
		if got := OverLimit(tt.limits, record.Contact, tt.count, tt.live); got != tt.want {
			t.Errorf("%+v, %d of %d: %q, want %q", tt.limits, tt.count, tt.live, got, tt.want)
		}
	}
}

func TestWithout(t *testing.T) {
	t.Parallel()
	type ids = []record.ID
	for _, tt := range []struct{ a, b, want ids }{
		{nil, ids{1}, nil},
		{ids{1, 2}, nil, ids{1, 2}},
		{ids{1, 3, 5, 7}, ids{2, 3, 4, 7, 9}, ids{1, 5}},
		{ids{4}, ids{1, 2, 3}, ids{4}},
	} {
		if d := cmp.Diff(tt.want, without(tt.a, tt.b)); d != "" {
			t.Errorf("%v without %v (-want +got):\n%s", tt.a, tt.b, d)
		}
	}
}

func TestAbandoned(t *testing.T) {
	t.Parallel()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	ownerOf := func(host string, pid int, start string) string { return host + ":" + strconv.Itoa(pid) + ":" + start }
	me := NewOwner()
	parts := strings.Split(me, ":")
	pid, err := strconv.Atoi(parts[1])
	if err != nil || len(parts) != 3 {
		t.Fatalf("owner %q: want host:pid:start", me)
	}
	now := instant(t, "2026-11-23T12:00:00Z")
	for _, tt := range []struct {
		name   string
		owner  string
		state  crmstore.RunState
		silent time.Duration
		want   bool
	}{
		{"carried by this process", me, crmstore.RunRunning, time.Second, false},
		{"silent for long, though the process is there", me, crmstore.RunRunning, silentAfter + time.Second, true},
		{"let go", "", crmstore.RunRunning, 0, true},
		{"process gone", ownerOf(parts[0], gone.Process.Pid, "1"), crmstore.RunRunning, 0, true},
		{"process id used again by another process", ownerOf(parts[0], pid, "1"), crmstore.RunRunning, 0, true},
		{"process of another host", ownerOf("elsewhere", gone.Process.Pid, "1"), crmstore.RunRunning, time.Second, false},
		{"process of another host, silent", ownerOf("elsewhere", pid, parts[2]), crmstore.RunRunning, silentAfter + time.Second, true},
		{"an owner that nobody can read", "somebody", crmstore.RunRunning, time.Second, false},
		{"held", "", crmstore.RunHeld, time.Hour, false},
		{"done", "", crmstore.RunDone, time.Hour, false},
	} {
		if got := abandoned(crmstore.Run{Owner: tt.owner, State: tt.state, Beat: now.Add(-tt.silent)}, now); got != tt.want {
			t.Errorf("%s: abandoned %v, want %v", tt.name, got, tt.want)
		}
	}
}
