package csvfile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// sorted is a CSV without line breaks in cells with its lines below the header in order.
func sorted(s string) string {
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n") + "\n"
}

func TestExport(t *testing.T) {
	t.Parallel()
	s := storetest.OpenWith(t, storetest.Options{Partitions: 1})
	mustImport(t, s, "Record ID,Email,firstname,Create Date,Lifecycle Stage\n10,j@x,\"=1+1\",1997-01-01,lead\n9,k@x,\"a,\"\"b\"\"\",,\n8,l@x,gone,,\n", options())
	archive(t, s, 8)
	for name, c := range map[string]struct {
		o    csvfile.ExportOptions
		want string
	}{
		"chosen":   {csvfile.ExportOptions{Properties: []string{"First Name", "email"}}, "Record ID,firstname,email\n9,\"a,\"\"b\"\"\",k@x\n10,=1+1,j@x\n"},
		"with id":  {csvfile.ExportOptions{Properties: []string{"Record ID", "email"}}, "Record ID,email\n9,k@x\n10,j@x\n"},
		"labels":   {csvfile.ExportOptions{Properties: []string{"createdate", "lifecyclestage"}, Labels: true}, "Record ID,Create Date,Lifecycle Stage\n9,2026-03-04T12:00:00Z,\n10,1997-01-01T00:00:00Z,lead\n"},
		"archived": {csvfile.ExportOptions{Properties: []string{"email"}, Archived: true}, "Record ID,email\n8,l@x\n"},
		"match":    {csvfile.ExportOptions{Properties: []string{"email"}, Match: func(r *record.Record) bool { return r.ID > 9 }}, "Record ID,email\n10,j@x\n"},
		"none":     {csvfile.ExportOptions{Object: record.Company, Properties: []string{"domain"}}, "Record ID,domain\n"},
	} {
		if got := export(t, s, c.o); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
	schema, err := s.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(export(t, s, csvfile.ExportOptions{}), "\n")
	if want := "Record ID," + strings.Join(schema.Names(), ","); header != want {
		t.Errorf("without a choice the header is %s, want every property", header)
	}
	for want, names := range map[string][]string{`"emial"; did you mean email?`: {"emial"}, "email is asked for twice": {"email", "Email"}} {
		var out strings.Builder
		_, err := csvfile.Export(t.Context(), s, &out, csvfile.ExportOptions{Object: record.Contact, Properties: names})
		if err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%q: error %v after %d bytes, want %s", names, err, out.Len(), want)
		}
	}
}

// Every label of the default schemas that is clear goes out and comes back as the same property.
func TestExport_labels(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	add := []record.Property{{Name: "id", Label: "Id", Type: record.String}, {Name: "twin", Label: "First Name", Type: record.String}, {Name: "semi", Label: "a;b;c;d;e;f;g;h;i;j;k", Type: record.String}}
	if _, err := s.AddProperties(t.Context(), record.Contact, add, someone, noon); err != nil {
		t.Fatal(err)
	}
	file := "Record ID,id,firstname,twin,semi\n1,a,b,c,d\n"
	wantTally(t, mustImport(t, s, file, options()), "1: 1 created 0 updated 0 unchanged 0 refused")
	for _, object := range record.StandardObjects() {
		out := export(t, s, csvfile.ExportOptions{Object: object, Labels: true})
		r := mustImport(t, s, out, options(func(o *csvfile.Options) { o.Object = object }))
		if r.FindingsTotal > 0 || r.Unchanged != r.Lines {
			t.Errorf("%s: %s", object, tally(r))
		}
	}
}

// wild draws texts that are hard on CSV.
func wild() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'é', '"', ',', '\n', '\r', ';', '\t', ' ', '=', '😀', '\u2028', '\ufeff', '\\', '.'}), 0, 12, -1),
		rapid.String().Filter(func(s string) bool { return !strings.ContainsRune(s, 0) }))
}

// value draws a value of the property; now and then none.
func value(p *record.Property) *rapid.Generator[record.Value] {
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC).UnixMilli()
	return rapid.Custom(func(t *rapid.T) record.Value {
		if rapid.Bool().Draw(t, "unknown") {
			return record.Value{}
		}
		at := time.UnixMilli(rapid.Int64Range(first, last).Draw(t, "ms")).UTC()
		switch p.Type {
		case record.Number:
			return record.NumberValue(rapid.OneOf(rapid.Float64(), rapid.Map(rapid.Int64(), func(n int64) float64 { return float64(n) })).Draw(t, "number"))
		case record.Date:
			return record.DateValue(at)
		case record.DateTime:
			return record.DateTimeValue(at)
		case record.Bool:
			return record.BoolValue(rapid.Bool().Draw(t, "bool"))
		case record.Enumeration:
			return record.EnumValue(rapid.SampledFrom(p.Options).Draw(t, "option").Value)
		case record.String:
		}
		return record.StringValue(wild().Draw(t, "text"))
	})
}

// What goes out comes back: an export imported into an empty account exports the same, and imported into its own
// account changes nothing.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		from, to := storetest.OpenWith(t, storetest.Options{Partitions: 4}), storetest.OpenWith(t, storetest.Options{Partitions: 4})
		add := []record.Property{{Name: "birthday", Label: "Birthday", Type: record.Date}, {Name: "id", Label: "Customer", Type: record.String}}
		for _, s := range []*crmstore.Store{from, to} {
			if _, err := s.AddProperties(t.Context(), record.Contact, add, someone, noon); err != nil {
				rt.Fatal(err)
			}
		}
		schema, err := from.Schema(t.Context(), record.Contact)
		if err != nil {
			rt.Fatal(err)
		}
		var batch []crmstore.Upsert
		for i := range rapid.IntRange(0, 5).Draw(rt, "records") {
			u := crmstore.Upsert{ID: record.ID(rapid.Uint64Range(1, 1<<40).Draw(rt, "id")*8 + uint64(i))}
			for j := range schema.Properties {
				p := &schema.Properties[j]
				if p.ReadOnly || p.Removed {
					continue
				}
				v := value(p).Draw(rt, p.Name)
				if p.Number == record.PropertyEmail && v.Known() {
					v = record.StringValue(fmt.Sprintf("Contact%d@example.com", i))
				}
				if v.Known() {
					u.Set = append(u.Set, record.Assignment{Property: p.Number, Value: v})
				}
			}
			batch = append(batch, u)
		}
		results, err := from.Write(t.Context(), record.Contact, crmstore.UpsertAny, batch, someone, noon)
		if err != nil {
			rt.Fatal(err)
		}
		for _, w := range results {
			if w.Outcome != crmstore.Created {
				rt.Fatalf("outcome %d, %v", w.Outcome, w.Err)
			}
		}
		labels := rapid.Bool().Draw(rt, "labels")
		file := export(t, from, csvfile.ExportOptions{Labels: labels})
		r, err := csvfile.Import(t.Context(), to, strings.NewReader(file), options(func(o *csvfile.Options) { o.StandIns = csvfile.KeepStandIns }))
		if err != nil || r.FindingsTotal != 0 || r.Created != len(batch) {
			rt.Fatalf("import: %s, %v", tally(r), err)
		}
		if diff := cmp.Diff(file, export(t, to, csvfile.ExportOptions{Labels: labels})); diff != "" {
			rt.Fatalf("exported again (-first +second):\n%s", diff)
		}
		r, err = csvfile.Import(t.Context(), from, strings.NewReader(file), options(func(o *csvfile.Options) { o.StandIns = csvfile.KeepStandIns }))
		if err != nil || r.Unchanged != len(batch) || r.FindingsTotal != 0 {
			rt.Fatalf("import into the same account: %s, %v", tally(r), err)
		}
	})
}
