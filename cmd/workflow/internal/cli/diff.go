package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

func diffCommand(s *session) *cobra.Command {
	var revision int
	var now string
	cmd := &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "diff NAME [FILE | --revision N]", Short: "what changes from the published revision: the text, and who newly matches",
		Long: "diff compares the published revision of a workflow with a file, or with an earlier revision: line by line, and whom each\n" +
			"of the two matches now. With NAME alone it shows what the last publication changed.",
		Example:           "  workflow diff stale-leads stale.yaml\n  workflow diff stale-leads --revision 2\n  workflow diff stale-leads",
		Args:              args(1, 2, "the name of a published workflow, and a file"),
		ValidArgsFunction: completeWorkflows(s, true),
		RunE: s.work(needs{now: &now, check: func(words []string) error {
			switch {
			case isFile(words[0]):
				return usagef("as in workflow diff stale-leads "+words[0], "diff wants the name of a published workflow first, and then the file")
			case len(words) == 2 && revision != 0:
				return usagef("", "diff compares with a file or with --revision, not with both")
			case revision < 0:
				return usagef("", "--revision %d: want 1 or more", revision)
			}
			return nil
		}}, func(ctx context.Context, w *work) error {
			doc, err := newDiffDocument(ctx, w, revision)
			if err != nil {
				return err
			}
			w.emit(doc, func(o *output) { doc.show(ctx, w, o) })
			return nil
		}),
	}
	cmd.Flags().IntVar(&revision, "revision", 0, "compare with this revision")
	nowFlag(cmd, &now)
	return cmd
}

// diffDocument is how two texts of a workflow differ.
type diffDocument struct {
	Workflow string            `json:"workflow"`
	Object   record.ObjectType `json:"object"`
	Now      string            `json:"now"`
	From     string            `json:"from"`
	To       string            `json:"to"`
	Diff     string            `json:"diff"` // in the unified format; "" = the texts are the same
	Newly    []record.ID       `json:"newly"`
	NoLonger []record.ID       `json:"no_longer"`
	Unknown  string            `json:"unknown,omitempty"` // why nobody can tell whom the two match
}

// side is one of the two texts.
type side struct {
	title  string
	source []byte
	load   func() (*definition.Definition, error)
}

func newDiffDocument(ctx context.Context, w *work, revision int) (*diffDocument, error) {
	name := w.words[0]
	published, err := w.store.Workflow(ctx, name)
	if errors.Is(err, record.ErrNotFound) {
		return nil, unknownWorkflow(ctx, w, name)
	}
	if err != nil {
		return nil, err
	}
	from, to, err := diffSides(ctx, w, published, revision)
	if err != nil {
		return nil, err
	}
	doc := &diffDocument{Workflow: name, Object: published.Object, Now: stamp(w.at), From: from.title, To: to.title, Newly: []record.ID{}, NoLonger: []record.ID{}}
	doc.Diff = string(diff.Diff(from.title, from.source, to.title, to.source))
	later, err := to.load()
	if err != nil {
		return nil, err
	}
	earlier, err := from.load()
	if findings, ok := errors.AsType[*workflow.FindingsError](err); ok {
		doc.Unknown = findings.Error()
		return doc, nil
	}
	if err != nil {
		return nil, err
	}
	if earlier.Object != later.Object {
		doc.Unknown = fmt.Sprintf("one is about %s, the other about %s", earlier.Object.Plural(), later.Object.Plural())
		return doc, nil
	}
	d, err := workflow.Compare(ctx, w.store, earlier, later, w.at)
	doc.Newly, doc.NoLonger = orEmpty(d.Newly), orEmpty(d.NoLonger)
	return doc, err
}

// diffSides are the two texts that the call means, the earlier one first.
func diffSides(ctx context.Context, w *work, published crmstore.Workflow, revision int) (from, to side, err error) {
	current, err := revisionSide(ctx, w, published, published.Revision)
	if err != nil {
		return from, to, err
	}
	switch {
	case len(w.words) == 2:
		name, source, err := readSource(ctx, w.session, w.words[1])
		return current, side{name, source, func() (*definition.Definition, error) { return loadFile(ctx, w, w.words[1]) }}, err
	case revision != 0:
		other, err := revisionSide(ctx, w, published, revision)
		return current, other, err
	case published.Revision == 1:
		return from, to, usagef("compare it with a file: workflow diff "+published.Name+" FILE", "%s has one revision, so there is none before it", published.Name)
	}
	before, err := revisionSide(ctx, w, published, published.Revision-1)
	return before, current, err
}

func revisionSide(ctx context.Context, w *work, published crmstore.Workflow, number int) (side, error) {
	r, err := w.store.Revision(ctx, published.Name, number)
	if errors.Is(err, record.ErrNotFound) {
		return side{}, noRevision(published, number)
	}
	return side{
		fmt.Sprintf("%s, revision %s", published.Name, count(number)), r.Source,
		func() (*definition.Definition, error) {
			return workflow.LoadRevision(ctx, w.store, published.Name, number)
		},
	}, err
}

func noRevision(published crmstore.Workflow, number int) error {
	return &problem{
		code: exitRefused, reason: "not-found", message: fmt.Sprintf("%s has no revision %s", published.Name, count(number)),
		help: fmt.Sprintf("its revisions are 1 to %s; see: workflow show %s", count(published.Revision), published.Name),
	}
}

func (doc *diffDocument) show(ctx context.Context, w *work, o *output) {
	if doc.Diff == "" {
		o.printf("%s and %s are the same text\n", clean(doc.From), clean(doc.To))
	} else {
		o.printf("%s", cleanLines(doc.Diff))
	}
	o.printf("\n")
	if doc.Unknown != "" {
		o.printf("whom the two match cannot be compared: %s\n", clean(doc.Unknown))
		return
	}
	o.printf("as of %s: %s newly matching, %s no longer\n", doc.Now, records(len(doc.Newly), doc.Object), count(len(doc.NoLonger)))
	for _, part := range []struct {
		sign string
		ids  []record.ID
	}{{"+", doc.Newly}, {"-", doc.NoLonger}} {
		for _, id := range part.ids[:min(len(part.ids), fewShown)] {
			o.printf("%s %s\n", part.sign, inWords(ctx, w, doc.Object, id))
		}
		if rest := len(part.ids) - fewShown; rest > 0 {
			o.printf("%s and %s more\n", part.sign, count(rest))
		}
	}
}

func rollbackCommand(s *session) *cobra.Command {
	var to int
	var yes, keep bool
	cmd := &cobra.Command{
		Use: "rollback NAME --to N [--yes] [--keep-held]", Short: "publish an earlier revision again, as a new one",
		Long: "rollback publishes the text of an earlier revision as a new revision, with the same review and question as publish. The\n" +
			"revisions in between stay. What runs and was held is dealt with as publish does it.",
		Example:           "  workflow diff stale-leads --revision 2\n  workflow rollback stale-leads --to 2",
		Args:              args(1, 1, "the name of a published workflow"),
		ValidArgsFunction: completeWorkflows(s, false),
		RunE: s.work(needs{check: func(words []string) error {
			switch {
			case isFile(words[0]):
				return usagef("workflow rollback NAME --to N", "rollback wants the name of a published workflow, not a file")
			case to < 1:
				return usagef("see its revisions: workflow show "+words[0], "rollback wants --to N, the number of an earlier revision")
			}
			return nil
		}}, func(ctx context.Context, w *work) error {
			if err := mayPublish(ctx, w); err != nil {
				return err
			}
			published, err := w.store.Workflow(ctx, w.words[0])
			if errors.Is(err, record.ErrNotFound) {
				return unknownWorkflow(ctx, w, w.words[0])
			}
			if err != nil {
				return err
			}
			r, err := w.store.Revision(ctx, published.Name, to)
			if errors.Is(err, record.ErrNotFound) {
				return noRevision(published, to)
			}
			if err != nil {
				return err
			}
			d, err := loadSource(ctx, w, fmt.Sprintf("%s (revision %d)", published.Name, to), r.Source)
			if err != nil {
				return err
			}
			return publishDefinition(ctx, w, d, fmt.Sprintf("rollback %s --to %d", published.Name, to), yes, workflow.PublishOptions{KeepHeld: keep})
		}),
	}
	cmd.Flags().IntVar(&to, "to", 0, "the revision whose text is published again")
	cmd.Flags().BoolVar(&yes, "yes", false, "publish without asking")
	cmd.Flags().BoolVar(&keep, "keep-held", false, "keep a held run of the revision before, instead of ending it")
	return cmd
}
