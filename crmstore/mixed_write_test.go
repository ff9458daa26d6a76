package crmstore_test

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// person is what a person is known by. Every text holds the number, in names as letters, so that a search finds it wherever it is.
func person(n int) (first, last, email, phone string) {
	letters := strings.Map(func(digit rune) rune { return digit - '0' + 'a' }, fmt.Sprintf("%06d", n))
	return "Given" + letters, "Family" + letters, fmt.Sprintf("a%06d@example.com", n), fmt.Sprintf("0031655%06d", n)
}

// shared is an address that many want, and nobody is known by.
func (w *mixed) shared() string { return fmt.Sprintf("shared%d@example.com", w.rng.IntN(60)) }

// value is some value, mostly a known one.
func (w *mixed) value(p *record.Property) record.Value {
	k := w.rng.IntN(6)
	switch {
	case k == 0:
		return record.Value{}
	case p.Type == record.String:
		return record.StringValue(strings.Repeat("x", k*k*k))
	case p.Type == record.Number:
		return record.NumberValue(float64(k) * 1.5)
	case p.Type == record.DateTime:
		return record.DateTimeValue(noon.AddDate(-k, 0, 0))
	case p.Type == record.Date:
		return record.DateValue(noon.AddDate(-k, 0, 0))
	case p.Type == record.Bool:
		return record.BoolValue(k > 2)
	}
	return record.EnumValue(p.Options[k%len(p.Options)].Value)
}

func (w *mixed) assignments(o record.ObjectType) (set []record.Assignment) {
	for _, p := range w.some[o] {
		if w.chance(50) {
			set = append(set, record.Assignment{Property: p.Number, Value: w.value(p)})
		}
	}
	return set
}

func (w *mixed) texts(pairs ...string) (set []record.Assignment) {
	for i := 0; i < len(pairs); i += 2 {
		p := w.schema[record.Contact].Find(pairs[i])[0]
		set = append(set, record.Assignment{Property: p.Number, Value: record.StringValue(pairs[i+1])})
	}
	return set
}

// create makes records, some of them under ids that were purged, or deleted permanently.
func (w *mixed) create(o record.ObjectType, n int) {
	at := w.tick()
	again := w.pick(o, n/10, func(r *soul) bool { return r == nil })
	var batch []crmstore.Upsert
	persons := map[record.ID]int{}
	for i := range n {
		u := crmstore.Upsert{Set: w.assignments(o)}
		if i < len(again) {
			u.ID = again[i]
		} else {
			u.ID = record.ID(len(w.ids[o]) + 1)
			w.ids[o] = append(w.ids[o], u.ID)
		}
		if o == record.Contact {
			w.persons++
			persons[u.ID] = w.persons
			first, last, email, phone := person(w.persons)
			if i >= len(again) && w.chance(15) {
				email = w.shared()
			}
			u.Set = append(u.Set, w.texts("firstname", first, "lastname", last, "phone", phone, "email", email)...)
		}
		batch = append(batch, u)
	}
	w.write("create", o, crmstore.CreateOnly, batch, persons, at)
}

// update changes records; contacts of odd persons get other e-mail addresses too.
func (w *mixed) update(o record.ObjectType, n int) {
	at := w.tick()
	var batch []crmstore.Upsert
	persons := map[record.ID]int{}
	for _, id := range w.pick(o, n, (*soul).live) {
		u := crmstore.Upsert{ID: id, Set: w.assignments(o)}
		if r := w.records[record.Ref{Object: o, ID: id}]; o == record.Contact && r.there() {
			if persons[id] = r.person; r.person%2 == 1 && w.chance(40) {
				email := fmt.Sprintf("%c%06d@example.com", 'a'+w.rng.IntN(4), r.person)
				if w.chance(40) {
					email = w.shared()
				}
				u.Set = append(u.Set, w.texts("email", email)...)
			}
		}
		batch = append(batch, u)
	}
	w.write("update", o, crmstore.UpdateOnly, batch, persons, at)
}

func (w *mixed) write(kind string, o record.ObjectType, mode crmstore.WriteMode, batch []crmstore.Upsert, persons map[record.ID]int, at time.Time) {
	if len(batch) == 0 {
		return
	}
	d := deed{kind: kind}
	for _, u := range batch {
		d.touched = append(d.touched, record.Ref{Object: o, ID: u.ID})
	}
	d.apply = func() (want []string) {
		for _, u := range batch {
			want = append(want, w.upsert(o, mode, u, persons[u.ID], at))
		}
		return want
	}
	d.run = func(s *crmstore.Store) ([]string, error) {
		results, err := s.Write(w.t.Context(), o, mode, batch, someone, at)
		return short(results), err
	}
	w.do(d)
}

// upsert is what one upsert must give, and carries it out in the model.
func (w *mixed) upsert(o record.ObjectType, mode crmstore.WriteMode, u crmstore.Upsert, person int, at time.Time) string {
	say := func(outcome crmstore.WriteOutcome, err error) string {
		return short([]crmstore.WriteResult{{ID: u.ID, Outcome: outcome, Err: err}})[0]
	}
	ref := record.Ref{Object: o, ID: u.ID}
	r := w.records[ref]
	email := ""
	for _, a := range u.Set {
		if o == record.Contact && a.Property == record.PropertyEmail {
			email = normal(a.Value.Text())
		}
	}
	_, erased := w.tombs[u.ID]
	holder := w.holders[email]
	switch {
	case r.binned():
		return say(crmstore.Refused, crmstore.ErrArchived)
	case r.there() && mode == crmstore.CreateOnly:
		return say(crmstore.Refused, record.ErrExists)
	case !r.there() && mode == crmstore.UpdateOnly:
		return say(crmstore.Refused, record.ErrNotFound)
	case !r.there() && erased && o == record.Contact:
		return say(crmstore.Refused, crmstore.ErrErased)
	case email != "" && holder != u.ID && w.blocked[email]:
		return say(crmstore.Refused, &record.BlockedError{Email: email})
	case email != "" && holder != 0 && holder != u.ID:
		return say(crmstore.Refused, &record.EmailTakenError{Email: email, Holder: holder})
	}
	now, outcome := &soul{values: map[int]record.Value{record.PropertyCreated: record.DateTimeValue(at)}, person: person}, crmstore.Created
	if r.there() {
		copied := *r
		now, outcome = &copied, crmstore.Updated
		now.values = maps.Clone(r.values)
	}
	for _, a := range u.Set {
		if o == record.Contact && a.Property == record.PropertyEmail {
			a.Value = record.StringValue(normal(a.Value.Text()))
		}
		if now.values[a.Property] = a.Value; !a.Value.Known() {
			delete(now.values, a.Property)
		}
	}
	if r.there() && maps.Equal(now.values, r.values) {
		return say(crmstore.Unchanged, nil)
	}
	now.values[record.PropertyModified] = record.DateTimeValue(at)
	w.put(ref, now)
	return say(outcome, nil)
}
