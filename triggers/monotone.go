package triggers

import (
	"math"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// monotone is a calculation over one property that only grows, or only shrinks, with the property's cell.
// So the cells for which a comparison with something fixed holds are one range (or all but one range), and
// binary search finds its ends by asking the calculation itself: whatever rounding, zones and calendars do
// to it, the range agrees with the evaluation of records.
type monotone struct {
	property *record.Property
	at       func(cell uint64) float64 // infinities where the evaluation of records says unknown
	shrinks  bool
	exact    bool // never infinite for a value that the store holds
}

// monotoneOf reads n as a monotone calculation; the flag is false when it is none.
func (p *planner) monotoneOf(n *node) (monotone, bool) {
	switch n.op {
	case opProperty:
		return p.decoded(n.property)
	case opCoalesce:
		// For known values a ?? b is a, as long as a is known whenever its property is. Cell 0 is asked by itself.
		if n.args[0].op == opProperty {
			return p.decoded(n.args[0].property)
		}
		return monotone{}, false
	case opDaysBetween:
		return p.monotoneDays(n)
	case opNegate, opDaysSince, opDaysUntil, opDaysAgo, opMonthsSince, opMonthsAgo, opYearsAgo, opDayOf:
		m, ok := p.monotoneOf(n.args[0])
		if !ok {
			return m, false
		}
		inner, outer := m.at, timeFunction(n.op)
		m.at = func(c uint64) float64 { return outer(p.env, inner(c)) }
		m.shrinks = m.shrinks != (n.op != opDaysUntil && n.op != opDayOf)
		m.exact = m.exact && n.op != opDaysAgo && n.op != opMonthsAgo && n.op != opYearsAgo
		return m, true
	case opArith:
		return p.monotoneArithmetic(n)
	}
	return monotone{}, false
}

// monotoneDays is daysBetween with one day that is fixed.
func (p *planner) monotoneDays(n *node) (monotone, bool) {
	varying, fixed, sign := n.args[0], n.args[1], -1.0
	if varying.fixed() {
		varying, fixed, sign = fixed, varying, 1
	}
	m, ok := p.monotoneOf(varying)
	if !ok || !fixed.fixed() {
		return m, false
	}
	k, _ := number(fixed)(p.env)
	inner, day := m.at, p.env.dayNumber(k)
	m.at = func(c uint64) float64 { return sign * (p.env.dayNumber(inner(c)) - day) }
	m.shrinks = m.shrinks != (sign < 0)
	return m, true
}

func (p *planner) monotoneArithmetic(n *node) (monotone, bool) {
	a, b := n.args[0], n.args[1]
	left := b.fixed() // the calculation is on the left, something fixed on the right
	varying, fixed := a, b
	if !left {
		varying, fixed = b, a
	}
	m, ok := p.monotoneOf(varying)
	if !ok || !fixed.fixed() {
		return m, false
	}
	k, _ := number(fixed)(p.env)
	inner := m.at
	switch n.name {
	case "+":
		m.at = func(c uint64) float64 { return inner(c) + k }
	case "-":
		if left {
			m.at = func(c uint64) float64 { return inner(c) - k }
		} else {
			m.at = func(c uint64) float64 { return k - inner(c) }
			m.shrinks = !m.shrinks
		}
	case "*", "/":
		if k == 0 || n.name == "/" && !left {
			return m, false
		}
		calculate := arithmetic(n.name)
		m.at = func(c uint64) float64 { return calculate(inner(c), k) }
		m.shrinks = m.shrinks != (k < 0)
	default:
		return m, false
	}
	m.exact = m.exact && n.kind != kindNumber
	return m, true
}

// decoded is the value of a property that has a column.
func (p *planner) decoded(property *record.Property) (monotone, bool) {
	m := monotone{property: property, exact: true}
	switch property.Type {
	case record.Number:
		m.at = record.CellNumber
	case record.DateTime:
		m.at = func(c uint64) float64 { return float64(record.CellMilli(c)) }
	case record.Date:
		m.at = func(c uint64) float64 { return p.env.day(record.CellMilli(c) / dayMilli * dayMilli) }
	default:
		return m, false
	}
	return m, true
}

// bounds are the lowest and the highest cell of a known value.
func (m monotone) bounds() (low, high uint64) {
	if m.property.Type == record.Number {
		return record.NumberCell(math.Inf(-1)), record.NumberCell(math.Inf(1))
	}
	return 1, math.MaxUint64
}

// where is the set of known cells whose calculation compares with k as the operator says.
func (m monotone) where(operator string, k float64) cells {
	low, high := m.bounds()
	reached := func(c uint64) bool { return m.at(c) >= k } // becomes true at the first cell that is equal or beyond
	passed := func(c uint64) bool { return m.at(c) > k }   // becomes true at the first cell beyond
	before, beyond := "<", ">"
	if m.shrinks {
		reached = func(c uint64) bool { return m.at(c) <= k }
		passed = func(c uint64) bool { return m.at(c) < k }
		before, beyond = ">", "<"
	}
	from := func(holds func(uint64) bool) cells {
		if c, ok := firstCell(low, high, holds); ok {
			return cells{{c, high}}
		}
		return nil
	}
	all := cells{{low, high}}
	fromEqual, fromBeyond := from(reached), from(passed)
	switch operator {
	case before:
		return all.intersect(fromEqual.complement())
	case before + "=":
		return all.intersect(fromBeyond.complement())
	case beyond:
		return fromBeyond
	case beyond + "=":
		return fromEqual
	case "==":
		return fromEqual.intersect(fromBeyond.complement())
	default:
		return all.intersect(fromEqual.intersect(fromBeyond.complement()).complement())
	}
}
