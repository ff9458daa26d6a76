package crmstore_test

import (
	"context"
	"slices"
	"strings"
	"testing"

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
