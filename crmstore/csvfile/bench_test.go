package csvfile_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// benchmarkFile is n contacts with 14 properties, about 190 bytes each.
func benchmarkFile(n int) []byte {
	var b bytes.Buffer
	b.WriteString("Record ID,Email,First Name,Last Name,Phone Number,Company Name,City,Country/Region,Create Date,Last Activity Date,Lifecycle Stage,Number of Associated Deals,Total Revenue,Unsubscribed from all email,Marketing emails opened\n")
	stages := []string{"subscriber", "lead", "customer", "Marketing Qualified Lead"}
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "%d,contact-%07d@example.com,First%d,Last%d,+31 6 %08d,Company %d,Amsterdam,Netherlands,20%02d-%02d-%02d,2025-%02d-%02d 15:04,%s,%d,%d.%02d,%v,%d\n",
			i, i, i%1000, i%5000, i, i%999, 10+i%15, 1+i%12, 1+i%28, 1+i%12, 1+i%28, stages[i%4], i%7, i%10000, i%100, i%9 == 0, i%50)
	}
	return b.Bytes()
}

func BenchmarkImport(b *testing.B) {
	const n = 100_000
	file := benchmarkFile(n)
	imports := 0
	for b.Loop() {
		b.StopTimer()
		s := storetest.OpenWith(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
		b.StartTimer()
		r, err := csvfile.Import(b.Context(), s, bytes.NewReader(file), options())
		if err != nil || r.Created != n {
			b.Fatal(tally(r), err)
		}
		imports++
	}
	b.ReportMetric(float64(imports)*n/b.Elapsed().Seconds(), "contacts/s")
}

func BenchmarkExport(b *testing.B) {
	const n = 100_000
	s := storetest.OpenWith(b, storetest.Options{Partitions: crmstore.DefaultPartitions})
	if r, err := csvfile.Import(b.Context(), s, bytes.NewReader(benchmarkFile(n)), options()); err != nil || r.Created != n {
		b.Fatal(tally(r), err)
	}
	exports := 0
	for b.Loop() {
		if got, err := csvfile.Export(b.Context(), s, &bytes.Buffer{}, csvfile.ExportOptions{Object: record.Contact}); err != nil || got != n {
			b.Fatal(got, err)
		}
		exports++
	}
	b.ReportMetric(float64(exports)*n/b.Elapsed().Seconds(), "contacts/s")
}
