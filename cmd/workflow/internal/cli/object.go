package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
)

// objectFlag adds --object and returns how to read it once flags are parsed.
func objectFlag(s *session, cmd *cobra.Command) func(context.Context) (record.ObjectType, error) {
	return objectFlagOr(s, cmd, record.Contact, "contact, company, deal, ticket, call, or one of the account's own")
}

// objectFlagOr is objectFlag with another default; "" means none, and then reading it gives "".
func objectFlagOr(s *session, cmd *cobra.Command, usual record.ObjectType, help string) func(context.Context) (record.ObjectType, error) {
	var name string
	cmd.Flags().StringVar(&name, "object", string(usual), help)
	_ = cmd.RegisterFlagCompletionFunc("object", completeObjects(s))
	return func(ctx context.Context) (record.ObjectType, error) {
		if name == "" && usual == "" {
			return "", nil
		}
		return parseObject(ctx, s, "--object", name)
	}
}

// parseObject is the object type that a person means by a word. Only a word that is not one of the standard types' opens
// the store. what says where the word stands.
func parseObject(ctx context.Context, s *session, what, word string) (record.ObjectType, error) {
	if o, err := record.ParseObjectType(word); err == nil {
		return o, nil
	}
	if strings.TrimSpace(word) == "" {
		return "", usagef("such as contact", "%s is empty", what)
	}
	store, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	o, err := store.Object(ctx, word)
	if unknown, ok := errors.AsType[*crmstore.UnknownObjectError](err); ok {
		var names []string
		for _, k := range unknown.Known {
			names = append(names, string(k.Name))
		}
		help := "see: workflow objects list"
		if near := spelling.Nearest(strings.ToLower(word), names); near != "" {
			help = "did you mean " + near + "?"
		}
		return "", usagef(help, "%s: %v", what, err)
	}
	return o.Name, err
}

// completeObjects offers the account's object types, or those that every account has.
func completeObjects(s *session) completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var words []string
		completeFrom(s, cmd, func(ctx context.Context, store *crmstore.Store) error {
			all, err := store.Objects(ctx)
			for _, o := range all {
				words = append(words, string(o.Name)+"\t"+o.PluralLabel)
			}
			return err
		})
		for _, o := range record.StandardObjects() {
			if len(words) < len(record.StandardObjects()) {
				words = append(words, string(o))
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// property finds the one property that a person named in a flag or an argument.
func property(schema *record.Schema, name string) (*record.Property, error) {
	found := schema.Find(name)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		help := "see: workflow properties list --object " + string(schema.Object)
		if near := spelling.Nearest(name, schema.Names()); near != "" {
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

// addressHelp says how to name a contact by its e-mail address.
const addressHelp = "write one address, like jane@example.com"

// recordID reads what a person calls a record: its id or, for a contact, its e-mail address.
func recordID(ctx context.Context, store *crmstore.Store, o record.ObjectType, word string) (record.ID, error) {
	if o == record.Contact && record.MeansAddress(word) {
		if _, err := record.NormalAddress(word); err != nil {
			return 0, usagef(addressHelp, "%q is %v", word, err)
		}
		return store.FindByEmail(ctx, word)
	}
	id, err := record.ParseID(word)
	if err != nil {
		return 0, usagef("", "%v", err)
	}
	return id, nil
}
