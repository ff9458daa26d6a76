package crmstore_test

import (
	"fmt"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// A large batch takes records for new, addresses for free and slots for the next ones without asking. Where that is
// wrong, it gives what asking would have given.
func TestWriteHopes(t *testing.T) {
	t.Parallel()
	const many = 1500 // enough not to ask for each record
	both(t, func(t *testing.T, o storetest.Options) {
		o.Partitions = 3
		d := newDesk(t, o)
		batch := func(from, n int) []crmstore.Upsert {
			list := make([]crmstore.Upsert, n)
			for i := range list {
				list[i] = d.up(record.ID(from+i), "email", fmt.Sprintf("p%d@x.org", from+i), "num_associated_deals", from+i)
			}
			return list
		}
		count := func(what string, results []crmstore.WriteResult, want map[crmstore.WriteOutcome]int) {
			t.Helper()
			got := map[crmstore.WriteOutcome]int{}
			for _, r := range results {
				got[r.Outcome]++
			}
			if len(got) != len(want) || got[crmstore.Created] != want[crmstore.Created] || got[crmstore.Refused] != want[crmstore.Refused] ||
				got[crmstore.Unchanged] != want[crmstore.Unchanged] {
				t.Errorf("%s: outcomes %v, want %v", what, got, want)
			}
		}
		all := map[crmstore.WriteOutcome]int{crmstore.Created: many}
		count("into the empty store", d.write(crmstore.UpsertAny, noon, batch(1, many)...), all)

		raw, ctx := crmstore.Raw(d.Store), t.Context()
		key, field := crmstore.ClaimOf(d.Store, "p2050@x.org", o.Partitions)
		raw.HSet(ctx, key, field, "") // damaged: it says nothing, and is in nobody's way
		raw.Del(ctx, crmstore.KeyNextID(d.Store, record.Contact))
		count("again, though the highest id is lost", d.write(crmstore.UpsertAny, noon, batch(1, many)...), map[crmstore.WriteOutcome]int{crmstore.Unchanged: many})

		held := batch(2001, many)
		for i := range 10 {
			held[i].Set[0] = d.set("email", fmt.Sprintf("P%d@x.org", i+1))
		}
		results := d.write(crmstore.UpsertAny, noon, held...)
		count("ten addresses that are held", results, map[crmstore.WriteOutcome]int{crmstore.Created: many - 10, crmstore.Refused: 10})
		d.wantResults(results[:1], "refused 2001: e-mail p1@x.org belongs to contact 1")

		d.published("stale")
		d.archive(byRun("old@1"), d.targets("", 2020, 2021, 2022))
		d.purge(crmstore.PurgeOrder{At: noon.Add(crmstore.Retention)})
		if err := crmstore.AgeClaims(ctx, d.Store, o.Partitions); err != nil {
			t.Fatal(err)
		}
		again := batch(5001, many) // three slots are free, and three claims dead
		for i := range 3 {
			again[i].Set[0] = d.set("email", fmt.Sprintf("p%d@x.org", 2020+i))
		}
		results = d.write(crmstore.UpsertAny, noon, again...)
		count("into free slots", results, all)
		d.wantResults(results[:1], "created 5001")
		if found := d.doctor(false); len(found) != 0 {
			t.Errorf("doctor finds %v", found)
		}
		for _, id := range []record.ID{1, 1500, 2011, 3500, 5001, 5002, 6500} {
			if got, want := d.text(id, "num_associated_deals"), fmt.Sprint(id); got != want {
				t.Errorf("contact %d has %q, want %q", id, got, want)
			}
		}
	})
}

// What a later upsert of the same batch sets free was not free for an earlier one.
func TestWriteHopes_InOrder(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		d.write(crmstore.UpsertAny, noon, d.up(1, "email", "a@x.org"))
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(5, "email", "a@x.org"), d.up(1, "email", "b@x.org")),
			"refused 5: e-mail a@x.org belongs to contact 1", "updated 1")
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(6, "email", "b@x.org"), d.up(0, "email", "b@x.org", "firstname", "Ann"), d.up(1, "email", nil)),
			"refused 6: e-mail b@x.org belongs to contact 1", "updated 1", "updated 1")
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(1, "email", "c@x.org"), d.up(7, "email", "b@x.org"), d.up(1, "email", "b@x.org")),
			"updated 1", "created 7", "refused 1: e-mail b@x.org belongs to contact 7")
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(8, "email", "c@x.org"), d.up(8, "email", nil)),
			"refused 8: e-mail c@x.org belongs to contact 1", "created 8")
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(9, "email", "c@x.org", "firstname", "Ann"), d.up(9, "email", "d@x.org"), d.up(10, "email", "c@x.org")),
			"refused 9: e-mail c@x.org belongs to contact 1", "created 9", "refused 10: e-mail c@x.org belongs to contact 1")
		if got := d.text(9, "firstname"); got != "" {
			t.Errorf("contact 9 has the name %q of a change that was refused", got)
		}
		if found := d.doctor(false); len(found) != 0 {
			t.Errorf("doctor finds %v", found)
		}
	})
}
