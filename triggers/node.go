package triggers

import (
	"regexp"
	"slices"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// kind is what a part of an expression stands for.
type kind uint8

const (
	kindBad kind = iota // has a finding already; no more about it
	kindNumber
	kindText
	kindBool
	kindTime     // an instant, or the first instant of a day
	kindDuration // a length of time
	kindNil
)

// word is the kind for people, with its article.
func (k kind) word() string {
	return [...]string{"nothing", "a number", "a text", "a yes or no", "a date", "a duration", "nil"}[k]
}

// kindOf is what values of a property type are in expressions.
func kindOf(t record.PropertyType) kind {
	switch t {
	case record.Number:
		return kindNumber
	case record.Bool:
		return kindBool
	case record.Date, record.DateTime:
		return kindTime
	default:
		return kindText
	}
}

// op is what a node does.
type op uint8

const (
	opConst op = iota
	opProperty
	opAnd
	opOr
	opNot
	opCompare // by name: == != < <= > >=
	opIn      // args[0] is tested, the rest are the list
	opText    // by name: contains, startsWith, endsWith
	opMatches
	opArith // by name: + - * / %
	opNegate
	opCoalesce
	opChoose // condition ? a : b
	opKnown
	opUnknown
	opInList
	opActive // args[0] is the expression of the active list; is it true?
	opNow
	opToday
	opDaysSince
	opDaysUntil
	opDaysAgo
	opMonthsSince
	opMonthsAgo
	opYearsAgo
	opDaysBetween
	opDayOf
	opLower
	opDomain
	opNumber // of a text; name is the sign before the fraction, when it was written
	opAny    // of associated records: args[0], if any, is asked of each
	opAll
	opNone
	opCount
)

// node is one part of a checked expression. Nodes are never changed once they are checked: the
// normal form shares them.
type node struct {
	op       op
	kind     kind
	from, to int // bytes of the source
	args     []*node
	size     int  // nodes down from here, shared ones counted each time
	folds    bool // a test of texts that compares them as e-mail addresses
	varies   bool // mentions a property or a list, so that records differ

	name     string  // operator, name of a list, or how a constant was written
	number   float64 // constant: number, or milliseconds (since 1970 UTC for an instant)
	text     string  // constant
	truth    bool    // constant
	property *record.Property
	object   record.ObjectType // of the associated records: of a quantifier, and of a property of theirs; "" = the record's own property
	list     int               // opInList
	active   *activeList       // opActive
	pattern  *regexp.Regexp
}

// walk calls fn for n and all below it.
func (n *node) walk(fn func(*node)) {
	fn(n)
	for _, a := range n.args {
		a.walk(fn)
	}
}

// mentions lists the record's own properties and the static lists below n, also those of active lists, each once, in the order of the text.
func (n *node) mentions() (properties []*record.Property, lists []int) {
	n.walk(func(n *node) {
		if n.op == opProperty && n.object == "" && !slices.Contains(properties, n.property) {
			properties = append(properties, n.property)
		}
		if n.op == opInList && !slices.Contains(lists, n.list) {
			lists = append(lists, n.list)
		}
	})
	return properties, lists
}

// fixed reports whether n is the same for every record.
func (n *node) fixed() bool { return !n.varies }

// measured sets what follows from the nodes below.
func (n *node) measured() *node {
	n.size, n.varies = 1, n.op == opProperty || n.op == opInList || n.op == opActive || n.op.isQuantifier()
	for _, a := range n.args {
		n.size, n.varies = min(n.size+a.size, maxLogic+1), n.varies || a.varies
	}
	return n
}

func isTruth(n *node) bool { return n.op == opConst && n.kind == kindBool }
