package crmstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// problemsOf are the codes and details of an examination.
func (d *desk) problemsOf(o crmstore.DoctorOrder) (found []string) {
	d.t.Helper()
	o.Cause, o.At = someone, noon
	err := d.Examine(d.t.Context(), record.Contact, o, func(p crmstore.Problem) error {
		found = append(found, fmt.Sprintf("%s %d %v: %s", p.Code, p.ID, p.Repaired, p.Detail))
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return found
}

// A record that cannot be read is moved aside with its bytes, everything else goes on, and put back it is as it was.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := ward(t, o)
		ctx, raw := t.Context(), crmstore.Raw(d.Store)
		key := func(name string) string { return crmstore.KeyOf(d.Store, record.Contact, 0, name) }
		for id, bytes := range map[record.ID]string{2: "nonsense", 4: raw.HGet(ctx, key("rec"), name(4)).Val() + "\xff"} {
			if err := raw.HSet(ctx, key("rec"), name(id), bytes).Err(); err != nil {
				t.Fatal(err)
			}
		}
		was := raw.HGetAll(ctx, key("rec")).Val()
		found := d.problemsOf(crmstore.DoctorOrder{Repair: true})
		if len(found) != 2 || !strings.HasPrefix(found[0], "record 2 false: ") || !strings.HasPrefix(found[1], "record 4 false: ") {
			t.Errorf("before: %q", found)
		}
		found = d.problemsOf(crmstore.DoctorOrder{Quarantine: true})
		if len(found) != 2 || !strings.HasPrefix(found[0], "record 2 true: ") || !strings.HasPrefix(found[1], "record 4 true: ") {
			t.Errorf("moving aside: %q", found)
		}
		found = d.problemsOf(crmstore.DoctorOrder{Repair: true})
		if len(found) != 2 || !strings.HasPrefix(found[0], "quarantined 2 ") || !strings.Contains(found[1], "workflow doctor --put-back 4 ") {
			t.Errorf("after: %q", found)
		}
		n, err := d.Count(ctx, record.Contact)
		if want := (crmstore.Counts{Live: 4}); n != want || err != nil {
			t.Errorf("%+v, %v", n, err)
		}
		d.write(crmstore.UpsertAny, noon, d.up(7, "email", "c7@x.org")) // takes no slot of theirs
		seen := 0
		err = d.ReadAll(ctx, record.Contact, 0, 1, func(_ int, recs []*record.Record) error { seen += len(recs); return nil })
		if seen != 5 || err != nil {
			t.Errorf("%d records, %v", seen, err)
		}
		if err := d.PutBack(ctx, record.Contact, 1, someone, noon); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("a record that is not in quarantine: %v", err)
		}
		for _, id := range []record.ID{2, 4} {
			if err := d.PutBack(ctx, record.Contact, id, someone, noon); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(was[name(id)], raw.HGet(ctx, key("rec"), name(id)).Val()); diff != "" {
				t.Error(diff)
			}
		}
		found = d.problemsOf(crmstore.DoctorOrder{Repair: true})
		if len(found) != 2 || !strings.HasPrefix(found[0], "record 2 false: ") || !strings.HasPrefix(found[1], "record 4 false: ") {
			t.Errorf("put back: %q", found)
		}
		ops := []string{}
		for _, e := range d.audit(crmstore.AuditFilter{Ops: []string{"quarantine", "put-back"}}) {
			ops = append(ops, e.Op)
		}
		if slices.Sort(ops); !slices.Equal(ops, []string{"put-back", "put-back", "quarantine", "quarantine"}) {
			t.Errorf("audited: %q", ops)
		}
	})
}

// A key of a wrong type is named, what else there is is examined all the same, and nothing is repaired in its partition until it was
// moved aside.
func TestWrongTypes(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"rec", "cnt", "assoc", "tomb", "free", "log", "ids", "arch", "col", "list:1", "enr:stale"} {
		t.Run(suffix, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o storetest.Options) {
				if suffix == "log" && o.Memory {
					t.Skip("the server in memory answers XLEN of such a key with two replies")
				}
				d := ward(t, o)
				ctx, raw := t.Context(), crmstore.Raw(d.Store)
				key := crmstore.KeyOf(d.Store, record.Contact, 0, suffix)
				if suffix == "col" {
					key += fmt.Sprint(":", d.schema.Find("city")[0].Number)
				}
				raw.Del(ctx, key)
				if err := raw.SAdd(ctx, key, "odd").Err(); err != nil {
					t.Fatal(err)
				}
				for _, repair := range []bool{false, true} {
					found := d.problemsOf(crmstore.DoctorOrder{Repair: repair})
					if len(found) == 0 || !strings.HasPrefix(found[0], "type 0 false: key "+key+" is a set, must be a ") ||
						!strings.Contains(found[0], "workflow doctor --quarantine") {
						t.Fatalf("found %q", found)
					}
				}
				if members := raw.SMembers(ctx, key).Val(); len(members) != 1 {
					t.Error("a repair wrote over the key")
				}
				found := d.problemsOf(crmstore.DoctorOrder{Quarantine: true, Repair: true, AcceptLoss: true})
				if len(found) == 0 || !strings.HasPrefix(found[0], "type 0 true: key "+key+" was a set") || !strings.Contains(found[0], key+":bad1") {
					t.Fatalf("moving aside: %q", found)
				}
				if members := raw.SMembers(ctx, key+":bad1").Val(); len(members) != 1 {
					t.Error("what was moved aside is not there")
				}
				found = slices.DeleteFunc(d.problemsOf(crmstore.DoctorOrder{}), func(s string) bool { return strings.HasPrefix(s, "accepted ") })
				if len(found) > 0 {
					t.Errorf("afterwards: %q", found)
				}
			})
		})
	}
}

// Keys of the account are looked at too.
func TestWrongTypesOfAccount(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := ward(t, o)
		ctx, raw := t.Context(), crmstore.Raw(d.Store)
		claim, _ := crmstore.ClaimOf(d.Store, "c3@x.org", 1)
		odd := []string{crmstore.KeyAccountLog(d.Store), crmstore.KeyNextID(d.Store, record.Contact), claim}
		for _, key := range odd {
			raw.Del(ctx, key)
			if err := raw.SAdd(ctx, key, "odd").Err(); err != nil {
				t.Fatal(err)
			}
		}
		found := strings.Join(d.problemsOf(crmstore.DoctorOrder{}), "\n")
		for _, key := range odd {
			if !strings.Contains(found, "key "+key+" is a set") {
				t.Errorf("%s is not named in:\n%s", key, found)
			}
		}
		d.problemsOf(crmstore.DoctorOrder{Quarantine: true, Repair: true, AcceptLoss: true})
		for _, p := range d.problemsOf(crmstore.DoctorOrder{}) {
			if !strings.HasPrefix(p, "accepted ") {
				t.Errorf("afterwards: %s", p)
			}
		}
		lists := crmstore.KeyLists(d.Store, record.Contact)
		raw.Del(ctx, lists)
		raw.SAdd(ctx, lists, "odd")
		err := d.Examine(ctx, record.Contact, crmstore.DoctorOrder{}, func(crmstore.Problem) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "key "+lists+" is a set, must be a hash") {
			t.Errorf("%v", err)
		}
	})
}
