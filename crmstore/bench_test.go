package crmstore_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
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

// meter reports contacts per second, and how much processor time a contact costs the server and this process,
// which says more than the clock on a busy machine. The result ends the measurement of n contacts.
func meter(b *testing.B, d *desk) (stop func(n int)) {
	b.Helper()
	server := func() (seconds float64) {
		info, err := crmstore.Raw(d.Store).Info(b.Context(), "cpu").Result()
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(info) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if name == "used_cpu_user" || name == "used_cpu_sys" {
				part, _ := strconv.ParseFloat(value, 64)
				seconds += part
			}
		}
		return seconds
	}
	own := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	serverBefore, ownBefore := server(), own()
	return func(n int) {
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "contacts/s")
		b.ReportMetric((server()-serverBefore)*1e9/float64(n), "server-ns/contact")
		b.ReportMetric((own()-ownBefore)*1e9/float64(n), "client-ns/contact")
	}
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
			var batches [][]crmstore.Upsert
			for done := 0; done < b.N; done += size {
				batches = append(batches, batchOf(d, done, min(size, b.N-done), c.email))
			}
			stop := meter(b, d)
			b.ResetTimer()
			for _, batch := range batches {
				d.write(crmstore.UpsertAny, noon, batch...)
			}
			stop(b.N)
		})
	}
	b.Run("same-emails-again", func(b *testing.B) {
		d := newDesk(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
		batch := batchOf(d, 0, 20000, true)
		d.write(crmstore.UpsertAny, noon, batch...)
		stop := meter(b, d)
		b.ResetTimer()
		for done := 0; done < b.N; done += len(batch) {
			d.write(crmstore.UpsertAny, noon, batch[:min(len(batch), b.N-done)]...)
		}
		stop(b.N)
	})
}

// One operation is one slot.
func BenchmarkReadColumns(b *testing.B) {
	d := newDesk(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
	for range 10 {
		d.write(crmstore.UpsertAny, noon, batchOf(d, 0, 20000, false)...)
	}
	want := crmstore.Want{IDs: true, Properties: []int{d.schema.Find("notes_last_updated")[0].Number, d.schema.Find("lifecyclestage")[0].Number}}
	stop := meter(b, d)
	b.ResetTimer()
	slots := 0
	for slots < b.N {
		err := d.ReadColumns(b.Context(), record.Contact, 0, crmstore.DefaultPartitions, want, func(c *crmstore.Columns) error {
			slots += c.Slots
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	stop(slots)
}

// One operation is one record.
func BenchmarkReadAll(b *testing.B) {
	d := newDesk(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
	for range 5 {
		d.write(crmstore.UpsertAny, noon, batchOf(d, 0, 20000, false)...)
	}
	stop := meter(b, d)
	b.ResetTimer()
	records := 0
	for records < b.N {
		err := d.ReadAll(b.Context(), record.Contact, 0, crmstore.DefaultPartitions, func(_ int, recs []*record.Record) error {
			records += len(recs)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	stop(records)
}

// One operation is one record, of which two values are decoded.
func BenchmarkReadRows(b *testing.B) {
	d := newDesk(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
	for range 5 {
		d.write(crmstore.UpsertAny, noon, batchOf(d, 0, 20000, false)...)
	}
	numbers := []int{d.schema.Find("city")[0].Number, d.schema.Find("notes_last_updated")[0].Number}
	values := make([]record.Value, max(numbers[0], numbers[1])+1)
	picks := make([]crmstore.Pick, crmstore.DefaultPartitions)
	for p := range picks {
		picks[p] = crmstore.Pick{Partition: p, Whole: true}
	}
	stop := meter(b, d)
	b.ResetTimer()
	records := 0
	for records < b.N {
		err := d.ReadRows(b.Context(), record.Contact, picks, numbers, func(r *crmstore.Rows) error {
			for i := range r.Rows {
				if err := r.Values(i, values); err != nil {
					return err
				}
			}
			records += len(r.Rows)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	stop(records)
}
