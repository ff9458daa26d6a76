package csvfile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile/container"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// testSchema has the usual contact properties and a few that make trouble.
func testSchema() *record.Schema {
	p := record.DefaultProperties(record.Contact)
	for i, extra := range []record.Property{
		{Name: "birthday", Label: "Birthday", Type: record.Date},
		{Name: "note_a", Label: "Note", Type: record.String},
		{Name: "note_b", Label: "Note", Type: record.String},
		{Name: "foo_bar", Label: "Something else", Type: record.String},
		{Name: "gone", Label: "Gone", Type: record.String, Removed: true},
	} {
		extra.Number = 900 + i
		p = append(p, extra)
	}
	return record.NewSchema(record.Contact, 1, p)
}

// outcome is what the reading half makes of a file.
type outcome struct {
	Upserts  []string // LINE: ID name=value …
	Findings []string // CODE LINE COLUMN
	Columns  []string // HEADER: USE PROPERTY
	Made     []CreatedProperty
}

// readFile does everything but write: it reads the file as [Import] does, in a dry run that looks nothing up.
func readFile(tb testing.TB, r io.Reader, schema *record.Schema, o Options) (outcome, *importer, []*batch) {
	tb.Helper()
	o.Object, o.At, o.DryRun = record.Contact, time.Unix(0, 0), true
	if err := o.check(); err != nil {
		tb.Fatal(err)
	}
	im := &importer{o: o, schema: schema, report: &Report{}, found: findings{keep: o.MaxFindings}, passes: 1}
	var out outcome
	var batches []*batch
	rd, err := im.openTwice(tb, r)
	if err != nil {
		tb.Fatal(err)
	}
	if rd != nil {
		if err := rd.run(func(b *batch) error { batches = append(batches, b); return nil }); err != nil {
			tb.Fatal(err)
		}
	}
	for _, b := range batches {
		for i, u := range b.upserts {
			s := fmt.Sprintf("%d: %s", b.lines[i], u.ID)
			for _, a := range u.Set {
				s += fmt.Sprintf(" %s=%s", im.schema.Number(a.Property).Name, a.Value)
			}
			out.Upserts = append(out.Upserts, s)
		}
		im.found.merge(b.found)
	}
	for _, f := range im.found.list {
		out.Findings = append(out.Findings, strings.TrimSpace(fmt.Sprintf("%s %d %s", f.Code, f.Line, f.Column)))
	}
	for _, c := range im.report.Columns {
		out.Columns = append(out.Columns, strings.TrimSpace(fmt.Sprintf("%s: %s %s", c.Header, c.Use, c.Property)))
	}
	out.Made = im.report.CreatedProperties
	return out, im, batches
}

// openTwice is the beginning of importer.run.
func (im *importer) openTwice(tb testing.TB, r io.Reader) (*reader, error) {
	tb.Helper()
	take := func(_ context.Context, batch []crmstore.Upsert) ([]crmstore.WriteResult, error) {
		results := make([]crmstore.WriteResult, len(batch))
		for i := range results {
			results[i].Outcome = crmstore.Created
		}
		return results, nil
	}
	tb.Cleanup(im.close)
	if ready, err := im.prepare(tb.Context(), r, take); !ready || err != nil {
		return nil, err
	}
	rd, l, err := im.open()
	if rd != nil {
		im.report.Columns = l.report()
	}
	return rd, err
}

func TestLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxText+1)
	cases := map[string]struct {
		file     string
		o        Options
		upserts  []string
		findings []string
	}{
		"values": {
			"Record ID,Email,First Name,Create Date,Birthday,Lifecycle Stage,Number of Associated Deals,hs_email_optout\n" +
				"1, Jane@Example.com ,\" Jane\r\nx\",1997-01-01,1960-02-29,lead,1.50,Yes\n2,,,,,,,\n",
			Options{},
			[]string{"1:2 Jane"},
			nil,
		},
		"blank lines":    {"Record ID,firstname\n,\n1,a\n\n , \n", Options{}, []string{"3: 1 firstname=a"}, []string{"key-missing 5"}},
		"header only":    {"Record ID,firstname\n", Options{}, nil, nil},
		"bad cells":      {"Record ID,Email,birthday,total_revenue\nx,y,z,w\n1,a@b,2020-01-01,5\n", Options{}, []string{"3: 1 email=a@b birthday=2020-01-01 total_revenue=5"}, []string{"bad-id 2 Record ID", "bad-email 2 Email", "bad-date 2 birthday", "bad-number 2 total_revenue"}},
		"bad ids":        {"Record ID,firstname\n0,a\n-1,a\n1.0,a\n9223372036854775808,a\n٣,a\n 7 ,b\n9007199254740991,c\n", Options{}, []string{"7: 7 firstname=b", "8: 9007199254740991 firstname=c"}, []string{"bad-id 2 Record ID", "bad-id 3 Record ID", "bad-id 4 Record ID", "bad-id 5 Record ID", "bad-id 6 Record ID"}},
		"cell count":     {"Record ID,firstname\n1\n2,b\n3,c,d\n", Options{}, []string{"3: 2 firstname=b"}, []string{"cell-count 2", "cell-count 4"}},
		"lines of cells": {"Record ID,firstname,birthday\n1,\"a\nb\",soon\n2,b,2020-01-01\n3,\"\n\n\",\"\n2020-13-01\"\n", Options{}, []string{"4: 2 firstname=b birthday=2020-01-01"}, []string{"bad-date 3 birthday", "bad-date 7 birthday"}},
		"nul":            {"Record ID,firstname\n1,a\x00b\n2,b\n", Options{}, []string{"3: 2 firstname=b"}, []string{"nul-byte 2 firstname"}},
		"not utf-8":      {"Record ID,firstname\n1,a\xffb\n2,né\n3,né\n", Options{}, []string{"3: 2 firstname=né", "4: 3 firstname=né"}, []string{"bad-text 2 firstname"}},
		"lone surrogate": {"\xff\xfei\x00d\x00,\x00z\x00i\x00p\x00\n\x001\x00,\x00\x00\xd8\n\x002\x00,\x00b\x00", Options{IDColumn: "id"}, []string{"3: 2 zip=b"}, []string{"bad-text 2 zip"}},
		"bare quote":     {"Record ID,firstname\n\"1\",5\" pipe\n2,b\n", Options{}, []string{"3: 2 firstname=b"}, []string{"quote-bare 2 firstname"}},
		"open quote":     {"Record ID,firstname\n1,a\n2,\"b\n3,c\n", Options{}, []string{"2: 1 firstname=a"}, []string{"quote-open 3"}},
		"long text":      {"Record ID,firstname\n1," + long + "\n2,b\n", Options{}, []string{"3: 2 firstname=b"}, []string{"text-too-long 2 firstname"}},
		"options":        {"Record ID,lifecyclestage\n1,Sales Qualified Lead\n2,leed\n3,lead;customer\n", Options{}, []string{"2: 1 lifecyclestage=salesqualifiedlead"}, []string{"bad-option 3 lifecyclestage", "bad-option 4 lifecyclestage"}},
		"bools":          {"Record ID,hs_email_optout\n1,1\n2,maybe\n", Options{}, []string{"2: 1 hs_email_optout=true"}, []string{"bad-bool 3 hs_email_optout"}},

		"no key":              {"Record ID,Email,firstname\n,,a\n,  ,b\n1,,c\n,a@b,d\n", Options{}, []string{"4: 1 firstname=c", "5: 0 email=a@b firstname=d"}, []string{"key-missing 2", "key-missing 3"}},
		"no key, create only": {"Record ID,Email,firstname\n,,a\n", Options{Mode: crmstore.CreateOnly}, []string{"2: 0 firstname=a"}, nil},
		"duplicate ids":       {"Record ID,firstname\n1,a\n2,b\n01,c\n", Options{}, []string{"2: 1 firstname=a", "3: 2 firstname=b"}, []string{"duplicate-id 4"}},
		"duplicate e-mails":   {"Email,firstname\na@b,a\n A@B ,b\n", Options{}, []string{"2: 0 email=a@b firstname=a"}, []string{"duplicate-email 3"}},
		"duplicate of a bad line": {
			"Email,birthday\na@b,never\na@b,2020-01-01\n",
			Options{},
			[]string{"3: 0 email=a@b birthday=2020-01-01"},
			[]string{"bad-date 2 birthday"},
		},
		"duplicate of a duplicate": {"Record ID,Email\n1,a@b\n1,c@d\n2,c@d\n", Options{}, []string{"2: 1 email=a@b", "4: 2 email=c@d"}, []string{"duplicate-id 3"}},
		"duplicates allowed": {
			"Record ID,Email\n1,a@b\n1,c@d\n2,e@f\n",
			Options{AllowDuplicates: true},
			[]string{"2: 1 email=a@b", "3: 1 email=c@d", "4: 2 email=e@f"},
			nil,
		},
		"ignored cells may be anything": {"Record ID,Last Modified Date,x\n1,never,\"\n\"\n", Options{IgnoreUnknown: true}, []string{"2: 1"}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, im, _ := readFile(t, strings.NewReader(c.file), testSchema(), c.o)
			if name == "values" {
				c.upserts = []string{"2: 1 email=jane@example.com firstname= Jane\r\nx createdate=1997-01-01T00:00:00Z birthday=1960-02-29 lifecyclestage=lead num_associated_deals=1.5 hs_email_optout=true", "4: 2"}
			}
			if diff := cmp.Diff(c.upserts, got.Upserts); diff != "" {
				t.Errorf("upserts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.findings, got.Findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for _, f := range im.found.list {
				if f.Message == "" || f.Help == "" || strings.ContainsAny(f.String(), "\n\x00") || len(f.String()) > 600 {
					t.Errorf("%s: a finding says what is wrong and what to do, on one line: %q", f.Code, f)
				}
			}
		})
	}
}

// A line whose message names another line names the right one.
func TestLines_duplicateNamesTheEarlierLine(t *testing.T) {
	t.Parallel()
	_, im, _ := readFile(t, strings.NewReader("Record ID,Email\n1,\"a@b\"\n2,\"c@d\"\n\n1,x@y\n3, C@D\n"), testSchema(), Options{})
	want := []string{
		`line 5: the record id 1 stands on line 2 already (keep one of the lines, or let the later line win with --allow-duplicates)`,
		`line 6: the e-mail address "c@d" stands on line 3 already (keep one of the lines, or let the later line win with --allow-duplicates)`,
	}
	var got []string
	for _, f := range im.found.list {
		got = append(got, f.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFindings_capped(t *testing.T) {
	t.Parallel()
	file := "Record ID,firstname\n" + strings.Repeat("x,y\n", 400_000)
	_, im, batches := readFile(t, strings.NewReader(file), testSchema(), Options{MaxFindings: 7})
	if len(im.found.list) != 7 || im.found.total != 400_000 || im.found.list[6].Line != 8 {
		t.Errorf("kept %d of %d, the last on line %d; want 7 of 400000, line 8", len(im.found.list), im.found.total, im.found.list[6].Line)
	}
	if len(batches) < 2 {
		t.Errorf("%d batch of findings alone; want several, for progress", len(batches))
	}
}

// However long the texts are, a batch stays small.
func TestBatches_bounded(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 60_000)
	var file strings.Builder
	file.WriteString("Record ID,firstname,lastname\n")
	for i := range 700 {
		fmt.Fprintf(&file, "%d,%s,%s\n", i+1, text, text)
	}
	_, _, batches := readFile(t, strings.NewReader(file.String()), testSchema(), Options{})
	for i, b := range batches {
		if b.text > batchText+2*len(text)+10 {
			t.Errorf("batch %d holds %d bytes", i, b.text)
		}
	}
	if len(batches) < 3 {
		t.Errorf("%d batches, want at least 3", len(batches))
	}
}

// Whatever the bytes: no panic; every record is taken, refused or blank; nothing of a refused record is taken;
// and a type that was guessed from all values fits each of them.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"Record ID,Email,x\n1,a@b,1\n2,c@d,\n", "Email;New\na@b;1997-01-01\nc@d;\"x\ny\"\n", "id\tbirthday\n1\t2020-02-30\n\n1\t\x00\n2\t\"", "Email,n\na@b,0001-01-01 00:00\n",
		"\xff\xfei\x00d\x00\n\x001\x00\n\x00", "Record ID,n\n1,123456789012345\n2,-0.0\n3,true\n", "Record ID,a,b\n1,Jan 2 2006,1e5\n,,\n1,2\n",
	} {
		for flags := range uint8(8) {
			f.Add([]byte(s), flags)
		}
	}
	zone := time.FixedZone("", 5*3600)
	f.Fuzz(func(t *testing.T, data []byte, flags uint8) {
		o := Options{CreateProperties: flags&1 != 0, IgnoreUnknown: flags&1 == 0, AllowDuplicates: flags&2 != 0, Zone: zone, MaxFindings: 1 << 30}
		if flags&4 != 0 {
			o.Mode, o.DateOrder = crmstore.CreateOnly, DayMonth
		}
		_, im, batches := readFile(t, bytes.NewReader(data), testSchema(), o)
		refused, starts := map[int]bool{}, []int{}
		for _, b := range batches {
			starts = append(starts, b.lines...)
		}
		for _, f := range im.found.list {
			refused[f.Line] = true
			if made := im.createdFor(f.Column); made && strings.HasPrefix(string(f.Code), "bad-") && f.Code != BadText {
				t.Errorf("a guessed type does not fit: %s", f)
			}
		}
		for i, line := range starts {
			if i > 0 && starts[i-1] >= line {
				t.Errorf("line %d comes after line %d", line, starts[i-1])
			}
			if refused[line] {
				t.Errorf("line %d is both imported and refused", line)
			}
		}
		for _, b := range batches {
			for i := range b.upserts {
				if b.upserts[i].ID == 0 && im.emailOf(&b.upserts[i]) == "" && o.Mode != crmstore.CreateOnly {
					t.Errorf("line %d goes in without saying which record it is", b.lines[i])
				}
				if _, err := record.NewRecord(im.schema, 1, b.upserts[i].Set); err != nil {
					t.Errorf("line %d: %v", b.lines[i], err)
				}
			}
		}
	})
}

func (im *importer) createdFor(header string) bool {
	for _, p := range im.report.CreatedProperties {
		if p.Label == header {
			return true
		}
	}
	return false
}

// The reading half alone, without a store.
func BenchmarkReader(b *testing.B) {
	var file bytes.Buffer
	file.WriteString("Record ID,Email,Create Date,Last Activity Date,Lifecycle Stage,Number of Associated Deals,Total Revenue\n")
	for i := range 100_000 {
		fmt.Fprintf(&file, "%d,customer-%05d@cdnow.example,1997-01-01,1997-01-01 15:04,lead,1,11.77\n", i+1, i)
	}
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		im := &importer{o: Options{Object: record.Contact, At: time.Unix(0, 0)}, schema: testSchema(), report: &Report{}}
		if err := im.o.check(); err != nil {
			b.Fatal(err)
		}
		var err error
		if im.file, err = container.Open(b.Context(), bytes.NewReader(file.Bytes()), container.Options{}); err != nil {
			b.Fatal(err)
		}
		rd, _, err := im.open()
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		if err := rd.run(func(x *batch) error { n += len(x.upserts); return nil }); err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
	}
}
