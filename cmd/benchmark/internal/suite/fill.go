package suite

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/people"
	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// fillBatch is how many contacts are made up and written at a time.
const fillBatch = 1 << 16

// fill makes an account and writes contacts into it. The store's user must close it.
func (b *bench) fill(ctx context.Context, s *server, account string, crowd people.Crowd, contacts int) (*crmstore.Store, error) {
	store, err := s.open(ctx, account)
	if err != nil {
		return nil, err
	}
	sample, err := write(ctx, store, crowd, contacts)
	if err != nil {
		_ = store.Close() // the error before it is what matters
		return nil, err
	}
	b.sayf("%d contacts written into account %s, %.0f/s", contacts, account, 1/sample.Each())
	return store, nil
}

// write makes the account and writes contacts through the store's API; only that is timed, not making them up.
func write(ctx context.Context, store *crmstore.Store, crowd people.Crowd, contacts int) (table.Sample, error) {
	none := table.Sample{}
	if _, err := store.CreateAccount(ctx, crmstore.Enterprise, 0, cause(), crowd.Now); err != nil {
		return none, err
	}
	for _, limit := range []string{crmstore.SettingPerDay, crmstore.SettingRepeated} { // half of it goes, comes back, and goes again
		if _, err := store.SetSetting(ctx, limit, "1000000000", cause(), crowd.Now); err != nil {
			return none, err
		}
	}
	numbers, err := numbers(ctx, store)
	if err != nil {
		return none, err
	}
	var took time.Duration
	for from := 0; from < contacts; from += fillBatch {
		batch := upserts(crowd.Make(from, min(from+fillBatch, contacts)), numbers)
		began := time.Now()
		results, err := store.Write(ctx, record.Contact, crmstore.UpsertAny, batch, cause(), crowd.Now)
		took += time.Since(began)
		if err != nil {
			return none, err
		}
		for i, r := range results {
			if r.Outcome != crmstore.Created {
				return none, fmt.Errorf("contact %d was not created: %w", batch[i].ID, r.Err)
			}
		}
	}
	return table.Sample{Amount: took.Seconds(), Units: float64(contacts)}, nil
}

func cause() record.Cause { return record.Cause{Actor: "benchmark", Reason: "fill"} }

// numbers are the property numbers of the contacts' values.
func numbers(ctx context.Context, store *crmstore.Store) ([]int, error) {
	schema, err := store.Schema(ctx, record.Contact)
	if err != nil {
		return nil, err
	}
	var list []int
	for _, name := range people.Names() {
		found := schema.Find(name)
		if len(found) != 1 {
			return nil, fmt.Errorf("the schema of contacts has %d properties named %s", len(found), name)
		}
		list = append(list, found[0].Number)
	}
	return list, nil
}

func upserts(crowd []people.Person, numbers []int) []crmstore.Upsert {
	batch := make([]crmstore.Upsert, len(crowd))
	for i, p := range crowd {
		batch[i].ID = p.ID
		for j, v := range p.Values {
			if v.Known() {
				batch[i].Set = append(batch[i].Set, record.Assignment{Property: numbers[j], Value: v})
			}
		}
	}
	return batch
}

// fillHashes gives the obvious program contacts of its own.
func (b *bench) fillHashes(ctx context.Context, s *server, crowd people.Crowd, contacts int) error {
	names := people.Names()
	for from := 0; from < contacts; from += fillBatch {
		made := crowd.Make(from, min(from+fillBatch, contacts))
		ids, fields := make([]uint64, len(made)), make([][]string, len(made))
		for i, p := range made {
			ids[i] = uint64(p.ID)
			for j, v := range p.Values {
				if v.Known() {
					fields[i] = append(fields[i], names[j], v.String())
				}
			}
		}
		if err := s.direct.Fill(ctx, ids, fields); err != nil {
			return err
		}
	}
	return nil
}

// sqlTypes are the types of PostgreSQL's columns.
func sqlTypes() map[record.PropertyType]string {
	return map[record.PropertyType]string{
		record.String: "text", record.Enumeration: "text", record.Number: "double precision",
		record.Date: "date", record.DateTime: "timestamptz", record.Bool: "boolean",
	}
}

// fillPostgres makes the table contacts with the best index for each predicate that is measured.
func (b *bench) fillPostgres(ctx context.Context) error {
	schema, err := b.store.Schema(ctx, record.Contact)
	if err != nil {
		return err
	}
	columns := []string{"id bigint primary key"}
	for _, name := range people.Names() {
		columns = append(columns, name+" "+sqlTypes()[schema.Find(name)[0].Type])
	}
	if err := b.pg.Do(ctx, "create table contacts ("+strings.Join(columns, ", ")+")"); err != nil {
		return err
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(writeCSV(writer, b.crowd, b.Contacts, false)) }()
	if err := b.pg.Copy(ctx, "contacts", reader); err != nil {
		return err
	}
	err = b.pg.Do(ctx, "alter table contacts add deleted_at timestamptz", "alter table contacts add deleted_run text",
		"create index on contacts (lifecyclestage, notes_last_updated) include (email) where deleted_at is null",
		"create index on contacts (jobtitle text_pattern_ops) where deleted_at is null",
		"vacuum analyze contacts")
	b.sayf("%d contacts copied into PostgreSQL", b.Contacts)
	return err
}

// writeCSV writes contacts as an export has them, with a header or without.
func writeCSV(w io.Writer, crowd people.Crowd, contacts int, header bool) error {
	out := csv.NewWriter(w)
	names := people.Names()
	if header {
		if err := out.Write(append([]string{"Record ID"}, names...)); err != nil {
			return err
		}
	}
	cells := make([]string, 1+len(names))
	for from := 0; from < contacts; from += fillBatch {
		for _, p := range crowd.Make(from, min(from+fillBatch, contacts)) {
			cells[0] = p.ID.String()
			for j, v := range p.Values {
				cells[j+1] = v.String()
			}
			if err := out.Write(cells); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}
