package csvfile

import (
	"context"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// look says what [importer.send] would do, by reading alone.
func (im *importer) look(ctx context.Context, batch []crmstore.Upsert) ([]crmstore.WriteResult, error) {
	holders, err := im.holders(ctx, batch)
	if err != nil {
		return nil, err
	}
	ids := make([]crmstore.ID, 0, len(batch))
	for i := range batch {
		if id := target(&batch[i], holders[i]); id != 0 {
			ids = append(ids, id)
		}
	}
	records, err := im.store.Get(ctx, im.o.Object, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[crmstore.ID]*crmstore.Record, len(records))
	for _, r := range records {
		byID[r.ID] = r
	}
	results := make([]crmstore.WriteResult, len(batch))
	for i := range batch {
		results[i] = im.foresee(&batch[i], holders[i], byID[target(&batch[i], holders[i])])
	}
	return results, nil
}

// target is the record that an upsert is about, 0 when it is a new one.
func target(u *crmstore.Upsert, holder crmstore.ID) crmstore.ID {
	if u.ID != 0 {
		return u.ID
	}
	return holder
}

// foresee says what the store would do with one change of a record, nil when there is none yet.
func (im *importer) foresee(u *crmstore.Upsert, holder crmstore.ID, r *crmstore.Record) crmstore.WriteResult {
	w := crmstore.WriteResult{ID: target(u, holder), Outcome: crmstore.Refused}
	there := r != nil || im.made.has(u, im.emailOf(u))
	switch {
	case r != nil && r.Deletion != nil:
		w.Err = crmstore.ErrArchived
	case im.o.Mode == crmstore.CreateOnly && u.ID == 0 && holder != 0:
		w.Err = &crmstore.EmailTakenError{Email: im.emailOf(u), Holder: holder}
	case im.o.Mode == crmstore.CreateOnly && there:
		w.Err = crmstore.ErrExists
	case !there && im.o.Mode == crmstore.UpdateOnly:
		w.Err = crmstore.ErrNotFound
	case holder != 0 && holder != w.ID:
		w.Err = &crmstore.EmailTakenError{Email: im.emailOf(u), Holder: holder}
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
	ids      map[crmstore.ID]bool
	emails   map[string]bool
}

func (m *madeRecords) has(u *crmstore.Upsert, email string) bool {
	if u.ID != 0 {
		return m.ids[u.ID]
	}
	return m.emails[strings.ToLower(email)]
}

func (m *madeRecords) add(u *crmstore.Upsert, email string) {
	if !m.remember {
		return
	}
	if m.ids == nil {
		m.ids, m.emails = map[crmstore.ID]bool{}, map[string]bool{}
	}
	if u.ID != 0 {
		m.ids[u.ID] = true
	}
	if email != "" {
		m.emails[strings.ToLower(email)] = true
	}
}

// holders finds the contacts that hold the e-mail addresses of the batch, 0 where there is none.
func (im *importer) holders(ctx context.Context, batch []crmstore.Upsert) ([]crmstore.ID, error) {
	if im.o.Object != crmstore.Contact {
		return make([]crmstore.ID, len(batch)), nil
	}
	emails := make([]string, len(batch))
	for i := range batch {
		emails[i] = im.emailOf(&batch[i])
	}
	return im.store.FindByEmails(ctx, emails)
}

// emailOf is the e-mail address that an upsert of a contact assigns, "" when it assigns none.
func (im *importer) emailOf(u *crmstore.Upsert) string {
	if im.o.Object != crmstore.Contact {
		return ""
	}
	for _, a := range u.Set {
		if a.Property == crmstore.PropertyEmail {
			return a.Value.Text()
		}
	}
	return ""
}
