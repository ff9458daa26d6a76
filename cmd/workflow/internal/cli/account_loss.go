package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
)

func accountAcceptLoss(s *session) *cobra.Command {
	var confirm typedNumber
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: mends},
		Use:         "accept-loss [--confirm N]", Short: "go on without what the store has lost",
		Long: "accept-loss names what the store has lost, with numbers: records, members of lists, enrollments, legal holds, audit\n" +
			"events, and keys that the server dropped by itself. Until a person accepts it, daemons, runs and verbs that write\n" +
			"stop, or those do that ask what is lost. Bring a backup back instead where there is one.\n\n" +
			"The number of all of it must be typed (at the terminal, or --confirm N); another number accepts nothing. What depends\n" +
			"on it is then repaired as by doctor --repair, and every later doctor says what was accepted. For super admins; audited.",
		Example: "  workflow doctor\n  workflow account accept-loss\n  workflow account accept-loss --confirm 312",
		Args:    noArgs,
	}
	confirm.flag(cmd, "how many entries and keys are lost, as accept-loss says it")
	cmd.RunE = s.work(needs{}, func(ctx context.Context, w *work) error {
		if err := w.store.Check(ctx, "", crmstore.IsSuperAdmin); err != nil {
			return err
		}
		doc, err := findLoss(ctx, w)
		if err != nil {
			return err
		}
		if doc.Lost > 0 {
			if err := confirmLoss(w.session, doc, confirm); err != nil {
				return err
			}
			if err := acceptLoss(ctx, w); err != nil {
				return err
			}
			doc.Accepted = true
		}
		w.emit(doc, func(o *output) {
			if doc.Lost == 0 {
				o.printf("nothing is missing\n")
				return
			}
			doc.table(o)
			o.printf("\naccepted: %s lost; work goes on with what is there\nsee what is left of it: workflow doctor\n", count(doc.Lost))
		})
		return nil
	})
	return cmd
}

// lossDocument is all that the store has lost.
type lossDocument struct {
	Lost     int64              `json:"lost"`     // all of it: entries and keys, and 1 for each thing that cannot be counted
	Accepted bool               `json:"accepted"` // by this call
	Problems []crmstore.Problem `json:"problems"` // what it is, thing by thing
}

func (d *lossDocument) add(p crmstore.Problem) {
	d.Lost += max(p.Lost, 1)
	d.Problems = append(d.Problems, p)
}

func (d *lossDocument) table(o *output) {
	tb := &table{columns: []column{{head: "lost", right: true}, {head: "of"}, {head: "detail", flex: true}}}
	for _, p := range d.Problems {
		lost := "?"
		if p.Lost > 0 {
			lost = count(p.Lost)
		}
		tb.add(txt(lost), txt(string(p.Object)), txt(p.Detail))
	}
	o.table(tb, 0)
}

// findLoss looks for all that is lost, and changes nothing. Records that the ledger and the counters of partitions both miss are
// the same records.
func findLoss(ctx context.Context, w *work) (*lossDocument, error) {
	doc := &lossDocument{Problems: []crmstore.Problem{}}
	missing := map[record.ObjectType]crmstore.Problem{}
	err := examineLoss(ctx, w.store, "", func(p crmstore.Problem) {
		if p.Code == crmstore.TroubleMissing {
			missing[p.Object] = p
			return
		}
		doc.add(p)
	})
	if err != nil {
		return nil, err
	}
	objects, err := w.store.ObjectTypes(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		err := w.store.Examine(ctx, o, crmstore.DoctorOrder{}, func(p crmstore.Problem) error {
			switch ledger, known := missing[o]; {
			case p.Code != "lost":
			case !p.OfRecords || !known:
				doc.add(p)
			case p.Lost > ledger.Lost:
				missing[o] = p
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, o := range slices.Sorted(maps.Keys(missing)) {
		doc.add(missing[o])
	}
	return doc, nil
}

// confirmLoss has the number typed by a person, who may bring a backup back instead.
func confirmLoss(s *session, doc *lossDocument, typed typedNumber) error {
	n := typed.n
	if !typed.given {
		doc.table(s.err)
		if err := s.err.flush(); err != nil {
			return err
		}
		if !s.command.StdinTerminal {
			return refusedf(fmt.Sprintf("bring a backup back; or go on without it: workflow account accept-loss --confirm %d", doc.Lost),
				"%s lost, and nothing was accepted", count(doc.Lost))
		}
		var err error
		if n, err = s.typedCount("to go on without all of it, type how many are lost: "); err != nil {
			return err
		}
	}
	if n != doc.Lost {
		return &problem{
			code: exitRefused, reason: workflow.RefusedCount, help: "see them with: workflow doctor",
			message: fmt.Sprintf("%d are lost, not %d; nothing was accepted", doc.Lost, n),
		}
	}
	return nil
}

// acceptLoss goes on without it: what is counted in partitions first, then the ledger of the whole.
func acceptLoss(ctx context.Context, w *work) error {
	cause, at := w.cause("account accept-loss"), w.now()
	objects, err := w.store.ObjectTypes(ctx)
	if err != nil {
		return err
	}
	for _, o := range objects {
		order := crmstore.DoctorOrder{AcceptLoss: true, Cause: cause, At: at}
		if err := w.store.Examine(ctx, o, order, func(crmstore.Problem) error { return nil }); err != nil {
			return err
		}
	}
	_, err = w.store.AcceptLoss(ctx, cause, at)
	return err
}

// examineLoss says what was lost that no partition knows of: doctor can mend nothing of that.
func examineLoss(ctx context.Context, store *crmstore.Store, only record.ObjectType, report func(crmstore.Problem)) error {
	lost, err := store.Lost(ctx)
	if err != nil {
		return err
	}
	for _, o := range slices.Sorted(maps.Keys(lost.Missing)) {
		if only == "" || only == o {
			report(crmstore.Problem{Code: crmstore.TroubleMissing, Object: o, Lost: lost.Missing[o], Detail: fmt.Sprintf(
				"%s missing, which no run, no purge and no person removed", records(lost.Missing[o], o))})
		}
	}
	for _, o := range lost.Ledgers {
		if only == "" || only == o {
			report(crmstore.Problem{Code: crmstore.TroubleLedger, Object: o, Lost: 1, Detail: fmt.Sprintf(
				"the ledger of %s is lost: nobody can tell of each partition whether it lost some", o.Plural())})
		}
	}
	if lost.Dropped > 0 {
		report(crmstore.Problem{Code: crmstore.TroubleEvicted, Lost: lost.Dropped, Detail: fmt.Sprintf(
			"the server dropped %s by itself since it started", counted(int(lost.Dropped), "key", "keys"))})
	}
	return nil
}
