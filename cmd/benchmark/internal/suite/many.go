package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// Of the section many: published workflows over an account that is not small.
const (
	manyWorkflows = 300
	manyContacts  = 100_000
)

// triggersAlike are n triggers over the same few columns, each of which about 1 % of the contacts match.
func (b *bench) triggersAlike(n int) []string {
	shares := []float64{0.01, 0.012, 0.008, 0.015, 0.005}
	list := make([]string, n)
	for i := range list {
		before := b.crowd.OlderThan(shares[i%len(shares)]).AddDate(0, 0, -i/len(shares)).Format(time.DateOnly)
		list[i] = `contact.lifecyclestage in ["subscriber", "lead"] && contact.notes_last_updated < date("` + before + `")`
		switch i % 4 {
		case 1:
			list[i] += ` && contact.hs_email_optout != true`
		case 2:
			list[i] += ` && !(contact.num_associated_deals > 3)`
		case 3:
			list[i] += ` && (contact.total_revenue ?? 0) < 5000`
		}
	}
	return list
}

func (b *bench) defineAll(ctx context.Context, store *crmstore.Store, list []string) ([]*definition.Definition, error) {
	defs := make([]*definition.Definition, len(list))
	for i, trigger := range list {
		var err error
		if defs[i], err = b.define(ctx, store, fmt.Sprintf("bench-%d", i), trigger); err != nil {
			return nil, err
		}
	}
	return defs, nil
}

// pass evaluates workflows over an account: one pass for each.
func (b *bench) pass(store *crmstore.Store, defs []*definition.Definition, matched *int64) act {
	return func(ctx context.Context) (table.Sample, error) {
		*matched = 0
		return timed(1, func() error {
			for _, def := range defs {
				run, err := (&workflow.Runner{Store: store}).DryRun(ctx, def, b.crowd.Now)
				if err != nil {
					return err
				}
				*matched += run.Matched
			}
			return nil
		})
	}
}

// shared evaluates workflows over an account together, and finds what want says they match one by one; 0 = not known.
func (b *bench) shared(store *crmstore.Store, defs []*definition.Definition, want *int64) act {
	return func(ctx context.Context) (table.Sample, error) {
		var matched int64
		sample, err := timed(1, func() error {
			runs, err := (&workflow.Runner{Store: store}).DryRuns(ctx, defs, b.crowd.Now)
			for _, run := range runs {
				matched += run.Matched
			}
			return err
		})
		if err == nil && *want > 0 && matched != *want {
			err = fmt.Errorf("%d workflows match %d contacts together, %d one by one", len(defs), matched, *want)
		}
		return sample, err
	}
}

// together measures 1, 5 and 20 workflows over the large store: in one reading, and 20 one after the other.
func (b *bench) together(ctx context.Context) error {
	defs, err := b.defineAll(ctx, b.store, b.triggersAlike(20))
	if err != nil {
		return err
	}
	var all, none int64
	samples, err := b.rounds(ctx, "1, 5 and 20 workflows", b.pass(b.store, defs, &all),
		b.shared(b.store, defs[:1], &none), b.shared(b.store, defs[:5], &none), b.shared(b.store, defs, &all))
	if err != nil {
		return err
	}
	one := table.Against{Name: "one", Samples: samples[1], Inverse: true}
	atMost := table.Against{Name: "one", Samples: samples[1], AtMost: 4}
	b.add(
		table.Row{What: "evaluate: 1 workflow", Samples: samples[1]},
		table.Row{What: "evaluate: 5 workflows together", Samples: samples[2], Against: []table.Against{one}},
		table.Row{What: "evaluate: 20 workflows together", Samples: samples[3], Against: []table.Against{atMost}},
		table.Row{What: "evaluate: 20 workflows one by one", Samples: samples[0], Against: []table.Against{one}},
	)
	return nil
}

// many measures a pass of many workflows.
func (b *bench) many(ctx context.Context) error {
	contacts := min(manyContacts, b.Contacts)
	store, err := b.fill(ctx, b.scratch, "many", b.crowd, contacts)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // nothing is written any more
	defs, err := b.defineAll(ctx, store, b.triggersAlike(manyWorkflows))
	if err != nil {
		return err
	}
	what := fmt.Sprintf("evaluate: %d workflows, %d contacts", manyWorkflows, contacts)
	var all, none int64
	samples, err := b.rounds(ctx, what, b.pass(store, defs, &all), b.shared(store, defs, &all), b.shared(store, defs[:1], &none))
	if err != nil {
		return err
	}
	one := table.Against{Name: "one", Samples: samples[2], Inverse: true}
	b.add(
		table.Row{What: what + ", together", Samples: samples[1], Against: []table.Against{
			one, {Name: "one by one", Samples: samples[0]},
		}},
		table.Row{What: what + ", one by one", Samples: samples[0], Against: []table.Against{one}},
	)
	return b.scratch.empty(ctx)
}
