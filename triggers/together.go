package triggers

import (
	"context"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Together is several triggers that test the same records in one scan. Each column is read once for all of them. A column
// condition that several have in common is tested once. A record that any of them must see is read and decoded once. Each
// trigger finds exactly what it would find alone. It is not safe for concurrent use; Clone it for another goroutine.
type Together struct {
	matchers  []*Matcher
	columns   *program       // a test for each matcher
	blind     bool           // no trigger can use columns, so none are read
	numbers   []int          // properties that expressions ask records for
	relations []relation     // what expressions ask about associated records
	values    []record.Value // of the record in hand, by property number
}

// NewTogether joins matchers of one object type. It copies them, and leaves the originals alone.
func NewTogether(matchers ...*Matcher) *Together {
	own := make([]*Matcher, len(matchers))
	for i, m := range matchers {
		own[i] = m.copied()
	}
	return together(own)
}

func together(matchers []*Matcher) *Together {
	t := &Together{matchers: matchers, blind: true}
	tests := make([]*columnTest, len(matchers))
	var lists []int
	highest := 0
	for i, m := range matchers {
		tests[i] = m.root
		t.blind = t.blind && m.root.op == testAny
		lists = append(lists, m.lists...)
		t.numbers = append(t.numbers, m.numbers...)
		highest = max(highest, len(m.env.values)-1)
	}
	t.relations = togetherRelations(matchers)
	slices.Sort(t.numbers)
	t.numbers = slices.Compact(t.numbers)
	t.values = make([]record.Value, highest+1)
	t.columns = newProgram(tests...)
	t.columns.wantLists(lists)
	// A list's members are read as bits of slots. They hold only for the records that stood in the slots at that moment.
	t.columns.want.IDs = len(lists) > 0
	t.blind = t.blind && len(lists) == 0
	return t
}

// Clone is the same for another goroutine.
func (t *Together) Clone() *Together { return NewTogether(t.matchers...) }

// Evaluate finds the live records that each trigger matches in partitions from ≤ p < to. fn is called for every partition,
// in order, once for each matcher, also where nothing matched. Matchers are numbered in the order of NewTogether. Evaluate
// writes nothing. When fn returns an error, Evaluate stops with that error.
func (t *Together) Evaluate(ctx context.Context, src Source, o record.ObjectType, from, to int, fn func(matcher int, found Found) error) error {
	r := search{Together: t, src: src, object: o, fn: fn}
	if t.blind {
		for p := from; p < to; p++ {
			r.waiting = append(r.waiting, pending{partition: p, pick: crmstore.Pick{Partition: p, Whole: true}})
		}
		return r.flush(ctx)
	}
	err := src.ReadColumns(ctx, o, from, to, t.columns.want, func(c *crmstore.Columns) error {
		r.gathered += r.test(c)
		if r.gathered < survivorsAtOnce && len(r.waiting) < partitionsAtOnce {
			return nil
		}
		return r.flush(ctx)
	})
	if err != nil {
		return err
	}
	return r.flush(ctx)
}

// togetherRelations is what the matchers ask about associated records, each object type once.
func togetherRelations(matchers []*Matcher) []relation {
	var all []*Expr
	for _, m := range matchers {
		all = append(all, m.trigger.expressions()...)
	}
	return relations(all)
}
