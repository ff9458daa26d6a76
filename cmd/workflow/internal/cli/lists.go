package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

func listsCommand(s *session) *cobra.Command {
	return group("lists", "static and active lists, for inList(\"name\") in expressions and for deleting what is on them",
		"  workflow lists create keep\n  workflow lists add keep ada@example.com\n"+
			"  workflow lists create stale --where 'daysSince(contact.last_activity_date) > 365'",
		listsList(s), listsCreate(s),
		listsChange(s, "add", "put records on a static list", true), listsChange(s, "remove", "take records off a static list", false),
		listsShow(s), listsDelete(s))
}

// listEntry is one list with its size.
type listEntry struct {
	Name    string            `json:"name"`
	Object  record.ObjectType `json:"object"`
	Kind    string            `json:"kind"` // static, active
	Where   string            `json:"where,omitempty"`
	Members int64             `json:"members"`           // live records on it, now
	Trouble string            `json:"trouble,omitempty"` // why nobody can say who is on it
}

func newListEntry(l workflow.ListSize) listEntry {
	e := listEntry{Name: l.Name, Object: l.Object, Kind: "static", Where: l.Where, Members: l.Members}
	if l.Active() {
		e.Kind = "active"
	}
	var why []string
	for _, f := range l.Trouble {
		why = append(why, f.Message)
	}
	e.Trouble = strings.Join(why, "; ")
	return e
}

// size is the number of members for people; a list in trouble has none that can be told.
func (e listEntry) size() string {
	if e.Trouble != "" {
		return "?"
	}
	return count(e.Members)
}

func listsList(s *session) *cobra.Command {
	var now string
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "list [--object TYPE]", Short: "the lists, and how many live records are on each", Example: "  workflow lists list", Args: noArgs,
	}
	nowFlag(cmd, &now)
	cmd.RunE = s.work(needs{object: objectFlag(s, cmd), now: &now}, func(ctx context.Context, w *work) error {
		v, err := listVocabulary(ctx, w.store, w.object)
		if err != nil {
			return err
		}
		var lists []crmstore.List
		for _, name := range slices.Sorted(maps.Keys(v.Lists)) {
			lists = append(lists, v.Lists[name])
		}
		sizes, err := workflow.ListSizes(ctx, w.store, v, lists, w.at)
		if err != nil {
			return err
		}
		entries := []listEntry{}
		for _, l := range sizes {
			entries = append(entries, newListEntry(l))
		}
		w.emit(map[string]any{"object": w.object, "lists": entries}, func(out *output) { showLists(out, w.object, entries) })
		return nil
	})
	return cmd
}

func showLists(out *output, o record.ObjectType, entries []listEntry) {
	if len(entries) == 0 {
		out.printf("no lists of %s; make one with: workflow lists create NAME\n", o.Plural())
		return
	}
	tb := &table{columns: []column{{head: "name"}, {head: "kind"}, {head: "members", right: true}, {head: "expression", flex: true}}}
	for _, e := range entries {
		where := txt(strings.Join(strings.Fields(e.Where), " "))
		if e.Trouble != "" {
			where = ink(red, e.Trouble)
		}
		tb.add(ink(bold, e.Name), txt(e.Kind), txt(e.size()), where)
	}
	out.table(tb, 0)
}

// listVocabulary is what expressions about the object type may speak of.
func listVocabulary(ctx context.Context, store *crmstore.Store, o record.ObjectType) (triggers.Vocabulary, error) {
	known, err := definition.AccountVocabulary(ctx, store)
	if err != nil {
		return triggers.Vocabulary{}, err
	}
	return known(o), nil
}

func listsCreate(s *session) *cobra.Command {
	var where, now string
	cmd := &cobra.Command{
		Use: "create NAME [--where EXPR] [--object TYPE]", Short: "make an empty static list, or with --where an active one",
		Long: "create makes a static list, which has the members that are put on it, or with --where an active list: who is on it is\n" +
			"whoever the expression is true for, worked out whenever it is asked. The expression of an active list cannot be\n" +
			"changed, because workflows were reviewed with it: delete the list, make it again, and publish them again.",
		Example: "  workflow lists create keep\n  workflow lists create stale --where 'daysSince(contact.last_activity_date) > 365'",
		Args:    args(1, 1, "a name, such as keep"),
	}
	cmd.Flags().StringVar(&where, "where", "", "who is on the list: an expression, as in a workflow's triggers")
	nowFlag(cmd, &now)
	cmd.RunE = s.work(needs{object: objectFlag(s, cmd), now: &now}, func(ctx context.Context, w *work) error {
		order := crmstore.ListOrder{Object: w.object, Name: strings.TrimSpace(w.words[0]), Where: where, Cause: w.cause("lists create"), At: w.now()}
		if cmd.Flags().Changed("where") {
			return createActive(ctx, w, order)
		}
		l, err := w.store.AddList(ctx, order)
		if err != nil {
			return listExists(ctx, w, order, err)
		}
		w.emit(newListEntry(workflow.ListSize{List: l}), func(out *output) { out.printf("list %s of %s is there, and empty\n", l.Name, w.object.Plural()) })
		return nil
	})
	return cmd
}

// createActive makes an active list whose expression is good, and counts who is on it.
func createActive(ctx context.Context, w *work, order crmstore.ListOrder) error {
	v, err := listVocabulary(ctx, w.store, order.Object)
	if err != nil {
		return err
	}
	if _, there := v.Lists[order.Name]; there {
		return listExists(ctx, w, order, record.ErrExists)
	}
	// With the list itself among the lists, an expression that asks it is told apart from one that asks an unknown list.
	v.Lists = maps.Clone(v.Lists)
	v.Lists[order.Name] = crmstore.List{Number: -1, Name: order.Name, Object: order.Object, Where: order.Where}
	text := diag.NewText(whereFile, order.Where, nil)
	expr, findings := triggers.Compile(text, v)
	if expr != nil {
		if asked, more := triggers.Compile(diag.NewText(whereFile, fmt.Sprintf("inList(%q)", order.Name), nil), v); asked == nil {
			expr, findings = nil, more // in a circle, or too deep
		}
	}
	showFindings(w.session, findings, map[string][]byte{whereFile: []byte(order.Where)})
	if expr == nil {
		return &problem{code: exitUsage, findings: findings, message: "--where is no good expression; no list was made", help: "see: workflow records list --help"}
	}
	l, err := w.store.AddList(ctx, order)
	if err != nil {
		return listExists(ctx, w, order, err)
	}
	v.Lists[order.Name] = l
	sizes, err := workflow.ListSizes(ctx, w.store, v, []crmstore.List{l}, w.at)
	if err != nil {
		return err
	}
	e := newListEntry(sizes[0])
	w.emit(e, func(out *output) {
		out.printf("active list %s of %s is there; on it are now %s\n", l.Name, l.Object.Plural(), records(e.Members, l.Object))
	})
	return nil
}

// listExists says of which kind the list is that stands in the way.
func listExists(ctx context.Context, w *work, order crmstore.ListOrder, err error) error {
	if !errors.Is(err, record.ErrExists) {
		return err
	}
	lists, readErr := w.store.Lists(ctx, order.Object)
	if readErr != nil {
		return readErr
	}
	kind := "a static"
	if lists[order.Name].Active() {
		kind = "an active"
	}
	return &problem{
		code: exitRefused, reason: "exists", message: fmt.Sprintf("%s list %s of %s exists already; it was not changed", kind, order.Name, order.Object.Plural()),
		help: "see it with: workflow lists show " + order.Name,
	}
}

// findList finds a list by name.
func findList(ctx context.Context, store *crmstore.Store, o record.ObjectType, name string) (crmstore.List, error) {
	lists, err := store.Lists(ctx, o)
	if err != nil {
		return crmstore.List{}, err
	}
	l, ok := lists[strings.TrimSpace(name)]
	if ok {
		return l, nil
	}
	names := slices.Sorted(maps.Keys(lists))
	help := "make it: workflow lists create " + name
	if near := spelling.Nearest(name, names); near != "" {
		help = "did you mean " + near + "?"
	} else if len(names) > 0 {
		help += "; there are " + strings.Join(names, ", ")
	}
	return l, &problem{code: exitRefused, reason: "not-found", help: help, message: "there is no list " + name + " of " + o.Plural()}
}
