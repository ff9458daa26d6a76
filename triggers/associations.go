package triggers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// An expression asks about the records that a record is associated with by the plural of their object type:
//
//	any(deals, .dealstage != "closedlost")   none(tickets, .hs_ticket_priority == "HIGH")   count(companies, .numberofemployees > 100) >= 2
//
// Only live records are asked. A property of theirs is written with a dot in front. The answers are three-valued:
//
//	any   true where the condition is true for one, unknown where it is unknown for one and true for none
//	all   the same with false: true where there is none at all
//	none  the opposite of any
//	count how many the condition is true for, unknown where it is unknown for one
//
// So a value that is missing never makes none true, and never lowers a count.

// quantifiers are the functions about associated records, for documentation and completion.
func quantifiers() []Function {
	return []Function{
		{
			"any", "any(deals, condition)", "Whether the condition is true for an associated live record, whose properties are written .name; unknown where it is unknown for one and true for none.",
			`any(deals, .dealstage not in ["closedwon", "closedlost"])`,
		},
		{
			"all", "all(deals, condition)", "Whether the condition is true for all associated live records; true where there are none, unknown where it is unknown for one and false for none.",
			`all(deals, .dealstage in ["closedwon", "closedlost"])`,
		},
		{
			"none", "none(deals, condition)", "The opposite of any: whether the condition is false for all associated live records; true where there are none.",
			`none(deals, .amount > 1000)`,
		},
		{
			"count", "count(deals, condition)", "How many associated live records there are, with a condition those that it is true for; unknown where the condition is unknown for one.",
			`count(deals, .amount > 1000) == 0`,
		},
	}
}

// isQuantifier reports whether o asks about associated records.
func (o op) isQuantifier() bool { return o == opAny || o == opAll || o == opNone || o == opCount }

// asksRelated reports whether n or anything below it, in active lists too, asks about associated records.
func (n *node) asksRelated() bool {
	asks := false
	n.walk(func(n *node) { asks = asks || n.op.isQuantifier() })
	return asks
}

// relation is one of the object types whose associated records an expression asks about.
type relation struct {
	object     record.ObjectType
	properties bool // their properties are asked, so the records are read
}

// relations lists what the expressions of a trigger ask about associated records, each object type once, by name.
func relations(all []*Expr) []relation {
	var found []relation
	for _, e := range all {
		e.root.walk(func(n *node) {
			if !n.op.isQuantifier() {
				return
			}
			i := slices.IndexFunc(found, func(r relation) bool { return r.object == n.object })
			if i < 0 {
				i = len(found)
				found = append(found, relation{object: n.object})
			}
			found[i].properties = found[i].properties || len(n.args) > 0
		})
	}
	slices.SortFunc(found, func(a, b relation) int { return strings.Compare(string(a.object), string(b.object)) })
	return found
}

// Related are the object types whose associated records the trigger asks about, each once, by name. To answer it, a user needs to
// view them.
func (t *Trigger) Related() []record.ObjectType {
	var all []record.ObjectType
	for _, r := range relations(t.expressions()) {
		all = append(all, r.object)
	}
	return all
}

// quantifierNamed is what a function about associated records does.
func quantifierNamed(name string) (o op, ok bool) {
	o, ok = map[string]op{"any": opAny, "all": opAll, "none": opNone, "count": opCount}[name]
	return o, ok
}

// quantifier checks any, all, none and count.
func (c *checker) quantifier(n *ast.BuiltinNode) *node {
	o, ok := quantifierNamed(n.Name)
	if !ok {
		return c.refuse(n, fmt.Sprintf("%s goes through lists, which expressions do not do", n.Name),
			`ask for one of several values with in: contact.lifecyclestage in ["subscriber", "lead"]; for associated records with any, all, none or count`)
	}
	if c.related != nil {
		return c.refuse(n, fmt.Sprintf("%s inside a condition about associated %s", n.Name, c.related.Object.Plural()), "ask about associations of the record itself only")
	}
	schema := c.collection(n)
	if schema == nil {
		return &node{kind: kindBad}
	}
	asked := &node{op: o, kind: kindBool, name: n.Name, object: schema.Object}
	if o == opCount {
		asked.kind = kindNumber
	}
	if len(n.Arguments) == 1 {
		return asked
	}
	predicate := n.Arguments[1]
	inner := predicate
	if p, ok := predicate.(*ast.PredicateNode); ok {
		inner = p.Node
	}
	c.related = schema
	condition := c.check(inner)
	c.related = nil
	switch {
	case condition.kind == kindBad:
		return condition
	case condition.kind != kindBool:
		return c.find(diag.ExprNotCondition, inner, fmt.Sprintf("%s wants a condition, and %s is %s", n.Name, c.source(inner), condition.kind.word()), conditionHelp(c.source(inner), condition))
	case !condition.asksOfRelated():
		return c.find(diag.ExprNoProperty, inner, fmt.Sprintf("nothing is asked about the %s", schema.Object),
			fmt.Sprintf("name a property of the %s with a dot before it, as in .%s", schema.Object, firstName(Vocabulary{Schema: schema})))
	}
	asked.args = []*node{condition}
	return asked
}

// asksOfRelated reports whether a property of associated records is asked at n or below it.
func (n *node) asksOfRelated() bool {
	asks := false
	n.walk(func(n *node) { asks = asks || n.op == opProperty && n.object != "" })
	return asks
}

// collection is the schema of the associated records that a quantifier names; nil with a finding when it names none.
func (c *checker) collection(n *ast.BuiltinNode) *record.Schema {
	name, ok := n.Arguments[0].(*ast.IdentifierNode)
	if !ok {
		c.refuse(n.Arguments[0], fmt.Sprintf("%s goes through associated records alone", n.Name), "name their object type in the plural, as in "+n.Name+"(deals, .amount > 1000)")
		return nil
	}
	if schema := c.v.Related[name.Value]; schema != nil {
		return schema
	}
	var names []string
	for plural, schema := range c.v.Related {
		if string(schema.Object) == name.Value {
			c.find(diag.ExprUnknownName, name, fmt.Sprintf("%s is one record, and %s goes through all that are associated", name.Value, n.Name), "write "+plural)
			return nil
		}
		names = append(names, plural)
	}
	slices.Sort(names)
	help := "the account's object types are " + strings.Join(names[:min(len(names), 12)], ", ")
	switch near := spelling.Nearest(name.Value, names); {
	case near != "":
		help = fmt.Sprintf("did you mean %s?", near)
	case len(names) == 0:
		help = ""
	}
	c.find(diag.ExprUnknownName, name, fmt.Sprintf("there is no object type %q", name.Value), help)
	return nil
}

// relatedName is a name that stands for associated records, or for one of them; "" = it does not.
func (c *checker) relatedName(name string) (plural string) {
	for plural, schema := range c.v.Related {
		if plural == name || string(schema.Object) == name {
			return plural
		}
	}
	return ""
}

// relatedMember resolves .name in a condition about associated records.
func (c *checker) relatedMember(n *ast.MemberNode) *node {
	name, isText := n.Property.(*ast.StringNode)
	switch {
	case c.related == nil:
		return c.refuse(n, "a name with a dot before it is a property of an associated record", fmt.Sprintf("write %s.NAME", c.object()))
	case !isText:
		return c.refuse(n, "the name of a property is written out", "write .NAME")
	}
	switch found := c.related.Find(name.Value); len(found) {
	case 1:
		if found[0].Counts != "" {
			return c.refuse(n, fmt.Sprintf("%s is counted from associations of the %s", found[0].Name, c.related.Object), "ask about associations of the record itself only")
		}
		return &node{op: opProperty, kind: kindOf(found[0].Type), property: found[0], object: c.related.Object}
	case 0:
		return c.unknownPropertyOf(n, c.related, "", name.Value)
	default:
		names := make([]string, len(found))
		for i, p := range found {
			names[i] = "." + p.Name
		}
		return c.find(diag.ExprSharedLabel, n, fmt.Sprintf("%q is the label of %d properties of %s", name.Value, len(found), c.related.Object.Plural()), "write "+strings.Join(names, " or "))
	}
}

// objectOf is the object type whose property n is.
func (c *checker) objectOf(n *node) record.ObjectType {
	if n.object != "" {
		return n.object
	}
	return c.v.Schema.Object
}

// quantified compiles any, all and none.
func quantified(n *node) truthFunc {
	o, object := n.op, n.object
	condition, decides := truth(n.args[0]), True
	if o == opAll {
		decides = False
	}
	return func(e *env) Answer {
		others, read := e.relatedOf(object)
		if !read {
			return Unknown
		}
		result := decides.not()
		for i := range others {
			switch e.of(&others[i], condition) {
			case decides:
				result = decides
			case Unknown:
				result = Unknown
				continue
			default:
				continue
			}
			break
		}
		if o == opNone {
			return result.not()
		}
		return result
	}
}

// counted compiles count.
func counted(n *node) numberFunc {
	object := n.object
	if len(n.args) == 0 {
		return func(e *env) (float64, bool) {
			others, read := e.relatedOf(object)
			return float64(len(others)), read
		}
	}
	condition := truth(n.args[0])
	return func(e *env) (float64, bool) {
		others, read := e.relatedOf(object)
		if !read {
			return 0, false
		}
		count := 0
		for i := range others {
			switch e.of(&others[i], condition) {
			case Unknown:
				return 0, false
			case True:
				count++
			}
		}
		return float64(count), true
	}
}

// possible compiles l with each condition about associated records taken for true: it holds wherever l may. With it those
// records are found for which associations are not worth reading.
func possible(l *logic) func(*env) bool {
	if l.leaf == nil {
		parts := make([]func(*env) bool, len(l.parts))
		for i, part := range l.parts {
			parts[i] = possible(part)
		}
		if l.op == opAnd {
			return func(e *env) bool {
				return !slices.ContainsFunc(parts, func(part func(*env) bool) bool { return !part(e) })
			}
		}
		return func(e *env) bool {
			return slices.ContainsFunc(parts, func(part func(*env) bool) bool { return part(e) })
		}
	}
	if !l.leaf.asksRelated() {
		test := truth(l.leaf)
		return func(e *env) bool { return test(e) == True }
	}
	switch {
	case l.leaf.op == opActive:
		return possible(l.leaf.active.expr.normal)
	case l.leaf.op == opNot && l.leaf.args[0].op == opActive:
		return possible(l.leaf.args[0].active.never)
	}
	return func(*env) bool { return true }
}
