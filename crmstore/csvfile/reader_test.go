package csvfile

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// testSchema has the usual contact properties and a few that make trouble.
func testSchema() *crmstore.Schema {
	p := crmstore.DefaultProperties(crmstore.Contact)
	for i, extra := range []crmstore.Property{
		{Name: "birthday", Label: "Birthday", Type: crmstore.Date},
		{Name: "note_a", Label: "Note", Type: crmstore.String},
		{Name: "note_b", Label: "Note", Type: crmstore.String},
		{Name: "foo_bar", Label: "Something else", Type: crmstore.String},
		{Name: "gone", Label: "Gone", Type: crmstore.String, Removed: true},
	} {
		extra.Number = 900 + i
		p = append(p, extra)
	}
	return crmstore.NewSchema(crmstore.Contact, 1, p)
}

// outcome is what the reading half makes of a file.
type outcome struct {
	Upserts  []string // LINE: ID name=value …
	Findings []string // CODE LINE COLUMN
	Columns  []string // HEADER: USE PROPERTY
	Made     []CreatedProperty
}

// readFile does everything but write: it reads the file as [Import] does, in a dry run that looks nothing up.
func readFile(t testing.TB, r io.Reader, schema *crmstore.Schema, o Options) (outcome, *importer, []*batch) {
	t.Helper()
	o.Object, o.At, o.DryRun = crmstore.Contact, time.Unix(0, 0), true
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	im := &importer{o: o, schema: schema, report: &Report{}, found: findings{keep: o.MaxFindings}, passes: 1}
	var out outcome
	var batches []*batch
	rd, err := im.openTwice(t, r)
	if err != nil {
		t.Fatal(err)
	}
	if rd != nil {
		if err := rd.run(func(b *batch) error { batches = append(batches, b); return nil }); err != nil {
			t.Fatal(err)
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
func (im *importer) openTwice(t testing.TB, r io.Reader) (*reader, error) {
	if im.o.CreateProperties {
		file, done, err := rewindable(r)
		if err != nil {
			return nil, err
		}
		t.Cleanup(done)
		if r, err = im.prepare(t.Context(), file); err != nil || r == nil {
			return nil, err
		}
	}
	rd, l, err := im.open(r)
	if rd != nil {
		im.report.Columns = l.report()
	}
	return rd, err
}

func TestHeader(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		header   string
		o        Options
		columns  []string
		findings []string
	}{
		"names, labels, snake case": {"Record ID,email,Create Date,last_activity_date,LIFECYCLE STAGE", Options{},
			[]string{"Record ID: id", "email: property email", "Create Date: property createdate", "last_activity_date: property notes_last_updated", "LIFECYCLE STAGE: property lifecyclestage"}, nil},
		"id by other names": {"hs_object_id,firstname", Options{}, []string{"hs_object_id: id", "firstname: property firstname"}, nil},
		"id in any case":    {"ID,firstname", Options{}, []string{"ID: id", "firstname: property firstname"}, nil},
		"set by the store":  {"Email,Last Modified Date", Options{}, []string{"Email: property email", "Last Modified Date: ignored"}, nil},
		"id column":         {"Customer,id,Email", Options{IDColumn: "customer"}, []string{"Customer: id", "id: ignored", "Email: property email"}, nil},
		"id column exact":   {"CUSTOMER X,customer x", Options{IDColumn: "customer x"}, nil, []string{"header-twice 1 customer x", "header-unknown 1 CUSTOMER X"}},
		"by e-mail alone":   {"id,Email", Options{IDColumn: "email"}, []string{"id: ignored", "Email: property email"}, nil},
		"spaces":            {` Email ," First Name "`, Options{}, []string{"Email: property email", "First Name: property firstname"}, nil},
		"ignore unknown":    {"Email,Shoe Size,", Options{IgnoreUnknown: true}, []string{"Email: property email", "Shoe Size: ignored", ": ignored"}, nil},
		"create only":       {"First Name", Options{Mode: crmstore.CreateOnly}, []string{"First Name: property firstname"}, nil},

		"unknown":              {"Email,Shoe Size,Fist Name", Options{}, nil, []string{"header-unknown 1 Shoe Size", "header-unknown 1 Fist Name"}},
		"removed":              {"Email,gone", Options{}, nil, []string{"header-unknown 1 gone"}},
		"empty":                {"Email,,firstname", Options{}, nil, []string{"header-empty 1"}},
		"empty, create":        {"Email,", Options{CreateProperties: true}, nil, []string{"header-empty 1"}},
		"twice":                {"Email,email", Options{}, nil, []string{"header-twice 1 email"}},
		"twice unknown":        {"Email,x,X", Options{IgnoreUnknown: true}, nil, []string{"header-twice 1 X"}},
		"one property twice":   {"Email,Create Date,createdate", Options{}, nil, []string{"header-twice 1 createdate"}},
		"ambiguous":            {"Email,Note,note_a", Options{}, nil, []string{"header-ambiguous 1 Note"}},
		"two ids":              {"Record ID,id,Email", Options{}, nil, []string{"id-column 1 id"}},
		"no such id column":    {"Email,Customer", Options{IDColumn: "Custmer", IgnoreUnknown: true}, nil, []string{"id-column 1"}},
		"no key":               {"First Name", Options{}, nil, []string{"no-key-column 1"}},
		"no key, update only":  {"First Name", Options{Mode: crmstore.UpdateOnly}, nil, []string{"no-key-column 1"}},
		"everything at once":   {"x,y,Note,Email,email", Options{}, nil, []string{"header-twice 1 email", "header-unknown 1 x", "header-unknown 1 y", "header-ambiguous 1 Note"}},
		"nul":                  {"E\x00m\x00a\x00i\x00l\x00", Options{}, nil, []string{"header-text 1"}},
		"not utf-8":            {"Email,F\xfcr", Options{}, nil, []string{"header-text 1"}},
		"mac line ends":        {"Email,firstname\rjane@example.com,Jane", Options{}, nil, []string{"header-text 1"}},
		"bare quote":           {"Email,5\" pipe", Options{}, nil, []string{"quote-bare 1"}},
		"open quote":           {"Email,\"first\nname", Options{}, nil, []string{"quote-open 1"}},
		"workbook":             {"PK\x03\x04", Options{}, nil, []string{"file-encoding 0"}},
		"nothing":              {"", Options{}, nil, []string{"file-empty 0"}},
		"nothing but newlines": {"\n\r\n\n", Options{}, nil, []string{"file-empty 0"}},
		"nothing but a bom":    {"\xef\xbb\xbf", Options{}, nil, []string{"file-empty 0"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, file := range []string{c.header, c.header + "\n" + "1,2,3,4,5,6"} {
				if file != c.header && (c.findings == nil || strings.Contains(name, "nothing") || name == "open quote" || name == "mac line ends") {
					continue // the second line is there to show that it is not imported
				}
				got, _, _ := readFile(t, strings.NewReader(file), testSchema(), c.o)
				if diff := cmp.Diff(c.findings, got.Findings); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
				if c.findings == nil {
					if diff := cmp.Diff(c.columns, got.Columns); diff != "" {
						t.Errorf("columns (-want +got):\n%s", diff)
					}
				} else if got.Upserts != nil {
					t.Errorf("imported %q in spite of the header", got.Upserts)
				}
			}
		})
	}
}

// The words of findings, where a person needs more than a place.
func TestHeader_words(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		header string
		o      Options
		want   string
	}{
		"near":       {"Email,Fist Name", Options{}, `line 1: "Fist Name": no property has this name (did you mean First Name? Else make it a property with --create-properties, or leave it out with --ignore-unknown)`},
		"far":        {"Email,Shoe Size", Options{}, `line 1: "Shoe Size": no property has this name (make it a property with --create-properties, or leave it out with --ignore-unknown)`},
		"ambiguous":  {"Email,note", Options{}, `line 1: "note": is the label of several properties: note_a, note_b (write the internal name)`},
		"id column":  {"Email,Customer No", Options{IDColumn: "Custmer No", IgnoreUnknown: true}, `line 1: there is no column "Custmer No" to take record ids from (did you mean Customer No?)`},
		"id columns": {"Record ID,id", Options{}, `line 1: "id": both "Record ID" and "id" may hold the record ids (say which one with --id-column)`},
		"no key":     {"First Name", Options{}, `line 1: no column holds record ids or e-mail addresses (name the column Email, or say with --id-column which one holds record ids; without both, lines can only make new contacts (create-only))`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, im, _ := readFile(t, strings.NewReader(c.header), testSchema(), c.o)
			if len(im.found.list) != 1 || im.found.list[0].String() != c.want {
				t.Errorf("got  %v\nwant %s", im.found.list, c.want)
			}
		})
	}
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
		"values": {"id,Email,First Name,Create Date,Birthday,Lifecycle Stage,Number of Associated Deals,hs_email_optout\n" +
			"1, Jane@Example.com ,\" Jane\r\nx\",1997-01-01,1960-02-29,lead,1.50,Yes\n2,,,,,,,\n", Options{},
			[]string{"1:2 Jane"}, nil},
		"blank lines":    {"id,firstname\n,\n1,a\n\n , \n", Options{}, []string{"3: 1 firstname=a"}, []string{"key-missing 5"}},
		"header only":    {"id,firstname\n", Options{}, nil, nil},
		"bad cells":      {"id,Email,birthday,total_revenue\nx,y,z,w\n1,a@b,2020-01-01,5\n", Options{}, []string{"3: 1 email=a@b birthday=2020-01-01 total_revenue=5"}, []string{"bad-id 2 id", "bad-email 2 Email", "bad-date 2 birthday", "bad-number 2 total_revenue"}},
		"bad ids":        {"id,firstname\n0,a\n-1,a\n1.0,a\n9223372036854775808,a\n٣,a\n 7 ,b\n9223372036854775807,c\n", Options{}, []string{"7: 7 firstname=b", "8: 9223372036854775807 firstname=c"}, []string{"bad-id 2 id", "bad-id 3 id", "bad-id 4 id", "bad-id 5 id", "bad-id 6 id"}},
		"cell count":     {"id,firstname\n1\n2,b\n3,c,d\n", Options{}, []string{"3: 2 firstname=b"}, []string{"cell-count 2", "cell-count 4"}},
		"lines of cells": {"id,firstname,birthday\n1,\"a\nb\",soon\n2,b,2020-01-01\n3,\"\n\n\",\"\n2020-13-01\"\n", Options{}, []string{"4: 2 firstname=b birthday=2020-01-01"}, []string{"bad-date 3 birthday", "bad-date 7 birthday"}},
		"nul":            {"id,firstname\n1,a\x00b\n2,b\n", Options{}, []string{"3: 2 firstname=b"}, []string{"nul-byte 2 firstname"}},
		"not utf-8":      {"id,firstname\n1,a\xffb\n2,b\n", Options{}, []string{"3: 2 firstname=b"}, []string{"bad-text 2 firstname"}},
		"bare quote":     {"id,firstname\n\"1\",5\" pipe\n2,b\n", Options{}, []string{"3: 2 firstname=b"}, []string{"quote-bare 2 firstname"}},
		"open quote":     {"id,firstname\n1,a\n2,\"b\n3,c\n", Options{}, []string{"2: 1 firstname=a"}, []string{"quote-open 3"}},
		"long text":      {"id,firstname\n1," + long + "\n2,b\n", Options{}, []string{"3: 2 firstname=b"}, []string{"text-too-long 2 firstname"}},
		"options":        {"id,lifecyclestage\n1,Sales Qualified Lead\n2,leed\n3,lead;customer\n", Options{}, []string{"2: 1 lifecyclestage=salesqualifiedlead"}, []string{"bad-option 3 lifecyclestage", "bad-option 4 lifecyclestage"}},
		"bools":          {"id,hs_email_optout\n1,1\n2,maybe\n", Options{}, []string{"2: 1 hs_email_optout=true"}, []string{"bad-bool 3 hs_email_optout"}},

		"no key":              {"id,Email,firstname\n,,a\n,  ,b\n1,,c\n,a@b,d\n", Options{}, []string{"4: 1 firstname=c", "5: 0 email=a@b firstname=d"}, []string{"key-missing 2", "key-missing 3"}},
		"no key, create only": {"id,Email,firstname\n,,a\n", Options{Mode: crmstore.CreateOnly}, []string{"2: 0 firstname=a"}, nil},
		"duplicate ids":       {"id,firstname\n1,a\n2,b\n01,c\n", Options{}, []string{"2: 1 firstname=a", "3: 2 firstname=b"}, []string{"duplicate-id 4"}},
		"duplicate e-mails":   {"Email,firstname\na@b,a\n A@B ,b\n", Options{}, []string{"2: 0 email=a@b firstname=a"}, []string{"duplicate-email 3"}},
		"duplicate of a bad line": {"Email,birthday\na@b,never\na@b,2020-01-01\n", Options{}, []string{"3: 0 email=a@b birthday=2020-01-01"},
			[]string{"bad-date 2 birthday"}},
		"duplicate of a duplicate": {"id,Email\n1,a@b\n1,c@d\n2,c@d\n", Options{}, []string{"2: 1 email=a@b", "4: 2 email=c@d"}, []string{"duplicate-id 3"}},
		"duplicates allowed": {"id,Email\n1,a@b\n1,c@d\n2,e@f\n", Options{AllowDuplicates: true},
			[]string{"2: 1 email=a@b", "3: 1 email=c@d", "4: 2 email=e@f"}, nil},
		"ignored cells may be anything": {"id,Last Modified Date,x\n1,never,\"\n\"\n", Options{IgnoreUnknown: true}, []string{"2: 1"}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, im, _ := readFile(t, strings.NewReader(c.file), testSchema(), c.o)
			if name == "values" {
				c.upserts = []string{"2: 1 email=Jane@Example.com firstname= Jane\r\nx createdate=1997-01-01T00:00:00Z birthday=1960-02-29 lifecyclestage=lead num_associated_deals=1.5 hs_email_optout=true", "4: 2"}
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
	_, im, _ := readFile(t, strings.NewReader("id,Email\n1,\"a@b\"\n2,\"c@d\"\n\n1,x@y\n3, C@D\n"), testSchema(), Options{})
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
	file := "id,firstname\n" + strings.Repeat("x,y\n", 200_000)
	_, im, batches := readFile(t, strings.NewReader(file), testSchema(), Options{MaxFindings: 7})
	if len(im.found.list) != 7 || im.found.total != 200_000 || im.found.list[6].Line != 8 {
		t.Errorf("kept %d of %d, the last on line %d; want 7 of 200000, line 8", len(im.found.list), im.found.total, im.found.list[6].Line)
	}
	if len(batches) < 2 {
		t.Errorf("%d batch of findings alone; want several, for progress", len(batches))
	}
}

func TestCreateProperties(t *testing.T) {
	t.Parallel()
	file := "Email,Number of Orders,Zip-Code,Tel.,Card,First Order,Seen,VIP,Nothing,Mixed,Größe,2nd,???,Foo Bar,foo-bar,Code,Paid,Note\n" +
		"a@b, 1 ,01234,+31612345678,1234567890123456,1997-01-01,1997-01-01,TRUE,,1,1,1,1,1,1,1E5,1.50,x\n" +
		"c@d,-20,12345,+31,1,Jan 2 2006,1997-01-01 10:00,false,,x,2,2,2,2,2,2E4,.5,y\n" +
		"bad,x,x,x,x,x,x,x,x,x,x\n" + // the wrong number of cells: does not count
		"e@f,,,,,,,,,,,,,,,,,\n"
	want := []CreatedProperty{
		{"number_of_orders", "Number of Orders", crmstore.Number, 2}, {"zip_code", "Zip-Code", crmstore.String, 2}, {"tel", "Tel.", crmstore.String, 2},
		{"card", "Card", crmstore.String, 2}, {"first_order", "First Order", crmstore.Date, 2}, {"seen", "Seen", crmstore.DateTime, 2}, {"vip", "VIP", crmstore.Bool, 2},
		{"nothing", "Nothing", crmstore.String, 0}, {"mixed", "Mixed", crmstore.String, 2}, {"groe", "Größe", crmstore.Number, 2}, {"p_2nd", "2nd", crmstore.Number, 2},
		{"column_13", "???", crmstore.Number, 2}, {"foo_bar_2", "Foo Bar", crmstore.Number, 2}, {"foo_bar_3", "foo-bar", crmstore.Number, 2},
		{"code", "Code", crmstore.String, 2}, {"paid", "Paid", crmstore.Number, 2},
	}
	schema := testSchema()
	for name, r := range map[string]io.Reader{
		"file": strings.NewReader(strings.ReplaceAll(file, ",Note\n", ",note_a\n")),
		"pipe": io.MultiReader(strings.NewReader(strings.ReplaceAll(file, ",Note\n", ",note_a\n"))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, im, _ := readFile(t, r, schema, Options{CreateProperties: true})
			if diff := cmp.Diff(want, got.Made); diff != "" {
				t.Errorf("made (-want +got):\n%s", diff)
			}
			if len(got.Upserts) != 3 || !strings.Contains(got.Upserts[0], "number_of_orders=1 zip_code=01234 tel=+31612345678 card=1234567890123456 first_order=1997-01-01 seen=1997-01-01T00:00:00Z vip=true mixed=1 groe=1") {
				t.Errorf("upserts %q", got.Upserts)
			}
			if diff := cmp.Diff([]string{"cell-count 4"}, got.Findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for _, p := range im.schema.Properties {
				if !nameIsFine(p.Name) {
					t.Errorf("property name %q is not one the store takes", p.Name)
				}
			}
		})
	}
	if len(schema.Find("number_of_orders")) != 0 {
		t.Error("a dry run changed the schema that it was given")
	}
}

func nameIsFine(name string) bool {
	return name != "" && len(name) <= 100 && name[0] >= 'a' && name[0] <= 'z' && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func TestCreateProperties_dateOrder(t *testing.T) {
	t.Parallel()
	file := "Email,Day\na@b,01/02/2006\nc@d,13/02/2006\n"
	for order, want := range map[DateOrder]crmstore.PropertyType{NoOrder: crmstore.String, MonthDay: crmstore.String, DayMonth: crmstore.Date} {
		got, _, _ := readFile(t, strings.NewReader(file), testSchema(), Options{CreateProperties: true, DateOrder: order})
		if got.Made[0].Type != want || got.Findings != nil {
			t.Errorf("order %q: type %s, findings %v; want %s", order, got.Made[0].Type, got.Findings, want)
		}
	}
}

func TestNewNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		taken := map[string]bool{}
		for i, header := range rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"a", "A", "Ä", "a ", "a_2", "_", "1"})), 1, 8).Draw(t, "headers") {
			name := newName(header, i, taken)
			if !nameIsFine(name) || taken[name] {
				t.Fatalf("header %q becomes %q", header, name)
			}
			taken[name] = true
		}
	})
}

// Whatever the bytes: no panic; every record is taken, refused or blank; nothing of a refused record is taken;
// and a type that was guessed from all values fits each of them.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"id,Email,x\n1,a@b,1\n2,c@d,\n", "Email;New\na@b;1997-01-01\nc@d;\"x\ny\"\n", "id\tbirthday\n1\t2020-02-30\n\n1\t\x00\n2\t\"", "Email,n\na@b,0001-01-01 00:00\n",
		"\xff\xfei\x00d\x00\n\x001\x00\n\x00", "id,n\n1,123456789012345\n2,-0.0\n3,true\n", "id,a,b\n1,Jan 2 2006,1e5\n,,\n1,2\n"} {
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
				if b.upserts[i].ID == 0 && emailOf(&b.upserts[i]) == "" && o.Mode != crmstore.CreateOnly {
					t.Errorf("line %d goes in without saying which record it is", b.lines[i])
				}
				if _, err := crmstore.NewRecord(im.schema, 1, b.upserts[i].Set); err != nil {
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
		im := &importer{o: Options{Object: crmstore.Contact, At: time.Unix(0, 0)}, schema: testSchema(), report: &Report{}}
		if err := im.o.check(); err != nil {
			b.Fatal(err)
		}
		rd, _, err := im.open(bytes.NewReader(file.Bytes()))
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		if err := rd.run(func(x *batch) error { n += len(x.upserts); return nil }); err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
	}
}
