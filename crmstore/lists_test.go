package crmstore_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func (d *desk) list(name, where string) crmstore.List {
	d.t.Helper()
	l, err := d.AddList(d.t.Context(), crmstore.ListOrder{Object: record.Contact, Name: name, Where: where, Cause: someone, At: noon})
	if err != nil {
		d.t.Fatal(err)
	}
	return l
}

// listKeys are the keys under which partitions hold members of a list.
func (d *desk) listKeys() []string {
	d.t.Helper()
	var found []string
	account, err := d.Account(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	for p := range account.Partitions {
		for number := range 5 {
			key := crmstore.KeyOf(d.Store, record.Contact, p, "list:"+strconv.Itoa(number))
			there, err := crmstore.Raw(d.Store).Exists(d.t.Context(), key).Result()
			if err != nil {
				d.t.Fatal(err)
			}
			if there > 0 {
				found = append(found, key)
			}
		}
	}
	return found
}

func TestActiveLists(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		ctx := t.Context()
		const where = `contact.city == "Leiden" && inList("keep")`
		leiden := d.list("leiden", " "+where+"\n")
		if want := (crmstore.List{Number: 1, Name: "leiden", Object: record.Contact, Where: where}); leiden != want || !leiden.Active() {
			t.Fatalf("made %+v, want %+v", leiden, want)
		}
		lists, err := d.Lists(ctx, record.Contact)
		if diff := cmp.Diff(map[string]crmstore.List{"leiden": leiden}, lists); diff != "" || err != nil {
			t.Errorf("Lists (%v) (-want +got):\n%s", err, diff)
		}
		for _, order := range []crmstore.ListOrder{
			{Object: record.Contact, Name: "leiden"},
			{Object: record.Contact, Name: "leiden", Where: "true"},
		} {
			if _, err := d.AddList(ctx, order); !errors.Is(err, record.ErrExists) {
				t.Errorf("a second list of that name: %v, want ErrExists", err)
			}
		}
		for _, order := range []crmstore.ListOrder{
			{Object: record.Contact, Name: "x", Where: " "},
			{Object: record.Contact, Name: "x", Where: strings.Repeat("x", 5000)},
			{Object: record.Contact, Name: "a\nb"},
		} {
			if _, err := d.AddList(ctx, order); err == nil || errors.Is(err, record.ErrExists) {
				t.Errorf("made %+v: %v", order, err)
			}
		}
		d.write(crmstore.UpsertAny, noon, d.up(1))
		if _, _, err := d.SetMembers(ctx, leiden, []record.ID{1}, true, someone, noon); err == nil || len(d.listKeys()) > 0 {
			t.Errorf("a member was put on an active list: %v", err)
		}
		if err := d.DeleteList(ctx, leiden, someone, noon); err != nil {
			t.Fatal(err)
		}
		events := d.audit(crmstore.AuditFilter{})
		var details []string
		for _, e := range events {
			if strings.HasSuffix(e.Op, "-list") {
				details = append(details, e.Op+" "+e.Detail)
			}
		}
		if diff := cmp.Diff([]string{"create-list contact: leiden where " + where, "delete-list contact: leiden where " + where}, details); diff != "" {
			t.Errorf("audited (-want +got):\n%s", diff)
		}
	})
}

func TestDeleteList(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		ctx := t.Context()
		keep, vip := d.list("keep", ""), d.list("vip", "")
		d.write(crmstore.UpsertAny, noon, d.up(1), d.up(2), d.up(3))
		for _, l := range []crmstore.List{keep, vip} {
			if _, _, err := d.SetMembers(ctx, l, []record.ID{1, 2, 3}, true, someone, noon); err != nil {
				t.Fatal(err)
			}
		}
		d.published("stale")
		d.archive(byRun("stale@1"), d.targets("", 2))
		if err := d.DeleteList(ctx, keep, someone, noon); err != nil {
			t.Fatal(err)
		}
		for _, key := range d.listKeys() {
			if strings.HasSuffix(key, "list:1") {
				t.Errorf("%s is left of the deleted list", key)
			}
		}
		if n := len(d.listKeys()); n == 0 {
			t.Error("the other list lost its members")
		}
		if d.get(1) == nil || d.get(2).Deletion == nil || d.get(3).Deletion != nil {
			t.Error("the records are not what they were")
		}
		if err := d.DeleteList(ctx, keep, someone, noon); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("deleted twice: %v, want ErrNotFound", err)
		}
		if _, _, err := d.SetMembers(ctx, keep, []record.ID{1}, true, someone, noon); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("members of a deleted list: %v, want ErrNotFound", err)
		}
		again := d.list("keep", "")
		if again.Number != 3 {
			t.Errorf("the number %d was given out again", again.Number)
		}
		if err := d.DeleteList(ctx, keep, someone, noon); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("the old list was deleted in the place of the new one: %v", err)
		}
		if _, _, err := d.SetMembers(ctx, keep, []record.ID{1}, true, someone, noon); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("members of a list that was replaced: %v, want ErrNotFound", err)
		}
		if found := d.doctor(false); len(found) > 0 {
			t.Errorf("the doctor finds %v", found)
		}
	})
}

// TestDeleteListInterrupted holds that what an interrupted deletion leaves is found, and removed by the next one or by the doctor.
func TestDeleteListInterrupted(t *testing.T) {
	t.Parallel()
	for _, cure := range []string{"doctor", "deletion"} {
		t.Run(cure, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, storetest.Options{})
			ctx := t.Context()
			keep, other := d.list("keep", ""), d.list("other", "")
			d.write(crmstore.UpsertAny, noon, d.up(1), d.up(2), d.up(3))
			if _, _, err := d.SetMembers(ctx, keep, []record.ID{1, 2, 3}, true, someone, noon); err != nil {
				t.Fatal(err)
			}
			if err := crmstore.Unname(ctx, d.Store, keep, someone, noon); err != nil { // the first step of a deletion, and then nothing
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"list 0"}, d.doctor(false)); diff != "" || len(d.listKeys()) == 0 {
				t.Errorf("the doctor found (-want +got):\n%s\nof %v", diff, d.listKeys())
			}
			if cure == "doctor" {
				if diff := cmp.Diff([]string{"list 0 repaired"}, d.doctor(true)); diff != "" {
					t.Errorf("the doctor repaired (-want +got):\n%s", diff)
				}
			} else if err := d.DeleteList(ctx, other, someone, noon); err != nil {
				t.Fatal(err)
			}
			if left := append(d.listKeys(), d.doctor(false)...); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestDeleteListUnderWriters holds that who adds members to a list that goes away is told so, and leaves nothing behind.
func TestDeleteListUnderWriters(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{})
	ctx := t.Context()
	var ids []record.ID
	var batch []crmstore.Upsert
	for id := record.ID(1); id <= 200; id++ {
		ids, batch = append(ids, id), append(batch, d.up(id))
	}
	d.write(crmstore.UpsertAny, noon, batch...)
	keep := d.list("keep", "")
	var writers sync.WaitGroup
	started := make(chan struct{}, 4)
	for range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				_, _, err := d.SetMembers(ctx, keep, ids, i%2 == 0, someone, noon)
				if i == 0 {
					started <- struct{}{}
				}
				if errors.Is(err, record.ErrNotFound) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	<-started
	if err := d.DeleteList(ctx, keep, someone, noon); err != nil {
		t.Fatal(err)
	}
	writers.Wait()
	if left := d.listKeys(); len(left) > 0 {
		t.Errorf("%d partitions hold members of a list that is not there: %v", len(left), left)
	}
}
