package triggers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// checker turns expr's tree into checked nodes and collects findings. expr's own type checker is not
// used: it stops at the first mistake, and speaks of Go's types.
type checker struct {
	text     diag.Text
	v        Vocabulary
	lists    *listCompiler
	spans    *spans
	findings diag.List
	notIn    map[*ast.BinaryNode]bool // `x not in [...]`
	related  *record.Schema           // of the associated records that the condition in hand is asked of; nil = of none
	done     map[ast.Node]*node       // expr shares the middle of 1 < x < 5 between two comparisons
}

func (c *checker) check(n ast.Node) *node {
	if checked, ok := c.done[n]; ok {
		return checked
	}
	checked := c.make(n).measured()
	if checked.size > maxLogic { // 1 < x < 5 has x twice, and so has what is in x: it can double at each level
		checked = c.find(diag.ExprTooLarge, n, "the expression grows too much when it is written out", "split it into several triggers")
	}
	checked.from, checked.to = c.spans.bytes(n)
	c.done[n] = checked
	return checked
}

func (c *checker) make(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.NilNode:
		return &node{op: opConst, kind: kindNil, name: "nil"}
	case *ast.IntegerNode:
		return &node{op: opConst, kind: kindNumber, number: float64(n.Value)}
	case *ast.FloatNode:
		return &node{op: opConst, kind: kindNumber, number: n.Value}
	case *ast.BoolNode:
		return &node{op: opConst, kind: kindBool, truth: n.Value}
	case *ast.StringNode:
		return &node{op: opConst, kind: kindText, text: n.Value}
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.CallNode:
		if name, ok := n.Callee.(*ast.IdentifierNode); ok {
			return c.call(n, name.Value, n.Arguments)
		}
		return c.refuse(n, "a value has no functions of its own", "write the function first, as in lower(contact.email)")
	case *ast.BuiltinNode:
		if isPredicate(n) {
			return c.quantifier(n)
		}
		return c.call(n, n.Name, n.Arguments)
	case *ast.PointerNode:
		return c.refuse(n, "# is a whole record", "name a property of it, as in .amount")
	default:
		return c.refuse(n, constructWord(n)+" is not part of the language", constructHelp(n, c.object()))
	}
}

func (c *checker) object() string { return string(c.v.Schema.Object) }

// source is the text that n stands on.
func (c *checker) source(n ast.Node) string {
	from, to := c.spans.bytes(n)
	return c.text.Value[from:to]
}

func (c *checker) find(code diag.Code, n ast.Node, message, help string) *node {
	from, to := c.spans.bytes(n)
	c.findings = append(c.findings, c.text.Finding(code, from, to, message, help))
	return &node{kind: kindBad}
}

func (c *checker) refuse(n ast.Node, message, help string) *node {
	return c.find(diag.ExprNotAllowed, n, message, help)
}

func isPredicate(n *ast.BuiltinNode) bool {
	switch n.Name {
	case "all", "none", "any", "one", "filter", "map", "count", "sum", "find", "findIndex", "findLast", "findLastIndex", "groupBy", "sortBy", "reduce":
		return true
	}
	return false
}

func constructWord(n ast.Node) string {
	switch n.(type) {
	case *ast.VariableDeclaratorNode:
		return "let"
	case *ast.SequenceNode:
		return "a sequence with ;"
	case *ast.ChainNode:
		return "?."
	case *ast.SliceNode:
		return "a part of a value, [from:to],"
	case *ast.ArrayNode:
		return "a list that does not stand after in"
	case *ast.MapNode, *ast.PairNode:
		return "a map"
	case *ast.BytesNode:
		return "a text of bytes"
	default:
		return "this"
	}
}

func constructHelp(n ast.Node, object string) string {
	switch n.(type) {
	case *ast.VariableDeclaratorNode:
		return "write the value where it is used"
	case *ast.SequenceNode:
		return "join conditions with && or ||"
	case *ast.ChainNode:
		return fmt.Sprintf("write %s.name; a missing value is unknown, never a failure", object)
	case *ast.SliceNode:
		return "use startsWith, endsWith, contains or matches"
	case *ast.ArrayNode:
		return fmt.Sprintf(`write %s.lifecyclestage in ["subscriber", "lead"]`, object)
	default:
		return ""
	}
}

func (c *checker) identifier(n *ast.IdentifierNode) *node {
	switch n.Value {
	case "now", "today":
		return c.call(n, n.Value, nil)
	case "null", "NULL", "Null", "Nil", "NIL", "undefined":
		return &node{op: opConst, kind: kindNil, name: n.Value}
	case c.object():
		return c.find(diag.ExprUnknownName, n, fmt.Sprintf("%s is the whole record", n.Value),
			fmt.Sprintf("name a property, as in %s.%s", n.Value, firstName(c.v)))
	}
	if plural := c.relatedName(n.Value); plural != "" {
		return c.find(diag.ExprUnknownName, n, fmt.Sprintf("%s are associated records, and no value", plural), fmt.Sprintf("ask count(%s) > 0, or any(%s, ...)", plural, plural))
	}
	if _, ok := functionNamed(n.Value); ok {
		return c.find(diag.ExprArguments, n, fmt.Sprintf("%s is a function", n.Value), "write its arguments in brackets: "+signatureOf(n.Value))
	}
	help := fmt.Sprintf("write %s for a text, or %s.NAME for a property", strconv.Quote(n.Value), c.object())
	switch near := spelling.Nearest(n.Value, []string{"now", "today", "true", "false", c.object()}); {
	case c.related != nil && len(c.related.Find(n.Value)) == 1:
		help = fmt.Sprintf("did you mean .%s?", n.Value)
	case len(c.v.Schema.Find(n.Value)) == 1:
		help = fmt.Sprintf("did you mean %s.%s?", c.object(), n.Value)
	case near != "":
		help = fmt.Sprintf("did you mean %s?", near)
	}
	return c.find(diag.ExprUnknownName, n, fmt.Sprintf("unknown name %q", n.Value), help)
}

func firstName(v Vocabulary) string {
	if names := v.Schema.Names(); len(names) > 0 {
		return names[0]
	}
	return "NAME"
}

// member resolves contact.name and contact["Label"].
func (c *checker) member(n *ast.MemberNode) *node {
	if _, ok := n.Node.(*ast.PointerNode); ok {
		return c.relatedMember(n)
	}
	object, isName := n.Node.(*ast.IdentifierNode)
	name, isText := n.Property.(*ast.StringNode)
	switch {
	case !isName:
		inner := c.check(n.Node)
		if inner.kind == kindBad {
			return &node{kind: kindBad}
		}
		return c.refuse(n, fmt.Sprintf("%s has no parts", c.source(n.Node)), "")
	case object.Value != c.object() && c.relatedName(object.Value) != "" && isText:
		plural := c.relatedName(object.Value)
		return c.find(diag.ExprUnknownName, object, fmt.Sprintf("the workflow is about the object %s, and %s are associated with it", c.object(), plural),
			fmt.Sprintf("ask any(%s, .%s ...)", plural, name.Value))
	case object.Value != c.object():
		return c.find(diag.ExprUnknownName, object, fmt.Sprintf("unknown name %q", object.Value),
			fmt.Sprintf("the workflow is about the object %[1]s; write %[1]s.NAME", c.object()))
	case !isText:
		return c.refuse(n, "the name of a property is written out", fmt.Sprintf("write %s.NAME", c.object()))
	}
	switch found := c.v.Schema.Find(name.Value); len(found) {
	case 1:
		if o := found[0].Counts; o != "" {
			return &node{op: opCount, kind: kindNumber, name: "count", object: o}
		}
		return &node{op: opProperty, kind: kindOf(found[0].Type), property: found[0]}
	case 0:
		return c.unknownPropertyOf(n, c.v.Schema, c.object(), name.Value)
	default:
		names := make([]string, len(found))
		for i, p := range found {
			names[i] = c.object() + "." + p.Name
		}
		return c.find(diag.ExprSharedLabel, n, fmt.Sprintf("%q is the label of %d properties", name.Value, len(found)), "write "+strings.Join(names, " or "))
	}
}

// unknownPropertyOf finds a property that the schema does not have; before stands before the dot of what is to be written instead.
func (c *checker) unknownPropertyOf(n ast.Node, schema *record.Schema, before, name string) *node {
	object := string(schema.Object)
	var candidates []string
	for i := range schema.Properties {
		p := &schema.Properties[i]
		if p.Removed {
			if p.Name == name {
				return c.find(diag.ExprUnknownProperty, n, fmt.Sprintf("the property %q was removed from %s", name, object), "")
			}
			continue
		}
		candidates = append(candidates, p.Name)
	}
	for _, candidate := range slices.Clone(candidates) {
		if p := schema.Find(candidate); len(p) == 1 && p[0].Label != "" {
			candidates = append(candidates, record.SnakeCase(p[0].Label))
		}
	}
	help := fmt.Sprintf("`workflow properties list --object %s` shows them all", object)
	if _, _, r, mixed := unseen.Mixed(name); mixed {
		return c.find(diag.ExprUnknownProperty, n, fmt.Sprintf("%s has no property %q: its %q is %U, not the letter that it looks like", object, name, r, r), nearHelp(before, name, candidates, help))
	}
	return c.find(diag.ExprUnknownProperty, n, fmt.Sprintf("%s has no property %q", object, name), nearHelp(before, name, candidates, help))
}

func nearHelp(before, name string, candidates []string, otherwise string) string {
	if near := spelling.Nearest(name, candidates); near != "" {
		return fmt.Sprintf("did you mean %s.%s?", before, near)
	}
	return otherwise
}

func (c *checker) unary(n *ast.UnaryNode) *node {
	if in, ok := n.Node.(*ast.BinaryNode); ok && in.Operator == "in" && !c.prefix(n) {
		c.notIn[in] = true
	}
	x := c.check(n.Node)
	switch {
	case x.kind == kindBad:
		return x
	case n.Operator == "!" || n.Operator == "not":
		return c.logic(opNot, n.Operator, []ast.Node{n.Node}, []*node{x})
	case x.kind != kindNumber:
		return c.find(diag.ExprTypes, n.Node, fmt.Sprintf("%s wants a number, and %s is %s", n.Operator, c.source(n.Node), x.kind.word()), "")
	case n.Operator == "+":
		same := *x
		return &same
	case x.op == opConst:
		return &node{op: opConst, kind: kindNumber, number: -x.number}
	default:
		return &node{op: opNegate, kind: kindNumber, args: []*node{x}}
	}
}

// logic checks and, or and not.
func (c *checker) logic(o op, word string, sources []ast.Node, args []*node) *node {
	good := true
	for i, a := range args {
		switch {
		case a.kind == kindBad:
			good = false
		case a.kind != kindBool:
			good = false
			c.find(diag.ExprNotCondition, sources[i], fmt.Sprintf("%s joins conditions, and %s is %s", word, c.source(sources[i]), a.kind.word()), conditionHelp(c.source(sources[i]), a))
		case isTruth(a):
			good = false
			c.find(diag.ExprPointless, sources[i], fmt.Sprintf("%t beside %s decides for every record", a.truth, word), "take it out")
		}
	}
	if !good {
		return &node{kind: kindBad}
	}
	return &node{op: o, kind: kindBool, args: args}
}

// conditionHelp says how to make a condition of a value.
func conditionHelp(source string, n *node) string {
	switch {
	case n.op == opConst:
		return "compare it with a property"
	case n.kind == kindNumber:
		return fmt.Sprintf("compare it, as in %s > 0", source)
	case n.kind == kindTime:
		return fmt.Sprintf("compare it, as in daysSince(%s) > 365", source)
	case n.kind == kindText && n.addresses():
		return fmt.Sprintf(`ask for a part of it, as in %s endsWith "@example.com", or ask known(%s)`, source, source)
	case n.kind == kindText:
		return fmt.Sprintf(`compare it, as in %s == "value", or ask known(%s)`, source, source)
	default:
		return "compare it with something"
	}
}

func (c *checker) conditional(n *ast.ConditionalNode) *node {
	cond, a, b := c.check(n.Cond), c.check(n.Exp1), c.check(n.Exp2)
	switch {
	case !n.Ternary:
		return c.refuse(n, "if is not part of the language", "write condition ? this : that, or join conditions with && and ||")
	case cond.kind == kindBad || a.kind == kindBad || b.kind == kindBad:
		return &node{kind: kindBad}
	case cond.kind != kindBool:
		return c.find(diag.ExprNotCondition, n.Cond, fmt.Sprintf("? wants a condition, and %s is %s", c.source(n.Cond), cond.kind.word()), conditionHelp(c.source(n.Cond), cond))
	case isTruth(cond):
		return c.find(diag.ExprPointless, n.Cond, fmt.Sprintf("%t before ? decides for every record", cond.truth), "take it out")
	case a.kind == kindNil:
		return c.nilFinding(n.Exp1, "", "")
	case b.kind == kindNil:
		return c.nilFinding(n.Exp2, "", "")
	case a.kind != b.kind:
		return c.find(diag.ExprTypes, n, fmt.Sprintf("one side is %s, the other %s", a.kind.word(), b.kind.word()), "both sides of : give the same kind of value")
	}
	return &node{op: opChoose, kind: a.kind, args: []*node{cond, a, b}}
}

// nilFinding is about nil, null and the like; operator and other are what it is compared by and with, if it is.
func (c *checker) nilFinding(n ast.Node, operator, other string) *node {
	help := "ask known(...) or unknown(...), or give a stand-in with ??"
	switch operator {
	case "==":
		help = fmt.Sprintf("write unknown(%s)", other)
	case "!=":
		help = fmt.Sprintf("write known(%s)", other)
	}
	return c.find(diag.ExprNil, n, c.nilWord(n)+" is no value here", help)
}

// nilWord is how a missing value is written at n or right below it.
func (c *checker) nilWord(n ast.Node) string {
	for _, x := range append([]ast.Node{n}, children(n)...) {
		if checked := c.done[x]; checked != nil && checked.kind == kindNil {
			return checked.name
		}
	}
	return "nil"
}
