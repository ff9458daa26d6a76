package triggers

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// TestRandomNormalFormsInExpr holds evaluation to a machine that is not ours: the normal form, compiled by expr's own
// compiler with its own type checker and run by its virtual machine, with nil for unknown, answers true exactly where our
// functions do, and so does the normal form of each active list that is asked, and its opposite. expr knows nothing of unknown values and fails on an operator that meets nil, so that this shows too
// that the guards of the normal form suffice. What expr cannot say is left out, see beyondExpr.
func TestRandomNormalFormsInExpr(t *testing.T) {
	t.Parallel()
	compared, all := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		w := randomWorld(rt, 12)
		e := compileRandom(rt, w)
		if all++; beyondExpr(e.root) {
			rt.Skip()
		}
		compared++
		o := newOracle(rt, w, e.Normal())
		o.addLists(rt, w, e)
		env := newEnv(w.vocabulary, w.now, pZip)
		w.each(t, func(r *record.Record, ref reference) {
			env.lists = w.lists(r)
			env.setRecord(r)
			want := e.test(env) == True
			got, err := o.answer(ref)
			if err != nil || got != want {
				rt.Fatalf("%s\nhas the normal form %s\nof %s\nexpr says %t (%v), we say %t", e.Source(), e.Normal(), describe(r), got, err, want)
			}
			for _, l := range e.root.activeLists() {
				on, err := o.lists[l.list.Name].answer(ref)
				off, err2 := o.unlisted[l.list.Name].answer(ref)
				if want := l.expr.test(env) == True; err != nil || err2 != nil || on != want || off == want {
					rt.Fatalf("%s\nof list %s: expr says %t (%v), and of its opposite %t (%v)\nof %s\nwe say %t",
						l.expr.Source(), l.list.Name, on, err, off, err2, describe(r), want)
				}
			}
		})
	})
	if compared*3 < all {
		t.Errorf("only %d of %d expressions were compared", compared, all)
	}
}

// beyondExpr reports whether the normal form of n says something that expr's machine has no word for:
//   - % of numbers that are not whole: expr's works on integers alone;
//   - known, unknown and ?? of a calculation or a condition: unknown comes out of it, where expr fails;
//   - and, or, not and ?: inside a value, as in (a || b ? x : y) > 3: a may be unknown and b true, which expr does not survive;
//   - a division by a calculation: where that has no finite result, expr goes on with infinity and arrives at 0;
//   - a comparison of addresses with another property, whose case does not count there and counts elsewhere.
func beyondExpr(n *node) bool {
	beyond := false
	n.walk(func(n *node) {
		beyond = beyond || n.folds && slices.ContainsFunc(n.args, mixesTexts)
		switch n.op {
		case opAny, opAll, opNone, opCount: // its own any and all know of no unknown values
			beyond = true
		case opKnown, opUnknown, opCoalesce:
			beyond = beyond || n.args[0].op != opProperty
		case opArith:
			beyond = beyond || n.name == "%" || n.name == "/" && calculates(n.args[1])
		case opAnd, opOr, opNot, opActive:
		default:
			beyond = beyond || n.op != opChoose && slices.ContainsFunc(n.args, asksTwice)
		}
	})
	return beyond
}

func mixesTexts(n *node) bool {
	properties, _ := n.mentions()
	return slices.ContainsFunc(properties, func(p *record.Property) bool { return p.Type == record.String && !p.HoldsAddresses() })
}

func calculates(n *node) bool {
	found := false
	n.walk(func(n *node) { found = found || n.op == opArith })
	return found
}

// asksTwice reports whether n chooses by a condition that can be decided without knowing all of it.
func asksTwice(n *node) bool {
	found := false
	n.walk(func(n *node) {
		if n.op == opChoose {
			n.args[0].walk(func(n *node) { found = found || n.op == opAnd || n.op == opOr || n.op == opChoose })
		}
	})
	return found
}

// oracle is an expression in expr's machine.
type oracle struct {
	program *vm.Program
	ref     *reference // the record in hand

	lists, unlisted map[string]*oracle // who is on an active list, and who is not
}

// addLists makes the active lists that the expression asks known to the machine, and to those of one another.
func (o *oracle) addLists(rt *rapid.T, w world, e *Expr) {
	o.lists, o.unlisted = map[string]*oracle{}, map[string]*oracle{}
	for _, l := range e.root.activeLists() {
		on, off := newOracle(rt, w, l.expr.Normal()), newOracle(rt, w, printer{"contact"}.logic(l.never))
		on.lists, off.lists = o.lists, o.lists
		o.lists[l.list.Name], o.unlisted[l.list.Name] = on, off
	}
}

func newOracle(rt *rapid.T, w world, source string) *oracle {
	o := &oracle{}
	properties := types.Map{}
	for i := range w.vocabulary.Schema.Properties {
		p := &w.vocabulary.Schema.Properties[i]
		properties[p.Name] = map[kind]types.Type{
			kindNumber: types.Float64, kindText: types.String, kindBool: types.Bool, kindTime: types.TypeOf(time.Time{}),
		}[kindOf(p.Type)]
	}
	program, err := expr.Compile(source, expr.AsBool(),
		expr.Env(types.Map{"contact": properties, "now": types.TypeOf(time.Time{}), "today": types.TypeOf(time.Time{})}),
		expr.Function("known", func(p ...any) (any, error) { return orNil(p[0]) != nil, nil }, new(func(any) bool)),
		expr.Function("unknown", func(p ...any) (any, error) { return orNil(p[0]) == nil, nil }, new(func(any) bool)),
		expr.Function("inList", func(p ...any) (any, error) {
			if l := o.lists[p[0].(string)]; l != nil {
				return l.answer(*o.ref)
			}
			return o.ref.lists[p[0].(string)], nil
		}, new(func(string) bool)),
		expr.Function("daysSince", func(p ...any) (any, error) { return wholeDays(o.ref.now.Sub(p[0].(time.Time))), nil }, new(func(time.Time) float64)),
		expr.Function("daysUntil", func(p ...any) (any, error) { return wholeDays(p[0].(time.Time).Sub(o.ref.now)), nil }, new(func(time.Time) float64)),
		expr.Function("daysAgo", func(p ...any) (any, error) {
			return o.ref.now.Add(-time.Duration(math.Round(asFloat(p[0])*86_400_000)) * time.Millisecond), nil
		}, new(func(any) time.Time)),
		expr.Function("monthsSince", func(p ...any) (any, error) { return o.ref.monthsSince(p[0].(time.Time)), nil }, new(func(time.Time) float64)),
		expr.Function("monthsAgo", func(p ...any) (any, error) { return o.ref.before(int(math.Floor(asFloat(p[0])))), nil }, new(func(any) time.Time)),
		expr.Function("yearsAgo", func(p ...any) (any, error) { return o.ref.before(12 * int(math.Floor(asFloat(p[0])))), nil }, new(func(any) time.Time)),
		expr.Function("daysBetween", func(p ...any) (any, error) { return o.ref.daysBetween(p[0].(time.Time), p[1].(time.Time)), nil }, new(func(time.Time, time.Time) float64)),
		expr.Function("dayOf", func(p ...any) (any, error) { return o.ref.midnight(p[0].(time.Time).In(o.ref.v.zone())), nil }, new(func(time.Time) time.Time)),
		expr.Function("domain", func(p ...any) (any, error) { return o.ref.domain(p[0].(string)), nil }, new(func(string) string)),
		expr.Function("number", func(p ...any) (any, error) { return o.ref.number(p[0].(string), len(p) > 1 && p[1] == "comma"), nil },
			new(func(string) float64), new(func(string, string) float64)),
		expr.Function("date", func(p ...any) (any, error) { return o.ref.date(p[0].(string)), nil }, new(func(string) time.Time)),
		expr.Function("duration", func(p ...any) (any, error) { return lengthOf(p[0].(string)), nil }, new(func(string) time.Duration)),
	)
	if err != nil {
		rt.Fatalf("expr does not compile the normal form %s: %v", source, err)
	}
	o.program = program
	return o
}

func (o *oracle) answer(ref reference) (bool, error) {
	o.ref = &ref
	contact := map[string]any{}
	for _, p := range ref.v.Schema.Properties {
		if !p.Removed {
			contact[p.Name] = ref.property(p.Name)
			if text, ok := contact[p.Name].(string); ok && p.HoldsAddresses() {
				contact[p.Name] = strings.ToLower(text) // as the constants of the normal form are
			}
		}
	}
	got, err := expr.Run(o.program, map[string]any{"contact": contact, "now": ref.now, "today": ref.function("today", nil)})
	return got == true, err
}

// orNil is nil for a number that is none.
func orNil(v any) any {
	if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return nil
	}
	return v
}

func asFloat(v any) float64 {
	if n, ok := v.(int); ok {
		return float64(n)
	}
	return v.(float64)
}
