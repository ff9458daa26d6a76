package cli

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func recordsExport(s *session) *cobra.Command {
	var out string
	var o csvfile.ExportOptions
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "export [--object TYPE] [--archived] [--where EXPR] [--properties NAMES] [--out FILE]", Short: "records as CSV or .xlsx",
		Long: "export writes records as CSV, to stdout or with --out to a file, which is a workbook when its name ends in .xlsx and\n" +
			"gzipped when it ends in .gz; import reads the file back as the same records. A\n" +
			"file of contacts without the column email comes back only with: import --trust-ids; so do contacts whose e-mail\n" +
			"address has changed since.\n" +
			"With --format json and without --out it writes one JSON document instead.",
		Example: "  workflow records export --out contacts.csv\n  workflow records export --archived --properties email,firstname > bin.csv",
		Args:    noArgs,
	}
	flags := newSelectFlags(s, cmd)
	cmd.Flags().StringSliceVar(&o.Properties, "properties", nil, "columns to write, by name or label, separated by commas (default all)")
	cmd.Flags().BoolVar(&o.Labels, "labels", false, "labels in the header instead of internal names")
	cmd.Flags().StringVar(&out, "out", "", "write to this file, whole or not at all")
	cmd.RunE = s.work(flags.needs(nil), func(ctx context.Context, w *work) error {
		sel, err := newSelection(ctx, w, flags)
		if err != nil {
			return err
		}
		o.Object, o.Archived = sel.object, sel.archived
		if _, err := listed(sel.schema, o.Properties); err != nil {
			return err
		}
		if err := sel.narrow(ctx, &o); err != nil {
			return err
		}
		switch {
		case out != "":
			return exportFile(ctx, w.session, sel, o, out)
		case w.json():
			return exportJSON(ctx, w.session, sel, o)
		}
		_, err = csvfile.Export(ctx, sel.store, w.out.forEyes(), o)
		return err
	})
	return cmd
}

// narrow makes the export keep what the expression selects: 8 bytes in memory for each record that it keeps.
func (sel *selection) narrow(ctx context.Context, o *csvfile.ExportOptions) error {
	if sel.matcher == nil {
		return nil
	}
	var ids []record.ID
	err := sel.each(ctx, func(more []record.ID) error {
		ids = append(ids, more...)
		return nil
	})
	slices.Sort(ids)
	o.Match = func(r *record.Record) bool {
		_, found := slices.BinarySearch(ids, r.ID)
		return found
	}
	return err
}

func exportFile(ctx context.Context, s *session, sel *selection, o csvfile.ExportOptions, path string) error {
	var n int64
	var leftOut error
	name, gzipped := strings.CutSuffix(strings.ToLower(path), ".gz")
	if strings.HasSuffix(name, ".xlsx") {
		o.Format = csvfile.Workbook
	}
	err := writeFile(ctx, path, func(f io.Writer) (err error) {
		if gzipped {
			z := gzip.NewWriter(f)
			defer func() { err = errors.Join(err, z.Close()) }()
			f = z
		}
		n, err = csvfile.Export(ctx, sel.store, f, o)
		leftOut, err = apart(err)
		return err
	})
	if err != nil {
		return err
	}
	s.emit(map[string]any{"object": o.Object, "exported": n, "file": path}, func(out *output) {
		out.printf("%s written to %s\n", records(n, o.Object), path)
	})
	return leftOut
}

// apart tells damaged records, which were left out while all others were read, from an error that ended the reading.
func apart(err error) (leftOut, other error) {
	if errors.Is(err, record.ErrDamaged) {
		return err, nil
	}
	return nil, err
}

// exportJSON writes one document, a record at a time.
func exportJSON(ctx context.Context, s *session, sel *selection, o csvfile.ExportOptions) error {
	first, keep := true, map[string]bool{}
	for _, name := range o.Properties {
		p, err := property(sel.schema, name)
		if err != nil {
			return err
		}
		keep[p.Name] = true
	}
	s.out.printf("{\"object\": %q, \"records\": [", o.Object)
	err := sel.store.ReadAll(ctx, o.Object, 0, sel.partitions, func(_ int, recs []*record.Record) error {
		if err := sel.store.FillCounts(ctx, o.Object, recs); err != nil {
			return err
		}
		for _, r := range recs {
			if r == nil || (r.Deletion != nil) != o.Archived || o.Match != nil && !o.Match(r) {
				continue
			}
			if !first {
				s.out.printf(",")
			}
			first = false
			s.out.printf("\n")
			doc := newRecordDocument(r)
			maps.DeleteFunc(doc.Properties, func(name string, _ any) bool { return len(keep) > 0 && !keep[name] })
			s.out.json(doc)
		}
		return s.out.failed
	})
	leftOut, err := apart(err)
	if err != nil {
		return err
	}
	s.out.printf("]}\n")
	return leftOut
}
