package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func associationsCommand(s *session) *cobra.Command {
	return group("associations", "which records belong together",
		"  workflow associations add ada@example.com company:12 deal:7\n  workflow associations list company:12",
		associationsChange(s, "add", "associate a record with others", true), associationsChange(s, "remove", "take a record and others apart", false),
		associationsList(s), associationsImport(s))
}

const recordWords = "A record is written TYPE:ID, such as company:12; an e-mail address means the contact that has it."

// parseRef reads what a person calls a record of any object type: TYPE:ID, or a contact's e-mail address.
func parseRef(ctx context.Context, w *work, word string) (record.Ref, error) {
	object, id, typed := strings.Cut(word, ":")
	if !typed && strings.Contains(word, "@") {
		object, id = string(record.Contact), word
	} else if !typed {
		return record.Ref{}, usagef("write it as TYPE:ID, such as contact:4711", "%q does not say of which type the record is", word)
	}
	o, err := parseObject(ctx, w.session, word, object)
	if err != nil {
		return record.Ref{}, err
	}
	r := record.Ref{Object: o}
	if r.ID, err = recordID(ctx, w.store, o, id); errors.Is(err, record.ErrNotFound) {
		return r, &problem{code: exitRefused, reason: "not-found", message: "no contact has the e-mail address " + id}
	}
	return r, err
}

func parseRefs(ctx context.Context, w *work, words []string) ([]record.Ref, error) {
	refs := make([]record.Ref, len(words))
	for i, word := range words {
		var err error
		if refs[i], err = parseRef(ctx, w, word); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// associatedDocument is what a change of associations did.
type associatedDocument struct {
	Record    record.Ref        `json:"record"`
	Changed   int               `json:"changed"`
	Unchanged int               `json:"unchanged"`
	Refused   []refusedDocument `json:"refused"`
}

type refusedDocument struct {
	record.Ref
	Reason string `json:"reason"`
}

// associationsChange is `associations add` and `associations remove`.
func associationsChange(s *session, verb, short string, add bool) *cobra.Command {
	done := map[bool]string{true: "associated with", false: "taken apart from"}[add]
	return &cobra.Command{
		Use: verb + " RECORD RECORD...", Short: short,
		Long:    verb + " is about the first record and each of the others.\n" + recordWords + "\nNeeds the permission edit for the types of all of them.",
		Example: "  workflow associations " + verb + " ada@example.com company:12\n  workflow associations " + verb + " deal:7 contact:4711 contact:4712",
		Args:    args(2, -1, "two records or more, such as contact:4711 company:12"),
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			refs, err := parseRefs(ctx, w, w.words)
			if err != nil {
				return err
			}
			pairs := make([]crmstore.Pair, len(refs)-1)
			for i, other := range refs[1:] {
				pairs[i] = crmstore.Pair{A: refs[0], B: other}
			}
			results, err := w.store.Associate(ctx, pairs, add, w.cause("associations "+verb), w.now())
			if err != nil {
				return err
			}
			doc := associatedDocument{Record: refs[0], Refused: []refusedDocument{}}
			for i, r := range results {
				switch r.Outcome {
				case crmstore.PairChanged:
					doc.Changed++
				case crmstore.PairAsItWas:
					doc.Unchanged++
				default:
					doc.Refused = append(doc.Refused, refusedDocument{refs[i+1], r.Reason()})
				}
			}
			w.emit(doc, func(o *output) {
				o.printf("%s: %s %s, %s as it was\n", doc.Record, done, counted(doc.Changed, "record", "records"), count(doc.Unchanged))
				for _, r := range doc.Refused {
					o.printf("  %s: %s\n", r.Ref, r.Reason)
				}
			})
			if len(doc.Refused) > 0 {
				return said(exitRefused)
			}
			return nil
		}),
	}
}

// associationsDocument is the records that belong to one.
type associationsDocument struct {
	Record       record.Ref                        `json:"record"`
	Associations map[record.ObjectType][]record.ID `json:"associations"`

	refs []record.Ref
}

// newAssociations sorts the others by their object type.
func newAssociations(refs []record.Ref) map[record.ObjectType][]record.ID {
	byType := map[record.ObjectType][]record.ID{}
	for _, r := range refs {
		byType[r.Object] = append(byType[r.Object], r.ID)
	}
	return byType
}

func associationsList(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "list RECORD...", Short: "the records that a record is associated with",
		Long: "list shows live records of the types that you may view, if the record itself is live. Associations of records in\n" +
			"the recycle bin are kept, and seen again when both are restored.\n" + recordWords,
		Example: "  workflow associations list company:12\n  workflow associations list ada@example.com --format json",
		Args:    args(1, -1, "a record, such as company:12"),
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			refs, err := parseRefs(ctx, w, w.words)
			if err != nil {
				return err
			}
			docs, missing := []associationsDocument{}, 0
			for _, r := range refs {
				recs, err := w.store.Get(ctx, r.Object, []record.ID{r.ID})
				if err != nil {
					return err
				}
				if len(recs) == 0 {
					missing++
					w.err.printf("workflow: no %s\n", r)
					continue
				}
				found, err := w.store.Associations(ctx, r.Object, []record.ID{r.ID})
				if err != nil {
					return err
				}
				docs = append(docs, associationsDocument{Record: r, Associations: newAssociations(found[0]), refs: found[0]})
			}
			w.emit(map[string]any{"records": docs}, func(o *output) { showAssociations(o, docs) })
			if missing > 0 {
				return said(exitRefused)
			}
			return nil
		}),
	}
}

func showAssociations(o *output, docs []associationsDocument) {
	for i, d := range docs {
		if i > 0 {
			o.printf("\n")
		}
		o.printf("%s\n", o.paint(bold, d.Record.String()))
		if len(d.refs) == 0 {
			o.printf("no associations\n")
		}
		o.facts(associationFacts(d.refs)...)
	}
}

// associationFacts is a line for each object type: its plural, and the ids.
func associationFacts(refs []record.Ref) (pairs [][2]string) {
	for i, r := range refs {
		if i == 0 || refs[i-1].Object != r.Object {
			pairs = append(pairs, [2]string{r.Object.Plural(), r.ID.String()})
			continue
		}
		pairs[len(pairs)-1][1] += ", " + r.ID.String()
	}
	return pairs
}

func associationsImport(s *session) *cobra.Command {
	var o csvfile.AssociationOptions
	cmd := &cobra.Command{
		Use: "import FILE.csv", Short: "associations from a CSV file with two columns of ids",
		Long: "import associates the two records of each line. The header says of which types they are: contact_id,company_id, or\n" +
			"\"Record ID - Contact\" as in an export of HubSpot. A contact may be named by its e-mail address. A line with a mistake is\n" +
			"shown with its number and left out; importing a file again changes nothing. Exit code 1 when a line was left out.",
		Example: "  workflow associations import contacts-companies.csv",
		Args:    args(1, 1, "a CSV file (- for stdin)"),
	}
	cmd.Flags().IntVar(&o.MaxFindings, "max-findings", 20, "show at most so many findings; all are counted")
	cmd.RunE = s.work(needs{check: func(words []string) error {
		if o.MaxFindings < 1 {
			return usagef("", "--max-findings %d: want 1 or more", o.MaxFindings)
		}
		return nil
	}}, func(ctx context.Context, w *work) error {
		in, size, err := openInput(ctx, w.session, w.words[0])
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }() // it was only read
		bar := w.progress()
		o.Progress = func(bytes int64) { bar.update("import, kB", bytes>>10, size>>10) }
		o.Cause, o.At = w.cause("import "+w.words[0]), w.now()
		report, err := csvfile.ImportAssociations(ctx, w.store, in, o)
		bar.end()
		if err != nil {
			return err
		}
		report.Findings = append([]csvfile.Finding{}, report.Findings...) // [] and not null for programs
		w.emit(report, func(out *output) {
			out.printf("%s imported from %s: %s new, %s as they were\n", counted(report.Associated+report.Unchanged, "association", "associations"),
				clean(w.words[0]), count(report.Associated), count(report.Unchanged))
			if report.Refused > 0 {
				out.printf("%s\n", out.paint(red, counted(report.Refused, "line was", "lines were")+" left out"))
			}
			showImportFindings(out, w.words[0], &csvfile.Report{Findings: report.Findings, FindingsTotal: report.FindingsTotal})
		})
		if report.FindingsTotal > 0 {
			return said(exitRefused)
		}
		return nil
	})
	return cmd
}
