package crmstore_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// Batches that are planned while the one before is still to be written give what they give one after the other.
func TestPlanWrite(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		mode := rapid.SampledFrom([]crmstore.WriteMode{crmstore.UpsertAny, crmstore.CreateOnly, crmstore.UpdateOnly}).Draw(rt, "mode")
		plain, ahead := newDesk(t, storetest.Options{Partitions: 2}), newDesk(t, storetest.Options{Partitions: 2})
		defer plain.Close()
		defer ahead.Close()
		var want, got []string
		var planned []*crmstore.PlannedWrite
		finish := func() {
			var before *crmstore.PlannedWrite
			if n := len(planned) - 1; n > 0 {
				before = planned[n-1]
			}
			results, err := planned[len(planned)-1].Write(t.Context(), before)
			if err != nil {
				rt.Fatal(err)
			}
			got = append(got, short(results)...)
		}
		first := crmstore.UpsertAny // so that there is something to change
		for i := range rapid.IntRange(2, 5).Draw(rt, "batches") {
			batch := drawBatch(rt, plain)
			if i > 0 {
				first = mode
			}
			want = append(want, short(plain.write(first, noon, batch...))...)
			p, err := ahead.PlanWrite(t.Context(), record.Contact, first, batch, someone, noon)
			if err != nil {
				rt.Fatal(err)
			}
			if i > 0 {
				finish() // the batch before this one
			}
			planned = append(planned, p)
		}
		finish()
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("results (-one after the other +planned ahead):\n%s", diff)
		}
		for id := record.ID(1); id < 30; id++ {
			for _, name := range []string{"email", "firstname"} {
				if a, b := plain.text(id, name), ahead.text(id, name); a != b {
					rt.Fatalf("contact %d has %s %q one after the other, %q planned ahead", id, name, a, b)
				}
			}
		}
		if found := ahead.doctor(false); len(found) != 0 {
			rt.Fatalf("doctor finds %v", found)
		}
	})
}

// An upsert that is planned again and must wait for another one's address is not taken for refused, as it was at first.
func TestPlanWriteAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 2})
	plan := func(mode crmstore.WriteMode, batch ...crmstore.Upsert) *crmstore.PlannedWrite {
		p, err := d.PlanWrite(t.Context(), record.Contact, mode, batch, someone, noon)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := plan(crmstore.UpsertAny, d.up(3, "firstname", "Ann"), d.up(5, "email", "c2@x.org"))
	second := plan(crmstore.UpdateOnly, d.up(5, "email", "c1@x.org"), d.up(3, "email", "c2@x.org"))
	for _, one := range []struct {
		planned, before *crmstore.PlannedWrite
		want            []string
	}{{first, nil, []string{"created 3", "created 5"}}, {second, first, []string{"updated 5", "updated 3"}}} {
		results, err := one.planned.Write(t.Context(), one.before)
		if err != nil {
			t.Fatal(err)
		}
		d.wantResults(results, one.want...)
	}
}

// drawBatch is a few upserts of the same few contacts and addresses.
func drawBatch(rt *rapid.T, d *desk) []crmstore.Upsert {
	var batch []crmstore.Upsert
	for range rapid.IntRange(0, 4).Draw(rt, "upserts") {
		pairs := []any{"firstname", fmt.Sprint(rapid.IntRange(0, 2).Draw(rt, "name"))}
		switch n := rapid.IntRange(0, 5).Draw(rt, "address"); n {
		case 4:
			pairs = append(pairs, "email", nil)
		case 5:
		default:
			pairs = append(pairs, "email", fmt.Sprintf("c%d@x.org", n))
		}
		batch = append(batch, d.up(record.ID(rapid.IntRange(0, 5).Draw(rt, "id")), pairs...))
	}
	return batch
}
