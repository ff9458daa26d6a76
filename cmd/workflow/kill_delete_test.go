package main

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

const deletesKilled = 15

// TestDelete_KilledAtAnyMoment kills the process that deletes the contacts on a list again and again, each time at
// another moment, and gives the command that goes on from there. Once contacts are being deleted, others are put on the
// list and some that were deleted are restored: neither may be deleted, because the one was not shown and the other was
// deleted once.
func TestDelete_KilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)) // the moments shall differ from day to day
	kills, acting := 0, 0
	for round := 1; kills < deletesKilled || acting < deletesKilled/3; round++ {
		if round > 12 {
			t.Fatalf("only %d processes were killed in 12 rounds, %d of them while they deleted", kills, acting)
		}
		k, a := killDeleteRound(t, random)
		kills, acting = kills+k, acting+a
	}
	t.Logf("killed %d processes, %d of them while they deleted", kills, acting)
}

// killDeleteRound makes an account, has its deletion killed over and over, and checks what is there in the end.
func killDeleteRound(t *testing.T, random *rand.Rand) (kills, acting int) {
	store := storetest.OpenWith(t, storetest.Options{Partitions: killPartitions})
	want := fillForKills(t, store)
	members := slices.Sorted(maps.Keys(want))
	list := listOf(t, store, members)
	p := program{t: t, store: store, mayBeRefused: true}
	var restored []record.ID
	for before := int64(0); ; kills++ {
		args := nextDelete(t, store, len(want))
		if args == nil {
			break
		}
		if !p.killed(p.moment(random, kills, before), args...) {
			kills--
			continue // it ended by itself: the next command goes on, or all is done
		}
		n := p.deleted() + int64(len(restored))
		if n > before && n < int64(len(want)) {
			if acting++; len(restored) == 0 {
				restored = disturb(t, store, list, members)
			}
		}
		before = n - int64(len(restored))
	}
	for _, id := range restored {
		delete(want, id)
	}
	checkLiveness(t, store, want)
	run := onlyDeletion(t, store)
	if run.State != crmstore.RunDone || run.Deleted != int64(len(members)) || run.Changed != 0 || run.Failed != 0 {
		t.Errorf("the run is %s with %d deleted, %d changed and %d failed, want %d deleted", run.State, run.Deleted, run.Changed, run.Failed, len(members))
	}
	if out := p.must("doctor"); !strings.Contains(out, "everything agrees") {
		t.Errorf("doctor says:\n%s", out)
	}
	p.must("undo", run.ID)
	if n := p.deleted(); n != 0 {
		t.Errorf("%d contacts are deleted after the undo", n)
	}
	return kills, acting
}

// nextDelete is the command that carries the deletion on from where it is; nil when it is done.
func nextDelete(t *testing.T, store *crmstore.Store, want int) []string {
	t.Helper()
	runs, err := store.Runs(t.Context(), crmstore.RunFilter{ByHand: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) == 0 {
		return []string{"delete", "--list", "old", "--confirm", strconv.Itoa(want)}
	}
	switch run := onlyDeletion(t, store); run.State {
	case crmstore.RunDone:
		return nil
	case crmstore.RunHeld:
		return []string{"approve", run.ID, "--confirm", strconv.Itoa(want)}
	default:
		return []string{"resume", run.ID}
	}
}

func onlyDeletion(t *testing.T, store *crmstore.Store) crmstore.Run {
	t.Helper()
	runs, err := store.Runs(t.Context(), crmstore.RunFilter{ByHand: true})
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d deletions by hand, want one; %v", len(runs), err)
	}
	return runs[0]
}

func listOf(t *testing.T, store *crmstore.Store, members []record.ID) crmstore.List {
	t.Helper()
	list, err := store.CreateList(t.Context(), record.Contact, "old", record.Cause{}, storetest.Time)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.SetMembers(t.Context(), list, members, true, record.Cause{}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	return list
}

// disturb puts contacts on the list that were not on it, and restores some that are deleted; it returns the latter.
func disturb(t *testing.T, store *crmstore.Store, list crmstore.List, members []record.ID) []record.ID {
	t.Helper()
	var others, deleted []record.ID
	for id := record.ID(1); id <= killContacts && len(others) < 500; id++ {
		if _, is := slices.BinarySearch(members, id); !is {
			others = append(others, id)
		}
	}
	if _, _, err := store.SetMembers(t.Context(), list, others, true, record.Cause{}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	recs, err := store.Get(t.Context(), record.Contact, members)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs {
		if r.Deletion != nil && len(deleted) < 5 {
			deleted = append(deleted, r.ID)
		}
	}
	if _, err := store.Restore(t.Context(), crmstore.RestoreOrder{Object: record.Contact, At: storetest.Time}, deleted); err != nil {
		t.Fatal(err)
	}
	return deleted
}

// checkLiveness wants exactly the given contacts deleted.
func checkLiveness(t *testing.T, store *crmstore.Store, want map[record.ID]bool) {
	t.Helper()
	wrong := 0
	err := store.ReadAll(t.Context(), record.Contact, 0, killPartitions, func(_ int, recs []*record.Record) error {
		for _, r := range recs {
			if r != nil && (r.Deletion != nil) != want[r.ID] {
				wrong++
			}
		}
		return nil
	})
	if err != nil || wrong > 0 {
		t.Errorf("%d contacts are deleted or live against what was to be deleted; %v", wrong, err)
	}
}
