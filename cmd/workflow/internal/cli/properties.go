package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func propertiesCommand(s *session) *cobra.Command {
	return group("properties", "the properties that records have",
		"  workflow properties list\n  workflow properties add score --type number",
		propertiesList(s), propertiesAdd(s))
}

func propertiesList(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "list [--object TYPE]", Short: "names, labels, types and options",
		Example: "  workflow properties list --object company", Args: noArgs,
	}
	cmd.RunE = s.work(needs{object: objectFlag(s, cmd)}, func(ctx context.Context, w *work) error {
		schema, err := w.store.Schema(ctx, w.object)
		if err != nil {
			return err
		}
		w.emit(schema, func(out *output) { out.table(propertyTable(schema), 0) })
		return nil
	})
	return cmd
}

func propertyTable(schema *record.Schema) *table {
	tb := &table{columns: []column{
		{head: "name"}, {head: "label", flex: true}, {head: "type"}, {head: "options and notes", flex: true},
	}}
	for i := range schema.Properties {
		p := &schema.Properties[i]
		if p.Removed {
			continue
		}
		var notes []string
		var options []string
		for _, o := range p.Options {
			if !o.Removed {
				options = append(options, o.Value)
			}
		}
		if len(options) > 0 {
			notes = append(notes, strings.Join(options, ", "))
		}
		switch {
		case p.Counts != "":
			notes = append(notes, "counted from associations with "+p.Counts.Plural())
		case p.ReadOnly:
			notes = append(notes, "set by the store")
		}
		if p.Note != "" {
			notes = append(notes, p.Note)
		}
		tb.add(ink(bold, p.Name), txt(p.Label), txt(string(p.Type)), txt(strings.Join(notes, "; ")))
	}
	return tb
}

var propertyTypes = []string{
	string(record.String), string(record.Number), string(record.Date), string(record.DateTime),
	string(record.Bool), string(record.Enumeration),
}

func propertiesAdd(s *session) *cobra.Command {
	var add record.Property
	var kind string
	var options []string
	cmd := &cobra.Command{
		Use: "add NAME --type TYPE [--label LABEL] [--option VALUE[=LABEL]]... [--exact]", Short: "add a property",
		Long: "add gives records of a type one more property. --exact keeps a column for a text, so that comparing it with\n" +
			"== or in does not have to read whole records.",
		Example: "  workflow properties add score --type number --label \"Lead score\"\n" +
			"  workflow properties add plan --type enumeration --option basic=Basic --option plus=Plus",
		Args: args(1, 1, "a name, such as score"),
	}
	object := objectFlag(s, cmd)
	cmd.RunE = s.work(needs{object: object, check: func(words []string) (err error) {
		add.Name = words[0]
		add, err = newProperty(add, kind, options)
		return err
	}}, func(ctx context.Context, w *work) error {
		schema, err := w.store.AddProperties(ctx, w.object, []record.Property{add}, w.cause("properties add"), w.now())
		if err != nil {
			return err
		}
		made, err := property(schema, add.Name)
		if err != nil {
			return err
		}
		w.emit(made, func(out *output) {
			out.printf("%s have a new %s property %s\n", w.object.Plural(), made.Type, made.Name)
		})
		return nil
	})
	cmd.Flags().StringVar(&kind, "type", "", strings.Join(propertyTypes, ", "))
	cmd.Flags().StringVar(&add.Label, "label", "", "for people (default: made from the name)")
	cmd.Flags().StringArrayVar(&options, "option", nil, "a value of an enumeration, with its label if you like; repeat it")
	cmd.Flags().BoolVar(&add.Exact, "exact", false, "a text that is compared with == or in")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(propertyTypes, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newProperty(p record.Property, kind string, options []string) (record.Property, error) {
	if record.SnakeCase(p.Name) != p.Name || p.Name == "" {
		return p, usagef("did you mean "+record.SnakeCase(p.Name)+"?", "property name %q: want lower-case letters, digits and _", p.Name)
	}
	if !slices.Contains(propertyTypes, kind) {
		return p, usagef("one of: "+strings.Join(propertyTypes, ", "), "--type %q is not known", kind)
	}
	p.Type = record.PropertyType(kind)
	if p.Label == "" {
		words := strings.ReplaceAll(p.Name, "_", " ")
		p.Label = strings.ToUpper(words[:1]) + words[1:]
	}
	if (p.Type == record.Enumeration) != (len(options) > 0) {
		return p, usagef("--type enumeration --option basic --option plus", "an enumeration, and nothing else, has options")
	}
	if p.Exact && p.Type != record.String {
		return p, usagef("", "--exact is for texts; a %s has a column anyway", p.Type)
	}
	for i, o := range options {
		value, label, ok := strings.Cut(o, "=")
		if !ok {
			label = value
		}
		p.Options = append(p.Options, record.Option{Number: i + 1, Value: value, Label: label})
	}
	return p, nil
}
