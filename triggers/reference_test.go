package triggers

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// reference evaluates an expression the slow and obvious way, straight from the parser's tree: Kleene's logic with
// nil for unknown, times as time.Time, durations as time.Duration. It shares nothing with the package but its names.
type reference struct {
	t      testing.TB
	v      Vocabulary
	now    time.Time
	record *record.Record
	lists  map[string]bool
	deals  []*record.Record    // that are associated and live; nil = one that is damaged
	deal   *record.Record      // that a condition is asked of
	trees  map[string]ast.Node // of expressions that were asked before; may be nil
}

func (r reference) answer(source string) Answer {
	tree, ok := r.trees[source]
	if !ok {
		parsed, err := parser.Parse(source)
		if err != nil {
			r.t.Fatalf("%s: %v", source, err)
		}
		if tree = parsed.Node; r.trees != nil {
			r.trees[source] = tree
		}
	}
	switch r.eval(tree) {
	case true:
		return True
	case false:
		return False
	}
	return Unknown
}

func (r reference) eval(n ast.Node) any {
	switch n := n.(type) {
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode:
		return float64(n.Value)
	case *ast.FloatNode:
		return n.Value
	case *ast.StringNode:
		return n.Value
	case *ast.IdentifierNode:
		return r.function(n.Value, nil)
	case *ast.MemberNode:
		if _, ok := n.Node.(*ast.PointerNode); ok {
			deal := r
			deal.v.Schema, deal.record = r.v.Related["deals"], r.deal
			return deal.property(n.Property.(*ast.StringNode).Value)
		}
		return r.property(n.Property.(*ast.StringNode).Value)
	case *ast.UnaryNode:
		switch x := r.eval(n.Node).(type) {
		case bool:
			return !x
		case float64:
			if n.Operator == "-" {
				return -x
			}
			return x
		}
		return nil
	case *ast.BinaryNode:
		return r.binary(n)
	case *ast.ConditionalNode:
		switch r.eval(n.Cond) {
		case true:
			return r.eval(n.Exp1)
		case false:
			return r.eval(n.Exp2)
		}
		return nil
	case *ast.CallNode:
		return r.function(n.Callee.(*ast.IdentifierNode).Value, n.Arguments)
	case *ast.BuiltinNode:
		if slices.Contains([]string{"any", "all", "none", "count"}, n.Name) {
			return r.quantifier(n)
		}
		return r.function(n.Name, n.Arguments)
	}
	r.t.Fatalf("reference: %T", n)
	return nil
}

// quantifier counts the deals that a condition is true for, false for, and unknown for.
func (r reference) quantifier(n *ast.BuiltinNode) any {
	yes, no, unclear := 0, 0, 0
	for _, deal := range r.deals {
		var result any = true
		if len(n.Arguments) > 1 {
			result = nil
			if r.deal = deal; deal != nil {
				result = r.eval(n.Arguments[1].(*ast.PredicateNode).Node)
			}
		}
		switch result {
		case true:
			yes++
		case false:
			no++
		default:
			unclear++
		}
	}
	switch {
	case n.Name == "any" && yes > 0, n.Name == "none" && yes+unclear == 0, n.Name == "all" && no+unclear == 0:
		return true
	case n.Name == "any" && unclear == 0, n.Name == "none" && yes > 0, n.Name == "all" && no > 0:
		return false
	case n.Name == "count" && unclear == 0:
		return float64(yes)
	}
	return nil
}

func (r reference) property(name string) any {
	p := r.v.Schema.Find(name)[0]
	v := r.record.Value(p.Number)
	if !v.Known() {
		return nil
	}
	switch p.Type {
	case record.Number:
		return v.Float()
	case record.Bool:
		return v.IsTrue()
	case record.DateTime:
		return v.Time()
	case record.Date:
		return r.midnight(v.Time())
	}
	return v.Text()
}

// midnight leaves the nights on which it does not exist to TestStartOfDay.
func (r reference) midnight(day time.Time) time.Time {
	y, m, d := day.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, r.v.zone())
}

func (r reference) binary(n *ast.BinaryNode) any {
	switch n.Operator {
	case "&&", "and":
		a, b := r.eval(n.Left), r.eval(n.Right)
		if a == false || b == false {
			return false
		}
		if a == nil || b == nil {
			return nil
		}
		return true
	case "||", "or":
		a, b := r.eval(n.Left), r.eval(n.Right)
		if a == true || b == true {
			return true
		}
		if a == nil || b == nil {
			return nil
		}
		return false
	case "??":
		if a := r.eval(n.Left); a != nil {
			return a
		}
		return r.eval(n.Right)
	case "in":
		x := r.eval(n.Left)
		if x == nil {
			return nil
		}
		for _, e := range n.Right.(*ast.ArrayNode).Nodes {
			item := r.eval(e)
			if addresses(n.Left) {
				x, item = strings.ToLower(x.(string)), strings.ToLower(item.(string))
			}
			if r.compare(x, item) == 0 {
				return true
			}
		}
		return false
	}
	a, b := r.eval(n.Left), r.eval(n.Right)
	if a == nil || b == nil {
		return nil
	}
	if addresses(n.Left) || addresses(n.Right) {
		if a, b = strings.ToLower(a.(string)), strings.ToLower(b.(string)); n.Operator == "matches" {
			b = "(?i)" + r.eval(n.Right).(string)
		}
	}
	switch n.Operator {
	case "==":
		return r.compare(a, b) == 0
	case "!=":
		return r.compare(a, b) != 0
	case "<":
		return r.compare(a, b) < 0
	case "<=":
		return r.compare(a, b) <= 0
	case ">":
		return r.compare(a, b) > 0
	case ">=":
		return r.compare(a, b) >= 0
	case "contains":
		return strings.Contains(a.(string), b.(string))
	case "startsWith":
		return strings.HasPrefix(a.(string), b.(string))
	case "endsWith":
		return strings.HasSuffix(a.(string), b.(string))
	case "matches":
		return regexp.MustCompile(b.(string)).MatchString(a.(string))
	}
	return r.arithmetic(n.Operator, a, b)
}

// addresses reports whether a text may be an e-mail address, in which case does not count.
func addresses(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.MemberNode:
		return n.Property.(*ast.StringNode).Value == "email"
	case *ast.BinaryNode:
		return n.Operator == "??" && (addresses(n.Left) || addresses(n.Right))
	case *ast.ConditionalNode:
		return addresses(n.Exp1) || addresses(n.Exp2)
	case *ast.CallNode:
		name := n.Callee.(*ast.IdentifierNode).Value
		return name == "domain" || name == "lower" && addresses(n.Arguments[0])
	case *ast.BuiltinNode:
		return n.Name == "lower" && addresses(n.Arguments[0])
	}
	return false
}

func (r reference) compare(a, b any) int {
	switch a := a.(type) {
	case bool:
		if a == b.(bool) {
			return 0
		}
		return 1
	case float64:
		switch {
		case a < b.(float64):
			return -1
		case a > b.(float64):
			return 1
		}
		return 0
	case string:
		return strings.Compare(a, b.(string))
	case time.Time:
		return a.Compare(b.(time.Time))
	}
	return int(a.(time.Duration) - b.(time.Duration))
}

func (r reference) arithmetic(operator string, a, b any) any {
	switch a := a.(type) {
	case time.Time:
		switch b := b.(type) {
		case time.Time:
			return a.Sub(b)
		case time.Duration:
			if operator == "-" {
				b = -b
			}
			return a.Add(b)
		}
	case time.Duration:
		if t, ok := b.(time.Time); ok {
			return t.Add(a)
		}
		if operator == "-" {
			return a - b.(time.Duration)
		}
		return a + b.(time.Duration)
	}
	x, y := a.(float64), b.(float64)
	result := map[string]float64{"+": x + y, "-": x - y, "*": x * y, "/": x / y, "%": math.Mod(x, y)}[operator]
	if math.IsNaN(result) || math.IsInf(result, 0) {
		return nil
	}
	return result
}

func (r reference) function(name string, arguments []ast.Node) any {
	var x any
	if len(arguments) > 0 {
		x = r.eval(arguments[0])
	}
	switch name {
	case "now":
		return r.now
	case "today":
		return r.midnight(r.now.In(r.v.zone()))
	case "known":
		return x != nil
	case "unknown":
		return x == nil
	case "inList":
		if l := r.v.Lists[x.(string)]; l.Active() {
			return r.answer(l.Where) == True
		}
		return r.lists[x.(string)]
	case "date":
		return r.date(x.(string))
	case "duration":
		return lengthOf(x.(string))
	}
	if x == nil {
		return nil
	}
	switch name {
	case "daysSince":
		return wholeDays(r.now.Sub(x.(time.Time)))
	case "daysUntil":
		return wholeDays(x.(time.Time).Sub(r.now))
	case "daysAgo":
		return r.now.Add(-time.Duration(math.Floor(x.(float64)*86_400_000+0.5)) * time.Millisecond)
	case "lower":
		return strings.ToLower(x.(string))
	case "domain":
		return r.domain(x.(string))
	case "number":
		return r.number(x.(string), len(arguments) > 1 && r.eval(arguments[1]) == "comma")
	case "monthsAgo":
		return r.before(int(math.Floor(x.(float64))))
	case "yearsAgo":
		return r.before(12 * int(math.Floor(x.(float64))))
	case "monthsSince":
		return r.monthsSince(x.(time.Time))
	case "dayOf":
		return r.midnight(x.(time.Time).In(r.v.zone()))
	case "daysBetween":
		if y := r.eval(arguments[1]); y != nil {
			return r.daysBetween(x.(time.Time), y.(time.Time))
		}
		return nil
	}
	r.t.Fatalf("reference: function %s", name)
	return nil
}

// domain is for the addresses that random records hold.
func (r reference) domain(text string) any {
	if local, domain, ok := strings.Cut(text, "@"); ok && local != "" && domain != "" {
		return strings.ToLower(domain)
	}
	return nil
}

var numbers = map[bool]*regexp.Regexp{
	false: regexp.MustCompile(`^[+-]?(([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]+)?|\.[0-9]+)$`),
	true:  regexp.MustCompile(`^[+-]?(([0-9]+|[0-9]{1,3}(\.[0-9]{3})+)(,[0-9]+)?|,[0-9]+)$`),
}

// number is for numbers without exponents.
func (r reference) number(text string, comma bool) any {
	if text = strings.TrimSpace(text); !numbers[comma].MatchString(text) {
		return nil
	}
	if comma {
		text = strings.NewReplacer(".", "", ",", ".").Replace(text)
	}
	f, _ := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	return f
}

// before is now minus some months, by stepping back a day at a time from a day that the month lacks.
func (r reference) before(months int) any {
	if months == 0 {
		return r.now
	}
	now := r.now.In(r.v.zone())
	for d := now.Day(); ; d-- {
		at := time.Date(now.Year(), now.Month()-time.Month(months), d, now.Hour(), now.Minute(), now.Second(), now.Nanosecond(), r.v.zone())
		if want := int(now.Month()) - months; (int(at.Month())-want)%12 == 0 {
			return at
		}
	}
}

// monthsSince counts months one by one.
func (r reference) monthsSince(t time.Time) float64 {
	n := 0
	for t.After(r.before(n).(time.Time)) {
		n--
	}
	for !t.After(r.before(n + 1).(time.Time)) {
		n++
	}
	return float64(n)
}

// daysBetween counts the days of two calendars, which have no clocks.
func (r reference) daysBetween(a, b time.Time) float64 {
	plain := func(t time.Time) time.Time {
		y, m, d := t.In(r.v.zone()).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return float64(plain(b).Sub(plain(a)) / day)
}

const day = 24 * time.Hour

func wholeDays(d time.Duration) float64 {
	n := d / day
	if d%day < 0 {
		n--
	}
	return float64(n)
}

func (r reference) date(text string) time.Time {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t
	}
	t, _ := time.Parse(time.DateOnly, text)
	return r.midnight(t)
}

func lengthOf(text string) time.Duration {
	unit := map[byte]time.Duration{'w': 7 * day, 'd': day, 'h': time.Hour}[text[len(text)-1]]
	n := 0
	for _, c := range text[:len(text)-1] {
		n = n*10 + int(c-'0')
	}
	return time.Duration(n) * unit
}
