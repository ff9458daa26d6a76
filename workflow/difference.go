package workflow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// Difference is how the matches of two definitions of one object type differ at an instant, whether they were enrolled before or
// not. Both lists are sorted.
type Difference struct {
	Newly    []record.ID // match by the later definition alone
	NoLonger []record.ID // match by the earlier one alone
}

// Compare evaluates two definitions at the instant at and compares whom they match. It only reads. An error says that they are
// about different object types, or that the store could not be read.
func Compare(ctx context.Context, store *crmstore.Store, earlier, later *definition.Definition, at time.Time) (Difference, error) {
	if earlier.Object != later.Object {
		return Difference{}, fmt.Errorf("compare workflow %s: one is about %s, the other about %s", later.Name, earlier.Object.Plural(), later.Object.Plural())
	}
	before, err := matchesOf(ctx, store, earlier, at)
	if err != nil {
		return Difference{}, fmt.Errorf("compare workflow %s: %w", earlier.Name, err)
	}
	after, err := matchesOf(ctx, store, later, at)
	if err != nil {
		return Difference{}, fmt.Errorf("compare workflow %s: %w", later.Name, err)
	}
	return Difference{Newly: without(after, before), NoLonger: without(before, after)}, nil
}

// matchesOf is all that a definition matches, sorted.
func matchesOf(ctx context.Context, store *crmstore.Store, d *definition.Definition, at time.Time) ([]record.ID, error) {
	var matched []record.ID
	all := &scan{def: d, now: at, found: func(_ context.Context, found scanResult) error {
		matched = appendIDs(matched, found.matched)
		return nil
	}}
	err := all.run(ctx, store)
	slices.Sort(matched)
	return matched, err
}
