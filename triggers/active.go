package triggers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// maxNested is how deep active lists may ask each other: a chain of so many lists.
const maxNested = 8

// activeList is an active list as expressions ask it. Its members are the records for which its expression is true. Where
// that is unknown a record is no member, so inList itself is never unknown.
type activeList struct {
	list   crmstore.List
	expr   *Expr  // nil when the list cannot be used
	never  *logic // true exactly where the expression is not true
	made   int    // parts of the normal form and of never
	height int    // lists in the longest chain from here down, this one included

	findings diag.List // why it cannot be used
}

// listCompiler compiles the active lists that one expression asks, each once.
type listCompiler struct {
	done   map[string]*activeList
	within []string // the lists whose expressions are being compiled, outermost first
}

// find compiles a list's expression.
func (a *listCompiler) find(l crmstore.List, v Vocabulary) *activeList {
	if known, ok := a.done[l.Name]; ok {
		return known
	}
	found := &activeList{list: l, height: 1}
	a.within = append(a.within, l.Name)
	found.expr, found.findings = compile(diag.NewText("", l.Where, nil), v, a)
	a.within = a.within[:len(a.within)-1]
	found.findings = onceEach(found.findings)
	if found.expr != nil {
		for _, below := range found.expr.root.activeLists() {
			found.height = max(found.height, 1+below.height)
		}
		z := normalizer{}
		found.never = z.complement(found.expr.normal)
		found.made = found.expr.made + z.made
		switch {
		case z.made > maxLogic:
			found.refuse(diag.ExprTooLarge, errTooMany.Error(), "split it into several lists")
		case found.height > maxNested:
			found.refuse(diag.ExprNestedList, fmt.Sprintf("the active list %q asks another, that one the next, and so on, more than %d deep", l.Name, maxNested),
				"write one of them with the expression of the list that it asks")
		}
	}
	a.done[l.Name] = found
	return found
}

// onceEach removes repeated findings. Without it, a broken list that is asked many times would repeat its findings each
// time, and again in each list above.
func onceEach(findings diag.List) diag.List {
	var once diag.List
	for _, f := range findings {
		if !slices.ContainsFunc(once, func(other diag.Finding) bool { return other.Code.ID == f.Code.ID && other.Message == f.Message }) {
			once = append(once, f)
		}
	}
	return once
}

func (l *activeList) refuse(code diag.Code, message, help string) {
	l.expr, l.findings = nil, diag.List{{Code: code, Message: message, Help: help}}
}

// inActiveList is inList("name") of an active list.
func (c *checker) inActiveList(source ast.Node, l crmstore.List) *node {
	if at := slices.Index(c.lists.within, l.Name); at >= 0 {
		chain := append(slices.Clone(c.lists.within[at:]), l.Name)
		return c.find(diag.ExprListCycle, source, fmt.Sprintf("the active list %q asks itself: %s", l.Name, strings.Join(quoted(chain), " asks ")),
			"take inList out of the expression of one of them")
	}
	found := c.lists.find(l, c.v)
	if found.expr != nil {
		return &node{op: opActive, kind: kindBool, name: l.Name, args: []*node{found.expr.root}, active: found}
	}
	for _, f := range found.findings {
		switch f.Code.ID {
		case diag.ExprListCycle.ID, diag.ExprNestedList.ID, diag.ExprBrokenList.ID: // says which list it is about
			c.find(f.Code, source, f.Message, f.Help)
		default:
			help := fmt.Sprintf("`workflow lists show %s` shows its expression", l.Name)
			if f.Help != "" {
				help = f.Help + "; " + help
			}
			c.find(diag.ExprBrokenList, source, fmt.Sprintf("the expression of the active list %q cannot be used: %s", l.Name, f.Message), help)
		}
	}
	return &node{kind: kindBad}
}

func quoted(names []string) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = fmt.Sprintf("%q", n)
	}
	return all
}

// complement is true exactly where l is false. Leaves stay guarded: a condition is asked only where its values are known.
func (z *normalizer) complement(l *logic) *logic {
	if z.made++; z.made > maxLogic {
		return l
	}
	if l.leaf == nil {
		other := opOr
		if l.op == opOr {
			other = opAnd
		}
		parts := make([]*logic, len(l.parts))
		for i, p := range l.parts {
			parts[i] = z.complement(p)
		}
		return join(other, parts...)
	}
	opposite := &logic{op: opConst, leaf: negate(l.leaf), guard: l.guard}
	if l.guard == nil {
		return opposite
	}
	return join(opOr, z.complement(l.guard), opposite)
}

// activeLists lists the active lists below n, each once, in the order of the text, a list before those that it asks.
func (n *node) activeLists() []*activeList {
	var all []*activeList
	n.walk(func(n *node) {
		if n.op == opActive && !slices.ContainsFunc(all, func(l *activeList) bool { return l.list.Name == n.name }) {
			all = append(all, n.active)
		}
	})
	return all
}

// expressions are all of the trigger.
func (t *Trigger) expressions() []*Expr { return slices.Concat(t.Any, t.Suppress) }

// activeLists lists the active lists that the trigger asks, directly or through others, each once.
func (t *Trigger) activeLists() []*activeList {
	var all []*activeList
	for _, e := range t.expressions() {
		for _, l := range e.root.activeLists() {
			if !slices.ContainsFunc(all, func(other *activeList) bool { return other.list.Name == l.list.Name }) {
				all = append(all, l)
			}
		}
	}
	return all
}

// Lists are the lists that the trigger asks, static and active, directly or through active ones, by name.
func (t *Trigger) Lists() []crmstore.List {
	asked := map[string]bool{}
	for _, e := range t.expressions() {
		e.root.walk(func(n *node) {
			if n.op == opInList || n.op == opActive {
				asked[n.name] = true
			}
		})
	}
	lists := make([]crmstore.List, 0, len(asked))
	for name := range asked {
		lists = append(lists, t.Vocabulary.Lists[name])
	}
	slices.SortFunc(lists, func(a, b crmstore.List) int { return strings.Compare(a.Name, b.Name) })
	return lists
}
