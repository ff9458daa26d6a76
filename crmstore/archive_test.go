package crmstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// targets names records as they are now, by partition.
func (d *desk) targets(reason string, ids ...record.ID) []crmstore.Archive {
	d.t.Helper()
	partitions, err := d.Partitions(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	byPartition := map[int][]crmstore.Target{}
	for _, id := range ids {
		t := crmstore.Target{ID: id, Reason: reason}
		if r := d.get(id); r != nil {
			t.Slot, t.Version = r.Slot, r.Version
		}
		p := id.Partition(partitions)
		byPartition[p] = append(byPartition[p], t)
	}
	var batches []crmstore.Archive
	for p := range partitions {
		if len(byPartition[p]) > 0 {
			batches = append(batches, crmstore.Archive{Partition: p, Targets: byPartition[p]})
		}
	}
	return batches
}

// archive deletes and returns the outcomes by id.
func (d *desk) archive(o crmstore.ArchiveOrder, batches []crmstore.Archive) map[record.ID]crmstore.ArchiveOutcome {
	d.t.Helper()
	outcomes, err := d.Archive(d.t.Context(), o, batches)
	if err != nil {
		d.t.Fatal(err)
	}
	byID := map[record.ID]crmstore.ArchiveOutcome{}
	for i, b := range batches {
		for j, t := range b.Targets {
			byID[t.ID] = outcomes[i][j]
		}
	}
	return byID
}

func (d *desk) restore(o crmstore.RestoreOrder, ids ...record.ID) []crmstore.RestoreResult {
	d.t.Helper()
	results, err := d.Restore(d.t.Context(), o, ids)
	if err != nil {
		d.t.Fatal(err)
	}
	return results
}

func byRun(run string) crmstore.ArchiveOrder {
	return crmstore.ArchiveOrder{
		Object: record.Contact, At: noon, Enroll: "stale",
		Cause: record.Cause{Actor: storetest.User, Workflow: "stale", Revision: 2, Run: run},
	}
}

var byHand = crmstore.RestoreOrder{Object: record.Contact, Cause: record.Cause{Actor: "ben"}, At: noon.Add(time.Hour)}

// dump is all that a record shows, without its version and deletion.
func dump(r *record.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d slot %d:", r.Object, r.ID, r.Slot)
	r.Values(func(p *record.Property, v record.Value) { fmt.Fprintf(&b, " %s=%q", p.Name, v.String()) })
	return b.String()
}

func TestArchiveAndRestore(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		var batch []crmstore.Upsert
		var ids []record.ID
		for i := range 300 {
			ids = append(ids, record.ID(i+1))
			batch = append(batch, d.up(ids[i], "email", fmt.Sprintf("c%d@x.org", i), "num_associated_deals", i, "firstname", "Ann"))
		}
		d.write(crmstore.UpsertAny, noon, batch...)
		before := map[record.ID]string{}
		for _, id := range ids {
			before[id] = dump(d.get(id))
		}
		for id, got := range d.archive(byRun("stale@1"), d.targets("trigger 1", ids...)) {
			if got != crmstore.Archived {
				t.Fatalf("contact %d: outcome %d", id, got)
			}
		}
		want := &record.Deletion{At: noon, Cause: record.Cause{Actor: storetest.User, Workflow: "stale", Revision: 2, Run: "stale@1", Reason: "trigger 1"}}
		r := d.get(17)
		if diff := cmp.Diff(want, r.Deletion); diff != "" || dump(r) != before[17] || r.Version != 2 {
			t.Errorf("archived record: version %d, %s\ndeletion (-want +got):\n%s", r.Version, dump(r), diff)
		}
		if c, err := d.Count(t.Context(), record.Contact); c != (crmstore.Counts{Archived: 300}) || err != nil {
			t.Errorf("Count = %+v, %v", c, err)
		}
		enrolled, err := d.Enrollments(t.Context(), record.Contact, "stale", []record.PartitionIDs{{Partition: ids[4].Partition(16), IDs: []record.ID{ids[4]}}})
		if diff := cmp.Diff([][]record.Enrollment{{{State: record.Completed, Revision: 2, Run: "stale@1"}}}, enrolled); diff != "" || err != nil {
			t.Errorf("enrollments (%v) (-want +got):\n%s", err, diff)
		}
		if _, err := d.FindByEmail(t.Context(), "c3@x.org"); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("an archived contact holds its e-mail: %v", err)
		}
		for _, r := range d.restore(byHand, ids...) {
			if r.Outcome != crmstore.Restored {
				t.Fatalf("restore: %+v", r)
			}
		}
		for _, id := range ids {
			if r := d.get(id); r.Deletion != nil || dump(r) != before[id] || r.Version != 3 {
				t.Fatalf("restored contact is %s, version %d; was %s", dump(r), r.Version, before[id])
			}
		}
		if c, err := d.Count(t.Context(), record.Contact); c != (crmstore.Counts{Live: 300}) || err != nil {
			t.Errorf("Count = %+v, %v", c, err)
		}
		if id, err := d.FindByEmail(t.Context(), "c3@x.org"); id != 4 || err != nil {
			t.Errorf("FindByEmail = %d, %v", id, err)
		}
		if got := d.restore(byHand, 5, 999); got[0].Outcome != crmstore.NotArchived || got[1].Outcome != crmstore.NotThere {
			t.Errorf("restore of a live and of no contact: %+v", got)
		}
	})
}

func TestArchiveOutcomes(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		d.write(crmstore.UpsertAny, noon, d.up(1), d.up(2), d.up(3), d.up(4))
		stale := d.targets("", 1, 2, 3, 4, 5)
		d.write(crmstore.UpsertAny, noon.Add(time.Second), d.up(2, "firstname", "changed"))
		d.archive(crmstore.ArchiveOrder{Object: record.Contact, At: noon, Cause: someone}, d.targets("", 3))
		want := map[record.ID]crmstore.ArchiveOutcome{1: crmstore.Archived, 2: crmstore.VersionChanged, 3: crmstore.AlreadyArchived, 4: crmstore.Archived, 5: crmstore.Gone}
		if diff := cmp.Diff(want, d.archive(byRun("stale@1"), stale)); diff != "" {
			t.Errorf("first time (-want +got):\n%s", diff)
		}
		want[1], want[4] = crmstore.AlreadyByRun, crmstore.AlreadyByRun
		if diff := cmp.Diff(want, d.archive(byRun("stale@1"), stale)); diff != "" {
			t.Errorf("repeated (-want +got):\n%s", diff)
		}
		d.restore(byHand, 1)
		if got := d.archive(byRun("stale@1"), d.targets("", 1))[1]; got != crmstore.AlreadyByRun {
			t.Errorf("the run again after a restore: %d, want AlreadyByRun", got)
		}
		if d.get(1).Deletion != nil {
			t.Error("a run deleted a contact for the second time")
		}
		if got := d.archive(byRun("stale@2"), d.targets("", 1))[1]; got != crmstore.Archived {
			t.Errorf("another run after a restore: %d, want Archived", got)
		}
		// Without an enrollment the deletion facts tell whose it was.
		bare := byRun("bare@1")
		bare.Enroll = ""
		twice := d.targets("", 2)
		d.archive(bare, twice)
		if got := d.archive(bare, twice)[2]; got != crmstore.AlreadyByRun {
			t.Errorf("the same run without enrollment: %d, want AlreadyByRun", got)
		}
		if got := d.archive(bare, d.targets("", 3))[3]; got != crmstore.AlreadyArchived {
			t.Errorf("a contact in the bin by hand: %d, want AlreadyArchived", got)
		}
		if c, err := d.Count(t.Context(), record.Contact); c != (crmstore.Counts{Archived: 4}) || err != nil {
			t.Errorf("Count = %+v, %v", c, err)
		}
	})
}

// A batch may name a record twice, or more records than one script takes.
func TestArchiveTwiceInOneBatch(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.Options{Partitions: 1})
	d.write(crmstore.UpsertAny, noon, slices.Repeat([]crmstore.Upsert{d.up(0)}, 200)...)
	var ids []record.ID
	for i := range 200 {
		ids = append(ids, record.ID(i+1))
	}
	batches := d.targets("", append(ids, ids[199])...)
	if len(batches) != 1 || len(batches[0].Targets) != 201 {
		t.Fatal("want one batch")
	}
	outcomes, err := d.Archive(t.Context(), byRun("stale@1"), batches)
	if err != nil || outcomes[0][199] != crmstore.Archived || outcomes[0][200] != crmstore.AlreadyByRun {
		t.Errorf("outcomes %v, %v", outcomes[0][195:], err)
	}
	if c, err := d.Count(t.Context(), record.Contact); c != (crmstore.Counts{Archived: 200}) || err != nil {
		t.Errorf("Count = %+v, %v", c, err)
	}
}

func TestArchiveFence(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		o.Partitions = 4
		d := newDesk(t, o)
		d.write(crmstore.UpsertAny, noon, d.up(1))
		second, first := byRun("stale@1"), byRun("stale@1")
		first.Fence, second.Fence = 9, 10
		if _, err := d.Archive(t.Context(), second, d.targets("", 1)); !errors.Is(err, record.ErrFenced) || d.get(1).Deletion != nil {
			t.Errorf("a run whose matches the store does not know: %v, want ErrFenced", err)
		}
		mine := crmstore.RunMatches{Object: record.Contact, Run: "stale@1", Fence: 9, First: true}
		matches := []crmstore.Matches{{Partition: record.ID(1).Partition(o.Partitions), IDs: []record.ID{1}}}
		noError(t, d.SaveMatches(t.Context(), mine, matches))
		if err := d.SaveMatches(t.Context(), mine, matches); !errors.Is(err, record.ErrExists) {
			t.Errorf("the first matches a second time: %v, want ErrExists", err)
		}
		d.archive(second, d.targets("", 1))
		d.restore(byHand, 1)
		if _, err := d.Archive(t.Context(), first, d.targets("", 1)); !errors.Is(err, record.ErrFenced) {
			t.Errorf("an owner that was taken over from: %v, want ErrFenced", err)
		}
		if d.get(1).Deletion != nil {
			t.Error("a fenced owner deleted a contact")
		}
	})
}

func TestArchivedRecordsRest(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		d.write(crmstore.UpsertAny, noon, d.up(1, "email", "a@x.org", "firstname", "Ann"))
		d.archive(byRun("stale@1"), d.targets("", 1))
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(1, "firstname", "x"), d.up(0, "email", "a@x.org"), d.up(0, "email", "a@x.org", "lastname", "New")),
			"refused 1: record is in the bin; restore it first", "created 2", "updated 2")
		if got := d.restore(byHand, 1); got[0] != (crmstore.RestoreResult{ID: 1, Outcome: crmstore.EmailTaken, Holder: 2}) {
			t.Errorf("restore into a taken e-mail: %+v", got)
		}
		d.write(crmstore.UpsertAny, noon, d.up(2, "email", "b@x.org"))
		if got := d.restore(byHand, 1); got[0].Outcome != crmstore.Restored {
			t.Errorf("restore after the e-mail is free: %+v", got)
		}
		d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(2, "email", "a@x.org")), "refused 2: e-mail a@x.org belongs to contact 1")
	})
}

// Of contacts in the bin with the same e-mail, one comes back.
func TestRestoreSameEmail(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		for id := record.ID(1); id <= 3; id++ {
			d.wantResults(d.write(crmstore.UpsertAny, noon, d.up(id, "email", "a@x.org")), fmt.Sprint("created ", id))
			d.archive(byRun(fmt.Sprint("stale@", id)), d.targets("", id))
		}
		want := []crmstore.RestoreResult{
			{ID: 3, Outcome: crmstore.Restored},
			{ID: 1, Outcome: crmstore.EmailTaken, Holder: 3},
			{ID: 2, Outcome: crmstore.EmailTaken, Holder: 3},
			{ID: 3, Outcome: crmstore.NotArchived},
		}
		if diff := cmp.Diff(want, d.restore(byHand, 3, 1, 2, 3)); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		only := byHand
		only.OnlyRun = "stale@1"
		d.archive(byRun("stale@4"), d.targets("", 3))
		want = []crmstore.RestoreResult{{ID: 3, Outcome: crmstore.NotByThatRun}, {ID: 1, Outcome: crmstore.Restored}}
		if diff := cmp.Diff(want, d.restore(only, 3, 1)); diff != "" {
			t.Errorf("results of one run (-want +got):\n%s", diff)
		}
	})
}

func TestMarkExisting(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		d := newDesk(t, o)
		p := record.ID(1).Partition(16)
		other := record.ID(2)
		for other.Partition(16) != p {
			other++
		}
		gone := other + 1 // was never there, so nothing enrolls it
		for gone.Partition(16) != p {
			gone++
		}
		d.write(crmstore.UpsertAny, noon, d.up(1), d.up(other))
		d.archive(byRun("stale@1"), d.targets("", 1))
		want := []record.PartitionIDs{{Partition: p, IDs: []record.ID{1, other}}, {Partition: 3}, {Partition: p, IDs: []record.ID{gone}}}
		if err := d.MarkExisting(t.Context(), record.Contact, "stale", 5, want[2:]); err != nil {
			t.Fatal(err)
		}
		if err := d.MarkExisting(t.Context(), record.Contact, "stale", 5, want[:2]); err != nil {
			t.Fatal(err)
		}
		got, err := d.Enrollments(t.Context(), record.Contact, "stale", want)
		if diff := cmp.Diff([][]record.Enrollment{
			{{State: record.Completed, Revision: 2, Run: "stale@1"}, {State: record.Existing, Revision: 5}}, {}, {{}},
		}, got); diff != "" || err != nil {
			t.Errorf("enrollments (%v) (-want +got):\n%s", err, diff)
		}
	})
}

// One operation is one contact.
func BenchmarkArchive(b *testing.B) {
	d := newDesk(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
	for done := 0; done < b.N; done += 20000 {
		d.write(crmstore.UpsertAny, noon, batchOf(d, done, min(20000, b.N-done), false)...)
	}
	batches := make([]crmstore.Archive, crmstore.DefaultPartitions)
	for i := range b.N {
		id := record.ID(i + 1)
		p := id.Partition(len(batches))
		batches[p].Partition = p
		batches[p].Targets = append(batches[p].Targets, crmstore.Target{ID: id, Version: 1, Reason: "trigger 1"})
	}
	stop := meter(b, d)
	b.ResetTimer()
	outcomes, err := d.Archive(b.Context(), byRun("stale@2026-03-04T12:00:00Z"), batches)
	if p := record.ID(1).Partition(len(batches)); err != nil || outcomes[p][0] != crmstore.Archived {
		b.Fatal(outcomes[p], err)
	}
	stop(b.N)
}
