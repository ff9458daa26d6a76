package csvfile

import (
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// fewNotHere is how many records a report names that are not here to be associated.
const fewNotHere = 5

// associate associates the records of a batch with those that their lines name, where these are here and live. The others are
// counted; nothing is asked of the store for them, since the first association of two object types has it count all of that kind.
func (im *importer) associate(ctx context.Context, b *batch) error {
	if im.o.DryRun {
		return nil // what is there could change until the import
	}
	there, err := im.live(ctx, b)
	if err != nil {
		return err
	}
	var pairs []crmstore.Pair
	for i, others := range b.pairs {
		w := b.results[i]
		if w.Outcome == crmstore.Refused {
			continue
		}
		for _, other := range others {
			if there[other] {
				pairs = append(pairs, crmstore.Pair{A: record.Ref{Object: im.o.Object, ID: w.ID}, B: other})
			} else {
				im.notHere(other)
			}
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	results, err := im.store.Associate(ctx, pairs, true, im.o.Cause, im.o.At)
	if err != nil {
		return fmt.Errorf("associate records: %w", err)
	}
	for i, p := range results {
		switch p.Outcome {
		case crmstore.PairChanged:
			im.report.Associated++
		case crmstore.PairAsItWas:
		default:
			im.notHere(pairs[i].B)
		}
	}
	return nil
}

// live finds which of the records are live that the lines of a batch name.
func (im *importer) live(ctx context.Context, b *batch) (map[record.Ref]bool, error) {
	ids := make(map[record.ObjectType][]record.ID)
	seen := make(map[record.Ref]bool)
	for _, others := range b.pairs {
		for _, other := range others {
			if !seen[other] {
				seen[other] = true
				ids[other.Object] = append(ids[other.Object], other.ID)
			}
		}
	}
	there := make(map[record.Ref]bool, len(seen))
	for object, list := range ids {
		records, err := im.store.Get(ctx, object, list)
		if err != nil {
			return nil, fmt.Errorf("find associated records: %w", err)
		}
		for _, r := range records {
			there[record.Ref{Object: object, ID: r.ID}] = r.Deletion == nil
		}
	}
	return there, nil
}

func (im *importer) notHere(other record.Ref) {
	r := im.report
	if r.Unassociated++; len(r.NotHere) < fewNotHere {
		r.NotHere = append(r.NotHere, other.String())
	}
}
