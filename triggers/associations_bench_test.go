package triggers

import (
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// BenchmarkAssociations compares a trigger whose columns leave one contact in a hundred with the same trigger that asks for
// these contacts' deals too. Each contact has two deals. One operation is one evaluation.
func BenchmarkAssociations(b *testing.B) {
	const contacts, batch = 100_000, 10_000
	store := storetest.OpenWith(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
	ctx := b.Context()
	schemas := map[record.ObjectType]*record.Schema{}
	ids := map[record.ObjectType][]record.ID{}
	for o, name := range map[record.ObjectType]string{record.Contact: "hs_email_open", record.Deal: "amount"} {
		schema, err := store.Schema(ctx, o)
		if err != nil {
			b.Fatal(err)
		}
		schemas[o] = schema
		number := schema.Find(name)[0].Number
		for from := 0; from < contacts; from += batch {
			upserts := make([]crmstore.Upsert, batch)
			for i := range upserts {
				upserts[i].Set = []record.Assignment{{Property: number, Value: record.NumberValue(float64((from + i) % 100))}}
			}
			results, err := store.Write(ctx, o, crmstore.CreateOnly, upserts, tester, storetest.Time)
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range results {
				ids[o] = append(ids[o], r.ID)
			}
		}
	}
	for from := 0; from < contacts; from += batch {
		var pairs []crmstore.Pair
		for i := from; i < from+batch; i++ {
			for _, deal := range []int{i, (i * 7) % contacts} {
				pairs = append(pairs, crmstore.Pair{
					A: record.Ref{Object: record.Contact, ID: ids[record.Contact][i]}, B: record.Ref{Object: record.Deal, ID: ids[record.Deal][deal]},
				})
			}
		}
		if _, err := store.Associate(ctx, pairs, true, tester, storetest.Time); err != nil {
			b.Fatal(err)
		}
	}
	v := Vocabulary{Schema: schemas[record.Contact], Related: map[string]*record.Schema{"deals": schemas[record.Deal]}}
	for _, c := range []struct{ name, source string }{
		{"columns-alone", `contact.hs_email_open == 7`},
		{"and-count", `contact.hs_email_open == 7 && count(deals) > 0`},
		{"and-none", `contact.hs_email_open == 7 && none(deals, .amount > 50)`},
	} {
		b.Run(c.name, func(b *testing.B) {
			trigger := &Trigger{Object: record.Contact, Vocabulary: v, Any: []*Expr{mustCompile(b, c.source, v)}}
			m, err := trigger.At(storetest.Time)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := m.Evaluate(ctx, store, record.Contact, 0, crmstore.DefaultPartitions, func(Found) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
