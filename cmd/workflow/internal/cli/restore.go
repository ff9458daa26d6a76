package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// restoreFlags are what a restore is asked with, beside a filter on the bin.
type restoreFlags struct {
	bin     *binFlags
	ids     string
	reason  string
	confirm typedNumber
}

func restoreCommand(s *session) *cobra.Command {
	f := &restoreFlags{}
	cmd := &cobra.Command{
		Use:   "restore ID... | --ids FILE | --run RUN | --workflow NAME [--since T] [--until T] | --user USER | --where EXPR  [--confirm N]",
		Short: "bring records back from the recycle bin",
		Long: "restore brings records back exactly as they were: properties, lists, everything. For more than one, their number\n" +
			"must be typed (at the terminal, or --confirm N); another number restores nothing. A contact whose e-mail address\n" +
			"belongs to another contact by now stays in the bin, and the other one is named; the rest is restored. `undo RUN` is\n" +
			"the same as --run, without the question. Exit code 1 when something could not be restored.",
		Example: "  workflow restore 4711 4712 --confirm 2\n  workflow restore --workflow stale-leads --since 2026-11-01 --confirm 312\n" +
			"  workflow restore --object deal --user mira --where 'deal.amount > 1000'",
		Args: args(0, -1, ""),
	}
	f.bin = newBinFlags(s, cmd)
	cmd.Flags().StringVar(&f.ids, "ids", "", "restore the records with the ids in this file, one a line; - for stdin")
	f.confirm.flag(cmd, "how many records this must restore; with another number it restores nothing")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for the audit log")
	check := func(words []string) error {
		byIDs := len(words) > 0 || f.ids != ""
		switch {
		case !byIDs && !f.bin.any():
			return usagef("see the ids: workflow bin", "%s needs the ids of records in the bin, or a filter such as --run", cmd.CommandPath())
		case byIDs && f.bin.any():
			return usagef("give ids, or a filter", "ids and a filter are two different questions")
		}
		return f.bin.check(words)
	}
	cmd.RunE = s.work(needs{check: check, object: f.bin.object}, func(ctx context.Context, w *work) error {
		if f.bin.any() {
			return restoreFiltered(ctx, w, f)
		}
		return restoreNamed(ctx, w, f)
	})
	return cmd
}

// restoreNamed restores named records. Those that are not in the bin are reported with the rest.
func restoreNamed(ctx context.Context, w *work, f *restoreFlags) error {
	o := w.object
	ids, err := deletedNamed(ctx, w.session, o, w.words, f.ids)
	if err != nil {
		return err
	}
	inBin := int64(0)
	for from := 0; from < len(ids); from += csvBatch {
		recs, err := w.store.Get(ctx, o, ids[from:min(from+csvBatch, len(ids))])
		if _, err = apart(err); err != nil { // the restore itself says which are damaged
			return err
		}
		for _, r := range recs {
			if r.Deletion != nil {
				inBin++
			}
		}
	}
	if err := confirmRestore(w.session, f, inBin, o); err != nil {
		return err
	}
	return restoreAll(ctx, w, crmstore.RestoreOrder{Object: o, Cause: w.cause(f.reason), At: w.now()}, ids, 0)
}

// deletedNamed are the ids in arguments and a file, each once. A record in the bin has no address of its own: a live
// contact may hold it.
func deletedNamed(ctx context.Context, s *session, o record.ObjectType, words []string, file string) ([]record.ID, error) {
	ids, addresses, err := argumentIDs(o, words)
	if err == nil && file != "" {
		var moreIDs []record.ID
		var moreAddresses []string
		moreIDs, moreAddresses, err = readIDs(ctx, s, o, file)
		ids, addresses = append(ids, moreIDs...), append(addresses, moreAddresses...)
	}
	if err != nil {
		return nil, err
	}
	if len(addresses) > 0 {
		return nil, usagef("find its id: workflow bin --where 'contact.email == \""+addresses[0]+"\"'", "a deleted record is named by its id, not by an e-mail address")
	}
	return unique(ids), nil
}

// restoreFiltered restores all that a filter on the bin finds.
func restoreFiltered(ctx context.Context, w *work, f *restoreFlags) error {
	filter, err := f.bin.filter(ctx, w)
	if err != nil {
		return err
	}
	if filter.Run != "" {
		if _, err := w.store.Run(ctx, filter.Run); err != nil {
			return unknownRun(w.session, filter.Run, err)
		}
	}
	var ids []record.ID
	err = workflow.InBin(ctx, w.store, filter, func(found []workflow.Deleted) error {
		for _, d := range found {
			ids = append(ids, d.ID)
		}
		return nil
	})
	if damaged, ok := errors.AsType[*record.DamagedError](err); ok {
		w.noteDamaged(int64(len(damaged.IDs)), filter.Object)
		err = nil
	}
	if err != nil {
		return err
	}
	if err := confirmRestore(w.session, f, int64(len(ids)), filter.Object); err != nil {
		return err
	}
	if f.bin.onlyRun() {
		return undoRun(ctx, w, filter.Run)
	}
	gone := int64(0)
	if filter.Workflow != "" {
		if gone, err = workflow.Gone(ctx, w.store, filter.Workflow, filter.Since, filter.Until); err != nil {
			return err
		}
	}
	order := crmstore.RestoreOrder{Object: filter.Object, Cause: w.cause(f.reason), At: w.now(), OnlyRun: filter.Run}
	return restoreAll(ctx, w, order, ids, gone)
}

// confirmRestore has the number of records typed when it is over one.
func confirmRestore(s *session, f *restoreFlags, found int64, o record.ObjectType) error {
	typed := f.confirm.n
	switch {
	case !f.confirm.given && found <= 1:
		return nil
	case !f.confirm.given && !s.command.StdinTerminal:
		return needsCount("restore", found, o)
	case !f.confirm.given:
		var err error
		if typed, err = s.typedCount("To restore " + records(found, o) + ", type their number: "); err != nil {
			return err
		}
	}
	if typed != found {
		return wrongCount(typed, found, o)
	}
	return nil
}

func restoreAll(ctx context.Context, w *work, order crmstore.RestoreOrder, ids []record.ID, gone int64) error {
	r, bar := newRunner(w)
	report, err := r.Restore(ctx, order, ids)
	bar.end()
	if err != nil {
		return err
	}
	return emitRestored(w.session, order.Object, report, gone)
}

// restoredDocument is what became of records to restore.
type restoredDocument struct {
	Object      record.ObjectType `json:"object"`
	Restored    int64             `json:"restored"`
	NotRestored int               `json:"not_restored"`
	Gone        int64             `json:"gone"`    // what is not there: never was, purged, or deleted permanently
	Records     []restoredEntry   `json:"records"` // those that were not restored
}

type restoredEntry struct {
	ID      record.ID `json:"id"`
	Outcome string    `json:"outcome"` // live, not_found, email_taken, email_blocked, other_run, damaged
	Holder  record.ID `json:"holder,omitempty"`
}

// restoreWords are the outcomes for programs and for people.
var restoreWords = map[crmstore.RestoreOutcome][2]string{
	crmstore.NotArchived:  {"live", "is not in the bin"},
	crmstore.NotThere:     {"not_found", "does not exist (any more)"},
	crmstore.EmailTaken:   {"email_taken", "its e-mail address now belongs to "},
	crmstore.EmailBlocked: {"email_blocked", "its e-mail address is on the block list"},
	crmstore.NotReadable:  {"damaged", "is damaged and cannot be read; see: workflow doctor"},
	crmstore.NotByThatRun: {"other_run", "was deleted again by somebody else since"},
}

// emitRestored says what a restore did. gone is what the filter would have found if it had not been purged.
func emitRestored(s *session, o record.ObjectType, report workflow.RestoreReport, gone int64) error {
	doc := restoredDocument{
		Object: o, Restored: report.Restored, NotRestored: len(report.NotRestored), Gone: gone, Records: make([]restoredEntry, 0, len(report.NotRestored)),
	}
	for _, r := range report.NotRestored {
		if r.Outcome == crmstore.NotThere {
			doc.Gone++
		}
		doc.Records = append(doc.Records, restoredEntry{ID: r.ID, Outcome: restoreWords[r.Outcome][0], Holder: r.Holder})
	}
	s.emit(doc, func(out *output) {
		out.printf("%s restored\n", out.paint(green, records(doc.Restored, o)))
		if doc.Gone > 0 {
			out.printf("%s can no longer be restored\n", records(doc.Gone, o))
		}
		for _, r := range report.NotRestored[:min(len(report.NotRestored), shownUnrestored)] {
			why := restoreWords[r.Outcome][1]
			if r.Holder != 0 {
				why += string(o) + " " + r.Holder.String()
			}
			out.printf("  %s %s: %s\n", o, r.ID, why)
		}
		if more := len(report.NotRestored) - shownUnrestored; more > 0 {
			out.printf("  and %s more (--format json lists all)\n", count(more))
		}
	})
	if doc.NotRestored > 0 {
		return said(exitRefused)
	}
	return nil
}
