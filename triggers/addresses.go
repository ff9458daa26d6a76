package triggers

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// What is compared with e-mail addresses is compared in their normal form, so that case does not count. A test is folded
// when one of the texts that it looks at comes from a property of addresses.

// addresses reports whether n is a text that may come from a property of e-mail addresses.
func (n *node) addresses() bool {
	switch n.op {
	case opProperty:
		return n.property.HoldsAddresses()
	case opLower:
		return n.args[0].addresses()
	case opDomain:
		return true
	case opCoalesce:
		return n.kind == kindText && (n.args[0].addresses() || n.args[1].addresses())
	case opChoose:
		return n.kind == kindText && (n.args[1].addresses() || n.args[2].addresses())
	}
	return false
}

// folded is a test of texts, folded when it looks at addresses. Constants are folded here, once.
func (n *node) folded() *node {
	if n.args[0].kind != kindText {
		return n
	}
	for _, a := range n.args {
		n.folds = n.folds || a.addresses()
	}
	if !n.folds || n.op == opMatches { // the pattern of matches says itself that case does not count
		return n
	}
	fold := record.FoldAddress
	if n.op == opText {
		fold = foldPart
	}
	for i, a := range n.args {
		if a.op == opConst {
			same := *a
			same.text = fold(a.text)
			n.args[i] = &same
		} else {
			n.args[i] = a.foldedInside()
		}
	}
	return n
}

// foldedInside is a text that a folded test looks at, with the constants that it may come to in the form in which they are compared:
// the normal form of the test then says in expr's own words what is tested.
func (n *node) foldedInside() *node {
	var from int // the first argument that n may come to
	switch {
	case n.op == opConst && n.kind == kindText:
		same := *n
		same.text = record.FoldAddress(n.text)
		return &same
	case n.op == opCoalesce, n.op == opLower:
	case n.op == opChoose:
		from = 1
	default:
		return n
	}
	same := *n
	same.args = slices.Clone(n.args)
	for i := from; i < len(same.args); i++ {
		same.args[i] = same.args[i].foldedInside()
	}
	return &same
}

// foldPart folds what is looked for in addresses. A text of nothing but invisible characters stays: no address holds it,
// and the empty text is in all of them.
func foldPart(s string) string {
	if folded := record.FoldPart(s); folded != "" {
		return folded
	}
	return s
}

// anyCase is a pattern for which case does not count.
func anyCase(pattern string) string {
	const flag = "(?i)"
	if strings.HasPrefix(pattern, flag) {
		return pattern
	}
	return flag + pattern
}

// operand compiles a text that the test n looks at.
func (n *node) operand(i int) textFunc {
	f := text(n.args[i])
	if !n.folds || n.args[i].op == opConst {
		return f
	}
	return func(e *env) (string, bool) {
		s, ok := f(e)
		return record.FoldAddress(s), ok
	}
}

// address reports whether constant may be what is compared with it as a whole, with a finding when it is no e-mail address
// and other is always one: such a comparison protects no record.
func (c *checker) address(source ast.Node, constant, other *node) bool {
	for other.op == opLower {
		other = other.args[0]
	}
	if constant.op != opConst || constant.text == "" || constant.kind != kindText || other.op != opProperty || c.objectOf(other) != record.Contact ||
		other.property.Number != record.PropertyEmail || !other.property.HoldsAddresses() {
		return true
	}
	text, err := record.NormalAddress(constant.text)
	if err == nil && text != "" {
		return true
	}
	if err == nil { // blanks alone
		err = record.ErrNoAddress
	}
	c.find(diag.ExprPointless, source, fmt.Sprintf("%s is %v, so no contact has it", c.source(source), err),
		"write a whole address, or ask for a part of it with startsWith, endsWith or contains")
	return false
}

// addressPart reports whether an e-mail address can hold the constant where the test looks for it, with a finding when none can:
// such a test protects no record.
func (c *checker) addressPart(n *ast.BinaryNode, other, constant *node) bool {
	for other.op == opLower {
		other = other.args[0]
	}
	if other.op != opProperty || c.objectOf(other) != record.Contact || other.property.Number != record.PropertyEmail || !other.property.HoldsAddresses() {
		return true
	}
	part := foldPart(constant.text)
	good := record.AddressPart(part)
	switch n.Operator {
	case "startsWith":
		good = good && part[0] != '@' && part[0] != '.'
	case "endsWith":
		good = good && !strings.HasSuffix(part, "@") && !strings.HasSuffix(part, ".")
	}
	if !good {
		c.find(diag.ExprPointless, n.Right, fmt.Sprintf("no e-mail address %s %s", n.Operator, c.source(n.Right)),
			`write a part of one address, without blanks, commas and what may stand around it, such as "@acme.example"`)
	}
	return good
}

// compiled is the pattern as it is used for x.
func compiled(pattern string, x *node) (string, *regexp.Regexp, error) {
	if x.addresses() {
		pattern = anyCase(pattern)
	}
	re, err := regexp.Compile(pattern)
	return pattern, re, err
}
