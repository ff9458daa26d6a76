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

// newTown is a store with a custom object type and records 1 to n of contact, company and machine.
func newTown(t testing.TB, o storetest.Options, n int) *desk {
	t.Helper()
	d := newDesk(t, o)
	crmstore.SetPatience(d.Store, 0)
	if _, err := d.AddObject(t.Context(), crmstore.Object{Name: "machine"}, nil, someone, noon); err != nil {
		t.Fatal(err)
	}
	batch := make([]crmstore.Upsert, n)
	for i := range batch {
		batch[i].ID = record.ID(i + 1)
	}
	for _, object := range []record.ObjectType{record.Contact, record.Company, "machine"} {
		if _, err := d.Write(t.Context(), object, crmstore.CreateOnly, batch, someone, noon); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func contact(id record.ID) record.Ref { return record.Ref{Object: record.Contact, ID: id} }
func company(id record.ID) record.Ref { return record.Ref{Object: record.Company, ID: id} }
func device(id record.ID) record.Ref  { return record.Ref{Object: "machine", ID: id} }

func (d *desk) associate(add bool, pairs ...crmstore.Pair) []crmstore.PairResult {
	d.t.Helper()
	results, err := d.Associate(d.t.Context(), pairs, add, someone, noon)
	if err != nil {
		d.t.Fatal(err)
	}
	return results
}

// with is what a record is associated with, in words.
func (d *desk) with(r record.Ref) string {
	d.t.Helper()
	found, err := d.Associations(d.t.Context(), r.Object, []record.ID{r.ID})
	if err != nil {
		d.t.Fatal(err)
	}
	return fmt.Sprint(found[0])
}

func (d *desk) wantWith(want map[record.Ref]string) {
	d.t.Helper()
	for r, words := range want {
		if got := d.with(r); got != words {
			d.t.Errorf("%s is associated with %s, want %s", r, got, words)
		}
	}
}

// bin deletes a record, or brings it back.
func (d *desk) bin(r record.Ref, in bool) {
	d.t.Helper()
	ctx := d.t.Context()
	if !in {
		results, err := d.Restore(ctx, crmstore.RestoreOrder{Object: r.Object, Cause: someone, At: noon}, []record.ID{r.ID})
		if err != nil || results[0].Outcome != crmstore.Restored {
			d.t.Fatalf("restore %s: %v, %v", r, results, err)
		}
		return
	}
	recs, err := d.Get(ctx, r.Object, []record.ID{r.ID})
	if err != nil {
		d.t.Fatal(err)
	}
	partitions, err := d.Partitions(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	outcomes, err := d.Archive(ctx, crmstore.ArchiveOrder{Object: r.Object, Cause: someone, At: noon}, []crmstore.Archive{
		{Partition: r.ID.Partition(partitions), Targets: []crmstore.Target{{ID: r.ID, Version: recs[0].Version}}},
	})
	if err != nil || outcomes[0][0] != crmstore.Archived {
		d.t.Fatalf("delete %s: %v, %v", r, outcomes, err)
	}
}

// problems are what doctor says of all object types.
func (d *desk) problems(repair bool) (found []string) {
	d.t.Helper()
	types, err := d.ObjectTypes(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, o := range types {
		err := d.Doctor(d.t.Context(), o, repair, func(p crmstore.Problem) error {
			found = append(found, fmt.Sprintf("%s %d: %s (repaired: %v)", p.Object, p.ID, p.Detail, p.Repaired))
			return nil
		})
		if err != nil {
			d.t.Fatal(err)
		}
	}
	return found
}

func TestAssociate(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newTown(t, o, 3)
		pairs := []crmstore.Pair{
			{contact(1), company(1)},
			{company(2), contact(1)},
			{contact(2), company(1)},
			{contact(1), device(1)},
			{contact(1), contact(3)},
			{company(1), contact(1)}, // again
		}
		changed, asItWas := crmstore.PairResult{Outcome: crmstore.PairChanged}, crmstore.PairResult{Outcome: crmstore.PairAsItWas}
		got := d.associate(true, pairs...)
		if diff := cmp.Diff([]crmstore.PairResult{changed, changed, changed, changed, changed, asItWas}, got); diff != "" {
			t.Fatalf("results (-want +got):\n%s", diff)
		}
		d.wantWith(map[record.Ref]string{
			contact(1): "[company 1 company 2 contact 3 machine 1]", company(1): "[contact 1 contact 2]", contact(3): "[contact 1]",
			device(1): "[contact 1]", company(3): "[]", contact(99): "[]",
		})
		got = d.associate(false, pairs[5], pairs[3], crmstore.Pair{A: contact(2), B: company(2)})
		if diff := cmp.Diff([]crmstore.PairResult{changed, changed, asItWas}, got); diff != "" {
			t.Fatalf("results of taking apart (-want +got):\n%s", diff)
		}
		d.wantWith(map[record.Ref]string{contact(1): "[company 2 contact 3]", company(1): "[contact 2]", device(1): "[]"})
		if found := d.problems(false); len(found) > 0 {
			t.Errorf("doctor finds %v", found)
		}
	})
}

func TestAssociateRefuses(t *testing.T) {
	t.Parallel()
	d := newTown(t, storetest.Options{}, 3)
	d.associate(true, crmstore.Pair{A: contact(2), B: company(2)}, crmstore.Pair{A: contact(3), B: company(1)})
	d.bin(contact(2), true)
	d.bin(company(3), true)
	for _, c := range []struct {
		pair crmstore.Pair
		want string
	}{
		{crmstore.Pair{A: contact(1), B: contact(1)}, "contact 1 cannot be associated with itself"},
		{crmstore.Pair{A: contact(9), B: company(1)}, "there is no contact 9"},
		{crmstore.Pair{A: contact(1), B: company(9)}, "there is no company 9"},
		{crmstore.Pair{A: contact(2), B: company(1)}, "contact 2 is in the recycle bin"},
		{crmstore.Pair{A: contact(1), B: company(3)}, "company 3 is in the recycle bin"},
		{crmstore.Pair{A: contact(2), B: company(2)}, "contact 2 is in the recycle bin"}, // was associated before
	} {
		if got := d.associate(true, c.pair)[0].Reason(); got != c.want {
			t.Errorf("%v: %q, want %q", c.pair, got, c.want)
		}
	}
	d.wantWith(map[record.Ref]string{contact(1): "[]", company(1): "[contact 3]", company(2): "[]"})
	if found := d.problems(false); len(found) > 0 {
		t.Errorf("after refusals doctor finds %v", found)
	}
	_, err := d.Associate(t.Context(), []crmstore.Pair{{A: contact(1), B: record.Ref{Object: "ship", ID: 1}}}, true, someone, noon)
	if !errors.Is(err, record.ErrNotFound) {
		t.Errorf("associating with an object type that is not there: %v", err)
	}
}

// Associations are kept, unseen, while either record is in the bin, and come back with the last of the two.
func TestAssociationsInBin(t *testing.T) {
	t.Parallel()
	d := newTown(t, storetest.Options{}, 2)
	d.associate(true, crmstore.Pair{A: contact(1), B: company(1)}, crmstore.Pair{A: contact(1), B: company(2)}, crmstore.Pair{A: contact(1), B: contact(2)})
	d.bin(contact(1), true)
	d.bin(company(1), true)
	d.wantWith(map[record.Ref]string{contact(1): "[]", company(1): "[]", company(2): "[]", contact(2): "[]"})
	d.bin(contact(1), false)
	d.wantWith(map[record.Ref]string{contact(1): "[company 2 contact 2]", company(1): "[]", company(2): "[contact 1]", contact(2): "[contact 1]"})
	d.bin(company(1), false)
	d.wantWith(map[record.Ref]string{contact(1): "[company 1 company 2 contact 2]", company(1): "[contact 1]"})
	if found := d.problems(false); len(found) > 0 {
		t.Errorf("doctor finds %v", found)
	}
}

// Each state that a crash between two scripts leaves behind looks the same from both ends, is found by doctor once, and
// repaired; and so is what only a lost write or damage leaves.
func TestDoctorAssociations(t *testing.T) {
	t.Parallel()
	pair := crmstore.Pair{A: contact(1), B: company(1)} // the first half is at the company
	field := func(r, other record.Ref) string {
		id := r.ID.Bytes()
		return string(id[:]) + string(other.Object)
	}
	drop := func(r, other record.Ref) func(*desk) error {
		return func(d *desk) error {
			return crmstore.Raw(d.Store).HDel(d.t.Context(), crmstore.KeyOf(d.Store, r.Object, 0, "assoc"), field(r, other)).Err()
		}
	}
	put := func(r, other record.Ref, value string) func(*desk) error {
		return func(d *desk) error {
			return crmstore.Raw(d.Store).HSet(d.t.Context(), crmstore.KeyOf(d.Store, r.Object, 0, "assoc"), field(r, other), value).Err()
		}
	}
	gone := func(r record.Ref) func(*desk) error {
		return func(d *desk) error {
			raw := crmstore.Raw(d.Store)
			id := r.ID.Bytes()
			if err := raw.HIncrBy(d.t.Context(), crmstore.KeyOf(d.Store, r.Object, 0, "cnt"), "live", -1).Err(); err != nil { // else it would be lost
				return err
			}
			return raw.HDel(d.t.Context(), crmstore.KeyOf(d.Store, r.Object, 0, "rec"), string(id[:])).Err()
		}
	}
	until := func(add bool, steps int) func(*desk) error {
		return func(d *desk) error {
			return crmstore.AssociateUntil(d.t.Context(), d.Store, []crmstore.Pair{pair}, add, steps)
		}
	}
	inBin := func(r record.Ref) func(*desk) error { return func(d *desk) error { d.bin(r, true); return nil } }
	whole := until(true, 3)
	for name, c := range map[string]struct {
		do        []func(*desk) error
		seen      bool // before the repair
		want      string
		seenAfter bool
	}{
		"added, first half only":            {[]func(*desk) error{until(true, 1)}, false, "company 1: its association with contact 1 is half added", true},
		"added, mark not taken off":         {[]func(*desk) error{until(true, 2)}, true, "company 1: its association with contact 1 is half added", true},
		"removed, both halves there":        {[]func(*desk) error{whole, until(false, 1)}, true, "company 1: its association with contact 1 is half removed", false},
		"removed, second half gone":         {[]func(*desk) error{whole, until(false, 2)}, false, "company 1: its association with contact 1 is half removed", false},
		"removed over half added":           {[]func(*desk) error{until(true, 1), until(false, 1)}, false, "company 1: its association with contact 1 is half removed", false},
		"added over half removed":           {[]func(*desk) error{whole, until(false, 2), until(true, 1)}, false, "company 1: its association with contact 1 is half added", true},
		"first half lost":                   {[]func(*desk) error{whole, drop(company(1), contact(1))}, false, "contact 1: its association with company 1 stands at this end only", true},
		"second half lost":                  {[]func(*desk) error{whole, drop(contact(1), company(1))}, false, "company 1: its association with contact 1 stands at this end only", true},
		"half added, then one in the bin":   {[]func(*desk) error{until(true, 1), inBin(contact(1))}, false, "company 1: its association with contact 1 is half added", false},
		"half removed, then one in the bin": {[]func(*desk) error{whole, until(false, 1), inBin(company(1))}, false, "company 1: its association with contact 1 is half removed", false},
		"first record gone":                 {[]func(*desk) error{whole, gone(company(1))}, false, "company 1: its association with contact 1 is kept although the record is gone", false},
		"second record gone":                {[]func(*desk) error{whole, gone(contact(1))}, false, "company 1: its association with contact 1 is kept although the other record is gone", false},
		"half added, second record gone":    {[]func(*desk) error{until(true, 1), gone(contact(1))}, false, "company 1: its association with contact 1 is kept although the other record is gone", false},
		"first gone, its half too":          {[]func(*desk) error{whole, gone(company(1)), drop(company(1), contact(1))}, false, "contact 1: its association with company 1 stands at this end only", false},
		"a value cut short":                 {[]func(*desk) error{whole, put(company(1), contact(1), "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00")}, true, "company 1: its associations with contacts cannot be read as they stand", true},
		"a mark of no kind":                 {[]func(*desk) error{whole, put(company(1), contact(1), "\x01\x00\x00\x00\x00\x00\x00\x00\x03")}, true, "company 1: its associations with contacts cannot be read as they stand", true},
		"a field of no object type":         {[]func(*desk) error{whole, put(company(1), record.Ref{Object: "ship"}, "x")}, true, "company 0: partition 0: a field of associations is no record's", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newTown(t, storetest.Options{Partitions: 1}, 2)
			d.associate(true, crmstore.Pair{A: contact(2), B: company(2)}) // stays as it is
			for _, do := range c.do {
				if err := do(d); err != nil {
					t.Fatal(err)
				}
			}
			readable := name != "a value cut short" && name != "a mark of no kind"
			check := func(when string, seen bool) {
				t.Helper()
				want := map[record.Ref]string{contact(1): "[]", company(1): "[]", contact(2): "[company 2]", company(2): "[contact 2]"}
				if seen {
					want[contact(1)], want[company(1)] = "[company 1]", "[contact 1]"
				}
				for r, words := range want {
					if got := d.with(r); got != words {
						t.Errorf("%s: %s is associated with %s, want %s", when, r, got, words)
					}
				}
			}
			if readable {
				check("before the repair", c.seen)
			}
			associations := func(found []string) []string {
				return slices.DeleteFunc(found, func(s string) bool {
					return !slices.Contains([]string{c.want + " (repaired: false)", c.want + " (repaired: true)"}, s)
				})
			}
			if found := associations(d.problems(false)); len(found) != 1 {
				t.Errorf("doctor finds %v, want %q once", found, c.want)
			}
			if found := associations(d.problems(true)); len(found) != 1 || found[0] != c.want+" (repaired: true)" {
				t.Errorf("doctor repairs %v, want %q once", found, c.want)
			}
			check("after the repair", c.seenAfter)
			if found := d.problems(false); len(found) > 0 {
				t.Errorf("after the repair doctor finds %v", found)
			}
		})
	}
}

// What a crash left half-done is finished by whoever asks for it again, either way.
func TestAssociateGoesOn(t *testing.T) {
	t.Parallel()
	pair := crmstore.Pair{A: contact(1), B: company(1)}
	for _, first := range []bool{true, false} {
		for _, then := range []bool{true, false} {
			for steps := 1; steps <= 2; steps++ {
				d := newTown(t, storetest.Options{Partitions: 1}, 1)
				if !first {
					d.associate(true, pair)
				}
				if err := crmstore.AssociateUntil(t.Context(), d.Store, []crmstore.Pair{pair}, first, steps); err != nil {
					t.Fatal(err)
				}
				if got := d.associate(then, pair)[0].Outcome; got != crmstore.PairChanged {
					t.Errorf("add %v until %d, then add %v: outcome %d", first, steps, then, got)
				}
				want := map[bool]string{true: "[company 1]", false: "[]"}[then]
				if got := d.with(contact(1)); got != want {
					t.Errorf("add %v until %d, then add %v: associated with %s, want %s", first, steps, then, got, want)
				}
				if found := d.problems(false); len(found) > 0 {
					t.Errorf("add %v until %d, then add %v: doctor finds %v", first, steps, then, found)
				}
			}
		}
	}
}

func TestDissolve(t *testing.T) {
	t.Parallel()
	d := newTown(t, storetest.Options{}, 3)
	d.associate(true, crmstore.Pair{A: contact(1), B: company(1)}, crmstore.Pair{A: contact(1), B: contact(2)}, crmstore.Pair{A: contact(1), B: device(1)},
		crmstore.Pair{A: contact(2), B: company(1)}, crmstore.Pair{A: contact(3), B: company(3)})
	if err := crmstore.AssociateUntil(t.Context(), d.Store, []crmstore.Pair{{A: contact(1), B: company(2)}}, true, 2); err != nil {
		t.Fatal(err)
	}
	d.bin(contact(1), true)
	if err := crmstore.Dissolve(t.Context(), d.Store, record.Contact, []record.ID{1, 2}); err != nil {
		t.Fatal(err)
	}
	d.bin(contact(1), false)
	d.wantWith(map[record.Ref]string{
		contact(1): "[]", contact(2): "[]", company(1): "[]", company(2): "[]", device(1): "[]", contact(3): "[company 3]",
	})
	if found := d.problems(false); len(found) > 0 {
		t.Errorf("doctor finds %v", found)
	}
}

func TestAssociationsAudit(t *testing.T) {
	t.Parallel()
	d := newTown(t, storetest.Options{Partitions: 1}, 3)
	pairs := []crmstore.Pair{{contact(1), company(1)}, {contact(2), company(1)}}
	d.associate(true, pairs...)
	d.associate(true, pairs...)
	d.associate(false, pairs[0])
	for r, want := range map[record.Ref][]string{
		contact(1): {"create", "associate with company [1]", "dissociate with company [1]"},
		contact(2): {"create", "associate with company [1]"},
		company(1): {"create", "associate with contact [1 2]", "dissociate with contact [1]"},
	} {
		var got []string
		err := d.Audit(t.Context(), crmstore.AuditFilter{Object: r.Object, Record: r.ID}, func(e record.Event) error {
			words := e.Op
			if e.With != "" {
				words = fmt.Sprintf("%s with %s %v", e.Op, e.With, e.Others)
			}
			if got = append(got, words); e.Actor != storetest.User {
				t.Errorf("%s was done by %q", words, e.Actor)
			}
			return nil
		})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("events of %s (%v) (-want +got):\n%s", r, err, diff)
		}
	}
}

// Whoever may not edit one of the two types changes no association; whoever may not view a type does not see it.
func TestAssociationsPermissions(t *testing.T) {
	t.Parallel()
	d := newTown(t, storetest.Options{}, 2)
	ctx := t.Context()
	kept, fresh := crmstore.Pair{A: contact(1), B: company(1)}, crmstore.Pair{A: contact(2), B: company(2)}
	d.associate(true, kept, crmstore.Pair{A: contact(1), B: device(1)})
	user := `1 {"name":"eve","objects":{"contact":["view","edit"],"company":["view"]}}`
	if err := crmstore.Raw(d.Store).HSet(ctx, "crm:{"+d.AccountName()+"}:users", "eve", user).Err(); err != nil {
		t.Fatal(err)
	}
	eve := d.As("eve")
	for _, add := range []bool{true, false} {
		_, err := eve.Associate(ctx, []crmstore.Pair{kept, fresh}, add, someone, noon)
		refused, ok := errors.AsType[*crmstore.PermissionError](err)
		if !ok || refused.Permission != crmstore.CanEdit || refused.Object != record.Company {
			t.Errorf("add %v without edit for companies: %v", add, err)
		}
	}
	if found, err := eve.Associations(ctx, record.Contact, []record.ID{1}); err != nil || fmt.Sprint(found) != "[[company 1]]" {
		t.Errorf("without view for machines: %v, %v", found, err)
	}
	if _, err := eve.Associations(ctx, "machine", []record.ID{1}); !errors.As(err, new(*crmstore.PermissionError)) {
		t.Errorf("associations of a machine without view for machines: %v", err)
	}
	if _, err := eve.AddObject(ctx, crmstore.Object{Name: "ship"}, nil, someone, noon); !errors.As(err, new(*crmstore.PermissionError)) {
		t.Errorf("defining an object type without super-admin: %v", err)
	}
	d.wantWith(map[record.Ref]string{contact(1): "[company 1 machine 1]", contact(2): "[]"})
	if types, err := d.ObjectTypes(ctx); err != nil || slices.Contains(types, "ship") {
		t.Errorf("object types after the refusal: %v, %v", types, err)
	}
}
