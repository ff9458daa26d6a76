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

func recordsCreate(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "create PROPERTY=VALUE...", Short: "make one record",
		Example: "  workflow records create email=ada@example.com firstname=Ada lifecyclestage=lead\n" +
			"  workflow records create --object company name=Acme",
		Args: args(1, -1, "values, such as email=ada@example.com"),
	}
	cmd.RunE = s.work(needs{object: objectFlag(s, cmd)}, func(ctx context.Context, w *work) error {
		return writeRecord(ctx, w, w.object, crmstore.CreateOnly, 0, w.words)
	})
	return cmd
}

func recordsSet(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "set ID|E-MAIL PROPERTY=VALUE...", Short: "change one record; PROPERTY= clears a value",
		Example: "  workflow records set 4711 lifecyclestage=customer\n  workflow records set ada@example.com phone=",
		Args:    args(2, -1, "an id or e-mail address, and values such as lifecyclestage=customer"),
	}
	cmd.RunE = s.work(needs{object: objectFlag(s, cmd)}, func(ctx context.Context, w *work) error {
		id, err := recordID(ctx, w.store, w.object, w.words[0])
		if err != nil {
			return err
		}
		return writeRecord(ctx, w, w.object, crmstore.UpdateOnly, id, w.words[1:])
	})
	return cmd
}

// outcomeWords are what became of a written record, for programs and people.
var outcomeWords = map[crmstore.WriteOutcome]string{
	crmstore.Created: "created", crmstore.Updated: "updated", crmstore.Unchanged: "unchanged",
}

func writeRecord(ctx context.Context, w *work, o record.ObjectType, mode crmstore.WriteMode, id record.ID, words []string) error {
	schema, err := w.store.Schema(ctx, o)
	if err != nil {
		return err
	}
	set, err := assignments(schema, words)
	if err != nil {
		return err
	}
	results, err := w.store.Write(ctx, o, mode, []crmstore.Upsert{{ID: id, Set: set}}, w.cause(""), w.now())
	if err != nil {
		return err
	}
	r := results[0]
	if r.Outcome == crmstore.Refused {
		var taken *record.EmailTakenError
		var blocked *record.BlockedError
		if errors.As(r.Err, &taken) || errors.As(r.Err, &blocked) || id == 0 {
			return r.Err
		}
		return &problem{code: exitRefused, reason: refusedReason(r.Err), message: string(o) + " " + id.String() + ": " + r.Err.Error()}
	}
	doc := map[string]any{"id": r.ID, "outcome": outcomeWords[r.Outcome]}
	w.emit(doc, func(out *output) { out.printf("%s %s %s\n", o, r.ID, outcomeWords[r.Outcome]) })
	return nil
}

func refusedReason(err error) string {
	switch {
	case errors.Is(err, record.ErrNotFound):
		return "not-found"
	case errors.Is(err, crmstore.ErrArchived):
		return "archived"
	case errors.Is(err, crmstore.ErrErased):
		return "erased"
	}
	return ""
}

// assignments reads PROPERTY=VALUE arguments.
func assignments(schema *record.Schema, words []string) ([]record.Assignment, error) {
	set := make([]record.Assignment, 0, len(words))
	seen := map[int]string{}
	for _, w := range words {
		name, text, ok := strings.Cut(w, "=")
		if !ok {
			return nil, usagef("write it as PROPERTY=VALUE", "%q has no =", w)
		}
		p, err := property(schema, name)
		if err != nil {
			return nil, err
		}
		if p.Counts != "" {
			return nil, usagef("workflow associations add changes it", "%s is counted from associations with %s and cannot be given", p.Name, p.Counts.Plural())
		}
		if p.ReadOnly || p.Number == record.PropertyCreated {
			return nil, usagef("", "%s is set by the store and cannot be given", p.Name)
		}
		if before, twice := seen[p.Number]; twice {
			return nil, usagef("leave one out", "%s is given twice, as %q and %q", p.Name, before, w)
		}
		seen[p.Number] = w
		v, err := csvfile.ParseValue(p, text, nil)
		if err != nil {
			return nil, usagef("", "%v", err)
		}
		set = append(set, record.Assignment{Property: p.Number, Value: v})
	}
	return set, nil
}
