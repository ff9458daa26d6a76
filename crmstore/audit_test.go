package crmstore_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func (d *desk) audit(f crmstore.AuditFilter) []record.Event {
	d.t.Helper()
	var events []record.Event
	err := d.Audit(d.t.Context(), f, func(e record.Event) error {
		events = append(events, e)
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return events
}

func ops(events []record.Event) []string {
	var list []string
	for _, e := range events {
		list = append(list, fmt.Sprint(e.Op, " ", e.IDs))
	}
	return list
}

func TestLists(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		ctx := t.Context()
		keep, err := d.CreateList(ctx, record.Contact, " keep ", someone, noon)
		if err != nil || keep.Number != 1 || keep.Name != "keep" {
			t.Fatalf("CreateList gives %+v, %v", keep, err)
		}
		if _, err := d.CreateList(ctx, record.Contact, "keep", someone, noon); !errors.Is(err, record.ErrExists) {
			t.Errorf("CreateList twice: %v, want ErrExists", err)
		}
		if _, err := d.CreateList(ctx, record.Contact, " ", someone, noon); err == nil {
			t.Error("a list without a name was made")
		}
		vip, _ := d.CreateList(ctx, record.Contact, "vip", someone, noon)
		lists, err := d.Lists(ctx, record.Contact)
		if diff := cmp.Diff(map[string]crmstore.List{"keep": keep, "vip": vip}, lists); diff != "" || err != nil || vip.Number != 2 {
			t.Errorf("Lists (%v) (-want +got):\n%s", err, diff)
		}
		d.write(crmstore.UpsertAny, noon, d.up(1), d.up(2), d.up(3))
		changed, missing, err := d.SetMembers(ctx, keep, []record.ID{3, 9, 1, 3}, true, someone, noon)
		if changed != 2 || len(missing) != 1 || missing[0] != 9 || err != nil {
			t.Errorf("SetMembers: %d changed, missing %v, %v", changed, missing, err)
		}
		if d.get(3).Version != 2 || d.get(2).Version != 1 {
			t.Error("a change of membership does not show in the version, or another record's does")
		}
		d.archive(byRun("stale@1"), d.targets("", 1))
		d.restore(byHand, 1)
		if changed, _, err := d.SetMembers(ctx, keep, []record.ID{1}, true, someone, noon); changed != 0 || err != nil {
			t.Errorf("a restored member is not on its list any more: %d, %v", changed, err)
		}
		if changed, _, err := d.SetMembers(ctx, keep, []record.ID{1, 2}, false, someone, noon); changed != 1 || err != nil {
			t.Errorf("taking off: %d changed, %v", changed, err)
		}
		p := record.ID(3).Partition(16)
		err = d.ReadColumns(ctx, record.Contact, p, p+1, crmstore.Want{Lists: []int{keep.Number, vip.Number}}, func(c *crmstore.Columns) error {
			slot := d.get(3).Slot
			if c.Lists[0][slot/8]>>(7-slot%8)&1 != 1 || len(c.Lists[1]) != 0 {
				t.Errorf("lists of partition %d are %x", p, c.Lists)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestAudit(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		d.write(crmstore.UpsertAny, noon, d.up(1))
		d.write(crmstore.UpsertAny, noon, d.up(1, "firstname", "Ann"))
		d.write(crmstore.UpsertAny, noon, d.up(2))
		d.archive(byRun("stale@1"), d.targets("trigger 2", 1, 2))
		d.restore(byHand, 1)
		got := d.audit(crmstore.AuditFilter{Record: 1})
		if diff := cmp.Diff([]string{"create [1]", "update [1]", "delete [1]", "restore [1]"}, ops(got)); diff != "" {
			t.Errorf("events of contact 1 (-want +got):\n%s", diff)
		}
		cause := byRun("stale@1").Cause
		cause.Reason, cause.From = "trigger 2", storetest.From
		if diff := cmp.Diff(record.Event{At: noon, Op: "delete", Object: record.Contact, IDs: []record.ID{1}, Cause: cause}, got[2]); diff != "" {
			t.Errorf("the deletion (-want +got):\n%s", diff)
		}
		if got := d.audit(crmstore.AuditFilter{Run: "stale@1"}); len(got) != 2 {
			t.Errorf("events of the run: %v", ops(got))
		}
		if got := d.audit(crmstore.AuditFilter{Record: 1, Limit: 1}); len(got) != 1 || got[0].Op != "restore" {
			t.Errorf("the newest event: %v", ops(got))
		}
		if got := d.audit(crmstore.AuditFilter{}); len(got) != 7 || got[0].Op != "create-account" {
			t.Errorf("all events: %v", ops(got))
		}
		if got := d.audit(crmstore.AuditFilter{Object: record.Deal}); len(got) != 0 {
			t.Errorf("events of deals: %v", ops(got))
		}
		stop := errors.New("stop")
		if err := d.Audit(t.Context(), crmstore.AuditFilter{}, func(record.Event) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("Audit with a function that stops: %v", err)
		}
	})
}

// More events than one page of a stream, over several streams, come each once and in order.
func TestAuditPages(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 3})
	const n = 150
	for i := range n {
		d.write(crmstore.UpsertAny, noon, d.up(record.ID(i+1)), d.up(record.ID(i+1001)))
	}
	seen := map[record.ID]int{}
	last := map[int]record.ID{}
	for _, e := range d.audit(crmstore.AuditFilter{Object: record.Contact}) {
		for _, id := range e.IDs {
			seen[id]++
			if id <= n && last[id.Partition(3)] > id {
				t.Errorf("contact %d comes after %d", id, last[id.Partition(3)])
			} else if id <= n {
				last[id.Partition(3)] = id
			}
		}
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("contact %d has %d events", id, times)
		}
	}
	newest := d.audit(crmstore.AuditFilter{Object: record.Contact, Limit: 100})
	all := d.audit(crmstore.AuditFilter{Object: record.Contact})
	if diff := cmp.Diff(ops(all[len(all)-100:]), ops(newest)); diff != "" || len(seen) != 2*n {
		t.Errorf("%d contacts seen; the newest 100 (-want +got):\n%s", len(seen), diff)
	}
}

// Records that were deleted or restored by one script share an entry of the log, and have an event each all the same:
// in order, forwards and backwards, and with a limit that ends within an entry.
func TestAuditOfManyAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 1})
	const n = 100
	var batch []crmstore.Upsert
	var ids []record.ID
	for id := record.ID(1); id <= n; id++ {
		batch, ids = append(batch, d.up(id)), append(ids, id)
	}
	d.write(crmstore.UpsertAny, noon, batch...)
	targets := d.targets("", ids...)
	for i := range targets[0].Targets {
		targets[0].Targets[i].Reason = []string{"trigger 1", "trigger 2"}[i/2%2]
	}
	d.archive(byRun("stale@1"), targets)
	d.restore(byHand, ids...)
	if entries := crmstore.Raw(d.Store).XLen(t.Context(), crmstore.KeyOf(d.Store, record.Contact, 0, "log")).Val(); entries != 1+4+2 {
		t.Errorf("%d entries, want one for each script and cause", entries)
	}
	all := d.audit(crmstore.AuditFilter{Object: record.Contact})[1:]
	var deleted, restored []record.ID
	for _, e := range all {
		if len(e.IDs) != 1 {
			t.Fatalf("an event of %v", e.IDs)
		}
		if id := e.IDs[0]; e.Op == "restore" {
			restored = append(restored, id)
		} else if deleted = append(deleted, id); e.Reason != []string{"trigger 1", "trigger 2"}[(id-1)/2%2] {
			t.Errorf("contact %d was deleted because of %s", id, e.Reason)
		}
	}
	slices.Sort(deleted)
	if !slices.Equal(deleted, ids) || !slices.Equal(restored, ids) {
		t.Errorf("deleted %v, restored %v", deleted, restored)
	}
	for _, limit := range []int{1, 10, 64, 70, 199, 200} {
		if diff := cmp.Diff(ops(all[len(all)-limit:]), ops(d.audit(crmstore.AuditFilter{Object: record.Contact, Limit: limit}))); diff != "" {
			t.Errorf("the newest %d (-want +got):\n%s", limit, diff)
		}
	}
	if got := ops(d.audit(crmstore.AuditFilter{Record: 7})); len(got) != 3 || got[1] != "delete [7]" || got[2] != "restore [7]" {
		t.Errorf("events of contact 7: %v", got)
	}
}
