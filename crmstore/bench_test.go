package crmstore_test

import (
	"fmt"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// batchOf is n new contacts with 14 properties, numbered from from.
func batchOf(d *desk, from, n int, email bool) []crmstore.Upsert {
	batch := make([]crmstore.Upsert, n)
	for i := range batch {
		batch[i] = d.up(0, "firstname", "Ann", "lastname", "Example", "phone", "+31 20 1234567", "company", "Acme",
			"city", "Utrecht", "country", "NL", "lifecyclestage", "lead", "num_associated_deals", i%5,
			"hs_email_optout", i%7 == 0, "hs_email_open", i%30, "hs_email_click", i%9,
			"notes_last_contacted", noon.AddDate(0, 0, -i%900), "notes_last_updated", noon.AddDate(0, 0, -i%800))
		if email {
			batch[i].Set = append(batch[i].Set, d.set("email", fmt.Sprintf("person%d@example.org", from+i)))
		}
	}
	return batch
}

// One operation is one contact.
func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name  string
		email bool
	}{{"new", false}, {"new-with-email", true}} {
		b.Run(c.name, func(b *testing.B) {
			d := newDesk(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
			const size = 20000
			for done := 0; done < b.N; done += size {
				b.StopTimer()
				batch := batchOf(d, done, min(size, b.N-done), c.email)
				b.StartTimer()
				d.write(crmstore.UpsertAny, noon, batch...)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "contacts/s")
		})
	}
	b.Run("same-emails-again", func(b *testing.B) {
		d := newDesk(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
		batch := batchOf(d, 0, 20000, true)
		d.write(crmstore.UpsertAny, noon, batch...)
		b.ResetTimer()
		for done := 0; done < b.N; done += len(batch) {
			d.write(crmstore.UpsertAny, noon, batch[:min(len(batch), b.N-done)]...)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "contacts/s")
	})
}

// One operation is one slot.
func BenchmarkReadColumns(b *testing.B) {
	d := newDesk(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
	for range 10 {
		d.write(crmstore.UpsertAny, noon, batchOf(d, 0, 20000, false)...)
	}
	want := crmstore.Want{IDs: true, Properties: []int{d.schema.Find("notes_last_updated")[0].Number, d.schema.Find("lifecyclestage")[0].Number}}
	b.ResetTimer()
	slots := 0
	for slots < b.N {
		err := d.ReadColumns(b.Context(), crmstore.Contact, 0, crmstore.DefaultPartitions, want, func(c *crmstore.Columns) error {
			slots += c.Slots
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(slots)/b.Elapsed().Seconds(), "slots/s")
}

// One operation is one record.
func BenchmarkReadAll(b *testing.B) {
	d := newDesk(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
	for range 5 {
		d.write(crmstore.UpsertAny, noon, batchOf(d, 0, 20000, false)...)
	}
	b.ResetTimer()
	records := 0
	for records < b.N {
		err := d.ReadAll(b.Context(), crmstore.Contact, 0, crmstore.DefaultPartitions, func(_ int, recs []*crmstore.Record) error {
			records += len(recs)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}
