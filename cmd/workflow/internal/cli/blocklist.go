package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

func blocklistCommand(s *session) *cobra.Command {
	return group("blocklist", "e-mail addresses that no contact may have",
		"  workflow blocklist add ada@example.com\n  workflow blocklist check ada@example.com",
		blocklistChange(s, "add", "block addresses, whether or not a contact ever had them", true),
		blocklistChange(s, "remove", "take addresses off the block list", false),
		blocklistCheck(s))
}

// blocklistDocument is how addresses stand on the block list.
type blocklistDocument struct {
	Changed   int                    `json:"changed"`
	Addresses []crmstore.BlockResult `json:"addresses"`
}

func blocklistChange(s *session, verb, short string, add bool) *cobra.Command {
	var reason string
	long := "blocklist " + verb + " needs the permission permanently-delete. Addresses are kept as keyed hashes: nobody can list them.\n"
	if add {
		long += "Import, create, update and restore refuse them from then on. An address that a contact has cannot be blocked:\n" +
			"the contact is named, and the exit code is 1."
	} else {
		long += "From then on contacts may have them again; nothing that was deleted permanently comes back."
	}
	cmd := &cobra.Command{
		Use: verb + " ADDRESS...", Short: short, Long: long, Example: "  workflow blocklist " + verb + " ada@example.com",
		Args: args(1, -1, "e-mail addresses"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log; write no address into it")
	cmd.RunE = s.work(needs{}, func(ctx context.Context, w *work) error {
		change := w.store.UnblockAddresses
		if add {
			change = w.store.BlockAddresses
		}
		results, err := change(ctx, w.words, w.cause(reason), w.now())
		if err != nil {
			return err
		}
		return emitBlocks(w.session, results, add)
	})
	return cmd
}

func emitBlocks(s *session, results []crmstore.BlockResult, add bool) error {
	doc := blocklistDocument{Addresses: results}
	held := 0
	for _, r := range results {
		if r.Changed {
			doc.Changed++
		}
		if r.Holder != 0 {
			held++
		}
	}
	s.emit(doc, func(o *output) {
		for _, r := range results {
			email := clean(r.Email)
			switch {
			case r.Holder != 0:
				o.printf("%s is not blocked: contact %s has it; delete the contact first, or give it another address\n", email, r.Holder)
			case r.Changed && add:
				o.printf("%s is blocked\n", email)
			case add:
				o.printf("%s was blocked before, on %s\n", email, r.Since.Format("2006-01-02"))
			case r.Changed:
				o.printf("%s is not blocked any more\n", email)
			default:
				o.printf("%s was not blocked\n", email)
			}
		}
	})
	if add && held > 0 {
		return said(exitRefused)
	}
	return nil
}

func blocklistCheck(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "check ADDRESS...", Short: "say whether addresses are blocked",
		Long: "blocklist check says of each address whether it is blocked, and since when. Whoever may edit contacts may ask.\n" +
			"Exit code 1 when one of them is blocked.",
		Example: "  workflow blocklist check ada@example.com", Args: args(1, -1, "e-mail addresses"),
	}
	cmd.RunE = s.work(needs{}, checkBlocks)
	return cmd
}

func checkBlocks(ctx context.Context, w *work) error {
	results, err := w.store.CheckAddresses(ctx, w.words)
	if err != nil {
		return err
	}
	blocked := 0
	for _, r := range results {
		if r.Blocked {
			blocked++
		}
	}
	w.emit(blocklistDocument{Addresses: results}, func(o *output) {
		for _, r := range results {
			if r.Blocked {
				o.printf("%s is blocked, since %s\n", clean(r.Email), r.Since.Format("2006-01-02"))
			} else {
				o.printf("%s is not blocked\n", clean(r.Email))
			}
		}
	})
	if blocked > 0 {
		return said(exitRefused)
	}
	return nil
}
