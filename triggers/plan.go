package triggers

import (
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// columnTest is what columns can say of a condition: it holds at least wherever the condition is true.
type columnTest struct {
	op       testOp
	exact    bool // it holds nowhere else
	property *record.Property
	cells    cells
	list     int
	negated  bool // of testList
	parts    []*columnTest
}

type testOp uint8

const (
	testAny  testOp = iota // every record; columns say nothing
	testNone               // no record
	testCells
	testList
	testAnd
	testOr
)

// planner turns normal forms into column tests at one instant.
type planner struct{ env *env }

func (p *planner) logic(l *logic) *columnTest {
	if l.leaf == nil {
		parts := make([]*columnTest, len(l.parts))
		for i, part := range l.parts {
			parts[i] = p.logic(part)
		}
		return joinTests(l.op, parts)
	}
	leaf := p.leaf(l.leaf)
	if l.guard == nil {
		return leaf
	}
	joined := joinTests(opAnd, []*columnTest{p.logic(l.guard), leaf})
	// An exact leaf is asked of known values already, so its guard adds nothing that columns could miss.
	joined.exact = joined.exact || leaf.exact
	return joined
}

// joinTests joins tests and merges those of the same column into one.
func joinTests(o op, parts []*columnTest) *columnTest {
	joined, nothing, everything := testAnd, testAny, testNone
	if o == opOr {
		joined, nothing, everything = testOr, testNone, testAny
	}
	all := &columnTest{op: joined, exact: true}
	for _, part := range parts {
		all.exact = all.exact && part.exact
		switch part.op {
		case everything: // decides alone
			return &columnTest{op: everything, exact: part.exact}
		case nothing:
		case joined:
			for _, inner := range part.parts {
				all.merge(inner)
			}
		default:
			all.merge(part)
		}
	}
	// A test that is decided by what was merged: a column that can hold no such cell, or any.
	for _, part := range all.parts {
		if part.op == testCells && (len(part.cells) == 0 || part.cells.isAll()) {
			decided := &columnTest{op: testNone, exact: all.exact || o == opAnd}
			if part.cells.isAll() {
				decided = &columnTest{op: testAny, exact: all.exact}
			}
			others := slices.DeleteFunc(slices.Clone(all.parts), func(t *columnTest) bool { return t == part })
			return joinTests(o, append(others, decided))
		}
	}
	switch len(all.parts) {
	case 0:
		return &columnTest{op: nothing, exact: all.exact}
	case 1:
		only := *all.parts[0]
		only.exact = all.exact
		return &only
	}
	return all
}

func (t *columnTest) merge(part *columnTest) {
	for i, other := range t.parts {
		if part.op != testCells || other.op != testCells || other.property != part.property {
			continue
		}
		merged := *other
		merged.exact = other.exact && part.exact
		if t.op == testAnd {
			merged.cells = other.cells.intersect(part.cells)
		} else {
			merged.cells = other.cells.union(part.cells)
		}
		t.parts[i] = &merged
		return
	}
	t.parts = append(t.parts, part)
}

// leaf plans one condition, its guard aside.
func (p *planner) leaf(n *node) *columnTest {
	inner, negated := n, false
	if n.op == opNot {
		inner, negated = n.args[0], true
	}
	if inner.op == opActive {
		if negated {
			return p.logic(inner.active.never)
		}
		return p.logic(inner.active.expr.normal)
	}
	if inner.op == opInList {
		return &columnTest{op: testList, exact: true, list: inner.list, negated: negated}
	}
	properties, lists := n.mentions()
	switch {
	case n.asksRelated():
		return &columnTest{op: testAny}
	case len(properties) == 0 && len(lists) == 0:
		p.env.setRecord(nil)
		if truth(n)(p.env) == True {
			return &columnTest{op: testAny, exact: true}
		}
		return &columnTest{op: testNone, exact: true}
	case len(properties) != 1 || len(lists) > 0 || !properties[0].Columnar():
		return &columnTest{op: testAny}
	}
	property := properties[0]
	set, exact := p.knownCells(n, property)
	if p.answer(n, property, record.Value{}) == True {
		set = set.union(oneCell(0))
	}
	return &columnTest{op: testCells, exact: exact, property: property, cells: set}
}

// answer evaluates a condition on a record whose only value is v.
func (p *planner) answer(n *node, property *record.Property, v record.Value) Answer {
	p.env.setRecord(nil)
	p.env.pretend(property, v)
	return truth(n)(p.env)
}

// knownCells is the cells, 0 aside, of values for which n is true, or more than those when not exact.
func (p *planner) knownCells(n *node, property *record.Property) (set cells, exact bool) {
	if (n.op == opKnown || n.op == opUnknown) && n.args[0].op == opProperty {
		if n.op == opKnown {
			return anyKnown(), true
		}
		return nil, true
	}
	switch property.Type {
	case record.Bool:
		for _, b := range []bool{false, true} {
			if p.answer(n, property, record.BoolValue(b)) == True {
				set = set.union(oneCell(record.BoolCell(b)))
			}
		}
		return set, true
	case record.Enumeration:
		return p.optionCells(n, property), true
	case record.String:
		return p.hashCells(n, property), false
	}
	if set, exact, ok := p.rangeCells(n); ok {
		return set, exact
	}
	return anyKnown(), false
}

// optionCells asks each option, removed ones too, since records may still hold them.
func (p *planner) optionCells(n *node, property *record.Property) cells {
	var set, asked cells
	test := truth(n)
	for i := range property.Options {
		o := &property.Options[i]
		cell := oneCell(record.OptionCell(o.Number))
		asked = append(asked, cell...)
		p.env.setRecord(nil)
		p.env.pretend(property, record.EnumValue(o.Value))
		if test(p.env) == True {
			set = append(set, cell...)
		}
	}
	// An option that was added after the expression was compiled cannot be asked: leave it to the record.
	return set.union(nil).union(asked.union(oneCell(0)).complement())
}

// hashCells is for texts whose column holds hashes: equality can be asked, and confirmed on the record. Where an older
// store's column holds hashes of addresses as they were written, it says nothing about addresses in any case.
func (p *planner) hashCells(n *node, property *record.Property) cells {
	if property.HoldsAddresses() && !property.Email {
		return anyKnown()
	}
	direct := func(x *node) bool {
		return x.op == opProperty || x.op == opCoalesce && x.args[0].op == opProperty
	}
	var constants []*node
	switch {
	case n.op == opCompare && n.name == "==" && direct(n.args[0]):
		constants = n.args[1:]
	case n.op == opCompare && n.name == "==" && direct(n.args[1]):
		constants = n.args[:1]
	case n.op == opIn && direct(n.args[0]):
		constants = n.args[1:]
	default:
		return anyKnown()
	}
	var set cells
	for _, c := range constants {
		if c.op != opConst {
			return anyKnown()
		}
		if c.text != "" { // no record holds the empty text
			set = append(set, oneCell(property.Cell(record.StringValue(c.text)))...)
		}
	}
	return set.union(nil)
}

// rangeCells is for comparisons of numbers and dates with something fixed.
func (p *planner) rangeCells(n *node) (set cells, exact, ok bool) {
	negated := n.op == opNot
	if negated {
		n = n.args[0]
	}
	switch {
	case n.op == opCompare && !negated:
		x, k, operator := n.args[0], n.args[1], n.name
		if x.fixed() {
			x, k, operator = k, x, mirrored(operator)
		}
		m, found := p.monotoneOf(x)
		if !found || !k.fixed() {
			return nil, false, false
		}
		value, _ := number(k)(p.env)
		return m.where(operator, value), m.exact, true
	case n.op == opIn:
		m, found := p.monotoneOf(n.args[0])
		if !found {
			return nil, false, false
		}
		for _, item := range n.args[1:] {
			value, _ := number(item)(p.env)
			set = set.union(m.where("==", value))
		}
		if negated {
			low, high := m.bounds()
			set = cells{{low, high}}.intersect(set.complement())
		}
		return set, m.exact, true
	}
	return nil, false, false
}

func mirrored(operator string) string {
	switch operator {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return operator
}
