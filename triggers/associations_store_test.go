package triggers

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// pairing is contacts and deals in the real store beside a plain model of who is associated with what.
type pairing struct {
	t        *testing.T
	store    *crmstore.Store
	random   *rand.Rand
	contacts []record.ID
	deals    []record.ID
	stages   map[record.ID]string // of deals; "" = unknown
	pairs    map[[2]record.ID]bool
	binned   map[record.Ref]bool
}

func newPairing(t *testing.T, seed uint64) *pairing {
	t.Helper()
	p := &pairing{
		t: t, store: storetest.Open(t), random: rand.New(rand.NewPCG(seed, 0)),
		stages: map[record.ID]string{}, pairs: map[[2]record.ID]bool{}, binned: map[record.Ref]bool{},
	}
	stage := p.schema(record.Deal).Find("dealstage")[0].Number
	name := p.schema(record.Contact).Find("firstname")[0].Number
	for range 60 {
		p.contacts = append(p.contacts, p.create(record.Contact, name, "Ann"))
	}
	for range 40 {
		value := []string{"", "open", "open", "closedwon"}[p.random.IntN(4)]
		id := p.create(record.Deal, stage, value)
		p.deals, p.stages[id] = append(p.deals, id), value
	}
	return p
}

func (p *pairing) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pairing) schema(o record.ObjectType) *record.Schema {
	schema, err := p.store.Schema(p.t.Context(), o)
	p.must(err)
	return schema
}

func (p *pairing) create(o record.ObjectType, number int, value string) record.ID {
	set := []record.Assignment{{Property: number, Value: record.StringValue(value)}}
	results, err := p.store.Write(p.t.Context(), o, crmstore.CreateOnly, []crmstore.Upsert{{Set: set}}, tester, storetest.Time)
	p.must(err)
	return results[0].ID
}

// step associates, takes apart, deletes or restores something.
func (p *pairing) step() {
	contact, deal := p.contacts[p.random.IntN(len(p.contacts))], p.deals[p.random.IntN(len(p.deals))]
	pair := crmstore.Pair{A: record.Ref{Object: record.Contact, ID: contact}, B: record.Ref{Object: record.Deal, ID: deal}}
	gone := pair.A
	if p.random.IntN(2) == 0 {
		gone = pair.B
	}
	switch p.random.IntN(6) {
	case 0, 1, 2:
		_, err := p.store.Associate(p.t.Context(), []crmstore.Pair{pair}, true, tester, storetest.Time)
		p.must(err)
		if !p.binned[pair.A] && !p.binned[pair.B] {
			p.pairs[[2]record.ID{contact, deal}] = true
		}
	case 3:
		_, err := p.store.Associate(p.t.Context(), []crmstore.Pair{pair}, false, tester, storetest.Time)
		p.must(err)
		delete(p.pairs, [2]record.ID{contact, deal})
	case 4:
		recs, err := p.store.Get(p.t.Context(), gone.Object, []record.ID{gone.ID})
		p.must(err)
		if p.binned[gone] {
			return
		}
		r := recs[0]
		_, err = p.store.Archive(p.t.Context(), crmstore.ArchiveOrder{Object: gone.Object, Cause: tester, At: storetest.Time},
			[]crmstore.Archive{{Partition: r.ID.Partition(16), Targets: []crmstore.Target{{ID: r.ID, Slot: r.Slot, Version: r.Version}}}})
		p.must(err)
		p.binned[gone] = true
	case 5:
		if p.binned[gone] {
			_, err := p.store.Restore(p.t.Context(), crmstore.RestoreOrder{Object: gone.Object, Cause: tester, At: storetest.Time}, []record.ID{gone.ID})
			p.must(err)
			delete(p.binned, gone)
		}
	}
}

// counts are a contact's live deals: all, with stage open, and with an unknown stage.
func (p *pairing) counts(contact record.ID) (all, open, unclear int) {
	for pair := range p.pairs {
		if pair[0] != contact || p.binned[record.Ref{Object: record.Deal, ID: pair[1]}] {
			continue
		}
		all++
		switch p.stages[pair[1]] {
		case "open":
			open++
		case "":
			unclear++
		}
	}
	return all, open, unclear
}

// matching are the contacts, live or in the bin, whose counts a test is true for.
func (p *pairing) matching(binned bool, is func(all, open, unclear int) bool) []record.ID {
	var ids []record.ID
	for _, c := range p.contacts {
		if p.binned[record.Ref{Object: record.Contact, ID: c}] == binned && is(p.counts(c)) {
			ids = append(ids, c)
		}
	}
	return ids
}

// Association expressions over the real store give what a plain model of pairs gives, through associating, taking apart,
// deleting and restoring at either side, for live records and for those in the bin.
func TestStore_Associations(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := newPairing(t, seed)
	v := Vocabulary{Schema: p.schema(record.Contact), Related: map[string]*record.Schema{"deals": p.schema(record.Deal)}}
	questions := map[string]func(all, open, unclear int) bool{
		`any(deals, .dealstage == "open")`:                  func(_, open, _ int) bool { return open > 0 },
		`none(deals, .dealstage == "open")`:                 func(_, open, unclear int) bool { return open+unclear == 0 },
		`all(deals, .dealstage == "open")`:                  func(all, open, _ int) bool { return all == open },
		`!any(deals, .dealstage != "open")`:                 func(all, open, _ int) bool { return all == open },
		`count(deals) >= 2`:                                 func(all, _, _ int) bool { return all >= 2 },
		`count(deals, .dealstage == "open") < 2`:            func(_, open, unclear int) bool { return unclear == 0 && open < 2 },
		`count(deals, unknown(.dealstage)) == 1`:            func(_, _, unclear int) bool { return unclear == 1 },
		`contact.firstname == "Ann" && !(count(deals) > 0)`: func(all, _, _ int) bool { return all == 0 },
	}
	matchers := map[string]*Matcher{}
	for source := range questions {
		trigger := &Trigger{Object: record.Contact, Vocabulary: v, Any: []*Expr{mustCompile(t, source, v)}}
		m, err := trigger.At(storetest.Time)
		p.must(err)
		matchers[source] = m
	}
	for range 30 {
		for range 10 {
			p.step()
		}
		for source, m := range matchers {
			p.compare(source, m, questions[source])
		}
	}
}

func (p *pairing) compare(source string, m *Matcher, is func(all, open, unclear int) bool) {
	p.t.Helper()
	var evaluated []record.ID
	err := m.Evaluate(p.t.Context(), p.store, record.Contact, 0, 16, func(f Found) error {
		evaluated = append(evaluated, f.IDs...)
		return nil
	})
	p.must(err)
	slices.Sort(evaluated)
	if diff := cmp.Diff(p.matching(false, is), evaluated); diff != "" {
		p.t.Fatalf("%s evaluates to (-want +got):\n%s", source, diff)
	}
	var want []record.PartitionIDs
	for n := range 16 {
		part := record.PartitionIDs{Partition: n}
		for _, c := range p.contacts {
			if c.Partition(16) == n {
				part.IDs = append(part.IDs, c)
			}
		}
		want = append(want, part)
	}
	for _, bin := range []bool{false, true} {
		asked := m
		if bin {
			asked = m.InBin()
		}
		var tested []record.ID
		err := asked.Test(p.t.Context(), p.store, record.Contact, want, func(_ int, recs []*record.Record, v []Verdict) error {
			for i, r := range recs {
				if v[i].Enrolls() {
					tested = append(tested, r.ID)
				}
			}
			return nil
		})
		p.must(err)
		slices.Sort(tested)
		if diff := cmp.Diff(p.matching(bin, is), tested); diff != "" {
			p.t.Fatalf("%s, in the bin %t, tests to (-want +got):\n%s", source, bin, diff)
		}
	}
}

// A user that may not view deals gets no answer about them: "there are none" would delete.
func TestStore_AssociationsOfOthers(t *testing.T) {
	t.Parallel()
	p := newPairing(t, 1)
	ctx := t.Context()
	_, err := p.store.AddUser(ctx, "jan", "", false, tester, storetest.Time)
	p.must(err)
	_, err = p.store.Grant(ctx, "jan", crmstore.Grants{Permissions: []crmstore.Permission{crmstore.CanView}, Objects: []record.ObjectType{record.Contact}}, tester, storetest.Time)
	p.must(err)
	_, err = p.store.As("jan").ReadAssociated(ctx, record.Contact, p.contacts, []record.ObjectType{record.Deal})
	if refused, ok := errors.AsType[*crmstore.PermissionError](err); !ok || refused.Object != record.Deal {
		t.Errorf("jan reads the deals of contacts: %v", err)
	}
}
