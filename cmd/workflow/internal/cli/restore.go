package cli

import (
	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

func (s *session) restoreCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "restore ID...", Short: "bring records back from the recycle bin",
		Long: "restore brings records back exactly as they were: properties, lists, everything. A contact whose e-mail address\n" +
			"belongs to another contact by now stays in the bin, and the other one is named.",
		Example: "  workflow restore 4711 4712\n  workflow undo RUN     # all that one run deleted",
		Args:    args(1, -1, "the ids of records in the bin"),
	}
	object := s.objectFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := object(cmd.Context())
		if err != nil {
			return err
		}
		ids := make([]crmstore.ID, 0, len(args))
		for _, a := range args {
			id, err := crmstore.ParseID(a)
			if err != nil {
				return usagef("see the ids: workflow bin", "%v", err)
			}
			ids = append(ids, id)
		}
		store, err := s.open(cmd.Context())
		if err != nil {
			return err
		}
		order := crmstore.RestoreOrder{Object: o, Cause: s.cause(reason), At: s.now()}
		results, err := store.Restore(cmd.Context(), order, ids)
		if err != nil {
			return err
		}
		return s.emitRestored(o, results)
	}
	return cmd
}

// restoredDocument is what became of records to restore.
type restoredDocument struct {
	Restored    int             `json:"restored"`
	NotRestored int             `json:"not_restored"`
	Gone        int             `json:"gone"` // of these, what is not there: never was, or purged
	Records     []restoredEntry `json:"records"`
}

type restoredEntry struct {
	ID      crmstore.ID `json:"id"`
	Outcome string      `json:"outcome"` // restored, live, not_found, email_taken, other_run
	Holder  crmstore.ID `json:"holder,omitempty"`
}

// restoreWords are the outcomes for programs and for people.
var restoreWords = map[crmstore.RestoreOutcome][2]string{
	crmstore.Restored:     {"restored", "restored"},
	crmstore.NotArchived:  {"live", "is not in the bin"},
	crmstore.NotThere:     {"not_found", "does not exist (any more)"},
	crmstore.EmailTaken:   {"email_taken", "its e-mail address now belongs to "},
	crmstore.NotByThatRun: {"other_run", "was deleted again by somebody else since"},
}

func (s *session) emitRestored(o crmstore.ObjectType, results []crmstore.RestoreResult) error {
	doc := restoredDocument{Records: make([]restoredEntry, 0, len(results))}
	for _, r := range results {
		if r.Outcome == crmstore.Restored {
			doc.Restored++
		} else {
			doc.NotRestored++
		}
		if r.Outcome == crmstore.NotThere {
			doc.Gone++
		}
		doc.Records = append(doc.Records, restoredEntry{ID: r.ID, Outcome: restoreWords[r.Outcome][0], Holder: r.Holder})
	}
	s.emit(doc, func(out *output) {
		out.printf("%s restored\n", records(doc.Restored, o))
		if doc.Gone > 0 {
			out.printf("%s can no longer be restored\n", records(doc.Gone, o))
		}
		for _, r := range results {
			if r.Outcome == crmstore.Restored {
				continue
			}
			why := restoreWords[r.Outcome][1]
			if r.Holder != 0 {
				why += string(o) + " " + r.Holder.String()
			}
			out.printf("  %s %s: %s\n", o, r.ID, why)
		}
	})
	if doc.NotRestored > 0 {
		return said(exitRefused)
	}
	return nil
}
