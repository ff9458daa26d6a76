package triggers

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// This file finds conditions that no record can meet. It asks the evaluator, as the planner does, for which values of a
// property a condition is true; where conditions that are joined with && leave no value, they are never true together.
// It knows no instant, so what depends on now has to be impossible at each of many.

// never looks through one normal form.
type never struct {
	c        *checker
	printer  printer
	planners []*planner        // at many instants; made when one is needed
	sets     map[asked]cells   // what planners answered
	written  map[*node]bool    // conditions that are not negated on the way to the normal form
	texts    map[uint64]string // of the cells of texts
	reported map[[2]int]bool   // bytes of the source that have a finding already
}

// asked is a condition at an instant.
type asked struct {
	at   *planner
	leaf *node
}

// clockwork says what the answer of a condition depends on, beside the record.
type clockwork uint8

const (
	byNothing clockwork = iota
	byNow               // on the run's instant
	byDates             // on dates that are written out
	byBoth
)

func (c *checker) never(root *node, l *logic) {
	n := &never{c: c, printer: printer{c.object()}, sets: map[asked]cells{}, written: map[*node]bool{}, texts: map[uint64]string{}, reported: map[[2]int]bool{}}
	root.walk(func(x *node) { n.written[x] = true })
	n.look(l)
}

// instants are those at which a condition on now is asked: the ends and the middle of months, of a year with and one without a
// leap day, at both ends of the day. They are UTC's: zones would move all alike.
func (n *never) instants() []*planner {
	if len(n.planners) > 1 {
		return n.planners
	}
	const first, last = 0, 24*time.Hour - time.Millisecond
	utc := n.c.v
	utc.Zone = time.UTC
	for month := time.January; month <= 15; month++ {
		start := time.Date(2027, month, 1, 0, 0, 0, 0, time.UTC)
		for _, after := range []time.Duration{first, last, 14*24*time.Hour + 12*time.Hour} {
			n.planners = append(n.planners, n.planner(utc, start.Add(after)))
		}
		for _, clock := range []time.Duration{first, last} {
			n.planners = append(n.planners, n.planner(utc, start.AddDate(0, 1, -1).Add(clock)))
		}
	}
	return n.planners
}

func (n *never) planner(v Vocabulary, now time.Time) *planner {
	highest := 0
	for _, p := range n.c.v.Schema.Properties {
		highest = max(highest, p.Number)
	}
	return &planner{env: newEnv(v, now, highest)}
}

func (n *never) first() *planner {
	if len(n.planners) == 0 {
		n.planners = []*planner{n.planner(n.c.v, time.Date(2027, 3, 15, 12, 30, 0, 0, n.c.v.zone()))}
	}
	return n.planners[0]
}

// look reports the smallest parts of l that are never true. It returns whether it found one.
func (n *never) look(l *logic) bool {
	if l.leaf != nil {
		return l.guard != nil && n.look(l.guard) || n.alone(l.leaf) || l.guard != nil && n.report(&logic{op: opAnd, parts: []*logic{l.guard, {op: opConst, leaf: l.leaf}}})
	}
	found := false
	for _, part := range l.parts {
		found = n.look(part) || found
	}
	if found || l.op == opOr {
		return found
	}
	return n.report(l)
}

// report finds parts of an and that are never true together.
func (n *never) report(l *logic) bool {
	if !n.dead(l) {
		return false
	}
	for i, a := range l.parts {
		for _, b := range l.parts[:i] {
			if pair := (&logic{op: opAnd, parts: []*logic{b, a}}); n.dead(pair) {
				n.together(b, a)
				return true
			}
		}
	}
	from, to := n.place(l)
	n.find(diag.ExprExclude, from, to, "these conditions are never true together", excludeHelp)
	return true
}

const excludeHelp = "take out what is not meant, or join with || what may be true by itself"

// dead reports whether l is true of no value of some property, whatever the instant.
func (n *never) dead(l *logic) bool {
	if _, dead := n.possible(n.first(), l, byDates); dead {
		return true
	}
	if _, dead := n.possible(n.first(), l, byNow); !dead {
		return false
	}
	for _, p := range n.instants() {
		if _, dead := n.possible(p, l, byNow); !dead {
			return false
		}
	}
	return true
}

// possible is the cells of each property for which l may be true. Conditions that depend on the clock otherwise than as asked,
// on several properties or on lists say nothing. Dead says that l is never true.
func (n *never) possible(p *planner, l *logic, as clockwork) (all map[*record.Property]cells, dead bool) {
	all = map[*record.Property]cells{}
	switch {
	case l.leaf != nil:
		property, set, ok := n.cells(p, l.leaf, as)
		if ok {
			all[property], dead = set, len(set) == 0
		}
		if l.guard == nil || dead {
			return all, dead
		}
		guard, dead := n.possible(p, l.guard, as)
		return all, dead || intersect(all, guard)
	case l.op == opAnd:
		for _, part := range l.parts {
			sets, dead := n.possible(p, part, as)
			if dead || intersect(all, sets) {
				return all, true
			}
		}
		return all, as == byDates && (n.opposite(l.parts) || n.unlike(p, all, l.parts))
	}
	first := true
	for _, part := range l.parts {
		sets, dead := n.possible(p, part, as)
		switch {
		case dead:
			continue
		case first:
			all = sets
		default:
			for property, set := range all {
				if other, ok := sets[property]; ok {
					all[property] = set.union(other)
				} else {
					delete(all, property)
				}
			}
		}
		first = false
	}
	return all, first
}

// intersect leaves in all what more leaves too, and reports whether nothing is left of some property.
func intersect(all, more map[*record.Property]cells) (dead bool) {
	for property, set := range more {
		if other, ok := all[property]; ok {
			set = set.intersect(other)
		}
		all[property] = set
		dead = dead || len(set) == 0
	}
	return dead
}

// opposite reports whether one of the conditions is another one's negation, whatever the clock.
func (n *never) opposite(parts []*logic) bool {
	said := map[string]bool{}
	for _, part := range parts {
		if part.leaf != nil && !isTruth(part.leaf) {
			if said[n.printer.node(negate(part.leaf))] {
				return true
			}
			said[n.printer.node(part.leaf)] = true
		}
	}
	return false
}

// unlike reports whether a text that can only be one of a few is refused by the other conditions each time, or has to
// begin or end in two ways.
func (n *never) unlike(p *planner, all map[*record.Property]cells, parts []*logic) bool {
	for _, part := range parts {
		a := part.leaf
		if a == nil || a.op != opText || a.name == "contains" || a.args[1].op != opConst {
			continue
		}
		for _, other := range parts {
			b := other.leaf
			if b != nil && b.op == opText && b.name == a.name && b.args[1].op == opConst && b.folds == a.folds && n.printer.node(a.args[0]) == n.printer.node(b.args[0]) &&
				!textHolds(a.name, a.args[1].text, b.args[1].text) && !textHolds(a.name, b.args[1].text, a.args[1].text) {
				return true
			}
		}
	}
	for property, set := range all {
		if property.Type != record.String || slices.ContainsFunc(set, func(r cellRange) bool { return r.low != r.high || r.low == 0 }) {
			continue
		}
		if !slices.ContainsFunc(set, func(r cellRange) bool {
			text, known := n.texts[r.low]
			return !known || n.allows(p, property, record.StringValue(text), parts)
		}) {
			return true
		}
	}
	return false
}

// allows reports whether the conditions on a property alone are true of a value.
func (n *never) allows(p *planner, property *record.Property, v record.Value, parts []*logic) bool {
	for _, part := range parts {
		if part.leaf == nil {
			continue
		}
		if properties, lists := part.leaf.mentions(); len(properties) == 1 && properties[0] == property && len(lists) == 0 && clockOf(part.leaf) == byNothing &&
			part.leaf.op != opActive && p.answer(part.leaf, property, v) != True {
			return false
		}
	}
	return true
}

// cells is the values of the one property that a condition asks for which it is true; ok is false when it asks more, or other.
func (n *never) cells(p *planner, leaf *node, as clockwork) (property *record.Property, set cells, ok bool) {
	properties, lists := leaf.mentions()
	if len(properties) != 1 || len(lists) > 0 || len(leaf.activeLists()) > 0 {
		return nil, nil, false
	}
	property = properties[0]
	clock := clockOf(leaf)
	if clock != byNothing && clock != as {
		return nil, nil, false
	}
	key := asked{p, leaf}
	if set, ok := n.sets[key]; ok {
		return property, set, true
	}
	defer func() { n.sets[key] = set }()
	switch {
	case (leaf.op == opKnown || leaf.op == opUnknown) && leaf.args[0].op == opProperty:
		if leaf.op == opKnown {
			return property, anyKnown(), true
		}
		return property, oneCell(0), true
	case property.Type == record.Enumeration:
		set = optionsWithOthers(p, leaf, property)
	case property.Type == record.String:
		set = n.textCells(leaf)
	default:
		set, _ = p.knownCells(leaf, property)
		set = set.intersect(storable(property))
	}
	if p.answer(leaf, property, record.Value{}) == True {
		set = set.union(oneCell(0))
	}
	return property, set, true
}

// optionsWithOthers is the options for which a condition is true; the highest cell stands for an option that is not there yet.
func optionsWithOthers(p *planner, leaf *node, property *record.Property) cells {
	var set cells
	for i := range property.Options {
		if o := &property.Options[i]; p.answer(leaf, property, record.EnumValue(o.Value)) == True {
			set = set.union(oneCell(record.OptionCell(o.Number)))
		}
	}
	if p.answer(leaf, property, record.EnumValue("\x00")) == True {
		set = set.union(oneCell(math.MaxUint64))
	}
	return set
}

// textCells is the texts for which a condition is true, as the cells that a column of hashes would have.
func (n *never) textCells(leaf *node) cells {
	in, negated := leaf, false
	if leaf.op == opNot {
		in, negated = leaf.args[0], true
	}
	var constants []*node
	direct := func(x *node) bool { return x.op == opProperty || x.op == opCoalesce && x.args[0].op == opProperty }
	switch {
	case in.op == opIn && direct(in.args[0]):
		constants = in.args[1:]
	case in.op == opCompare && (in.name == "==" || in.name == "!=") && direct(in.args[0]):
		constants, negated = in.args[1:], negated != (in.name == "!=")
	case in.op == opCompare && (in.name == "==" || in.name == "!=") && direct(in.args[1]):
		constants, negated = in.args[:1], negated != (in.name == "!=")
	}
	var set cells
	for _, c := range constants {
		if c.op != opConst {
			return anyKnown()
		}
		if c.text != "" { // no record holds the empty text
			cell := max(record.HashCell(c.text), 1)
			n.texts[cell] = c.text
			set = set.union(oneCell(cell))
		}
	}
	if constants == nil {
		return anyKnown()
	}
	if negated {
		return anyKnown().intersect(set.complement())
	}
	return set
}

// storable is the cells of the values that the store takes.
func storable(property *record.Property) cells {
	switch property.Type {
	case record.Number:
		return cells{{record.NumberCell(-math.MaxFloat64), record.NumberCell(math.MaxFloat64)}}
	case record.Date, record.DateTime:
		return cells{{
			record.TimeCell(time.Date(record.MinYear, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()),
			record.TimeCell(time.Date(record.MaxYear+1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1),
		}}
	}
	return anyKnown()
}

// clockOf says what the answer of a condition depends on.
func clockOf(leaf *node) clockwork {
	by := byNothing
	leaf.walk(func(x *node) {
		switch {
		case x.op == opConst && x.kind == kindTime:
			by |= byDates
		case slices.Contains([]op{opNow, opToday, opDaysSince, opDaysUntil, opDaysAgo, opMonthsSince, opMonthsAgo, opYearsAgo}, x.op):
			by |= byNow
		}
	})
	return by
}

// alone finds a condition that is never true, or true of every value.
func (n *never) alone(leaf *node) bool {
	clock := clockOf(leaf)
	property, set, ok := n.cells(n.first(), leaf, clock)
	if !ok || clock == byBoth || leaf.op == opKnown || leaf.op == opUnknown || isTruth(leaf) {
		return false
	}
	name, text := n.printer.node(&node{op: opProperty, property: property}), n.printer.node(leaf)
	if len(set) == 0 && n.dead(&logic{op: opConst, leaf: leaf}) {
		n.find(diag.ExprPointless, leaf.from, leaf.to, fmt.Sprintf("%s is never true", text), n.aloneHelp(leaf))
		return true
	}
	if property.Type != record.Number && property.Type != record.Date && property.Type != record.DateTime {
		return false
	}
	all := func(p *planner) bool {
		set, exact, ok := p.rangeCells(leaf)
		return ok && exact && len(storable(property).intersect(set.complement())) == 0
	}
	if !all(n.first()) || clock == byNow && slices.ContainsFunc(n.instants(), func(p *planner) bool { return !all(p) }) {
		return false
	}
	n.find(diag.ExprPointless, leaf.from, leaf.to, fmt.Sprintf("%s is true of every value of %s", text, name), n.everyHelp(leaf, name))
	return true
}

// aloneHelp says what to write instead of a condition that is never true.
func (n *never) aloneHelp(leaf *node) string {
	if leaf.op != opCompare || !n.written[leaf] || leaf.name != "==" {
		return "take it out"
	}
	x, k := leaf.args[0], leaf.args[1]
	if x.fixed() {
		x, k = k, x
	}
	if k.op != opConst {
		return "take it out"
	}
	better := *leaf
	switch {
	case k.kind == kindNumber && k.number != math.Trunc(k.number):
		better.args = []*node{x, {op: opConst, kind: kindNumber, number: math.Trunc(k.number)}}
	case k.kind == kindTime:
		day := time.UnixMilli(int64(k.number)).In(n.c.v.zone()).Format(time.DateOnly)
		ms, _, err := parseDate(day, n.c.v.zone())
		if err != nil {
			return "take it out"
		}
		better.args = []*node{x, {op: opConst, kind: kindTime, number: float64(ms), name: fmt.Sprintf("date(%q)", day)}}
	}
	if n.dead(&logic{op: opConst, leaf: &better}) {
		return "take it out"
	}
	return "write " + n.printer.node(&better)
}

func (n *never) everyHelp(leaf *node, name string) string {
	if n.written[leaf] {
		return fmt.Sprintf("write known(%s), if every value is meant", name)
	}
	return fmt.Sprintf("ask known(%s) where every value is meant", name)
}

// together finds two parts of an and that are never true together, and guesses what was meant.
func (n *never) together(a, b *logic) {
	from, to := n.place(b)
	help := excludeHelp
	if begin, end := n.place(a); n.adjacent(end, from) || begin < to && from < end {
		from, to = min(from, begin), max(to, end)
		if better := n.instead(a.leaf, b.leaf); better != "" {
			help = "write " + better
		}
	}
	n.find(diag.ExprExclude, from, to, fmt.Sprintf("%s and %s are never true together", n.quote(a), n.quote(b)), help)
}

func (n *never) quote(l *logic) string {
	if l.leaf != nil {
		return n.printer.item(l.leaf)
	}
	return "(" + n.printer.logic(bare(l)) + ")"
}

// bare is l without guards, which its author did not write.
func bare(l *logic) *logic {
	same := *l
	same.guard, same.parts = nil, nil
	for _, part := range l.parts {
		same.parts = append(same.parts, bare(part))
	}
	return &same
}

var joint = regexp.MustCompile(`^\s*(&&|and)\s*$`)

// adjacent reports whether nothing but && stands between two places of the source.
func (n *never) adjacent(end, from int) bool {
	return end <= from && joint.MatchString(n.c.text.Value[end:from])
}

// instead is what two conditions that exclude each other may have been meant to say: one value of several, or a range.
func (n *never) instead(a, b *node) string {
	if a == nil || b == nil || !n.written[a] || !n.written[b] {
		return ""
	}
	if x, values := n.oneOf(a); x != "" {
		if y, more := n.oneOf(b); x == y {
			for _, v := range more {
				if !slices.Contains(values, v) {
					values = append(values, v)
				}
			}
			return x + " in [" + strings.Join(values, ", ") + "], if either is meant"
		}
	}
	if a.op != opCompare || b.op != opCompare || a.args[0].kind == kindText {
		return ""
	}
	a, b = upright(a), upright(b)
	if n.printer.node(a.args[0]) != n.printer.node(b.args[0]) || !a.args[1].fixed() || !b.args[1].fixed() || !opposed(a.name, b.name) {
		return ""
	}
	low, high := *a, *b
	low.args, high.args = []*node{a.args[0], b.args[1]}, []*node{b.args[0], a.args[1]}
	if n.dead(&logic{op: opAnd, parts: []*logic{{op: opConst, leaf: &low}, {op: opConst, leaf: &high}}}) {
		return ""
	}
	return n.printer.node(&low) + " && " + n.printer.node(&high) + ", if what lies between is meant"
}

// opposed reports whether one operator sets a lower bound and the other an upper one.
func opposed(a, b string) bool {
	return a[0] == '<' && b[0] == '>' || a[0] == '>' && b[0] == '<'
}

// oneOf reads a condition as a value that is one of some constants.
func (n *never) oneOf(a *node) (x string, values []string) {
	if a.op != opIn && (a.op != opCompare || a.name != "==") {
		return "", nil
	}
	if a.op == opCompare {
		a = upright(a)
	}
	for _, v := range a.args[1:] {
		if !v.fixed() {
			return "", nil
		}
		values = append(values, n.printer.node(v))
	}
	return n.printer.node(a.args[0]), values
}

// upright is a comparison with what is fixed on the right.
func upright(a *node) *node {
	if !a.args[0].fixed() {
		return a
	}
	turned := *a
	turned.name, turned.args = mirrored(a.name), []*node{a.args[1], a.args[0]}
	return &turned
}

// place is the bytes of the source that the conditions of l stand on.
func (n *never) place(l *logic) (from, to int) {
	from = len(n.c.text.Value)
	l.leaves(func(l *logic) { from, to = min(from, l.leaf.from), max(to, l.leaf.to) })
	return min(from, to), to
}

func (n *never) find(code diag.Code, from, to int, message, help string) {
	if place := [2]int{from, to}; !n.reported[place] {
		n.reported[place] = true
		n.c.findings = append(n.c.findings, n.c.text.Finding(code, from, to, message, help))
	}
}
