package csvfile

import (
	"context"
	"errors"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// look says what [importer.send] would do, by reading alone.
func (im *importer) look(ctx context.Context, batch []crmstore.Upsert) ([]crmstore.WriteResult, error) {
	holders, err := im.holders(ctx, batch)
	if err != nil {
		return nil, err
	}
	ids := make([]record.ID, 0, len(batch))
	for i := range batch {
		if id := target(&batch[i], holders[i]); id != 0 {
			ids = append(ids, id)
		}
	}
	records, err := im.store.Get(ctx, im.o.Object, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[record.ID]*record.Record, len(records))
	for _, r := range records {
		byID[r.ID] = r
	}
	never, err := im.never(ctx, batch)
	if err != nil {
		return nil, err
	}
	holds, err := im.store.HoldsOf(ctx, im.o.Object, ids)
	if err != nil {
		return nil, err
	}
	held := make(map[record.ID]crmstore.Hold, len(holds))
	for _, h := range holds {
		held[h.ID] = h
	}
	results := make([]crmstore.WriteResult, len(batch))
	for i := range batch {
		results[i] = im.foresee(&batch[i], holders[i], byID[target(&batch[i], holders[i])], never[i])
		if h, ok := held[results[i].ID]; ok && batch[i].SpareHeld && results[i].Outcome == crmstore.Updated {
			results[i] = crmstore.WriteResult{ID: h.ID, Outcome: crmstore.Refused, Err: &crmstore.HeldError{Object: im.o.Object, Holds: []crmstore.Hold{h}}}
		}
	}
	return results, nil
}

// never says for each upsert why it can never make a record: its e-mail address is blocked, or its id was deleted
// permanently; nil when nothing keeps it from that.
func (im *importer) never(ctx context.Context, batch []crmstore.Upsert) ([]error, error) {
	never := make([]error, len(batch))
	if im.o.Object != record.Contact {
		return never, nil
	}
	emails, ids := make([]string, len(batch)), make([]record.ID, 0, len(batch))
	for i := range batch {
		emails[i] = im.emailOf(&batch[i])
		if batch[i].ID != 0 {
			ids = append(ids, batch[i].ID)
		}
	}
	blocks, err := im.store.CheckAddresses(ctx, emails)
	if err != nil {
		return nil, err
	}
	tombs, err := im.store.Tombstones(ctx, im.o.Object, ids)
	if err != nil {
		return nil, err
	}
	erased := make(map[record.ID]bool, len(tombs))
	for _, t := range tombs {
		erased[t.ID] = true
	}
	for i := range batch {
		switch {
		case erased[batch[i].ID]:
			never[i] = crmstore.ErrErased
		case emails[i] != "" && blocks[i].Blocked:
			never[i] = &record.BlockedError{Email: emails[i]}
		}
	}
	return never, nil
}

// target is the record that an upsert is about, 0 when it is a new one.
func target(u *crmstore.Upsert, holder record.ID) record.ID {
	if u.ID != 0 {
		return u.ID
	}
	return holder
}

// foresee says what the store would do with one change of a record, nil when there is none yet.
func (im *importer) foresee(u *crmstore.Upsert, holder record.ID, r *record.Record, never error) crmstore.WriteResult {
	w := crmstore.WriteResult{ID: target(u, holder), Outcome: crmstore.Refused}
	there := r != nil || im.made.has(u, im.emailOf(u))
	switch {
	case r != nil && r.Deletion != nil:
		w.Err = crmstore.ErrArchived
	case im.o.Mode == crmstore.CreateOnly && u.ID == 0 && holder != 0:
		w.Err = &record.EmailTakenError{Email: im.emailOf(u), Holder: holder}
	case im.o.Mode == crmstore.CreateOnly && there:
		w.Err = record.ErrExists
	case !there && im.o.Mode == crmstore.UpdateOnly:
		w.Err = record.ErrNotFound
	case !there && u.ID > record.MaxGivenID:
		w.Err = errors.New("the id is too large for a new record")
	case u.SameEmail && u.ID != 0 && r != nil && !im.holds(r, u):
		w.Err = &crmstore.OtherEmailError{ID: u.ID, Has: im.addressIn(r), Wants: im.emailOf(u)}
	case never != nil && !im.holds(r, u):
		w.Err = never
	case holder != 0 && holder != w.ID:
		w.Err = &record.EmailTakenError{Email: im.emailOf(u), Holder: holder}
	case !there:
		w.Outcome = crmstore.Created
		im.made.add(u, im.emailOf(u))
	case r == nil:
		w.Outcome = crmstore.Updated
	default:
		w.Outcome = crmstore.Unchanged
		for _, a := range u.Set {
			if r.Value(a.Property) != a.Value {
				w.Outcome = crmstore.Updated
				w.Moved = im.addressIn(r) != "" && im.emailOf(u) != "" && !im.holds(r, u)
				break
			}
		}
	}
	return w
}

// madeRecords are the records that a dry run would have made by now, which later lines may change when
// duplicates are allowed. The zero value is ready, and remembers nothing unless it is told to.
type madeRecords struct {
	remember bool
	ids      map[record.ID]bool
	emails   map[string]bool
}

func (m *madeRecords) has(u *crmstore.Upsert, email string) bool {
	if u.ID != 0 {
		return m.ids[u.ID]
	}
	return m.emails[email]
}

// forget makes as if nothing had been made.
func (m *madeRecords) forget() { m.ids, m.emails = nil, nil }

func (m *madeRecords) add(u *crmstore.Upsert, email string) {
	if !m.remember {
		return
	}
	if m.ids == nil {
		m.ids, m.emails = map[record.ID]bool{}, map[string]bool{}
	}
	if u.ID != 0 {
		m.ids[u.ID] = true
	}
	if email != "" {
		m.emails[email] = true
	}
}

// holders finds the contacts that hold the e-mail addresses of the batch, 0 where there is none.
func (im *importer) holders(ctx context.Context, batch []crmstore.Upsert) ([]record.ID, error) {
	if im.o.Object != record.Contact {
		return make([]record.ID, len(batch)), nil
	}
	emails := make([]string, len(batch))
	for i := range batch {
		emails[i] = im.emailOf(&batch[i])
	}
	return im.store.FindByEmails(ctx, emails)
}

// addressIn is the e-mail address of a contact, in its normal form; "" when it has none.
func (im *importer) addressIn(r *record.Record) string {
	if r == nil || im.o.Object != record.Contact {
		return ""
	}
	return record.FoldAddress(r.Value(record.PropertyEmail).Text())
}

// holds reports whether the record has the e-mail address that the upsert assigns.
func (im *importer) holds(r *record.Record, u *crmstore.Upsert) bool {
	return r != nil && record.FoldAddress(r.Value(record.PropertyEmail).Text()) == im.emailOf(u)
}

// emailOf is the e-mail address that an upsert of a contact assigns, "" when it assigns none.
func (im *importer) emailOf(u *crmstore.Upsert) string {
	if im.o.Object != record.Contact {
		return ""
	}
	for _, a := range u.Set {
		if a.Property == record.PropertyEmail {
			return a.Value.Text()
		}
	}
	return ""
}
