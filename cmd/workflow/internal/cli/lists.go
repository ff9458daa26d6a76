package cli

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

func (s *session) listsCommand() *cobra.Command {
	return group("lists", "static lists, for inList(\"name\") in workflows",
		"  workflow lists create keep\n  workflow lists add keep ada@example.com",
		s.listsList(), s.listsCreate(),
		s.listsChange("add", "add records to a static list", true), s.listsChange("remove", "take records off a static list", false))
}

type listEntry struct {
	Name    string `json:"name"`
	Members int64  `json:"members"` // live ones
}

func (s *session) listsList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [--object TYPE]", Short: "static lists and how many live members they have", Example: "  workflow lists list", Args: noArgs,
	}
	cmd.RunE = s.onObject(cmd, func(ctx context.Context, store *crmstore.Store, o crmstore.ObjectType, _ []string) error {
		entries, err := countMembers(ctx, store, o)
		if err != nil {
			return err
		}
		s.emit(map[string]any{"object": o, "lists": entries}, func(out *output) {
			if len(entries) == 0 {
				out.printf("no static lists of %s; make one with: workflow lists create NAME\n", o.Plural())
				return
			}
			tb := &table{columns: []column{{head: "name"}, {head: "members", right: true}}}
			for _, e := range entries {
				tb.add(ink(bold, e.Name), txt(count(e.Members)))
			}
			out.table(tb, 0)
		})
		return nil
	})
	return cmd
}

// countMembers counts the live members of all lists in one pass over the lists' bits.
func countMembers(ctx context.Context, store *crmstore.Store, o crmstore.ObjectType) ([]listEntry, error) {
	lists, err := store.Lists(ctx, o)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(lists))
	entries, want := make([]listEntry, len(names)), crmstore.Want{}
	for i, n := range names {
		entries[i].Name = n
		want.Lists = append(want.Lists, lists[n].Number)
	}
	if len(names) == 0 {
		return entries, nil
	}
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	err = store.ReadColumns(ctx, o, 0, partitions, want, func(c *crmstore.Columns) error {
		for i, bits := range c.Lists {
			for slot := range min(c.Slots, 8*len(bits)) {
				if bits[slot/8]&(0x80>>(slot%8)) != 0 && live(c, slot) {
					entries[i].Members++
				}
			}
		}
		return nil
	})
	return entries, err
}

func live(c *crmstore.Columns, slot int) bool {
	at := 8 * slot
	return at+8 > len(c.Archived) || binary.LittleEndian.Uint64(c.Archived[at:]) == 0
}

func (s *session) listsCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create NAME", Short: "make an empty static list", Example: "  workflow lists create keep",
		Args: args(1, 1, "a name, such as keep"),
	}
	cmd.RunE = s.onObject(cmd, func(ctx context.Context, store *crmstore.Store, o crmstore.ObjectType, args []string) error {
		l, err := store.CreateList(ctx, o, args[0], s.cause("lists create"), s.now())
		if err != nil {
			return err
		}
		s.emit(l, func(out *output) { out.printf("list %s of %s is there, and empty\n", l.Name, o.Plural()) })
		return nil
	})
	return cmd
}

// listsChange is `lists add` and `lists remove`.
func (s *session) listsChange(verb, short string, member bool) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " NAME ID|E-MAIL...", Short: short, Example: "  workflow lists " + verb + " keep 4711 ada@example.com",
		Args: args(2, -1, "the name of a list, and ids or e-mail addresses"),
	}
	object := s.objectFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		ctx := cmd.Context()
		o, err := object(cmd.Context())
		if err != nil {
			return err
		}
		store, err := s.open(ctx)
		if err != nil {
			return err
		}
		l, err := findList(ctx, store, o, words[0])
		if err != nil {
			return err
		}
		ids, err := recordIDs(ctx, store, o, words[1:])
		if err != nil {
			return err
		}
		changed, missing, err := store.SetMembers(ctx, l, ids, member, s.cause("lists "+verb), s.now())
		if err != nil {
			return err
		}
		s.emit(map[string]any{"list": l.Name, "changed": changed, "missing": orEmpty(missing)}, func(out *output) {
			out.printf("list %s: %s %s\n", l.Name, records(changed, o), map[bool]string{true: "added", false: "taken off"}[member])
			for _, id := range missing {
				out.printf("  there is no %s %s\n", o, id)
			}
		})
		if len(missing) > 0 {
			return said(exitRefused)
		}
		return nil
	}
	return cmd
}

func findList(ctx context.Context, store *crmstore.Store, o crmstore.ObjectType, name string) (crmstore.List, error) {
	lists, err := store.Lists(ctx, o)
	if err != nil {
		return crmstore.List{}, err
	}
	l, ok := lists[name]
	if ok {
		return l, nil
	}
	names := slices.Sorted(maps.Keys(lists))
	help := "make it: workflow lists create " + name
	if near := diag.Nearest(name, names); near != "" {
		help = "did you mean " + near + "?"
	} else if len(names) > 0 {
		help += "; there are " + strings.Join(names, ", ")
	}
	return l, &problem{code: exitRefused, reason: "not-found", help: help, message: "there is no list " + name + " of " + o.Plural()}
}
