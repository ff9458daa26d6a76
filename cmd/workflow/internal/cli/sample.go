package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// sampleEntry is one contact of a review.
type sampleEntry struct {
	ID      record.ID `json:"id"`
	Email   string    `json:"email,omitempty"`
	Name    string    `json:"name,omitempty"`
	Trigger int       `json:"trigger"` // number, from 1, of the first trigger that is true
	Why     string    `json:"why"`     // that trigger
}

// readSample reads contacts in the order of ids, and says by which trigger each enrolls at an instant.
func readSample(ctx context.Context, store *crmstore.Store, d *definition.Definition, now time.Time, ids []record.ID) ([]sampleEntry, error) {
	sample := make([]sampleEntry, 0, len(ids))
	if len(ids) == 0 {
		return sample, nil
	}
	matcher, err := d.Trigger.At(now)
	if err != nil {
		return nil, err
	}
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	schema := d.Trigger.Vocabulary.Schema
	err = matcher.Test(ctx, store, d.Object, record.ByPartition(ids, partitions), func(_ int, recs []*record.Record, v []triggers.Verdict) error {
		for i, rec := range recs {
			if rec == nil {
				continue // purged since it was evaluated
			}
			e := sampleEntry{ID: rec.ID, Email: textOf(rec, schema, "email"), Name: nameOf(rec, schema), Trigger: v[i].Trigger}
			if n := v[i].Trigger; n > 0 {
				e.Why = strings.Join(strings.Fields(d.Trigger.Any[n-1].Source()), " ")
			}
			sample = append(sample, e)
		}
		return nil
	})
	_, err = apart(err) // the review counts them
	slices.SortFunc(sample, func(a, b sampleEntry) int { return int(int64(a.ID) - int64(b.ID)) })
	return sample, err
}

// nameOf is what a record is called: a contact's first and last name, a company's name, and so on; "" when unknown.
func nameOf(r *record.Record, schema *record.Schema) string {
	var parts []string
	for _, p := range []string{"firstname", "lastname", "name", "dealname", "subject", "hs_call_title"} {
		if v := textOf(r, schema, p); v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " ")
}

func showSample(o *output, sample []sampleEntry) {
	tb := &table{columns: []column{{head: "id", right: true}, {head: "e-mail", flex: true}}}
	named := slices.ContainsFunc(sample, func(e sampleEntry) bool { return e.Name != "" })
	if named {
		tb.columns = append(tb.columns, column{head: "name", flex: true})
	}
	tb.columns = append(tb.columns, column{head: "why", flex: true})
	for _, e := range sample {
		cells := []cell{txt(e.ID.String()), txt(e.Email)}
		if named {
			cells = append(cells, txt(e.Name))
		}
		tb.add(append(cells, ink(dim, fmt.Sprintf("trigger %d: %s", e.Trigger, e.Why)))...)
	}
	o.table(tb, 0)
}

// csvBatch is how many contacts are read at a time for a review's CSV.
const csvBatch = 5000

// reviewCSV writes all contacts of a review.
func reviewCSV(ctx context.Context, w io.Writer, store *crmstore.Store, d *definition.Definition, r *workflow.Review) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"Record ID", "Email", "Name", "Trigger", "Why"}); err != nil {
		return err
	}
	for batch := range slices.Chunk(r.Contacts, csvBatch) {
		entries, err := readSample(ctx, store, d, r.Now, batch)
		if err != nil {
			return err
		}
		for _, e := range entries {
			row := []string{e.ID.String(), inert(e.Email), inert(e.Name), strconv.Itoa(e.Trigger), inert(e.Why)}
			if err := out.Write(row); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

// inert is a text for a cell of a table that people look at: without characters that drive a terminal, and so that a spreadsheet
// does not take it for a formula. Exports of records are not for looking at and keep every character; see
// docs/DECISIONS.md#exact-exports.
func inert(text string) string {
	text = clean(text)
	if first, _ := utf8.DecodeRuneInString(strings.TrimSpace(text)); strings.ContainsRune("=+-@\uff1d\uff0b\uff0d\uff20", first) && first != utf8.RuneError && text != "" {
		return "'" + text
	}
	return text
}
