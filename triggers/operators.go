package triggers

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

func (c *checker) binary(n *ast.BinaryNode) *node {
	switch n.Operator {
	case "in":
		return c.in(n)
	case "..", "**", "^":
		return c.refuse(n, fmt.Sprintf("%s is not part of the language", n.Operator), "write a range with >= and <=")
	}
	a, b := c.check(n.Left), c.check(n.Right)
	sources, args := []ast.Node{n.Left, n.Right}, []*node{a, b}
	switch {
	case n.Operator == "&&" || n.Operator == "and":
		return c.logic(opAnd, n.Operator, sources, args)
	case n.Operator == "||" || n.Operator == "or":
		return c.logic(opOr, n.Operator, sources, args)
	case a.kind == kindBad || b.kind == kindBad:
		return &node{kind: kindBad}
	}
	switch n.Operator {
	case "==", "!=", "<", "<=", ">", ">=":
		return c.compare(n, a, b)
	case "contains", "startsWith", "endsWith", "matches":
		return c.textTest(n, a, b)
	case "??":
		return c.coalesce(n, a, b)
	default:
		return c.arithmetic(n, a, b)
	}
}

func (c *checker) compare(n *ast.BinaryNode, a, b *node) *node {
	order := n.Operator != "==" && n.Operator != "!="
	switch {
	case a.kind == kindNil && b.kind == kindNil:
		return c.nilFinding(n, "", "")
	case a.kind == kindNil:
		return c.nilFinding(n, n.Operator, c.source(n.Right))
	case b.kind == kindNil:
		return c.nilFinding(n, n.Operator, c.source(n.Left))
	case n.Operator == "==" && (neverText(a, b) || neverText(b, a)):
		other := n.Left
		if neverText(a, b) {
			other = n.Right
		}
		return c.find(diag.ExprNil, n, `"" is no value here: a text that is empty is unknown`, fmt.Sprintf("write unknown(%s)", c.source(other)))
	case a.kind != b.kind:
		return c.find(diag.ExprTypes, n, fmt.Sprintf("%s is %s, and %s is %s", c.source(n.Left), a.kind.word(), c.source(n.Right), b.kind.word()),
			c.mismatchHelp(n, a, b))
	case a.kind == kindBool && order:
		return c.find(diag.ExprTypes, n, fmt.Sprintf("a yes or no has no order, so %s cannot be asked", n.Operator), "write the condition itself, or ! before it")
	case a.kind == kindBool && (!plainTruth(a) || !plainTruth(b)):
		return c.find(diag.ExprTypes, n, fmt.Sprintf("%s compares conditions", n.Operator), "write the condition itself, or ! before it")
	case order && (optionsOf(a) != nil || optionsOf(b) != nil):
		return c.find(diag.ExprTypes, n, fmt.Sprintf("options have no order, so %s cannot be asked", n.Operator), "ask for options with == or in")
	case order && a.kind == kindText:
		return c.textOrder(n, a, b)
	}
	if !c.options(n.Right, b, a) || !c.options(n.Left, a, b) {
		return &node{kind: kindBad}
	}
	if !order && (!c.address(n.Right, b, a) || !c.address(n.Left, a, b)) || !c.possible(n.Right, n.Left, b, a) || !c.possible(n.Left, n.Right, a, b) {
		return &node{kind: kindBad}
	}
	return (&node{op: opCompare, kind: kindBool, name: n.Operator, args: []*node{a, b}}).folded()
}

// plainTruth reports whether a yes or no is a value rather than a condition.
func plainTruth(n *node) bool {
	return n.op == opProperty || n.op == opConst || n.op == opCoalesce && plainTruth(n.args[0]) && plainTruth(n.args[1])
}

// optionsOf is the enumeration that n takes its values from, nil when it is none.
func optionsOf(n *node) *record.Property {
	switch {
	case n.op == opProperty && n.property.Type == record.Enumeration:
		return n.property
	case n.op == opCoalesce:
		return optionsOf(n.args[0])
	}
	return nil
}

// options reports whether constant is something that other can be, with a finding when it is not.
func (c *checker) options(source ast.Node, constant, other *node) bool {
	p := optionsOf(other)
	object := c.optionsObject(other)
	if p == nil || constant.op != opConst || p.Option(constant.text) != nil {
		return true
	}
	for other.op == opCoalesce { // a stand-in may be compared with too
		if stand := other.args[1]; stand.op == opConst && stand.text == constant.text {
			return true
		}
		other = other.args[0]
	}
	var candidates []string
	for _, o := range p.Options {
		if strings.EqualFold(o.Label, constant.text) || strings.EqualFold(o.Value, constant.text) {
			c.find(diag.ExprUnknownOption, source, fmt.Sprintf("%s.%s has no option %q", object, p.Name, constant.text),
				fmt.Sprintf("write %s, the internal value", strconv.Quote(o.Value)))
			return false
		}
		if !o.Removed {
			candidates = append(candidates, o.Value)
		}
	}
	help := "its options are " + strings.Join(candidates[:min(len(candidates), 12)], ", ")
	if near := spelling.Nearest(constant.text, candidates); near != "" {
		help = fmt.Sprintf("did you mean %s?", strconv.Quote(near))
	}
	c.find(diag.ExprUnknownOption, source, fmt.Sprintf("%s.%s has no option %q", object, p.Name, constant.text), help)
	return false
}

// optionsObject is the object type of the property that optionsOf gives.
func (c *checker) optionsObject(n *node) record.ObjectType {
	for n.op == opCoalesce {
		n = n.args[0]
	}
	return c.objectOf(n)
}

// mismatchHelp guesses what was meant by comparing different kinds.
func (c *checker) mismatchHelp(n *ast.BinaryNode, a, b *node) string {
	left, right := c.source(n.Left), c.source(n.Right)
	if a.op == opConst && b.op != opConst {
		a, b, left, right = b, a, right, left
	}
	switch {
	case a.kind == kindTime && b.kind == kindText:
		return fmt.Sprintf("write a date as date(%q)", dayLike(b.text))
	case a.kind == kindTime && b.kind == kindNumber:
		return fmt.Sprintf("an age in days is daysSince(%s)", left)
	case a.kind == kindDuration && b.kind == kindNumber, a.kind == kindDuration && b.kind == kindText:
		return fmt.Sprintf("write a length of time as duration(%q)", strings.Trim(right, `"'`)+"d")
	case a.kind == kindNumber && b.kind == kindDuration:
		return "write the number of days without duration"
	case a.kind == kindNumber && b.kind == kindText && b.op == opConst:
		return "write the number without quotes"
	case a.kind == kindBool && b.kind == kindText:
		return "write true or false without quotes"
	case b.kind == kindNumber && b.op == opConst && a.op == opProperty && a.property.Type == record.String:
		return fmt.Sprintf("the number in a text is number(%s)", left)
	case a.kind == kindText && b.op == opConst && b.kind != kindTime && b.kind != kindDuration:
		return fmt.Sprintf("write %q, in quotes", right)
	default:
		return ""
	}
}

// dayLike is text when it could be a day, an example otherwise.
func dayLike(text string) string {
	if _, _, err := parseDate(text, nil); err == nil {
		return text
	}
	return "2026-01-31"
}

func (c *checker) in(n *ast.BinaryNode) *node {
	x := c.check(n.Left)
	list, ok := n.Right.(*ast.ArrayNode)
	if !ok {
		if b, isRange := n.Right.(*ast.BinaryNode); isRange && b.Operator == ".." {
			return c.check(n.Right)
		}
		return c.find(diag.ExprTypes, n.Right, "in wants a list in square brackets", `write in ["one", "two"]; a part of a text is asked with contains`)
	}
	if len(list.Nodes) == 0 {
		return c.find(diag.ExprTypes, list, "the list is empty", "nothing is in an empty list")
	}
	good := x.kind != kindBad
	args := []*node{x}
	if c.missingIn(n, list, x) {
		return &node{kind: kindBad}
	}
	for _, e := range list.Nodes {
		item := c.check(e)
		args = append(args, item)
		switch {
		case item.kind == kindBad, x.kind == kindBad:
			good = false
		case x.kind == kindNil:
			good = false
			c.nilFinding(n, "", "")
		case item.kind != x.kind:
			good = false
			c.find(diag.ExprTypes, e, fmt.Sprintf("%s is %s, and %s is %s", c.source(n.Left), x.kind.word(), c.source(e), item.kind.word()),
				c.mismatchHelp(&ast.BinaryNode{Left: n.Left, Right: e}, x, item))
		case !item.fixed():
			good = false
			c.refuse(e, "a list holds fixed values", fmt.Sprintf("write %s == %s || ...", c.source(n.Left), c.source(e)))
		default:
			good = c.notEmpty(n, e, item, x) && c.options(e, item, x) && c.address(e, item, x) && c.possible(e, n.Left, item, x) && good
		}
	}
	if good && x.kind == kindBool {
		return c.find(diag.ExprTypes, n, "a yes or no is not looked up in a list", "write the condition itself, or ! before it")
	}
	if !good {
		return &node{kind: kindBad}
	}
	return (&node{op: opIn, kind: kindBool, args: args}).folded()
}

// missingIn finds nil among the values that a list asks for, and says how to ask for the rest.
func (c *checker) missingIn(n *ast.BinaryNode, list *ast.ArrayNode, x *node) bool {
	var rest []string
	word := ""
	for _, e := range list.Nodes {
		if item := c.check(e); item.kind == kindNil {
			word = item.name
			continue
		}
		rest = append(rest, c.source(e))
	}
	if word == "" || x.kind == kindNil {
		return false
	}
	left := c.source(n.Left)
	help := fmt.Sprintf("write unknown(%s)", left)
	switch not := c.notIn[n]; {
	case not && len(rest) > 0:
		help = fmt.Sprintf("write (known(%s) && %s not in [%s])", left, left, strings.Join(rest, ", "))
	case not:
		help = fmt.Sprintf("write known(%s)", left)
	case len(rest) > 0:
		help = fmt.Sprintf("write (unknown(%s) || %s in [%s])", left, left, strings.Join(rest, ", "))
	}
	c.find(diag.ExprNil, n, word+" is no value here", help)
	return true
}

// neverText reports whether constant is the empty text and other comes from a property, whose texts are never empty: it is unknown instead.
func neverText(constant, other *node) bool {
	return constant.op == opConst && constant.kind == kindText && constant.text == "" && neverEmpty(other)
}

// maxPattern limits the size of a regular expression after its repetitions are written out.
const maxPattern = 1000

func (c *checker) textTest(n *ast.BinaryNode, a, b *node) *node {
	for i, x := range []*node{a, b} {
		if x.kind != kindText {
			source := []ast.Node{n.Left, n.Right}[i]
			return c.find(diag.ExprTypes, source, fmt.Sprintf("%s tests texts, and %s is %s", n.Operator, c.source(source), x.kind.word()), "")
		}
	}
	if !c.findable(n, a, b) {
		return &node{kind: kindBad}
	}
	if n.Operator != "matches" {
		return (&node{op: opText, kind: kindBool, name: n.Operator, args: []*node{a, b}}).folded()
	}
	if b.op != opConst {
		return c.find(diag.ExprBadRegexp, n.Right, "the pattern of matches is written out", "use contains, startsWith or endsWith with a property")
	}
	parsed, err := syntax.Parse(b.text, syntax.Perl)
	if err != nil {
		return c.find(diag.ExprBadRegexp, n.Right, "the pattern cannot be read: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "")
	}
	if patternSize(parsed) > maxPattern {
		return c.find(diag.ExprBadRegexp, n.Right, "the pattern is too large", "use smaller counts in {}")
	}
	written, pattern, err := compiled(b.text, a)
	if err != nil {
		return c.find(diag.ExprBadRegexp, n.Right, "the pattern cannot be used: "+err.Error(), "")
	}
	if !c.matchable(n, a, b.text, parsed) || !c.someOption(n, a, pattern.MatchString) {
		return &node{kind: kindBad}
	}
	same := *b
	same.text = written
	return (&node{op: opMatches, kind: kindBool, args: []*node{a, &same}, pattern: pattern}).folded()
}

// findable reports whether some text that a gives can hold the constant b, and another cannot, with a finding when that is not
// so: such a test keeps no record, or every record.
func (c *checker) findable(n *ast.BinaryNode, a, b *node) bool {
	if b.op != opConst {
		return true
	}
	if b.text == "" {
		c.find(diag.ExprPointless, n.Right, c.source(n.Right)+" is in every text", fmt.Sprintf("write known(%s), if every value is meant", c.source(n.Left)))
		return false
	}
	if n.Operator == "matches" {
		return true
	}
	if !c.addressPart(n, a, b) || !c.domainPart(n, a, b) || !c.lowered(n.Right, n.Left, b, a) {
		return false
	}
	return c.someOption(n, a, func(option string) bool { return textHolds(n.Operator, option, b.text) })
}

func textHolds(operator, text, part string) bool {
	switch operator {
	case "startsWith":
		return strings.HasPrefix(text, part)
	case "endsWith":
		return strings.HasSuffix(text, part)
	}
	return strings.Contains(text, part)
}

// someOption reports whether a test is true of one of the options that a can be, with a finding when it is of none.
func (c *checker) someOption(n *ast.BinaryNode, a *node, is func(string) bool) bool {
	if a.op != opProperty || a.property.Type != record.Enumeration || len(a.property.Options) == 0 {
		return true
	}
	var values []string
	for _, o := range a.property.Options {
		if is(o.Value) {
			return true
		}
		values = append(values, o.Value)
	}
	c.find(diag.ExprUnknownOption, n.Right, fmt.Sprintf("of no option of %s.%s this is true: %s %s", c.objectOf(a), a.property.Name, n.Operator, c.source(n.Right)),
		"its options are "+strings.Join(values[:min(len(values), 12)], ", "))
	return false
}

// patternSize estimates how many steps a pattern compiles to, without compiling it.
func patternSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		size = min(size+patternSize(sub), maxPattern+1)
	}
	if re.Op == syntax.OpRepeat {
		size = min(size*max(re.Min, re.Max, 1), maxPattern+1)
	}
	return size
}

func (c *checker) coalesce(n *ast.BinaryNode, a, b *node) *node {
	switch {
	case a.kind == kindNil:
		return c.nilFinding(n.Left, "", "")
	case b.kind == kindNil:
		return c.nilFinding(n.Right, "", "")
	case a.kind != b.kind:
		return c.find(diag.ExprTypes, n, fmt.Sprintf("%s is %s, and its stand-in %s is %s", c.source(n.Left), a.kind.word(), c.source(n.Right), b.kind.word()),
			c.mismatchHelp(n, a, b))
	case a.fixed():
		return c.find(diag.ExprTypes, n, fmt.Sprintf("%s is never unknown, so ?? does nothing", c.source(n.Left)), "take ?? and what follows out")
	}
	return &node{op: opCoalesce, kind: a.kind, args: []*node{a, b}}
}

func (c *checker) arithmetic(n *ast.BinaryNode, a, b *node) *node {
	kinds := [2]kind{a.kind, b.kind}
	result := kindBad
	switch {
	case slices.Contains(kinds[:], kindNil):
		return c.nilFinding(n, "", "")
	case n.Operator == "+" && kinds == [2]kind{kindText, kindText}:
		return c.refuse(n, "texts are not joined", "test the parts one by one, with startsWith, endsWith or contains")
	case kinds == [2]kind{kindNumber, kindNumber}:
		result = kindNumber
	case n.Operator != "+" && n.Operator != "-":
	case kinds == [2]kind{kindTime, kindDuration}, n.Operator == "+" && kinds == [2]kind{kindDuration, kindTime}:
		result = kindTime
	case kinds == [2]kind{kindDuration, kindDuration}, n.Operator == "-" && kinds == [2]kind{kindTime, kindTime}:
		result = kindDuration
	}
	if result == kindBad {
		help := ""
		if slices.Contains(kinds[:], kindTime) && slices.Contains(kinds[:], kindNumber) {
			help = `days are added as a duration: now - duration("365d"), or write daysAgo(365)`
		}
		return c.find(diag.ExprTypes, n, fmt.Sprintf("%s between %s and %s has no meaning", n.Operator, a.kind.word(), b.kind.word()), help)
	}
	if (n.Operator == "/" || n.Operator == "%") && b.op == opConst && b.number == 0 {
		return c.find(diag.ExprTypes, n, "a division by zero has no result", "")
	}
	return c.calculable(n, &node{op: opArith, kind: result, name: n.Operator, args: []*node{a, b}})
}

// calculable refuses a fixed calculation without a finite result, so that what is fixed is always known.
func (c *checker) calculable(source ast.Node, n *node) *node {
	if n.measured().fixed() && n.size <= maxLogic {
		if _, ok := number(n)(&env{zone: time.UTC}); !ok {
			return c.find(diag.ExprTypes, source, fmt.Sprintf("%s has no finite result", c.source(source)), "")
		}
	}
	return n
}
