package triggers

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/ast"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// writer writes random expressions that are good, by kind.
type writer struct {
	t      *rapid.T
	active []string // active lists that may be asked
}

func (w writer) pick(options ...string) string { return rapid.SampledFrom(options).Draw(w.t, "pick") }

func (w writer) chance(percent int) bool { return rapid.IntRange(0, 99).Draw(w.t, "chance") < percent }

// trigger is a condition that asks something about the record.
func (w writer) trigger() string {
	if w.chance(3) {
		return w.pick("true", "false")
	}
	s := w.condition(rapid.IntRange(0, 4).Draw(w.t, "depth"))
	if !strings.Contains(s, "contact") && !strings.Contains(s, "deals") && !strings.Contains(s, "inList") {
		return "known(contact.email) || " + s
	}
	return s
}

func (w writer) condition(depth int) string {
	if depth > 0 {
		a := w.condition(depth - 1)
		switch w.pick("and", "and", "or", "or", "not", "choose", "coalesce", "leaf") {
		case "and":
			return "(" + a + w.pick(" && ", " and ") + w.condition(depth-1) + ")"
		case "or":
			return "(" + a + w.pick(" || ", " or ") + w.condition(depth-1) + ")"
		case "not":
			return w.pick("!", "not ") + "(" + a + ")"
		case "choose":
			return "(" + a + " ? " + w.condition(depth-1) + " : " + w.pick("true", "false", w.condition(depth-1)) + ")"
		case "coalesce":
			if !strings.Contains(a, "contact") {
				return a
			}
			return "((" + a + ") ?? " + w.pick("true", "false", "contact.bounced") + ")"
		}
	}
	comparison := w.pick(" == ", " != ", " < ", " <= ", " > ", " >= ")
	equality := w.pick(" == ", " != ")
	in := w.pick(" in ", " not in ")
	switch w.pick("number", "number", "time", "time", "days", "months", "months", "dayOf", "domain", "numeral", "duration", "text", "text", "email", "email", "stage", "stage", "bool", "known", "list", "in", "between", "deals") {
	case "number":
		return w.number(2) + comparison + w.number(1)
	case "time":
		return w.time(2) + comparison + w.time(1)
	case "days":
		return w.pick("daysSince(", "daysUntil(") + w.time(1) + ")" + comparison + w.pick("0", "1", "30", "365", "-2", "contact.num_associated_deals")
	case "months":
		return w.pick("monthsSince("+w.time(1)+")", "monthsSince("+w.time(0)+")", "daysBetween("+w.time(1)+", "+w.pick("today", "now", w.time(1))+")") + comparison +
			w.pick("0", "1", "-1", "2", "12", "24", "contact.num_associated_deals")
	case "dayOf":
		return "dayOf(" + w.time(1) + ")" + w.pick(comparison+w.time(1), in+`[today, dayOf(daysAgo(1)), date("2026-03-29")]`)
	case "domain":
		return w.pick("domain("+w.pick("contact.email", "contact.company", "contact.email ?? contact.company")+")"+w.pick(equality+`"x.example"`, in+`["x.example", "y.example"]`,
			` endsWith ".example"`, equality+"contact.city"), "known(domain(contact.company))")
	case "numeral":
		return w.pick("number(contact.zip)", `number(contact.zip, "comma")`, `(number(contact.zip, "point") ?? 7)`, "number(contact.zip ?? contact.company)") + w.pick(comparison+w.number(1), in+"[0, 1234.5, 7]")
	case "duration":
		return w.time(1) + " - " + w.time(1) + comparison + w.duration()
	case "text":
		return w.text(1) + w.pick(" == ", " != ", " contains ", " startsWith ", " endsWith ", " not contains ") + w.text(0)
	case "email":
		email := w.pick("contact.email", "contact.email", "lower(contact.email)", `(contact.email ?? "ANN@x.example")`, "(contact.email ?? contact.company)")
		return w.pick(email+equality+w.pick(`"ANN@X.example"`, `"bob@x.example"`, "contact.company", "lower(contact.email)"),
			`"Bob@x.Example"`+equality+email, email+in+`["ann@x.example", "BOB@X.EXAMPLE"]`, email+in+`["Acme", "x"]`,
			email+w.pick(" startsWith ", " endsWith ", " contains ", " not endsWith ")+w.pick(`"ANN"`, `"@X.Example"`, `"@y.example"`, "contact.company"),
			email+w.pick(` matches `, " not matches ")+w.pick(`"^A.*X"`, `"^(ann|BOB)@"`))
	case "stage":
		return w.pick(`contact.lifecyclestage`+equality+`"lead"`, `contact.lifecyclestage`+in+`["subscriber", "customer", "evangelist"]`,
			`"open"`+equality+`contact.status`, `lower(contact.status) matches "^o"`, `(contact.lifecyclestage ?? "none")`+equality+`"none"`,
			`contact.lifecyclestage`+equality+`contact.status`)
	case "bool":
		return w.pick("contact.bounced", "contact.hs_email_optout", "(contact.bounced ?? false)", "contact.bounced"+equality+w.pick("true", "false", "contact.hs_email_optout"))
	case "known":
		return w.pick("known(", "unknown(") + w.pick("contact.lifecyclestage", "contact.email", "contact.company", "contact.closedate", "contact.bounced",
			"contact.total_revenue / contact.num_associated_deals", "daysSince(contact.createdate)", "contact.total_revenue > 3 && contact.bounced") + ")"
	case "deals":
		return w.pick("any", "all", "none") + "(deals, " + w.deal(rapid.IntRange(0, 2).Draw(w.t, "deal")) + ")"
	case "list":
		lists := append([]string{"keep", "vip"}, w.active...)
		return "inList(" + strconv.Quote(w.pick(lists...)) + ")"
	case "in":
		return w.pick(w.number(1)+in+"[0, 1, -2.5, 10]", w.time(1)+in+`[today, date("2026-03-29"), daysAgo(1)]`, w.text(1)+in+`["acme", "x", "anna"]`)
	default:
		return w.pick("-3", "0", "1") + w.pick(" < ", " <= ") + w.number(1) + w.pick(" < ", " <= ") + w.pick("1", "5", "1e9")
	}
}

// deal is a condition about an associated deal.
func (w writer) deal(depth int) string {
	if depth > 0 {
		a := w.deal(depth - 1)
		return w.pick("("+a+" && "+w.deal(depth-1)+")", "("+a+" || "+w.pick("contact.bounced", "contact.total_revenue > 1", "known(contact.email)")+")", "!("+a+")", "(("+a+") ?? true)")
	}
	return w.pick(".amount > contact.total_revenue", ".amount"+w.pick(" < ", " >= ", " == ")+w.pick("0", "1", "-2.5", "10"), `.dealstage`+w.pick(" == ", " != ")+`"open"`,
		`.dealstage in ["closedwon", "closedlost"]`, "daysSince(.closedate) > 30", ".closedate < today", "known(.amount)", "unknown(.dealstage)", ".paid", "!.paid",
		`.dealname contains "c"`, `.dealname == contact.company`, "(.amount ?? 0) * 2 > 3", "known(.amount) && .paid")
}

func (w writer) number(depth int) string {
	if depth > 0 && w.chance(50) {
		a, b := w.number(depth-1), w.number(depth-1)
		switch w.pick("arith", "arith", "fixed", "fixed", "negate", "coalesce", "choose", "days") {
		case "arith":
			return "(" + a + w.pick(" + ", " - ", " * ", " / ") + w.pick("contact.total_revenue", "contact.num_associated_deals") + ")"
		case "fixed":
			return w.pick("("+a+w.pick(" + ", " - ", " * ", " / ", " % ")+w.pick("2", "-3", "0.1", "1e200")+")", "(5 - "+a+")")
		case "negate":
			return "-(" + a + ")"
		case "coalesce":
			if strings.Contains(a, "contact") {
				return "((" + a + ") ?? (" + b + "))"
			}
		case "choose":
			return "(" + w.condition(0) + " ? " + a + " : " + b + ")"
		case "days":
			return w.pick("daysSince(", "daysUntil(") + w.time(0) + ")"
		}
	}
	if w.chance(10) {
		return w.pick("count(deals)", "count(deals, "+w.deal(0)+")")
	}
	return w.pick("contact.num_associated_deals", "contact.total_revenue", "contact.total_revenue", "contact.odd", "0", "1", "-2.5", "10", "1e300")
}

func (w writer) time(depth int) string {
	if depth > 0 && w.chance(50) {
		switch w.pick("plus", "plus", "coalesce", "choose", "ago") {
		case "plus":
			return "(" + w.time(depth-1) + w.pick(" + ", " - ") + w.duration() + ")"
		case "coalesce":
			return "(" + w.pick("contact.closedate", "contact.createdate") + " ?? " + w.time(depth-1) + ")"
		case "choose":
			return "(" + w.condition(0) + " ? " + w.time(depth-1) + " : " + w.time(0) + ")"
		case "ago":
			return w.pick("daysAgo(0.5)", "daysAgo(-365)", "yearsAgo(3)", "yearsAgo(-20)",
				w.pick("daysAgo(", "monthsAgo(")+w.pick("3", "-36", "(1 / 2)", "contact.num_associated_deals")+")")
		}
	}
	return w.pick("contact.closedate", "contact.closedate", "contact.createdate", "contact.notes_last_updated", "contact.last_activity_date", "now", "today()",
		`date("2026-03-29")`, `date("2025-10-26T01:30:00Z")`)
}

func (w writer) duration() string {
	return `duration("` + w.pick("0h", "36h", "1d", "2w", "365d") + `")`
}

func (w writer) text(depth int) string {
	if depth > 0 && w.chance(30) {
		return w.pick("lower("+w.text(depth-1)+")", "("+w.pick("contact.company", "contact.city")+" ?? "+w.text(depth-1)+")")
	}
	return w.pick("contact.email", "contact.company", "contact.company", "contact.city", "lower(contact.status)", `"Acme"`, `"x"`, `"a\"é\n"`)
}

// values draws a value for the property; unknown for one record in four.
func randomValue(t *rapid.T, p *record.Property, now time.Time) record.Value {
	if rapid.IntRange(0, 3).Draw(t, "unknown") == 0 {
		return record.Value{}
	}
	near := func() time.Time {
		step := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Hour, 24 * time.Hour, 30 * 24 * time.Hour}).Draw(t, "step")
		return now.Add(step * time.Duration(rapid.IntRange(-20, 20).Draw(t, "steps")))
	}
	switch p.Type {
	case record.Number:
		if p.Number == pDeals { // also a number of days, which the reference cannot do with large ones
			return record.NumberValue(rapid.SampledFrom([]float64{0, 1, 2, 3, -2.5, 10, 0.1, 365}).Draw(t, "number"))
		}
		return record.NumberValue(rapid.SampledFrom([]float64{0, 1, 2, 3, -2.5, 5, 10, 0.1, 1e9, -1e300, math.MaxFloat64, math.SmallestNonzeroFloat64}).Draw(t, "number"))
	case record.Bool:
		return record.BoolValue(rapid.Bool().Draw(t, "bool"))
	case record.Date:
		return record.DateValue(near())
	case record.DateTime:
		return record.DateTimeValue(near())
	case record.Enumeration:
		return record.EnumValue(rapid.SampledFrom(p.Options).Draw(t, "option").Value)
	}
	if p.Number == pZip {
		return record.StringValue(rapid.SampledFrom([]string{"1234.5", "1,234.50", "1.234,50", " -7 ", "0", "12,34", "1e", "", ".5", "-", "+3", "1,2345"}).Draw(t, "zip"))
	}
	if p.Number == pEmail {
		return record.StringValue(rapid.SampledFrom([]string{"ann@x.example", "Ann@X.example", "ANN@Y.EXAMPLE", "BOB@x.example", "bob@x.example", "Acme"}).Draw(t, "address"))
	}
	return record.StringValue(rapid.SampledFrom([]string{"Acme", "acme", "x", "ANN@X.example", "open", "lead", "Max", "a\"é\n"}).Draw(t, "text"))
}

// world is a random account: the schema that its records were written with, the one that expressions are compiled
// with (later: a property renamed, one removed, an option removed), records, lists, zone and instant.
type world struct {
	vocabulary Vocabulary
	now        time.Time
	store      *fake
	trees      map[string]ast.Node
	active     []string // names of active lists
}

func randomWorld(t *rapid.T, records int) world {
	later := testSchema()
	for i := range later.Properties {
		if later.Properties[i].Number == pCity {
			later.Properties[i].Exact = rapid.Bool().Draw(t, "exact")
		}
	}
	if p := &later.Properties[0]; p.Number == pEmail {
		p.Exact = rapid.Bool().Draw(t, "exact address")
		p.Email = rapid.Bool().Draw(t, "marked address") // not in older stores
	}
	before := append([]record.Property{}, later.Properties...)
	for i := range before {
		p := &before[i]
		p.Removed = false
		p.Options = append([]record.Option{}, p.Options...)
		for j := range p.Options {
			p.Options[j].Removed = false
		}
		if p.Number == pActivity {
			p.Name = "an_earlier_name"
		}
	}
	w := world{vocabulary: testVocabulary(), store: &fake{schema: record.NewSchema(record.Contact, 1, before)}, trees: map[string]ast.Node{}}
	w.vocabulary.Schema = record.NewSchema(record.Contact, 2, later.Properties)
	name := rapid.SampledFrom([]string{"UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati"}).Draw(t, "zone")
	w.vocabulary.Zone, _ = time.LoadLocation(name)
	w.now = rapid.SampledFrom([]time.Time{
		time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC), time.Date(2026, 10, 25, 22, 59, 59, 999e6, time.UTC), time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC),
	}).Draw(t, "now")
	w.addActiveLists(t)
	w.store.partitions = make([]partition, rapid.IntRange(1, 3).Draw(t, "partitions"))
	for i := range records {
		var set []record.Assignment
		for j := range before {
			set = append(set, record.Assignment{Property: before[j].Number, Value: randomValue(t, &before[j], w.now)})
		}
		r, err := record.NewRecord(w.store.schema, record.ID(i+1), set)
		if err != nil {
			t.Fatal(err)
		}
		w.store.add(i%len(w.store.partitions), r, rapid.SampledFrom([]string{"live", "live", "live", "live", "archived", "free"}).Draw(t, "state"),
			rapid.IntRange(0, 3).Draw(t, "lists"))
	}
	w.addDeals(t, records)
	return w
}

// addDeals associates records with deals, one in twenty of which is damaged.
func (w *world) addDeals(t *rapid.T, records int) {
	w.store.deals = map[record.ID][]*record.Record{}
	schema := w.vocabulary.Related["deals"]
	for i := range rapid.IntRange(0, records).Draw(t, "deals") {
		var set []record.Assignment
		for j := range schema.Properties {
			set = append(set, record.Assignment{Property: schema.Properties[j].Number, Value: randomValue(t, &schema.Properties[j], w.now)})
		}
		deal, err := record.NewRecord(schema, record.ID(i+1), set)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.IntRange(0, 19).Draw(t, "damaged") == 0 {
			deal = nil
		}
		for range rapid.IntRange(1, 2).Draw(t, "contacts") {
			contact := record.ID(rapid.IntRange(1, records).Draw(t, "contact"))
			if !slices.Contains(w.store.deals[contact], deal) {
				w.store.deals[contact] = append(w.store.deals[contact], deal)
			}
		}
	}
}

// related is what the record is associated with.
func (w *world) related(r *record.Record) related {
	all := related{}
	for _, deal := range w.store.deals[r.ID] {
		all[record.Deal] = append(all[record.Deal], associated{record: deal})
	}
	return all
}

// addActiveLists makes active lists with random expressions; each may ask those before it.
func (w *world) addActiveLists(t *rapid.T) {
	for i, name := range []string{"active", "outer"} {
		where := writer{t, w.active}.condition(rapid.IntRange(0, 2).Draw(t, "list's depth"))
		lists := maps.Clone(w.vocabulary.Lists)
		lists[name] = crmstore.List{Number: 10 + i, Name: name, Object: record.Contact, Where: where}
		v := w.vocabulary
		v.Lists = lists
		if e, _ := Compile(diag.NewText("", `inList("`+name+`")`, nil), v); e != nil { // see compileRandom for what is no good
			w.vocabulary, w.active = v, append(w.active, name)
		}
	}
}

func (w *world) reference(tb testing.TB, r *record.Record) reference {
	tb.Helper()
	member := func(list int) bool {
		return w.store.member(r, list)
	}
	return reference{t: tb, v: w.vocabulary, now: w.now, record: r, lists: map[string]bool{"keep": member(1), "vip": member(3)}, deals: w.store.deals[r.ID], trees: w.trees}
}

func describe(r *record.Record) string {
	var s strings.Builder
	r.Values(func(p *record.Property, v record.Value) { fmt.Fprintf(&s, "%s=%s ", p.Name, v) })
	return s.String()
}
