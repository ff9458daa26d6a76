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

	"github.com/crm-workflow/crm-workflow/crmstore"
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
}

// Export writes records as CSV (RFC 4180, UTF-8, lines ending in LF) and returns how many. The first column
// is "Record ID"; [Import] reads the file back. The order is that of partitions, and of ids within a partition: the
// same for the same records, and sorted by id only in a store of one partition, since anything else would hold
// all records in memory. A property that the schema does not have is an error, before anything is written.
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
	x := exporter{csv: csv.NewWriter(out), properties: properties, cells: make([]string, 1+len(properties))}
	if err := x.header(schema, o.Labels); err != nil {
		return fail(0, err)
	}
	err = store.ReadAll(ctx, o.Object, 0, partitions, func(_ int, records []*record.Record) error {
		return x.partition(records, &o)
	})
	damaged, _ := errors.AsType[*record.DamagedError](err) // all others were read
	if err == nil || damaged != nil {
		x.csv.Flush()
		err = x.csv.Error()
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
	csv        *csv.Writer
	properties []*record.Property
	cells      []string
	n          int64
	sorted     []*record.Record
}

func (x *exporter) header(schema *record.Schema, labels bool) error {
	x.cells[0] = recordID
	for i, p := range x.properties {
		x.cells[1+i] = p.Name
		if labels && clearLabel(schema, p) {
			x.cells[1+i] = p.Label
		}
	}
	return x.csv.Write(x.cells)
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
		x.cells[0] = r.ID.String()
		for i, p := range x.properties {
			x.cells[1+i] = r.Value(p.Number).String()
		}
		if err := x.csv.Write(x.cells); err != nil {
			return err
		}
		x.n++
	}
	return nil
}
