package people

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

var crowd = Crowd{Seed: 7, Now: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)}

func TestMake_IsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	all := crowd.Make(0, 100)
	part := crowd.Make(60, 100)
	same := cmp.Comparer(func(a, b record.Value) bool { return a == b })
	if diff := cmp.Diff(all[60:], part, same); diff != "" {
		t.Errorf("contacts 60 to 99 made alone differ (-all +alone):\n%s", diff)
	}
	other := Crowd{Seed: 8, Now: crowd.Now}.Make(0, 100)
	if cmp.Equal(all, other, same) {
		t.Error("another seed made the same contacts")
	}
}

func TestMake_FitsTheDefaultSchema(t *testing.T) {
	t.Parallel()
	names := Names()
	if len(names) != 25 {
		t.Errorf("a contact has %d properties, want 25", len(names))
	}
	schema := record.NewSchema(record.Contact, 1, record.DefaultProperties(record.Contact))
	for _, p := range crowd.Make(0, 500) {
		var set []record.Assignment
		for i, v := range p.Values {
			set = append(set, record.Assignment{Property: schema.Find(names[i])[0].Number, Value: v})
		}
		if _, err := record.NewRecord(schema, p.ID, set); err != nil {
			t.Fatalf("contact %d: %v", p.ID, err)
		}
	}
}

func TestOlderThan_ChoosesTheShare(t *testing.T) {
	t.Parallel()
	const contacts = 40_000
	stage, activity := index(t, "lifecyclestage"), index(t, "notes_last_updated")
	people := crowd.Make(0, contacts)
	for _, share := range []float64{0.2, 0.01} {
		before := crowd.OlderThan(share)
		n := 0
		for _, p := range people {
			early := p.Values[stage].Text() == "subscriber" || p.Values[stage].Text() == "lead"
			if early && p.Values[activity].Known() && p.Values[activity].Time().Before(before) {
				n++
			}
		}
		if got := float64(n) / contacts; got < share*0.85 || got > share*1.15 {
			t.Errorf("share %g: %g of the contacts are older than %s", share, got, before)
		}
	}
}

func TestLong_GrowsOneTextBeyond64Bytes(t *testing.T) {
	t.Parallel()
	at := index(t, "address")
	long := crowd
	long.Long = true
	short, tall := crowd.Make(0, 200), long.Make(0, 200)
	for i := range short {
		if a := short[i].Values[at].Text(); len(a) > 64 {
			t.Errorf("a short address has %d bytes: %q", len(a), a)
		}
		if a := tall[i].Values[at].Text(); a != "" && len(a) <= 64 {
			t.Errorf("a long address has %d bytes: %q", len(a), a)
		}
	}
}

func index(t *testing.T, name string) int {
	t.Helper()
	for i, n := range Names() {
		if n == name {
			return i
		}
	}
	t.Fatalf("no property %s", name)
	return 0
}
