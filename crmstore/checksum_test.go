package crmstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// Every single flipped bit of a record's properties, and of its checksum, is found, and neither repaired into the columns nor
// taken for the record's truth. A flipped bit of its header is put right, or the record is reported.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	d := ward(t, storetest.Options{Memory: true})
	ctx, raw := t.Context(), crmstore.Raw(d.Store)
	key := func(name string) string { return crmstore.KeyOf(d.Store, record.Contact, 0, name) }
	columns, err := raw.Keys(ctx, key("col:*")).Result()
	if err != nil {
		t.Fatal(err)
	}
	columns = append(columns, key("ids"), key("arch"), key("list:1"))
	before := raw.MGet(ctx, columns...).Val()
	for _, id := range []record.ID{3, 2} { // live, and in the bin
		whole := raw.HGet(ctx, key("rec"), name(id)).Val()
		facts := 22 + int(whole[20]) + 256*int(whole[21])
		for at := 8; at < len(whole); at++ { // a version says nothing
			if at >= 22 && at < facts {
				continue // the facts of a deletion have no checksum
			}
			damaged := []byte(whole)
			damaged[at] ^= 1 << (at % 8)
			if err := raw.HSet(ctx, key("rec"), name(id), damaged).Err(); err != nil {
				t.Fatal(err)
			}
			found := strings.Join(d.problemsOf(crmstore.DoctorOrder{Repair: true}), "\n")
			if diff := cmp.Diff(before, raw.MGet(ctx, columns...).Val()); diff != "" {
				t.Fatalf("byte %d of %d: repaired towards the damage (-before +after):\n%s", at, len(whole), diff)
			}
			reported := strings.Contains(found, fmt.Sprintf("record %d false: ", id))
			mended := raw.HGet(ctx, key("rec"), name(id)).Val()[8:] == whole[8:]
			if reported == mended {
				t.Errorf("byte %d of %d: reported %v, mended %v:\n%s", at, len(whole), reported, mended, found)
			}
			if at >= facts {
				if !reported {
					t.Errorf("byte %d of %d is not noticed:\n%s", at, len(whole), found)
				}
				if _, err := d.Get(ctx, record.Contact, []record.ID{id}); !errors.Is(err, record.ErrDamaged) {
					t.Errorf("byte %d of %d: the record is read all the same: %v", at, len(whole), err)
				}
			}
			if err := raw.HSet(ctx, key("rec"), name(id), whole).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found := d.doctor(false); len(found) > 0 {
		t.Errorf("in the end: %q", found)
	}
}

// Which value a checksum is about is told where a column knows it.
func TestChecksumNamesValue(t *testing.T) {
	t.Parallel()
	d := ward(t, storetest.Options{Memory: true})
	ctx, raw := t.Context(), crmstore.Raw(d.Store)
	d.write(crmstore.UpsertAny, noon, d.up(3, "city", "Utrecht"))
	rec := crmstore.KeyOf(d.Store, record.Contact, 0, "rec")
	whole := raw.HGet(ctx, rec, name(3)).Val()
	if err := raw.HSet(ctx, rec, name(3), strings.Replace(whole, "Utrecht", "Utrecha", 1)).Err(); err != nil {
		t.Fatal(err)
	}
	found := d.problemsOf(crmstore.DoctorOrder{Repair: true})
	if len(found) != 1 || !strings.Contains(found[0], "other than in its columns: city") {
		t.Errorf("%q", found)
	}
}

// What scripts rewrite of a record leaves its checksum good, and a record of an older version, which has none, is read and gets
// one when it is written.
func TestChecksumStays(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := ward(t, o)
		ctx, raw := t.Context(), crmstore.Raw(d.Store)
		rec := crmstore.KeyOf(d.Store, record.Contact, 0, "rec")
		sealed := func(id record.ID) bool {
			text := raw.HGet(ctx, rec, name(id)).Val()
			return len(text) > 9 && text[len(text)-9:len(text)-4] == "\xfd\xff\xff\xff\x0f"
		}
		text := raw.HGet(ctx, rec, name(6)).Val()
		if err := raw.HSet(ctx, rec, name(6), text[:len(text)-9]).Err(); err != nil { // as it was written before
			t.Fatal(err)
		}
		d.archive(byRun("stale@3"), d.targets("", 3, 6))
		d.restore(crmstore.RestoreOrder{Object: record.Contact, At: noon}, 3, 6)
		if !sealed(3) || sealed(6) || d.text(3, "email") != "c3@x.org" || d.text(6, "email") != "c6@x.org" {
			t.Errorf("after deletion and restore: %v, %v", sealed(3), sealed(6))
		}
		d.write(crmstore.UpsertAny, noon, d.up(6, "city", "Bonn"), d.up(1, "city", "Bonn"), d.up(0, "email", "new@x.org"))
		if !sealed(6) || !sealed(1) {
			t.Error("a record that was written has no checksum")
		}
		if found := d.doctor(false); len(found) > 0 {
			t.Errorf("%q", found)
		}
	})
}

// Damaged records stop nothing: all others are read, and the damaged ones named in the end.
func TestDamagedLeftOut(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := ward(t, o)
		ctx, raw := t.Context(), crmstore.Raw(d.Store)
		rec := crmstore.KeyOf(d.Store, record.Contact, 0, "rec")
		for id, text := range map[record.ID]string{1: "short", 4: strings.Replace(raw.HGet(ctx, rec, name(4)).Val(), "c4@", "x4@", 1)} {
			if err := raw.HSet(ctx, rec, name(id), text).Err(); err != nil {
				t.Fatal(err)
			}
		}
		want := func(how string, err error, ids ...record.ID) {
			t.Helper()
			damaged, ok := errors.AsType[*record.DamagedError](err)
			if !ok || !cmp.Equal(damaged.IDs, ids) || !strings.Contains(err.Error(), "workflow doctor --quarantine") {
				t.Errorf("%s: %v, want records %v named", how, err, ids)
			}
		}
		var read []record.ID
		err := d.ReadAll(ctx, record.Contact, 0, 1, func(_ int, recs []*record.Record) error {
			read = crmstore.IDsOf(recs, func(r *record.Record) record.ID { return r.ID })
			return nil
		})
		want("ReadAll", err, 1, 4)
		if !cmp.Equal(read, []record.ID{2, 3, 5, 6}) {
			t.Errorf("ReadAll: %v", read)
		}
		recs, err := d.Get(ctx, record.Contact, []record.ID{4, 3})
		want("Get", err, 4)
		if len(recs) != 1 || recs[0].ID != 3 {
			t.Errorf("Get: %v", recs)
		}
		for how, pick := range map[string]crmstore.Pick{"whole": {Whole: true}, "slots": {Slots: []uint32{0, 1, 2, 3, 4, 5}}} {
			var good, bad []record.ID
			err := d.ReadRows(ctx, record.Contact, []crmstore.Pick{pick}, nil, func(r *crmstore.Rows) error {
				for _, row := range r.Rows {
					if row.Damaged {
						bad = append(bad, row.ID)
					} else {
						good = append(good, row.ID)
					}
				}
				return nil
			})
			if err != nil || !cmp.Equal(bad, []record.ID{1, 4}) || !cmp.Equal(good, []record.ID{2, 3, 5, 6}) {
				t.Errorf("rows of %s: good %v, damaged %v, %v", how, good, bad, err)
			}
		}
		results := d.write(crmstore.UpsertAny, noon, d.up(4, "city", "Bonn"), d.up(5, "city", "Bonn"))
		if results[0].Outcome != crmstore.Refused || results[1].Outcome != crmstore.Updated {
			t.Errorf("%v", results)
		}
	})
}
