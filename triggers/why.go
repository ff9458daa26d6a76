package triggers

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Why is each condition's answer for one record.
type Why struct {
	ID          record.ID            `json:"id"`
	Found       bool                 `json:"found"`
	Deletion    *record.Deletion     `json:"deletion,omitempty"` // not nil: in the bin, so it does not enroll whatever the answers
	Verdict     Verdict              `json:"verdict"`            // the zero Verdict when not found or in the bin
	Now         time.Time            `json:"now"`
	Expressions []AnsweredExpression `json:"expressions"`
	ActiveLists []AnsweredExpression `json:"active_lists"` // the expressions of the active lists that are asked: on the list is who the answer is true for
}

// AnsweredExpression is one expression with its answer.
type AnsweredExpression struct {
	List       string              `json:"list,omitempty"` // the active list whose expression it is; "" = the trigger's own
	Suppress   bool                `json:"suppress"`
	Number     int                 `json:"number"` // from 1, within its kind
	Source     string              `json:"source"`
	Answer     Answer              `json:"answer"`
	Conditions []AnsweredCondition `json:"conditions"`
}

// AnsweredCondition is one condition with its answer and the values it saw.
type AnsweredCondition struct {
	Text   string `json:"text"`
	Answer Answer `json:"answer"`
	Values []Seen `json:"values"`
}

// Seen is a property's value as a condition saw it.
type Seen struct {
	Property string `json:"property"`
	Label    string `json:"label"`
	Value    string `json:"value"` // "" when unknown
	Known    bool   `json:"known"`
}

// Why gives each condition's three-valued answer for one record, with the values it saw.
func (m *Matcher) Why(ctx context.Context, src Source, o record.ObjectType, id record.ID) (Why, error) {
	w := Why{ID: id, Now: m.now, Expressions: []AnsweredExpression{}, ActiveLists: []AnsweredExpression{}}
	partitions, err := src.Partitions(ctx)
	if err != nil {
		return w, err
	}
	want := []record.PartitionIDs{{Partition: id.Partition(partitions), IDs: []record.ID{id}}}
	err = m.Test(ctx, src, o, want, func(_ int, recs []*record.Record, v []Verdict) error {
		if recs[0] == nil {
			return nil
		}
		w.Found, w.Deletion, w.Verdict = true, recs[0].Deletion, v[0]
		known, err := m.relate(ctx, src, o, recs[:1])
		if err != nil {
			return err
		}
		m.known = known
		m.look(recs[0])
		m.expressions(func(e *Expr, _ *columnTest, suppress bool, number int) {
			a := m.answered(e)
			a.Suppress, a.Number = suppress, number
			w.Expressions = append(w.Expressions, a)
		})
		for _, l := range m.trigger.activeLists() {
			a := m.answered(l.expr)
			a.List = l.list.Name
			w.ActiveLists = append(w.ActiveLists, a)
		}
		return nil
	})
	return w, err
}

// answered answers an expression for the record that m.env looks at.
func (m *Matcher) answered(e *Expr) AnsweredExpression {
	a := AnsweredExpression{Source: e.Source(), Answer: e.test(m.env)}
	for _, c := range m.conditions(e) {
		answered := AnsweredCondition{Text: c.text, Answer: truth(c.leaf.leaf)(m.env), Values: []Seen{}}
		properties, _ := c.leaf.leaf.mentions()
		for _, p := range properties {
			v := m.env.value(p.Number)
			answered.Values = append(answered.Values, Seen{Property: p.Name, Label: p.Label, Value: v.String(), Known: v.Known()})
		}
		answered.Values = append(answered.Values, m.seenRelated(c.leaf.leaf)...)
		a.Conditions = append(a.Conditions, answered)
	}
	return a
}

// seenAtMost is how many associated records Why shows of each object type: first those that a condition is true for, then those
// that it is unknown for.
const seenAtMost = 5

// seenRelated is what a condition saw of associated records: how many there are, and those that decide.
func (m *Matcher) seenRelated(leaf *node) []Seen {
	var all []Seen
	leaf.walk(func(n *node) {
		if !n.op.isQuantifier() {
			return
		}
		others, read := m.env.relatedOf(n.object)
		plural := n.object.Plural()
		if !slices.ContainsFunc(all, func(s Seen) bool { return s.Property == plural }) {
			all = append(all, Seen{Property: plural, Label: "associated " + plural, Value: strconv.Itoa(len(others)), Known: read})
		}
		if len(n.args) == 0 {
			return
		}
		condition := truth(n.args[0])
		answers := make([]Answer, len(others))
		for i := range others {
			answers[i] = m.env.of(&others[i], condition)
		}
		shown := 0
		for _, wanted := range []Answer{True, Unknown, False} {
			for i := range others {
				if answers[i] == wanted && shown < seenAtMost {
					shown++
					all = append(all, others[i].seen(n)...)
				}
			}
		}
	})
	return all
}

// seen is what a condition asks of an associated record.
func (a *associated) seen(quantifier *node) []Seen {
	name := record.Ref{Object: quantifier.object, ID: a.id}.String()
	if a.record == nil {
		return []Seen{{Property: name, Label: "damaged record"}}
	}
	var all []Seen
	quantifier.args[0].walk(func(n *node) {
		if n.op != opProperty || n.object == "" {
			return
		}
		v := a.record.Value(n.property.Number)
		all = append(all, Seen{Property: name + " " + n.property.Name, Label: n.property.Label, Value: v.String(), Known: v.Known()})
	})
	return all
}
