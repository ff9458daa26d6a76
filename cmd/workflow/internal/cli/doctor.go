package cli

import (
	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

func (s *session) doctorCommand() *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use: "doctor [--repair] [--object TYPE]", Short: "check records against columns, lists, e-mail addresses and enrollments",
		Long: "doctor compares everything that the store derives from records (columns, counts, e-mail addresses, lists,\n" +
			"enrollments) with the records themselves, which are the truth. It only looks unless --repair is given.\n" +
			"Exit code 1 when something is wrong and was not repaired.",
		Example: "  workflow doctor\n  workflow doctor --repair",
		Args:    noArgs,
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "put right what is wrong")
	object := s.objectFlagOr(cmd, "", "only this object type")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		only, err := object(ctx)
		if err != nil {
			return err
		}
		store, err := s.open(ctx)
		if err != nil {
			return err
		}
		objects, err := store.ObjectTypes(ctx)
		if err != nil {
			return err
		}
		doc := doctorDocument{Problems: []crmstore.Problem{}}
		for _, o := range objects {
			if only != "" && o != only {
				continue
			}
			err := store.Doctor(ctx, o, repair, func(p crmstore.Problem) error {
				doc.note(p)
				return nil
			})
			if err != nil {
				return err
			}
		}
		s.emit(doc, doc.show)
		if doc.Found > doc.Repaired {
			return said(exitRefused)
		}
		return nil
	}
	return cmd
}

// maxProblems bounds how many problems are kept for display; all of them are counted.
const maxProblems = 1000

type doctorDocument struct {
	Found    int                `json:"found"`
	Repaired int                `json:"repaired"`
	Problems []crmstore.Problem `json:"problems"` // the first 1,000
}

func (d *doctorDocument) note(p crmstore.Problem) {
	d.Found++
	if p.Repaired {
		d.Repaired++
	}
	if len(d.Problems) < maxProblems {
		d.Problems = append(d.Problems, p)
	}
}

func (d *doctorDocument) show(o *output) {
	if d.Found == 0 {
		o.printf("%s everything agrees with the records\n", o.paint(green, "good:"))
		return
	}
	tb := &table{columns: []column{{head: "what"}, {head: "record"}, {head: "detail", flex: true}, {head: "repaired"}}}
	for _, p := range d.Problems {
		record, repaired := string(p.Object), ink(red, "no")
		if p.ID != 0 {
			record += " " + p.ID.String()
		}
		if p.Repaired {
			repaired = ink(green, "yes")
		}
		tb.add(txt(p.Code), txt(record), txt(p.Detail), repaired)
	}
	o.table(tb, 0)
	if d.Found > len(d.Problems) {
		o.printf("and %s more\n", count(d.Found-len(d.Problems)))
	}
	o.printf("\n%s found, %s repaired\n", counted(d.Found, "problem", "problems"), count(d.Repaired))
	if d.Found > d.Repaired {
		o.printf("repair them: workflow doctor --repair\n")
	}
}
