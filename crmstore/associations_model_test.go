package crmstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// couple is how a pair stands in the plain model: its two halves.
type couple struct {
	first  byte // ' ' none, 's' settled, 'a' being added, 'r' being removed
	second bool
}

// registry drives a store with associations and its model side by side.
type registry struct {
	*desk
	couples map[crmstore.Pair]couple // by the lower record, then the other one
	binned  map[record.Ref]bool
}

const registryIDs = 3

func (g *registry) ref(t *rapid.T) record.Ref {
	return record.Ref{
		Object: rapid.SampledFrom([]record.ObjectType{record.Company, record.Contact, "machine"}).Draw(t, "object"),
		ID:     record.ID(rapid.IntRange(1, registryIDs).Draw(t, "id")),
	}
}

func (g *registry) pair(t *rapid.T) crmstore.Pair {
	for {
		if p := (crmstore.Pair{A: g.ref(t), B: g.ref(t)}); p.A != p.B {
			return p
		}
	}
}

func lowerFirst(p crmstore.Pair) crmstore.Pair {
	if order := strings.Compare(string(p.A.Object), string(p.B.Object)); order > 0 || order == 0 && p.A.ID > p.B.ID {
		p.A, p.B = p.B, p.A
	}
	return p
}

func (g *registry) couple(p crmstore.Pair) couple {
	if c, ok := g.couples[p]; ok {
		return c
	}
	return couple{first: ' '}
}

// change is what the steps of adding or removing do to a pair, and what it is told; steps 3 = all.
func (g *registry) change(p crmstore.Pair, add bool, steps int) crmstore.PairOutcome {
	p = lowerFirst(p)
	c := g.couple(p)
	defer func() { g.couples[p] = c }()
	if !add {
		if c.first == ' ' {
			return crmstore.PairAsItWas
		}
		c.first = 'r'
		if steps > 1 {
			c.second = false
		}
		if steps > 2 {
			c.first = ' '
		}
		return crmstore.PairChanged
	}
	switch {
	case g.binned[p.A]:
		return crmstore.PairInBin
	case c.first == 's' && g.binned[p.B]:
		return crmstore.PairInBin
	case c.first == 's':
		return crmstore.PairAsItWas
	}
	c.first = 'a'
	refused := steps > 1 && !c.second && g.binned[p.B]
	if steps > 1 && !refused {
		c.second = true
	}
	if steps > 2 {
		if c.first = 's'; refused {
			c.first = ' '
		}
	}
	if refused {
		return crmstore.PairInBin
	}
	return crmstore.PairChanged
}

func (g *registry) associate(t *rapid.T) {
	add := rapid.IntRange(0, 2).Draw(t, "add") > 0
	pairs := rapid.SliceOfNDistinct(rapid.Custom(g.pair), 1, 6, lowerFirst).Draw(t, "pairs")
	results, err := g.Associate(g.t.Context(), pairs, add, someone, noon)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range pairs {
		if want := g.change(p, add, 3); results[i].Outcome != want {
			t.Fatalf("add %v of %v: outcome %d, want %d", add, p, results[i].Outcome, want)
		}
	}
}

// interrupted is a process that dies after its first or second script.
func (g *registry) interrupted(t *rapid.T) {
	add := rapid.Bool().Draw(t, "add")
	steps := rapid.IntRange(1, 2).Draw(t, "steps")
	pairs := rapid.SliceOfNDistinct(rapid.Custom(g.pair), 1, 3, lowerFirst).Draw(t, "pairs")
	if err := crmstore.AssociateUntil(g.t.Context(), g.Store, pairs, add, steps); err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		g.change(p, add, steps)
	}
}

func (g *registry) toBinOrBack(t *rapid.T) {
	r := g.ref(t)
	g.binned[r] = !g.binned[r]
	g.bin(r, g.binned[r])
}

func (g *registry) doctor(*rapid.T) {
	g.problems(true)
	for p, c := range g.couples {
		repaired := couple{first: ' '}
		if c.first == 's' || c.first == 'a' {
			repaired = couple{first: 's', second: true}
		}
		g.couples[p] = repaired
	}
}

func (g *registry) dissolve(t *rapid.T) {
	r := g.ref(t)
	if err := crmstore.Dissolve(g.t.Context(), g.Store, r.Object, []record.ID{r.ID}); err != nil {
		t.Fatal(err)
	}
	for p, c := range g.couples {
		if p.A == r && c.first != ' ' || p.B == r && c.second {
			g.couples[p] = couple{first: ' '}
		}
	}
}

// check compares what is seen from every record.
func (g *registry) check(t *rapid.T) {
	ids := make([]record.ID, registryIDs)
	for i := range ids {
		ids[i] = record.ID(i + 1)
	}
	for _, o := range []record.ObjectType{record.Company, record.Contact, "machine"} {
		found, err := g.Associations(g.t.Context(), o, ids)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			r := record.Ref{Object: o, ID: id}
			want := []string{}
			for p, c := range g.couples {
				if c.first == ' ' || !c.second || g.binned[p.A] || g.binned[p.B] {
					continue
				}
				if p.A == r {
					want = append(want, p.B.String())
				} else if p.B == r {
					want = append(want, p.A.String())
				}
			}
			slices.Sort(want)
			if got := fmt.Sprint(found[i]); got != fmt.Sprint(want) {
				t.Fatalf("%s is associated with %s, want %v", r, got, want)
			}
		}
	}
}

// Under any sequence of changes, crashes, deletions and restores, every record shows what a plain model has, and after
// a repair doctor finds nothing.
func TestAssociationsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		g := &registry{newTown(t, storetest.Options{Partitions: 2}, registryIDs), map[crmstore.Pair]couple{}, map[record.Ref]bool{}}
		rt.Repeat(map[string]func(*rapid.T){
			"associate": g.associate, "associate again": g.associate, "interrupted": g.interrupted, "bin": g.toBinOrBack, "doctor": g.doctor,
			"dissolve": g.dissolve, "": g.check,
		})
		g.doctor(rt)
		g.check(rt)
		if found := g.problems(false); len(found) > 0 {
			rt.Fatalf("after a repair doctor finds %v", found)
		}
	})
}

// However many change the same pairs at once, when all are through both halves of each agree and nothing is left to repair.
func TestAssociateTogether(t *testing.T) {
	t.Parallel()
	d := newTown(t, storetest.Options{Partitions: 2}, 2)
	pairs := []crmstore.Pair{{contact(1), company(1)}, {company(2), contact(1)}, {contact(2), company(1)}, {contact(1), contact(2)}}
	var g errgroup.Group
	for worker := range 6 {
		g.Go(func() error {
			for i := range 15 {
				if _, err := d.Associate(t.Context(), pairs[(worker+i)%3:], (worker+i)%2 == 0, someone, noon); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if found := d.problems(false); len(found) > 0 {
		t.Errorf("doctor finds %v", found)
	}
	d.associate(true, pairs...)
	d.wantWith(map[record.Ref]string{contact(1): "[company 1 company 2 contact 2]", company(1): "[contact 1 contact 2]"})
}
