package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// allObjects is the word for every object type of the account.
const allObjects = "all"

func purgeCommand(s *session) *cobra.Command {
	var expired bool
	confirm := int64(-1)
	var object string
	cmd := &cobra.Command{
		Use: "purge --expired [--object TYPE|all] [--confirm N]", Short: "remove records for good that have been in the recycle bin for 90 days",
		Long: "purge removes records for good whose 90 days in the recycle bin are over, to the second: their properties, lists\n" +
			"and enrollments. They cannot be restored afterwards. The daemon does it by itself every five minutes; this verb is for\n" +
			"stores without a daemon. It may be interrupted and repeated. Needs the permission super-admin.\n\n" +
			"After a leap of the store's time, or while no machine was up that saw it pass, that time is not counted, and what would\n" +
			"be due by it stays (exit code 1): `workflow account clock`. A person who knows that the time is right types how many\n" +
			"records that are, at the terminal or with --confirm N; another number removes none of them.",
		Example: "  workflow purge --expired\n  workflow purge --expired --object deal",
		Args:    noArgs,
		RunE: s.work(needs{check: func([]string) error {
			if !expired {
				return usagef("write: workflow purge --expired", "say what to purge")
			}
			return nil
		}}, func(ctx context.Context, w *work) error {
			var objects []record.ObjectType
			var err error
			if object == allObjects {
				objects, err = w.store.ObjectTypes(ctx)
			} else {
				objects = make([]record.ObjectType, 1)
				objects[0], err = parseObject(ctx, w.session, "--object", object)
			}
			if err != nil {
				return err
			}
			return purgeExpired(ctx, w, objects, confirm)
		}),
	}
	cmd.Flags().BoolVar(&expired, "expired", false, "what has been in the recycle bin for 90 days (there is nothing else to purge)")
	cmd.Flags().Int64Var(&confirm, "confirm", -1, "how many records are held because nobody saw their time pass; remove them too")
	cmd.Flags().StringVar(&object, "object", allObjects, "only this object type")
	_ = cmd.RegisterFlagCompletionFunc("object", completeObjects(s))
	return cmd
}

// purgeDocument is what a purge removed.
type purgeDocument struct {
	OnHold  int64                       `json:"on_hold"` // on legal hold, and left alone
	Purged  int64                       `json:"purged"`
	Held    int64                       `json:"held"` // not purged yet, since nobody saw their time pass
	Objects map[record.ObjectType]int64 `json:"objects"`
}

func purgeExpired(ctx context.Context, w *work, objects []record.ObjectType, confirm int64) error {
	c, err := w.store.KeepClock(ctx)
	if err != nil {
		return err
	}
	held := int64(0)
	if c.Uncounted > 0 {
		for _, o := range objects {
			n, err := w.store.CountExpired(ctx, o, c.Counted(), c.Time)
			if err != nil {
				return err
			}
			held += n
		}
	}
	until := c.Counted()
	switch {
	case confirm < 0 && held > 0 && w.command.StdinTerminal:
		if confirm, err = askHeld(w.session, held, c); err != nil {
			return err
		}
	case confirm < 0:
	case confirm != held:
		return &problem{
			code: exitRefused, reason: workflow.RefusedCount, help: "see them with: workflow bin; and the time with: workflow account clock",
			message: fmt.Sprintf("%d records are held, not %d; nothing was removed", held, confirm),
		}
	}
	if confirm >= 0 {
		until, held = c.Time, 0
	}
	doc := purgeDocument{Objects: map[record.ObjectType]int64{}}
	bar := w.progress()
	defer bar.end()
	for _, o := range objects {
		report, err := w.store.Purge(ctx, crmstore.PurgeOrder{
			Object: o, Cause: w.cause("purge --expired"), At: until,
			Progress: func(done, total int64) { bar.update(o.Plural(), done, total) },
		})
		if err != nil {
			return err
		}
		doc.Purged += report.Purged
		doc.Objects[o] = report.Purged
		doc.OnHold += report.Held
	}
	bar.end()
	if confirm >= 0 && c.Uncounted > 0 && len(objects) > 1 {
		if err := w.store.CountTime(ctx, w.cause("purge --expired --confirm")); err != nil {
			return err
		}
	}
	doc.Held = held
	w.emit(doc, func(out *output) {
		if doc.Purged+doc.OnHold == 0 {
			out.printf("nothing has been in the recycle bin for %d days\n", binDays)
		}
		for _, o := range objects {
			if n := doc.Objects[o]; n > 0 {
				out.printf("%s removed for good\n", records(n, o))
			}
		}
		if doc.OnHold > 0 {
			out.printf("on legal hold: %s left alone; see: workflow legal-hold list\n", count(doc.OnHold))
		}
		if doc.Held > 0 {
			out.printf("%s are held: their 90 days are over only if the last %s passed, which no machine saw\n", count(doc.Held), c.Uncounted.Round(time.Second))
			out.printf("if the time is right: workflow purge --expired --confirm %d\n", doc.Held)
		}
	})
	if held > 0 {
		return said(exitRefused)
	}
	return nil
}

// askHeld has a person type the number of records that are held; below 0: they stay.
func askHeld(s *session, held int64, c crmstore.Clock) (int64, error) {
	if err := s.out.flush(); err != nil {
		return -1, err
	}
	s.err.printf("%s records are due only if the last %s passed, which no machine saw. Type their number to remove them for good: ",
		count(held), c.Uncounted.Round(time.Second))
	if s.answer() == strconv.FormatInt(held, 10) {
		return held, nil
	}
	return -1, nil
}
