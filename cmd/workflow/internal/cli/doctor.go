package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func doctorCommand(s *session) *cobra.Command {
	var order crmstore.DoctorOrder
	var back string
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: mends},
		Use:         "doctor [--repair] [--quarantine] [--put-back ID] [--object TYPE]", Short: "check records against columns, lists, e-mail addresses and enrollments",
		Long: "doctor compares everything that the store derives from records (columns, counts, e-mail addresses, lists,\n" +
			"enrollments) with the records themselves, which are the truth. It only looks unless --repair is given.\n\n" +
			"What the server has lost, records, members of lists, enrollments or audit events, no repair brings back. Until it\n" +
			"is put back, or accepted with account accept-loss, no run goes on that would have asked it.\n\n" +
			"It also names what a wrong clock keeps from going on: records that are not purged, schedules that stand still.\n\n" +
			"--quarantine moves records that cannot be read out of the way of everything else. Their bytes are kept, and\n" +
			"--put-back puts them back. It moves keys of a wrong type aside too.\n\n" +
			"Exit code 1 when something is wrong and was not repaired, and when something was lost.",
		Example: "  workflow doctor\n  workflow doctor --repair",
		Args:    noArgs,
	}
	cmd.Flags().BoolVar(&order.Repair, "repair", false, "put right what is wrong")
	cmd.Flags().BoolVar(&order.Quarantine, "quarantine", false, "move aside what cannot be read; audited")
	cmd.Flags().StringVar(&back, "put-back", "", "put a record that was moved aside back as it was; audited")
	object := objectFlagOr(s, cmd, "", "only this object type")
	cmd.RunE = s.work(needs{object: object}, func(ctx context.Context, w *work) error {
		order.Cause, order.At = w.cause("doctor"), w.now()
		if back != "" {
			return putBack(ctx, w, cmp.Or(w.object, record.Contact), back, order)
		}
		objects, err := w.store.ObjectTypes(ctx)
		if err != nil {
			return err
		}
		doc := doctorDocument{Problems: []crmstore.Problem{}}
		if err := examineLoss(ctx, w.store, w.object, doc.note); err != nil { // before anything is repaired towards the loss
			return err
		}
		for _, o := range objects {
			if w.object != "" && o != w.object {
				continue
			}
			err := w.store.Examine(ctx, o, order, func(p crmstore.Problem) error {
				doc.note(p)
				return nil
			})
			if err != nil {
				return err
			}
		}
		if doc.Clock, err = newClockNotes(ctx, w, w.object); err != nil {
			return err
		}
		w.emit(doc, func(o *output) {
			doc.show(o)
			doc.Clock.show(o)
		})
		if doc.Found > doc.Repaired {
			return said(exitRefused)
		}
		return nil
	})
	return cmd
}

// putBack puts one record out of quarantine.
func putBack(ctx context.Context, w *work, o record.ObjectType, text string, order crmstore.DoctorOrder) error {
	id, err := record.ParseID(text)
	if err != nil || order.Repair || order.Quarantine {
		return usagef("", "--put-back wants the id of a record and no other order, got %q", text)
	}
	if err := w.store.PutBack(ctx, o, id, order.Cause, order.At); err != nil {
		return err
	}
	w.emit(map[string]any{"object": o, "id": id}, func(out *output) {
		out.printf("%s %s stands where it was; see: workflow doctor\n", o, id)
	})
	return nil
}

// maxProblems bounds how many problems are kept for display; all of them are counted.
const maxProblems = 1000

type doctorDocument struct {
	Found    int                `json:"found"`
	Repaired int                `json:"repaired"`
	Lost     int                `json:"lost"`     // of these, losses, which no repair ends
	Known    int                `json:"known"`    // beside these: losses that were accepted earlier, and records in quarantine
	Problems []crmstore.Problem `json:"problems"` // the first 1,000
	Clock    clockNotes         `json:"clock"`

	clock   int  // of Found, what only account clock --accept ends
	damaged bool // there are records that cannot be read, or keys of a wrong type
}

func (d *doctorDocument) note(p crmstore.Problem) {
	if len(d.Problems) < maxProblems {
		d.Problems = append(d.Problems, p)
	}
	if p.Known() {
		d.Known++
		return
	}
	d.Found++
	if p.Repaired {
		d.Repaired++
	}
	switch p.Code {
	case "lost", crmstore.TroubleMissing, crmstore.TroubleEvicted, crmstore.TroubleLedger:
		d.Lost++
	case "clock":
		d.clock++
	case "record", "type":
		d.damaged = d.damaged || !p.Repaired
	}
}

func (d *doctorDocument) show(o *output) {
	if d.Found+d.Known == 0 {
		o.printf("%s everything agrees with the records\n", o.paint(green, "good:"))
		return
	}
	tb := &table{columns: []column{{head: "what"}, {head: "record"}, {head: "detail", flex: true}, {head: "repaired"}}}
	for _, p := range d.Problems {
		record, repaired := string(p.Object), ink(red, "no")
		if p.ID != 0 {
			record += " " + p.ID.String()
		}
		switch {
		case p.Repaired:
			repaired = ink(green, "yes")
		case p.Accepted:
			repaired = txt("accepted")
		case p.Known():
			repaired = txt("set aside")
		}
		tb.add(txt(p.Code), txt(record), txt(p.Detail), repaired)
	}
	o.table(tb, 0)
	if d.Found+d.Known > len(d.Problems) {
		o.printf("and %s more\n", count(d.Found+d.Known-len(d.Problems)))
	}
	if d.Found == 0 {
		o.printf("\nnothing else is wrong; what stands above is known and stays so\n")
		return
	}
	o.printf("\n%s found, %s repaired\n", counted(d.Found, "problem", "problems"), count(d.Repaired))
	if d.Found > d.Repaired+d.Lost+d.clock {
		o.printf("repair them: workflow doctor --repair\n")
	}
	if d.damaged {
		o.printf("move aside what cannot be read, so that the rest goes on: workflow doctor --quarantine\n")
	}
	if d.Lost > 0 {
		o.printf("%s\n", lossAdvice)
	}
}

// lossAdvice says what to do about what was lost.
const lossAdvice = "what was lost is not in this store any more, and no repair makes it:\n" +
	"  1. find out why (eviction, a deleted key, a disk): docs/OPERATING.md\n" +
	"  2. bring back a backup; or put members back on lists with `workflow lists add`\n" +
	"     (`workflow audit --action list-add` says who they were), and records with `workflow records import`\n" +
	"  3. then go on without the rest: workflow account accept-loss\n" +
	"until then, runs that ask what is lost fail before they delete anybody"
