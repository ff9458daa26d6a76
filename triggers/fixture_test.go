package triggers

import (
	"strconv"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// Numbers of the test schema's properties.
const (
	pEmail = record.FirstProperty + iota
	pStage
	pActivity
	pClose
	pDeals
	pRevenue
	pOptOut
	pBounced
	pCompany
	pCity
	pCreated
	pOdd
	pShared1
	pShared2
	pGone
	pStatus
	pZip
)

func testSchema() *record.Schema {
	options := func(values ...string) []record.Option {
		var all []record.Option
		for i, v := range values {
			all = append(all, record.Option{Number: i + 1, Value: v, Label: "Label " + v})
		}
		return all
	}
	stages := options("subscriber", "lead", "customer", "evangelist", "marketingqualifiedlead")
	stages[3].Removed = true
	return record.NewSchema(record.Contact, 1, []record.Property{
		{Number: pEmail, Name: "email", Label: "Email", Type: record.String},
		{Number: pStage, Name: "lifecyclestage", Label: "Lifecycle Stage", Type: record.Enumeration, Options: stages},
		{Number: pActivity, Name: "notes_last_updated", Label: "Last Activity Date", Type: record.DateTime},
		{Number: pClose, Name: "closedate", Label: "Close Date", Type: record.Date},
		{Number: pDeals, Name: "num_associated_deals", Label: "Number of Deals", Type: record.Number},
		{Number: pRevenue, Name: "total_revenue", Label: "Revenue", Type: record.Number},
		{Number: pOptOut, Name: "hs_email_optout", Label: "Opted Out", Type: record.Bool},
		{Number: pBounced, Name: "bounced", Label: "Bounced", Type: record.Bool},
		{Number: pCompany, Name: "company", Label: "Company Name", Type: record.String, Exact: true},
		{Number: pCity, Name: "city", Label: "City", Type: record.String},
		{Number: pCreated, Name: "createdate", Label: "Create Date", Type: record.DateTime},
		{Number: pOdd, Name: "odd", Label: "Größe (cm) ?", Type: record.Number},
		{Number: pShared1, Name: "phone_home", Label: "Phone", Type: record.String},
		{Number: pShared2, Name: "phone_work", Label: "Phone", Type: record.String},
		{Number: pGone, Name: "gone", Label: "Gone", Type: record.Number, Removed: true},
		{Number: pStatus, Name: "status", Label: "Status", Type: record.Enumeration, Options: options("open", "closed")},
		{Number: pZip, Name: "zip", Label: "Postal Code", Type: record.String},
	})
}

func testVocabulary() Vocabulary {
	return Vocabulary{Schema: testSchema(), Lists: map[string]crmstore.List{
		"keep": {Number: 1, Name: "keep", Object: record.Contact},
		"vip":  {Number: 3, Name: "vip", Object: record.Contact},
	}, Related: testRelated()}
}

// Numbers of the test deals' properties.
const (
	dAmount = record.FirstProperty + iota
	dStage
	dClose
	dName
	dPaid
)

// testRelated are the object types whose associated records the tests ask about.
func testRelated() map[string]*record.Schema {
	deals := record.NewSchema("deal", 1, []record.Property{
		{Number: dAmount, Name: "amount", Label: "Amount", Type: record.Number},
		{Number: dStage, Name: "dealstage", Label: "Deal Stage", Type: record.Enumeration, Options: []record.Option{
			{Number: 1, Value: "open"}, {Number: 2, Value: "closedwon"}, {Number: 3, Value: "closedlost"},
		}},
		{Number: dClose, Name: "closedate", Label: "Close Date", Type: record.Date},
		{Number: dName, Name: "dealname", Label: "Deal Name", Type: record.String},
		{Number: dPaid, Name: "paid", Label: "Paid", Type: record.Bool},
	})
	companies := record.NewSchema("company", 1, []record.Property{
		{Number: record.FirstProperty, Name: "domain", Label: "Company Domain Name", Type: record.String},
		{Number: record.FirstProperty + 1, Name: "size", Label: "Größe (cm) ?", Type: record.Number},
	})
	return map[string]*record.Schema{"contacts": testSchema(), "deals": deals, "companies": companies}
}

func mustCompile(tb testing.TB, source string, v Vocabulary) *Expr {
	tb.Helper()
	e, findings := Compile(diag.NewText("", source, nil), v)
	if e == nil {
		tb.Fatalf("compile %s: %v", source, findings)
	}
	return e
}

func at(tb testing.TB, text string) time.Time {
	tb.Helper()
	when, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		tb.Fatal(err)
	}
	return when
}

// record makes a record of the test schema out of values as a CSV has them, by internal name.
func recordOf(tb testing.TB, s *record.Schema, values map[string]string) *record.Record {
	tb.Helper()
	var set []record.Assignment
	for name, text := range values {
		p := s.Find(name)
		if len(p) != 1 {
			tb.Fatalf("no property %q", name)
		}
		set = append(set, record.Assignment{Property: p[0].Number, Value: valueOf(tb, p[0].Type, text)})
	}
	r, err := record.NewRecord(s, 1, set)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func valueOf(tb testing.TB, typ record.PropertyType, text string) record.Value {
	tb.Helper()
	switch typ {
	case record.Number:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			tb.Fatal(err)
		}
		return record.NumberValue(f)
	case record.Bool:
		return record.BoolValue(text == "true")
	case record.Date:
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			tb.Fatal(err)
		}
		return record.DateValue(day)
	case record.DateTime:
		return record.DateTimeValue(at(tb, text))
	case record.Enumeration:
		return record.EnumValue(text)
	default:
		return record.StringValue(text)
	}
}

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return z
}
