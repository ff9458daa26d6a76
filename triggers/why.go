package triggers

import (
	"context"
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
		m.env.setRecord(recs[0])
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
		a.Conditions = append(a.Conditions, answered)
	}
	return a
}
