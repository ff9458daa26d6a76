package csvfile_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
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
		format := rapid.SampledFrom([]csvfile.ExportFormat{csvfile.CSV, csvfile.Workbook}).Draw(rt, "format")
		if format == csvfile.Workbook {
			replaceControls(rt, from, schema, batch)
		}
		want := export(t, from, csvfile.ExportOptions{Labels: labels})
		file := export(t, from, csvfile.ExportOptions{Labels: labels, Format: format})
		r, err := csvfile.Import(t.Context(), to, strings.NewReader(file), options(func(o *csvfile.Options) { o.StandIns = csvfile.KeepStandIns }))
		if err != nil || r.FindingsTotal != 0 || r.Created != len(batch) {
			rt.Fatalf("import: %s, %v", tally(r), err)
		}
		if diff := cmp.Diff(want, export(t, to, csvfile.ExportOptions{Labels: labels})); diff != "" {
			rt.Fatalf("exported again (-first +second):\n%s", diff)
		}
		r, err = csvfile.Import(t.Context(), from, strings.NewReader(file), options(func(o *csvfile.Options) { o.StandIns = csvfile.KeepStandIns }))
		if err != nil || r.Unchanged != len(batch) || r.FindingsTotal != 0 {
			rt.Fatalf("import into the same account: %s, %v", tally(r), err)
		}
	})
}

// replaceControls takes the characters out of texts that a workbook cannot hold.
func replaceControls(t *rapid.T, s *crmstore.Store, schema *record.Schema, batch []crmstore.Upsert) {
	t.Helper()
	for i := range batch {
		for j, a := range batch[i].Set {
			if schema.Number(a.Property).Type == record.String {
				batch[i].Set[j].Value = record.StringValue(strings.Map(func(r rune) rune {
					if r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0xfffe || r == 0xffff {
						return '_'
					}
					return r
				}, a.Value.Text()))
			}
		}
	}
	if _, err := s.Write(context.Background(), record.Contact, crmstore.UpsertAny, batch, someone, noon); err != nil {
		t.Fatal(err)
	}
}

// A workbook of records of each object type comes back as the same records, with types of cells that a spreadsheet knows.
func TestExport_workbook(t *testing.T) {
	t.Parallel()
	for _, object := range record.StandardObjects() {
		from, to := storetest.Open(t), storetest.Open(t)
		schema, err := from.Schema(t.Context(), object)
		if err != nil {
			t.Fatal(err)
		}
		header, cells := "Record ID", "7"
		for i := range schema.Properties {
			p := &schema.Properties[i]
			if p.ReadOnly {
				continue
			}
			header += "," + p.Name
			cells += "," + map[record.PropertyType]string{
				record.String: fmt.Sprintf("0%d@x.example", i), record.Number: fmt.Sprintf("%d.125", i), record.Bool: "true",
				record.Date: "2024-02-29", record.DateTime: "1999-12-31T23:59:59.999Z", record.Enumeration: "",
			}[p.Type]
			if len(p.Options) > 0 {
				cells += p.Options[0].Value
			}
		}
		set := options(func(o *csvfile.Options) { o.Object = object })
		wantTally(t, mustImport(t, from, header+"\n"+cells+"\n", set), "1: 1 created 0 updated 0 unchanged 0 refused")
		file := export(t, from, csvfile.ExportOptions{Object: object, Format: csvfile.Workbook})
		wantTally(t, mustImport(t, to, file, set), "1: 1 created 0 updated 0 unchanged 0 refused")
		if diff := cmp.Diff(export(t, from, csvfile.ExportOptions{Object: object}), export(t, to, csvfile.ExportOptions{Object: object})); diff != "" {
			t.Errorf("%s (-out +in):\n%s", object, diff)
		}
		book, err := excelize.OpenReader(strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range strings.Split("Record ID,"+strings.Join(schema.Names(), ","), ",") {
			p := schema.Named(name)
			at, err := excelize.CoordinatesToCellName(i+1, 2)
			if err != nil || p == nil {
				continue
			}
			kind, err := book.GetCellType(book.GetSheetName(0), at)
			isNumber := kind == excelize.CellTypeUnset || kind == excelize.CellTypeNumber || p.Type == record.Bool && kind == excelize.CellTypeBool
			if isText := p.Type == record.String || p.Type == record.Enumeration; err != nil || isText == isNumber {
				t.Errorf("%s: cell of %s (%s) has type %d, %v", object, name, p.Type, kind, err)
			}
		}
		_ = book.Close() // it was only read
	}
}

// Findings name the rows of the sheet, whatever its cells hold.
func TestImport_workbook(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	book := excelize.NewFile()
	for at, row := range map[string][]any{
		"A2": {"Email", "First Name", "Total Revenue", "Create Date", "Postal Code"},
		"A3": {"a@x.example", "two\nlines", 1.234, time.Date(2024, 3, 25, 14, 30, 0, 0, time.UTC), "02139"},
		"A6": {"b@x.example", "Bo", "many"},
		"A7": {"c@x.example", "Cy", "1234.5", nil, nil, "beyond"},
		"A8": {"d@x.example", "Di", 99.5, "2024-03-25", 10115},
	} {
		if err := book.SetSheetRow("Sheet1", at, &row); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.SetCellFormula("Sheet1", "C9", "1/0"); err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	if err := book.Write(&file); err != nil {
		t.Fatal(err)
	}
	comma := options(func(o *csvfile.Options) { o.Decimal = csvfile.DecimalComma })
	wantTally(t, mustImport(t, s, file.String(), comma), "5: 2 created 0 updated 0 unchanged 3 refused, bad-number 6, cell-count 7, bad-text 9")
	var got []string
	for i, record := range parsed(t, export(t, s, csvfile.ExportOptions{Properties: strings.Split("firstname,total_revenue,createdate,zip", ",")})) {
		if i > 0 {
			got = append(got, strings.Join(record[1:], "|"))
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"Di|99.5|2024-03-25T00:00:00Z|10115", "two\nlines|1.234|2024-03-25T14:30:00Z|02139"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// parsed is a CSV as an independent reader has it.
func parsed(t *testing.T, text string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
