package crmstore_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// observe reads records as they stand in the store, in the form of the model.
func (w *mixed) observe(refs []record.Ref) []*soul {
	w.t.Helper()
	by := map[record.ObjectType][]record.ID{}
	for _, ref := range refs {
		by[ref.Object] = append(by[ref.Object], ref.ID)
	}
	found := map[record.Ref]*soul{}
	for o, ids := range by {
		recs, err := w.sound.Get(w.t.Context(), o, ids)
		w.must(err)
		for _, r := range recs {
			found[record.Ref{Object: o, ID: r.ID}] = soulOf(r)
		}
		w.observeMembers(o, found)
		if o == record.Contact {
			w.observeEnrollments(ids, found)
		}
	}
	souls := make([]*soul, len(refs))
	for i, ref := range refs {
		souls[i] = found[ref]
	}
	return souls
}

func soulOf(r *record.Record) *soul {
	now := &soul{values: map[int]record.Value{}, deletion: r.Deletion}
	r.Values(func(p *record.Property, v record.Value) {
		if p.Counts == "" { // associations are compared by themselves
			now.values[p.Number] = v
		}
	})
	return now
}

func (w *mixed) observeMembers(o record.ObjectType, found map[record.Ref]*soul) {
	list, ok := w.lists[o]
	if !ok {
		return
	}
	want := crmstore.Want{IDs: true, Lists: []int{list.Number}}
	w.must(w.sound.ReadColumns(w.t.Context(), o, 0, mixedPartitions, want, func(c *crmstore.Columns) error {
		for slot := range c.Slots {
			if r := found[record.Ref{Object: o, ID: record.ID(cellOf(c.IDs, slot))}]; r != nil {
				r.member = bitOf(c.Lists[0], slot)
			}
		}
		return nil
	}))
}

func bitOf(list []byte, slot int) bool { return slot/8 < len(list) && list[slot/8]>>(7-slot%8)&1 == 1 }

func (w *mixed) observeEnrollments(ids []record.ID, found map[record.Ref]*soul) {
	groups := inPartitions(ids)
	enrolled, err := w.sound.Enrollments(w.t.Context(), record.Contact, "stale", groups)
	w.must(err)
	for i, group := range groups {
		for j, id := range group.IDs {
			if r := found[contact(id)]; r != nil {
				r.enrolled = enrolled[i][j]
			} else if enrolled[i][j] != (record.Enrollment{}) {
				w.t.Fatalf("contact %d is not there, and is enrolled as %+v", id, enrolled[i][j])
			}
		}
	}
}

// check finishes what was interrupted and compares everything.
func (w *mixed) check() {
	w.t.Helper()
	if len(w.limbo) > 0 {
		w.finish(w.chance(50))
	}
	for _, repair := range []bool{true, false} {
		for _, o := range w.types {
			w.must(w.sound.Doctor(w.t.Context(), o, repair, func(p crmstore.Problem) error {
				if repair && p.Code == "association" && p.Repaired {
					return nil // a crash leaves nothing else behind
				}
				return fmt.Errorf("doctor finds %+v", p)
			}))
		}
	}
	w.checkPairs()
	for _, o := range w.types {
		w.checkRecords(o)
		w.checkSlots(o)
	}
	w.checkAddresses()
	w.checkTombstones()
	w.checkNobody()
}

// checkRecords compares all records of a type: none is missing, none is too many, and each is as it must be.
func (w *mixed) checkRecords(o record.ObjectType) {
	w.t.Helper()
	ctx := w.t.Context()
	var refs []record.Ref
	seen := map[record.Ref]bool{}
	w.must(w.sound.ReadAll(ctx, o, 0, mixedPartitions, func(_ int, recs []*record.Record) error {
		for _, r := range recs {
			ref := record.Ref{Object: o, ID: r.ID}
			if seen[ref] || w.records[ref] == nil {
				return fmt.Errorf("%s is there (twice: %v), and was purged, deleted permanently or never made", ref, seen[ref])
			}
			seen[ref] = true
		}
		return nil
	}))
	var counts crmstore.Counts
	for ref, r := range w.records {
		if ref.Object != o {
			continue
		}
		refs = append(refs, ref)
		if counts.Live++; r.deletion != nil {
			counts.Live--
			counts.Archived++
		}
	}
	if len(seen) != len(refs) {
		w.t.Fatalf("there are %d %s, want %d", len(seen), o.Plural(), len(refs))
	}
	for i, is := range w.observe(refs) {
		if want := w.records[refs[i]]; !is.same(want) {
			w.t.Fatalf("%s is %+v (deleted: %+v); want %+v (%+v)", refs[i], is, is.deletion, want, want.deletion)
		}
	}
	if got, err := w.sound.Count(ctx, o); got != counts || err != nil {
		w.t.Fatalf("%s: Count = %+v, %v; want %+v", o, got, err, counts)
	}
}

// checkSlots compares each slot with its record. In a free slot nothing of an old record is left.
func (w *mixed) checkSlots(o record.ObjectType) {
	w.t.Helper()
	want := crmstore.Want{IDs: true}
	var columns []*record.Property
	for i := range w.schema[o].Properties {
		if p := &w.schema[o].Properties[i]; p.Columnar() {
			columns, want.Properties = append(columns, p), append(want.Properties, p.Number)
		}
	}
	if list, ok := w.lists[o]; ok {
		want.Lists = []int{list.Number}
	}
	w.must(w.sound.ReadColumns(w.t.Context(), o, 0, mixedPartitions, want, func(c *crmstore.Columns) error {
		for slot := range c.Slots {
			ref := record.Ref{Object: o, ID: record.ID(cellOf(c.IDs, slot))}
			r := w.records[ref]
			if r == nil && (ref.ID != 0 || cellOf(c.Archived, slot) != record.FreeCell) {
				return fmt.Errorf("partition %d: slot %d is %s's, who is not there", c.Partition, slot, ref)
			}
			if r == nil {
				r = &soul{}
			}
			for i, p := range columns {
				if got, want := cellOf(c.Properties[i], slot), p.Cell(r.values[p.Number]); got != want {
					return fmt.Errorf("partition %d: slot %d of %s has cell %x for %s, want %x", c.Partition, slot, ref, got, p.Name, want)
				}
			}
			if len(want.Lists) > 0 && bitOf(c.Lists[0], slot) != r.member {
				return fmt.Errorf("partition %d: slot %d of %s: on the list %v, want %v", c.Partition, slot, ref, !r.member, r.member)
			}
		}
		return nil
	}))
}

// checkPairs settles what is in doubt, and compares who is associated with whom, from both ends.
func (w *mixed) checkPairs() {
	w.t.Helper()
	ctx := w.t.Context()
	var apart []crmstore.Pair
	for p := range w.doubt {
		if !w.records[p.A].live() || !w.records[p.B].live() {
			apart = append(apart, p) // what is not seen now may be either
			w.tie(p, false)
			delete(w.doubt, p)
		}
	}
	_, err := w.sound.Associate(ctx, apart, false, someone, w.tick())
	w.must(err)
	shown := map[crmstore.Pair]int{} // from how many ends
	for _, o := range w.types {
		ids := slices.Sorted(maps.Keys(w.idsThere(o)))
		found, err := w.sound.Associations(ctx, o, ids)
		w.must(err)
		for i, others := range found {
			for _, other := range others {
				shown[lowerFirst(crmstore.Pair{A: record.Ref{Object: o, ID: ids[i]}, B: other})]++
			}
		}
	}
	for p := range w.doubt {
		w.tie(p, shown[p] > 0)
	}
	clear(w.doubt)
	want := map[crmstore.Pair]int{}
	for ref, pairs := range w.tied {
		for p := range pairs {
			if w.records[p.A].live() && w.records[p.B].live() && (ref == p.A || ref == p.B) {
				want[p]++
			}
		}
	}
	for p, n := range shown {
		if n != 2 || want[p] != 2 {
			w.t.Fatalf("%v is seen from %d ends, want %d", p, n, want[p])
		}
	}
	if len(shown) != len(want) {
		w.t.Fatalf("%d associations are seen, want %d", len(shown), len(want))
	}
}

func (w *mixed) idsThere(o record.ObjectType) map[record.ID]bool {
	ids := map[record.ID]bool{}
	for ref := range w.records {
		if ref.Object == o {
			ids[ref.ID] = true
		}
	}
	return ids
}

// checkAddresses compares who holds which e-mail address, and which are blocked.
func (w *mixed) checkAddresses() {
	w.t.Helper()
	ctx := w.t.Context()
	emails := slices.Sorted(maps.Keys(w.holders))
	found, err := w.sound.FindByEmails(ctx, emails)
	w.must(err)
	for i, email := range emails {
		if found[i] != w.holders[email] {
			w.t.Fatalf("%s is contact %d's, want %d", email, found[i], w.holders[email])
		}
	}
	blocks, err := w.sound.CheckAddresses(ctx, emails)
	w.must(err)
	for _, b := range blocks {
		if b.Blocked {
			w.t.Fatalf("%s is blocked, and contact %d has it", b.Email, w.holders[b.Email])
		}
	}
	blocks, err = w.sound.CheckAddresses(ctx, slices.Sorted(maps.Keys(w.blocked)))
	w.must(err)
	for _, b := range blocks {
		if b.Blocked != w.blocked[b.Email] {
			w.t.Fatalf("%s: blocked %v, want %v", b.Email, b.Blocked, w.blocked[b.Email])
		}
	}
}

// checkTombstones compares the tombstones; there is one event for each.
func (w *mixed) checkTombstones() {
	w.t.Helper()
	ctx := w.t.Context()
	ids := slices.Sorted(maps.Keys(w.tombs))
	tombs, err := w.sound.Tombstones(ctx, record.Contact, ids)
	w.must(err)
	if len(tombs) != len(ids) {
		w.t.Fatalf("%d tombstones, want %d", len(tombs), len(ids))
	}
	for _, tomb := range tombs {
		if tomb != w.tombs[tomb.ID] {
			w.t.Fatalf("tombstone %+v, want %+v", tomb, w.tombs[tomb.ID])
		}
	}
	events := map[record.ID]int{}
	w.must(w.sound.Audit(ctx, crmstore.AuditFilter{Object: record.Contact, Ops: []string{"permanent-delete"}}, func(e record.Event) error {
		for _, id := range e.IDs {
			events[id]++
		}
		return nil
	}))
	for _, id := range ids {
		if events[id] != 1 {
			w.t.Fatalf("%d events tell of the permanent deletion of contact %d", events[id], id)
		}
	}
	if len(events) != len(ids) {
		w.t.Fatalf("events tell of %d permanent deletions, want %d", len(events), len(ids))
	}
}

// known finds all by which a person can be known, see [person], in any case.
var known = regexp.MustCompile(`(?i)(?:given|family|0031655)(\d{6})|[a-d](\d{6})@example`)

// checkNobody searches every key and value of the server for those who were deleted permanently.
func (w *mixed) checkNobody() {
	w.t.Helper()
	living := 0
	for key, value := range storetest.Dump(w.t, w.url) {
		for _, text := range []string{key, value} {
			for _, m := range known.FindAllStringSubmatchIndex(text, -1) {
				if m[2] < 0 {
					m[2], m[3] = m[4], m[5]
				}
				n, err := strconv.Atoi(text[m[2]:m[3]])
				w.must(err)
				if living++; w.gone[n] {
					w.t.Fatalf("%s of a person who was deleted permanently is in %s: %q", text[m[0]:m[1]], key, text[max(0, m[0]-60):min(len(text), m[1]+60)])
				}
			}
		}
	}
	if living == 0 && len(w.holders) > 0 {
		w.t.Fatal("the search finds nobody at all")
	}
}
