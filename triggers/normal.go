package triggers

import (
	"errors"
	"slices"
)

// logic is the normal form of an expression: and, or, and leaves. A leaf is a condition that is asked as a
// whole, negation included; it holds where its guard is true (all its values are known) and it is true
// itself. With guards in place two truth values are enough: logic is true exactly where the expression is
// true in three-valued logic, and false everywhere else.
type logic struct {
	op    op // opAnd, opOr, or opConst for a leaf
	parts []*logic
	leaf  *node
	guard *logic // nil: the leaf is never unknown
}

var errTooMany = errors.New("the expression grows too much when it is written out")

// maxLogic limits the normal form: c ? a : b asks c twice, so that nested ones double at each level.
const maxLogic = 5000

// normalizer rewrites checked nodes to logic.
type normalizer struct{ made int }

// normalize rewrites a condition, and says of how many parts the result is made. errTooMany is its only error.
func normalize(n *node) (l *logic, made int, err error) {
	var z normalizer
	l = z.rewrite(n, false)
	if z.made > maxLogic {
		return nil, z.made, errTooMany
	}
	return l, z.made, nil
}

// rewrite pushes negations down; negated says that the negation of n is wanted.
func (z *normalizer) rewrite(n *node, negated bool) *logic {
	if z.made++; z.made > maxLogic {
		return &logic{op: opConst, leaf: n}
	}
	switch {
	case n.op == opNot:
		return z.rewrite(n.args[0], !negated)
	case n.op == opAnd && !negated, n.op == opOr && negated:
		return join(opAnd, z.rewrite(n.args[0], negated), z.rewrite(n.args[1], negated))
	case n.op == opOr, n.op == opAnd:
		return join(opOr, z.rewrite(n.args[0], negated), z.rewrite(n.args[1], negated))
	case n.op == opChoose:
		return join(opOr,
			join(opAnd, z.rewrite(n.args[0], false), z.rewrite(n.args[1], negated)),
			join(opAnd, z.rewrite(n.args[0], true), z.rewrite(n.args[2], negated)))
	}
	if n.op == opActive { // one leaf, which the planner takes apart
		z.made += n.active.made
	}
	leaf := n
	if negated {
		leaf = negate(n)
	}
	guard := z.guards(n)
	switch {
	case guard == nil || !isConstant(guard):
		return &logic{op: opConst, leaf: leaf, guard: guard}
	case guard.leaf.truth:
		return &logic{op: opConst, leaf: leaf}
	default:
		return guard // never known, so never true
	}
}

func isConstant(l *logic) bool { return l.leaf != nil && isTruth(l.leaf) }

// negate is the leaf that is true where n is false.
func negate(n *node) *node {
	flipped := *n
	switch n.op {
	case opCompare:
		flipped.name = map[string]string{"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}[n.name]
	case opKnown:
		flipped.op = opUnknown
	case opUnknown:
		flipped.op = opKnown
	case opConst:
		flipped.truth = !n.truth
	case opNot:
		return n.args[0]
	default:
		not := node{op: opNot, kind: kindBool, from: n.from, to: n.to, args: []*node{n}}
		return not.measured()
	}
	return &flipped
}

// join joins parts, taking apart those that are joined by the same word, and folding true and false, which
// the branches of c ? a : b may be. nil parts say nothing.
func join(o op, parts ...*logic) *logic {
	all := &logic{op: o}
	var neutral *logic
	for _, p := range parts {
		switch {
		case p == nil:
		case isConstant(p) && p.leaf.truth == (o == opOr):
			return p
		case isConstant(p):
			neutral = p
		case p.op == o:
			all.parts = append(all.parts, p.parts...)
		default:
			all.parts = append(all.parts, p)
		}
	}
	switch len(all.parts) {
	case 0:
		return neutral
	case 1:
		return all.parts[0]
	}
	return all
}

// guards says when the value of n is known; nil means always.
func (z *normalizer) guards(n *node) *logic {
	if z.made++; z.made > maxLogic {
		return nil
	}
	if n.fixed() { // a fixed calculation without a result is refused when it is checked
		return nil
	}
	switch n.op {
	case opProperty:
		return known(n)
	case opKnown, opUnknown, opInList, opActive:
		return nil
	case opAny, opAll, opNone, opCount:
		if len(n.args) == 0 {
			return nil
		}
		return known(n)
	case opCoalesce:
		a, b := z.guards(n.args[0]), z.guards(n.args[1])
		if a == nil || b == nil {
			return nil
		}
		return join(opOr, a, b)
	case opChoose:
		a, b := z.guards(n.args[1]), z.guards(n.args[2])
		return join(opOr, join(opAnd, z.rewrite(n.args[0], false), a), join(opAnd, z.rewrite(n.args[0], true), b))
	case opAnd, opOr, opNot:
		return known(n)
	}
	var all *logic
	for _, a := range n.args {
		all = join(opAnd, all, z.guards(a))
	}
	if mayLack(n) { // also where ?? sees to it that all below is known
		all = join(opAnd, all, known(n))
	}
	return all
}

func known(n *node) *logic {
	leaf := node{op: opKnown, kind: kindBool, from: n.from, to: n.to, args: []*node{n}}
	return &logic{op: opConst, leaf: leaf.measured()}
}

// mayLack reports whether n can have no value although all below it is known: no finite result, no domain, no number.
func mayLack(n *node) bool {
	switch n.op {
	case opDaysAgo, opMonthsAgo, opYearsAgo, opDomain, opNumber:
		return !n.fixed()
	case opArith:
		return n.kind == kindNumber || slices.ContainsFunc(n.args, mayLack)
	case opNegate, opDaysSince, opDaysUntil, opMonthsSince, opDaysBetween, opDayOf, opLower:
		return slices.ContainsFunc(n.args, mayLack)
	}
	return false
}

// leaves calls fn for each leaf in the order of the text; guards are no leaves.
func (l *logic) leaves(fn func(*logic)) {
	if l.leaf != nil {
		fn(l)
		return
	}
	for _, p := range l.parts {
		p.leaves(fn)
	}
}
