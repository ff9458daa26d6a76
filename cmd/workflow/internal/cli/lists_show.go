package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// showFlags say how much of a list is shown.
type showFlags struct {
	object     func(context.Context) (record.ObjectType, error)
	limit      int
	properties []string
	now        string
}

func listsShow(s *session) *cobra.Command {
	f := &showFlags{}
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "show NAME [--limit N] [--properties NAMES]", Short: "one list: who is on it now, its expression, and who asks it",
		Example: "  workflow lists show keep\n  workflow lists show stale --limit 100 --properties email",
		Args:    args(1, 1, "the name of a list"),
	}
	f.object = objectFlag(s, cmd)
	cmd.Flags().IntVar(&f.limit, "limit", 20, "at most so many records")
	cmd.Flags().StringSliceVar(&f.properties, "properties", nil, "columns to show, by name or label, separated by commas")
	nowFlag(cmd, &f.now)
	cmd.ValidArgsFunction = completeLists(s, f.object)
	check := func([]string) error {
		if f.limit < 1 {
			return usagef("", "--limit %d: want 1 or more", f.limit)
		}
		return nil
	}
	cmd.RunE = s.work(needs{check: check, object: f.object, now: &f.now}, func(ctx context.Context, w *work) error {
		return showList(ctx, w, f, w.words[0])
	})
	return cmd
}

// listDocumentShown is one list with the first of its members.
type listDocumentShown struct {
	listEntry
	UsedBy  workflow.ListUses `json:"used_by"`
	Records []recordDocument  `json:"records"` // those with the lowest ids

	trouble diag.List
}

func showList(ctx context.Context, w *work, f *showFlags, name string) error {
	l, err := findList(ctx, w.store, w.object, name)
	if err != nil {
		return err
	}
	v, err := listVocabulary(ctx, w.store, w.object)
	if err != nil {
		return err
	}
	properties, err := listed(v.Schema, f.properties)
	if err != nil {
		return err
	}
	sizes, err := workflow.ListSizes(ctx, w.store, v, []crmstore.List{l}, w.at)
	if err != nil {
		return err
	}
	doc := listDocumentShown{listEntry: newListEntry(sizes[0]), Records: []recordDocument{}, trouble: sizes[0].Trouble}
	if doc.UsedBy, err = workflow.UsesOfList(ctx, w.store, l); err != nil {
		return err
	}
	if doc.Trouble == "" {
		expr, _ := triggers.Compile(diag.Generated("inList("+strconv.Quote(l.Name)+")"), v)
		t := triggers.Trigger{Object: w.object, Any: []*triggers.Expr{expr}, Vocabulary: v}
		sel := &selection{store: w.store, object: w.object, schema: v.Schema}
		if sel.matcher, err = t.At(w.at); err != nil {
			return err
		}
		if doc.Records, err = sel.first(ctx, f.limit); err != nil {
			return err
		}
	}
	w.emit(doc, func(out *output) { doc.show(out, properties) })
	if doc.Trouble != "" {
		return said(exitRefused)
	}
	return nil
}

// first are the records of a selection with the lowest ids, whole.
func (sel *selection) first(ctx context.Context, limit int) ([]recordDocument, error) {
	var err error
	if sel.partitions, err = sel.store.Partitions(ctx); err != nil {
		return nil, err
	}
	ids, _, err := sel.lowest(ctx, limit)
	if err != nil {
		return nil, err
	}
	recs, err := sel.store.Get(ctx, sel.object, ids)
	docs := []recordDocument{}
	for _, r := range recs {
		docs = append(docs, newRecordDocument(r))
	}
	return docs, err
}

func (doc *listDocumentShown) show(o *output, properties []*record.Property) {
	o.printf("%s %s of %s\n", o.paint(bold, doc.Name), doc.Kind+" list", doc.Object.Plural())
	o.facts(
		[2]string{"on it now", doc.size()},
		[2]string{"expression", strings.Join(strings.Fields(doc.Where), " ")},
		[2]string{"asked by workflows", strings.Join(doc.UsedBy.Workflows, ", ")},
		[2]string{"asked by active lists", strings.Join(doc.UsedBy.Lists, ", ")})
	if doc.Trouble != "" {
		o.printf("\n")
		for _, f := range doc.trouble {
			o.printf("%s %s\n", o.paint(red, f.Code.ID), clean(f.Message))
			if f.Help != "" {
				o.printf("  %s\n", clean(f.Help))
			}
		}
		return
	}
	if doc.Members == 0 {
		return
	}
	o.printf("\n")
	members := listDocument{Object: doc.Object, Total: int64(len(doc.Records)), Records: doc.Records}
	members.show(o, properties)
	if rest := doc.Members - int64(len(doc.Records)); rest > 0 {
		all := fmt.Sprintf("workflow records export --object %s --where 'inList(%q)'", doc.Object, doc.Name)
		o.printf("%s\n", o.paint(dim, "and "+count(rest)+" more (--limit N shows more; all of them: "+all+")"))
	}
}

func listsDelete(s *session) *cobra.Command {
	var yes, force bool
	cmd := &cobra.Command{
		Use: "delete NAME [--yes] [--force]", Short: "delete a list; the records on it stay",
		Long: "delete takes a list away for good: who was on a static list is not kept. The records themselves stay as they are; to\n" +
			"delete them, see: workflow delete --list. A list that a published workflow or an active list asks is not deleted\n" +
			"without --force. With it, their next runs fail until they are changed; nothing is deleted meanwhile.",
		Example: "  workflow lists delete keep",
		Args:    args(1, 1, "the name of a list"),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "delete it without asking")
	cmd.Flags().BoolVar(&force, "force", false, "delete it although workflows or active lists ask it")
	object := objectFlag(s, cmd)
	cmd.ValidArgsFunction = completeLists(s, object)
	cmd.RunE = s.work(needs{object: object}, func(ctx context.Context, w *work) error {
		l, err := findList(ctx, w.store, w.object, w.words[0])
		if err != nil {
			return err
		}
		if !yes {
			err := yesOrElse(w.session,
				fmt.Sprintf("Delete list %s of %s? Its records stay; who is on it is not kept.", l.Name, w.object.Plural()),
				"workflow lists delete "+l.Name+" --yes",
				"deleting a list needs a yes, and there is no terminal to ask at; nothing was deleted")
			if err != nil {
				return err
			}
		}
		if err := workflow.DeleteList(ctx, w.store, l, force, w.cause("lists delete"), w.now()); err != nil {
			return err
		}
		w.emit(map[string]any{"list": l.Name, "object": w.object, "deleted": true}, func(out *output) {
			out.printf("list %s of %s is deleted; its records are all there\n", l.Name, w.object.Plural())
		})
		return nil
	})
	return cmd
}
