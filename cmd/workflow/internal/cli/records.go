package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func recordsCommand(s *session) *cobra.Command {
	return group("records", "import, export, look at and change records",
		"  workflow records import contacts.csv\n  workflow records count --where 'contact.lifecyclestage == \"lead\"'",
		recordsImport(s), recordsExport(s), recordsList(s), recordsCount(s), recordsGet(s), recordsCreate(s), recordsSet(s))
}

func recordsCount(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "count [--object TYPE] [--archived] [--where EXPR]", Short: "how many records there are",
		Example: "  workflow records count\n  workflow records count --where 'daysSince(contact.last_activity_date) > 365'",
		Args:    noArgs,
	}
	flags := newSelectFlags(s, cmd)
	cmd.RunE = s.work(flags.needs(nil), func(ctx context.Context, w *work) error {
		sel, err := newSelection(ctx, w, flags)
		if err != nil {
			return err
		}
		n, err := sel.count(ctx)
		if err != nil {
			return err
		}
		doc := map[string]any{"object": sel.object, "archived": sel.archived, "count": n}
		if sel.damaged > 0 {
			doc["damaged"] = sel.damaged
		}
		w.emit(doc, func(o *output) { o.printf("%s\n", count(n)) })
		return nil
	})
	return cmd
}

// listDocument is the start of a list of records.
type listDocument struct {
	Object  record.ObjectType `json:"object"`
	Total   int64             `json:"total"`
	Damaged int64             `json:"damaged,omitempty"` // could not be read, so that nobody knows whether --where is true for them
	Records []recordDocument  `json:"records"`
}

// recordDocument is one record for programs. Numbers and yes-or-no are JSON's own; the rest is text.
type recordDocument struct {
	ID         record.ID        `json:"id"`
	Archived   bool             `json:"archived"`
	Deletion   *record.Deletion `json:"deletion,omitempty"`
	Properties map[string]any   `json:"properties"` // those with a value

	Associations map[record.ObjectType][]record.ID `json:"associations,omitempty"` // live ones; of get alone

	refs   []record.Ref      // the same
	record *record.Record    // for the table
	object record.ObjectType // for the table
}

func newRecordDocument(r *record.Record) recordDocument {
	doc := recordDocument{
		ID: r.ID, Archived: r.Deletion != nil, Deletion: r.Deletion, Properties: map[string]any{}, record: r, object: r.Object,
	}
	r.Values(func(p *record.Property, v record.Value) { doc.Properties[p.Name] = jsonValue(v) })
	return doc
}

func jsonValue(v record.Value) any {
	switch v.Type() {
	case record.Number:
		return v.Float()
	case record.Bool:
		return v.IsTrue()
	}
	return v.String()
}

func recordsList(s *session) *cobra.Command {
	var limit int
	var names []string
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "list [--object TYPE] [--archived] [--where EXPR] [--properties NAMES] [--limit N]", Short: "the records with the lowest ids",
		Long: "list shows records in the order of their ids. An expression in --where is written as in a workflow's triggers;\n" +
			"export writes all records instead of the first few.",
		Example: "  workflow records list --limit 5\n  workflow records list --where 'unknown(contact.email)' --properties firstname,lastname,phone",
		Args:    noArgs,
	}
	flags := newSelectFlags(s, cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "at most so many records")
	cmd.Flags().StringSliceVar(&names, "properties", nil, "columns to show, by name or label, separated by commas")
	check := func() error {
		if limit < 1 {
			return usagef("", "--limit %d: want 1 or more", limit)
		}
		return nil
	}
	cmd.RunE = s.work(flags.needs(check), func(ctx context.Context, w *work) error {
		sel, err := newSelection(ctx, w, flags)
		if err != nil {
			return err
		}
		properties, err := listed(sel.schema, names)
		if err != nil {
			return err
		}
		ids, total, err := sel.lowest(ctx, limit)
		if err != nil {
			return err
		}
		recs, err := sel.store.Get(ctx, sel.object, ids)
		leftOut, err := apart(err)
		if err != nil {
			return err
		}
		doc := listDocument{Object: sel.object, Total: total, Damaged: sel.damaged, Records: []recordDocument{}}
		for _, r := range recs {
			doc.Records = append(doc.Records, newRecordDocument(r))
		}
		slices.SortFunc(doc.Records, func(a, b recordDocument) int { return int(int64(a.ID) - int64(b.ID)) })
		w.emit(doc, func(o *output) { doc.show(o, properties) })
		return leftOut
	})
	return cmd
}

// usualColumns are the properties that a list shows without --properties; the first few that the object has.
var usualColumns = []string{
	"email", "firstname", "lastname", "lifecyclestage", "name", "domain", "dealname", "dealstage", "amount",
	"subject", "hs_call_title", "notes_last_updated", "createdate",
}

const usualCount = 5

func listed(schema *record.Schema, names []string) ([]*record.Property, error) {
	var properties []*record.Property
	for _, n := range names {
		p, err := property(schema, n)
		if err != nil {
			return nil, err
		}
		properties = append(properties, p)
	}
	if len(names) > 0 {
		return properties, nil
	}
	for _, n := range usualColumns {
		if found := schema.Find(n); len(found) == 1 && len(properties) < usualCount {
			properties = append(properties, found[0])
		}
	}
	if !slices.Contains(record.StandardObjects(), schema.Object) {
		properties = slices.Concat(ownColumns(schema), properties)
	}
	return properties, nil
}

// ownColumns are the first few properties that an account's own object type has besides the usual ones.
func ownColumns(schema *record.Schema) (own []*record.Property) {
	for i := range schema.Properties {
		p := &schema.Properties[i]
		if len(own) < usualCount-1 && !p.Removed && p.Number > record.PropertyModified && !slices.Contains(usualColumns, p.Name) {
			own = append(own, p)
		}
	}
	return own
}

func (doc *listDocument) show(o *output, properties []*record.Property) {
	if doc.Total == 0 {
		o.printf("no %s\n", doc.Object.Plural())
		return
	}
	tb := &table{columns: []column{{head: "id", right: true}}}
	for _, p := range properties {
		tb.columns = append(tb.columns, column{head: p.Name, right: p.Type == record.Number, flex: true})
	}
	for _, r := range doc.Records {
		cells := []cell{txt(r.ID.String())}
		for _, p := range properties {
			cells = append(cells, txt(r.record.Value(p.Number).String()))
		}
		tb.add(cells...)
	}
	o.table(tb, 0)
	if rest := doc.Total - int64(len(doc.Records)); rest > 0 {
		o.printf("%s\n", o.paint(dim, "and "+count(rest)+" more (--limit N shows more, export writes all)"))
	}
}

func recordsGet(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "get ID|E-MAIL...", Short: "all that is known of records, also of deleted ones",
		Example: "  workflow records get 4711\n  workflow records get ada@example.com --format json",
		Args:    args(1, -1, "ids of records, or e-mail addresses of contacts"),
	}
	cmd.RunE = s.work(needs{object: objectFlag(s, cmd)}, func(ctx context.Context, w *work) error {
		docs, missing, err := getRecords(ctx, w.store, w.object, w.words)
		if err != nil {
			return err
		}
		w.emit(map[string]any{"records": docs, "missing": missing}, func(out *output) {
			for i, d := range docs {
				if i > 0 {
					out.printf("\n")
				}
				d.show(out)
			}
		})
		if len(missing) == 0 {
			return nil
		}
		if !w.json() {
			w.err.printf("workflow: no %s %s\n", w.object, strings.Join(missing, ", "))
		}
		return said(exitRefused)
	})
	return cmd
}

// getRecords reads records in the order asked; missing holds the words that mean no record.
func getRecords(ctx context.Context, store *crmstore.Store, o record.ObjectType, words []string) (docs []recordDocument, missing []string, err error) {
	docs, missing = []recordDocument{}, []string{}
	for _, w := range words {
		id, err := recordID(ctx, store, o, w)
		if errors.Is(err, record.ErrNotFound) {
			missing = append(missing, w)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		recs, err := store.Get(ctx, o, []record.ID{id})
		if err != nil {
			return nil, nil, err
		}
		if len(recs) == 0 {
			missing = append(missing, w)
			continue
		}
		docs = append(docs, newRecordDocument(recs[0]))
	}
	ids := make([]record.ID, len(docs))
	for i := range docs {
		ids[i] = docs[i].ID
	}
	found, err := store.Associations(ctx, o, ids)
	if err != nil {
		return nil, nil, err
	}
	for i, refs := range found {
		docs[i].refs, docs[i].Associations = refs, newAssociations(refs)
	}
	return docs, missing, nil
}

func (d *recordDocument) show(o *output) {
	o.printf("%s\n", o.paint(bold, fmt.Sprintf("%s %s", d.object, d.ID)))
	if x := d.Deletion; x != nil {
		by := x.Actor
		if x.Workflow != "" {
			by = fmt.Sprintf("%s, workflow %s %s, run %s", by, x.Workflow, revisionText(x.Revision), x.Run)
		}
		o.printf("%s %s by %s: %s\n", o.paint(yellow, "in the recycle bin since"), stamp(x.At), clean(by), clean(x.Reason))
	}
	var pairs [][2]string
	d.record.Values(func(p *record.Property, v record.Value) { pairs = append(pairs, [2]string{p.Name, v.String()}) })
	o.facts(pairs...)
	if len(d.refs) > 0 {
		o.printf("%s\n", o.paint(dim, "associated with"))
		o.facts(associationFacts(d.refs)...)
	}
}
