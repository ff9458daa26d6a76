package triggers

import (
	"math"
	"slices"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Checked nodes are compiled to Go functions, one type for each way to hold a value; expr's virtual
// machine is not used. The functions know of unknown values, allocate nothing (but for lower and domain), cannot fail or be
// made to grow a text, and take a quarter of the time (BenchmarkRecord). Instants and durations are milliseconds in a float64, which
// holds every one of the years 1 to 9999 exactly.
type (
	truthFunc  func(*env) Answer
	numberFunc func(*env) (float64, bool) // the flag is false when the value is unknown
	textFunc   func(*env) (string, bool)
)

// truth compiles a condition or a yes or no.
func truth(n *node) truthFunc {
	switch n.op {
	case opConst:
		a := answer(n.truth)
		return func(*env) Answer { return a }
	case opProperty:
		if n.object != "" {
			return truthRelated(n.property.Number)
		}
		return truthProperty(n.property.Number)
	case opAnd:
		a, b := truth(n.args[0]), truth(n.args[1])
		return func(e *env) Answer {
			if first := a(e); first != False {
				return min(first, b(e))
			}
			return False
		}
	case opOr:
		a, b := truth(n.args[0]), truth(n.args[1])
		return func(e *env) Answer {
			if first := a(e); first != True {
				return max(first, b(e))
			}
			return True
		}
	case opNot:
		a := truth(n.args[0])
		return func(e *env) Answer { return a(e).not() }
	case opCompare:
		return compare(n)
	case opIn:
		return among(n)
	case opText, opMatches:
		return textTest(n)
	case opCoalesce:
		a, b := truth(n.args[0]), truth(n.args[1])
		return func(e *env) Answer {
			if first := a(e); first != Unknown {
				return first
			}
			return b(e)
		}
	case opChoose:
		c, a, b := truth(n.args[0]), truth(n.args[1]), truth(n.args[2])
		return func(e *env) Answer {
			switch c(e) {
			case True:
				return a(e)
			case False:
				return b(e)
			}
			return Unknown
		}
	case opKnown, opUnknown:
		there, want := presence(n.args[0]), n.op == opKnown
		return func(e *env) Answer { return answer(there(e) == want) }
	case opActive, opInList:
		return onList(n)
	case opAny, opAll, opNone:
		return quantified(n)
	}
	panic("triggers: a condition of an unknown kind") // a mistake in this package, found by the first test of the operation
}

// onList compiles the question whether the record is on a list, which is never unknown.
func onList(n *node) truthFunc {
	if n.op == opActive {
		on := truth(n.args[0])
		return func(e *env) Answer { return answer(on(e) == True) }
	}
	list := n.list
	return func(e *env) Answer { return answer(e.member(list)) }
}

func truthProperty(number int) truthFunc {
	return func(e *env) Answer {
		v := e.value(number)
		if v.Type() != record.Bool {
			return Unknown
		}
		return answer(v.IsTrue())
	}
}

func truthRelated(number int) truthFunc {
	return func(e *env) Answer {
		v := e.other.Value(number)
		if v.Type() != record.Bool {
			return Unknown
		}
		return answer(v.IsTrue())
	}
}

// presence compiles the question whether n has a value.
func presence(n *node) func(*env) bool {
	switch n.kind {
	case kindBool:
		f := truth(n)
		return func(e *env) bool { return f(e) != Unknown }
	case kindText:
		f := text(n)
		return func(e *env) bool { _, ok := f(e); return ok }
	default:
		f := number(n)
		return func(e *env) bool { _, ok := f(e); return ok }
	}
}

// compare compiles == != < <= > >= of two values of one kind.
func compare(n *node) truthFunc {
	holds := comparison(n.name)
	a, b := n.args[0], n.args[1]
	switch a.kind {
	case kindBool:
		x, y := truth(a), truth(b)
		return func(e *env) Answer {
			first, second := x(e), y(e)
			if first == Unknown || second == Unknown {
				return Unknown
			}
			return answer(holds(int(first) - int(second)))
		}
	case kindText:
		x, y := n.operand(0), n.operand(1)
		return func(e *env) Answer {
			first, known := x(e)
			second, alsoKnown := y(e)
			if !known || !alsoKnown {
				return Unknown
			}
			return answer(holds(strings.Compare(first, second)))
		}
	default:
		x, y := number(a), number(b)
		return func(e *env) Answer {
			first, known := x(e)
			second, alsoKnown := y(e)
			if !known || !alsoKnown {
				return Unknown
			}
			return answer(holds(compareNumbers(first, second)))
		}
	}
}

func compareNumbers(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// comparison says for which signs of a-b the operator holds.
func comparison(operator string) func(sign int) bool {
	switch operator {
	case "==":
		return func(s int) bool { return s == 0 }
	case "!=":
		return func(s int) bool { return s != 0 }
	case "<":
		return func(s int) bool { return s < 0 }
	case "<=":
		return func(s int) bool { return s <= 0 }
	case ">":
		return func(s int) bool { return s > 0 }
	default:
		return func(s int) bool { return s >= 0 }
	}
}

// among compiles x in [...]. The items are fixed, and so always known.
func among(n *node) truthFunc {
	if n.args[0].kind == kindText {
		return amongTexts(n)
	}
	x := number(n.args[0])
	items := make([]numberFunc, len(n.args)-1)
	for i, a := range n.args[1:] {
		items[i] = number(a)
	}
	return func(e *env) Answer {
		value, ok := x(e)
		if !ok {
			return Unknown
		}
		return answer(slices.ContainsFunc(items, func(item numberFunc) bool { other, _ := item(e); return other == value }))
	}
}

func amongTexts(n *node) truthFunc {
	x := n.operand(0)
	var items []textFunc
	constants := map[string]struct{}{}
	for i, a := range n.args[1:] {
		if a.op == opConst {
			constants[a.text] = struct{}{}
		} else {
			items = append(items, n.operand(i+1))
		}
	}
	return func(e *env) Answer {
		value, ok := x(e)
		if !ok {
			return Unknown
		}
		if _, hit := constants[value]; hit {
			return True
		}
		return answer(slices.ContainsFunc(items, func(item textFunc) bool { other, _ := item(e); return other == value }))
	}
}

func textTest(n *node) truthFunc {
	x := n.operand(0)
	if n.op == opMatches {
		pattern := n.pattern
		return func(e *env) Answer {
			value, ok := x(e)
			if !ok {
				return Unknown
			}
			return answer(pattern.MatchString(value))
		}
	}
	test := map[string]func(s, part string) bool{"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix}[n.name]
	y := n.operand(1)
	return func(e *env) Answer {
		value, known := x(e)
		part, alsoKnown := y(e)
		if !known || !alsoKnown {
			return Unknown
		}
		return answer(test(value, part))
	}
}

// text compiles a text or an option.
func text(n *node) textFunc {
	switch n.op {
	case opConst:
		s := n.text
		return func(*env) (string, bool) { return s, true }
	case opProperty:
		number := n.property.Number
		if n.object != "" {
			return func(e *env) (string, bool) {
				v := e.other.Value(number)
				return v.Text(), v.Type() == record.String || v.Type() == record.Enumeration
			}
		}
		return func(e *env) (string, bool) {
			v := e.value(number)
			return v.Text(), v.Type() == record.String || v.Type() == record.Enumeration
		}
	case opLower:
		a := text(n.args[0])
		return func(e *env) (string, bool) {
			s, ok := a(e)
			return strings.ToLower(s), ok
		}
	case opDomain:
		a := text(n.args[0])
		return func(e *env) (string, bool) {
			s, ok := a(e)
			if !ok {
				return "", false
			}
			return domainOf(s)
		}
	case opCoalesce:
		a, b := text(n.args[0]), text(n.args[1])
		return func(e *env) (string, bool) {
			if s, ok := a(e); ok {
				return s, true
			}
			return b(e)
		}
	case opChoose:
		c, a, b := truth(n.args[0]), text(n.args[1]), text(n.args[2])
		return func(e *env) (string, bool) {
			switch c(e) {
			case True:
				return a(e)
			case False:
				return b(e)
			}
			return "", false
		}
	}
	panic("triggers: a text of an unknown kind")
}

// number compiles a number, an instant or a duration.
func number(n *node) numberFunc {
	switch n.op {
	case opConst:
		f := n.number
		return func(*env) (float64, bool) { return f, true }
	case opProperty:
		if n.object != "" {
			return numberRelated(n.property)
		}
		return numberProperty(n.property)
	case opCount:
		return counted(n)
	case opNow:
		return func(e *env) (float64, bool) { return e.now, true }
	case opToday:
		return func(e *env) (float64, bool) { return e.today, true }
	case opCoalesce:
		a, b := number(n.args[0]), number(n.args[1])
		return func(e *env) (float64, bool) {
			if f, ok := a(e); ok {
				return f, true
			}
			return b(e)
		}
	case opChoose:
		c, a, b := truth(n.args[0]), number(n.args[1]), number(n.args[2])
		return func(e *env) (float64, bool) {
			switch c(e) {
			case True:
				return a(e)
			case False:
				return b(e)
			}
			return 0, false
		}
	case opArith:
		calculate, a, b := arithmetic(n.name), number(n.args[0]), number(n.args[1])
		return func(e *env) (float64, bool) {
			x, known := a(e)
			y, alsoKnown := b(e)
			if !known || !alsoKnown {
				return 0, false
			}
			return finite(calculate(x, y))
		}
	case opDaysBetween:
		a, b := number(n.args[0]), number(n.args[1])
		return func(e *env) (float64, bool) {
			x, known := a(e)
			y, alsoKnown := b(e)
			if !known || !alsoKnown {
				return 0, false
			}
			return finite(e.dayNumber(y) - e.dayNumber(x))
		}
	case opNumber:
		a, sign := text(n.args[0]), n.name
		return func(e *env) (float64, bool) {
			s, ok := a(e)
			if !ok {
				return 0, false
			}
			return numberIn(s, sign)
		}
	}
	calculate, a := timeFunction(n.op), number(n.args[0])
	return func(e *env) (float64, bool) {
		x, ok := a(e)
		if !ok {
			return 0, false
		}
		return finite(calculate(e, x))
	}
}

func numberProperty(p *record.Property) numberFunc {
	number := p.Number
	switch p.Type {
	case record.Number:
		return func(e *env) (float64, bool) {
			v := e.value(number)
			return v.Float(), v.Type() == record.Number
		}
	case record.DateTime:
		return func(e *env) (float64, bool) {
			v := e.value(number)
			return float64(v.Milli()), v.Type() == record.DateTime
		}
	default:
		return func(e *env) (float64, bool) {
			v := e.value(number)
			if v.Type() != record.Date {
				return 0, false
			}
			return e.day(v.Milli()), true
		}
	}
}

// numberRelated is numberProperty of an associated record.
func numberRelated(p *record.Property) numberFunc {
	number := p.Number
	return func(e *env) (float64, bool) {
		switch v := e.other.Value(number); v.Type() {
		case record.Number:
			return v.Float(), true
		case record.DateTime:
			return float64(v.Milli()), true
		case record.Date:
			return e.day(v.Milli()), true
		default:
			return 0, false
		}
	}
}

func arithmetic(operator string) func(a, b float64) float64 {
	switch operator {
	case "+":
		return func(a, b float64) float64 { return a + b }
	case "-":
		return func(a, b float64) float64 { return a - b }
	case "*":
		return func(a, b float64) float64 { return a * b }
	case "/":
		return func(a, b float64) float64 { return a / b }
	default:
		return math.Mod
	}
}

// timeFunction is a function of one number that does not go up and down: its result only grows, or only
// shrinks, as the number grows. The planner counts on it.
func timeFunction(o op) func(e *env, x float64) float64 {
	switch o {
	case opNegate:
		return func(_ *env, x float64) float64 { return -x }
	case opDaysSince:
		return func(e *env, x float64) float64 { return math.Floor((e.now - x) / dayMilli) }
	case opDaysUntil:
		return func(e *env, x float64) float64 { return math.Floor((x - e.now) / dayMilli) }
	case opDaysAgo:
		return func(e *env, x float64) float64 { return e.now - math.Floor(x*dayMilli+0.5) }
	case opMonthsSince:
		return (*env).monthsSince
	case opMonthsAgo:
		return (*env).monthsAgo
	case opYearsAgo:
		return func(e *env, x float64) float64 { return e.monthsAgo(math.Floor(x) * 12) }
	case opDayOf:
		return (*env).dayOf
	}
	panic("triggers: a number of an unknown kind")
}
