package triggers

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

const canonical = `contact.lifecyclestage in ["subscriber", "lead"] && daysSince(contact.last_activity_date) > 365 && !(contact.email endsWith "@acme.com")`

func BenchmarkCompile(b *testing.B) {
	v := testVocabulary()
	b.ReportAllocs()
	for b.Loop() {
		if e, findings := Compile(diag.NewText("", canonical, nil), v); e == nil {
			b.Fatal(findings)
		}
	}
}

// BenchmarkColumns is how many contacts a core tests on columns: the canonical trigger (two columns), on random
// cells, which is the worst case for the processor's branch prediction.
func BenchmarkColumns(b *testing.B) {
	v := testVocabulary()
	now := at(b, "2026-06-15T12:00:00Z")
	for name, source := range map[string]string{
		"canonical": canonical,
		"range":     `daysSince(contact.last_activity_date) > 365`,
		"options":   `contact.lifecyclestage in ["subscriber", "lead"]`,
		"or":        `contact.lifecyclestage == "lead" || contact.num_associated_deals > 3 || inList("keep")`,
	} {
		b.Run(name, func(b *testing.B) {
			trigger := &Trigger{Object: record.Contact, Any: []*Expr{mustCompile(b, source, v)}, Vocabulary: v}
			m, err := trigger.At(now)
			if err != nil {
				b.Fatal(err)
			}
			const slots = 10_000
			c := randomColumns(m.alone.columns.want, v.Schema, now, slots)
			hits := int64(0)
			b.ResetTimer()
			for b.Loop() {
				hits = ones(m.alone.columns.run(0, c, m.alone.columns.live(c)))
			}
			b.ReportMetric(float64(slots)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mcontacts/s")
			b.ReportMetric(float64(hits)/slots*100, "%hit")
		})
	}
}

func randomColumns(want crmstore.Want, s *record.Schema, now time.Time, slots int) *crmstore.Columns {
	r := rand.New(rand.NewPCG(1, 2))
	c := &crmstore.Columns{Slots: slots, Archived: make([]byte, slots*8), IDs: make([]byte, slots*8)}
	for _, number := range want.Properties {
		column := make([]byte, slots*8)
		for i := range slots {
			var cell uint64
			switch s.Number(number).Type {
			case record.DateTime:
				cell = record.TimeCell(now.Add(-time.Duration(r.IntN(730*24)) * time.Hour).UnixMilli())
			case record.Number:
				cell = record.NumberCell(float64(r.IntN(7)))
			default:
				cell = uint64(r.IntN(6))
			}
			binary.LittleEndian.PutUint64(column[i*8:], cell)
		}
		c.Properties = append(c.Properties, column)
	}
	for range want.Lists {
		members := make([]byte, slots/8)
		for i := range members {
			members[i] = byte(r.IntN(256))
		}
		c.Lists = append(c.Lists, members)
	}
	return c
}

// BenchmarkRecord is the whole expression on one record whose values are read already: compiled functions
// against expr's virtual machine on the guarded normal form, with one map and one machine used again.
func BenchmarkRecord(b *testing.B) {
	v := testVocabulary()
	now := at(b, "2026-06-15T12:00:00Z")
	e := mustCompile(b, canonical, v)
	r := recordOf(b, v.Schema, values{"email": "ann@example.com", "lifecyclestage": "lead", "notes_last_updated": "2025-01-10T12:00:00Z", "city": "x", "total_revenue": "3"})
	b.Run("reading values", func(b *testing.B) {
		for b.Loop() {
			if r.Value(pStage).Text() == "" || r.Value(pEmail).Text() == "" || r.Value(pActivity).Milli() == 0 {
				b.Fatal("no value")
			}
		}
	})
	b.Run("functions", func(b *testing.B) {
		env := newEnv(v, now, pZip)
		b.ReportAllocs()
		env.setRecord(r)
		for b.Loop() {
			if e.test(env) != True {
				b.Fatal("no match")
			}
		}
	})
	b.Run("expr", func(b *testing.B) {
		env := map[string]any{"stage": "", "email": "", "last": int64(0)}
		daysSince := expr.Function("daysSince", func(p ...any) (any, error) {
			return int(now.UnixMilli()-p[0].(int64)) / dayMilli, nil
		}, new(func(int64) int))
		program, err := expr.Compile(`stage != nil && stage in ["subscriber", "lead"] && last != nil && daysSince(last) > 365 && email != nil && !(email endsWith "@acme.com")`,
			expr.Env(env), expr.AsBool(), daysSince)
		if err != nil {
			b.Fatal(err)
		}
		machine := vm.VM{}
		b.ReportAllocs()
		env["stage"], env["email"], env["last"] = r.Value(pStage).Text(), r.Value(pEmail).Text(), r.Value(pActivity).Milli()
		for b.Loop() {
			if got, err := machine.Run(program, env); err != nil || got != true {
				b.Fatal(got, err)
			}
		}
	})
}

func ExampleFunctions() {
	for _, f := range Functions() {
		fmt.Println(f.Signature)
	}
	// Output:
	// known(value)
	// unknown(value)
	// now
	// today
	// daysSince(date)
	// daysUntil(date)
	// daysAgo(n)
	// monthsSince(date)
	// monthsAgo(n)
	// yearsAgo(n)
	// daysBetween(from, to)
	// dayOf(date)
	// date("2026-01-31")
	// duration("36h")
	// inList("name")
	// lower(text)
	// domain(text)
	// number(text, "comma")
	// any(deals, condition)
	// all(deals, condition)
	// none(deals, condition)
	// count(deals, condition)
}
