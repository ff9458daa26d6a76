package cli

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// auditFlags is what an audit question is made of, as it was typed.
type auditFlags struct {
	crmstore.AuditFilter
	record, since, until string
	object               func(context.Context) (record.ObjectType, error)
}

func auditCommand(s *session) *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use: "audit [--record ID] [--object TYPE] [--user USER] [--run RUN] [--workflow NAME] [--action A,…] [--since T] [--until T] " +
			"[--limit N] [--after PLACE]",
		Short: "who did what to which record, when and why",
		Long: "audit shows what was done: by whom, to which record, when, and why. A deletion names the workflow, its revision,\n" +
			"the run and the trigger that was true; an update each property with its value before and after. Beside the acting user,\n" +
			"whom the caller names, stands the operating system's user and host of the process (from). It shows the newest\n" +
			"events, oldest first; --after shows the page behind, further back: what to write after it stands below each page (in\n" +
			"JSON: next). With --format csv it writes all of them, one line for each changed property.",
		Example: "  workflow audit --record 4711\n  workflow audit --run stale@2026-11-23T03:00:00Z --limit 10\n" +
			"  workflow audit --action update,delete --user mira --since 2026-11-01 --format csv > audit.csv",
		Args: noArgs, Annotations: map[string]string{accessNote: reads, formatCSV: "too"},
	}
	f.object = objectFlagOr(s, cmd, "", "only this object type")
	cmd.Flags().StringVar(&f.record, "record", "", "only this record: an id, or a contact's e-mail address")
	cmd.Flags().StringVar(&f.User, "user", "", "only what this user did")
	cmd.Flags().StringVar(&f.Run, "run", "", "only this run")
	cmd.Flags().StringVar(&f.Workflow, "workflow", "", "only what this workflow did, and what was done to it")
	cmd.Flags().StringSliceVar(&f.Ops, "action", nil, "only these actions: update, delete, restore, publish, …")
	cmd.Flags().StringVar(&f.since, "since", "", "only from this instant on: 2026-11-23T03:00:00Z, or 2026-11-23 for midnight UTC")
	cmd.Flags().StringVar(&f.until, "until", "", "only before this instant")
	cmd.Flags().IntVar(&f.Limit, "limit", 50, "at most so many events")
	cmd.Flags().StringVar(&f.After, "after", "", "the page behind the one that ended with this")
	_ = cmd.RegisterFlagCompletionFunc("run", completeRuns(s))
	cmd.RunE = s.work(needs{check: f.check, object: f.object}, func(ctx context.Context, w *work) error {
		if err := f.find(ctx, w); err != nil {
			return err
		}
		if w.flags.format == formatCSV {
			if !w.verb.Flags().Changed("limit") && f.After == "" {
				f.Limit = 0
			}
			return auditCSV(ctx, w, f.AuditFilter)
		}
		page, err := w.store.AuditPage(ctx, f.AuditFilter)
		if errors.Is(err, crmstore.ErrPlace) {
			return usagef("", "--after: %v", err)
		}
		if err != nil {
			return err
		}
		w.emit(page, func(o *output) { showEvents(o, page) })
		return nil
	})
	return cmd
}

// check refuses a limit and instants that cannot be meant.
func (f *auditFlags) check([]string) error {
	if f.Limit < 1 {
		return usagef("", "--limit %d: want 1 or more", f.Limit)
	}
	var err error
	if f.Since, err = parseBound("--since", f.since); err == nil {
		f.Until, err = parseBound("--until", f.until)
	}
	return err
}

// find completes the filter with the object type, and with the id of the record that --record names.
func (f *auditFlags) find(ctx context.Context, w *work) (err error) {
	f.Object = w.object
	if f.record == "" {
		return nil
	}
	f.Object = cmp.Or(f.Object, record.Contact)
	f.Record, err = recordID(ctx, w.store, f.Object, f.record)
	return err
}

// auditCSV writes events as they are read; without a limit memory stays flat.
func auditCSV(ctx context.Context, w *work, f crmstore.AuditFilter) error {
	out := csv.NewWriter(w.out)
	err := out.Write([]string{
		"At", "Action", "User", "Object", "Record IDs", "Property", "Before", "After", "Detail", "Workflow", "Revision", "Run", "Reason",
		"From",
	})
	if err != nil {
		return err
	}
	err = w.store.Audit(ctx, f, func(e record.Event) error {
		changes := e.Changes
		if len(changes) == 0 {
			changes = []record.Change{{}}
		}
		ids := make([]string, len(e.IDs))
		for i, id := range e.IDs {
			ids[i] = id.String()
		}
		revision := ""
		if e.Revision > 0 {
			revision = strconv.Itoa(e.Revision)
		}
		for _, c := range changes {
			err := out.Write([]string{
				e.At.Format(time.RFC3339Nano), e.Op, inert(e.Actor), string(e.Object), strings.Join(ids, " "), c.Property, inert(c.Before),
				inert(c.After), inert(e.Detail), e.Workflow, revision, e.Run, inert(e.Reason), inert(e.From),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, crmstore.ErrPlace) {
		return usagef("", "--after: %v", err)
	}
	out.Flush()
	return errors.Join(err, out.Error())
}

func showEvents(o *output, page crmstore.AuditPage) {
	if len(page.Events) == 0 {
		o.printf("nothing was done\n")
		return
	}
	tb := &table{columns: []column{
		{head: "when"}, {head: "what"}, {head: "who"}, {head: "from"}, {head: "record", flex: true}, {head: "run"}, {head: "why", flex: true},
	}}
	for _, e := range page.Events {
		tb.add(txt(stamp(e.At)), ink(bold, e.Op), txt(e.Actor), txt(e.From), txt(eventRecords(e)), txt(e.Run), txt(eventReason(e)))
	}
	o.table(tb, 0)
	if page.Next != "" {
		o.printf("%s\n", o.paint(dim, "there is more, further back: the same with --after "+page.Next))
	}
}

func eventRecords(e record.Event) string {
	switch {
	case len(e.IDs) == 1:
		return string(e.Object) + " " + e.IDs[0].String()
	case len(e.IDs) > 1:
		return records(len(e.IDs), e.Object)
	}
	return e.Workflow
}

func eventReason(e record.Event) string {
	var parts []string
	if e.Workflow != "" && e.Revision > 0 {
		parts = append(parts, e.Workflow+" revision "+count(e.Revision))
	}
	if len(e.Others) == 1 {
		parts = append(parts, "with "+record.Ref{Object: e.With, ID: e.Others[0]}.String())
	} else if len(e.Others) > 1 {
		parts = append(parts, "with "+records(len(e.Others), e.With))
	}
	for _, p := range []string{e.Reason, e.Detail} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	changes := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		changes[i] = c.Property + " " + orNothing(c.Before) + " to " + orNothing(c.After)
	}
	if len(changes) > 0 {
		parts = append(parts, strings.Join(changes, ", "))
	}
	return strings.Join(parts, ": ")
}

func orNothing(value string) string {
	if value == "" {
		return "nothing"
	}
	return strconv.Quote(value)
}
