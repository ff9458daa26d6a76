package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

func validateCommand(s *session) *cobra.Command {
	var short bool
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "validate FILE...", Short: "check workflow files; all findings at once",
		Long: "validate checks workflow files against the properties and lists of the account, and shows all that is wrong,\n" +
			"with the place and what to write instead. It works without any store too: then the usual properties of a new\n" +
			"account count. Exit code 1 when a file has an error; warnings alone are good.",
		Example:           "  workflow validate stale.yaml\n  workflow validate workflows/*.yaml --short\n  workflow explain WF210    # about one kind of finding",
		Args:              args(1, -1, "one or more workflow files (- for stdin)"),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, files []string) error {
			vocabulary, against, store, err := anyVocabulary(cmd.Context(), s)
			if err != nil {
				return err
			}
			doc, sources := validateDocument{Against: against, Files: []validatedFile{}, Findings: diag.List{}}, map[string][]byte{}
			for _, file := range files {
				name, source, err := readSource(cmd.Context(), s, file)
				if err != nil {
					return err
				}
				d, findings, err := loadAgainst(cmd.Context(), store, name, source, vocabulary)
				if err != nil {
					return err
				}
				doc.add(name, d, findings)
				sources[name] = source
			}
			s.emit(doc, func(o *output) {
				_ = diag.Printer{Sources: sources, Color: o.colour, Short: short}.Print(o, doc.Findings) // o keeps its error
				if !short {
					doc.show(o)
				}
			})
			if doc.Errors > 0 {
				return said(exitRefused)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&short, "short", false, "one line for each finding")
	return cmd
}

// againstAccount says that files were checked against an account, and not against the usual properties of a new one.
const againstAccount = "account"

// validateDocument is what validate found in all files.
type validateDocument struct {
	Against  string          `json:"against"` // account, or defaults when there is no store
	Errors   int             `json:"errors"`
	Warnings int             `json:"warnings"`
	Files    []validatedFile `json:"files"`
	Findings diag.List       `json:"findings"`
}

type validatedFile struct {
	File     string `json:"file"`
	Workflow string `json:"workflow,omitempty"` // its name, when the file is good
	Good     bool   `json:"good"`
}

func (doc *validateDocument) add(name string, d *definition.Definition, findings diag.List) {
	file := validatedFile{File: name, Good: d != nil}
	if d != nil {
		file.Workflow = d.Name
	}
	errs, warnings := findings.Count()
	doc.Errors, doc.Warnings = doc.Errors+errs, doc.Warnings+warnings
	doc.Files = append(doc.Files, file)
	doc.Findings = append(doc.Findings, findings...)
}

func (doc *validateDocument) show(o *output) {
	if len(doc.Findings) > 0 {
		o.printf("\n")
	}
	for _, f := range doc.Files {
		if f.Good {
			o.printf("%s %s: workflow %s\n", o.paint(green, "good"), clean(f.File), f.Workflow)
		}
	}
	if len(doc.Findings) > 0 {
		o.printf("%s in %s\n", countFindings(doc.Findings), counted(len(doc.Files), "file", "files"))
	}
}

// anyVocabulary is the account's, with the open store; or a new account's, and no store, where there is no store or no account.
// validate is the one verb that works without a store, and therefore opens it here.
func anyVocabulary(ctx context.Context, s *session) (v definition.Vocabulary, against string, store *crmstore.Store, err error) {
	if !s.storeExists() {
		s.err.printf("note: there is no store here, so that the usual properties of a new account count\n")
		return defaultVocabulary, "defaults", nil, nil
	}
	if store, err = s.open(ctx); err != nil {
		return nil, "", nil, err
	}
	v, err = definition.AccountVocabulary(ctx, store)
	if errors.Is(err, record.ErrNoAccount) {
		s.err.printf("note: the store has no account %s, so that the usual properties of a new account count\n", store.AccountName())
		return defaultVocabulary, "defaults", nil, nil
	}
	return v, againstAccount, store, err
}
