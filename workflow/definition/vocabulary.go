package definition

import (
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
)

// AccountVocabulary reads what the account's expressions may speak of: schemas and lists of every
// object type, as they are now.
func AccountVocabulary(ctx context.Context, store *crmstore.Store) (Vocabulary, error) {
	known := map[record.ObjectType]triggers.Vocabulary{}
	related := map[string]*record.Schema{}
	objects, err := store.ObjectTypes(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the object types: %w", err)
	}
	for _, o := range objects {
		schema, err := store.Schema(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("read the properties of %s: %w", o.Plural(), err)
		}
		lists, err := store.Lists(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("read the lists of %s: %w", o.Plural(), err)
		}
		related[o.Plural()] = schema
		known[o] = triggers.Vocabulary{Schema: schema, Lists: lists, Related: related}
	}
	return func(o record.ObjectType) triggers.Vocabulary { return known[o] }, nil
}
