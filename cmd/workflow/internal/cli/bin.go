package cli

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// binDays is how long a record can be restored.
const binDays = crmstore.BinDays

func (s *session) binCommand() *cobra.Command {
	var limit int
	var run string
	cmd := &cobra.Command{
		Use: "bin [--run RUN] [--limit N] [--object TYPE]", Short: "the recycle bin: what was deleted, when, by whom",
		Long: "bin lists deleted records, the newest first: when each was deleted, by whom or by which workflow and run, and\n" +
			"for how many more days it can be restored.",
		Example: "  workflow bin --limit 10\n  workflow bin --run stale@2026-11-23T03:00:00Z --format json",
		Args:    noArgs,
	}
	object := s.objectFlag(cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "at most so many records")
	cmd.Flags().StringVar(&run, "run", "", "only what this run deleted")
	_ = cmd.RegisterFlagCompletionFunc("run", s.completeRuns())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := object(cmd.Context())
		if err != nil {
			return err
		}
		if limit < 1 {
			return usagef("", "--limit %d: want 1 or more", limit)
		}
		store, err := s.open(cmd.Context())
		if err != nil {
			return err
		}
		doc, err := readBin(cmd.Context(), store, binQuery{o, run, limit, s.now()})
		if err != nil {
			return err
		}
		s.emit(doc, func(out *output) { doc.show(out, o, s.now()) })
		return nil
	}
	return cmd
}

type binQuery struct {
	object crmstore.ObjectType
	run    string
	limit  int
	now    time.Time
}

// binDocument is the newest part of the recycle bin.
type binDocument struct {
	Total   int64      `json:"total"` // all that the question fits
	Records []binEntry `json:"records"`

	run string // that was asked about; may be empty
}

type binEntry struct {
	ID       crmstore.ID `json:"id"`
	Email    string      `json:"email,omitempty"`
	At       time.Time   `json:"deleted_at"`
	DaysLeft int         `json:"days_left"`
	crmstore.Cause
}

// readBin finds the newest deletions by the archived-at column, and then reads only the records that are shown; the
// run of a deletion is in the record, so that asking for one reads every record in the bin.
func readBin(ctx context.Context, store *crmstore.Store, q binQuery) (*binDocument, error) {
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	schema, err := store.Schema(ctx, q.object)
	if err != nil {
		return nil, err
	}
	doc := &binDocument{Records: []binEntry{}, run: q.run}
	newest := newestOf(q.limit)
	if q.run == "" {
		err = store.ReadColumns(ctx, q.object, 0, partitions, crmstore.Want{IDs: true}, func(c *crmstore.Columns) error {
			doc.Total += eachArchived(c, newest.offer)
			return nil
		})
	} else {
		err = store.ReadAll(ctx, q.object, 0, partitions, func(_ int, recs []*crmstore.Record) error {
			for _, r := range recs {
				if r != nil && r.Deletion != nil && r.Deletion.Run == q.run {
					doc.Total++
					newest.offer(deleted{r.ID, uint64(r.Deletion.At.UnixMilli())})
				}
			}
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	recs, err := store.Get(ctx, q.object, newest.ids())
	if err != nil {
		return nil, err
	}
	for _, r := range recs {
		if r.Deletion != nil { // else it was restored a moment ago
			doc.Records = append(doc.Records, newBinEntry(r, schema, q.now))
		}
	}
	slices.SortStableFunc(doc.Records, func(a, b binEntry) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID))
	})
	return doc, nil
}

func newBinEntry(r *crmstore.Record, schema *crmstore.Schema, now time.Time) binEntry {
	e := binEntry{ID: r.ID, At: r.Deletion.At, Cause: r.Deletion.Cause, Email: textOf(r, schema, "email")}
	e.DaysLeft = max(0, binDays-int(now.Sub(e.At)/(24*time.Hour)))
	return e
}

// textOf is a property's value as text, "" when the record or the schema has none.
func textOf(r *crmstore.Record, schema *crmstore.Schema, name string) string {
	found := schema.Find(name)
	if len(found) != 1 {
		return ""
	}
	return r.Value(found[0].Number).String()
}

// deleted is a record in the bin and a number that grows with the time of its deletion.
type deleted struct {
	id crmstore.ID
	at uint64
}

func eachArchived(c *crmstore.Columns, fn func(deleted)) (n int64) {
	for i := 0; i+8 <= len(c.Archived) && i+8 <= len(c.IDs); i += 8 {
		at := binary.LittleEndian.Uint64(c.Archived[i:])
		if at == 0 || at == crmstore.FreeCell {
			continue
		}
		n++
		fn(deleted{crmstore.IDFromBytes(c.IDs[i:]), at})
	}
	return n
}

// newest keeps the latest deletions it is offered, at most limit of them.
type newest struct {
	limit int
	kept  []deleted
}

func newestOf(limit int) *newest { return &newest{limit: limit} }

func (n *newest) offer(d deleted) {
	n.kept = append(n.kept, d)
	if len(n.kept) >= 2*n.limit+1024 {
		n.trim()
	}
}

func (n *newest) trim() {
	slices.SortFunc(n.kept, func(a, b deleted) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.id, b.id)) })
	n.kept = n.kept[:min(len(n.kept), n.limit)]
}

func (n *newest) ids() []crmstore.ID {
	n.trim()
	ids := make([]crmstore.ID, len(n.kept))
	for i, d := range n.kept {
		ids[i] = d.id
	}
	return ids
}

func (d *binDocument) show(o *output, object crmstore.ObjectType, now time.Time) {
	switch {
	case d.Total == 0 && d.run != "":
		o.printf("the recycle bin holds nothing that run %s deleted\n", clean(d.run))
		return
	case d.Total == 0:
		o.printf("the recycle bin holds no %s\n", object.Plural())
		return
	}
	tb := &table{columns: []column{
		{head: "id", right: true},
		{head: "e-mail", flex: true},
		{head: "deleted"},
		{head: "by"},
		{head: "run"},
		{head: "why", flex: true},
		{head: "days left", right: true},
	}}
	for _, e := range d.Records {
		tb.add(txt(e.ID.String()), txt(e.Email), txt(ago(e.At, now)), txt(e.Actor), txt(e.Run), txt(e.Reason), txt(count(e.DaysLeft)))
	}
	o.table(tb, 0)
	if rest := d.Total - int64(len(d.Records)); rest > 0 {
		o.printf("%s\n", o.paint(dim, "and "+count(rest)+" more in the bin (--limit N shows more)"))
	}
}
