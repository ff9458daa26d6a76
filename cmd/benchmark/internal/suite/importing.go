package suite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/crmstore"
)

// mostImported is how many contacts are imported, at most.
const mostImported = 300_000

// importing measures reading a CSV file as a whole process, writing through the store, and changing one property of many.
func (b *bench) importing(ctx context.Context) error {
	contacts := min(b.Contacts, mostImported)
	path := b.file("contacts.csv")
	if err := b.writeFile(path, contacts); err != nil {
		return err
	}
	var store *crmstore.Store
	fresh := func(ctx context.Context) (err error) {
		if err := b.scratch.empty(ctx); err != nil {
			return err
		}
		store, err = b.scratch.open(ctx, "import")
		return err
	}
	program := func(ctx context.Context) (table.Sample, error) {
		if err := fresh(ctx); err != nil {
			return table.Sample{}, err
		}
		defer store.Close() //nolint:errcheck // nothing is written any more
		if _, err := store.CreateAccount(ctx, crmstore.Enterprise, 0, cause(), b.crowd.Now); err != nil {
			return table.Sample{}, err
		}
		used, err := b.workflowProcess(ctx, "records", "import", path, "--store", b.scratch.url(), "--account", "import")
		if err != nil {
			return table.Sample{}, err
		}
		counts, err := store.Count(ctx, crmstore.Contact)
		if err == nil && counts.Live != int64(contacts) {
			err = fmt.Errorf("%d contacts were imported, want %d", counts.Live, contacts)
		}
		return table.Sample{Amount: used.seconds, Units: float64(contacts)}, err
	}
	direct := func(ctx context.Context) (table.Sample, error) {
		if err := fresh(ctx); err != nil {
			return table.Sample{}, err
		}
		sample, err := write(ctx, store, b.crowd, contacts)
		return sample, errors.Join(err, store.Close())
	}
	step := 0.0
	change := func(ctx context.Context) (table.Sample, error) { // follows direct
		store, err := b.scratch.open(ctx, "import")
		if err != nil {
			return table.Sample{}, err
		}
		step++
		sample, err := b.changeAll(ctx, store, contacts, step)
		return sample, errors.Join(err, store.Close())
	}
	samples, err := b.rounds(ctx, fmt.Sprintf("import of %d contacts", contacts), program, direct, change)
	if err != nil {
		return err
	}
	row := table.Row{
		What: "import: CSV, whole process", Samples: samples[0],
		Against: []table.Against{{Name: "store", Limit: true, Samples: samples[1], AtLeast: 0.3}},
	}
	var each []float64
	for _, s := range samples[0] {
		each = append(each, s.Each())
	}
	row.Bounds = []table.Bound{{Text: "≥ 120,000/s", Met: table.Median(each) <= 1.0/120_000}}
	b.add(row, table.Row{What: "import: store's own batches", Samples: samples[1]}, table.Row{What: "change one property of all", Samples: samples[2]})
	return b.scratch.empty(ctx)
}

func (b *bench) writeFile(path string, contacts int) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make the CSV file: %w", err)
	}
	out := bufio.NewWriterSize(file, 1<<20)
	if err := writeCSV(out, b.crowd, contacts, true); err != nil {
		return errors.Join(fmt.Errorf("write the CSV file: %w", err), file.Close())
	}
	return errors.Join(out.Flush(), file.Close())
}

// changeAll sets one number of every contact.
func (b *bench) changeAll(ctx context.Context, store *crmstore.Store, contacts int, value float64) (table.Sample, error) {
	schema, err := store.Schema(ctx, crmstore.Contact)
	if err != nil {
		return table.Sample{}, err
	}
	set := []crmstore.Assignment{{Property: schema.Find("num_notes")[0].Number, Value: crmstore.NumberValue(value)}}
	batch := make([]crmstore.Upsert, contacts)
	for i := range batch {
		batch[i] = crmstore.Upsert{ID: crmstore.ID(i + 1), Set: set}
	}
	return timed(contacts, func() error {
		_, err := store.Write(ctx, crmstore.Contact, crmstore.UpdateOnly, batch, cause(), b.crowd.Now)
		return err
	})
}
