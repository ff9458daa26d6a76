package csvfile

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
)

// ExportOptions say what an export holds. Object is needed.
type ExportOptions struct {
	Object     record.ObjectType
	Properties []string                  // names or labels, in this order; none = all of the schema
	Labels     bool                      // labels in the header instead of internal names, where a label is clear
	Archived   bool                      // the records in the bin, instead of the live ones
	Match      func(*record.Record) bool // which of them; nil = all
	Format     ExportFormat
}

// ExportFormat is what an export is written as.
type ExportFormat string

// The formats of an export.
const (
	CSV      ExportFormat = "" // RFC 4180, UTF-8, lines ending in LF
	Workbook ExportFormat = "xlsx"
)

// Export writes records and returns how many. The first column
// is "Record ID"; [Import] reads the file back. The order is that of partitions, and of ids within a partition: the
// same for the same records, and sorted by id only in a store of one partition, since anything else would hold
// all records in memory. A property that the schema does not have is an error, before anything is written. In a workbook, numbers,
// dates from 1 March 1900 on, and yes or no are cells of these types, all else is text, and times are in UTC; what a sheet cannot
// hold is an error: more than 1,048,575 records, a text of more than 32,767 characters, a character that XML does not have.
func Export(ctx context.Context, store *crmstore.Store, w io.Writer, o ExportOptions) (int64, error) {
	fail := func(n int64, err error) (int64, error) {
		return n, fmt.Errorf("export %s: %w", o.Object.Plural(), err)
	}
	schema, err := store.Schema(ctx, o.Object)
	if err != nil {
		return fail(0, err)
	}
	properties, err := chosen(schema, o.Properties)
	if err != nil {
		return fail(0, err)
	}
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return fail(0, err)
	}
	out := bufio.NewWriterSize(w, bufferSize)
	x := exporter{properties: properties, out: &csvRows{csv: csv.NewWriter(out), cells: make([]string, 1+len(properties))}}
	if o.Format == Workbook {
		book, err := container.NewWorkbook(o.Object.Plural())
		if err != nil {
			return fail(0, err)
		}
		defer book.Close()
		x.out = &sheetRows{book: book, w: out, cells: make([]any, 1+len(properties))}
	}
	if err := x.header(schema, o.Labels); err != nil {
		return fail(0, err)
	}
	err = store.ReadAll(ctx, o.Object, 0, partitions, func(_ int, records []*record.Record) error {
		if err := store.FillCounts(ctx, o.Object, records); err != nil {
			return err
		}
		return x.partition(records, &o)
	})
	damaged, _ := errors.AsType[*record.DamagedError](err) // all others were read
	if err == nil || damaged != nil {
		if e := x.out.end(); e != nil {
			err, damaged = e, nil
		} else {
			err = nil
		}
	}
	if err == nil {
		err = out.Flush()
	}
	if err == nil && damaged != nil {
		err = damaged
	}
	if err != nil {
		return fail(x.n, err)
	}
	return x.n, nil
}

// chosen finds the properties to export. The record id is always there, so naming it does nothing.
func chosen(schema *record.Schema, names []string) ([]*record.Property, error) {
	var properties []*record.Property
	for _, name := range names {
		found := schema.Find(name)
		switch {
		case len(found) == 0 && (isIDHeader(name, schema) || plainID(name)):
		case len(found) == 0:
			help := ""
			if near := spelling.Nearest(name, schema.Names()); near != "" {
				help = "; did you mean " + near + "?"
			}
			return nil, fmt.Errorf("no property has the name %q%s", name, help)
		case len(found) > 1:
			return nil, fmt.Errorf("the label %q belongs to several properties, %s and %s among them: write the internal name", name, found[0].Name, found[1].Name)
		case slices.Contains(properties, found[0]):
			return nil, fmt.Errorf("property %s is asked for twice", found[0].Name)
		default:
			properties = append(properties, found[0])
		}
	}
	if len(names) > 0 {
		return properties, nil
	}
	for i := range schema.Properties {
		if p := &schema.Properties[i]; !p.Removed {
			properties = append(properties, p)
		}
	}
	return properties, nil
}

type exporter struct {
	out        exportRows
	properties []*record.Property
	n          int64
	sorted     []*record.Record
}

// exportRows writes the rows of an export.
type exportRows interface {
	header(names []string) error
	record(r *record.Record, properties []*record.Property) error
	end() error // once, after the last row
}

func (x *exporter) header(schema *record.Schema, labels bool) error {
	names := []string{recordID}
	for _, p := range x.properties {
		if labels && clearLabel(schema, p) {
			names = append(names, p.Label)
		} else {
			names = append(names, p.Name)
		}
	}
	return x.out.header(names)
}

// clearLabel reports whether an import would read the label as this property.
func clearLabel(schema *record.Schema, p *record.Property) bool {
	found := schema.Find(p.Label)
	return len(found) == 1 && found[0] == p && !isIDHeader(p.Label, schema) && !strings.ContainsAny(p.Label, ";\t\r\n")
}

func (x *exporter) partition(records []*record.Record, o *ExportOptions) error {
	x.sorted = x.sorted[:0]
	for _, r := range records {
		if r != nil && (r.Deletion != nil) == o.Archived && (o.Match == nil || o.Match(r)) {
			x.sorted = append(x.sorted, r)
		}
	}
	slices.SortFunc(x.sorted, func(a, b *record.Record) int {
		if a.ID < b.ID {
			return -1
		}
		return 1 // ids are unique
	})
	for _, r := range x.sorted {
		if err := x.out.record(r, x.properties); err != nil {
			return err
		}
		x.n++
	}
	return nil
}

// csvRows writes rows as CSV.
type csvRows struct {
	csv   *csv.Writer
	cells []string
}

func (c *csvRows) header(names []string) error { return c.csv.Write(names) }

func (c *csvRows) record(r *record.Record, properties []*record.Property) error {
	c.cells[0] = r.ID.String()
	for i, p := range properties {
		c.cells[1+i] = r.Value(p.Number).String()
	}
	return c.csv.Write(c.cells)
}

func (c *csvRows) end() error {
	c.csv.Flush()
	return c.csv.Error()
}

// sheetRows writes rows into the sheet of a workbook.
type sheetRows struct {
	book  *container.Workbook
	w     io.Writer
	cells []any
}

func (s *sheetRows) header(names []string) error {
	cells := make([]any, len(names))
	for i, n := range names {
		cells[i] = n
	}
	return s.book.Write(cells)
}

func (s *sheetRows) record(r *record.Record, properties []*record.Property) error {
	s.cells[0] = r.ID.String() // a text, since a number of a spreadsheet has 15 digits
	for i, p := range properties {
		s.cells[1+i] = sheetCell(p, r.Value(p.Number))
	}
	if err := s.book.Write(s.cells); err != nil {
		return fmt.Errorf("record %s: %w", r.ID, err)
	}
	return nil
}

func (s *sheetRows) end() error { return s.book.Finish(s.w) }

// sheetCell is a value as a cell of a sheet.
func sheetCell(p *record.Property, v record.Value) any {
	switch {
	case !v.Known():
		return nil
	case p.Type == record.Number:
		return v.Float()
	case p.Type == record.Bool:
		return v.IsTrue()
	case p.Type == record.Date:
		return container.Day(time.UnixMilli(v.Milli()).UTC())
	case p.Type == record.DateTime:
		return time.UnixMilli(v.Milli()).UTC()
	}
	return v.String()
}
