package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// objectFlag adds --object and returns how to read it once flags are parsed.
func objectFlag(cmd *cobra.Command) func() (crmstore.ObjectType, error) {
	var name string
	cmd.Flags().StringVar(&name, "object", string(crmstore.Contact), "contact, company, deal, ticket or call")
	words := make([]string, 0, 5)
	for _, o := range crmstore.StandardObjects() {
		words = append(words, string(o))
	}
	_ = cmd.RegisterFlagCompletionFunc("object", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return func() (crmstore.ObjectType, error) {
		o, err := crmstore.ParseObjectType(name)
		if err != nil {
			return "", usagef("", "--object: %v", err)
		}
		return o, nil
	}
}

// onObject gives a verb its --object, and is the verb's RunE: it reads the flag, opens the store, and goes on.
func (s *session) onObject(
	cmd *cobra.Command, do func(ctx context.Context, store *crmstore.Store, o crmstore.ObjectType, words []string) error,
) func(*cobra.Command, []string) error {
	object := objectFlag(cmd)
	return func(cmd *cobra.Command, words []string) error {
		o, err := object()
		if err != nil {
			return err
		}
		store, err := s.open(cmd.Context())
		if err != nil {
			return err
		}
		return do(cmd.Context(), store, o, words)
	}
}

// property finds the one property that a person named in a flag or an argument.
func property(schema *crmstore.Schema, name string) (*crmstore.Property, error) {
	found := schema.Find(name)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		help := "see: workflow properties list --object " + string(schema.Object)
		if near := diag.Nearest(name, schema.Names()); near != "" {
			help = "did you mean " + near + "?"
		}
		return nil, usagef(help, "%s has no property %q", schema.Object, name)
	}
	var names []string
	for _, p := range found {
		names = append(names, p.Name)
	}
	return nil, usagef("use one of the internal names: "+strings.Join(names, ", "),
		"%q is the label of %d properties of %s", name, len(found), schema.Object)
}

// recordID reads what a person calls a record: its id or, for a contact, its e-mail address.
func recordID(ctx context.Context, store *crmstore.Store, o crmstore.ObjectType, word string) (crmstore.ID, error) {
	if o == crmstore.Contact && strings.Contains(word, "@") {
		return store.FindByEmail(ctx, word)
	}
	id, err := crmstore.ParseID(word)
	if err != nil {
		return 0, usagef("", "%v", err)
	}
	return id, nil
}

// recordIDs is recordID for several, each once.
func recordIDs(ctx context.Context, store *crmstore.Store, o crmstore.ObjectType, words []string) ([]crmstore.ID, error) {
	ids := make([]crmstore.ID, 0, len(words))
	seen := map[crmstore.ID]bool{}
	for _, w := range words {
		id, err := recordID(ctx, store, o, w)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids, nil
}
