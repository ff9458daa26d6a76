package crmstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// draft is a record as it stands in the store and as the round's upserts have made it so far.
type draft struct {
	id      record.ID
	stored  *record.Record // nil when it is not there yet
	damaged error          // it is there but cannot be read
	exists  bool
	dirty   bool // to be written
	lost    bool // another process was faster; its upserts are planned again
	fields  []byte
	record  []byte   // of a dirty draft: room for the header, then fields
	address string   // normalised e-mail of fields
	hoped   string   // the address that a hopeful round took for free, or for its own, without asking
	claim   *address // to be claimed before it is written
	items   []int    // upserts that changed it or were judged by it
	first   [1]int   // where items begins: most drafts have one
}

// version is the one that the record has in the store; 0 when it is not there.
func (d *draft) version() uint64 {
	if d.stored == nil {
		return 0
	}
	return d.stored.Version
}

// concerns notes an upsert that changed the draft or was judged by it.
func (d *draft) concerns(i int) {
	if d.items == nil {
		d.items = d.first[:0]
	}
	d.items = append(d.items, i)
}

// round plans upserts in order, in memory, and then writes what came out.
type round struct {
	*writer
	hopeful   bool // new records are taken for new, and their addresses for free, without asking: see plan
	planned   int  // of the upserts given, those that were planned; the rest must wait for the round's writes
	waits     bool // the next upsert needs an address that another process is just taking
	byID      map[record.ID]*draft
	live      []*draft // those that were read with an address
	made      []*draft // new records without an id yet
	dirty     []*draft
	addresses map[string]*address
	changes   []record.FieldChange // scratch space
	records   recordBlock
	refusals  []takenByMade // refusals in favour of a record that has no id yet
	held      map[record.ID]Hold
}

// takenByMade is an upsert refused since a record of the same round holds the address.
type takenByMade struct {
	item   int
	holder *draft
	email  string
}

// plan reads what the upserts may touch and applies them in order. It stops early at an upsert that needs the
// round's writes first, or an address that another process is just taking.
//
// A hopeful round does not ask for what most likely is not there: records with ids above all that were ever given, and
// claims to the addresses of records that are not there. The scripts that write them compare all the same, so where the
// hope was in vain the upserts come back, and then they are planned by a round that asks for everything.
func (w *writer) plan(ctx context.Context, todo []int) (*round, error) {
	r := &round{writer: w, hopeful: !w.careful, byID: make(map[record.ID]*draft, len(todo)), dirty: make([]*draft, 0, len(todo))}
	ids := make([]record.ID, 0, len(todo))
	for _, i := range todo {
		if id := w.batch[i].ID; id != 0 && id <= record.MaxID {
			ids = append(ids, id)
		}
	}
	if r.hopeful && len(ids) >= manyIDs {
		var err error
		if ids, err = r.passNew(ctx, ids); err != nil {
			return nil, err
		}
	}
	if err := r.load(ctx, ids); err != nil {
		return nil, err
	}
	if w.email != nil {
		if err := r.prepareAddresses(ctx, todo); err != nil {
			return nil, err
		}
	}
	if err := r.findHeld(ctx, todo); err != nil {
		return nil, err
	}
	for _, i := range todo {
		if !r.apply(i) {
			break
		}
		r.planned++
	}
	return r, nil
}

// findHeld reads which of the records that were read are on legal hold, where an upsert spares them.
func (r *round) findHeld(ctx context.Context, todo []int) error {
	if !slices.ContainsFunc(todo, func(i int) bool { return r.batch[i].SpareHeld }) {
		return nil
	}
	var ids []record.ID
	for id, d := range r.byID {
		if d.stored != nil {
			ids = append(ids, id)
		}
	}
	held, err := r.store.holdsOf(ctx, r.object, ids)
	r.held = make(map[record.ID]Hold, len(held))
	for _, h := range held {
		r.held[h.ID] = h
	}
	return err
}

// spares refuses an upsert that would change a record on legal hold, which it is to spare.
func (r *round) spares(i int, d *draft, want *wants) bool {
	h, held := r.held[d.id]
	if !held || !r.batch[i].SpareHeld || d.stored == nil || bytes.Equal(record.MergeFields(nil, d.fields, want.all(r)), d.fields) {
		return false
	}
	r.refuse(i, d.id, &HeldError{Object: r.object, Holds: []Hold{h}})
	d.concerns(i)
	return true
}

// manyIDs is how many ids make it worth while to ask for the highest that was ever given, before the records.
const manyIDs = 1024

// passNew makes drafts of new records for ids above the highest that was ever given, and returns the others.
func (r *round) passNew(ctx context.Context, ids []record.ID) (others []record.ID, err error) {
	highest, err := r.store.highestID(ctx, r.object)
	if err != nil {
		return nil, err
	}
	others = ids[:0]
	drafts := make([]draft, len(ids))
	for i, id := range ids {
		if id <= highest {
			others = append(others, id)
		} else if r.byID[id] == nil {
			drafts[i].id = id
			r.byID[id] = &drafts[i]
		}
	}
	return others, nil
}

// load reads records into drafts.
func (r *round) load(ctx context.Context, ids []record.ID) error {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	ids = slices.DeleteFunc(ids, func(id record.ID) bool { return r.byID[id] != nil })
	want, _ := byPartition(ids, r.partitions)
	return r.store.fetch(ctx, r.object, want, func(i int, values []any) error {
		drafts := make([]draft, len(values))
		for j, v := range values {
			d := &drafts[j]
			d.id = want[i].IDs[j]
			r.byID[d.id] = d
			if bytes, ok := v.(string); ok {
				d.exists = true
				if d.stored, d.damaged = record.ParseRecord(r.schema, d.id, bytes); d.damaged != nil {
					d.damaged = record.AsDamaged(r.object, []record.ID{d.id})
				}
			}
			if d.stored != nil {
				d.fields = record.BytesOf(d.stored.RawFields())
				if d.address = r.addressOf(d.stored); d.address != "" {
					r.live = append(r.live, d)
				}
			}
		}
		return nil
	})
}

// apply plans one upsert; false: it must wait for the round's writes.
func (r *round) apply(i int) bool {
	r.results[i] = WriteResult{} // of an earlier plan that was dropped
	u := &r.batch[i]
	if u.ID > record.MaxID {
		r.refuse(i, 0, fmt.Errorf("record id %d: want at most %d", u.ID, record.MaxID))
		return true
	}
	want, err := r.read(u)
	if err != nil {
		r.refuse(i, u.ID, err)
		return true
	}
	wanted, sets := r.wantedAddress(&want)
	d := r.byID[u.ID]
	if u.ID == 0 && wanted != "" {
		a := r.addresses[wanted]
		if a.blocked {
			r.refuse(i, 0, &record.BlockedError{Email: wanted})
			return true
		}
		if a.busy || a.leaving() {
			r.waits = a.busy
			return false
		}
		d = a.now
	}
	if d == nil {
		d = &draft{}
	}
	if err := r.judge(d); err != nil {
		if u.ID == 0 && errors.Is(err, record.ErrExists) {
			r.taken(i, d, wanted) // it is only known by its address
		} else {
			r.refuse(i, d.id, err)
		}
		d.concerns(i)
		return true
	}
	if u.SameEmail && u.ID != 0 && d.exists && wanted != d.address {
		r.refuse(i, u.ID, &OtherEmailError{ID: u.ID, Has: d.address, Wants: wanted})
		d.concerns(i)
		return true
	}
	if r.spares(i, d, &want) {
		return true
	}
	before := d.address
	if sets && wanted != d.address {
		if ok := r.move(i, d, wanted); !ok {
			return r.results[i].Outcome == Refused
		}
	}
	r.change(i, d, &want)
	r.results[i].Moved = before != "" && sets && before != wanted && r.results[i].Outcome == Updated
	return true
}

// judge says why the draft cannot be written to in this mode; nil when it can.
func (r *round) judge(d *draft) error {
	switch {
	case d.damaged != nil:
		return d.damaged
	case d.exists && d.stored != nil && d.stored.Deletion != nil:
		return ErrArchived
	case d.exists && r.mode == CreateOnly:
		return record.ErrExists
	case !d.exists && r.mode == UpdateOnly:
		return record.ErrNotFound
	case r.erased[d.id]:
		return ErrErased
	case !d.exists && d.id > record.MaxGivenID:
		return fmt.Errorf("record id %d: a new record brings along at most %d", d.id, record.MaxGivenID)
	}
	return nil
}

// move gives the draft another address (or none). When it cannot, either the upsert is refused or it must wait.
func (r *round) move(i int, d *draft, wanted string) bool {
	var a *address
	if wanted != "" {
		a = r.addresses[wanted]
		switch {
		case a.blocked:
			r.refuse(i, r.batch[i].ID, &record.BlockedError{Email: wanted})
			d.concerns(i)
			return false
		case a.busy:
			r.waits = true
			return false
		case a.now != nil && a.now != d:
			r.taken(i, a.now, wanted)
			a.now.concerns(i)
			return false
		case a.leaving() && a.holder != d:
			return false
		}
		a.now = d
	}
	if old := r.addresses[d.address]; old != nil && old != a && old.now == d {
		old.now = nil
	}
	d.address, d.claim = wanted, a
	return true
}

// change applies what an upsert wants to a draft that may be written to.
func (r *round) change(i int, d *draft, want *wants) {
	outcome := Updated
	if !d.exists {
		outcome = Created
		r.set(d, r.newRecord(r.start(), want))
		d.exists = true
		if d.id == 0 {
			r.made = append(r.made, d)
		}
	} else {
		fields := record.MergeFields(make([]byte, 0, len(d.fields)+32), d.fields, want.all(r))
		if bytes.Equal(fields, d.fields) {
			outcome = Unchanged
		} else {
			r.set(d, record.MergeFields(r.start(), fields, []record.FieldChange{{Property: r.modified, Value: r.now}}))
		}
	}
	r.results[i] = WriteResult{ID: d.id, Outcome: outcome}
	d.concerns(i)
	if outcome != Unchanged && !d.dirty {
		d.dirty = true
		r.dirty = append(r.dirty, d)
	}
}

// noHeader is room for a header.
var noHeader [record.HeaderSize]byte

// start is where a record is made: scratch space with room for a header in it.
func (r *round) start() []byte { return append(r.records.scratch[:0], noHeader[:]...) }

// set gives the draft a record that was made there.
func (r *round) set(d *draft, rec []byte) {
	d.record = r.records.keep(append(rec, record.NoChecksum[:]...))
	end := len(d.record) - record.SumSize
	d.fields = d.record[record.HeaderSize:end:end]
}

// withDates adds the dates that the store sets on a new record.
func (r *round) withDates(changes []record.FieldChange) []record.FieldChange {
	created, modified := record.FieldChange{Property: r.created, Value: r.now}, record.FieldChange{Property: r.modified, Value: r.now}
	at := 0 // the two have the lowest numbers
	if len(changes) > 0 && changes[0].Property == r.created {
		if at = 1; changes[0].Value.Known() {
			created = changes[0]
		}
	}
	if len(changes) > at && changes[at].Property == r.modified {
		at++
	}
	return slices.Replace(changes, 0, at, created, modified)
}

// taken refuses an upsert since d holds the address it wants.
func (r *round) taken(i int, d *draft, email string) {
	r.refuse(i, r.batch[i].ID, &record.EmailTakenError{Email: email, Holder: d.id})
	if d.id == 0 {
		r.refusals = append(r.refusals, takenByMade{i, d, email})
	}
}
