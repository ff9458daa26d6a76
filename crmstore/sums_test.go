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
func (d *desk) sumKept() string {
	d.t.Helper()
	text, err := crmstore.Raw(d.Store).HGet(d.t.Context(), crmstore.KeyOf(d.Store, record.Contact, 0, "cnt"), "sum:list:1").Result()
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
