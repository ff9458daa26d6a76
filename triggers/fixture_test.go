package triggers

import (
	"strconv"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// Numbers of the test schema's properties.
const (
	pEmail = crmstore.FirstProperty + iota
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
)

func testSchema() *crmstore.Schema {
	options := func(values ...string) []crmstore.Option {
		var all []crmstore.Option
		for i, v := range values {
			all = append(all, crmstore.Option{Number: i + 1, Value: v, Label: "Label " + v})
		}
		return all
	}
	stages := options("subscriber", "lead", "customer", "evangelist", "marketingqualifiedlead")
	stages[3].Removed = true
	return crmstore.NewSchema(crmstore.Contact, 1, []crmstore.Property{
		{Number: pEmail, Name: "email", Label: "Email", Type: crmstore.String},
		{Number: pStage, Name: "lifecyclestage", Label: "Lifecycle Stage", Type: crmstore.Enumeration, Options: stages},
		{Number: pActivity, Name: "notes_last_updated", Label: "Last Activity Date", Type: crmstore.DateTime},
		{Number: pClose, Name: "closedate", Label: "Close Date", Type: crmstore.Date},
		{Number: pDeals, Name: "num_associated_deals", Label: "Number of Deals", Type: crmstore.Number},
		{Number: pRevenue, Name: "total_revenue", Label: "Revenue", Type: crmstore.Number},
		{Number: pOptOut, Name: "hs_email_optout", Label: "Opted Out", Type: crmstore.Bool},
		{Number: pBounced, Name: "bounced", Label: "Bounced", Type: crmstore.Bool},
		{Number: pCompany, Name: "company", Label: "Company Name", Type: crmstore.String, Exact: true},
		{Number: pCity, Name: "city", Label: "City", Type: crmstore.String},
		{Number: pCreated, Name: "createdate", Label: "Create Date", Type: crmstore.DateTime},
		{Number: pOdd, Name: "odd", Label: "Größe (cm) ?", Type: crmstore.Number},
		{Number: pShared1, Name: "phone_home", Label: "Phone", Type: crmstore.String},
		{Number: pShared2, Name: "phone_work", Label: "Phone", Type: crmstore.String},
		{Number: pGone, Name: "gone", Label: "Gone", Type: crmstore.Number, Removed: true},
		{Number: pStatus, Name: "status", Label: "Status", Type: crmstore.Enumeration, Options: options("open", "closed")},
	})
}

func testVocabulary() Vocabulary {
	return Vocabulary{Schema: testSchema(), Lists: map[string]crmstore.List{
		"keep": {Number: 1, Name: "keep", Object: crmstore.Contact},
		"vip":  {Number: 3, Name: "vip", Object: crmstore.Contact},
	}}
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
func recordOf(tb testing.TB, s *crmstore.Schema, values map[string]string) *crmstore.Record {
	tb.Helper()
	var set []crmstore.Assignment
	for name, text := range values {
		p := s.Find(name)
		if len(p) != 1 {
			tb.Fatalf("no property %q", name)
		}
		set = append(set, crmstore.Assignment{Property: p[0].Number, Value: valueOf(tb, p[0].Type, text)})
	}
	r, err := crmstore.NewRecord(s, 1, set)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func valueOf(tb testing.TB, typ crmstore.PropertyType, text string) crmstore.Value {
	tb.Helper()
	switch typ {
	case crmstore.Number:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			tb.Fatal(err)
		}
		return crmstore.NumberValue(f)
	case crmstore.Bool:
		return crmstore.BoolValue(text == "true")
	case crmstore.Date:
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			tb.Fatal(err)
		}
		return crmstore.DateValue(day)
	case crmstore.DateTime:
		return crmstore.DateTimeValue(at(tb, text))
	case crmstore.Enumeration:
		return crmstore.EnumValue(text)
	default:
		return crmstore.StringValue(text)
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
