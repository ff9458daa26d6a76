package triggers

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var tester = record.Cause{Actor: "test"}

// stored is an account in the real store, with random contacts, lists, archived contacts, and a schema that changed.
type stored struct {
	world
	store *crmstore.Store
	lists map[string]map[record.ID]bool
}

func openStored(t *testing.T, contacts int) stored {
	t.Helper()
	ctx := t.Context()
	s := stored{store: storetest.Open(t), lists: map[string]map[record.ID]bool{}}
	s.trees = map[string]ast.Node{}
	s.now = at(t, "2026-10-25T22:59:59.999Z")
	s.vocabulary.Zone = zone(t, "Europe/Amsterdam")
	_, err := s.store.AddProperties(ctx, record.Contact, []record.Property{
		{Name: "bounced", Label: "Bounced", Type: record.Bool},
		{Name: "odd", Label: "Odd", Type: record.Number},
		{Name: "earlier", Label: "An earlier name", Type: record.Number},
		{Name: "leaving", Label: "Leaving", Type: record.Number},
		{Name: "status", Label: "Status", Type: record.Enumeration, Options: []record.Option{{Value: "open"}, {Value: "closed"}}},
		{Name: "nickname", Label: "Nickname", Type: record.String, Exact: true},
	}, tester, storetest.Time)
	if err != nil {
		t.Fatal(err)
	}
	ids := s.fill(t, contacts)
	if _, err := s.store.RenameProperty(ctx, record.Contact, "earlier", "renamed", "", tester, storetest.Time); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.RemoveProperty(ctx, record.Contact, "leaving", tester, storetest.Time); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"keep", "vip"} {
		l, err := s.store.CreateList(ctx, record.Contact, name, tester, storetest.Time)
		if err != nil {
			t.Fatal(err)
		}
		s.lists[name] = map[record.ID]bool{}
		var members []record.ID
		for j, id := range ids {
			if j%(i+3) == 0 {
				members = append(members, id)
				s.lists[name][id] = true
			}
		}
		if _, _, err := s.store.SetMembers(ctx, l, members, true, tester, storetest.Time); err != nil {
			t.Fatal(err)
		}
	}
	if s.vocabulary.Schema, err = s.store.Schema(ctx, record.Contact); err != nil {
		t.Fatal(err)
	}
	if s.vocabulary.Lists, err = s.store.Lists(ctx, record.Contact); err != nil {
		t.Fatal(err)
	}
	s.archive(t, ids)
	return s
}

// fill writes contacts with random values.
func (s stored) fill(t *testing.T, contacts int) []record.ID {
	t.Helper()
	schema, err := s.store.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	var batch []crmstore.Upsert
	values := rapid.Custom(func(rt *rapid.T) []record.Assignment {
		var set []record.Assignment
		for i := range schema.Properties {
			if p := &schema.Properties[i]; p.Name != "email" && !p.ReadOnly {
				set = append(set, record.Assignment{Property: p.Number, Value: randomValue(rt, p, s.now)})
			}
		}
		return set
	})
	for i := range contacts {
		batch = append(batch, crmstore.Upsert{Set: values.Example(i)})
	}
	results, err := s.store.Write(t.Context(), record.Contact, crmstore.CreateOnly, batch, tester, storetest.Time)
	if err != nil {
		t.Fatal(err)
	}
	var ids []record.ID
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		ids = append(ids, r.ID)
	}
	return ids
}

// archive puts one contact in seven into the bin.
func (s stored) archive(t *testing.T, ids []record.ID) {
	t.Helper()
	recs, err := s.store.Get(t.Context(), record.Contact, ids)
	if err != nil {
		t.Fatal(err)
	}
	var batches []crmstore.Archive
	for i, r := range recs {
		if i%7 == 0 {
			batches = append(batches, crmstore.Archive{Partition: r.ID.Partition(16), Targets: []crmstore.Target{{ID: r.ID, Slot: r.Slot, Version: r.Version}}})
		}
	}
	if _, err := s.store.Archive(t.Context(), crmstore.ArchiveOrder{Object: record.Contact, Cause: tester, At: storetest.Time}, batches); err != nil {
		t.Fatal(err)
	}
}

// TestStore holds Evaluate, Test, Explain and Why over the real store to the reference over the same records.
func TestStore(t *testing.T) {
	t.Parallel()
	s := openStored(t, 400)
	ctx := t.Context()
	for _, test := range []struct {
		mode          string
		any, suppress []string
	}{
		{ByBoth, []string{canonical}, []string{`inList("keep")`}},
		{
			ByColumns,
			[]string{`contact.lifecyclestage in ["subscriber", "lead"] && daysSince(contact.last_activity_date) > 3`, `contact.status == "open" && !inList("vip")`},
			[]string{`contact.city == "Acme"`},
		},
		{ByColumns, []string{`inList("keep") && contact.bounced`}, nil},
		{ByBoth, []string{`contact.nickname == "Acme" || contact.renamed > 2`}, []string{`unknown(contact.odd)`}},
		{ByRecords, []string{`contact.phone contains "c" && contact.phone != "x" || inList("vip")`, `contact.odd > 1`}, []string{`!inList("keep")`}},
		{ByRecords, []string{`true`}, []string{`contact.closedate < today`, `inList("vip")`}},
		{ByColumns, []string{`unknown(contact.closedate) || contact.closedate >= today`}, nil},
		{ByColumns, []string{`false`}, nil},
	} {
		trigger := &Trigger{Object: record.Contact, Vocabulary: s.vocabulary}
		for _, source := range test.any {
			trigger.Any = append(trigger.Any, mustCompile(t, source, s.vocabulary))
		}
		for _, source := range test.suppress {
			trigger.Suppress = append(trigger.Suppress, mustCompile(t, source, s.vocabulary))
		}
		m, err := trigger.At(s.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Plan().Mode; got != test.mode {
			t.Errorf("%v is answered by %s, want %s", test.any, got, test.mode)
		}
		s.check(ctx, t, m, trigger)
	}
}

// check compares with the reference, partition by partition.
func (s stored) check(ctx context.Context, t *testing.T, m *Matcher, trigger *Trigger) {
	t.Helper()
	var want, got []Found
	verdicts := map[record.ID]Verdict{}
	keeps := make([]int64, len(trigger.Any)+len(trigger.Suppress))
	err := s.store.ReadAll(ctx, record.Contact, 0, 16, func(p int, recs []*record.Record) error {
		f := Found{Partition: p}
		for _, r := range recs {
			verdicts[r.ID] = Verdict{}
			if r.Deletion != nil {
				continue
			}
			f.Evaluated++
			v := s.judge(t, trigger, r, keeps)
			verdicts[r.ID] = v
			if v.Match {
				f.Matched++
			}
			if v.Suppressed {
				f.Suppressed++
			}
			if v.Enrolls() {
				f.IDs, f.Triggers = append(f.IDs, r.ID), append(f.Triggers, uint8(v.Trigger))
			}
		}
		want = append(want, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Evaluate(ctx, s.store, record.Contact, 0, 16, func(f Found) error { got = append(got, f); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\nfound (-want +got):\n%s", m.Plan(), diff)
	}
	s.checkVerdicts(ctx, t, m, verdicts)
	x, err := m.Explain(ctx, s.store, record.Contact, 0, 16)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range x.Expressions {
		if e.Keeps != keeps[i] {
			t.Errorf("%s keeps %d by %s, want %d", e.Source, e.Keeps, e.By, keeps[i])
		}
	}
}

func (s stored) judge(t *testing.T, trigger *Trigger, r *record.Record, keeps []int64) (v Verdict) {
	ref := reference{t: t, v: s.vocabulary, now: s.now, record: r, lists: map[string]bool{"keep": s.lists["keep"][r.ID], "vip": s.lists["vip"][r.ID]}, trees: s.trees}
	for i, e := range trigger.Any {
		if ref.answer(e.Source()) == True {
			keeps[i]++
			if !v.Match {
				v.Match, v.Trigger = true, i+1
			}
		}
	}
	for i, e := range trigger.Suppress {
		if ref.answer(e.Source()) == True {
			keeps[len(trigger.Any)+i]++
			v.Suppressed = v.Match
		}
	}
	return v
}

func (s stored) checkVerdicts(ctx context.Context, t *testing.T, m *Matcher, verdicts map[record.ID]Verdict) {
	t.Helper()
	byPartition := map[int][]record.ID{}
	for id := range verdicts {
		byPartition[id.Partition(16)] = append(byPartition[id.Partition(16)], id)
	}
	var want []record.PartitionIDs
	for p, ids := range byPartition {
		want = append(want, record.PartitionIDs{Partition: p, IDs: ids})
	}
	tested := 0
	err := m.Test(ctx, s.store, record.Contact, want, func(_ int, recs []*record.Record, v []Verdict) error {
		for i, r := range recs {
			tested++
			if v[i] != verdicts[r.ID] {
				t.Errorf("%s\nsays %+v of %s, want %+v", m.Plan(), v[i], describe(r), verdicts[r.ID])
			}
		}
		return nil
	})
	if err != nil || tested != len(verdicts) {
		t.Errorf("tested %d of %d records: %v", tested, len(verdicts), err)
	}
	asked := 0
	for id, v := range verdicts {
		if asked++; asked > 20 {
			break
		}
		w, err := m.Why(ctx, s.store, record.Contact, id)
		if err != nil || !w.Found || w.Verdict != v {
			t.Errorf("why %s: %+v, %v; want %+v", id, w, err, v)
		}
	}
}

// TestTestNoticesChanges holds that Test reads records and lists afresh.
func TestTestNoticesChanges(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), storetest.Open(t)
	v := Vocabulary{}
	var err error
	keep, err := s.CreateList(ctx, record.Contact, "keep", tester, storetest.Time)
	if err != nil {
		t.Fatal(err)
	}
	if v.Schema, err = s.Schema(ctx, record.Contact); err != nil {
		t.Fatal(err)
	}
	if v.Lists, err = s.Lists(ctx, record.Contact); err != nil {
		t.Fatal(err)
	}
	city := v.Schema.Find("city")[0].Number
	set := func(id record.ID, value string) record.ID {
		written, err := s.Write(ctx, record.Contact, crmstore.UpsertAny,
			[]crmstore.Upsert{{ID: id, Set: []record.Assignment{{Property: city, Value: record.StringValue(value)}}}}, tester, storetest.Time)
		if err != nil || written[0].Err != nil {
			t.Fatal(err, written)
		}
		return written[0].ID
	}
	id := set(0, "Leiden")
	trigger := &Trigger{
		Object: record.Contact, Vocabulary: v,
		Any: []*Expr{mustCompile(t, `contact.city == "Leiden"`, v)}, Suppress: []*Expr{mustCompile(t, `inList("keep")`, v)},
	}
	m, err := trigger.At(storetest.Time.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(want Verdict) {
		t.Helper()
		err := m.Test(ctx, s, record.Contact, []record.PartitionIDs{{Partition: id.Partition(16), IDs: []record.ID{id, id + 1}}},
			func(_ int, recs []*record.Record, got []Verdict) error {
				if recs[1] != nil || got[1] != (Verdict{}) || got[0] != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
	}
	ask(Verdict{Match: true, Trigger: 1})
	set(id, "Delft")
	ask(Verdict{})
	set(id, "Leiden")
	if _, _, err := s.SetMembers(ctx, keep, []record.ID{id}, true, tester, storetest.Time); err != nil {
		t.Fatal(err)
	}
	ask(Verdict{Match: true, Suppressed: true, Trigger: 1})
}
