package csvfile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

var (
	someone = record.Cause{Actor: "jane", Reason: "import"}
	noon    = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
)

// options are what every import of these tests has in common.
func options(change ...func(*csvfile.Options)) csvfile.Options {
	o := csvfile.Options{Object: record.Contact, Cause: someone, At: noon}
	for _, c := range change {
		c(&o)
	}
	return o
}

func mustImport(tb testing.TB, s *crmstore.Store, file string, o csvfile.Options) *csvfile.Report {
	tb.Helper()
	r, err := csvfile.Import(tb.Context(), s, strings.NewReader(file), o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// tally is a report in short: created/updated/unchanged/refused, then the findings as CODE LINE.
func tally(r *csvfile.Report) string {
	s := fmt.Sprintf("%d: %d created %d updated %d unchanged %d refused", r.Lines, r.Created, r.Updated, r.Unchanged, r.Refused)
	for _, f := range r.Findings {
		s += fmt.Sprintf(", %s %d", f.Code, f.Line)
	}
	return s
}

func wantTally(tb testing.TB, r *csvfile.Report, want string) {
	tb.Helper()
	if got := tally(r); got != want {
		tb.Errorf("got  %s\nwant %s\n%v", got, want, r.Findings)
	}
}

// export is the whole store as CSV.
func export(tb testing.TB, s *crmstore.Store, o csvfile.ExportOptions) string {
	tb.Helper()
	if o.Object == "" {
		o.Object = record.Contact
	}
	var out strings.Builder
	if _, err := csvfile.Export(tb.Context(), s, &out, o); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

// snapshot is all that an import could change, except the order of events.
func snapshot(tb testing.TB, s *crmstore.Store) string {
	tb.Helper()
	schema, err := s.Schema(tb.Context(), record.Contact)
	if err != nil {
		tb.Fatal(err)
	}
	lists, err := s.Lists(tb.Context(), record.Contact)
	if err != nil {
		tb.Fatal(err)
	}
	events := 0
	if err := s.Audit(tb.Context(), crmstore.AuditFilter{}, func(record.Event) error { events++; return nil }); err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprint(schema.Version, lists, events, "\n", export(tb, s, csvfile.ExportOptions{}), export(tb, s, csvfile.ExportOptions{Archived: true}))
}

func both(t *testing.T, test func(t *testing.T, s *crmstore.Store)) {
	t.Run("redis", func(t *testing.T) { t.Parallel(); test(t, storetest.Open(t)) })
	t.Run("memory", func(t *testing.T) { t.Parallel(); test(t, storetest.Memory(t)) })
}

func TestImport(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *crmstore.Store) {
		file := "Record ID,Email,First Name,Create Date,Last Modified Date,Lifecycle Stage,Total Revenue\r\n" +
			"7,jane@example.com,\"Jane\r\nAnn\",1997-01-01,2001-01-01,Lead,11.77\r\n" +
			"8,john@example.com,John,,,,\r\n" +
			",mary@example.com,Mary,1997-02-03 04:05,,customer,0\r\n"
		r := mustImport(t, s, file, options())
		wantTally(t, r, "3: 3 created 0 updated 0 unchanged 0 refused")
		want := []csvfile.Column{
			{Header: "Record ID", Use: csvfile.UseID},
			{Header: "Email", Use: csvfile.UseProperty, Property: "email"},
			{Header: "First Name", Use: csvfile.UseProperty, Property: "firstname"},
			{Header: "Create Date", Use: csvfile.UseProperty, Property: "createdate"},
			{Header: "Last Modified Date", Use: csvfile.UseIgnored, Note: "lastmodifieddate is set by the store alone"},
			{Header: "Lifecycle Stage", Use: csvfile.UseProperty, Property: "lifecyclestage"},
			{Header: "Total Revenue", Use: csvfile.UseProperty, Property: "total_revenue"},
		}
		if diff := cmp.Diff(want, r.Columns); diff != "" {
			t.Errorf("columns (-want +got):\n%s", diff)
		}
		mary, err := s.FindByEmail(t.Context(), "mary@example.com")
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range map[record.ID]map[string]string{
			7: {
				"email": "jane@example.com", "firstname": "Jane\r\nAnn", "createdate": "1997-01-01T00:00:00Z", "lastmodifieddate": "2026-03-04T12:00:00Z",
				"lifecyclestage": "lead", "total_revenue": "11.77",
			},
			8: {"email": "john@example.com", "firstname": "John", "createdate": "2026-03-04T12:00:00Z", "lastmodifieddate": "2026-03-04T12:00:00Z"},
			mary: {
				"email": "mary@example.com", "firstname": "Mary", "createdate": "1997-02-03T04:05:00Z", "lastmodifieddate": "2026-03-04T12:00:00Z",
				"lifecyclestage": "customer", "total_revenue": "0",
			},
		} {
			if diff := cmp.Diff(want, values(t, s, id)); diff != "" {
				t.Errorf("contact %d (-want +got):\n%s", id, diff)
			}
		}

		before := snapshot(t, s)
		wantTally(t, mustImport(t, s, file, options(func(o *csvfile.Options) { o.At = noon.Add(time.Hour) })), "3: 0 created 0 updated 3 unchanged 0 refused")
		if diff := cmp.Diff(before, snapshot(t, s)); diff != "" {
			t.Errorf("importing again changed the store (-before +after):\n%s", diff)
		}

		// By e-mail in any case; an empty cell leaves the value as it is.
		change := "EMAIL;firstname;lifecyclestage\nMARY@example.com;Maria;\njohn@example.com;;\n"
		wantTally(t, mustImport(t, s, change, options()), "2: 0 created 1 updated 1 unchanged 0 refused")
		if got := values(t, s, mary); got["firstname"] != "Maria" || got["lifecyclestage"] != "customer" || got["email"] != "mary@example.com" {
			t.Errorf("after the change: %v", got)
		}
	})
}

// values are a record's values by internal name.
func values(tb testing.TB, s *crmstore.Store, id record.ID) map[string]string {
	tb.Helper()
	recs, err := s.Get(tb.Context(), record.Contact, []record.ID{id})
	if err != nil || len(recs) != 1 {
		tb.Fatalf("contact %s: %d found, %v", id, len(recs), err)
	}
	got := map[string]string{}
	recs[0].Values(func(p *record.Property, v record.Value) { got[p.Name] = v.String() })
	return got
}

// What the store refuses is a finding with its line, and a dry run foresees it.
func TestImport_refused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode crmstore.WriteMode
		file string
		want string
	}{
		"upsert": {
			crmstore.UpsertAny, "Record ID,Email,firstname\n1,,One\n2,,Two\n3,one@example.com,Three\n,two@example.com,New\n,one@example.com,Uno\n4,four@example.com,Four\n",
			"6: 2 created 1 updated 0 unchanged 3 refused, in-bin 3, email-taken 4, duplicate-email 6",
		},
		"create only": {
			crmstore.CreateOnly, "Record ID,Email,firstname\n1,,One\n2,,Two\n3,,Three\n,one@example.com,Uno\n,four@example.com,Four\n,,Nobody\n",
			"6: 3 created 0 updated 0 unchanged 3 refused, there-already 2, in-bin 3, email-taken 5",
		},
		"update only": {
			crmstore.UpdateOnly, "Record ID,Email,firstname\n1,,one\n2,,Two\n3,,Three\n,one@example.com,Uno\n,two@example.com,Dos\n",
			"5: 0 created 1 updated 1 unchanged 3 refused, in-bin 3, not-there 4, not-there 6",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			mustImport(t, s, "Record ID,Email,firstname\n1,one@example.com,one\n2,two@example.com,two\n", options())
			archive(t, s, 2)
			o := options(func(o *csvfile.Options) { o.Mode, o.DryRun, o.TrustIDs = c.mode, true, true })
			before := snapshot(t, s)
			wantTally(t, mustImport(t, s, c.file, o), c.want)
			if diff := cmp.Diff(before, snapshot(t, s)); diff != "" {
				t.Errorf("the dry run changed the store (-before +after):\n%s", diff)
			}
			o.DryRun = false
			wantTally(t, mustImport(t, s, c.file, o), c.want)
		})
	}
}

// A line changes the contact that has its id only where both have the same e-mail address, unless the ids are trusted.
func TestImport_idsOfAnotherSystem(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	people := "Email,firstname,City\nann@a.example,Ann,Ulm\nbob@a.example,Bob,Kiel\n"
	wantTally(t, mustImport(t, s, people, options()), "2: 2 created 0 updated 0 unchanged 0 refused")
	mustImport(t, s, "firstname\nNobody\n", options(func(o *csvfile.Options) { o.Mode = crmstore.CreateOnly }))
	before := snapshot(t, s)
	file := "Record ID,firstname,Email\n1,Xavier,xavier@b.example\n2,Yvonne,\n3,Zoe,zoe@b.example\n1,Ann,ANN@A.example\n"
	want := "4: 0 created 0 updated 1 unchanged 3 refused, other-contact 2, other-contact 3, other-contact 4"
	for _, dry := range []bool{true, false} {
		r := mustImport(t, s, file, options(func(o *csvfile.Options) { o.DryRun, o.AllowDuplicates = dry, true }))
		wantTally(t, r, want)
		for i, says := range []string{
			"record 1 is ann@a.example, and the line says xavier@b.example", "record 2 is bob@a.example, and the line has no e-mail address",
			"record 3 has no e-mail address, and the line says zoe@b.example",
		} {
			if r.Findings[i].Message != says || !strings.Contains(r.Findings[i].Help, "--trust-ids") {
				t.Errorf("dry run %v: %v; want %s", dry, r.Findings[i], says)
			}
		}
		if diff := cmp.Diff(before, snapshot(t, s)); diff != "" {
			t.Fatalf("dry run %v: ids of another system changed the store (-before +after):\n%s", dry, diff)
		}
	}
	file = strings.TrimSuffix(file, "1,Ann,ANN@A.example\n")
	for _, dry := range []bool{true, false} {
		r := mustImport(t, s, file, options(func(o *csvfile.Options) { o.DryRun, o.TrustIDs = dry, true }))
		wantTally(t, r, "3: 0 created 3 updated 0 unchanged 0 refused")
		if r.Moved != 1 {
			t.Errorf("dry run %v: %d addresses changed, want 1", dry, r.Moved)
		}
	}
}

func archive(tb testing.TB, s *crmstore.Store, id record.ID) {
	tb.Helper()
	recs, err := s.Get(tb.Context(), record.Contact, []record.ID{id})
	if err != nil || len(recs) != 1 {
		tb.Fatalf("contact %s: %d found, %v", id, len(recs), err)
	}
	n, err := s.Partitions(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	order := crmstore.ArchiveOrder{Object: record.Contact, Cause: someone, At: noon}
	out, err := s.Archive(tb.Context(), order, []crmstore.Archive{{Partition: id.Partition(n), Targets: []crmstore.Target{{ID: id, Slot: recs[0].Slot, Version: recs[0].Version}}}})
	if err != nil || out[0][0] != crmstore.Archived {
		tb.Fatalf("archive %s: %v, %v", id, out, err)
	}
}

// Nothing of a file goes in when its header is wrong, and a bad line does not hold up the others.
func TestImport_findings(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	before := snapshot(t, s)
	r := mustImport(t, s, "Record ID,Shoe Size\n1,2\n", options(func(o *csvfile.Options) { o.List = "keep" }))
	wantTally(t, r, "0: 0 created 0 updated 0 unchanged 0 refused, header-unknown 1")
	if diff := cmp.Diff(before, snapshot(t, s)); diff != "" {
		t.Errorf("a wrong header changed the store (-before +after):\n%s", diff)
	}
	r = mustImport(t, s, "Record ID,Email,birthday\n1,a@b\n", options(func(o *csvfile.Options) { o.CreateProperties, o.IDColumn = true, "nope" }))
	wantTally(t, r, "0: 0 created 0 updated 0 unchanged 0 refused, id-column 1")
	if diff := cmp.Diff(before, snapshot(t, s)); diff != "" {
		t.Errorf("a wrong header with new properties changed the store (-before +after):\n%s", diff)
	}
	r = mustImport(t, s, "Record ID,Email,closedate\n1,a@b,2020-01-01\n2,a@b,\n3,c@d,2020-13-01\n4,e@f,2020-01-01\n5,\"g@h\n", options())
	wantTally(t, r, "5: 2 created 0 updated 0 unchanged 3 refused, duplicate-email 3, bad-date 4, quote-open 6")
	if r.FindingsTotal != 3 || r.LastLine != 6 {
		t.Errorf("%d findings, last line %d; want 3 and 6", r.FindingsTotal, r.LastLine)
	}
	if got := export(t, s, csvfile.ExportOptions{Properties: []string{"email", "closedate"}}); strings.Contains(got, "c@d") || strings.Contains(got, "g@h") || !strings.Contains(got, "4,e@f,2020-01-01T00:00:00Z\n") {
		t.Errorf("the store holds\n%s", got)
	}
}

func TestImport_allowDuplicates(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	file := "Record ID,Email,firstname,lastname\n1,a@b,One,X\n,A@b,Two,\n1,,Three,\n2,c@d,Other,\n"
	o := options(func(o *csvfile.Options) { o.AllowDuplicates, o.DryRun, o.TrustIDs = true, true, true })
	wantTally(t, mustImport(t, s, file, o), "4: 2 created 2 updated 0 unchanged 0 refused")
	o.DryRun = false
	wantTally(t, mustImport(t, s, file, o), "4: 2 created 2 updated 0 unchanged 0 refused")
	want := "Record ID,email,firstname,lastname\n1,a@b,Three,X\n2,c@d,Other,\n"
	if got := sorted(export(t, s, csvfile.ExportOptions{Properties: []string{"email", "firstname", "lastname"}})); got != sorted(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Companies have no e-mail: they are known by their id, or made anew.
func TestImport_companies(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	o := options(func(o *csvfile.Options) {
		o.Object, o.Mode, o.DryRun, o.AllowDuplicates = record.Company, crmstore.CreateOnly, true, true
	})
	file := "Company name,Company Domain Name\nAcme,acme.example\nAcme Two,acme.example\n"
	wantTally(t, mustImport(t, s, file, o), "2: 2 created 0 updated 0 unchanged 0 refused")
	o.DryRun = false
	wantTally(t, mustImport(t, s, file, o), "2: 2 created 0 updated 0 unchanged 0 refused")
	o.Mode = crmstore.UpsertAny
	wantTally(t, mustImport(t, s, file, o), "0: 0 created 0 updated 0 unchanged 0 refused, no-key-column 1")
}

func TestImport_createProperties(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *crmstore.Store) {
		file := "Record ID,Email,Number of Orders,Postal code 2,First Order\n1,a@b,3,01234,1997-01-01\n2,c@d,12,,1998-02-03\n"
		o := options(func(o *csvfile.Options) { o.CreateProperties, o.DryRun = true, true })
		before := snapshot(t, s)
		dry := mustImport(t, s, file, o)
		if diff := cmp.Diff(before, snapshot(t, s)); diff != "" {
			t.Errorf("the dry run changed the store (-before +after):\n%s", diff)
		}
		o.DryRun = false
		r := mustImport(t, s, file, o)
		if diff := cmp.Diff(r, dry, cmpopts.IgnoreFields(csvfile.Report{}, "DryRun")); diff != "" {
			t.Errorf("the dry run reports otherwise than the import (-import +dry run):\n%s", diff)
		}
		wantTally(t, r, "2: 2 created 0 updated 0 unchanged 0 refused")
		want := []csvfile.CreatedProperty{
			{Name: "number_of_orders", Label: "Number of Orders", Type: record.Number, Values: 2},
			{Name: "postal_code_2", Label: "Postal code 2", Type: record.String, Values: 1},
			{Name: "first_order", Label: "First Order", Type: record.Date, Values: 2},
		}
		if diff := cmp.Diff(want, r.CreatedProperties); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
		if c := r.Columns[2]; c.Use != csvfile.UseCreated || c.Property != "number_of_orders" {
			t.Errorf("column %+v, want one that was created", c)
		}
		if got := values(t, s, 2); got["number_of_orders"] != "12" || got["first_order"] != "1998-02-03" {
			t.Errorf("contact 2: %v", got)
		}
		again := mustImport(t, s, file, o)
		wantTally(t, again, "2: 0 created 0 updated 2 unchanged 0 refused")
		if len(again.CreatedProperties) != 0 {
			t.Errorf("importing again creates %v", again.CreatedProperties)
		}
	})
}

func TestImport_list(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	o := options(func(o *csvfile.Options) { o.List = "keep" })
	if r := mustImport(t, s, "Record ID,firstname\n1,a\n2,b\nx,c\n", o); r.Listed != 2 {
		t.Errorf("%d listed, want 2", r.Listed)
	}
	if r := mustImport(t, s, "Record ID,firstname\n2,b\n3,c\n", o); r.Listed != 1 || r.Unchanged != 1 {
		t.Errorf("%d listed, %d unchanged; want 1 and 1", r.Listed, r.Unchanged)
	}
	lists, err := s.Lists(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	l, ok := lists["keep"]
	if !ok {
		t.Fatalf("lists %v, want keep", lists)
	}
	n, err := s.Partitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	members := 0
	err = s.ReadColumns(t.Context(), record.Contact, 0, n, crmstore.Want{Lists: []int{l.Number}}, func(c *crmstore.Columns) error {
		for slot := range 8 * len(c.Lists[0]) {
			if c.Lists[0][slot/8]&(0x80>>(slot%8)) != 0 {
				members++
			}
		}
		return nil
	})
	if err != nil || members != 3 {
		t.Errorf("%d members, %v; want 3", members, err)
	}
}

func TestImport_usage(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	for name, o := range map[string]csvfile.Options{
		"no object":     {At: noon},
		"no instant":    {Object: record.Contact},
		"contradiction": options(func(o *csvfile.Options) { o.CreateProperties, o.IgnoreUnknown = true, true }),
		"date order":    options(func(o *csvfile.Options) { o.DateOrder = "ydm" }),
	} {
		if r, err := csvfile.Import(t.Context(), s, strings.NewReader("id\n1\n"), o); err == nil || r != nil {
			t.Errorf("%s: report %v, error %v; want an error alone", name, r, err)
		}
	}
	if _, err := csvfile.Import(t.Context(), storetest.OpenEmpty(t), strings.NewReader("id\n1\n"), options()); !errors.Is(err, record.ErrNoAccount) {
		t.Errorf("without an account: %v", err)
	}
}
