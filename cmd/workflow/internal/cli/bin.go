package cli

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// binDays is how long a record can be restored.
const binDays = crmstore.BinDays

// binFlags say which records in the recycle bin a verb is about.
type binFlags struct {
	object              func(context.Context) (record.ObjectType, error)
	run, workflow, user string
	since, until        string
	where               string

	from, to time.Time // what since and until say; check reads them
}

func newBinFlags(s *session, cmd *cobra.Command) *binFlags {
	f := &binFlags{object: objectFlag(s, cmd)}
	cmd.Flags().StringVar(&f.run, "run", "", "only what this run deleted")
	cmd.Flags().StringVar(&f.workflow, "workflow", "", "only what this workflow deleted")
	cmd.Flags().StringVar(&f.user, "user", "", "only what this user deleted")
	cmd.Flags().StringVar(&f.since, "since", "", "only what was deleted at this time or later: 2026-11-23T03:00:00Z, or 2026-11-23 for midnight UTC")
	cmd.Flags().StringVar(&f.until, "until", "", "only what was deleted before this time")
	cmd.Flags().StringVar(&f.where, "where", "", "only records for which this expression is true, as they were when they were deleted")
	_ = cmd.RegisterFlagCompletionFunc("run", completeRuns(s))
	_ = cmd.RegisterFlagCompletionFunc("workflow", completeWorkflows(s, false))
	return f
}

// any reports whether something narrows what is in the bin.
func (f *binFlags) any() bool {
	return f.run+f.workflow+f.user+f.since+f.until+f.where != ""
}

// onlyRun reports whether a run and nothing else narrows it.
func (f *binFlags) onlyRun() bool {
	return f.run != "" && f.workflow+f.user+f.since+f.until+f.where == ""
}

// check reads the two instants, and refuses a span that is empty.
func (f *binFlags) check([]string) error {
	var err error
	if f.from, err = parseBound("--since", f.since); err != nil {
		return err
	}
	if f.to, err = parseBound("--until", f.until); err != nil {
		return err
	}
	if f.since != "" && f.until != "" && !f.from.Before(f.to) {
		return usagef("", "--since %s is not before --until %s", f.since, f.until)
	}
	return nil
}

// filter compiles --where, and says with the other flags what is asked of the bin.
func (f *binFlags) filter(ctx context.Context, w *work) (filter workflow.BinFilter, err error) {
	filter = workflow.BinFilter{Object: w.object, Run: f.run, Workflow: f.workflow, User: f.user, Since: f.from, Until: f.to}
	if f.where != "" {
		filter.Where, err = compileWhere(ctx, w.session, &selection{store: w.store, object: w.object}, f.where, w.at)
	}
	return filter, err
}

func binCommand(s *session) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "bin [--object TYPE] [--run RUN] [--workflow NAME] [--user USER] [--since T] [--until T] [--where EXPR] [--limit N]",
		Short: "the recycle bin: what was deleted, when, by whom, until when it can be restored",
		Long: "bin lists deleted records, the newest first: when each was deleted, by whom or by which workflow and run, why, and\n" +
			"when it will be purged: 90 days after its deletion, to the second. With --format csv it writes all of them.",
		Example: "  workflow bin --limit 10\n  workflow bin --object deal --user mira --since 2026-11-01\n" +
			"  workflow bin --run stale@2026-11-23T03:00:00Z --format csv > deleted.csv",
		Args: noArgs, Annotations: map[string]string{accessNote: reads, formatCSV: "too"},
	}
	flags := newBinFlags(s, cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "at most so many records")
	check := func(words []string) error {
		if limit < 1 {
			return usagef("", "--limit %d: want 1 or more", limit)
		}
		return flags.check(words)
	}
	cmd.RunE = s.work(needs{check: check, object: flags.object}, func(ctx context.Context, w *work) error {
		filter, err := flags.filter(ctx, w)
		if err != nil {
			return err
		}
		if w.flags.format == formatCSV && !w.verb.Flags().Changed("limit") {
			limit = math.MaxInt / 4
		}
		look, err := lookInBin(ctx, w, filter, limit)
		if err != nil {
			return err
		}
		if w.flags.format == formatCSV {
			return binCSV(ctx, w.session, look)
		}
		return emitBin(ctx, w.session, look, flags)
	})
	return cmd
}

// binLook is what a verb found in the bin: the newest of it, and how much there is.
type binLook struct {
	store  *crmstore.Store
	object record.ObjectType
	schema *record.Schema
	now    time.Time
	total  int64
	newest []workflow.Deleted // the newest first, at most as many as were asked for

	damaged map[record.ID]bool // could not be read
}

// lookInBin keeps 16 bytes or so in memory for each record that it keeps.
func lookInBin(ctx context.Context, w *work, filter workflow.BinFilter, limit int) (*binLook, error) {
	schema, err := w.store.Schema(ctx, filter.Object)
	if err != nil {
		return nil, err
	}
	look := &binLook{store: w.store, object: filter.Object, schema: schema, now: w.now(), damaged: map[record.ID]bool{}}
	trim := func() {
		slices.SortFunc(look.newest, func(a, b workflow.Deleted) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
		look.newest = look.newest[:min(len(look.newest), limit)]
	}
	err = workflow.InBin(ctx, w.store, filter, func(found []workflow.Deleted) error {
		look.total += int64(len(found))
		if look.newest = append(look.newest, found...); len(look.newest) >= 2*limit+1024 {
			trim()
		}
		return nil
	})
	trim()
	err = look.leaveOut(err)
	return look, err
}

// leaveOut remembers records that could not be read. Any other error it returns.
func (l *binLook) leaveOut(err error) error {
	damaged, ok := errors.AsType[*record.DamagedError](err)
	if !ok {
		return err
	}
	for _, id := range damaged.IDs {
		l.damaged[id] = true
	}
	return nil
}

// binEntry is one record in the bin.
type binEntry struct {
	ID       record.ID `json:"id"`
	Email    string    `json:"email,omitempty"`
	Name     string    `json:"name,omitempty"`
	At       time.Time `json:"deleted_at"`
	PurgeAt  time.Time `json:"purge_at"`
	DaysLeft int       `json:"days_left"`
	record.Cause
}

// entries reads some of the found records; those that were restored or purged a moment ago are left out.
func (l *binLook) entries(ctx context.Context, found []workflow.Deleted) ([]binEntry, error) {
	ids := make([]record.ID, len(found))
	for i, d := range found {
		ids[i] = d.ID
	}
	recs, err := l.store.Get(ctx, l.object, ids)
	if err := l.leaveOut(err); err != nil {
		return nil, err
	}
	entries := make([]binEntry, 0, len(recs))
	for _, r := range recs {
		if r.Deletion == nil {
			continue
		}
		e := binEntry{ID: r.ID, At: r.Deletion.At, PurgeAt: r.Deletion.At.Add(crmstore.Retention), Cause: r.Deletion.Cause}
		e.Email, e.Name = textOf(r, l.schema, "email"), nameOf(r, l.schema)
		e.DaysLeft = max(0, binDays-int(l.now.Sub(e.At)/(24*time.Hour)))
		entries = append(entries, e)
	}
	return entries, nil
}

// textOf is a property's value as text, "" when the record or the schema has none.
func textOf(r *record.Record, schema *record.Schema, name string) string {
	found := schema.Find(name)
	if len(found) != 1 {
		return ""
	}
	return r.Value(found[0].Number).String()
}

// binDocument is the newest part of the recycle bin.
type binDocument struct {
	Object  record.ObjectType `json:"object"`
	Total   int64             `json:"total"`             // all that the question fits
	Damaged int64             `json:"damaged,omitempty"` // of those that were looked at, how many could not be read
	Records []binEntry        `json:"records"`
}

func emitBin(ctx context.Context, s *session, look *binLook, f *binFlags) error {
	entries, err := look.entries(ctx, look.newest)
	if err != nil {
		return err
	}
	s.noteDamaged(int64(len(look.damaged)), look.object)
	s.emit(binDocument{look.object, look.total, int64(len(look.damaged)), entries}, func(o *output) {
		switch {
		case look.total == 0 && f.onlyRun():
			o.printf("the recycle bin holds nothing that run %s deleted\n", clean(f.run))
		case look.total == 0 && f.any():
			o.printf("the recycle bin holds no such %s\n", look.object.Plural())
		case look.total == 0:
			o.printf("the recycle bin holds no %s\n", look.object.Plural())
		default:
			look.show(o, entries)
		}
	})
	return nil
}

func (l *binLook) show(o *output, entries []binEntry) {
	tb := &table{columns: []column{{head: "id", right: true}}}
	emails := slices.ContainsFunc(entries, func(e binEntry) bool { return e.Email != "" })
	names := slices.ContainsFunc(entries, func(e binEntry) bool { return e.Name != "" })
	for _, c := range []struct {
		shown bool
		head  string
	}{{emails, "e-mail"}, {names, "name"}} {
		if c.shown {
			tb.columns = append(tb.columns, column{head: c.head, flex: true})
		}
	}
	tb.columns = append(tb.columns, column{head: "deleted"}, column{head: "by"}, column{head: "run"}, column{head: "why", flex: true},
		column{head: "purged on"}, column{head: "days left", right: true})
	for _, e := range entries {
		cells := []cell{txt(e.ID.String())}
		if emails {
			cells = append(cells, txt(e.Email))
		}
		if names {
			cells = append(cells, txt(e.Name))
		}
		tb.add(append(cells, txt(ago(e.At, l.now)), txt(e.Actor), txt(e.Run), txt(e.Reason),
			txt(e.PurgeAt.Format(time.DateOnly)), txt(count(e.DaysLeft)))...)
	}
	o.table(tb, 0)
	if rest := l.total - int64(len(entries)); rest > 0 {
		o.printf("%s\n", o.paint(dim, "and "+count(rest)+" more in the bin (--limit N shows more, --format csv writes all)"))
	}
}

// binCSV writes what was found, some thousands of records at a time.
func binCSV(ctx context.Context, s *session, look *binLook) error {
	out := csv.NewWriter(s.out)
	head := []string{
		"Record ID", "Email", "Name", "Deleted at", "Deleted by", "Workflow", "Revision", "Run", "Reason", "Purged at", "Days left",
	}
	if err := out.Write(head); err != nil {
		return err
	}
	for part := range slices.Chunk(look.newest, csvBatch) {
		entries, err := look.entries(ctx, part)
		if err != nil {
			return err
		}
		for _, e := range entries {
			revision := ""
			if e.Revision > 0 {
				revision = strconv.Itoa(e.Revision)
			}
			row := []string{
				e.ID.String(), inert(e.Email), inert(e.Name), e.At.Format(time.RFC3339Nano), inert(e.Actor), e.Workflow, revision,
				e.Run, inert(e.Reason), e.PurgeAt.Format(time.RFC3339Nano), strconv.Itoa(e.DaysLeft),
			}
			if err := out.Write(row); err != nil {
				return err
			}
		}
	}
	out.Flush()
	s.noteDamaged(int64(len(look.damaged)), look.object)
	return out.Error()
}
