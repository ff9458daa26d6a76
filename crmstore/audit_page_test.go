package crmstore_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestAudit_Changes(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		d.write(crmstore.UpsertAny, noon, d.up(1, "firstname", "Ann", "lifecyclestage", "lead", "city", "Utrecht"), d.up(2, "firstname", "Bob"))
		d.write(crmstore.UpsertAny, noon, d.up(1, "firstname", "Anna", "city", nil, "lifecyclestage", "customer", "email", "a@example.com"), d.up(2, "firstname", "Bob"))
		d.write(crmstore.UpsertAny, noon, d.up(1, "firstname", "Anna"), d.up(2, "firstname", strings.Repeat("é", 3000)))
		got := d.audit(crmstore.AuditFilter{Ops: []string{"update"}})
		if len(got) != 2 {
			t.Fatalf("events: %v", ops(got))
		}
		slices.SortFunc(got, func(a, b record.Event) int { return int(a.IDs[0]) - int(b.IDs[0]) })
		want := []record.Change{
			{Property: "firstname", Before: "Ann", After: "Anna"},
			{Property: "email", After: "a@example.com"},
			{Property: "city", Before: "Utrecht"},
			{Property: "lifecyclestage", Before: "lead", After: "customer"},
		}
		byName := func(a, b record.Change) int { return strings.Compare(a.Property, b.Property) }
		slices.SortFunc(want, byName)
		slices.SortFunc(got[0].Changes, byName)
		if diff := cmp.Diff(want, got[0].Changes); diff != "" || len(got[0].IDs) != 1 {
			t.Errorf("changes of contact 1 (-want +got):\n%s", diff)
		}
		long := got[1].Changes
		if len(long) != 1 || long[0].Before != "Bob" || long[0].After != strings.Repeat("é", 2048)+"… (6000 bytes)" {
			t.Errorf("a long text: %.60q", long)
		}
		// A property that is gone has its name all the same, and one with another name the new one.
		if _, err := d.RemoveProperty(t.Context(), record.Contact, "city", someone, noon); err != nil {
			t.Log(err)
		}
		if e := d.audit(crmstore.AuditFilter{Record: 1, Ops: []string{"update"}}); len(e) != 1 || len(e[0].Changes) != 4 {
			t.Errorf("after a property was removed: %+v", e)
		}
	})
}

func TestAudit_Filters(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	d.write(crmstore.UpsertAny, noon, d.up(1), d.up(2))
	d.write(crmstore.UpsertAny, noon.Add(time.Hour), d.up(1, "firstname", "Ann"))
	d.archive(byRun("stale@1"), d.targets("trigger 2", 1, 2))
	for name, c := range map[string]struct {
		f    crmstore.AuditFilter
		want int
	}{
		"user":              {crmstore.AuditFilter{User: d.User(), Record: 1}, 3},
		"another user":      {crmstore.AuditFilter{User: "nobody"}, 0},
		"workflow":          {crmstore.AuditFilter{Workflow: byRun("stale@1").Cause.Workflow}, 2},
		"another workflow":  {crmstore.AuditFilter{Workflow: "x"}, 0},
		"action":            {crmstore.AuditFilter{Ops: []string{"delete"}}, 2},
		"two actions":       {crmstore.AuditFilter{Ops: []string{"delete", "update"}}, 3},
		"since":             {crmstore.AuditFilter{Since: noon.Add(time.Hour)}, 1},
		"until":             {crmstore.AuditFilter{Since: noon, Until: noon.Add(time.Hour), Record: 2}, 2},
		"action and record": {crmstore.AuditFilter{Ops: []string{"delete"}, Record: 2}, 1},
	} {
		if got := d.audit(c.f); len(got) != c.want {
			t.Errorf("%s: %v, want %d", name, ops(got), c.want)
		}
		if c.f.Limit = 100; len(d.audit(c.f)) != c.want {
			t.Errorf("%s, as a page: want %d", name, c.want)
		}
	}
}

// Pages of any size, one after the other, are all events from back to front; events that several streams recorded in
// one millisecond, and one entry that stands for many deletions, are no exception.
func TestAudit_Pages(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		for i := range record.ID(40) {
			d.write(crmstore.UpsertAny, noon, d.up(i+1))
		}
		var batch []crmstore.Upsert
		var ids []record.ID
		for i := range record.ID(40) {
			batch, ids = append(batch, d.up(i+1, "firstname", "Ann")), append(ids, i+1)
		}
		d.write(crmstore.UpsertAny, noon, batch...)
		d.archive(byRun("stale@1"), d.targets("t", ids...))
		var packed []byte
		for _, id := range []record.ID{7, 8, 9} {
			b := id.Bytes()
			packed = append(packed, b[:]...)
		}
		entry := redis.XAddArgs{Stream: crmstore.KeyOf(d.Store, record.Contact, 3, "log"), ID: "99999999999999-1", Values: []any{"o", "restore", "f", "", "i", packed}}
		if err := crmstore.Raw(d.Store).XAdd(t.Context(), &entry).Err(); err != nil {
			t.Fatal(err)
		}
		all := ops(d.audit(crmstore.AuditFilter{}))
		if len(all) < 124 || all[len(all)-1] != "restore [9]" {
			t.Fatalf("%d events", len(all))
		}
		for _, size := range []int{1, 2, 7, 64, 1000} {
			var got []string
			f := crmstore.AuditFilter{Limit: size}
			for range len(all) + 1 {
				page, err := d.AuditPage(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				got = append(ops(page.Events), got...)
				if f.After = page.Next; f.After == "" {
					break
				}
			}
			if diff := cmp.Diff(all, got); diff != "" {
				t.Errorf("pages of %d (-want +got):\n%s", size, diff)
			}
		}
		for _, wrong := range []string{"x", "1-1.0@deal/99999", "1-1.0@", "99999999999999999999-1.0@account"} {
			if _, err := d.AuditPage(t.Context(), crmstore.AuditFilter{Limit: 1, After: wrong}); !errors.Is(err, crmstore.ErrPlace) {
				t.Errorf("after %q: %v, want ErrPlace", wrong, err)
			}
		}
		if _, err := d.AuditPage(t.Context(), crmstore.AuditFilter{}); err == nil {
			t.Error("a page without a size")
		}
	})
}
