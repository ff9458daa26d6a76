package crmstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// lawsuit is why records are held in these tests.
var lawsuit = record.Cause{Reason: "lawsuit 17"}

func (d *desk) hold(hold bool, ids ...record.ID) []crmstore.HoldOutcome {
	d.t.Helper()
	told, err := d.SetHold(d.t.Context(), record.Contact, ids, hold, lawsuit, noon)
	if err != nil {
		d.t.Fatal(err)
	}
	return told
}

// What is on legal hold is not deleted, not purged and not deleted permanently, whoever asks and however; changed and
// restored it may be. When the hold ends, all of that works again.
func TestHold(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		o.Partitions = 1
		d := newDesk(t, o)
		ctx := t.Context()
		d.published("stale")
		d.write(crmstore.UpsertAny, noon, d.up(1, "email", "a@x.org"), d.up(2, "email", "b@x.org"), d.up(3, "email", "c@x.org"))
		d.archive(crmstore.ArchiveOrder{Object: record.Contact, Cause: someone, At: noon}, d.targets("", 3))
		want := []crmstore.HoldOutcome{crmstore.HoldChanged, crmstore.HoldChanged, crmstore.HoldNoRecord, crmstore.HoldAsItWas}
		if diff := cmp.Diff(want, d.hold(true, 1, 3, 77, 1)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]crmstore.HoldOutcome{crmstore.HoldAsItWas}, d.hold(true, 1)); diff != "" {
			t.Error(diff)
		}
		holds, err := d.Holds(ctx, record.Contact)
		held := []crmstore.Hold{{ID: 1, At: noon, Actor: storetest.User, Reason: "lawsuit 17"}, {ID: 3, At: noon, Actor: storetest.User, Reason: "lawsuit 17"}}
		if diff := cmp.Diff(held, holds); diff != "" || err != nil {
			t.Errorf("holds (%v), -want +got:\n%s", err, diff)
		}
		got := d.archive(byRun("stale@1"), d.targets("", 1, 2))
		if diff := cmp.Diff(map[record.ID]crmstore.ArchiveOutcome{1: crmstore.OnHold, 2: crmstore.Archived}, got); diff != "" {
			t.Errorf("delete (-want +got):\n%s", diff)
		}
		report := d.purge(crmstore.PurgeOrder{At: noon.Add(crmstore.Retention)})
		if report.Purged != 1 || report.Held != 1 {
			t.Errorf("purge: %+v, want contact 2 purged and 3 held", report)
		}
		_, err = d.Erase(ctx, crmstore.EraseOrder{At: noon}, []record.ID{1, 3})
		var refused *crmstore.HeldError
		if !errors.As(err, &refused) || !cmp.Equal(refused.Holds, held) || !strings.Contains(err.Error(), "contact 1 is on legal hold since") {
			t.Errorf("permanent deletion: %v, want both named with the reason", err)
		}
		if n, err := d.FinishErasures(ctx); n.Contacts != 0 || err != nil {
			t.Errorf("an intent is left: %+v, %v", n, err)
		}
		d.write(crmstore.UpsertAny, noon, d.up(1, "city", "Breda"))
		if d.text(1, "city") != "Breda" || d.get(3) == nil {
			t.Error("contact 1 was not changed, or 3 is gone")
		}
		if r := d.restore(byHand, 3); r[0].Outcome != crmstore.Restored {
			t.Errorf("restore: %+v", r)
		}
		if found := d.doctor(false); len(found) != 0 {
			t.Errorf("doctor finds %v", found)
		}
		d.hold(false, 1, 3)
		if got := d.archive(byRun("stale@2"), d.targets("", 1, 3)); got[1] != crmstore.Archived || got[3] != crmstore.Archived {
			t.Errorf("after the hold: %v", got)
		}
		var ops []string
		for _, e := range d.audit(crmstore.AuditFilter{Ops: []string{"hold", "release"}}) {
			ops = append(ops, e.Op+" "+e.Reason)
		}
		if diff := cmp.Diff([]string{"hold lawsuit 17", "release lawsuit 17"}, ops); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// Whoever lacks the permission holds and releases nothing, whatever else they may do, and nobody does without a reason.
func TestHoldNeedsPermissionAndReason(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	d.write(crmstore.UpsertAny, noon, d.up(1, "email", "a@x.org"))
	if _, err := d.AddUser(t.Context(), "eve", "", false, someone, noon); err != nil {
		t.Fatal(err)
	}
	grants := crmstore.Grants{Permissions: []crmstore.Permission{crmstore.CanPermanentlyDelete, crmstore.CanBulkDelete, crmstore.CanManageWorkflows}}
	if _, err := d.Grant(t.Context(), "eve", grants, someone, noon); err != nil {
		t.Fatal(err)
	}
	d.hold(true, 1)
	_, err := d.As("eve").SetHold(t.Context(), record.Contact, []record.ID{1}, false, lawsuit, noon)
	if denied, ok := errors.AsType[*crmstore.PermissionError](err); !ok || denied.Permission != crmstore.CanLegalHold {
		t.Errorf("eve: %v, want that she lacks legal-hold", err)
	}
	if _, err := d.SetHold(t.Context(), record.Contact, []record.ID{1}, false, record.Cause{Reason: " "}, noon); err == nil {
		t.Error("a hold ended without a reason")
	}
	if held, err := d.HoldsOf(t.Context(), record.Contact, []record.ID{1}); len(held) != 1 || err != nil {
		t.Errorf("held: %v, %v", held, err)
	}
}

// A store that has lost its holds deletes nobody in that partition, and doctor says how many are missing.
func TestHoldsLost(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 1})
	d.write(crmstore.UpsertAny, noon, d.up(1, "email", "a@x.org"), d.up(2, "email", "b@x.org"))
	d.hold(true, 1)
	if err := crmstore.Raw(d.Store).Del(t.Context(), crmstore.KeyOf(d.Store, record.Contact, 0, "hold")).Err(); err != nil {
		t.Fatal(err)
	}
	_, err := d.Archive(t.Context(), byRun("stale@1"), d.targets("", 1, 2))
	if err == nil || !strings.Contains(err.Error(), "has lost legal holds") {
		t.Errorf("delete: %v", err)
	}
	if n, err := d.Count(t.Context(), record.Contact); n.Live != 2 || err != nil {
		t.Errorf("%+v, %v", n, err)
	}
	if found := strings.Join(d.problemsOf(crmstore.DoctorOrder{}), "\n"); !strings.Contains(found, "the account has lost 1 of 1 legal holds of contacts") {
		t.Errorf("doctor finds %s", found)
	}
}
