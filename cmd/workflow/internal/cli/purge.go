package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// allObjects is the word for every object type of the account.
const allObjects = "all"

func (s *session) purgeCommand() *cobra.Command {
	var expired bool
	var object string
	cmd := &cobra.Command{
		Use: "purge --expired [--object TYPE|all]", Short: "remove records for good that have been in the recycle bin for 90 days",
		Long: "purge removes records for good whose 90 days in the recycle bin are over, to the second: their properties, lists\n" +
			"and enrollments. They cannot be restored afterwards. The daemon does it by itself every five minutes; this verb is for\n" +
			"stores without a daemon. It may be interrupted and repeated. Needs the permission super-admin.",
		Example: "  workflow purge --expired\n  workflow purge --expired --object deal",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !expired {
				return usagef("write: workflow purge --expired", "say what to purge")
			}
			store, err := s.open(cmd.Context())
			if err != nil {
				return err
			}
			var objects []crmstore.ObjectType
			if object == allObjects {
				objects, err = store.ObjectTypes(cmd.Context())
			} else {
				objects = make([]crmstore.ObjectType, 1)
				objects[0], err = s.object(cmd.Context(), "--object", object)
			}
			if err != nil {
				return err
			}
			return s.purge(cmd.Context(), store, objects)
		},
	}
	cmd.Flags().BoolVar(&expired, "expired", false, "what has been in the recycle bin for 90 days (there is nothing else to purge)")
	cmd.Flags().StringVar(&object, "object", allObjects, "only this object type")
	_ = cmd.RegisterFlagCompletionFunc("object", s.completeObjects())
	return cmd
}

// purgeDocument is what a purge removed.
type purgeDocument struct {
	Held    int64                         `json:"on_hold"`
	Purged  int64                         `json:"purged"`
	Objects map[crmstore.ObjectType]int64 `json:"objects"`
}

func (s *session) purge(ctx context.Context, store *crmstore.Store, objects []crmstore.ObjectType) error {
	doc := purgeDocument{Objects: map[crmstore.ObjectType]int64{}}
	bar := s.progress()
	defer bar.end()
	for _, o := range objects {
		report, err := store.Purge(ctx, crmstore.PurgeOrder{
			Object: o, Cause: s.cause("purge --expired"), At: s.now(),
			Progress: func(done, total int64) { bar.update(o.Plural(), done, total) },
		})
		if err != nil {
			return err
		}
		doc.Purged += report.Purged
		doc.Objects[o] = report.Purged
		doc.Held += report.Held
	}
	bar.end()
	s.emit(doc, func(out *output) {
		if doc.Purged == 0 {
			out.printf("nothing has been in the recycle bin for %d days\n", binDays)
		}
		for _, o := range objects {
			if n := doc.Objects[o]; n > 0 {
				out.printf("%s removed for good\n", records(n, o))
			}
		}
		if doc.Held > 0 {
			out.printf("on legal hold: %s left alone; see: workflow legal-hold list\n", count(doc.Held))
		}
	})
	return nil
}
