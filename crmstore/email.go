package crmstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// emailProperty is the property that is unique among live records of the type; nil when there is none.
func emailProperty(s *record.Schema) *record.Property {
	if s.Object != record.Contact {
		return nil
	}
	if p := s.Number(record.PropertyEmail); p != nil && !p.Removed && p.Type == record.String {
		return p
	}
	return nil
}

// normalAddress is the form of an address in which it is unique. Older stores hold texts that have no [record.NormalAddress];
// these are unique in the form in which texts are compared with addresses.
func normalAddress(email string) string { return record.FoldAddress(strings.TrimSpace(email)) }

// address is one normalised e-mail address during a round.
type address struct {
	text     string
	place    claimPlace
	claim    string // as it was read; "" = none
	claimant record.ID
	busy     bool   // the claimant may be about to be written
	blocked  bool   // nobody may hold it
	holder   *draft // the live contact that holds it in the store; nil = none
	now      *draft // the contact that holds it after the upserts so far
	taken    string // our own claim
}

// leaving reports whether the stored holder gives the address up in this round.
func (a *address) leaving() bool { return a.now == nil && a.holder != nil }

// addressOf is the normalised e-mail address of a live record; "" when it has none or is in the bin.
func (w *writer) addressOf(r *record.Record) string {
	if w.email == nil || r.Deletion != nil {
		return ""
	}
	return normalAddress(r.Value(w.email.Number).Text())
}

// wantedAddress is the address that an upsert assigns, and whether it assigns one (or clears it) at all.
func (w *writer) wantedAddress(want *wants) (wanted string, sets bool) {
	if w.email == nil {
		return "", false
	}
	if want.packed != nil {
		text, sets := want.packed.find(w.email)
		return normalAddress(text), sets
	}
	for _, c := range want.changes {
		if c.Property == w.email {
			return normalAddress(c.Value.Text()), true
		}
	}
	return "", false
}

// assignedAddress is the address that an upsert assigns last, before it is checked; "" = none.
func (w *writer) assignedAddress(u *Upsert) string {
	if u.packed.schema != nil {
		text, _ := u.packed.find(w.email)
		return normalAddress(text)
	}
	for _, a := range slices.Backward(u.Set) {
		if a.Property == w.email.Number {
			return normalAddress(a.Value.Text())
		}
	}
	return ""
}

// prepareAddresses finds out who holds the addresses that upserts assign. A hopeful round asks for few of them: records
// that were read hold their own, and what a new record wants besides is free. That it was free shows when it is claimed,
// which it only is for the last address that a record gets: one that the batch names again is asked for.
func (r *round) prepareAddresses(ctx context.Context, todo []int) error {
	r.addresses = make(map[string]*address, len(todo))
	var ask, known []string
	for _, i := range todo {
		u := &r.batch[i]
		text, d := r.assignedAddress(u), r.byID[u.ID]
		if r.hopeful && d != nil && d.hoped != "" {
			ask = append(ask, d.hoped)
		}
		switch {
		case text == "":
		case r.hopeful && d != nil && (!d.exists || d.address == text):
			known = append(known, text)
			d.hoped = text
		default:
			ask = append(ask, text)
		}
	}
	if err := r.lookUp(ctx, ask); err != nil {
		return err
	}
	holders := make(map[string]*draft, len(r.live))
	for _, d := range r.live {
		holders[d.address] = d
	}
	all, places := make([]address, len(known)), r.store.placer(r.partitions)
	for i, text := range known {
		if r.addresses[text] == nil {
			d := holders[text]
			all[i] = address{text: text, place: places.place(text), holder: d, now: d}
			r.addresses[text] = &all[i]
		}
	}
	return nil
}

// lookUp finds out who holds the normalised addresses; empty ones are passed over.
func (r *round) lookUp(ctx context.Context, texts []string) error {
	list, all, places := make([]*address, 0, len(texts)), make([]address, len(texts)), r.store.placer(r.partitions)
	for i, text := range texts {
		if text == "" || r.addresses[text] != nil {
			continue
		}
		one := &all[i]
		one.text = text
		one.place = places.place(text)
		r.addresses[text] = one
		list = append(list, one)
	}
	if err := r.store.readClaims(ctx, r.partitions, list); err != nil {
		return err
	}
	var ids []record.ID
	for _, a := range list {
		if a.claimant != 0 {
			ids = append(ids, a.claimant)
		}
	}
	if err := r.load(ctx, ids); err != nil {
		return err
	}
	now := r.store.wall()
	for _, a := range list {
		d := r.byID[a.claimant]
		switch {
		case isBlock(a.claim):
			a.blocked = true
		case d != nil && (d.address == a.text || d.damaged != nil):
			a.holder, a.now = d, d
		case d != nil && undecided(a.claim, d.version(), now):
			a.busy = true
		}
	}
	return nil
}

// FindByEmail is the live contact that holds the address (any case); ErrNotFound.
func (s *Store) FindByEmail(ctx context.Context, email string) (record.ID, error) {
	ids, err := s.FindByEmails(ctx, []string{email})
	if err != nil {
		return 0, err
	}
	if ids[0] == 0 {
		return 0, fmt.Errorf("contact with that e-mail: %w", record.ErrNotFound)
	}
	return ids[0], nil
}

// claimsTo reads the claims to e-mail addresses (any case), in the order asked.
func (s *Store) claimsTo(ctx context.Context, emails []string) ([]*address, error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	list, places := make([]*address, len(emails)), s.placer(partitions)
	for i, email := range emails {
		list[i] = &address{text: normalAddress(email)}
		list[i].place = places.place(list[i].text)
	}
	return list, s.readClaims(ctx, partitions, list)
}

// FindByEmails finds the live contacts that hold the addresses (any case), in the order asked; 0 where nobody does.
func (s *Store) FindByEmails(ctx context.Context, emails []string) ([]record.ID, error) {
	if err := s.require(ctx, record.Contact, CanView); err != nil {
		return nil, err
	}
	list, err := s.claimsTo(ctx, emails)
	if err != nil {
		return nil, err
	}
	claimants := make([]record.ID, 0, len(list))
	for _, a := range list {
		if a.claimant != 0 {
			claimants = append(claimants, a.claimant)
		}
	}
	recs, err := s.get(ctx, record.Contact, claimants)
	if err != nil {
		return nil, err
	}
	holds := make(map[record.ID]string, len(recs))
	for _, r := range recs {
		if r.Deletion == nil {
			holds[r.ID] = normalAddress(r.Value(record.PropertyEmail).Text())
		}
	}
	ids := make([]record.ID, len(list))
	for i, a := range list {
		if text := holds[a.claimant]; text != "" && text == a.text {
			ids[i] = a.claimant
		}
	}
	return ids, nil
}
