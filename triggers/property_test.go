package triggers

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// each calls fn for every live record with the reference for it.
func (w *world) each(tb testing.TB, fn func(r *record.Record, ref reference)) {
	tb.Helper()
	for _, p := range w.store.partitions {
		for _, s := range p {
			if s.record != nil && s.record.Deletion == nil {
				fn(s.record, w.reference(tb, s.record))
			}
		}
	}
}

func (w *world) lists(r *record.Record) map[int][]byte {
	lists := map[int][]byte{}
	for _, number := range []int{1, 3} {
		members := make([]byte, r.Slot/8+1)
		if w.store.member(r, number) {
			members[r.Slot/8] = 0x80 >> (r.Slot % 8)
		}
		lists[number] = members
	}
	return lists
}

func compileRandom(t *rapid.T, w world) *Expr {
	source := writer{t, w.active}.trigger()
	e, findings := Compile(diag.NewText("", source, nil), w.vocabulary)
	if e == nil && slices.Contains([]string{diag.ExprTypes.ID, diag.ExprPointless.ID, diag.ExprExclude.ID, diag.ExprUnknownOption.ID}, findings[0].Code.ID) {
		t.Skip() // a fixed part without a finite result, or by chance what can never be true
	}
	if e == nil {
		t.Fatalf("compile %s: %v", source, findings)
	}
	return e
}

// TestRandomAnswers holds evaluation to the reference, and the normal form to "the reference says true".
func TestRandomAnswers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := randomWorld(rt, 12)
		e := compileRandom(rt, w)
		normal, findings := Compile(diag.NewText("", e.Normal(), nil), w.vocabulary)
		if normal == nil && findings[0].Code.ID != diag.ExprTooLarge.ID {
			rt.Fatalf("%s\nhas the normal form %s\nwhich does not compile: %v", e.Source(), e.Normal(), findings)
		}
		env := newEnv(w.vocabulary, w.now, pZip)
		w.each(t, func(r *record.Record, ref reference) {
			env.lists = w.lists(r)
			env.setRecord(r)
			env.related = w.related(r)
			want := ref.answer(e.Source())
			if got := e.test(env); got != want {
				rt.Fatalf("%s\nof %s\nis %s, the reference says %s", e.Source(), describe(r), got, want)
			}
			if normal == nil {
				return
			}
			if got := normal.test(env); got != answer(want == True) {
				rt.Fatalf("%s\nhas the normal form %s\nwhich of %s\nis %s, the reference says %s", e.Source(), e.Normal(), describe(r), got, want)
			}
		})
	})
}

// TestRandomPlans holds plan and residual to plain evaluation: what Evaluate, Test, Explain and Why say of a trigger over
// random records is what the reference says of each record.
func TestRandomPlans(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := randomWorld(rt, rapid.SampledFrom([]int{3, 40, 150}).Draw(rt, "records"))
		trigger := &Trigger{Object: record.Contact, Vocabulary: w.vocabulary}
		for range rapid.IntRange(1, 3).Draw(rt, "triggers") {
			trigger.Any = append(trigger.Any, compileRandom(rt, w))
		}
		for range rapid.IntRange(0, 2).Draw(rt, "suppress") {
			trigger.Suppress = append(trigger.Suppress, compileRandom(rt, w))
		}
		m, err := trigger.At(w.now)
		if err != nil {
			rt.Fatal(err)
		}
		want := w.judged(t, trigger)
		checkEvaluate(rt, w, m, want)
		checkEvaluate(rt, w, m.Clone(), want)
		checkTest(rt, w, m, want)
		checkExplain(t, rt, w, m)
	})
}

// judged is what the reference says of each live record.
func (w *world) judged(tb testing.TB, trigger *Trigger) map[record.ID]Verdict {
	tb.Helper()
	verdicts := map[record.ID]Verdict{}
	w.each(tb, func(r *record.Record, ref reference) {
		var v Verdict
		for i, e := range trigger.Any {
			if !v.Match && ref.answer(e.Source()) == True {
				v.Match, v.Trigger = true, i+1
			}
		}
		for _, e := range trigger.Suppress {
			v.Suppressed = v.Suppressed || v.Match && ref.answer(e.Source()) == True
		}
		verdicts[r.ID] = v
	})
	return verdicts
}

// TestRandomTogether holds several triggers in one scan to what the reference says of each. They are drawn from few
// conditions, so that they have some in common.
func TestRandomTogether(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := randomWorld(rt, rapid.SampledFrom([]int{3, 40, 150}).Draw(rt, "records"))
		var conditions []*Expr
		for range rapid.IntRange(1, 4).Draw(rt, "conditions") {
			conditions = append(conditions, compileRandom(rt, w))
		}
		some := func(least int, what string) []*Expr {
			return rapid.SliceOfN(rapid.SampledFrom(conditions), least, 2).Draw(rt, what)
		}
		var matchers []*Matcher
		var want [][]Found
		for range rapid.IntRange(1, 5).Draw(rt, "workflows") {
			trigger := &Trigger{Object: record.Contact, Vocabulary: w.vocabulary, Any: some(1, "triggers"), Suppress: some(0, "suppress")}
			m, err := trigger.At(w.now)
			if err != nil {
				rt.Fatal(err)
			}
			matchers = append(matchers, m)
			want = append(want, w.expected(w.judged(t, trigger)))
		}
		group := NewTogether(matchers...)
		for range 2 { // the second time with a clone
			got := make([][]Found, len(matchers))
			err := group.Evaluate(rt.Context(), w.store, record.Contact, 0, len(w.store.partitions), func(i int, f Found) error {
				got[i] = append(got[i], f)
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Fatalf("found (-want +got):\n%s", diff)
			}
			group = group.Clone()
		}
	})
}

// expected is what Evaluate finds when the reference says so.
func (w *world) expected(want map[record.ID]Verdict) []Found {
	expected := make([]Found, len(w.store.partitions))
	for p, slots := range w.store.partitions {
		f := &expected[p]
		f.Partition = p
		for _, s := range slots {
			if s.record == nil || s.record.Deletion != nil {
				continue
			}
			f.Evaluated++
			v := want[s.record.ID]
			if v.Match {
				f.Matched++
			}
			if v.Suppressed {
				f.Suppressed++
			}
			if v.Enrolls() {
				f.IDs, f.Triggers = append(f.IDs, s.record.ID), append(f.Triggers, uint8(v.Trigger))
			}
		}
	}
	return expected
}

func checkEvaluate(rt *rapid.T, w world, m *Matcher, want map[record.ID]Verdict) {
	expected := w.expected(want)
	var got []Found
	err := m.Evaluate(rt.Context(), w.store, record.Contact, 0, len(w.store.partitions), func(f Found) error {
		got = append(got, f)
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		rt.Fatalf("%s\nfound (-want +got):\n%s", m.Plan(), diff)
	}
}

func checkTest(rt *rapid.T, w world, m *Matcher, want map[record.ID]Verdict) {
	var ask []record.PartitionIDs
	for p, slots := range w.store.partitions {
		ids := []record.ID{999}
		for _, s := range slots {
			if s.record != nil {
				ids = append(ids, s.record.ID)
			}
		}
		ask = append(ask, record.PartitionIDs{Partition: p, IDs: ids})
	}
	slices.Reverse(ask)
	calls := 0
	err := m.Test(rt.Context(), w.store, record.Contact, ask, func(p int, recs []*record.Record, v []Verdict) error {
		if p != ask[calls].Partition || len(recs) != len(ask[calls].IDs) || recs[0] != nil || v[0] != (Verdict{}) {
			rt.Fatalf("call %d is about partition %d with %d records", calls, p, len(recs))
		}
		calls++
		for i, r := range recs[1:] {
			if got := v[i+1]; got != want[r.ID] {
				rt.Fatalf("%s\nsays %+v of %s, want %+v", m.Plan(), got, describe(r), want[r.ID])
			}
		}
		return nil
	})
	if err != nil || calls != len(ask) {
		rt.Fatalf("%d calls, %v", calls, err)
	}
}

func checkExplain(t *testing.T, rt *rapid.T, w world, m *Matcher) {
	x, err := m.Explain(rt.Context(), w.store, record.Contact, 0, len(w.store.partitions))
	if err != nil {
		rt.Fatal(err)
	}
	live := int64(0)
	counts := map[string]int64{}
	w.each(t, func(_ *record.Record, ref reference) {
		live++
		asked := map[string]bool{}
		for _, e := range slices.Concat(x.Expressions, x.ActiveLists) {
			asked[e.Source] = true
			for _, c := range e.Conditions {
				asked[c.Text] = true
			}
		}
		for source := range asked {
			if ref.answer(source) == True {
				counts[source]++
			}
		}
	})
	if x.Live != live {
		rt.Fatalf("%d live, want %d", x.Live, live)
	}
	for _, e := range slices.Concat(x.Expressions, x.ActiveLists) {
		if e.Keeps != counts[e.Source] {
			rt.Fatalf("%s keeps %d by %s, want %d\n%s", e.Source, e.Keeps, e.By, counts[e.Source], x)
		}
		for _, c := range e.Conditions {
			if c.Keeps != counts[c.Text] {
				rt.Fatalf("%s keeps %d by %s, want %d\n%s", c.Text, c.Keeps, c.By, counts[c.Text], x)
			}
		}
	}
}

// TestRandomRefusals holds that what is refused as never true is true of no record, and what is refused as true of every value is
// true of each: conditions that are drawn from few values, so that many exclude each other, against the reference.
func TestRandomRefusals(t *testing.T) {
	t.Parallel()
	refused := 0
	rapid.Check(t, func(rt *rapid.T) {
		w := randomWorld(rt, 12)
		joined := make([]string, rapid.IntRange(1, 4).Draw(rt, "conditions"))
		for i := range joined {
			joined[i] = writer{rt, w.active}.narrow()
		}
		source := strings.Join(joined, " && ")
		_, findings := Compile(diag.NewText("", source, nil), w.vocabulary)
		for _, f := range findings {
			never, always := f.Code.ID == diag.ExprExclude.ID || strings.HasSuffix(f.Message, "is never true"), strings.Contains(f.Message, "is true of every value")
			if !never && !always {
				rt.Fatalf("compile %s: %v", source, findings)
			}
			refused++
			marked := source[f.Pos.Col-1 : f.End.Col-1]
			w.each(t, func(r *record.Record, ref reference) {
				if never && ref.answer(source) == True || always && ref.answer(marked) == False {
					rt.Fatalf("%s is refused (%s), and is %s of %s", source, f.Message, ref.answer(marked), describe(r))
				}
			})
		}
	})
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// narrow is a condition with one of few properties and few values.
func (w writer) narrow() string {
	order := w.pick(" == ", " != ", " < ", " <= ", " > ", " >= ")
	small := w.pick("0", "1", "2", "3", "0.5")
	return w.pick(
		"contact.num_associated_deals"+order+small,
		"contact.num_associated_deals"+w.pick(" in ", " not in ")+"["+small+", 1]",
		"(contact.num_associated_deals ?? 2)"+order+small,
		"daysSince(contact.createdate)"+order+small, "monthsSince(contact.createdate)"+order+small, "daysBetween(contact.createdate, now)"+order+small,
		"contact.createdate"+order+w.pick("now", "today", "daysAgo(2)", "monthsAgo(1)", "yearsAgo(1)", `date("2026-03-29")`, `date("2026-10-25")`),
		"dayOf(contact.createdate)"+order+w.pick("today", "daysAgo(2)", `date("2026-03-29")`, `date("2026-03-29T10:00:00Z")`),
		"contact.city"+w.pick(" == ", " != ", " startsWith ", " not startsWith ", " endsWith ", " contains ")+w.pick(`"Acme"`, `"A"`, `"x"`, `"Max"`),
		"contact.city"+w.pick(" in ", " not in ")+`["Acme", "x"]`,
		"contact.email"+w.pick(" == ", " != ", " endsWith ")+w.pick(`"ANN@x.example"`, `"bob@x.example"`),
		`(contact.city ?? "x")`+w.pick(" == ", " != ")+w.pick(`"x"`, `"Acme"`),
		"contact.lifecyclestage"+w.pick(" == ", " != ")+w.pick(`"lead"`, `"customer"`),
		w.pick("", "!")+"contact.bounced", w.pick("known(", "unknown(")+w.pick("contact.num_associated_deals", "contact.city", "contact.bounced", "contact.createdate")+")",
		w.pick("", "!")+`inList("keep")`,
		"(contact.num_associated_deals"+order+small+w.pick(" || ", " && ")+"contact.bounced)",
	)
}
