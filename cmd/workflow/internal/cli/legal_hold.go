package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func legalHoldCommand(s *session) *cobra.Command {
	return group("legal-hold", "records that nothing and nobody may delete",
		"  workflow legal-hold add ada@example.com --reason \"lawsuit 2026-17\"\n  workflow legal-hold list",
		legalHoldChange(s, "add", "put records on legal hold, live ones and those in the recycle bin", true),
		legalHoldChange(s, "remove", "end a legal hold", false),
		legalHoldList(s))
}

// holdsDocument is which records are on legal hold.
type holdsDocument struct {
	Object  record.ObjectType `json:"object"`
	Changed int               `json:"changed"`
	Holds   []crmstore.Hold   `json:"holds"`
}

func legalHoldChange(s *session, verb, short string, hold bool) *cobra.Command {
	var reason, file string
	long := "legal-hold " + verb + " needs the permission legal-hold, and a reason, which stands in the audit log.\n"
	if hold {
		long += "Until the hold ends, no workflow and no person deletes the record, not permanently either. It stays in the\n" +
			"recycle bin when its 90 days are over. It can still be changed and restored. A deletion leaves it alone and counts it."
	} else {
		long += "From then on the record can be deleted as any other.\n" +
			"One whose time in the recycle bin is over goes with the next purge."
	}
	cmd := &cobra.Command{
		Use: verb + " ID|E-MAIL...", Short: short, Long: long, Args: args(0, -1, "ids or e-mail addresses"),
		Example: "  workflow legal-hold " + verb + " 4711 ada@example.com --reason \"lawsuit 2026-17\"",
	}
	object := objectFlag(s, cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log and for whoever wants to delete the record; must be given")
	cmd.Flags().StringVar(&file, "ids", "", "a file of ids or e-mail addresses, one a line (- is standard input)")
	check := func(words []string) error {
		if len(words) == 0 && file == "" {
			return usagef("workflow legal-hold "+verb+" ID|E-MAIL... --reason TEXT", "which records?")
		}
		if strings.TrimSpace(reason) == "" {
			return usagef("add --reason TEXT", "a legal hold needs a reason")
		}
		return nil
	}
	cmd.RunE = s.work(needs{check: check, object: object}, func(ctx context.Context, w *work) error {
		ids, err := namedIDs(ctx, w, naming{w.object, w.words, file, false})
		if err != nil {
			return err
		}
		return changeHolds(ctx, w, unique(ids), reason, hold)
	})
	return cmd
}

func changeHolds(ctx context.Context, w *work, ids []record.ID, reason string, hold bool) error {
	outcomes, err := w.store.SetHold(ctx, w.object, ids, hold, w.cause(reason), w.now())
	if err != nil {
		return err
	}
	doc := holdsDocument{Object: w.object, Holds: []crmstore.Hold{}}
	missing := 0
	for _, t := range outcomes {
		switch t {
		case crmstore.HoldChanged:
			doc.Changed++
		case crmstore.HoldNoRecord:
			missing++
		}
	}
	w.emit(doc, func(out *output) {
		for i, t := range outcomes {
			out.printf("%s %s %s\n", w.object, ids[i], holdWords(t, hold))
		}
	})
	if missing > 0 {
		return said(exitRefused)
	}
	return nil
}

func holdWords(t crmstore.HoldOutcome, hold bool) string {
	switch {
	case t == crmstore.HoldNoRecord:
		return "is not there, so nothing can hold it"
	case t == crmstore.HoldChanged && hold:
		return "is on legal hold"
	case t == crmstore.HoldChanged:
		return "is not on legal hold any more"
	case hold:
		return "was on legal hold before; the earlier reason stays"
	default:
		return "was not on legal hold"
	}
}

func legalHoldList(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "say which records are on legal hold, since when, by whom and why",
		Long: "legal-hold list needs view of the object type.", Example: "  workflow legal-hold list --object company", Args: noArgs,
	}
	object := objectFlag(s, cmd)
	cmd.RunE = s.work(needs{object: object}, func(ctx context.Context, w *work) error {
		holds, err := w.store.Holds(ctx, w.object)
		if err != nil {
			return err
		}
		w.emit(holdsDocument{Object: w.object, Holds: holds}, func(out *output) {
			if len(holds) == 0 {
				out.printf("no %s is on legal hold\n", w.object)
				return
			}
			tb := &table{columns: []column{{head: "id", right: true}, {head: "since"}, {head: "by"}, {head: "why"}}}
			for _, h := range holds {
				tb.add(txt(h.ID.String()), txt(stamp(h.At)), txt(clean(h.Actor)), txt(clean(h.Reason)))
			}
			out.table(tb, 0)
		})
		return nil
	})
	return cmd
}
