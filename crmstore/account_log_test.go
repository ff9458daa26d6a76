package crmstore

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// What the account's scripts write is read back as events, and their stream ids grow even when many come in one
// millisecond or the sender's clock goes back.
func TestAccountEvents(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := Open(ctx, Config{URL: "memory", User: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.Date(1999, 1, 2, 3, 4, 5, 0, time.UTC)
	anna := record.Cause{Actor: "somebody else", Reason: "asked for"}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.CreateAccount(ctx, Free, 1, anna, at))
	if err := s.db.Redis.XAdd(ctx, xaddFarAhead(s.keyAccountLog())).Err(); err != nil {
		t.Fatal(err)
	}
	must(s.SetTier(ctx, Enterprise, anna, at))
	must(s.SetTier(ctx, Enterprise, anna, at)) // no change, no event
	must(s.AddProperties(ctx, record.Deal, []record.Property{{Name: "x", Type: record.Bool}, {Name: "y", Type: record.Bool}}, anna, at))
	must(s.RenameProperty(ctx, record.Deal, "x", "z", "Zed", anna, at))
	must(s.RemoveProperty(ctx, record.Deal, "y", anna, at))
	must(s.SaveWorkflow(ctx, Workflow{Name: "w", Revision: 1}, &Revision{Number: 1}, "publish", anna, at))
	run, err := s.CreateRun(ctx, Run{ID: "w@1", Workflow: "w", Revision: 1, State: RunHeld})
	must(run, err)
	must(s.SaveRun(ctx, run, record.Event{At: at, Op: "approve", Detail: "2 contacts", Cause: anna}))

	entries, err := s.db.Redis.XRange(ctx, s.keyAccountLog(), "-", "+").Result()
	must(nil, err)
	var got []string
	for i, e := range entries {
		if i == 1 {
			continue // the one from far ahead
		}
		event, err := record.ParseEvent("", e.Values)
		must(nil, err)
		if !event.At.Equal(at) || event.Actor != "anna" || event.Reason != "asked for" {
			t.Errorf("event %+v, want it by anna in 1999", event)
		}
		got = append(got, strings.TrimSpace(event.Op+" "+event.Detail+" "+event.Workflow+" "+event.Run))
		if i > 1 && !strings.HasPrefix(e.ID, "99999999999999-") {
			t.Errorf("event %d has id %s, behind the newest", i, e.ID)
		}
	}
	want := []string{
		"create-account free", "set-tier free to enterprise", "add-property deal: x, y",
		`rename-property deal: x to z, label "Zed"`, "remove-property deal: y", "publish  w", "approve 2 contacts w w@1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func xaddFarAhead(key string) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: key, ID: "99999999999999-3", Values: []string{"o", "x"}}
}
