package triggers

import (
	"context"
	"errors"
	"math/bits"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// How a condition is answered.
const (
	ByColumns = "columns"               // columns answer it exactly
	ByBoth    = "columns, then records" // columns leave some records over, which are read
	ByRecords = "records"               // columns say nothing; every record is read

	ByAssociations = "associations" // the associations of those records are read that nothing else rules out
)

// Plan says how a trigger is answered. Whatever it says, every survivor is tested with the whole expression.
type Plan struct {
	Mode         string       `json:"mode"`                   // ByColumns, ByBoth or ByRecords
	Columns      []string     `json:"columns"`                // properties whose columns are read
	Lists        []string     `json:"lists"`                  // static lists whose members are read
	Associations []string     `json:"associations,omitempty"` // object types, in the plural, whose associated records are read
	Expressions  []Expression `json:"expressions"`
	ActiveLists  []Expression `json:"active_lists"` // the expressions of the active lists that are asked, directly or through others
}

// Expression is one expression of a trigger, or of an active list that it asks, in a Plan or an Explanation.
type Expression struct {
	List       string      `json:"list,omitempty"` // the active list whose expression it is; "" = the trigger's own
	Suppress   bool        `json:"suppress"`
	Number     int         `json:"number"` // from 1, within its kind
	Source     string      `json:"source"`
	Normal     string      `json:"normal"`
	By         string      `json:"by"`
	Keeps      int64       `json:"keeps"` // live records it is true for; 0 in a Plan
	Conditions []Condition `json:"conditions"`
}

// Condition is one condition of an expression's normal form, without its guard.
type Condition struct {
	Text  string `json:"text"`
	By    string `json:"by"`
	Keeps int64  `json:"keeps"` // live records it is true for; 0 in a Plan
}

// Explanation is a Plan with counts.
type Explanation struct {
	Plan
	Live    int64 `json:"live"`              // records looked at
	Damaged int64 `json:"damaged,omitempty"` // of all records, those that could not be read: they count where columns answer, and nowhere else
}

// condition is a leaf of a normal form, each text once.
type condition struct {
	text string
	leaf *logic
}

func (m *Matcher) conditions(e *Expr) []condition {
	var all []condition
	p := printer{string(m.trigger.Vocabulary.Schema.Object)}
	e.normal.leaves(func(l *logic) {
		text := p.node(l.leaf)
		if !slices.ContainsFunc(all, func(c condition) bool { return c.text == text }) {
			all = append(all, condition{text, l})
		}
	})
	return all
}

func by(t *columnTest) string {
	switch {
	case t.exact:
		return ByColumns
	case t.op == testAny:
		return ByRecords
	}
	return ByBoth
}

// byOf is how a condition is answered.
func byOf(c condition, t *columnTest) string {
	if c.leaf.leaf.asksRelated() && c.leaf.leaf.op != opActive {
		return ByAssociations
	}
	return by(t)
}

// Plan says how the trigger is answered.
func (m *Matcher) Plan() Plan {
	plan := Plan{Mode: by(m.root), Columns: []string{}, Lists: []string{}}
	if m.root.op == testAny {
		plan.Mode = ByRecords // nothing to gain from columns, even where they are sure
	} else {
		for _, number := range m.alone.columns.want.Properties {
			plan.Columns = append(plan.Columns, m.trigger.Vocabulary.Schema.Number(number).Name)
		}
	}
	for name, l := range m.trigger.Vocabulary.Lists {
		if slices.Contains(m.lists, l.Number) {
			plan.Lists = append(plan.Lists, name)
		}
	}
	slices.Sort(plan.Lists)
	for _, r := range m.relations {
		plan.Associations = append(plan.Associations, r.object.Plural())
	}
	planner := planner{env: m.env}
	expression := func(e *Expr, t *columnTest) Expression {
		x := Expression{Source: e.Source(), Normal: e.Normal(), By: by(t)}
		for _, c := range m.conditions(e) {
			x.Conditions = append(x.Conditions, Condition{Text: c.text, By: byOf(c, planner.logic(c.leaf))})
		}
		return x
	}
	m.expressions(func(e *Expr, t *columnTest, suppress bool, number int) {
		x := expression(e, t)
		x.Suppress, x.Number = suppress, number
		plan.Expressions = append(plan.Expressions, x)
	})
	plan.ActiveLists = []Expression{}
	for _, l := range m.trigger.activeLists() {
		x := expression(l.expr, planner.logic(l.expr.normal))
		x.List = l.list.Name
		plan.ActiveLists = append(plan.ActiveLists, x)
	}
	return plan
}

// expressions calls fn for each expression, those of Any first.
func (m *Matcher) expressions(fn func(e *Expr, t *columnTest, suppress bool, number int)) {
	for i, e := range m.trigger.Any {
		fn(e, m.any[i], false, i+1)
	}
	for i, e := range m.trigger.Suppress {
		fn(e, m.suppress[i], true, i+1)
	}
}

// tally is one thing that Explain counts.
type tally struct {
	count *int64
	test  *columnTest
	ask   truthFunc
}

// Explain counts, over partitions from ≤ p < to, the live records that each condition and each expression
// is true for. What columns answer exactly is counted on columns; for the rest every record is read once.
func (m *Matcher) Explain(ctx context.Context, src Source, o record.ObjectType, from, to int) (Explanation, error) {
	x := Explanation{Plan: m.Plan()}
	exact, rest := m.tallies(&x)
	tests := make([]*columnTest, len(exact))
	for i, t := range exact {
		tests[i] = t.test
	}
	p := newProgram(tests...)
	err := src.ReadColumns(ctx, o, from, to, p.want, func(c *crmstore.Columns) error {
		live := p.live(c)
		x.Live += ones(live)
		for i, t := range exact {
			before := p.depth
			*t.count += ones(p.run(i, c, live))
			p.depth = before
		}
		return nil
	})
	if err != nil || len(rest) == 0 {
		return x, err
	}
	err = m.eachPartition(ctx, src, o, from, to, func(_ int, recs []*record.Record) error {
		live := slices.DeleteFunc(slices.Clone(recs), func(r *record.Record) bool { return r == nil || r.Deletion != nil })
		known, err := m.relate(ctx, src, o, live)
		if err != nil {
			return err
		}
		m.known = known
		for _, r := range live {
			m.look(r)
			for _, t := range rest {
				if t.ask(m.env) == True {
					*t.count++
				}
			}
		}
		return nil
	})
	m.known, m.env.related = nil, nil
	if damaged, ok := errors.AsType[*record.DamagedError](err); ok {
		x.Damaged, err = int64(len(damaged.IDs)), nil
	}
	return x, err
}

// tallies lists what is to be counted: on columns, and on records.
func (m *Matcher) tallies(x *Explanation) (exact, rest []tally) {
	add := func(t tally) {
		if t.test.exact {
			exact = append(exact, t)
		} else {
			rest = append(rest, t)
		}
	}
	planner, i := planner{env: m.env}, 0
	expression := func(counted *Expression, e *Expr, t *columnTest) {
		add(tally{&counted.Keeps, t, e.test})
		for j, c := range m.conditions(e) {
			add(tally{&counted.Conditions[j].Keeps, planner.logic(c.leaf), truth(c.leaf.leaf)})
		}
	}
	m.expressions(func(e *Expr, t *columnTest, _ bool, _ int) {
		expression(&x.Expressions[i], e, t)
		i++
	})
	for j, l := range m.trigger.activeLists() {
		expression(&x.ActiveLists[j], l.expr, planner.logic(l.expr.normal))
	}
	return exact, rest
}

func ones(words []uint64) int64 {
	n := 0
	for _, w := range words {
		n += bits.OnesCount64(w)
	}
	return int64(n)
}
