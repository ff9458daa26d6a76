package triggers

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// Expr is one checked expression. It is safe for concurrent use.
type Expr struct {
	source string
	root   *node
	normal *logic
	text   string // normal form
	made   int    // parts that the normal form is made of
	test   truthFunc
}

// Compile checks one expression; the *Expr is nil exactly when the findings hold an error. The findings
// are in the order of the text, and all there are, unless the text cannot be read at all.
func Compile(text diag.Text, v Vocabulary) (*Expr, diag.List) {
	return compile(text, v, &listCompiler{done: map[string]*activeList{}})
}

func compile(text diag.Text, v Vocabulary, lists *listCompiler) (*Expr, diag.List) {
	if findings := unreadable(text); findings != nil && !text.IsGenerated() {
		return nil, findings
	}
	tree, finding := parse(text)
	if finding != nil {
		return nil, diag.List{*finding}
	}
	c := checker{text: text, v: v, lists: lists, spans: newSpans(text.Value), notIn: map[*ast.BinaryNode]bool{}, done: map[ast.Node]*node{}}
	if c.brackets(tree, map[ast.Node]bool{}); len(c.findings) > 0 {
		return nil, c.sorted()
	}
	c.tokens()
	root := c.check(tree)
	if !c.findings.HasErrors() {
		switch {
		case root.kind == kindNil:
			c.nilFinding(tree, "", "")
		case root.kind != kindBool:
			c.find(diag.ExprNotCondition, tree, fmt.Sprintf("a trigger is a condition, and %s is %s", c.source(tree), root.kind.word()), conditionHelp(c.source(tree), root))
		case root.fixed() && root.op != opConst:
			c.find(diag.ExprNoProperty, tree, fmt.Sprintf("nothing is asked about the %s", c.object()), "name a property, or write true if every record is meant")
		}
	}
	if c.findings.HasErrors() {
		return nil, c.sorted()
	}
	normal, made, err := normalize(root)
	if err != nil {
		return nil, diag.List{text.Finding(diag.ExprTooLarge, 0, len(text.Value), err.Error(), "join conditions with && and || instead of nesting ? and :")}
	}
	if c.never(root, normal); c.findings.HasErrors() {
		return nil, c.sorted()
	}
	return &Expr{source: text.Value, root: root, normal: normal, text: printer{c.object()}.logic(normal), made: made, test: truth(root)}, c.sorted()
}

// sorted is the findings in the order of the text.
func (c *checker) sorted() diag.List {
	slices.SortStableFunc(c.findings, func(a, b diag.Finding) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return c.findings
}

// Source is the expression as it was written.
func (e *Expr) Source() string { return e.source }

// Normal is the expression rewritten: negations pushed down to the comparisons, each of them guarded by
// known(...) of what it mentions. It compiles to an expression that is never unknown and enrolls the same records.
func (e *Expr) Normal() string { return e.text }

// Constant reports the value of an expression that is true or false written outright.
func (e *Expr) Constant() (value, isConstant bool) { return e.root.truth, isTruth(e.root) }
