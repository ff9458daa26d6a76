package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func objectsCommand(s *session) *cobra.Command {
	return group("objects", "the types of records that the account has, and types of its own",
		"  workflow objects list\n  workflow objects add machine --property serial:string --property bought:date",
		objectsList(s), objectsAdd(s))
}

// objectDocument is an object type with its counts, for programs.
type objectDocument struct {
	crmstore.Object
	Properties int `json:"properties"`
	crmstore.Counts
}

func objectsList(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "list", Short: "object types, their labels, and how many records each has",
		Example: "  workflow objects list --format json", Args: noArgs,
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			docs, err := objectDocuments(ctx, w.store)
			if err != nil {
				return err
			}
			w.emit(map[string]any{"objects": docs}, func(o *output) {
				tb := &table{columns: []column{
					{head: "object"},
					{head: "label", flex: true},
					{head: "plural", flex: true},
					{head: "properties", right: true},
					{head: "live", right: true},
					{head: "in the bin", right: true},
					{head: "whose"},
				}}
				for _, d := range docs {
					whose := "every account's"
					if d.Custom {
						whose = "this account's own"
					}
					tb.add(ink(bold, string(d.Name)), txt(d.Label), txt(d.PluralLabel), txt(count(d.Properties)), txt(count(d.Live)), txt(count(d.Archived)), txt(whose))
				}
				o.table(tb, 0)
			})
			return nil
		}),
	}
}

func objectDocuments(ctx context.Context, store *crmstore.Store) ([]objectDocument, error) {
	all, err := store.Objects(ctx)
	if err != nil {
		return nil, err
	}
	docs := make([]objectDocument, len(all))
	for i, o := range all {
		schema, err := store.Schema(ctx, o.Name)
		if err != nil {
			return nil, err
		}
		counts, err := store.Count(ctx, o.Name)
		if err != nil {
			return nil, err
		}
		docs[i] = objectDocument{Object: o, Properties: len(schema.Names()), Counts: counts}
	}
	return docs, nil
}

func objectsAdd(s *session) *cobra.Command {
	var add crmstore.Object
	var properties []string
	var list []record.Property
	cmd := &cobra.Command{
		Use: "add NAME [--label LABEL] [--plural-label LABEL] [--property NAME:TYPE]...", Short: "define a type of records",
		Long: "add defines a type of records of the account's own, such as machine or subscription. Its records are imported,\n" +
			"exported, found, changed, deleted and restored like those of the other types: --object takes its name or label,\n" +
			"singular or plural. createdate and hs_lastmodifieddate are there from the start; properties add makes more later.",
		Example: "  workflow objects add machine --label Machine --property serial:string --property bought:date\n" +
			"  workflow records create --object machine serial=X-100",
		Args: args(1, 1, "a name, such as machine"),
		RunE: s.work(needs{check: func(words []string) (err error) {
			if list, err = newProperties(properties); err != nil {
				return err
			}
			add.Name = record.ObjectType(words[0])
			if err := add.Check(); err != nil {
				help := ""
				if snake := record.SnakeCase(words[0]); snake != words[0] {
					help = "did you mean " + snake + "?"
				}
				return usagef(help, "%v", err)
			}
			return nil
		}}, func(ctx context.Context, w *work) error {
			made, err := w.store.AddObject(ctx, add, list, w.cause("objects add"), w.now())
			if err != nil {
				return err
			}
			w.emit(made, func(o *output) {
				o.printf("the account has a new object type %s (%s, %s)\n", made.Name, clean(made.Label), clean(made.PluralLabel))
			})
			return nil
		}),
	}
	cmd.Flags().StringVar(&add.Label, "label", "", "what people call one (default: made from the name)")
	cmd.Flags().StringVar(&add.PluralLabel, "plural-label", "", "what people call several (default: made from the label)")
	cmd.Flags().StringArrayVar(&properties, "property", nil, "a property and its type: serial:string, bought:date; repeat it")
	return cmd
}

// newProperties reads NAME:TYPE.
func newProperties(words []string) ([]record.Property, error) {
	list := make([]record.Property, 0, len(words))
	for _, word := range words {
		name, kind, ok := strings.Cut(word, ":")
		if !ok {
			return nil, usagef("write it as NAME:TYPE, such as serial:string", "--property %q names no type", word)
		}
		if kind == string(record.Enumeration) {
			return nil, usagef("add it afterwards, with its options: workflow properties add "+name+" --object NAME --type enumeration --option VALUE",
				"--property %q: an enumeration needs options", word)
		}
		if !slices.Contains(propertyTypes, kind) {
			return nil, usagef("one of: "+strings.Join(propertyTypes, ", "), "--property %q: type %q is not known", word, kind)
		}
		p, err := newProperty(record.Property{Name: name}, kind, nil)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(q record.Property) bool { return q.Name == name }) {
			return nil, usagef("leave one out", "--property %s is given twice", name)
		}
		list = append(list, p)
	}
	return list, nil
}
