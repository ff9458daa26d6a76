package triggers

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/expr-lang/expr/ast"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// This file finds constants that the text beside them can never be: a capital letter beside lower, half a domain, nothing.

// possible reports whether other can be the constant, with a finding when it cannot.
func (c *checker) possible(source, otherSource ast.Node, constant, other *node) bool {
	if constant.op != opConst || constant.kind != kindText {
		return true
	}
	if constant.text == "" && neverEmpty(other) {
		return true // == "" has a finding already, and != "" is true of every value, as it seems
	}
	if domain := domainIn(other); domain != nil {
		return c.wholeDomain(source, otherSource, constant)
	}
	return c.lowerOption(source, constant, other) && c.lowered(source, otherSource, constant, other)
}

// notEmpty finds the empty text among the values of in.
func (c *checker) notEmpty(n *ast.BinaryNode, source ast.Node, item, x *node) bool {
	if !neverText(item, x) {
		return true
	}
	c.find(diag.ExprNil, source, `"" is no value here: a text that is empty is unknown`, fmt.Sprintf("take it out, and ask unknown(%s) beside it", c.source(n.Left)))
	return false
}

// neverEmpty reports whether a text is unknown rather than empty.
func neverEmpty(n *node) bool {
	switch n.op {
	case opProperty:
		return n.kind == kindText
	case opLower:
		return neverEmpty(n.args[0])
	case opDomain:
		return true
	}
	return false
}

// domainIn is the domain that a text is, nil when it is something else.
func domainIn(n *node) *node {
	for n.op == opLower || n.op == opCoalesce {
		n = n.args[0]
	}
	if n.op == opDomain {
		return n
	}
	return nil
}

// wholeDomain reports whether a constant can be what domain gives.
func (c *checker) wholeDomain(source, otherSource ast.Node, constant *node) bool {
	folded := record.FoldAddress(constant.text)
	if domain, ok := domainOf("x@" + folded); ok && domain == folded && strings.Contains(domain, ".") {
		return true
	}
	if other, ok := c.done[otherSource]; ok && other.op == opCoalesce { // a stand-in may be compared with too
		if stand := other.args[1]; stand.op == opConst && stand.text == constant.text {
			return true
		}
	}
	bare := folded[strings.LastIndexByte(folded, '@')+1:]
	help := `name a whole domain, such as "acme.example"`
	if domain, ok := domainOf("x@" + bare); ok && strings.Contains(domain, ".") {
		help = "write " + strconv.Quote(domain)
	} else if ok {
		help = fmt.Sprintf(`name the whole domain, such as %q, or ask %s startsWith %q`, domain+".example", c.source(otherSource), domain+".")
	}
	c.find(diag.ExprPointless, source, fmt.Sprintf("%s is no domain: what stands after the @ of an address, with a dot in it", c.source(source)), help)
	return false
}

// domainPart reports whether a domain can hold the constant where the test looks for it.
func (c *checker) domainPart(n *ast.BinaryNode, other, constant *node) bool {
	if domainIn(other) == nil {
		return true
	}
	part := foldPart(constant.text)
	bare := part[strings.LastIndexByte(part, '@')+1:]
	good := part == bare && record.AddressPart("x@"+part)
	switch {
	case !good:
	case n.Operator == "startsWith":
		good = part[0] != '.'
	case n.Operator == "endsWith":
		good = !strings.HasSuffix(part, ".")
	}
	if good {
		return true
	}
	help := `write a part of a domain, such as "acme.example"`
	if bare != "" && bare != part && record.AddressPart("x@"+bare) {
		help = "write " + strconv.Quote(bare)
	}
	c.find(diag.ExprPointless, n.Right, fmt.Sprintf("no domain %s %s", n.Operator, c.source(n.Right)), help)
	return false
}

// lowered reports whether a constant beside lower is in lower case, with a finding when it is not.
func (c *checker) lowered(source, otherSource ast.Node, constant, other *node) bool {
	low := strings.ToLower(constant.text)
	if !inLower(other) || other.addresses() || low == constant.text {
		return true
	}
	c.find(diag.ExprPointless, source, fmt.Sprintf("%s is in lower case, and %s is not", c.source(otherSource), c.source(source)), "write "+strconv.Quote(low))
	return false
}

// inLower reports whether a text is in lower case whatever the record.
func inLower(n *node) bool {
	switch n.op {
	case opLower:
		return true
	case opConst:
		return n.kind == kindText && strings.ToLower(n.text) == n.text
	case opCoalesce:
		return inLower(n.args[0]) && inLower(n.args[1])
	case opChoose:
		return inLower(n.args[1]) && inLower(n.args[2])
	}
	return false
}

// lowerOption reports whether an option in lower case can be the constant, with a finding when none can.
func (c *checker) lowerOption(source ast.Node, constant, other *node) bool {
	if other.op != opLower || optionsOf(other.args[0]) == nil || other.args[0].op != opProperty {
		return true
	}
	p := other.args[0].property
	var values []string
	for _, o := range p.Options {
		low := strings.ToLower(o.Value)
		if low == constant.text {
			return true
		}
		if strings.EqualFold(o.Value, constant.text) || strings.EqualFold(o.Label, constant.text) {
			c.find(diag.ExprUnknownOption, source, fmt.Sprintf("lower(%s.%s) has no option %q", c.object(), p.Name, constant.text), fmt.Sprintf("write %s, in lower case", strconv.Quote(low)))
			return false
		}
		if !o.Removed {
			values = append(values, low)
		}
	}
	help := "its options are " + strings.Join(values[:min(len(values), 12)], ", ")
	if near := spelling.Nearest(constant.text, values); near != "" {
		help = fmt.Sprintf("did you mean %s?", strconv.Quote(near))
	}
	c.find(diag.ExprUnknownOption, source, fmt.Sprintf("lower(%s.%s) has no option %q", c.object(), p.Name, constant.text), help)
	return false
}

// textOrder finds texts that are compared by the order of their letters, in which "9" comes after "10".
func (c *checker) textOrder(n *ast.BinaryNode, a, b *node) *node {
	left, right := c.source(n.Left), c.source(n.Right)
	help := "ask for texts with ==, in, startsWith, endsWith, contains or matches"
	constant, varying := b, a
	if a.op == opConst {
		constant, varying = a, b
	}
	switch {
	case domainIn(a) != nil || domainIn(b) != nil || a.addresses() || b.addresses():
	case constant.op != opConst || varying.op == opConst:
		if !a.fixed() && !b.fixed() {
			help = fmt.Sprintf("write number(%s) %s number(%s), if they are numbers", left, n.Operator, right)
		}
	default:
		if f, ok := numberIn(constant.text, pointSign); ok {
			wrapped, plain := "number("+left+")", printer{}.constant(&node{op: opConst, kind: kindNumber, number: f})
			if constant == a {
				wrapped, plain = plain, "number("+right+")"
			}
			help = fmt.Sprintf("write %s %s %s", wrapped, n.Operator, plain)
		} else if _, _, err := parseDate(constant.text, nil); err == nil {
			help = "a text is no date; add a date property with `workflow properties add NAME --type date`, import its values into it, and compare that"
		}
	}
	return c.find(diag.ExprTypes, n, fmt.Sprintf("texts are compared letter by letter (\"10\" comes before \"9\"), so %s is not what it seems", n.Operator), help)
}

// matchable reports whether some text that a gives can match, with a finding when none can.
func (c *checker) matchable(n *ast.BinaryNode, a *node, written string, parsed *syntax.Regexp) bool {
	switch {
	case neverEmpty(a) && emptyOnly(parsed):
		c.find(diag.ExprNil, n, "only the empty text matches, and a text that is empty is unknown", fmt.Sprintf("write unknown(%s)", c.source(n.Left)))
		return false
	case inLower(a) && !a.addresses() && needsCapital(parsed):
		c.find(diag.ExprPointless, n.Right, fmt.Sprintf("%s is in lower case, and the pattern wants a capital letter", c.source(n.Left)), "write "+quotedSource("(?i)"+written))
		return false
	}
	return true
}

// emptyOnly reports whether a pattern is one of the empty text from end to end, such as ^$.
func emptyOnly(re *syntax.Regexp) bool {
	if re.Op != syntax.OpConcat {
		return false
	}
	begins, ends := false, false
	for _, sub := range re.Sub {
		switch sub.Op {
		case syntax.OpBeginText:
			begins = true
		case syntax.OpEndText:
			ends = true
		case syntax.OpEmptyMatch:
		default:
			return false
		}
	}
	return begins && ends
}

// needsCapital reports whether whatever matches has a letter that lower case lacks.
func needsCapital(re *syntax.Regexp) bool {
	capital := func(r rune) bool { return unicode.ToLower(r) != r }
	switch re.Op {
	case syntax.OpLiteral:
		return re.Flags&syntax.FoldCase == 0 && slices.ContainsFunc(re.Rune, capital)
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if re.Rune[i+1]-re.Rune[i] > 100 {
				return false
			}
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if !capital(r) {
					return false
				}
			}
		}
		return len(re.Rune) > 0
	case syntax.OpConcat:
		return slices.ContainsFunc(re.Sub, needsCapital)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !needsCapital(sub) })
	case syntax.OpCapture, syntax.OpPlus:
		return needsCapital(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min > 0 && needsCapital(re.Sub[0])
	}
	return false
}
