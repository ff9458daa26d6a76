package cli

import (
	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

func (s *session) doctorCommand() *cobra.Command {
	var repair bool
	var object string
	cmd := &cobra.Command{
		Use: "doctor [--repair] [--object TYPE]", Short: "check records against columns, lists, e-mail addresses and enrollments",
		Long: "doctor compares everything that the store derives from records (columns, counts, e-mail addresses, lists,\n" +
			"enrollments) with the records themselves, which are the truth. It only looks unless --repair is given.\n" +
			"Exit code 1 when something is wrong and was not repaired.",
		Example: "  workflow doctor\n  workflow doctor --repair",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			objects := crmstore.StandardObjects()
			if object != "" {
				o, err := crmstore.ParseObjectType(object)
				if err != nil {
					return usagef("", "--object: %v", err)
				}
				objects = []crmstore.ObjectType{o}
			}
			store, err := s.open(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := store.Account(cmd.Context()); err != nil {
				return err
			}
			doc := doctorDocument{Problems: []crmstore.Problem{}}
			for _, o := range objects {
				err := store.Doctor(cmd.Context(), o, repair, func(p crmstore.Problem) error {
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
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "put right what is wrong")
	cmd.Flags().StringVar(&object, "object", "", "only this object type")
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
