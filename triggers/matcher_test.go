package triggers

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// plain is a Source of n contacts in the given number of partitions: contact i has i deals, is a lead when i is even, and
// is on the list keep when i divides by 5.
func plain(tb testing.TB, n, partitions int) *fake {
	tb.Helper()
	f := &fake{schema: testSchema(), partitions: make([]partition, partitions)}
	for i := range n {
		stage, lists := "lead", 0
		if i%2 == 1 {
			stage = "customer"
		}
		if i%5 == 0 {
			lists = 1
		}
		r, err := record.NewRecord(f.schema, record.ID(i+1), []record.Assignment{
			{Property: pDeals, Value: record.NumberValue(float64(i))},
			{Property: pStage, Value: record.EnumValue(stage)},
			{Property: pEmail, Value: record.StringValue(fmt.Sprintf("c%d@example.com", i))},
		})
		if err != nil {
			tb.Fatal(err)
		}
		f.add(i*partitions/n, r, "live", lists)
	}
	return f
}

func matcher(tb testing.TB, enroll, suppress []string) *Matcher {
	tb.Helper()
	trigger := &Trigger{Object: record.Contact, Vocabulary: testVocabulary()}
	for _, source := range enroll {
		trigger.Any = append(trigger.Any, mustCompile(tb, source, trigger.Vocabulary))
	}
	for _, source := range suppress {
		trigger.Suppress = append(trigger.Suppress, mustCompile(tb, source, trigger.Vocabulary))
	}
	m, err := trigger.At(at(tb, "2026-06-15T12:00:00Z"))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// TestEvaluateReadsSurvivors holds that records are read only where columns leave a doubt.
func TestEvaluateReadsSurvivors(t *testing.T) {
	t.Parallel()
	for source, reads := range map[string]int{
		`contact.num_associated_deals < 7`:                                                     7,
		`contact.num_associated_deals < 7 && contact.email endsWith "3@example.com"`:           7,
		`contact.num_associated_deals * 2 + 1 < 15 && !(contact.lifecyclestage == "customer")`: 4,
		`!inList("keep") && contact.num_associated_deals < 7`:                                  5,
		`unknown(contact.lifecyclestage) || contact.num_associated_deals == 9`:                 1,
		`contact.createdate < now && contact.email contains "c"`:                               0,
		`false`:                                  0,
		`contact.email endsWith "3@example.com"`: 600,
	} {
		f := plain(t, 600, 4)
		m := matcher(t, []string{source}, nil)
		err := m.Evaluate(t.Context(), f, record.Contact, 0, 4, func(Found) error { return nil })
		if err != nil || f.reads != reads {
			t.Errorf("%s reads %d records, %v; want %d\n%s", source, f.reads, err, reads, m.Plan())
		}
	}
}

// TestEvaluateManySurvivors goes over the number of survivors that are fetched at once, with empty partitions between.
func TestEvaluateManySurvivors(t *testing.T) {
	t.Parallel()
	f := plain(t, 5000, 10)
	f.partitions[0], f.partitions[5], f.partitions[9] = nil, nil, nil
	m := matcher(t, []string{`contact.num_associated_deals >= 0`}, []string{`contact.lifecyclestage == "customer"`})
	var got []string
	err := m.Evaluate(t.Context(), f, record.Contact, 0, 10, func(found Found) error {
		got = append(got, fmt.Sprintf("%d: %d of %d, %d suppressed, %d ids", found.Partition, found.Matched, found.Evaluated, found.Suppressed, len(found.IDs)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for p := range 10 {
		if p == 0 || p == 5 || p == 9 {
			want = append(want, fmt.Sprintf("%d: 0 of 0, 0 suppressed, 0 ids", p))
		} else {
			want = append(want, fmt.Sprintf("%d: 500 of 500, 250 suppressed, 250 ids", p))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestEvaluateStops holds that the caller's error ends it, on columns and on records.
func TestEvaluateStops(t *testing.T) {
	t.Parallel()
	for _, source := range []string{`contact.num_associated_deals > 3`, `contact.email contains "c"`, `false`} {
		stop, calls := errors.New("enough"), 0
		err := matcher(t, []string{source}, nil).Evaluate(t.Context(), plain(t, 40, 4), record.Contact, 0, 4, func(Found) error {
			if calls++; calls == 2 {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) || calls != 2 {
			t.Errorf("%s: %d calls, %v", source, calls, err)
		}
	}
}

func TestExplanationText(t *testing.T) {
	t.Parallel()
	m := matcher(t, []string{canonical + ` || contact.num_associated_deals >= 590 && !(contact.email endsWith "3@example.com")`, `contact.lifecyclestage == "lead" && contact.num_associated_deals < 3`},
		[]string{`inList("keep")`})
	x, err := m.Explain(t.Context(), plain(t, 600, 4), record.Contact, 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	const want = `live records: 600
answered by:  columns, then records
columns:      lifecyclestage, notes_last_updated, num_associated_deals
lists:        keep

trigger 1
           9  columns, then records  contact.lifecyclestage in ["subscriber", "lead"] && daysSince(contact.last_activity_date) > 365 && !(contact.email endsWith "@acme.com") || contact.num_associated_deals >= 590 && !(contact.email endsWith "3@example.com")
         300  columns                  contact.lifecyclestage in ["subscriber", "lead"]
           0  columns                  daysSince(contact.notes_last_updated) > 365
         600  records                  !(contact.email endsWith "@acme.com")
          10  columns                  contact.num_associated_deals >= 590
         540  records                  !(contact.email endsWith "3@example.com")

trigger 2
           2  columns  contact.lifecyclestage == "lead" && contact.num_associated_deals < 3
         300  columns    contact.lifecyclestage == "lead"
           3  columns    contact.num_associated_deals < 3

suppress 1
         120  columns  inList("keep")
`
	if diff := cmp.Diff(want, x.String()); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(m.Plan().String(), "600") {
		t.Error("a plan has no counts")
	}
	const normal = `(known(contact.lifecyclestage) && contact.lifecyclestage in ["subscriber", "lead"] && known(contact.notes_last_updated) && ` +
		`daysSince(contact.notes_last_updated) > 365 && known(contact.email) && !(contact.email endsWith "@acme.com")) || ` +
		`(known(contact.num_associated_deals) && contact.num_associated_deals >= 590 && known(contact.email) && !(contact.email endsWith "3@example.com"))`
	if diff := cmp.Diff(normal, x.Expressions[0].Normal); diff != "" {
		t.Error(diff)
	}
}

func TestWhyText(t *testing.T) {
	t.Parallel()
	m := matcher(t, []string{`contact.lifecyclestage == "lead" && !(daysSince(contact.last_activity_date) < 365)`, `contact.num_associated_deals * 2 > 4 || false == contact.bounced`},
		[]string{`inList("keep")`})
	f := plain(t, 40, 1)
	f.partitions[0][7].record.Deletion = &record.Deletion{At: time.Unix(0, 0).UTC()}
	for id, want := range map[record.ID]string{
		5: `record 5 matches trigger 2

trigger 1
  unknown  contact.lifecyclestage == "lead" && !(daysSince(contact.last_activity_date) < 365)
  true       contact.lifecyclestage == "lead"              lifecyclestage = "lead"
  unknown    daysSince(contact.notes_last_updated) >= 365  notes_last_updated is unknown

trigger 2
  true     contact.num_associated_deals * 2 > 4 || false == contact.bounced
  true       (contact.num_associated_deals * 2) > 4  num_associated_deals = "4"
  unknown    false == contact.bounced                bounced is unknown

suppress 1
  false  inList("keep")
`,
		6:  "record 6 matches trigger 2, and is suppressed\n",
		1:  "record 1 does not match\n",
		8:  "record 8 is in the bin, so it does not enroll\n",
		99: "record 99 is not there\n",
	} {
		w, err := m.Why(t.Context(), f, record.Contact, id)
		if err != nil {
			t.Fatal(err)
		}
		got := w.String()
		if id != 5 {
			got = got[:strings.Index(got, "\n")+1]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	w, _ := m.Why(t.Context(), f, record.Contact, 5)
	text, err := json.Marshal(w.Expressions[0].Conditions[1])
	const want = `{"text":"daysSince(contact.notes_last_updated) \u003e= 365","answer":"unknown","values":[{"property":"notes_last_updated","label":"Last Activity Date","value":"","known":false}]}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

func TestConstant(t *testing.T) {
	t.Parallel()
	for source, want := range map[string][2]bool{"true": {true, true}, "false": {false, true}, "(true)": {true, true}, "contact.bounced": {}, "unknown(contact.email)": {}} {
		if value, constant := mustCompile(t, source, testVocabulary()).Constant(); value != want[0] || constant != want[1] {
			t.Errorf("%s: %t, %t", source, value, constant)
		}
	}
}

func TestFunctionExamples(t *testing.T) {
	t.Parallel()
	for _, f := range Functions() {
		if f.Doc == "" || !strings.Contains(f.Example, f.Name) {
			t.Errorf("%s: doc %q, example %q", f.Name, f.Doc, f.Example)
		}
		mustCompile(t, f.Example, testVocabulary())
	}
}

// TestClone holds, with the race detector, that clones share nothing that changes.
func TestClone(t *testing.T) {
	t.Parallel()
	f := plain(t, 400, 4)
	m := matcher(t, []string{canonical + ` || contact.num_associated_deals % 2 == 0`, `contact.closedate < today`}, []string{`inList("keep")`})
	counts := make([]int, 4)
	var wait sync.WaitGroup
	for p := range 4 {
		own, source := m.Clone(), &fake{schema: f.schema, partitions: f.partitions}
		wait.Go(func() {
			err := own.Evaluate(t.Context(), source, record.Contact, p, p+1, func(found Found) error {
				counts[p] = len(found.IDs)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			_ = own.Plan()
		})
	}
	wait.Wait()
	if diff := cmp.Diff([]int{40, 40, 40, 40}, counts); diff != "" {
		t.Error(diff)
	}
}
