package triggers

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// Function is one function that expressions may use.
type Function struct {
	Name      string `json:"name"`
	Signature string `json:"signature"`
	Doc       string `json:"doc"`
	Example   string `json:"example"`
}

// Functions is the table of functions that an expression may use, for documentation and completion.
func Functions() []Function {
	table := functionTable()
	all := make([]Function, 0, len(table)+4)
	for _, f := range table {
		all = append(all, f.Function)
	}
	return append(all, quantifiers()...)
}

// function is a row of the table: what is said about a function and how it is checked.
type function struct {
	Function
	op     op
	result kind
	wants  []kind // kindBad = any value
	spare  int    // how many of wants may be left out, from the last one on
	make   func(c *checker, source ast.Node, args []*node) *node
}

func functionTable() []function {
	anything := []kind{kindBad}
	return []function{
		{Function{
			"known", "known(value)", "Whether there is a value at all. Never unknown itself.",
			`known(contact.email)`,
		}, opKnown, kindBool, anything, 0, aboutRecord},
		{Function{
			"unknown", "unknown(value)", "Whether there is no value. Never unknown itself.",
			`unknown(contact.email)`,
		}, opUnknown, kindBool, anything, 0, aboutRecord},
		{Function{
			"now", "now", "The instant of the run. The brackets of now() may be left out.",
			`contact.createdate < now - duration("36h")`,
		}, opNow, kindTime, nil, 0, nil},
		{Function{
			"today", "today", "The first instant of the run's day in the workflow's zone. The brackets of today() may be left out.",
			`contact.closedate < today`,
		}, opToday, kindTime, nil, 0, nil},
		{Function{
			"daysSince", "daysSince(date)", "Whole days of 24 hours from the date until now, rounded down; negative for a date to come. > 365 is true from 366 full days on.",
			`daysSince(contact.last_activity_date) > 365`,
		}, opDaysSince, kindNumber, []kind{kindTime}, 0, nil},
		{Function{
			"daysUntil", "daysUntil(date)", "Whole days of 24 hours from now until the date, rounded down; negative for a date gone by.",
			`daysUntil(contact.closedate) <= 14`,
		}, opDaysUntil, kindNumber, []kind{kindTime}, 0, nil},
		{Function{
			"daysAgo", "daysAgo(n)", "The instant n times 24 hours before now.",
			`contact.createdate < daysAgo(30)`,
		}, opDaysAgo, kindTime, []kind{kindNumber}, 0, daysAgo},
		{Function{
			"monthsSince", "monthsSince(date)", "Whole months of the calendar from the date until now, rounded down; negative for a date to come. monthsSince(x) >= 6 and x <= monthsAgo(6) say the same.",
			`monthsSince(contact.last_activity_date) > 24`,
		}, opMonthsSince, kindNumber, []kind{kindTime}, 0, nil},
		{Function{
			"monthsAgo", "monthsAgo(n)", "Now minus n months of the calendar in the workflow's zone, at the same time of day. A day that the month lacks becomes its last one: 31 March minus a month is 28 or 29 February.",
			`contact.createdate < monthsAgo(24)`,
		}, opMonthsAgo, kindTime, []kind{kindNumber}, 0, monthsAgo},
		{Function{
			"yearsAgo", "yearsAgo(n)", "Now minus n years of the calendar in the workflow's zone, at the same time of day. 29 February minus a year is 28 February.",
			`contact.createdate < yearsAgo(2)`,
		}, opYearsAgo, kindTime, []kind{kindNumber}, 0, monthsAgo},
		{Function{
			"daysBetween", "daysBetween(from, to)", "Days of the calendar, in the workflow's zone, from one date's day to another's; negative when the second is earlier. Yesterday is 1 before today, also in nights when clocks change.",
			`daysBetween(contact.createdate, now) == 1`,
		}, opDaysBetween, kindNumber, []kind{kindTime, kindTime}, 0, nil},
		{Function{
			"dayOf", "dayOf(date)", "The first instant of the date's day in the workflow's zone.",
			`dayOf(contact.createdate) == date("2026-01-31")`,
		}, opDayOf, kindTime, []kind{kindTime}, 0, nil},
		{Function{
			"date", `date("2026-01-31")`, "The first instant of a day in the workflow's zone; with a time and an offset, as in \"2026-01-31T10:00:00Z\", that instant.",
			`contact.createdate >= date("2026-01-31")`,
		}, opConst, kindTime, []kind{kindText}, 0, dateLiteral},
		{Function{
			"duration", `duration("36h")`, "A length of time: numbers with w, d (24 hours), h, m, s or ms. Added to and subtracted from dates, and compared with the difference of two.",
			`now - contact.createdate > duration("365d")`,
		}, opConst, kindDuration, []kind{kindText}, 0, durationLiteral},
		{Function{
			"inList", `inList("name")`, "Whether the record is on the list: a member of a static one, or a record that an active one's expression is true for. Never unknown.",
			`!inList("keep")`,
		}, opInList, kindBool, []kind{kindText}, 0, listName},
		{Function{
			"lower", "lower(text)", "The text in lower case. E-mail addresses need it not: their case never counts.",
			`lower(contact.company) contains "acme"`,
		}, opLower, kindText, []kind{kindText}, 0, nil},
		{Function{
			"domain", "domain(text)", "What stands after the @ of an e-mail address, in lower case. Unknown where the text is no address.",
			`domain(contact.email) in ["acme.example", "acme.test"]`,
		}, opDomain, kindText, []kind{kindText}, 0, ofRecord},
		{Function{
			"number", `number(text, "comma")`, "The number that a text holds. Unknown where it holds anything else. Its fraction stands behind a point (1,234.50), or with \"comma\" behind a comma (1.234,50); the second value may be left out.",
			`number(contact.zip) < 20000`,
		}, opNumber, kindNumber, []kind{kindText, kindText}, 1, numberOf},
	}
}

func functionNamed(name string) (function, bool) {
	table := functionTable()
	i := slices.IndexFunc(table, func(f function) bool { return f.Name == name })
	if i < 0 {
		return function{}, false
	}
	return table[i], true
}

func signatureOf(name string) string {
	f, _ := functionNamed(name)
	return f.Signature
}

// call checks a function and its arguments.
func (c *checker) call(source ast.Node, name string, arguments []ast.Node) *node {
	args := make([]*node, len(arguments))
	good := true
	for i, a := range arguments {
		args[i] = c.check(a)
		good = good && args[i].kind != kindBad
	}
	f, ok := functionNamed(name)
	switch {
	case !ok:
		return c.unknownFunction(source, name)
	case len(args) > len(f.wants) || len(args) < len(f.wants)-f.spare:
		return c.find(diag.ExprArguments, source, fmt.Sprintf("%s takes %s, not %d", name, f.argumentCount(), len(args)), "write "+f.Signature)
	case !good:
		return &node{kind: kindBad}
	}
	for i, want := range f.wants[:len(args)] {
		switch {
		case args[i].kind == kindNil:
			return c.nilFinding(arguments[i], "", "")
		case want != kindBad && args[i].kind != want:
			return c.find(diag.ExprArguments, arguments[i], fmt.Sprintf("%s wants %s, and %s is %s", name, want.word(), c.source(arguments[i]), args[i].kind.word()),
				"as in "+f.Example)
		}
	}
	if f.make != nil {
		return f.make(c, source, args)
	}
	return &node{op: f.op, kind: f.result, args: args}
}

func (f *function) argumentCount() string {
	most := diag.Counted(len(f.wants), "argument", "arguments")
	if f.spare > 0 {
		return fmt.Sprintf("%d or %s", len(f.wants)-f.spare, most)
	}
	return most
}

func (c *checker) unknownFunction(source ast.Node, name string) *node {
	table := functionTable()
	names := make([]string, len(table))
	for i, f := range table {
		names[i] = f.Name
	}
	help := "the functions are " + strings.Join(names, ", ")
	if near := spelling.Nearest(name, names); near != "" {
		help = "did you mean " + signatureOf(near) + "?"
	}
	if ours, ok := otherwise()[strings.ToLower(strings.ReplaceAll(name, "_", ""))]; ok {
		help = "did you mean " + signatureOf(ours) + "?"
	}
	return c.find(diag.ExprUnknownFunction, source, fmt.Sprintf("unknown function %q", name), help)
}

// aboutRecord makes known and unknown, which ask nothing of a fixed value.
func aboutRecord(c *checker, source ast.Node, args []*node) *node {
	f := opKnown
	if called(source) == "unknown" {
		f = opUnknown
	}
	if args[0].fixed() {
		return c.find(diag.ExprArguments, source, fmt.Sprintf("%s asks nothing about the record", c.source(source)), "as in known(contact.email)")
	}
	return &node{op: f, kind: kindBool, args: args}
}

func called(n ast.Node) string {
	if call, ok := n.(*ast.CallNode); ok {
		if name, ok := call.Callee.(*ast.IdentifierNode); ok {
			return name.Value
		}
	}
	return ""
}

// otherwise is what functions of other languages are called here.
func otherwise() map[string]string {
	return map[string]string{
		"upper": "lower", "uppercase": "lower", "lowercase": "lower", "tolower": "lower", "toupper": "lower", "lcase": "lower", "ucase": "lower",
		"yearssince": "monthsSince", "monthsbetween": "monthsSince", "dateadd": "daysAgo", "datediff": "daysBetween", "datedif": "daysBetween", "adddays": "daysAgo",
		"startofday": "dayOf", "day": "dayOf", "truncdate": "dayOf", "tonumber": "number", "int": "number", "float": "number", "value": "number", "parsefloat": "number",
		"isnull": "unknown", "isempty": "unknown", "isblank": "unknown", "isunknown": "unknown", "isknown": "known", "notnull": "known", "has": "known", "exists": "known",
		"emaildomain": "domain", "todate": "date", "isinlist": "inList", "memberof": "inList",
	}
}

func daysAgo(c *checker, source ast.Node, args []*node) *node {
	return c.calculable(source, &node{op: opDaysAgo, kind: kindTime, args: args})
}

// monthsAgo makes monthsAgo and yearsAgo, which count whole months and years.
func monthsAgo(c *checker, source ast.Node, args []*node) *node {
	name, n := called(source), args[0]
	f, _ := functionNamed(name)
	if n.op == opConst && n.number != math.Trunc(n.number) {
		help := "the number of them is whole, as in " + f.Example
		if months := n.number * 12; name == "yearsAgo" && months == math.Trunc(months) {
			help = fmt.Sprintf("write monthsAgo(%g)", months)
		}
		return c.find(diag.ExprArguments, source, fmt.Sprintf("%s counts whole %s", name, strings.TrimSuffix(name, "Ago")), help)
	}
	return c.calculable(source, &node{op: f.op, kind: kindTime, args: args})
}

// ofRecord makes functions that read a text, and find the same in a fixed one each time.
func ofRecord(c *checker, source ast.Node, args []*node) *node {
	f, _ := functionNamed(called(source))
	if args[0].fixed() {
		return c.find(diag.ExprArguments, source, fmt.Sprintf("%s asks nothing about the record", c.source(source)), "as in "+f.Example)
	}
	return &node{op: f.op, kind: f.result, args: args}
}

// numberOf makes number, whose second value says which sign stands before the fraction.
func numberOf(c *checker, source ast.Node, args []*node) *node {
	n := ofRecord(c, source, args[:1])
	if len(args) == 1 || n.kind == kindBad {
		return n
	}
	if sign := args[1]; sign.op != opConst || sign.text != pointSign && sign.text != commaSign {
		return c.find(diag.ExprArguments, source, `the second value of number is "comma" or "point"`, fmt.Sprintf("write number(%s, %q)", c.source(argumentsOf(source)[0]), commaSign))
	}
	n.name = args[1].text
	return n
}

func argumentsOf(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.CallNode:
		return n.Arguments
	case *ast.BuiltinNode:
		return n.Arguments
	}
	return nil
}

func dateLiteral(c *checker, source ast.Node, args []*node) *node {
	if args[0].op != opConst {
		return c.find(diag.ExprBadLiteral, source, "date takes a text that is written out", "a date property needs no function around it")
	}
	ms, help, err := parseDate(args[0].text, c.v.zone())
	if err != nil {
		return c.find(diag.ExprBadLiteral, source, err.Error(), help)
	}
	return &node{op: opConst, kind: kindTime, number: float64(ms), name: fmt.Sprintf("date(%q)", args[0].text)}
}

func durationLiteral(c *checker, source ast.Node, args []*node) *node {
	const say = `write duration("365d"), with w, d, h, m, s or ms`
	if args[0].op != opConst {
		return c.find(diag.ExprBadLiteral, source, "duration takes a text that is written out", say)
	}
	ms, err := parseDuration(args[0].text)
	if err != nil {
		return c.find(diag.ExprBadLiteral, source, err.Error(), say)
	}
	return &node{op: opConst, kind: kindDuration, number: ms, name: fmt.Sprintf("duration(%q)", args[0].text)}
}

func listName(c *checker, source ast.Node, args []*node) *node {
	if c.related != nil {
		return c.refuse(source, fmt.Sprintf("inList asks about the %s, not about associated %s", c.object(), c.related.Object.Plural()), "ask it beside the condition, with &&")
	}
	if args[0].op != opConst {
		return c.find(diag.ExprArguments, source, "the name of a list is written out", `as in inList("keep")`)
	}
	name := args[0].text
	switch l, ok := c.v.Lists[name]; {
	case ok && l.Active():
		return c.inActiveList(source, l)
	case ok:
		return &node{op: opInList, kind: kindBool, name: name, list: l.Number}
	}
	var names []string
	for n := range c.v.Lists {
		names = append(names, n)
	}
	slices.Sort(names)
	help := "the account has no list of " + c.v.Schema.Object.Plural() + " yet"
	if len(names) > 0 {
		help = "the lists are " + strings.Join(names[:min(len(names), 12)], ", ")
	}
	if near := spelling.Nearest(name, names); near != "" {
		help = fmt.Sprintf("did you mean inList(%q)?", near)
	}
	return c.find(diag.ExprUnknownList, source, fmt.Sprintf("there is no list %q", name), help)
}
