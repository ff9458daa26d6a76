package triggers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// withActive is the test vocabulary with active lists: name, expression, name, expression.
func withActive(pairs ...string) Vocabulary {
	v := testVocabulary()
	for i := 0; i < len(pairs); i += 2 {
		v.Lists[pairs[i]] = crmstore.List{Number: 10 + i, Name: pairs[i], Object: record.Contact, Where: pairs[i+1]}
	}
	return v
}

// TestActiveListAnswers holds that who is on an active list is who its expression is true for, and everybody else is not.
func TestActiveListAnswers(t *testing.T) {
	t.Parallel()
	v := withActive(
		"rich", `contact.total_revenue > 100`,
		"rich or kept", `inList("rich") || inList("keep")`,
		"poor", `!inList("rich")`,
		"all", `true`,
		"nobody", `false`)
	now := at(t, "2026-06-15T00:00:00Z")
	unknown, poor, rich := map[string]string{}, map[string]string{"total_revenue": "5"}, map[string]string{"total_revenue": "500"}
	for _, test := range []struct {
		source string
		record map[string]string
		want   Answer
	}{
		{`inList("rich")`, rich, True},
		{`inList("rich")`, poor, False},
		{`inList("rich")`, unknown, False},
		{`!inList("rich")`, unknown, True},
		{`!inList("rich")`, rich, False},
		{`!(contact.total_revenue > 100)`, unknown, Unknown}, // what the list asks, written out
		{`known(inList("rich"))`, unknown, True},
		{`(inList("rich") ?? true)`, unknown, False},
		{`(inList("rich") ? 1 : 2) == 2`, unknown, True},
		{`inList("rich or kept")`, unknown, True}, // the record is a member of keep
		{`inList("poor")`, unknown, True},
		{`inList("poor") && (!inList("poor") || contact.bounced)`, unknown, Unknown},
		{`inList("all") && !inList("nobody")`, unknown, True},
		{`inList("nobody")`, rich, False},
	} {
		e := mustCompile(t, test.source, v)
		env := newEnv(v, now, pZip)
		r := recordOf(t, v.Schema, test.record)
		r.Slot = 9
		env.lists = map[int][]byte{1: {0, 0b0100_0000}, 3: {}}
		env.setRecord(r)
		if got := e.test(env); got != test.want {
			t.Errorf("%s of %v is %s, want %s", test.source, test.record, got, test.want)
		}
		normal := mustCompile(t, e.Normal(), v)
		if got := normal.test(env); got != answer(test.want == True) {
			t.Errorf("%s, the normal form of %s, of %v is %s", e.Normal(), test.source, test.record, got)
		}
	}
}

// TestActiveListPlans holds that columns answer an active list where they answer what it asks.
func TestActiveListPlans(t *testing.T) {
	t.Parallel()
	v := withActive(
		"rich", `contact.total_revenue > 100 && inList("vip")`,
		"mailed", `contact.email endsWith "@example.com"`,
		"both", `inList("rich") && inList("mailed")`,
		"all", `true`)
	for source, want := range map[string]string{
		`inList("rich")`:                                       ByColumns,
		`!inList("rich")`:                                      ByColumns,
		`inList("rich") && contact.bounced`:                    ByColumns,
		`!inList("rich") || inList("keep")`:                    ByColumns,
		`inList("mailed")`:                                     ByRecords,
		`!inList("mailed")`:                                    ByRecords,
		`inList("both")`:                                       ByBoth,
		`inList("mailed") && contact.bounced`:                  ByBoth,
		`contact.bounced || !inList("both")`:                   ByRecords,
		`inList("all")`:                                        ByRecords, // all of them, without a question
		`!inList("all")`:                                       ByColumns,
		`(inList("rich") ? contact.closedate : today) < today`: ByBoth, // what guards it
	} {
		trigger := &Trigger{Object: record.Contact, Vocabulary: v, Any: []*Expr{mustCompile(t, source, v)}}
		m, err := trigger.At(at(t, "2026-06-15T00:00:00Z"))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Plan().Mode; got != want {
			t.Errorf("%s is answered by %s, want %s", source, got, want)
		}
	}
	trigger := &Trigger{
		Object: record.Contact, Vocabulary: v,
		Any: []*Expr{mustCompile(t, `inList("both")`, v)}, Suppress: []*Expr{mustCompile(t, `inList("keep")`, v)},
	}
	var names []string
	for _, l := range trigger.Lists() {
		names = append(names, fmt.Sprint(l.Name, " ", l.Number))
	}
	if diff := cmp.Diff([]string{"both 14", "keep 1", "mailed 12", "rich 10", "vip 3"}, names); diff != "" {
		t.Errorf("the trigger's lists (-want +got):\n%s", diff)
	}
}

func TestActiveListFindings(t *testing.T) {
	t.Parallel()
	chain := []string{"n1", `contact.bounced`}
	for i := 2; i <= maxNested+1; i++ {
		chain = append(chain, fmt.Sprintf("n%d", i), fmt.Sprintf(`inList("n%d")`, i-1))
	}
	wide := []string{"w1", `inList("keep") || inList("vip")`}
	for i := 2; i <= maxNested; i++ {
		wide = append(wide, fmt.Sprintf("w%d", i), strings.Repeat(fmt.Sprintf(`inList("w%d") || `, i-1), 20)+"contact.bounced")
	}
	v := withActive(append(append(chain, wide...),
		"gone", `contact.a1 == 1 && contact.statu == "open"`,
		"by way of", `!inList("gone")`,
		"text", `contact.city`,
		"itself", `inList("itself")`,
		"a", `contact.bounced || inList("b")`, "b", `inList("c")`, "c", `!inList("a")`)...)
	for source, want := range map[string][]string{
		`contact.bounced && inList("gone")`: {
			"WF218 inList(\"gone\") | the expression of the active list \"gone\" cannot be used: contact has no property \"a1\" | " +
				"`workflow properties list --object contact` shows them all; `workflow lists show gone` shows its expression",
			"WF218 inList(\"gone\") | the expression of the active list \"gone\" cannot be used: contact has no property \"statu\" | " +
				"did you mean contact.status?; `workflow lists show gone` shows its expression",
		},
		`inList("by way of")`: {
			"WF218 inList(\"by way of\") | the expression of the active list \"gone\" cannot be used: contact has no property \"a1\" | " +
				"`workflow properties list --object contact` shows them all; `workflow lists show gone` shows its expression",
			"WF218 inList(\"by way of\") | the expression of the active list \"gone\" cannot be used: contact has no property \"statu\" | " +
				"did you mean contact.status?; `workflow lists show gone` shows its expression",
		},
		`inList("text")`: {
			"WF218 inList(\"text\") | the expression of the active list \"text\" cannot be used: a trigger is a condition, and contact.city is a text | " +
				"compare it, as in contact.city == \"value\", or ask known(contact.city); `workflow lists show text` shows its expression",
		},
		`inList("itself")`: {`WF219 inList("itself") | the active list "itself" asks itself: "itself" asks "itself" | take inList out of the expression of one of them`},
		`inList("a")`:      {`WF219 inList("a") | the active list "a" asks itself: "a" asks "b" asks "c" asks "a" | take inList out of the expression of one of them`},
		`inList("c")`:      {`WF219 inList("c") | the active list "c" asks itself: "c" asks "a" asks "b" asks "c" | take inList out of the expression of one of them`},
		`inList("n8")`:     nil,
		`inList("n9")`: {
			`WF220 inList("n9") | the active list "n9" asks another, that one the next, and so on, more than 8 deep | write one of them with the expression of the list that it asks`,
		},
		`inList("w8")`: {
			"WF218 inList(\"w8\") | the expression of the active list \"w4\" cannot be used: the expression grows too much when it is written out | " +
				"split it into several triggers; `workflow lists show w4` shows its expression",
		},
	} {
		_, findings := Compile(diag.NewText("f.yaml", source, func(offset int) diag.Pos { return diag.Pos{Line: 1, Col: offset + 1} }), v)
		var got []string
		for _, f := range findings {
			got = append(got, strings.Join([]string{f.Code.ID + " " + source[f.Pos.Col-1:f.End.Col-1], f.Message, f.Help}, " | "))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", source, diff)
		}
	}
}

func TestActiveListTexts(t *testing.T) {
	t.Parallel()
	v := withActive("early", `contact.num_associated_deals < 3 || inList("leads of 5")`, "leads of 5", `contact.lifecyclestage == "lead" && contact.num_associated_deals == 5`)
	trigger := &Trigger{Object: record.Contact, Vocabulary: v, Any: []*Expr{mustCompile(t, `contact.num_associated_deals < 300 && inList("early")`, v)}}
	m, err := trigger.At(at(t, "2026-06-15T00:00:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	f := plain(t, 600, 4)
	x, err := m.Explain(t.Context(), f, record.Contact, 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	const explained = `live records: 600
answered by:  columns
columns:      num_associated_deals, lifecyclestage

trigger 1
           3  columns  contact.num_associated_deals < 300 && inList("early")
         300  columns    contact.num_associated_deals < 300
           3  columns    inList("early")

active list "early"
           3  columns  contact.num_associated_deals < 3 || inList("leads of 5")
           3  columns    contact.num_associated_deals < 3
           0  columns    inList("leads of 5")

active list "leads of 5"
           0  columns  contact.lifecyclestage == "lead" && contact.num_associated_deals == 5
         300  columns    contact.lifecyclestage == "lead"
           1  columns    contact.num_associated_deals == 5
`
	if diff := cmp.Diff(explained, x.String()); diff != "" {
		t.Error(diff)
	}
	const answered = `record 3 matches trigger 1

trigger 1
  true  contact.num_associated_deals < 300 && inList("early")
  true    contact.num_associated_deals < 300  num_associated_deals = "2"
  true    inList("early")                     num_associated_deals = "2", lifecyclestage = "lead"

active list "early"
  true   contact.num_associated_deals < 3 || inList("leads of 5")
  true     contact.num_associated_deals < 3  num_associated_deals = "2"
  false    inList("leads of 5")              lifecyclestage = "lead", num_associated_deals = "2"

active list "leads of 5"
  false  contact.lifecyclestage == "lead" && contact.num_associated_deals == 5
  true     contact.lifecyclestage == "lead"   lifecyclestage = "lead"
  false    contact.num_associated_deals == 5  num_associated_deals = "2"
`
	w, err := m.Why(t.Context(), f, record.Contact, 3)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(answered, w.String()); diff != "" {
		t.Error(diff)
	}
}
