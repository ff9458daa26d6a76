package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

func (s *session) auditCommand() *cobra.Command {
	var filter crmstore.AuditFilter
	var record string
	cmd := &cobra.Command{
		Use: "audit [--record ID] [--run RUN] [--object TYPE] [--limit N]", Short: "who did what to which record, when and why",
		Long: "audit shows what was done: by whom, to which record, when, and why. A deletion names the workflow, its revision,\n" +
			"the run and the trigger that was true.",
		Example: "  workflow audit --record 4711\n  workflow audit --run stale@2026-11-23T03:00:00Z --limit 10",
		Args:    noArgs,
	}
	object := s.objectFlagOr(cmd, "", "only this object type")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if filter.Limit < 1 {
			return usagef("", "--limit %d: want 1 or more", filter.Limit)
		}
		var err error
		if filter.Object, err = object(cmd.Context()); err != nil {
			return err
		}
		store, err := s.open(cmd.Context())
		if err != nil {
			return err
		}
		if record != "" {
			if filter.Object == "" {
				filter.Object = crmstore.Contact
			}
			if filter.Record, err = recordID(cmd.Context(), store, filter.Object, record); err != nil {
				return err
			}
		}
		events := []crmstore.Event{}
		err = store.Audit(cmd.Context(), filter, func(e crmstore.Event) error {
			events = append(events, e)
			return nil
		})
		if err != nil {
			return err
		}
		s.emit(map[string]any{"events": events}, func(o *output) { showEvents(o, events, filter.Limit) })
		return nil
	}
	cmd.Flags().StringVar(&record, "record", "", "only this record: an id, or a contact's e-mail address")
	cmd.Flags().StringVar(&filter.Run, "run", "", "only this run")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "at most so many events")
	_ = cmd.RegisterFlagCompletionFunc("run", s.completeRuns())
	return cmd
}

func showEvents(o *output, events []crmstore.Event, limit int) {
	if len(events) == 0 {
		o.printf("nothing was done\n")
		return
	}
	tb := &table{columns: []column{
		{head: "when"}, {head: "what"}, {head: "who"}, {head: "record", flex: true}, {head: "run"}, {head: "why", flex: true},
	}}
	for _, e := range events {
		tb.add(txt(stamp(e.At)), ink(bold, e.Op), txt(e.Actor), txt(eventRecords(e)), txt(e.Run), txt(eventReason(e)))
	}
	o.table(tb, 0)
	if len(events) >= limit {
		o.printf("%s\n", o.paint(dim, "there may be more: --limit N shows more of them"))
	}
}

func eventRecords(e crmstore.Event) string {
	switch {
	case len(e.IDs) == 1:
		return string(e.Object) + " " + e.IDs[0].String()
	case len(e.IDs) > 1:
		return records(len(e.IDs), e.Object)
	}
	return e.Workflow
}

func eventReason(e crmstore.Event) string {
	var parts []string
	if e.Workflow != "" && e.Revision > 0 {
		parts = append(parts, e.Workflow+" revision "+count(e.Revision))
	}
	for _, p := range []string{e.Reason, e.Detail} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}
