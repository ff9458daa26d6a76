package crmstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// refusals is what keeps a run of workflow stale, whose suppression asks list keep, from deleting: nil when it may go on.
func refusals(ctx context.Context, t *testing.T, d *desk) (why []string) {
	t.Helper()
	if _, err := d.LookForLossOf(ctx, record.Contact); err != nil {
		why = append(why, "count: "+err.Error())
	}
	troubles, err := d.Health(ctx)
	if err != nil {
		why = append(why, "health: "+err.Error())
	}
	for _, trouble := range troubles {
		why = append(why, trouble.Code)
	}
	if err := readList(ctx, d); err != nil {
		why = append(why, "list: "+err.Error())
	}
	if _, err := d.HeldAmong(ctx, record.Contact, []record.PartitionIDs{{IDs: []record.ID{1}}}); err != nil {
		why = append(why, "holds: "+err.Error())
	}
	for how, err := range readEnrollments(ctx, d) {
		if err != nil {
			why = append(why, how+": "+err.Error())
		}
	}
	slices.Sort(why)
	return why
}

// Counters that were lost are not forgotten with the next write, which makes some of them anew: doctor says it, also after a
// repair, no run goes on, and nothing that might be on legal hold is deleted, until a person accepts it.
func TestLostCountersStayLost(t *testing.T) {
	t.Parallel()
	keep := crmstore.List{Object: record.Contact, Number: 1, Name: "keep"}
	for what, act := range map[string]func(*desk){
		"nothing":       func(*desk) {},
		"a new contact": func(d *desk) { d.write(crmstore.UpsertAny, noon, d.up(9, "email", "c9@x.org")) },
		"a change":      func(d *desk) { d.write(crmstore.UpsertAny, noon, d.up(1, "email", "c1@x.org", "city", "Ulm")) },
		"a list": func(d *desk) {
			if _, _, err := d.SetMembers(d.t.Context(), keep, []record.ID{1}, true, someone, noon); err != nil {
				d.t.Error(err)
			}
		},
		"a restoration": func(d *desk) { d.restore(crmstore.RestoreOrder{Object: record.Contact, Cause: someone, At: noon}, 2) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o storetest.Options) {
				d := ward(t, o)
				ctx, raw := t.Context(), crmstore.Raw(d.Store)
				key := func(name string) string { return crmstore.KeyOf(d.Store, record.Contact, 0, name) }
				d.hold(true, 6)
				if why := refusals(ctx, t, d); len(why) > 0 {
					t.Fatalf("before any damage: %q", why)
				}
				raw.Del(ctx, key("cnt"))
				act(d)
				raw.Del(ctx, key("list:1"), key("hold"))
				for _, order := range []crmstore.DoctorOrder{{}, {Repair: true}, {}} {
					losses, _ := d.examine(order)
					if !slices.ContainsFunc(losses, func(s string) bool { return strings.Contains(s, "1 partitions have lost their counters") }) {
						t.Errorf("%+v found %q", order, losses)
					}
				}
				if why := refusals(ctx, t, d); !slices.Contains(why, crmstore.TroubleUncounted) {
					t.Errorf("a run goes on: %q", why)
				}
				if _, err := d.Archive(ctx, byRun("hand@1"), d.targets("", 6)); err == nil || !strings.Contains(err.Error(), "legal holds") || d.get(6).Deletion != nil {
					t.Errorf("a contact that was on legal hold is deleted: %v", err)
				}
				d.examine(crmstore.DoctorOrder{AcceptLoss: true})
				if why := refusals(ctx, t, d); len(why) > 0 {
					t.Errorf("accepted, and refused: %q", why)
				}
			})
		})
	}
}

// Records that come between two answers are no sign of lost counters.
func TestCountersWhileRecordsCome(t *testing.T) {
	t.Parallel()
	d := ward(t, storetest.Options{})
	ctx, done := t.Context(), make(chan struct{})
	go func() {
		defer close(done)
		for id := record.ID(10); id < 200; id++ {
			d.write(crmstore.UpsertAny, noon, d.up(id, "city", "Ulm"))
		}
	}()
	for writing := true; writing; {
		select {
		case <-done:
			writing = false
		default:
		}
		if _, err := d.LookForLossOf(ctx, record.Contact); err != nil {
			t.Fatal(err)
		}
		if troubles, err := d.Health(ctx); err != nil || len(troubles) > 0 {
			t.Fatalf("%v %v", troubles, err)
		}
	}
}

// Each damage by a hand is named by doctor, which never ends with nothing to say, and where a contact could be deleted that
// should stay, no run goes on.
func TestDamages(t *testing.T) {
	t.Parallel()
	type damaged struct {
		*desk
		raw redis.UniversalClient
	}
	of := func(d damaged, name string) string { return crmstore.KeyOf(d.Store, record.Contact, 0, name) }
	account := func(d damaged, name string) string {
		return strings.TrimSuffix(crmstore.KeyAccountLog(d.Store), "log") + name
	}
	del := func(name string) func(damaged) error {
		return func(d damaged) error { return d.raw.Del(d.t.Context(), of(d, name)).Err() }
	}
	delOfAccount := func(names ...string) func(damaged) error {
		return func(d damaged) error {
			for _, name := range names {
				if err := d.raw.Del(d.t.Context(), account(d, name)).Err(); err != nil {
					return err
				}
			}
			return nil
		}
	}
	counter := func(name string, by int64) func(damaged) error {
		return func(d damaged) error { return d.raw.HIncrBy(d.t.Context(), of(d, "cnt"), name, by).Err() }
	}
	uncounted := func(name string) func(damaged) error {
		return func(d damaged) error { return d.raw.HDel(d.t.Context(), of(d, "cnt"), name).Err() }
	}
	move := func(name string, from, to record.ID) func(damaged) error {
		return func(d damaged) error { return moveEntry(d.t.Context(), d.raw, of(d, name), from, to) }
	}
	clearBit := func(name string, slot int64) func(damaged) error {
		return func(d damaged) error { return d.raw.SetBit(d.t.Context(), of(d, name), slot, 0).Err() }
	}
	all := func(some ...func(damaged) error) func(damaged) error {
		return func(d damaged) error {
			for _, one := range some {
				if err := one(d); err != nil {
					return err
				}
			}
			return nil
		}
	}
	odd := func(key func(damaged) string) func(damaged) error {
		return func(d damaged) error {
			d.raw.Del(d.t.Context(), key(d))
			return d.raw.SAdd(d.t.Context(), key(d), "odd").Err()
		}
	}
	for what, c := range map[string]struct {
		damage func(damaged) error
		finds  string // in what doctor says
		stops  bool   // no run goes on
	}{
		"records":              {del("rec"), "the store has lost 6 of 6 contacts", true},
		"one record":           {func(d damaged) error { return d.raw.HDel(d.t.Context(), of(d, "rec"), name(3)).Err() }, "the store has lost 1 of 6 contacts", true},
		"ids":                  {del("ids"), "cells of the ids differ", false},
		"archived-at":          {del("arch"), "cells of archived-at differ", false},
		"list":                 {del("list:1"), `list "keep" has lost 2 of 2 members`, true},
		"counters":             {del("cnt"), "1 partitions have lost their counters", true},
		"counter of records":   {uncounted("live"), "1 partitions have lost their counters", true},
		"one record uncounted": {counter("live", -1), "1 partitions have lost their counters", true},
		"one record too many":  {counter("live", 1), "counted 6 live and 1 archived, there are 5 and 1", true},
		"counter of a list":    {uncounted("list:1"), "2 entries of list:1 are not counted", false},
		"a member too many":    {counter("list:1", 1), `list "keep" has lost 1 of 3 members`, true},
		"a sum":                {counter("sum:list:1", 1), `list "keep" holds as many members as were put there, 2, but not the same ones`, true},
		"counter of the log":   {uncounted("log"), "entries of log are not counted", false},
		"counter of a workflow": {
			uncounted("enr:stale"), "2 entries of enr:stale are not counted", false,
		},
		"enrollments":    {del("enr:stale"), "workflow stale has lost 2 of 2 enrollments", true},
		"one enrollment": {func(d damaged) error { return d.raw.HDel(d.t.Context(), of(d, "enr:stale"), name(5)).Err() }, "workflow stale has lost 1 of 2 enrollments", true},
		"an enrollment that cannot be read": {
			func(d damaged) error { return d.raw.HSet(d.t.Context(), of(d, "enr:stale"), name(2), "odd").Err() },
			"workflow stale has lost 1 of 2 enrollments", true,
		},
		"an enrollment that moved": {
			move("enr:stale", 5, 3), "workflow stale holds as many enrollments as were put there, 2, but not the same ones: it has lost at least 1", true,
		},
		"a sum of enrollments":     {counter("sum:enr:stale", 1), "workflow stale holds as many enrollments as were put there, 2, but not", true},
		"enrollments and counter":  {all(del("enr:stale"), uncounted("enr:stale")), "workflow stale has lost enrollments, at least 1, and the count of them", true},
		"a list and its counter":   {all(del("list:1"), uncounted("list:1")), `list "keep" has lost members, at least 1, and the count of them`, true},
		"a member and its counter": {all(clearBit("list:1", 3), uncounted("list:1")), `list "keep" has lost members, at least 1, and the count of them`, true},
		"holds":                    {del("hold"), "the account has lost 1 of 1 legal holds of contacts", true},
		"holds and their counter":  {all(del("hold"), uncounted("hold")), "the account has lost legal holds of contacts, at least 1, and the count of them", true},
		"a hold that moved":        {move("hold", 6, 5), "the account holds as many legal holds of contacts as were put there, 1, but not the same ones", true},
		"the log and its counter":  {all(del("log"), uncounted("log")), "the audit log of contacts has lost events, at least 1, and the count of them", false},
		"the account's log and its counter": {
			delOfAccount("log", "cnt"), "the account's audit log has lost events, at least 1, and the count of them", false,
		},
		"a hold that cannot be read": {
			func(d damaged) error { return d.raw.HSet(d.t.Context(), of(d, "hold"), name(6), "odd").Err() },
			"the account has lost 1 of 1 legal holds of contacts", false, // it keeps its contact all the same
		},
		"the log": {del("log"), "the audit log of contacts has lost", false},
		"the log, trimmed": {
			func(d damaged) error { return d.raw.XTrimMaxLen(d.t.Context(), of(d, "log"), 1).Err() },
			"the audit log of contacts has lost", false,
		},
		"the account's log":                {delOfAccount("log"), "the account's audit log has lost", false},
		"the counter of the account's log": {delOfAccount("cnt"), "events of the account's audit log are not counted", false},
		"the ledger": {
			func(d damaged) error {
				if _, err := d.LookForLossOf(d.t.Context(), record.Contact); err != nil {
					return err
				}
				return delOfAccount("ledger")(d)
			},
			"", true,
		},
		"what is known of the time": {
			func(d damaged) error {
				if _, err := d.KeepClock(d.t.Context()); err != nil {
					return err
				}
				return delOfAccount("clock")(d)
			},
			"what the account knew of the store's time is lost", true,
		},
		"the names of lists":                {delOfAccount("lists:contact"), "list number 1, whose name is lost too", false},
		"the workflows":                     {delOfAccount("workflows"), "workflow stale, which is lost too", false},
		"the revisions":                     {delOfAccount("rev:stale"), "workflow stale has lost 1 of 1 revisions", false},
		"the runs":                          {delOfAccount("runs"), "1 runs of workflow stale stand in one list of runs and not in the other", false},
		"the runs of a workflow":            {delOfAccount("runs:stale"), "1 runs of workflow stale stand in one list of runs and not in the other", false},
		"both":                              {delOfAccount("runs", "runs:stale"), "the runs of workflow stale are listed nowhere any more", false},
		"a run":                             {delOfAccount("run:stale@2"), "1 runs are listed and not there any more: stale@2", false},
		"revisions of a wrong type":         {odd(func(d damaged) string { return account(d, "rev:stale") }), "must be a hash", false},
		"counted deletions of a wrong type": {odd(func(d damaged) string { return account(d, "deleted:contact") }), "must be a hash", false},
		"restorations of a wrong type":      {odd(func(d damaged) string { return of(d, "back") }), "must be a hash", false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := damaged{wardWithRun(t), nil}
			d.raw = crmstore.Raw(d.Store)
			if found := d.problemsOf(crmstore.DoctorOrder{}); len(found) > 0 {
				t.Fatalf("before any damage: %q", found)
			}
			if why := refusals(t.Context(), t, d.desk); len(why) > 0 {
				t.Fatalf("before any damage: %q", why)
			}
			if err := c.damage(d); err != nil {
				t.Fatal(err)
			}
			if found := strings.Join(d.problemsOf(crmstore.DoctorOrder{}), "\n"); !strings.Contains(found, c.finds) {
				t.Errorf("doctor says %q, want %q", found, c.finds)
			}
			if why := refusals(t.Context(), t, d.desk); (len(why) > 0) != c.stops {
				t.Errorf("stops: %q, want %t", why, c.stops)
			}
		})
	}
}

// moveEntry takes the entry of one record of the ward and gives it to another, as it is.
func moveEntry(ctx context.Context, raw redis.UniversalClient, key string, from, to record.ID) error {
	entry, err := raw.HGet(ctx, key, name(from)).Result()
	if err != nil {
		return err
	}
	return errors.Join(raw.HDel(ctx, key, name(from)).Err(), raw.HSet(ctx, key, name(to), entry).Err())
}

// wardWithRun is a ward with a published revision of stale, a run of it that is over, and contact 6 on legal hold.
func wardWithRun(t *testing.T) *desk {
	t.Helper()
	d := ward(t, storetest.Options{})
	ctx := t.Context()
	d.hold(true, 6)
	run, err := d.CreateRun(ctx, crmstore.Run{ID: "stale@2", Workflow: "stale", Object: record.Contact, State: crmstore.RunRunning, StartedAt: noon, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	run.State = crmstore.RunDone
	if _, err := d.SaveRun(ctx, run); err != nil {
		t.Fatal(err)
	}
	w, err := d.Workflow(ctx, "stale")
	if err != nil {
		t.Fatal(err)
	}
	w.Revision, w.LastRun = 1, run.ID
	if _, err := d.SaveWorkflow(ctx, w, &crmstore.Revision{Number: 1, Source: []byte("workflow: stale"), At: noon}, "publish", someone, noon); err != nil {
		t.Fatal(err)
	}
	return d
}

// A lost ledger is not made anew by itself: how many records are missing is known by its sum, and runs stop until a person accepts it.
func TestLostLedger(t *testing.T) {
	t.Parallel()
	for what, missing := range map[string]int64{"alone": 0, "with a record": 1} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := ward(t, storetest.Options{})
			ctx, raw := t.Context(), crmstore.Raw(d.Store)
			if _, err := d.LookForLossOf(ctx, record.Contact); err != nil {
				t.Fatal(err)
			}
			raw.Del(ctx, strings.TrimSuffix(crmstore.KeyAccountLog(d.Store), "log")+"ledger")
			if missing > 0 {
				raw.HDel(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, "rec"), name(6))
				raw.HIncrBy(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, "cnt"), "live", -1)
			}
			for range 2 {
				lost, err := d.Lost(ctx)
				if err != nil || lost.Nothing() || lost.Missing[record.Contact] != missing {
					t.Fatalf("lost: %+v, %v", lost, err)
				}
			}
			if why := refusals(ctx, t, d); !slices.Contains(why, crmstore.TroubleLedger) && !slices.Contains(why, crmstore.TroubleMissing) {
				t.Errorf("a run goes on: %q", why)
			}
			if _, err := d.AcceptLoss(ctx, someone, noon); err != nil {
				t.Fatal(err)
			}
			if lost, err := d.Lost(ctx); err != nil || !lost.Nothing() {
				t.Errorf("accepted, and lost: %+v, %v", lost, err)
			}
			if why := refusals(ctx, t, d); len(why) > 0 {
				t.Errorf("accepted, and refused: %q", why)
			}
		})
	}
}
