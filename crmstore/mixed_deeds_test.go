package crmstore_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// one carries out one operation, and says how many records it was to make.
func (w *mixed) one() (made int) {
	o := w.types[w.rng.IntN(len(w.types))]
	if w.chance(30) {
		o = record.Contact
	}
	n := 1 + w.rng.IntN(w.batch)
	switch k := w.rng.IntN(100); {
	case k < 22:
		w.create(o, n)
		return n
	case k < 36:
		w.update(o, n)
	case k < 54:
		w.archive(o, n)
	case k < 66:
		w.restore(o, n)
	case k < 73:
		w.members(o, n)
	case k < 76:
		w.markExisting(n)
	case k < 82:
		w.purge(o)
	case k < 86:
		w.erase(1 + w.rng.IntN(max(4, w.batch/10)))
	case k < 97:
		w.associate(n, k < 94)
	default:
		w.blockList()
	}
	return 0
}

// reason is why somebody deletes; it may name a person.
func (w *mixed) reason() (text string, about int) {
	ids := w.pick(record.Contact, 1, (*soul).there)
	if len(ids) == 0 || w.chance(40) {
		return "", 0
	}
	r := w.records[record.Ref{Object: record.Contact, ID: ids[0]}]
	if r == nil {
		return "", 0
	}
	first, last, email, _ := person(r.person)
	forms := []string{"for " + first + " " + last, last + ", " + strings.ToUpper(first) + " asked"}
	if r.person%2 == 0 && r.email() == email {
		forms = append(forms, email+" wrote", "see <"+strings.ToUpper(email)+">")
	}
	w.spoken = append(w.spoken, ids[0])
	return forms[w.rng.IntN(len(forms))], r.person
}

func (w *mixed) archive(o record.ObjectType, n int) {
	ids := w.pick(o, n, (*soul).live)
	if len(ids) == 0 {
		return
	}
	w.done["order"]++
	order := crmstore.ArchiveOrder{Object: o, At: w.tick(), Cause: record.Cause{Actor: storetest.User}}
	about := 0
	order.Cause.Reason, about = w.reason()
	if w.chance(70) {
		order.Cause.Run = fmt.Sprint("delete@", w.done["order"])
		if o == record.Contact && w.chance(60) {
			order.Enroll, order.Cause.Workflow, order.Cause.Revision = "stale", "stale", 2
		}
	}
	d := deed{kind: "archive"}
	for _, id := range ids {
		d.touched = append(d.touched, record.Ref{Object: o, ID: id})
	}
	d.apply = func() (want []string) {
		for _, ref := range d.touched {
			want = append(want, fmt.Sprint(ref, " ", w.toBin(ref, order, about)))
		}
		return want
	}
	d.run = func(s *crmstore.Store) ([]string, error) {
		versions := map[record.ID]crmstore.Target{}
		recs, err := w.sound.Get(w.t.Context(), o, ids)
		w.must(err)
		for _, r := range recs {
			versions[r.ID] = crmstore.Target{ID: r.ID, Slot: r.Slot, Version: r.Version}
		}
		byPartition := map[int][]crmstore.Target{}
		for _, id := range ids {
			target := versions[id]
			target.ID = id
			p := id.Partition(mixedPartitions)
			byPartition[p] = append(byPartition[p], target)
		}
		var batches []crmstore.Archive
		for _, p := range slices.Sorted(maps.Keys(byPartition)) {
			batches = append(batches, crmstore.Archive{Partition: p, Targets: byPartition[p]})
		}
		outcomes, err := s.Archive(w.t.Context(), order, batches)
		if err != nil {
			return nil, err
		}
		told := map[record.ID]crmstore.ArchiveOutcome{}
		for i, b := range batches {
			for j, target := range b.Targets {
				told[target.ID] = outcomes[i][j]
			}
		}
		var got []string
		for _, ref := range d.touched {
			got = append(got, fmt.Sprint(ref, " ", told[ref.ID]))
		}
		return got, nil
	}
	w.do(d)
}

// toBin deletes a record in the model.
func (w *mixed) toBin(ref record.Ref, order crmstore.ArchiveOrder, about int) crmstore.ArchiveOutcome {
	r := w.records[ref]
	switch run := order.Cause.Run; {
	case r == nil:
		return crmstore.Gone
	case order.Enroll != "" && r.enrolled.Run == run, r.deletion != nil && run != "" && r.deletion.Run == run:
		return crmstore.AlreadyByRun
	case r.deletion != nil:
		return crmstore.AlreadyArchived
	}
	now := *r
	now.deletion = &record.Deletion{At: order.At, Cause: order.Cause}
	if order.Enroll != "" {
		now.enrolled = record.Enrollment{State: record.Completed, Revision: 2, Run: order.Cause.Run}
	}
	w.put(ref, &now)
	if about > 0 {
		w.named[about] = append(w.named[about], ref)
	}
	return crmstore.Archived
}

func (w *mixed) restore(o record.ObjectType, n int) {
	ids := w.pick(o, n, (*soul).binned)
	if len(ids) == 0 {
		return
	}
	order := crmstore.RestoreOrder{Object: o, Cause: someone, At: w.tick()}
	d := deed{kind: "restore"}
	for _, id := range ids {
		d.touched = append(d.touched, record.Ref{Object: o, ID: id})
	}
	d.apply = func() (want []string) {
		for _, ref := range d.touched {
			want = append(want, fmt.Sprint(w.backFromBin(ref)))
		}
		return want
	}
	d.run = func(s *crmstore.Store) (got []string, err error) {
		results, err := s.Restore(w.t.Context(), order, ids)
		for _, r := range results {
			got = append(got, fmt.Sprint(r))
		}
		return got, err
	}
	w.do(d)
}

// backFromBin restores a record in the model.
func (w *mixed) backFromBin(ref record.Ref) crmstore.RestoreResult {
	r := w.records[ref]
	result := crmstore.RestoreResult{ID: ref.ID, Outcome: crmstore.Restored}
	switch {
	case r == nil:
		result.Outcome = crmstore.NotThere
		return result
	case r.deletion == nil:
		result.Outcome = crmstore.NotArchived
		return result
	}
	if ref.Object == record.Contact {
		if holder := w.holders[r.email()]; w.blocked[r.email()] {
			result.Outcome = crmstore.EmailBlocked
			return result
		} else if holder != 0 {
			result.Outcome, result.Holder = crmstore.EmailTaken, holder
			return result
		}
	}
	now := *r
	now.deletion = nil
	w.put(ref, &now)
	return result
}

// members changes who is on a list.
func (w *mixed) members(o record.ObjectType, n int) {
	if o != record.Company {
		o = record.Contact
	}
	ids, member, at := w.pick(o, n, (*soul).there), w.chance(70), w.tick()
	d := deed{kind: "members"}
	for _, id := range ids {
		d.touched = append(d.touched, record.Ref{Object: o, ID: id})
	}
	d.apply = func() []string {
		changed, missing := 0, []record.ID{}
		for _, ref := range d.touched {
			if r := w.records[ref]; r == nil {
				missing = append(missing, ref.ID)
			} else if r.member != member {
				now := *r
				now.member = member
				w.put(ref, &now)
				changed++
			}
		}
		slices.Sort(missing)
		return []string{fmt.Sprint(changed, missing)}
	}
	d.run = func(s *crmstore.Store) ([]string, error) {
		changed, missing, err := s.SetMembers(w.t.Context(), w.lists[o], ids, member, someone, at)
		return []string{fmt.Sprint(changed, missing)}, err
	}
	w.do(d)
}

// markExisting enrolls contacts.
func (w *mixed) markExisting(n int) {
	ids := w.pick(record.Contact, n, (*soul).there)
	d := deed{kind: "mark existing"}
	for _, id := range ids {
		d.touched = append(d.touched, record.Ref{Object: record.Contact, ID: id})
	}
	d.apply = func() []string {
		for _, ref := range d.touched {
			if r := w.records[ref]; r.there() && r.enrolled.State == record.NotEnrolled {
				now := *r
				now.enrolled = record.Enrollment{State: record.Existing, Revision: 7}
				w.put(ref, &now)
			}
		}
		return []string{}
	}
	d.run = func(s *crmstore.Store) ([]string, error) {
		return []string{}, s.MarkExisting(w.t.Context(), record.Contact, "stale", 7, inPartitions(ids))
	}
	w.do(d)
}

// inPartitions is the ids by partition, in ascending order.
func inPartitions(ids []record.ID) (groups []record.PartitionIDs) {
	by := map[int][]record.ID{}
	for _, id := range ids {
		by[id.Partition(mixedPartitions)] = append(by[id.Partition(mixedPartitions)], id)
	}
	for _, p := range slices.Sorted(maps.Keys(by)) {
		groups = append(groups, record.PartitionIDs{Partition: p, IDs: by[p]})
	}
	return groups
}
