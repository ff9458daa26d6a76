package crmstore_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// sumKept is the sum that the store keeps of the ward's list.
func (d *desk) sumKept() string { return d.sumOf("list:1") }

// sumOf is the sum that the store keeps under the name of a counter; "" = none.
func (d *desk) sumOf(name string) string {
	d.t.Helper()
	text, err := crmstore.Raw(d.Store).HGet(d.t.Context(), crmstore.KeyOf(d.Store, record.Contact, 0, "cnt"), "sum:"+name).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		d.t.Fatal(err)
	}
	return text
}

// The sum that scripts keep step by step is the sum of the members, whatever happens to the list.
func TestSumsOfLists(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		d := ward(t, o)
		keep := crmstore.List{Number: 1, Name: "keep", Object: record.Contact}
		check := func(when string) {
			t.Helper()
			bits, err := crmstore.Raw(d.Store).Get(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, "list:1")).Result()
			if err != nil {
				t.Fatal(err)
			}
			want := strconv.FormatInt(crmstore.SumOf([]byte(bits)), 10)
			if got := d.sumKept(); got != want {
				t.Errorf("%s: the sum is %q, want %s", when, got, want)
			}
			if err := readList(ctx, d); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		set := func(member bool, ids ...record.ID) {
			t.Helper()
			if _, _, err := d.SetMembers(ctx, keep, ids, member, someone, noon); err != nil {
				t.Fatal(err)
			}
		}
		check("two members")
		set(true, 1, 2, 3, 5)
		check("five")
		set(false, 3, 4)
		check("three")
		d.purge(crmstore.PurgeOrder{At: noon.Add(crmstore.Retention + time.Hour)}) // contact 2 is in the bin
		check("one was purged")
		set(false, 1, 5)
		check("none")
		if sum := d.sumKept(); sum != "0" {
			t.Errorf("the sum of nobody is %s", sum)
		}
		set(true, 6)
		check("one")
		if found := d.doctor(false); len(found) > 0 {
			t.Errorf("doctor finds %v", found)
		}
	})
}

// A member that was lost while another one was gained is no whole list: nobody reads it, doctor names it, and it stays so
// until a person accepts it.
func TestMovedMembers(t *testing.T) {
	t.Parallel()
	for what, damage := range map[string]func(ctx context.Context, raw redis.UniversalClient, list string) error{
		"a bit one slot on": func(ctx context.Context, raw redis.UniversalClient, list string) error {
			return errors.Join(raw.SetBit(ctx, list, 3, 0).Err(), raw.SetBit(ctx, list, 4, 1).Err())
		},
		"two bits whose slots add up to the same": func(ctx context.Context, raw redis.UniversalClient, list string) error {
			return raw.Set(ctx, list, "\x48", 0).Err() // slots 1 and 4 instead of 2 and 3
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o storetest.Options) {
				ctx := t.Context()
				d := ward(t, o)
				if err := damage(ctx, crmstore.Raw(d.Store), crmstore.KeyOf(d.Store, record.Contact, 0, "list:1")); err != nil {
					t.Fatal(err)
				}
				err := readList(ctx, d)
				if lost, ok := errors.AsType[*crmstore.LostError](err); !ok || lost.Moved != 1 || !strings.Contains(err.Error(), "holds as many members as were put there, but") {
					t.Fatalf("the list was read: %v", err)
				}
				for _, order := range []crmstore.DoctorOrder{{}, {Repair: true}, {Repair: true}, {}} {
					losses, _ := d.examine(order)
					if len(losses) != 1 || losses[0] != `lost 1: list "keep" holds as many members as were put there, 2, but not the same ones: it has lost at least 1` {
						t.Errorf("%+v: %q", order, losses)
					}
				}
				if err := readList(ctx, d); err == nil {
					t.Error("a repair made the list whole")
				}
				d.examine(crmstore.DoctorOrder{Repair: true, AcceptLoss: true})
				if err := readList(ctx, d); err != nil {
					t.Errorf("accepted, and yet: %v", err)
				}
				if losses, others := d.examine(crmstore.DoctorOrder{}); len(losses) != 1 || !strings.HasPrefix(losses[0], "accepted 1: ") || others > 0 {
					t.Errorf("accepted, then %q and %d others", losses, others)
				}
			})
		})
	}
}

// The sum of enrollments and of legal holds that scripts keep step by step is that of the records that have one, whatever
// happens to them, and ids of any size have the same mark in scripts as here.
func TestSumsOfIDs(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		d := ward(t, o)
		check := func(when, name string, ids ...record.ID) {
			t.Helper()
			if got, want := d.sumOf(name), strconv.FormatInt(crmstore.SumOfIDs(ids...), 10); got != want {
				t.Errorf("%s: the sum of %s is %q, want %s", when, name, got, want)
			}
			if found := d.doctor(false); len(found) > 0 {
				t.Errorf("%s: doctor finds %q", when, found)
			}
			if why := refusals(ctx, t, d); len(why) > 0 {
				t.Errorf("%s: a run is refused: %q", when, why)
			}
		}
		check("deleted and existing", "enr:stale", 2, 5)
		d.archive(byRun("stale@2"), d.targets("", 1, 3))
		check("two more, deleted", "enr:stale", 1, 2, 3, 5)
		d.restore(crmstore.RestoreOrder{Object: record.Contact, Cause: someone, At: noon}, 1)
		d.archive(byRun("stale@3"), d.targets("", 1))
		check("one deleted again", "enr:stale", 1, 2, 3, 5)
		if err := d.MarkExisting(ctx, record.Contact, "stale", 1, []record.PartitionIDs{{IDs: []record.ID{5, 6, 77}}}); err != nil {
			t.Fatal(err)
		}
		check("one more of three", "enr:stale", 1, 2, 3, 5, 6)
		d.hold(true, 2, 4)
		d.hold(true, 4, 6)
		check("held", "hold", 2, 4, 6)
		d.hold(false, 4, 5)
		check("released", "hold", 2, 6)
		d.purge(crmstore.PurgeOrder{At: noon.Add(crmstore.Retention + time.Hour)}) // contacts 1 and 3; 2 is on legal hold
		check("purged", "enr:stale", 2, 5, 6)
		d.hold(false, 2, 6)
		check("all released", "hold")
		for _, id := range []record.ID{255, 1 << 24, 16777213, 1<<32 - 1, 1 << 40, 1<<53 - 1} {
			d.write(crmstore.UpsertAny, noon, d.up(id, "city", "Ulm"))
			d.hold(true, id)
			check(id.String(), "hold", id)
			d.hold(false, id)
		}
	})
}

// An enrollment or a legal hold that moved to another record is a loss: nothing that asks it is carried out, no script
// deletes the record whose hold is gone, and it stays so until a person accepts it.
func TestMovedIDs(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		key      string
		from, to record.ID
		want     string
	}{
		"an enrollment": {"enr:stale", 5, 3, "lost 1: workflow stale holds as many enrollments as were put there, 2, but not the same ones: it has lost at least 1"},
		"a hold":        {"hold", 6, 4, "lost 1: the account holds as many legal holds of contacts as were put there, 2, but not the same ones: it has lost at least 1"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o storetest.Options) {
				ctx := t.Context()
				d := ward(t, o)
				d.hold(true, 2, 6)
				if err := moveEntry(ctx, crmstore.Raw(d.Store), crmstore.KeyOf(d.Store, record.Contact, 0, c.key), c.from, c.to); err != nil {
					t.Fatal(err)
				}
				why := strings.Join(refusals(ctx, t, d), "\n")
				if !strings.Contains(why, "but in 1 partitions not the same ones; nothing that asks it is carried out") {
					t.Errorf("a run goes on: %q", why)
				}
				for _, order := range []crmstore.DoctorOrder{{}, {Repair: true}, {Repair: true}, {}} {
					if losses, _ := d.examine(order); len(losses) != 1 || losses[0] != c.want {
						t.Errorf("%+v: %q", order, losses)
					}
				}
				if c.key == "hold" {
					_, err := d.Archive(ctx, byRun("hand@1"), d.targets("", 6))
					if err == nil || !strings.Contains(err.Error(), "has lost legal holds") || d.get(6).Deletion != nil {
						t.Errorf("the contact whose hold is gone was deleted: %v", err)
					}
					_, err = d.Purge(ctx, crmstore.PurgeOrder{Object: record.Contact, Cause: someone, At: noon.Add(crmstore.Retention + time.Hour)})
					if _, lost := errors.AsType[*crmstore.LostError](err); !lost {
						t.Errorf("the bin was purged: %v", err)
					}
				}
				d.examine(crmstore.DoctorOrder{Repair: true, AcceptLoss: true})
				if why := refusals(ctx, t, d); len(why) > 0 {
					t.Errorf("accepted, and refused: %q", why)
				}
				if losses, others := d.examine(crmstore.DoctorOrder{}); len(losses) != 1 || !strings.HasPrefix(losses[0], "accepted 1: ") || others > 0 {
					t.Errorf("accepted, then %q and %d others", losses, others)
				}
			})
		})
	}
}

// A store of an older version has no sums of enrollments and holds. It works as before, until a repair makes them.
func TestSumsOfOlderIDs(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		d := ward(t, o)
		d.hold(true, 6)
		if err := crmstore.Raw(d.Store).HDel(ctx, crmstore.KeyOf(d.Store, record.Contact, 0, "cnt"), "sum:enr:stale", "sum:hold").Err(); err != nil {
			t.Fatal(err)
		}
		d.hold(true, 4)
		d.archive(byRun("stale@2"), d.targets("", 1))
		if enr, hold := d.sumOf("enr:stale"), d.sumOf("hold"); enr != "" || hold != "" {
			t.Errorf("what nobody summed has the sums %q and %q", enr, hold)
		}
		if why := refusals(ctx, t, d); len(why) > 0 {
			t.Errorf("a run is refused: %q", why)
		}
		if found := d.doctor(true); len(found) > 0 {
			t.Errorf("doctor finds %q", found)
		}
		for name, ids := range map[string][]record.ID{"enr:stale": {1, 2, 5}, "hold": {4, 6}} {
			if want := strconv.FormatInt(crmstore.SumOfIDs(ids...), 10); d.sumOf(name) != want {
				t.Errorf("after a repair the sum of %s is %q, want %s", name, d.sumOf(name), want)
			}
		}
	})
}

// A list of an older version has no sum: it is read as before, also when members come and go, until a repair makes one.
func TestSumsOfOlderLists(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		ctx := t.Context()
		d := ward(t, o)
		cnt := crmstore.KeyOf(d.Store, record.Contact, 0, "cnt")
		if err := crmstore.Raw(d.Store).HDel(ctx, cnt, "list:1", "sum:list:1").Err(); err != nil {
			t.Fatal(err)
		}
		keep := crmstore.List{Number: 1, Name: "keep", Object: record.Contact}
		if _, _, err := d.SetMembers(ctx, keep, []record.ID{5, 6}, true, someone, noon); err != nil {
			t.Fatal(err)
		}
		if sum := d.sumKept(); sum != "" {
			t.Errorf("a list whose first members nobody summed has the sum %s", sum)
		}
		if err := readList(ctx, d); err != nil {
			t.Error(err)
		}
		if found := d.doctor(true); len(found) > 0 {
			t.Errorf("doctor finds %v", found)
		}
		if want := strconv.FormatInt(crmstore.SumOf([]byte("\x3c")), 10); d.sumKept() != want {
			t.Errorf("after a repair the sum is %q, want %s", d.sumKept(), want)
		}
	})
}

// Evaluation sums each list that it asks. A list of half a million slots, of which nearly half are members.
func BenchmarkSumOf(b *testing.B) {
	list := []byte(strings.Repeat("\xa5\x00\xff\x11", 1<<14))
	b.SetBytes(int64(len(list)))
	for b.Loop() {
		crmstore.SumOf(list)
	}
}
