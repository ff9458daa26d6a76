package triggers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// withDeals is a Source of one contact with the given deals, each the values of a deal by name; nil is a damaged one.
func withDeals(tb testing.TB, deals ...map[string]string) *fake {
	tb.Helper()
	f := plain(tb, 1, 1)
	f.deals = map[record.ID][]*record.Record{}
	for i, values := range deals {
		var deal *record.Record
		if values != nil {
			deal = recordOf(tb, testRelated()["deals"], values)
			deal.ID = record.ID(i + 1)
		}
		f.deals[1] = append(f.deals[1], deal)
	}
	return f
}

// The answers of each function where a condition is true, false and unknown for some of the deals. What is unknown protects.
func TestAssociations_Answers(t *testing.T) {
	t.Parallel()
	rich, poor, unclear := map[string]string{"amount": "2000"}, map[string]string{"amount": "5"}, map[string]string{"dealname": "x"}
	for _, c := range []struct {
		name   string
		deals  []map[string]string
		any    Answer
		all    Answer
		none   Answer
		atMost Answer // count(deals, rich) <= 0
		number string // count(deals)
	}{
		{"no deal", nil, False, True, True, True, "0"},
		{"one for which it is true", []map[string]string{rich}, True, True, False, False, "1"},
		{"one for which it is false", []map[string]string{poor}, False, False, True, True, "1"},
		{"one for which it is unknown", []map[string]string{unclear}, Unknown, Unknown, Unknown, Unknown, "1"},
		{"true and unknown", []map[string]string{unclear, rich}, True, Unknown, False, Unknown, "2"},
		{"false and unknown", []map[string]string{poor, unclear}, Unknown, False, Unknown, Unknown, "2"},
		{"a damaged one", []map[string]string{nil}, Unknown, Unknown, Unknown, Unknown, "1"},
		{"a damaged one and true", []map[string]string{nil, rich}, True, Unknown, False, Unknown, "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := withDeals(t, c.deals...)
			for source, want := range map[string]Answer{
				`any(deals, .amount > 1000)`:        c.any,
				`all(deals, .amount > 1000)`:        c.all,
				`none(deals, .amount > 1000)`:       c.none,
				`count(deals, .amount > 1000) <= 0`: c.atMost,
				`count(deals) == ` + c.number:       True,
				`count(deals) > ` + c.number:        False,
			} {
				m := matcher(t, []string{source}, nil)
				why, err := m.Why(t.Context(), f, record.Contact, 1)
				if err != nil || why.Expressions[0].Answer != want {
					t.Errorf("%s is %v, %v; want %v", source, why.Expressions[0].Answer, err, want)
				}
			}
		})
	}
}

// Associations are read of those records alone that nothing else rules out.
func TestAssociations_SurvivorsAlone(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]int{
		`contact.num_associated_deals < 7 && none(deals, .amount > 1)`:                                7,
		`none(deals, .amount > 1) && contact.num_associated_deals < 7 && contact.email contains "3"`:  1,
		`contact.num_associated_deals < 7 && !(count(deals) > 3)`:                                     7,
		`contact.num_associated_deals < 2 || contact.num_associated_deals > 597 && any(deals, .paid)`: 4,
		`all(deals, .paid)`: 600,
		`contact.lifecyclestage == "lead" && contact.num_associated_deals < 7 ? any(deals, .paid) : false`: 4,
	} {
		f := plain(t, 600, 4)
		m := matcher(t, []string{source}, nil)
		if err := m.Evaluate(t.Context(), f, record.Contact, 0, 4, func(Found) error { return nil }); err != nil || f.asked != want {
			t.Errorf("%s reads the associations of %d contacts, %v; want %d\n%s", source, f.asked, err, want, m.Plan())
		}
	}
}

// More contacts than are decided together, in the order of their slots.
func TestAssociations_Many(t *testing.T) {
	t.Parallel()
	f := plain(t, 2*undecidedAtOnce+100, 3)
	f.deals = map[record.ID][]*record.Record{}
	open := recordOf(t, testRelated()["deals"], map[string]string{"dealstage": "open"})
	for id := record.ID(1); id <= 2*undecidedAtOnce+100; id += 3 {
		f.deals[id] = []*record.Record{open}
	}
	m := matcher(t, []string{`any(deals, .dealstage == "open")`}, nil)
	var got []record.ID
	err := m.Evaluate(t.Context(), f, record.Contact, 0, 3, func(found Found) error {
		got = append(got, found.IDs...)
		return nil
	})
	var want []record.ID
	for id := record.ID(1); id <= 2*undecidedAtOnce+100; id += 3 {
		want = append(want, id)
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
}

// What Plan and Why say of associations.
func TestAssociations_Shown(t *testing.T) {
	t.Parallel()
	f := withDeals(t, map[string]string{"amount": "5", "dealstage": "open"}, map[string]string{"dealstage": "closedwon"}, map[string]string{"dealstage": "closedlost", "amount": "7"})
	m := matcher(t, []string{`contact.num_associated_deals == 0 && none(deals, .dealstage == "open" && .amount > 1) && count(companies) == 0`}, nil)
	const plan = `answered by:  columns, then records
columns:      num_associated_deals
associations: companies, deals

trigger 1
  columns, then records  contact.num_associated_deals == 0 && none(deals, .dealstage == "open" && .amount > 1) && count(companies) == 0
  columns                  contact.num_associated_deals == 0
  associations             none(deals, (.dealstage == "open") && (.amount > 1))
  associations             count(companies) == 0
`
	if diff := cmp.Diff(plan, m.Plan().String()); diff != "" {
		t.Error(diff)
	}
	why, err := m.Why(t.Context(), f, record.Contact, 1)
	if err != nil {
		t.Fatal(err)
	}
	const said = `deals = "3", deal 1 dealstage = "open", deal 1 amount = "5", deal 2 dealstage = "closedwon", deal 2 amount is unknown, deal 3 dealstage = "closedlost", deal 3 amount = "7"`
	if text := why.String(); !strings.Contains(text, said) || !strings.Contains(text, `companies = "0"`) {
		t.Errorf("why says\n%s", text)
	}
}

// Slips in questions about associations, with places and what to write.
func associationFindings() []findingCase {
	return []findingCase{
		{`any(deal, .amount > 3)`, []string{`WF204 deal | deal is one record, and any goes through all that are associated | write deals`}},
		{`any(dals, .amount > 3)`, []string{`WF204 dals | there is no object type "dals" | did you mean deals?`}},
		{`any(zebras, .amount > 3)`, []string{`WF204 zebras | there is no object type "zebras" | the account's object types are companies, contacts, deals`}},
		{`any(deals)`, []string{`WF201 any(deals) | a condition is missing | write count(deals) > 0`}},
		{`contact.bounced && none( deals )`, []string{`WF201 none( deals ) | a condition is missing | write count(deals) == 0`}},
		{`all(deals)`, []string{`WF201 all(deals) | a condition is missing | say what is true for all, as in all(deals, .NAME ...)`}},
		{`count(deals)`, []string{`WF209 count(deals) | a trigger is a condition, and count(deals) is a number | compare it, as in count(deals) > 0`}},
		{`count(deals, .amount)`, []string{`WF209 .amount | count wants a condition, and .amount is a number | compare it, as in .amount > 0`}},
		{`any(deals, .amont > 3)`, []string{`WF202 .amont | deal has no property "amont" | did you mean .amount?`}},
		{`any(deals, contact.total_revenue > 3)`, []string{`WF216 contact.total_revenue > 3 | nothing is asked about the deal | name a property of the deal with a dot before it, as in .amount`}},
		{`any(deals, amount > 3)`, []string{`WF204 amount | unknown name "amount" | did you mean .amount?`}},
		{`any(deals, # > 3)`, []string{`WF210 # | # is a whole record | name a property of it, as in .amount`}},
		{`any(deals, .dealstage == "opn")`, []string{`WF208 "opn" | deal.dealstage has no option "opn" | did you mean "open"?`}},
		{`any(deals, .amount == "3")`, []string{`WF207 .amount == "3" | .amount is a number, and "3" is a text | write the number without quotes`}},
		{`any(deals, count(companies) > 3)`, []string{`WF210 count(companies) | count inside a condition about associated deals | ask about associations of the record itself only`}},
		{`any(deals, .paid && inList("keep"))`, []string{`WF210 inList("keep") | inList asks about the contact, not about associated deals | ask it beside the condition, with &&`}},
		{`deals.amount > 3`, []string{`WF204 deals | the workflow is about the object contact, and deals are associated with it | ask any(deals, .amount ...)`}},
		{`deal.amount > 3`, []string{`WF204 deal | the workflow is about the object contact, and deals are associated with it | ask any(deals, .amount ...)`}},
		{`deals > 3`, []string{`WF204 deals | deals are associated records, and no value | ask count(deals) > 0, or any(deals, ...)`}},
		{`.amount > 3`, []string{`WF201 . | unexpected "." | write contact.NAME; only inside any(deals, ...) and its like a name begins with a dot`}},
		{`one(deals, .amount > 3)`, []string{"WF210 one(deals, .amount > 3) | one goes through lists, which expressions do not do | " +
			`ask for one of several values with in: contact.lifecyclestage in ["subscriber", "lead"]; for associated records with any, all, none or count`}},
		{`any(contact.email, .amount > 3)`, []string{`WF210 contact.email | any goes through associated records alone | name their object type in the plural, as in any(deals, .amount > 1000)`}},
		{`any(deals, .paid == true && true)`, []string{`WF217 true | true beside && decides for every record | take it out`}},
		{`any(deals, .closedate > "2026-01-01")`, []string{`WF207 .closedate > "2026-01-01" | .closedate is a date, and "2026-01-01" is a text | write a date as date("2026-01-01")`}},
		{`count(deals) > "3"`, []string{`WF207 count(deals) > "3" | count(deals) is a number, and "3" is a text | write the number without quotes`}},
	}
}

// Each way to write a question about associations, and its normal form, which reads as it was written.
func TestAssociations_NormalForm(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`any(deals, #.amount > 3)`:               `known(any(deals, .amount > 3)) && any(deals, .amount > 3)`,
		`any(deals, {.amount > 3})`:              `known(any(deals, .amount > 3)) && any(deals, .amount > 3)`,
		`deals | any(.amount > 3)`:               `known(any(deals, .amount > 3)) && any(deals, .amount > 3)`,
		`!(count(deals) > 3)`:                    `count(deals) <= 3`,
		`any(companies, #["Größe (cm) ?"] > 3)`:  `known(any(companies, .size > 3)) && any(companies, .size > 3)`,
		`none(deals, .paid || unknown(.amount))`: `known(none(deals, .paid || unknown(.amount))) && none(deals, .paid || unknown(.amount))`,
	} {
		e := mustCompile(t, source, testVocabulary())
		if e.Normal() != want {
			t.Errorf("%s has the normal form %s, want %s", source, e.Normal(), want)
		}
		if again := mustCompile(t, e.Normal(), testVocabulary()); !strings.Contains(again.Normal(), want) {
			t.Errorf("%s, compiled again, is %s", e.Normal(), again.Normal())
		}
	}
}
