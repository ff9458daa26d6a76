package crmstore_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// purge removes what was deleted at some instant or before.
func (w *mixed) purge(o record.ObjectType) {
	last := noon.Add(time.Duration(w.rng.Int64N(int64(w.tick().Sub(noon)))))
	d := deed{kind: "purge"}
	for ref, r := range w.records {
		_, pending := w.limbo[ref.ID]
		if ref.Object == o && r.deletion != nil && !r.deletion.At.After(last) && (!pending || o != record.Contact) {
			d.touched = append(d.touched, ref)
		}
	}
	d.apply = func() []string {
		purged := 0
		for _, ref := range d.touched {
			if w.records[ref] != nil {
				w.put(ref, nil)
				w.untie(ref)
				purged++
			}
		}
		return []string{fmt.Sprint("purged ", purged)}
	}
	d.run = func(s *crmstore.Store) ([]string, error) {
		report, err := s.Purge(w.t.Context(), crmstore.PurgeOrder{Object: o, Cause: someone, At: last.Add(crmstore.Retention)})
		return []string{fmt.Sprint("purged ", report.Purged)}, err
	}
	d.torn = func() {
		for _, ref := range d.touched {
			for p := range w.tied[ref] {
				w.doubt[p] = true
			}
		}
	}
	w.do(d)
}

// untie takes a record's associations out of the model. One in doubt stays so: when its process died after the first
// half was written, the other record keeps that half, until doctor comes, also for a later record of this id.
func (w *mixed) untie(ref record.Ref) {
	for p := range w.tied[ref] {
		w.tie(p, false)
	}
}

// tie associates a pair in the model, or takes it apart.
func (w *mixed) tie(p crmstore.Pair, add bool) {
	for _, ref := range []record.Ref{p.A, p.B} {
		if w.tied[ref] == nil {
			w.tied[ref] = map[crmstore.Pair]bool{}
		}
		if w.tied[ref][p] = true; !add {
			delete(w.tied[ref], p)
		}
	}
}

func (w *mixed) associate(n int, add bool) {
	w.done["associate"]++
	var pairs []crmstore.Pair
	seen := map[crmstore.Pair]bool{}
	if !add { // mostly of those that there are
		for _, id := range w.pick(record.Contact, n, (*soul).there) {
			for p := range w.tied[contact(id)] {
				if _, pending := w.limbo[p.A.ID]; !pending && w.limbo[p.B.ID] == (crmstore.Tombstone{}) && !seen[p] {
					pairs, seen[p] = append(pairs, p), true
				}
			}
		}
		slices.SortFunc(pairs, func(a, b crmstore.Pair) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	for len(pairs) < n {
		one, other := w.types[w.rng.IntN(len(w.types))], w.types[w.rng.IntN(len(w.types))]
		a, b := w.pick(one, 1, (*soul).live), w.pick(other, 1, (*soul).live)
		if len(a) == 0 || len(b) == 0 {
			return
		}
		p := lowerFirst(crmstore.Pair{A: record.Ref{Object: one, ID: a[0]}, B: record.Ref{Object: other, ID: b[0]}})
		if p.A == p.B || seen[p] {
			n--
			continue
		}
		pairs, seen[p] = append(pairs, p), true
	}
	at := w.tick()
	var results []crmstore.PairResult
	run := func(s *crmstore.Store) (err error) {
		results, err = s.Associate(w.t.Context(), pairs, add, someone, at)
		return err
	}
	if w.chance(30) && w.crash("associate", run) {
		for _, p := range pairs {
			w.tie(p, true)
			w.doubt[p] = true
		}
		if w.chance(50) {
			return
		}
		w.must(run(w.sound))
	} else if results == nil {
		w.must(run(w.sound))
	}
	for i, p := range pairs {
		w.told(p, add, results[i])
	}
}

// told compares what became of a pair with the model, and carries it out there.
func (w *mixed) told(p crmstore.Pair, add bool, got crmstore.PairResult) {
	a, b := w.records[p.A], w.records[p.B]
	want := crmstore.PairAsItWas
	switch {
	case add && (!a.live() || !b.live()):
		if got.Outcome != crmstore.PairMissing && got.Outcome != crmstore.PairInBin {
			w.t.Fatalf("associate %v: %+v, though one is not live: %+v, %+v", p, got, a, b)
		}
		return
	case w.tied[p.A][p] != add:
		want = crmstore.PairChanged
	}
	if got.Outcome != want && !w.doubt[p] && (add || got.Outcome != crmstore.PairMissing) {
		w.t.Fatalf("associate %v (%v): outcome %+v, want %d", p, add, got, want)
	}
	w.tie(p, add)
	delete(w.doubt, p)
}

// blockList blocks and unblocks addresses that many want.
func (w *mixed) blockList() {
	w.done["block"]++
	address, at := w.shared(), w.tick()
	results, err := w.sound.BlockAddresses(w.t.Context(), []string{address}, someone, at)
	w.must(err)
	holder := w.holders[address]
	if got := results[0]; got.Holder != holder || got.Blocked != (holder == 0) {
		w.t.Fatalf("block %s: %+v; contact %d has it", address, got, holder)
	}
	if w.blocked[address] = holder == 0; w.chance(60) {
		_, err := w.sound.UnblockAddresses(w.t.Context(), []string{address}, someone, at)
		w.must(err)
		delete(w.blocked, address)
	}
}

// erase deletes contacts permanently.
func (w *mixed) erase(n int) {
	ids := w.pick(record.Contact, n, (*soul).there)
	for _, id := range w.spoken[w.rng.IntN(len(w.spoken)+1):] {
		if _, pending := w.limbo[id]; !pending && !slices.Contains(ids, id) && len(ids) < 2*n {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	w.done["erase"]++
	order := crmstore.EraseOrder{At: w.tick(), Cause: record.Cause{Run: fmt.Sprint("permanent@", w.done["erase"])}}
	order.Cause.Reason, _ = w.reason()
	tombs := map[record.ID]crmstore.Tombstone{}
	want := map[record.ID]crmstore.EraseOutcome{}
	for _, id := range ids {
		_, before := w.tombs[id]
		switch {
		case w.records[contact(id)].there():
			want[id] = crmstore.Erased
			tombs[id] = crmstore.Tombstone{ID: id, At: order.At, Actor: storetest.User, Run: order.Cause.Run}
		case before:
			want[id] = crmstore.ErasedBefore
		default:
			want[id] = crmstore.NothingThere
		}
	}
	var report crmstore.EraseReport
	run := func(s *crmstore.Store) (err error) {
		report, err = s.Erase(w.t.Context(), order, ids)
		return err
	}
	if !w.chance(50) {
		w.must(run(w.sound))
	} else if w.crash("erase", run) {
		w.must(crmstore.AgeClaims(w.t.Context(), w.sound, mixedPartitions))
		w.eraseDied(tombs)
		return
	}
	w.lookAtLimbo()
	w.forgetPersons(tombs)
	for i, id := range ids {
		if got := report.Results[i]; got.Outcome != want[id] {
			w.t.Fatalf("delete contact %d permanently: %+v, want outcome %d", id, got, want[id])
		}
	}
}

// eraseDied finds out whether a permanent deletion whose process died had begun, and may finish it.
func (w *mixed) eraseDied(tombs map[record.ID]crmstore.Tombstone) {
	ctx := w.t.Context()
	w.lookAtLimbo()
	pending := w.pending()
	done := map[record.ID]crmstore.Tombstone{}
	finish := w.chance(50)
	for id, tomb := range tombs {
		found, err := w.sound.Tombstones(ctx, record.Contact, []record.ID{id})
		w.must(err)
		switch r := w.records[contact(id)]; {
		case pending[id.String()]:
			w.limbo[id] = tomb
			finish = finish || strings.HasPrefix(r.email(), "shared") // others want it
		case len(found) > 0:
			done[id] = tomb
		default:
			if is := w.observe([]record.Ref{contact(id)})[0]; !is.same(r) {
				w.t.Fatalf("the permanent deletion of contact %d was not begun, and it is %+v; before %+v", id, is, r)
			}
		}
	}
	w.forgetPersons(done)
	if finish {
		w.finish(w.chance(50))
	}
}

// pending are the contacts, as text, whose permanent deletion was begun and is not finished.
func (w *mixed) pending() map[string]bool {
	names, err := crmstore.Raw(w.sound).HKeys(w.t.Context(), crmstore.KeyErasing(w.sound)).Result()
	w.must(err)
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

// finish finishes the permanent deletions that were interrupted.
func (w *mixed) finish(doctor bool) {
	ctx := w.t.Context()
	var err error
	if doctor {
		err = w.sound.Doctor(ctx, record.Contact, true, func(crmstore.Problem) error { return nil })
	} else {
		_, err = w.sound.FinishErasures(ctx)
	}
	w.must(err)
	if w.lookAtLimbo(); len(w.limbo) > 0 {
		w.t.Fatalf("permanent deletions are not finished: %v", w.limbo)
	}
}

// lookAtLimbo carries out in the model what has been finished meanwhile, by whoever came by.
func (w *mixed) lookAtLimbo() {
	if len(w.limbo) == 0 {
		return
	}
	pending, done := w.pending(), map[record.ID]crmstore.Tombstone{}
	for id, tomb := range w.limbo {
		if !pending[id.String()] {
			done[id] = tomb
			delete(w.limbo, id)
		}
	}
	w.forgetPersons(done)
}

// forgetPersons deletes contacts permanently in the model.
func (w *mixed) forgetPersons(tombs map[record.ID]crmstore.Tombstone) {
	emails := map[string]bool{}
	for id, tomb := range tombs {
		ref := contact(id)
		r := w.records[ref]
		if r == nil {
			w.t.Fatalf("contact %d was to be deleted permanently, and is not in the model", id)
		}
		emails[r.email()] = true
		w.put(ref, nil)
		w.untie(ref)
		w.tombs[id], w.gone[r.person] = tomb, true
		for _, other := range w.named[r.person] {
			w.hide(other, r)
		}
	}
	for email := range emails {
		if email != "" && w.holders[email] == 0 {
			w.blocked[email] = true
		}
	}
}

// hide puts asterisks over a person's address and whole name in the reason for another record's deletion.
func (w *mixed) hide(ref record.Ref, who *soul) {
	r := w.records[ref]
	if !r.binned() {
		return
	}
	first, last, email, _ := person(who.person)
	now, deletion := *r, *r.deletion
	for _, text := range []string{first + " " + last, last + ", " + strings.ToUpper(first), email, strings.ToUpper(email)} {
		deletion.Reason = strings.ReplaceAll(deletion.Reason, text, strings.Repeat("*", len(text)))
	}
	now.deletion = &deletion
	w.put(ref, &now)
}
