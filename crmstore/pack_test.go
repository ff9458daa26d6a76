package crmstore_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// Packed upserts give what they give otherwise, also when their memory is used again or the schema changes in between.
func TestPack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		mode := rapid.SampledFrom([]crmstore.WriteMode{crmstore.UpsertAny, crmstore.CreateOnly, crmstore.UpdateOnly}).Draw(rt, "mode")
		plain, other := newDesk(t, storetest.Options{Partitions: 2}), newDesk(t, storetest.Options{Partitions: 2})
		defer plain.Close()
		defer other.Close()
		packer, scratch := crmstore.NewPacker(other.schema), []record.Assignment{}
		for i := range rapid.IntRange(1, 4).Draw(rt, "batches") {
			var batch, packed []crmstore.Upsert
			for _, u := range drawBatch(rt, plain) {
				if rapid.Bool().Draw(rt, "dated") {
					u.Set = append(u.Set, plain.set("createdate", noon.AddDate(-1, 0, 0)))
				}
				scratch = append(scratch[:0], u.Set...)
				p, err := packer.Pack(crmstore.Upsert{ID: u.ID, Set: scratch})
				if err != nil {
					continue // it clears its address
				}
				batch, packed = append(batch, u), append(packed, p)
			}
			clear(scratch)
			if i > 0 && rapid.Bool().Draw(rt, "another schema") {
				name := "extra" + strings.Repeat("x", i)
				if _, err := other.AddProperties(t.Context(), record.Contact, []record.Property{{Name: name, Type: record.String}}, someone, noon); err != nil {
					rt.Fatal(err)
				}
			}
			want, got := short(plain.write(mode, noon, batch...)), short(other.write(mode, noon, packed...))
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Fatalf("results (-plain +packed):\n%s", diff)
			}
		}
		for id := record.ID(1); id < 20; id++ {
			for _, name := range []string{"email", "firstname", "createdate", "lastmodifieddate"} {
				if a, b := plain.text(id, name), other.text(id, name); a != b {
					rt.Fatalf("contact %d has %s %q plain, %q packed", id, name, a, b)
				}
			}
		}
		if found := other.doctor(false); len(found) != 0 {
			rt.Fatalf("doctor finds %v", found)
		}
	})
}

// What cannot be packed is said, and not changed.
func TestPack_Refuses(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Memory: true})
	packer := crmstore.NewPacker(d.schema)
	for want, set := range map[string][]record.Assignment{
		"property email: a packed upsert clears nothing":               {d.set("email", nil)},
		"contact has no property number 9999":                          {{Property: 9999}},
		"property lifecyclestage: the value is not one of its options": {d.set("lifecyclestage", "secret")},
		"property lastmodifieddate is set by the store alone":          {d.set("lastmodifieddate", noon)},
	} {
		if got, err := packer.Pack(crmstore.Upsert{ID: 3, Set: set}); err == nil || err.Error() != want || got.ID != 3 || len(got.Set) != 1 {
			t.Errorf("Pack: %+v, %v, want %s", got, err, want)
		}
	}
}
