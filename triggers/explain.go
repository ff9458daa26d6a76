package triggers

import (
	"context"
	"errors"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// How a condition is answered.
const (
	ByColumns = "columns" // the columns answer it exactly
	ByBoth    = "columns, then records"
	ByRecords = "records"
)

// Plan says how a trigger is answered.
type Plan struct {
	Mode        string       `json:"mode"`    // ByColumns, ByBoth or ByRecords (every record is read)
	Columns     []string     `json:"columns"` // properties whose columns are read
	Lists       []string     `json:"lists"`   // static lists whose members are read
	Expressions []Expression `json:"expressions"`
}

// Expression is one expression of a trigger in a Plan or an Explanation.
type Expression struct {
	Suppress   bool        `json:"suppress"`
	Number     int         `json:"number"` // from 1, within its kind
	Source     string      `json:"source"`
	Normal     string      `json:"normal"`
	By         string      `json:"by"`
	Keeps      int64       `json:"keeps"` // live records it is true for; 0 in a Plan
	Conditions []Condition `json:"conditions"`
}

// Condition is one leaf of an expression's normal form, without its guard.
type Condition struct {
	Text  string `json:"text"`
	By    string `json:"by"`
	Keeps int64  `json:"keeps"`
}

// Explanation is a Plan with counts.
type Explanation struct {
	Plan
	Live int64 `json:"live"` // records looked at
}

// Why is each condition's answer for one record.
type Why struct {
	ID          crmstore.ID          `json:"id"`
	Found       bool                 `json:"found"`
	Deletion    *crmstore.Deletion   `json:"deletion,omitempty"` // not nil: in the bin, so it does not enroll whatever the answers
	Verdict     Verdict              `json:"verdict"`            // the zero Verdict when not found or in the bin
	Now         time.Time            `json:"now"`
	Expressions []AnsweredExpression `json:"expressions"`
}

// AnsweredExpression is one expression with its answer.
type AnsweredExpression struct {
	Suppress   bool                `json:"suppress"`
	Number     int                 `json:"number"` // from 1, within its kind
	Source     string              `json:"source"`
	Answer     Answer              `json:"answer"`
	Conditions []AnsweredCondition `json:"conditions"`
}

// AnsweredCondition is one leaf with its answer and the values it saw.
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

// Function is one function that expressions may use.
type Function struct {
	Name      string `json:"name"`
	Signature string `json:"signature"`
	Doc       string `json:"doc"`
	Example   string `json:"example"`
}

var errShape = errors.New("triggers: not built yet")

// Expr is one checked expression. It is safe for concurrent use.
type Expr struct{ source string }

// Compile checks one expression; the *Expr is nil exactly when the findings hold an error.
func Compile(text diag.Text, v Vocabulary) (*Expr, diag.List) {
	return nil, diag.List{text.Finding(diag.ExprSyntax, 0, len(text.Value), "expressions are not built yet", "")}
}

// Source is the expression as it was written.
func (e *Expr) Source() string { return e.source }

// Normal is the expression rewritten: negations pushed down, comparisons guarded.
func (e *Expr) Normal() string { return e.source }

// Constant reports the value of an expression that is true or false written outright.
func (e *Expr) Constant() (value, isConstant bool) { return false, false }

// Matcher is a trigger at an instant. It is not safe for concurrent use; Clone it for another goroutine.
type Matcher struct{}

// At fixes the run's instant and plans.
func (t *Trigger) At(now time.Time) (*Matcher, error) { return nil, errShape }

// Clone is a Matcher of its own for another goroutine.
func (m *Matcher) Clone() *Matcher { return &Matcher{} }

// Plan says how the trigger is answered.
func (m *Matcher) Plan() Plan { return Plan{} }

// Evaluate finds what matches in partitions from ≤ p < to. Live records only; fn gets every partition, in order, also empty ones.
func (m *Matcher) Evaluate(ctx context.Context, src Source, o crmstore.ObjectType, from, to int, fn func(Found) error) error {
	return errShape
}

// Test reads the named records afresh and tests each with the whole expressions.
func (m *Matcher) Test(ctx context.Context, src Source, o crmstore.ObjectType, want []crmstore.PartitionIDs,
	fn func(p int, recs []*crmstore.Record, v []Verdict) error) error {
	return errShape
}

// Explain counts, over partitions from ≤ p < to, the live records that each condition and each expression keeps.
func (m *Matcher) Explain(ctx context.Context, src Source, o crmstore.ObjectType, from, to int) (Explanation, error) {
	return Explanation{}, errShape
}

// Why gives each condition's answer for one record, with the values it saw.
func (m *Matcher) Why(ctx context.Context, src Source, o crmstore.ObjectType, id crmstore.ID) (Why, error) {
	return Why{}, errShape
}

// Functions is the table of functions that an expression may use.
func Functions() []Function { return nil }

// String is the Plan for people.
func (p Plan) String() string { return "" }

// String is the Explanation for people.
func (e Explanation) String() string { return "" }

// String is the Why for people.
func (w Why) String() string { return "" }
