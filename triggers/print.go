package triggers

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
)

// printer writes checked nodes back as source that compiles to the same.
type printer struct{ object string }

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// logic writes a normal form: flat, with brackets only where they are needed.
func (p printer) logic(l *logic) string {
	if l.leaf != nil {
		return strings.Join(p.conjuncts(l), " && ")
	}
	var parts []string
	seen := map[string]bool{}
	for _, part := range l.parts {
		if l.op == opOr {
			text := p.logic(part)
			if part.op == opAnd || part.guard != nil {
				text = "(" + text + ")"
			}
			parts = append(parts, text)
			continue
		}
		for _, text := range p.conjuncts(part) {
			if !seen[text] { // two comparisons of one property need its guard once
				parts = append(parts, text)
			}
			seen[text] = true
		}
	}
	if l.op == opOr {
		return strings.Join(parts, " || ")
	}
	return strings.Join(parts, " && ")
}

// conjuncts lists what l says, to be joined with &&.
func (p printer) conjuncts(l *logic) []string {
	switch {
	case l.op == opOr:
		return []string{"(" + p.logic(l) + ")"}
	case l.op == opAnd:
		var all []string
		for _, part := range l.parts {
			all = append(all, p.conjuncts(part)...)
		}
		return all
	case l.guard != nil:
		return append(p.conjuncts(l.guard), p.item(l.leaf))
	default:
		return []string{p.item(l.leaf)}
	}
}

// item writes n so that it can stand beside && and ||.
func (p printer) item(n *node) string {
	if n.op == opCoalesce || n.op == opChoose {
		return p.part(n)
	}
	return p.node(n)
}

// node writes n, not bracketed.
func (p printer) node(n *node) string {
	switch n.op {
	case opConst:
		return p.constant(n)
	case opAny, opAll, opNone, opCount:
		if len(n.args) == 0 {
			return n.name + "(" + n.object.Plural() + ")"
		}
		return n.name + "(" + n.object.Plural() + ", " + p.node(n.args[0]) + ")"
	case opProperty:
		if n.object != "" && plainName.MatchString(n.property.Name) {
			return "." + n.property.Name
		}
		if n.object != "" {
			return "#[" + quotedSource(n.property.Name) + "]"
		}
		if plainName.MatchString(n.property.Name) {
			return p.object + "." + n.property.Name
		}
		return p.object + "[" + quotedSource(n.property.Name) + "]"
	case opNot:
		if in := n.args[0]; in.op == opIn {
			return p.in(in, " not in ")
		}
		return "!" + p.part(n.args[0])
	case opIn:
		return p.in(n, " in ")
	case opNegate:
		return "-" + p.part(n.args[0])
	case opChoose:
		return p.part(n.args[0]) + " ? " + p.part(n.args[1]) + " : " + p.part(n.args[2])
	case opInList, opActive:
		return "inList(" + quotedSource(n.name) + ")"
	case opNow:
		return "now"
	case opToday:
		return "today"
	case opDaysBetween:
		return "daysBetween(" + p.node(n.args[0]) + ", " + p.node(n.args[1]) + ")"
	case opNumber:
		if n.name != "" {
			return "number(" + p.node(n.args[0]) + ", " + quotedSource(n.name) + ")"
		}
		return "number(" + p.node(n.args[0]) + ")"
	}
	if word, ok := map[op]string{
		opKnown: "known", opUnknown: "unknown", opDaysSince: "daysSince", opDaysUntil: "daysUntil",
		opDaysAgo: "daysAgo", opMonthsSince: "monthsSince", opMonthsAgo: "monthsAgo", opYearsAgo: "yearsAgo", opDayOf: "dayOf",
		opLower: "lower", opDomain: "domain",
	}[n.op]; ok {
		return word + "(" + p.node(n.args[0]) + ")"
	}
	word, ok := map[op]string{opAnd: "&&", opOr: "||", opMatches: "matches", opCoalesce: "??"}[n.op]
	if !ok {
		word = n.name
	}
	return p.part(n.args[0]) + " " + word + " " + p.part(n.args[1])
}

// part writes n so that it can stand beside any operator.
func (p printer) part(n *node) string {
	switch n.op {
	case opAnd, opOr, opNot, opCompare, opIn, opText, opMatches, opArith, opNegate, opCoalesce, opChoose:
		return "(" + p.node(n) + ")"
	case opConst:
		if n.kind == kindNumber && n.number < 0 {
			return "(" + p.node(n) + ")"
		}
	}
	return p.node(n)
}

func (p printer) in(n *node, word string) string {
	items := make([]string, len(n.args)-1)
	for i, a := range n.args[1:] {
		items[i] = p.node(a)
	}
	return p.part(n.args[0]) + word + "[" + strings.Join(items, ", ") + "]"
}

func (p printer) constant(n *node) string {
	switch n.kind {
	case kindNumber:
		if n.number > -1e15 && n.number < 1e15 {
			return strconv.FormatFloat(n.number, 'f', -1, 64)
		}
		return strconv.FormatFloat(n.number, 'g', -1, 64)
	case kindText:
		return quotedSource(n.text)
	case kindBool:
		return strconv.FormatBool(n.truth)
	default:
		return n.name
	}
}

// quotedSource is a text as an expression has it: characters as they are, and an escape sequence only for what is not visible.
func quotedSource(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n' || r == '\t' || unseen.Is(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
