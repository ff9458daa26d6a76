package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// deleteFlags are what a deletion by hand is asked with.
type deleteFlags struct {
	object  func(context.Context) (record.ObjectType, error)
	ids     string // file of ids, - for stdin
	where   string
	list    string
	now     string
	reason  string
	confirm typedNumber
	yes     bool
	skip    bool
	every   bool // a search may find all live records

	permanent   bool
	allowFuture bool
}

func deleteCommand(s *session) *cobra.Command {
	f := &deleteFlags{}
	cmd := &cobra.Command{
		Use:   "delete ID|E-MAIL... | --ids FILE | --where EXPR | --list NAME  [--confirm N] [--object TYPE] [--permanent]",
		Short: "delete one record or many, to the recycle bin",
		Long: "delete puts records into the recycle bin, from where `workflow restore` brings them back for 90 days. One record\n" +
			"needs a yes (at the terminal, or --yes). For more, their number must be typed (at the terminal, or --confirm N);\n" +
			"another number deletes nothing. A deletion of many is a run: `workflow undo RUN` brings all of it back, and\n" +
			"`workflow resume RUN` goes on with one that was interrupted. It deletes the records that were found when the\n" +
			"number was asked, never more, and leaves alone those that by then no longer match. A search that finds all live records\n" +
			"of the type, such as --where true, deletes nothing without --everything.\n\n" +
			"With --permanent, contacts are deleted for good, live ones and those in the recycle bin: nothing that identifies\n" +
			"them is kept, their e-mail addresses go on the block list, and there is no way back. Needs permanently-delete.",
		Example: "  workflow delete --object deal 4711\n  workflow delete --ids ids.txt --confirm 312\n" +
			"  workflow delete --where 'contact.lifecyclestage == \"subscriber\" && unknown(contact.email)'\n" +
			"  workflow delete --list old-leads\n  workflow delete --permanent ada@example.com --confirm 1",
		Args: args(0, -1, ""),
	}
	f.object = objectFlag(s, cmd)
	cmd.Flags().StringVar(&f.ids, "ids", "", "delete the records with the ids (of contacts also the e-mail addresses) in this file, one a line; - for stdin")
	cmd.Flags().StringVar(&f.where, "where", "", "delete the records for which this expression is true, as in a workflow's triggers")
	cmd.Flags().StringVar(&f.list, "list", "", "delete the records on this list; with --where, those for which the expression is true; the list stays")
	f.confirm.flag(cmd, "how many records this must delete; with another number it deletes nothing")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "delete one record without asking")
	cmd.Flags().BoolVar(&f.every, "everything", false, "with --where or --list: all live records of the type may go; without it, a search that finds all deletes nothing")
	cmd.Flags().BoolVar(&f.skip, "skip-missing", false, "leave out ids that are unknown or deleted already, instead of deleting nothing")
	cmd.Flags().BoolVar(&f.permanent, "permanent", false, "delete contacts for good, with no way back; their number must be typed, also for one")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for the audit log")
	nowFlag(cmd, &f.now)
	allowFutureFlag(cmd, &f.allowFuture)
	_ = cmd.RegisterFlagCompletionFunc("list", completeLists(s, f.object))
	cmd.RunE = s.work(needs{check: f.check, object: f.readObject, now: &f.now}, func(ctx context.Context, w *work) error { return deleteRecords(ctx, w, f) })
	return cmd
}

// check is a usage error unless the flags say in exactly one way what to delete.
func (f *deleteFlags) check(words []string) error {
	byIDs := len(words) > 0 || f.ids != ""
	bySearch := f.where != "" || f.list != ""
	switch {
	case !byIDs && !bySearch:
		return usagef("workflow delete ID..., or --ids FILE, --where EXPR, --list NAME; see: workflow delete --help", "delete what?")
	case byIDs && bySearch:
		return usagef("give ids, or search with --where and --list", "ids and --where or --list are two different questions")
	case f.skip && bySearch:
		return usagef("leave it out", "--skip-missing is about ids")
	case f.every && byIDs:
		return usagef("leave it out", "--everything is about a search")
	case f.yes && bySearch:
		return usagef("write --confirm N with their number", "--yes is for one record named by its id")
	}
	return nil
}

// readObject reads --object. Only some types can be deleted permanently.
func (f *deleteFlags) readObject(ctx context.Context) (record.ObjectType, error) {
	o, err := f.object(ctx)
	if err == nil {
		err = f.checkPermanent(o)
	}
	return o, err
}

func deleteRecords(ctx context.Context, w *work, f *deleteFlags) error {
	o := w.object
	if err := mayDeleteFrom(w.session, w.at, f.allowFuture); err != nil {
		return err
	}
	if f.permanent {
		return deletePermanently(ctx, w, f, w.words)
	}
	q := workflow.DeleteRequest{
		Object: o, Selection: crmstore.Selection{Where: f.where, List: f.list, Everything: f.every}, Skip: f.skip, Now: w.at, Why: f.reason,
	}
	if f.where != "" || f.list != "" {
		return deleteSearch(ctx, w, f, q)
	}
	var err error
	if q.IDs, err = namedIDs(ctx, w, naming{o, w.words, f.ids, f.skip}); err != nil {
		return err
	}
	named := q.IDs
	if q.IDs, err = workflow.Deletable(ctx, w.store, o, named, f.skip); err != nil {
		return err
	}
	if f.skip {
		if err := nameHeld(ctx, w, o, named); err != nil {
			return err
		}
	}
	switch len(q.IDs) {
	case 0:
		return refusedf("", "none of the ids is a live %s; nothing was deleted", o)
	case 1:
		return deleteOne(ctx, w, f, q)
	}
	return deleteMany(ctx, w, f, q, int64(len(q.IDs)))
}

// deleteSearch checks the expression, and counts first where no terminal is there to ask for the number.
func deleteSearch(ctx context.Context, w *work, f *deleteFlags, q workflow.DeleteRequest) error {
	sel := &selection{store: w.store, object: q.Object}
	var err error
	if sel.partitions, err = w.store.Partitions(ctx); err != nil {
		return err
	}
	if f.list != "" {
		if _, err := findList(ctx, w.store, q.Object, f.list); err != nil {
			return err
		}
	}
	text := f.where
	if text == "" {
		text = workflow.SelectionExpression(q.Selection)
	}
	if sel.matcher, err = compileWhere(ctx, w.session, sel, text, q.Now); err != nil {
		return err
	}
	if f.list != "" && f.where != "" { // the whole, after the part whose places in --where a person can see
		if sel.matcher, err = compileWhere(ctx, w.session, sel, workflow.SelectionExpression(q.Selection), q.Now); err != nil {
			return err
		}
	}
	if f.confirm.given || w.command.StdinTerminal {
		return deleteMany(ctx, w, f, q, -1)
	}
	n := int64(0) // without those on legal hold, which are left alone
	err = sel.each(ctx, func(ids []record.ID) error {
		held, err := w.store.HoldsOf(ctx, q.Object, ids)
		n += int64(len(ids) - len(held))
		return err
	})
	if err != nil {
		return err
	}
	live, err := w.store.Count(ctx, q.Object)
	if err != nil {
		return err
	}
	if err := workflow.CheckEverything(q.Selection, n, live.Live, q.Object); err != nil {
		return err
	}
	return needsCount("delete", n, q.Object)
}

// nameHeld says which of the records are left alone because they are on legal hold.
func nameHeld(ctx context.Context, w *work, o record.ObjectType, ids []record.ID) error {
	held, err := w.store.HoldsOf(ctx, o, ids)
	for i, h := range held {
		if i == shownAddresses {
			w.err.printf("left alone: %s more on legal hold; see: workflow legal-hold list\n", count(len(held)-i))
			break
		}
		w.err.printf("left alone: %s %s is on legal hold since %s: %s\n", o, h.ID, stamp(h.At), clean(h.Reason))
	}
	return err
}

// needsCount says that the number of records must be given, because no terminal is there to ask for it.
func needsCount(verb string, n int64, o record.ObjectType) error {
	return &problem{
		code: exitUsage, reason: workflow.RefusedCount,
		message: fmt.Sprintf("this would %s %s, and there is no terminal to ask for that number at; nothing was changed", verb, records(n, o)),
		help:    fmt.Sprintf("if that is what you want, add: --confirm %d", n),
	}
}

// deletedDocument is one deletion without a run.
type deletedDocument struct {
	Object  record.ObjectType `json:"object"`
	ID      record.ID         `json:"id"`
	Deleted int               `json:"deleted"`
}

func deleteOne(ctx context.Context, w *work, f *deleteFlags, q workflow.DeleteRequest) error {
	id := q.IDs[0]
	if f.confirm.given && f.confirm.n != 1 {
		return wrongCount(f.confirm.n, 1, q.Object)
	}
	if !f.confirm.given && !f.yes {
		err := yesOrElse(w.session,
			fmt.Sprintf("Delete %s? It can be restored for %d days.", inWords(ctx, w, q.Object, id), binDays),
			fmt.Sprintf("workflow delete --object %s %s --yes", q.Object, id),
			"deleting needs a yes, and there is no terminal to ask at; nothing was deleted")
		if err != nil {
			return err
		}
	}
	cause := w.cause(f.reason)
	if cause.Reason == "" {
		cause.Reason = "delete"
	}
	if err := workflow.DeleteRecord(ctx, w.store, q.Object, id, cause, w.now()); err != nil {
		return err
	}
	w.emit(deletedDocument{q.Object, id, 1}, func(o *output) {
		o.printf("%s %s deleted; bring it back within %d days: workflow restore --object %s %s\n", q.Object, id, binDays, q.Object, id)
	})
	return nil
}

// inWords is a record in words: contact 4711 (Ada Lovelace, ada@example.com).
func inWords(ctx context.Context, w *work, o record.ObjectType, id record.ID) string {
	text := fmt.Sprintf("%s %s", o, id)
	schema, err := w.store.Schema(ctx, o)
	if err != nil {
		return text
	}
	recs, err := w.store.Get(ctx, o, []record.ID{id})
	if err != nil || len(recs) == 0 {
		return text
	}
	name, email := nameOf(recs[0], schema), textOf(recs[0], schema, "email")
	switch {
	case name != "" && email != "":
		return text + " (" + clean(name) + ", " + clean(email) + ")"
	case name+email != "":
		return text + " (" + clean(name+email) + ")"
	}
	return text
}

// wrongCount refuses a deletion or a restore because of the number that was typed.
func wrongCount(typed, found int64, o record.ObjectType) error {
	return &problem{
		code: exitRefused, reason: workflow.RefusedCount,
		message: fmt.Sprintf("the count typed is %s, but these are %s; nothing was changed", diag.Thousands(typed), records(found, o)),
	}
}

// deleteMany prepares the run, has its number typed, and carries it out. known is how many records there are, below 0
// when they are still to be found: a wrong number is refused before anything is saved where that is possible.
func deleteMany(ctx context.Context, w *work, f *deleteFlags, q workflow.DeleteRequest, known int64) error {
	switch {
	case known >= 0 && f.confirm.given && f.confirm.n != known:
		return wrongCount(f.confirm.n, known, q.Object)
	case known >= 0 && !f.confirm.given && !w.command.StdinTerminal:
		return needsCount("delete", known, q.Object)
	}
	r, bar := newRunner(w)
	run, err := r.PrepareDelete(ctx, q)
	bar.end()
	if refused, ok := errors.AsType[*workflow.RefusedError](err); ok && refused.Reason == workflow.RefusedEverything {
		_, cancelErr := r.Cancel(context.WithoutCancel(ctx), run.ID, w.now())
		return errors.Join(err, cancelErr)
	}
	if err != nil {
		return emitDeletion(w.session, run, err)
	}
	if run.State == crmstore.RunDone {
		if f.confirm.given && f.confirm.n != 0 {
			return wrongCount(f.confirm.n, 0, q.Object)
		}
		return emitDeletion(w.session, run, nil)
	}
	return confirmDeletion(ctx, w, run, f.confirm)
}

// confirmDeletion asks for the number of a prepared deletion unless it was given, and carries the deletion out. A
// deletion whose number was not given is cancelled.
func confirmDeletion(ctx context.Context, w *work, run crmstore.Run, confirm typedNumber) error {
	r, bar := newRunner(w)
	found, typed, err := run.Matched-run.OnHold, confirm.n, error(nil)
	if !confirm.given {
		typed, err = askCount(ctx, w, run)
	}
	if err == nil && typed != found {
		err = wrongCount(typed, found, run.Object)
	}
	if err != nil {
		_, cancelErr := r.Cancel(context.WithoutCancel(ctx), run.ID, w.now())
		return errors.Join(err, cancelErr)
	}
	run, err = r.Confirm(ctx, run.ID, typed, w.now())
	bar.end()
	return emitApproved(ctx, w.session, r, run, err)
}

// askCount shows what a deletion would delete, and has the number typed.
func askCount(ctx context.Context, w *work, run crmstore.Run) (int64, error) {
	if !w.command.StdinTerminal {
		return 0, needsCount("delete", run.Matched-run.OnHold, run.Object)
	}
	if err := showFew(ctx, w, run); err != nil {
		return 0, err
	}
	return w.typedCount(fmt.Sprintf("To delete %s (restorable for %d days), type their number: ", records(run.Matched-run.OnHold, run.Object), binDays))
}

// fewShown is how many records are shown before their number is typed.
const fewShown = 5

// showFew names some of the records that a prepared deletion would delete.
func showFew(ctx context.Context, w *work, run crmstore.Run) error {
	partitions, err := w.store.Partitions(ctx)
	if err != nil {
		return err
	}
	var ids []record.ID
	for p := 0; p < partitions && len(ids) < fewShown; p += 64 {
		matches, err := w.store.Matches(ctx, run.Object, run.ID, p, min(p+64, partitions))
		if err != nil {
			return err
		}
		for _, m := range matches {
			ids = append(ids, m.IDs...)
		}
	}
	nameFew(ctx, w, run.Object, ids, run.Matched-run.OnHold)
	return nil
}

// nameFew names the first of the records to a person, and says how many more of all there are.
func nameFew(ctx context.Context, w *work, o record.ObjectType, ids []record.ID, all int64) {
	for _, id := range ids[:min(len(ids), fewShown)] {
		w.err.printf("  %s\n", inWords(ctx, w, o, id))
	}
	if rest := all - fewShown; rest > 0 {
		w.err.printf("  and %s more\n", count(rest))
	}
}

// emitDeletion says how a deletion of many ended.
func emitDeletion(s *session, run crmstore.Run, err error) error {
	var refused *workflow.RefusedError
	switch {
	case err != nil && errors.As(err, &refused) && run.Deleted > 0:
		return &problem{
			code: exitRefused, reason: refused.Reason, message: fmt.Sprintf("%s; %s deleted before that", refused.Message, records(run.Deleted, run.Object)),
			help: "bring them back: workflow undo " + run.ID,
		}
	case err != nil && run.ID != "" && errors.Is(err, context.Canceled):
		return &problem{
			code: exitFailed, reason: "interrupted",
			message: fmt.Sprintf("run %s was stopped; %s deleted so far", run.ID, records(run.Deleted, run.Object)),
			help:    fmt.Sprintf("go on where it stopped: workflow resume %s; or bring them back: workflow cancel %s, and then workflow undo %s", run.ID, run.ID, run.ID),
		}
	}
	return emitRun(s, run, err)
}
