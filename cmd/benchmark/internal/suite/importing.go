package suite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// mostImported is how many contacts are imported, at most.
const mostImported = 300_000

// imports writes the same contacts into an empty server again and again.
type imports struct {
	*bench
	contacts int
	path     string  // of the CSV file
	step     float64 // value of the last change
}

// importing measures reading a CSV file as a whole process, writing through the store, and changing one property of many.
func (b *bench) importing(ctx context.Context) error {
	m := imports{bench: b, contacts: min(b.Contacts, mostImported), path: b.file("contacts.csv")}
	if err := b.writeFile(m.path, m.contacts); err != nil {
		return err
	}
	samples, err := b.rounds(ctx, fmt.Sprintf("import of %d contacts", m.contacts), m.program, m.direct, m.change)
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

// fresh opens the account in an empty server.
func (m *imports) fresh(ctx context.Context) (*crmstore.Store, error) {
	if err := m.scratch.empty(ctx); err != nil {
		return nil, err
	}
	return m.scratch.open(ctx, "import")
}

// program imports the file with the workflow program.
func (m *imports) program(ctx context.Context) (table.Sample, error) {
	store, err := m.fresh(ctx)
	if err != nil {
		return table.Sample{}, err
	}
	defer store.Close() //nolint:errcheck // nothing is written any more
	if _, err := store.CreateAccount(ctx, crmstore.Enterprise, 0, cause(), m.crowd.Now); err != nil {
		return table.Sample{}, err
	}
	used, err := m.workflowProcess(ctx, "records", "import", m.path, "--store", m.scratch.url(), "--account", "import")
	if err != nil {
		return table.Sample{}, err
	}
	counts, err := store.Count(ctx, record.Contact)
	if err == nil && counts.Live != int64(m.contacts) {
		err = fmt.Errorf("%d contacts were imported, want %d", counts.Live, m.contacts)
	}
	return table.Sample{Amount: used.seconds, Units: float64(m.contacts)}, err
}

// direct writes the contacts through the store's API.
func (m *imports) direct(ctx context.Context) (table.Sample, error) {
	store, err := m.fresh(ctx)
	if err != nil {
		return table.Sample{}, err
	}
	sample, err := write(ctx, store, m.crowd, m.contacts)
	return sample, errors.Join(err, store.Close())
}

// change follows direct.
func (m *imports) change(ctx context.Context) (table.Sample, error) {
	store, err := m.scratch.open(ctx, "import")
	if err != nil {
		return table.Sample{}, err
	}
	m.step++
	sample, err := m.changeAll(ctx, store, m.contacts, m.step)
	return sample, errors.Join(err, store.Close())
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
	schema, err := store.Schema(ctx, record.Contact)
	if err != nil {
		return table.Sample{}, err
	}
	set := []record.Assignment{{Property: schema.Find("num_notes")[0].Number, Value: record.NumberValue(value)}}
	batch := make([]crmstore.Upsert, contacts)
	for i := range batch {
		batch[i] = crmstore.Upsert{ID: record.ID(i + 1), Set: set}
	}
	return timed(contacts, func() error {
		_, err := store.Write(ctx, record.Contact, crmstore.UpdateOnly, batch, cause(), b.crowd.Now)
		return err
	})
}
