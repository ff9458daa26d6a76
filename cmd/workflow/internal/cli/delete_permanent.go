package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// checkPermanent is a usage error unless --permanent is asked for contacts that are named. There is no way back, so
// that no search and no --yes goes with it.
func (f *deleteFlags) checkPermanent(o record.ObjectType) error {
	switch {
	case !f.permanent:
		return nil
	case o != record.Contact:
		return usagef("leave --permanent out: it can be restored for 90 days, and is purged after that", "only contacts are deleted permanently, not %s", o.Plural())
	case f.where != "" || f.list != "":
		return usagef("name the contacts by their ids or e-mail addresses", "--permanent does not go with --where or --list")
	case f.yes:
		return usagef("write --confirm N with the number of contacts, also for one", "--yes is not enough for a permanent deletion")
	}
	return nil
}

// deletePermanently has the number of contacts typed, also for one, and deletes them without a way back.
func deletePermanently(ctx context.Context, w *work, f *deleteFlags, words []string) error {
	ids, err := namedIDs(ctx, w, naming{record.Contact, words, f.ids, f.skip})
	if err != nil {
		return err
	}
	if ids, err = erasable(ctx, w, unique(ids), f.skip); err != nil {
		return err
	}
	found := int64(len(ids))
	if found == 0 {
		return refusedf("", "none of the ids is a contact's; nothing was deleted")
	}
	if err := checkLargeErasure(ctx, w, found); err != nil {
		return err
	}
	typed := f.confirm.n
	if !f.confirm.given && !w.command.StdinTerminal {
		return needsCount("permanently delete", found, record.Contact)
	}
	if !f.confirm.given {
		nameFew(ctx, w, record.Contact, ids, int64(len(ids)))
		question := fmt.Sprintf("There is no way back. To delete %s permanently, type their number: ", records(found, record.Contact))
		if typed, err = w.typedCount(question); err != nil {
			return err
		}
	}
	if typed != found {
		return wrongCount(typed, found, record.Contact)
	}
	bar := w.progress()
	order := crmstore.EraseOrder{
		Cause: w.cause(f.reason), At: w.now(), Progress: func(done, total int64) { bar.update("delete", done, total) },
	}
	report, err := w.store.Erase(ctx, order, ids)
	bar.end()
	if err != nil {
		return err
	}
	return emitErased(w.session, report, confirmByMail(ctx, w, report.Confirmation))
}

// checkLargeErasure refuses to delete so many contacts permanently that two users would have to approve it in the recycle bin's case: a
// permanent deletion is of one user, and cannot be undone.
func checkLargeErasure(ctx context.Context, w *work, found int64) error {
	rules, err := workflow.ReadApprovalRules(ctx, w.store)
	if err != nil || rules.Needed < 2 {
		return err
	}
	counts, err := w.store.Count(ctx, record.Contact)
	if err != nil || !workflow.LargeByHand(found, counts.Live+counts.Archived) {
		return err
	}
	return &problem{
		code: exitRefused, reason: workflow.RefusedApprover,
		message: fmt.Sprintf("this would permanently delete %s, and this account wants 2 users to approve large deletions; nothing was changed", records(found, record.Contact)),
		help:    "delete them to the recycle bin, which two users can approve, and permanently fewer at a time",
	}
}

// erasable is the ids if all of them are contacts', live or in the bin; else a refusal that names the others, unless
// these are to be skipped.
func erasable(ctx context.Context, w *work, ids []record.ID, skip bool) ([]record.ID, error) {
	var there, missing []record.ID
	for from := 0; from < len(ids); from += csvBatch {
		part := ids[from:min(from+csvBatch, len(ids))]
		recs, err := w.store.Get(ctx, record.Contact, part)
		if err != nil {
			return nil, err
		}
		at := 0
		for _, id := range part {
			if at < len(recs) && recs[at].ID == id {
				there = append(there, id)
				at++
			} else {
				missing = append(missing, id)
			}
		}
	}
	if skip || len(missing) == 0 {
		return there, nil
	}
	named := missing[:min(len(missing), shownAddresses)]
	graves, err := w.store.Tombstones(ctx, record.Contact, named)
	if err != nil {
		return nil, err
	}
	before := map[record.ID]crmstore.Tombstone{}
	for _, g := range graves {
		before[g.ID] = g
	}
	var parts []string
	for _, id := range named {
		if g, ok := before[id]; ok {
			parts = append(parts, fmt.Sprintf("contact %s was deleted permanently on %s by %s", id, stamp(g.At), clean(g.Actor)))
		} else {
			parts = append(parts, fmt.Sprintf("there is no contact %s", id))
		}
	}
	if more := len(missing) - len(named); more > 0 {
		parts = append(parts, fmt.Sprintf("and %s more", count(more)))
	}
	p := &problem{code: exitRefused, reason: "not-found", message: "nothing was deleted: " + strings.Join(parts, "; ")}
	if len(there) > 0 {
		p.help = "to delete the others: --skip-missing"
	}
	return nil, p
}

// erasedDocument is what a permanent deletion did.
type erasedDocument struct {
	crmstore.EraseReport
	Deleted int           `json:"deleted"`
	Mail    *confirmation `json:"confirmation,omitempty"`
}

func emitErased(s *session, report crmstore.EraseReport, told *confirmation) error {
	doc := erasedDocument{EraseReport: report, Mail: told}
	for _, r := range report.Results {
		if r.Outcome == crmstore.Erased {
			doc.Deleted++
		}
	}
	s.emit(doc, func(o *output) {
		o.printf("%s deleted permanently, as %s\n", records(doc.Deleted, record.Contact), report.Run)
		for _, r := range report.Results {
			switch {
			case r.Outcome == crmstore.NothingThere, r.Outcome == crmstore.ErasedBefore:
				o.printf("  contact %s: somebody else deleted it meanwhile\n", r.ID)
			case r.Outcome == crmstore.ErasureHeld:
				o.printf("  contact %s: it was put on legal hold meanwhile, and stays\n", r.ID)
			case r.Holder != 0:
				o.printf("  contact %s: its e-mail address is not blocked, because contact %s has it\n", r.ID, r.Holder)
			case r.Blocked:
				o.printf("  contact %s: its e-mail address is on the block list\n", r.ID)
			}
		}
		if why := report.File.StillHeld(); why != "" {
			o.printf("%s Redis's append-only file still holds them: %s; run: redis-cli BGREWRITEAOF\n", o.paint(yellow, "note:"), why)
		} else if report.File == crmstore.FileRewriting {
			o.printf("Redis is writing its append-only file anew, without them\n")
		}
		if report.Changed > 0 {
			o.printf("%s of others changed: the address or the whole name in their texts was overwritten\n", counted(report.Changed, "audit event", "audit events"))
		}
		told.show(o)
		for _, m := range report.Mentions {
			if m.Kind == crmstore.MentionHeld {
				o.printf("%s %s is on legal hold and stays as it is: the reason for its deletion names one of them\n", o.paint(yellow, "note:"), clean(m.Name))
				continue
			}
			o.printf("%s %s %s names what identified one of them; change it by hand\n", o.paint(yellow, "note:"), m.Kind, clean(m.Name))
		}
	})
	return nil
}
