package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// changeFlags say which records a static list gains or loses.
type changeFlags struct {
	object func(context.Context) (record.ObjectType, error)
	ids    string
	where  string
	now    string
	skip   bool
}

// listsChange is `lists add` and `lists remove`.
func listsChange(s *session, verb, short string, member bool) *cobra.Command {
	f := &changeFlags{}
	cmd := &cobra.Command{
		Use: verb + " NAME ID|E-MAIL... | --ids FILE | --where EXPR", Short: short,
		Long: verb + " changes who is on a static list. Members stay members in the recycle bin, and are on the list again when they\n" +
			"are restored. Ids of records in the bin are taken too; --where looks at live records.",
		Example: "  workflow lists " + verb + " keep 4711 ada@example.com\n  workflow lists " + verb + " keep --ids ids.txt\n" +
			"  workflow lists " + verb + " keep --where 'contact.lifecyclestage == \"customer\"'",
		Args: args(1, -1, "the name of a list, and which records"),
	}
	f.object = objectFlag(s, cmd)
	cmd.Flags().StringVar(&f.ids, "ids", "", "the records with the ids (of contacts also the e-mail addresses) in this file, one a line; - for stdin")
	cmd.Flags().StringVar(&f.where, "where", "", "the records for which this expression is true, as in a workflow's triggers")
	cmd.Flags().BoolVar(&f.skip, "skip-missing", false, "leave out ids and addresses that are unknown")
	nowFlag(cmd, &f.now)
	cmd.ValidArgsFunction = completeLists(s, f.object)
	check := func(words []string) error {
		byIDs, byWhere := len(words) > 1 || f.ids != "", cmd.Flags().Changed("where")
		switch {
		case byIDs == byWhere && byIDs:
			return usagef("give ids, or --where", "ids and --where are two different questions")
		case byIDs == byWhere:
			return usagef(fmt.Sprintf("workflow lists %s %s ID..., or --ids FILE, --where EXPR", verb, words[0]), "which records?")
		case byWhere && f.skip:
			return usagef("leave it out", "--skip-missing is about ids")
		}
		return nil
	}
	cmd.RunE = s.work(needs{check: check, object: f.object, now: &f.now}, func(ctx context.Context, w *work) error {
		byWhere := cmd.Flags().Changed("where")
		return changeList(ctx, w, f, listChange{verb: verb, member: member, name: w.words[0], words: w.words[1:], byWhere: byWhere})
	})
	return cmd
}

// listChange is one call of `lists add` or `lists remove`, and what came of it.
type listChange struct {
	verb    string
	member  bool
	name    string
	words   []string
	byWhere bool

	list    crmstore.List
	changed int
	missing []record.ID
}

func changeList(ctx context.Context, w *work, f *changeFlags, c listChange) error {
	var err error
	if c.list, err = findList(ctx, w.store, w.object, c.name); err != nil {
		return err
	}
	if c.list.Active() {
		return notStatic(c.list)
	}
	if c.byWhere {
		sel := &selection{store: w.store, object: w.object}
		if sel.partitions, err = w.store.Partitions(ctx); err != nil {
			return err
		}
		if sel.matcher, err = compileWhere(ctx, w.session, sel, f.where, w.at); err != nil {
			return err
		}
		err = changeWhere(ctx, w, sel, &c)
	} else {
		var ids []record.ID
		if ids, err = namedIDs(ctx, w, naming{w.object, c.words, f.ids, f.skip}); err != nil {
			return err
		}
		err = setMembers(ctx, w, &c, ids)
	}
	if err != nil {
		return err
	}
	return emitChange(w.session, w.object, c, f.skip)
}

// membersAtOnce is how many records are put on a list in one call, which bounds the memory that --where takes.
const membersAtOnce = 50_000

// changeWhere changes the membership of all that the selection finds.
func changeWhere(ctx context.Context, w *work, sel *selection, c *listChange) error {
	var ids []record.ID
	err := sel.each(ctx, func(found []record.ID) error {
		if ids = append(ids, found...); len(ids) < membersAtOnce {
			return nil
		}
		err := setMembers(ctx, w, c, ids)
		ids = ids[:0]
		return err
	})
	if err != nil {
		return err
	}
	return setMembers(ctx, w, c, ids)
}

func setMembers(ctx context.Context, w *work, c *listChange, ids []record.ID) error {
	changed, missing, err := w.store.SetMembers(ctx, c.list, ids, c.member, w.cause("lists "+c.verb), w.now())
	c.changed += changed
	c.missing = append(c.missing, missing...)
	return err
}

func emitChange(s *session, o record.ObjectType, c listChange, skip bool) error {
	s.emit(map[string]any{"list": c.list.Name, "changed": c.changed, "missing": orEmpty(c.missing)}, func(out *output) {
		out.printf("list %s: %s %s\n", c.list.Name, records(c.changed, o), map[bool]string{true: "added", false: "taken off"}[c.member])
		for i, id := range c.missing {
			if i == shownUnrestored {
				out.printf("  and %s more (--format json names all)\n", count(len(c.missing)-i))
				break
			}
			out.printf("  there is no %s %s\n", o, id)
		}
	})
	if len(c.missing) > 0 && !skip {
		return said(exitRefused)
	}
	return nil
}

func notStatic(l crmstore.List) error {
	return &problem{
		code: exitRefused, reason: "active-list", message: fmt.Sprintf("list %s is active: its expression says who is on it", l.Name),
		help: "see it with: workflow lists show " + l.Name,
	}
}

// staticOrNew refuses a name under which records cannot be put on a static list.
func staticOrNew(ctx context.Context, store *crmstore.Store, o record.ObjectType, name string) error {
	if name == "" {
		return nil
	}
	lists, err := store.Lists(ctx, o)
	if err == nil && lists[name].Active() {
		return notStatic(lists[name])
	}
	return err
}
