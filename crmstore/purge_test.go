package crmstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func (d *desk) purge(o crmstore.PurgeOrder) crmstore.PurgeReport {
	d.t.Helper()
	o.Object, o.Cause = record.Contact, someone
	report, err := d.Purge(d.t.Context(), o)
	if err != nil {
		d.t.Fatal(err)
	}
	return report
}

// A record is purged 90 days after its deletion, to the second, and not before.
func TestPurgeWhen(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	d.write(crmstore.UpsertAny, noon, d.up(1, "email", "a@x.org"), d.up(2, "email", "b@x.org"))
	archive := crmstore.ArchiveOrder{Object: record.Contact, Cause: someone, At: noon}
	d.archive(archive, d.targets("", 1))
	due := noon.Add(90 * 24 * time.Hour)
	if got := d.purge(crmstore.PurgeOrder{At: due.Add(-time.Second)}); got.Purged != 0 {
		t.Fatalf("a second too early: %+v", got)
	}
	if r := d.get(1); r == nil || r.Deletion == nil {
		t.Fatalf("the contact a second too early: %+v", r)
	}
	if got := d.purge(crmstore.PurgeOrder{At: due}); got != (crmstore.PurgeReport{Purged: 1}) {
		t.Fatalf("after 90 days: %+v", got)
	}
	if d.get(1) != nil || d.get(2) == nil {
		t.Fatal("want contact 1 gone and contact 2 there")
	}
	results, err := d.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Contact, Cause: someone, At: due}, []record.ID{1, 2})
	want := []crmstore.RestoreResult{{ID: 1, Outcome: crmstore.NotThere}, {ID: 2, Outcome: crmstore.NotArchived}}
	if diff := cmp.Diff(want, results); diff != "" || err != nil {
		t.Fatalf("restore (%v), -want +got:\n%s", err, diff)
	}
}

// With a limit a purge does so many and says that there may be more; repeated, it comes to its end.
func TestPurgeLimit(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	var batch []crmstore.Upsert
	var ids []record.ID
	for id := record.ID(1); id <= 100; id++ {
		batch, ids = append(batch, d.up(id, "firstname", "Ada")), append(ids, id)
	}
	d.write(crmstore.UpsertAny, noon, batch...)
	d.archive(crmstore.ArchiveOrder{Object: record.Contact, Cause: someone, At: noon}, d.targets("", ids...))
	at := noon.Add(crmstore.Retention)
	var done, total int64
	progress := func(d, t int64) { done, total = d, t }
	for _, want := range []crmstore.PurgeReport{{Purged: 40, More: true}, {Purged: 40, More: true}, {Purged: 20}} {
		if got := d.purge(crmstore.PurgeOrder{At: at, Limit: 40, Progress: progress}); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	if done != 16 || total != 16 {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	if n, err := d.Count(t.Context(), record.Contact); err != nil || n != (crmstore.Counts{}) {
		t.Errorf("counts %+v, %v", n, err)
	}
	events := map[record.ID]int{}
	err := d.Audit(t.Context(), crmstore.AuditFilter{Object: record.Contact}, func(e record.Event) error {
		if e.Op == "purge" {
			for _, id := range e.IDs {
				events[id]++
			}
		}
		return nil
	})
	if len(events) != 100 || err != nil {
		t.Errorf("the audit log names %d purged contacts (%v), want 100", len(events), err)
	}
}

// What a purge leaves in a slot is nothing: cells of a property that was removed meanwhile neither.
func TestPurgeRemovedProperty(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 1})
	ctx := t.Context()
	schema, err := d.AddProperties(ctx, record.Contact, []record.Property{{Name: "score", Type: record.Number}}, someone, noon)
	if err != nil {
		t.Fatal(err)
	}
	d.schema = schema
	number := schema.Find("score")[0].Number
	d.write(crmstore.UpsertAny, noon, d.up(1, "score", 7), d.up(2, "score", 8))
	if _, err := d.RemoveProperty(ctx, record.Contact, "score", someone, noon); err != nil {
		t.Fatal(err)
	}
	d.archive(crmstore.ArchiveOrder{Object: record.Contact, Cause: someone, At: noon}, d.targets("", 1))
	d.purge(crmstore.PurgeOrder{At: noon.Add(crmstore.Retention)})
	text, err := crmstore.Raw(d.Store).Get(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, fmt.Sprint("col:", number))).Result()
	if err != nil || len(text) != 16 || cellOf([]byte(text), 0) != 0 || cellOf([]byte(text), 1) == 0 {
		t.Errorf("the removed property's column is %q (%v); want a cell of zeros, then one with a value", text, err)
	}
}

// A slot that the list of free slots names though a record has it is not given away.
func TestFreeSlotInUse(t *testing.T) {
	t.Parallel()
	for _, o := range []storetest.Options{{}, {Memory: true}} {
		d := ward(t, o)
		key := crmstore.KeyOf(d.Store, record.Contact, 0, "free")
		if err := crmstore.Raw(d.Store).RPush(t.Context(), key, 0, 2, 2, 77, -5, "x").Err(); err != nil {
			t.Fatal(err)
		}
		var batch []crmstore.Upsert
		for id := record.ID(101); id <= 110; id++ {
			batch = append(batch, d.up(id, "firstname", "Ada"))
		}
		d.write(crmstore.UpsertAny, noon, batch...)
		if found := d.doctor(false); len(found) != 0 {
			t.Errorf("doctor finds %v", found)
		}
	}
}

// A record whose slot is another record's, or out of reach, is not purged before doctor has repaired that: its cells
// may be the other one's.
func TestPurgeInDoubt(t *testing.T) {
	t.Parallel()
	for _, slot := range []string{"\x00\x00\x00\x00", "\xff\xff\xff\xff"} {
		d := ward(t, storetest.Options{})
		d.archive(crmstore.ArchiveOrder{Object: record.Contact, Cause: someone, At: noon}, d.targets("", 6))
		raw, key := crmstore.Raw(d.Store), crmstore.KeyOf(d.Store, record.Contact, 0, "rec")
		text, err := raw.HGet(t.Context(), key, name(6)).Result()
		if err == nil {
			err = raw.HSet(t.Context(), key, name(6), text[:8]+slot+text[12:]).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
		before := d.get(1)
		o := crmstore.PurgeOrder{At: noon.Add(crmstore.Retention)}
		if got := d.purge(o); got.Purged != 1 {
			t.Errorf("purged %d contacts, want only contact 2", got.Purged)
		}
		d.doctor(true)
		if got := d.purge(o); got.Purged != 1 {
			t.Errorf("after doctor, purged %d contacts, want contact 6", got.Purged)
		}
		if found := d.doctor(false); len(found) != 0 {
			t.Errorf("doctor finds %v", found)
		}
		if r := d.get(1); r == nil || r.Version != before.Version || d.text(1, "lifecyclestage") != "lead" {
			t.Errorf("contact 1 is %+v", r)
		}
	}
}

// While records are purged and others take their slots, reading whole partitions never gives a record another's id.
func TestReadAllDuringReuse(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 1})
	number := d.schema.Find("num_associated_deals")[0].Number
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer stop()
		next := record.ID(1)
		for range 60 {
			var batch []crmstore.Upsert
			var ids []record.ID
			for range 50 {
				batch, ids = append(batch, d.up(next, "num_associated_deals", int(next))), append(ids, next)
				next++
			}
			if _, err := d.Write(t.Context(), record.Contact, crmstore.UpsertAny, batch, someone, noon); err != nil {
				t.Error(err)
				return
			}
			order := crmstore.ArchiveOrder{Object: record.Contact, Cause: someone, At: noon}
			if _, err := d.Archive(t.Context(), order, d.targets("", ids...)); err != nil {
				t.Error(err)
				return
			}
			o := crmstore.PurgeOrder{Object: record.Contact, Cause: someone, At: noon.Add(crmstore.Retention)}
			if _, err := d.Purge(t.Context(), o); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for ctx.Err() == nil {
		err := d.ReadAll(t.Context(), record.Contact, 0, 1, func(_ int, recs []*record.Record) error {
			for _, r := range recs {
				if got := r.Value(number); got != record.NumberValue(float64(r.ID)) {
					return fmt.Errorf("contact %d was read with the value of contact %s", r.ID, got)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
			break
		}
	}
	wg.Wait()
}
