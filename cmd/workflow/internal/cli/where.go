package cli

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// selectFlags are the flags with which a verb says which records it is about.
type selectFlags struct {
	object   func(context.Context) (record.ObjectType, error)
	archived bool
	where    string
	now      string
}

func newSelectFlags(s *session, cmd *cobra.Command) *selectFlags {
	f := &selectFlags{object: objectFlag(s, cmd)}
	cmd.Flags().BoolVar(&f.archived, "archived", false, "the records in the recycle bin instead of the live ones")
	cmd.Flags().StringVar(&f.where, "where", "", "only records for which this expression is true, as in a workflow's triggers")
	nowFlag(cmd, &f.now)
	return f
}

// selection is which records a verb is about.
type selection struct {
	store      *crmstore.Store
	object     record.ObjectType
	schema     *record.Schema
	partitions int
	archived   bool
	matcher    *triggers.Matcher // nil = all
	damaged    int64             // how many records could not be read when the expression was asked last
	note       func(damaged int64, o record.ObjectType)
}

// needs are those of a verb with the flags; check, which may be nil, looks at the verb's other flags first.
func (f *selectFlags) needs(check func() error) needs {
	return needs{object: f.object, now: &f.now, check: func([]string) error {
		if check != nil {
			if err := check(); err != nil {
				return err
			}
		}
		if f.archived && f.where != "" {
			return usagef("leave one of them out", "--where looks at live records, and --archived at the recycle bin")
		}
		return nil
	}}
}

// newSelection compiles --where.
func newSelection(ctx context.Context, w *work, f *selectFlags) (*selection, error) {
	sel := &selection{store: w.store, object: w.object, archived: f.archived, note: w.noteDamaged}
	var err error
	if sel.partitions, err = w.store.Partitions(ctx); err != nil {
		return nil, err
	}
	if sel.schema, err = w.store.Schema(ctx, w.object); err != nil {
		return nil, err
	}
	if f.where != "" {
		sel.matcher, err = compileWhere(ctx, w.session, sel, f.where, w.at)
	}
	return sel, err
}

const whereFile = "--where"

func compileWhere(ctx context.Context, s *session, sel *selection, text string, at time.Time) (*triggers.Matcher, error) {
	known, err := definition.AccountVocabulary(ctx, sel.store)
	if err != nil {
		return nil, err
	}
	vocabulary := known(sel.object)
	expr, findings := triggers.Compile(diag.NewText(whereFile, text, nil), vocabulary)
	showFindings(s, findings, map[string][]byte{whereFile: []byte(text)})
	if expr == nil {
		return nil, &problem{code: exitUsage, findings: findings, message: "--where is no good expression", help: "see: workflow records list --help"}
	}
	t := triggers.Trigger{Object: sel.object, Any: []*triggers.Expr{expr}, Vocabulary: vocabulary}
	return t.At(at)
}

// noteDamaged says how many records were left out since they could not be read, and what to do.
func (s *session) noteDamaged(damaged int64, o record.ObjectType) {
	if damaged > 0 {
		s.err.printf("note: %s could not be read, and nobody knows whether this is about them; see: workflow doctor\n"+
			"move what is damaged aside: workflow doctor --quarantine\n", records(damaged, o))
	}
}

// each hands the ids of all selected records to fn, partition by partition.
func (sel *selection) each(ctx context.Context, fn func([]record.ID) error) error {
	if sel.matcher != nil {
		sel.damaged = 0
		err := sel.matcher.Evaluate(ctx, sel.store, sel.object, 0, sel.partitions, func(f triggers.Found) error {
			sel.damaged += f.Damaged
			return fn(f.IDs)
		})
		if err == nil && sel.note != nil {
			sel.note(sel.damaged, sel.object)
		}
		return err
	}
	var ids []record.ID
	return sel.store.ReadColumns(ctx, sel.object, 0, sel.partitions, crmstore.Want{IDs: true}, func(c *crmstore.Columns) error {
		ids = ids[:0]
		for i := 0; i+8 <= len(c.IDs); i += 8 {
			id := record.IDFromBytes(c.IDs[i:])
			at := uint64(0)
			if i+8 <= len(c.Archived) {
				at = binary.LittleEndian.Uint64(c.Archived[i:])
			}
			if id != 0 && at != record.FreeCell && (at != 0) == sel.archived {
				ids = append(ids, id)
			}
		}
		return fn(ids)
	})
}

// count is how many records are selected; without an expression the store has counted already.
func (sel *selection) count(ctx context.Context) (int64, error) {
	if sel.matcher == nil {
		n, err := sel.store.Count(ctx, sel.object)
		if sel.archived {
			return n.Archived, err
		}
		return n.Live, err
	}
	var n int64
	err := sel.each(ctx, func(ids []record.ID) error {
		n += int64(len(ids))
		return nil
	})
	return n, err
}

// lowest are the selected records with the lowest ids, at most limit of them, and how many are selected in all.
func (sel *selection) lowest(ctx context.Context, limit int) (ids []record.ID, total int64, err error) {
	trim := func() {
		slices.Sort(ids)
		ids = ids[:min(limit, len(ids))]
	}
	err = sel.each(ctx, func(more []record.ID) error {
		total += int64(len(more))
		ids = append(ids, more...)
		if len(ids) > 2*limit+1024 {
			trim()
		}
		return nil
	})
	trim()
	return ids, total, err
}
