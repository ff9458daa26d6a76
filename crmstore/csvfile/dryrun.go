package csvfile

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// lookups is how many look-ups by e-mail address are on their way at once.
const lookups = 64

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
	switch {
	case r != nil && im.o.Mode == crmstore.CreateOnly:
		w.Err = crmstore.ErrExists
	case r != nil && r.Deletion != nil:
		w.Err = crmstore.ErrArchived
	case r == nil && im.o.Mode == crmstore.UpdateOnly:
		w.Err = crmstore.ErrNotFound
	case holder != 0 && holder != w.ID:
		w.Err = &crmstore.EmailTakenError{Email: emailOf(u), Holder: holder}
	case r == nil:
		w.Outcome = crmstore.Created
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

// holders finds the contacts that hold the e-mail addresses of the batch, 0 where there is none.
func (im *importer) holders(ctx context.Context, batch []crmstore.Upsert) ([]crmstore.ID, error) {
	holders := make([]crmstore.ID, len(batch))
	if im.o.Object != crmstore.Contact {
		return holders, nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookups)
	for i := range batch {
		email := emailOf(&batch[i])
		if email == "" {
			continue
		}
		g.Go(func() error {
			id, err := im.store.FindByEmail(ctx, email)
			if errors.Is(err, crmstore.ErrNotFound) {
				return nil
			}
			holders[i] = id
			return err
		})
	}
	return holders, g.Wait()
}

func emailOf(u *crmstore.Upsert) string {
	for _, a := range u.Set {
		if a.Property == crmstore.PropertyEmail {
			return a.Value.Text()
		}
	}
	return ""
}
