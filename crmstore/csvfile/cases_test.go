package csvfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// importCase imports a file of testdata/cases, as a stream and as a file that can be wound back.
func importCase(t *testing.T, s *crmstore.Store, name string, o csvfile.Options) *csvfile.Report {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "cases", name))
	if err != nil {
		t.Fatal(err)
	}
	return mustImport(t, s, string(text), o)
}

func found(r *csvfile.Report) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.String())
	}
	return strings.Join(all, "\n")
}

func creating(o *csvfile.Options) { o.CreateProperties = true }

// Files that people really have: what can be read in two ways is asked, and nothing is lost without a word.
func TestCases(t *testing.T) {
	t.Parallel()
	type step struct {
		file  string
		o     func(*csvfile.Options)
		tally string
		says  string // in the findings
	}
	none := func(*csvfile.Options) {}
	for name, c := range map[string]struct {
		steps   []step
		columns []string
		want    string // exported
	}{
		"plain id is no key": {
			[]step{{"01a-other-system-ids-first.csv", creating, "2: 2 created 0 updated 0 unchanged 0 refused", ""}, {"01b-other-system-ids-second.csv", creating, "2: 2 created 0 updated 0 unchanged 0 refused", ""}},
			[]string{"email", "firstname", "id"},
			"1,ann@a.example,Ann,1\n2,bob@a.example,Bob,2\n3,xavier@b.example,Xavier,1\n4,yvonne@b.example,Yvonne,2\n",
		},
		"ids of HubSpot": {
			[]step{{"02a-no-ids.csv", none, "2: 2 created 0 updated 0 unchanged 0 refused", ""}, {"02b-hubspot-ids.csv", none, "2: 1 created 0 updated 0 unchanged 1 refused, other-contact 2", "record 1 is ann@a.example, and the line says xavier@b.example"}},
			[]string{"email", "firstname", "city"},
			"1,ann@a.example,Ann,Ulm\n2,bob@a.example,Bob,Kiel\n51,yvonne@b.example,Yvonne,\n",
		},
		"compact timestamps": {
			[]step{{"03-compact-timestamps.csv", none, "3: 2 created 0 updated 0 unchanged 1 refused, bad-date 2", "may be 2026-11-20 10:30 or milliseconds since 1970, which is 1976-06-03"}},
			[]string{"email", "notes_last_updated"},
			"1,active14@x.example,2026-11-20T10:30:00Z\n2,millis@x.example,2026-11-20T10:30:00Z\n",
		},
		"twins": {
			[]step{{"04a-country-header.csv", creating, "1: 1 created 0 updated 0 unchanged 0 refused", ""}, {"04b-country-lowercase.csv", creating, "1: 1 created 0 updated 0 unchanged 0 refused", ""}},
			[]string{"email", "country"},
			"1,ann@x.example,Germany\n2,bob@x.example,Germany\n",
		},
		"plain headers": {
			[]step{{"04c-plain-headers.csv", creating, "1: 1 created 0 updated 0 unchanged 0 refused", ""}, {"company-phone.csv", creating, "1: 1 created 0 updated 0 unchanged 0 refused", ""}},
			[]string{"email", "firstname", "lastname", "company", "phone", "state", "zip", "website"},
			"1,ann@x.example,Ann,Lee,Acme,+49 30 1,BE,10115,https://x.example\n2,x@y.com,,,Acme,123,,,\n",
		},
		"European numbers": {
			[]step{{"06-european-numbers.csv", none, "4: 4 created 0 updated 0 unchanged 0 refused", ""}},
			[]string{"total_revenue"},
			"1,1234\n2,1234.56\n3,12500\n4,850\n",
		},
		"numbers that say nothing": {
			[]step{{"eurev.csv", none, "2: 0 created 0 updated 0 unchanged 2 refused, bad-number 2", `"1.234" can be read in two ways, as 1 more cell of the column (say --decimal point (1,234.5) or --decimal comma (1.234,5))`}},
			[]string{"total_revenue"},
			"",
		},
		"numbers that were explained": {
			[]step{{"eurev.csv", func(o *csvfile.Options) { o.Decimal = csvfile.DecimalComma }, "2: 2 created 0 updated 0 unchanged 0 refused", ""}},
			[]string{"total_revenue"},
			"1,1234\n2,12500\n",
		},
		"zip": {
			[]step{{"07a-zip-first.csv", creating, "2: 2 created 0 updated 0 unchanged 0 refused", ""}, {"07b-zip-leading-zero.csv", none, "1: 1 created 0 updated 0 unchanged 0 refused", ""}},
			[]string{"mailing_zip"},
			"1,94105\n2,10001\n3,02139\n",
		},
		"postal code": {
			[]step{{"zip1.csv", creating, "1: 1 created 0 updated 0 unchanged 0 refused", ""}, {"zip2.csv", none, "2: 2 created 0 updated 0 unchanged 0 refused", ""}},
			[]string{"mailingpostalcode"},
			"1,75001\n2,01067\n3,1234 AB\n",
		},
		"two stray quotes": {
			[]step{{"08-two-stray-quotes.csv", none, "2: 1 created 0 updated 0 unchanged 1 refused, lines-in-cell 2", "holds 3 line breaks, each followed by as many cells as the header"}},
			[]string{"email", "firstname"},
			"1,e@x.example,Eve\n",
		},
		"versions": {
			[]step{{"11-version-numbers.csv", creating, "2: 2 created 0 updated 0 unchanged 0 refused", ""}},
			[]string{"app_version"},
			"1,1.10\n2,1.9\n",
		},
		"no date": {
			[]step{
				{"13-no-date-sentinels.csv", none, "2: 0 created 0 updated 0 unchanged 2 refused, stand-in-date 2", "stands for no date in many systems, as 1 more cell of the column"},
				{"13-no-date-sentinels.csv", func(o *csvfile.Options) { o.StandIns = csvfile.EmptyStandIns }, "2: 2 created 0 updated 0 unchanged 0 refused", ""},
			},
			[]string{"notes_last_updated"},
			"1,\n2,\n",
		},
		"associated companies": {
			[]step{
				{"14-hubspot-with-associations.csv", func(o *csvfile.Options) { o.Source = csvfile.NoSource }, "0: 0 created 0 updated 0 unchanged 0 refused, header-unknown 1, header-unknown 1, header-unknown 1, header-unknown 1", "is about the associated company (leave such columns out with --ignore-unknown)"},
				{"14-hubspot-with-associations.csv", none, "1: 1 created 0 updated 0 unchanged 0 refused", ""},
				{"14-hubspot-with-associations.csv", func(o *csvfile.Options) { o.IgnoreUnknown = true }, "1: 0 created 0 updated 1 unchanged 0 refused", ""},
			},
			[]string{"email", "phone", "company", "createdate"},
			"1415,a@x.example,1,,2024-01-02T03:04:00Z\n",
		},
		"two-digit years": {
			[]step{
				{"15-two-digit-years.csv", none, "1: 0 created 0 updated 0 unchanged 1 refused, bad-date 2", "--date-order"},
				{"15-two-digit-years.csv", func(o *csvfile.Options) { o.DateOrder = csvfile.MonthDay }, "1: 1 created 0 updated 0 unchanged 0 refused", ""},
			},
			[]string{"createdate"},
			"1,2024-05-07T10:26:00Z\n",
		},
		"vCard": {
			[]step{{"16-vcard.csv", creating, "0: 0 created 0 updated 0 unchanged 0 refused, file-encoding 0", "this is a vCard, not a CSV file"}}, []string{"email"}, "",
		},
		"sep": {
			[]step{{"17-sep-line.csv", none, "1: 1 created 0 updated 0 unchanged 0 refused", ""}}, []string{"firstname", "email"}, "1,Ann,a@x.example\n",
		},
		"ids of Salesforce": {
			[]step{
				{"18-salesforce-id.csv", func(o *csvfile.Options) { o.Source = csvfile.NoSource }, "0: 0 created 0 updated 0 unchanged 0 refused, header-unknown 1", "may be the id of another system"},
				{"18-salesforce-id.csv", none, "1: 1 created 0 updated 0 unchanged 0 refused", ""},
			},
			[]string{"salesforce_id", "lastname"},
			"1,003000000000001AAA,Lee\n",
		},
		"dates of which one is clear": {
			[]step{{"mix1.csv", none, "2: 2 created 0 updated 0 unchanged 0 refused", ""}}, []string{"createdate"}, "1,2024-03-25T00:00:00Z\n2,2024-04-03T00:00:00Z\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			for _, step := range c.steps {
				for _, dry := range []bool{true, false} {
					r := importCase(t, s, step.file, options(step.o, func(o *csvfile.Options) { o.DryRun = dry }))
					wantTally(t, r, step.tally)
					if !strings.Contains(found(r), step.says) {
						t.Errorf("%s, dry run %v: findings\n%s\nwant %s", step.file, dry, found(r), step.says)
					}
				}
			}
			_, got, _ := strings.Cut(export(t, s, csvfile.ExportOptions{Properties: c.columns}), "\n")
			if sorted("header\n"+got) != sorted("header\n"+c.want) {
				t.Errorf("the store holds\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// Properties are made only for lines that go in, and their values are counted as they do.
func TestImport_noPropertyForNothing(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	mustImport(t, s, "Record ID,Email\n7,ann@a.example\n", options())
	before := snapshot(t, s)
	for name, file := range map[string]string{
		"cells":  "Email,Shoe Size\nnobody,42\na@b@c,43\n",
		"store":  "Record ID,Email,Shoe Size\n7,xavier@b.example,42\n",
		"broken": "Email,Shoe Size\n\"a@x.example,42\nb@x.example,43\n",
		"empty":  "Email,Shoe Size\n",
	} {
		r := mustImport(t, s, file, options(creating))
		if len(r.CreatedProperties) > 0 || r.Created+r.Updated > 0 {
			t.Errorf("%s: made %v for %s", name, r.CreatedProperties, tally(r))
		}
		schema, err := s.Schema(t.Context(), record.Contact)
		if err != nil {
			t.Fatal(err)
		}
		if len(schema.Find("Shoe Size")) > 0 {
			t.Errorf("%s: the property stayed behind", name)
		}
	}
	if after := snapshot(t, s); before != after {
		t.Errorf("the store changed:\n%s\nwant\n%s", after, before)
	}
	r := mustImport(t, s, "Email,Shoe Size\na@x.example,42\nb@x.example,\nnobody,43\nA@x.example,44\n", options(creating))
	if len(r.CreatedProperties) != 1 || r.CreatedProperties[0].Values != 1 {
		t.Errorf("made %+v, want one property with one value", r.CreatedProperties)
	}
}

// failsOnceMade is a file on a disk that breaks when the property is there.
type failsOnceMade struct {
	*strings.Reader
	store    *crmstore.Store
	property string
	failed   bool
}

func (f *failsOnceMade) Read(p []byte) (int, error) {
	schema, err := f.store.Schema(context.Background(), record.Contact)
	if err != nil {
		return 0, err
	}
	if len(schema.Find(f.property)) > 0 {
		f.failed = true
		return 0, errors.New("disk on fire")
	}
	return f.Reader.Read(p)
}

// An editor who is no super admin may make properties, so what their import made goes as well when no line went in.
func TestImport_editorTakesPropertiesBack(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	ctx := t.Context()
	mustImport(t, s, "Record ID,Email\n7,ann@a.example\n", options())
	if _, err := s.AddUser(ctx, "eve", "", false, record.Cause{}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	grants := crmstore.Grants{Permissions: []crmstore.Permission{crmstore.CanView, crmstore.CanEdit}, Objects: []record.ObjectType{record.Contact}}
	if _, err := s.Grant(ctx, "eve", grants, record.Cause{}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	eve := s.As("eve")
	file := &failsOnceMade{Reader: strings.NewReader("Email,Shoe Size\nbob@b.example,42\n"), store: s, property: "Shoe Size"}
	if _, err := csvfile.Import(ctx, eve, file, options(creating)); err == nil || !file.failed || strings.Contains(err.Error(), "permission") {
		t.Fatalf("the import says %v, and the disk failed: %t", err, file.failed)
	}
	schema, err := s.Schema(ctx, record.Contact)
	if err != nil || len(schema.Find("Shoe Size")) > 0 {
		t.Errorf("the property stayed behind, %v", err)
	}
}

// After a quote that is never closed, every line that was left out is counted.
func TestImport_linesAfterABrokenQuote(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]string{"never closed": "\"Bob", "closed in a cell": "\"Bob\" x"} {
		s := storetest.Open(t)
		file := "Email,firstname\na@x.example,Ann\nb@x.example," + bad + strings.Repeat("\nc@x.example,Cy", 9) + "\n"
		r := mustImport(t, s, file, options())
		wantTally(t, r, "11: 1 created 0 updated 0 unchanged 10 refused, quote-open 3")
		if !strings.Contains(found(r), "10 lines from this one on are left out") {
			t.Errorf("%s: %s", name, found(r))
		}
	}
}

// The store gives ids above those that files may bring along, and reads its own export back.
func TestImport_largeIDs(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	mustImport(t, s, "Record ID,Email\n9007199254740991,a@x.example\n", options())
	mustImport(t, s, "Email\nb@x.example\n", options())
	file := export(t, s, csvfile.ExportOptions{})
	if !strings.Contains(file, "9007199254740992,") {
		t.Fatalf("the second contact has another id:\n%s", file)
	}
	for _, dry := range []bool{true, false} {
		o := options(func(o *csvfile.Options) { o.DryRun = dry })
		wantTally(t, mustImport(t, s, file, o), "2: 0 created 0 updated 2 unchanged 0 refused")
		wantTally(t, mustImport(t, s, "Record ID,Email\n9007199254740993,c@x.example\n", o), "1: 0 created 0 updated 0 unchanged 1 refused, bad-id 2")
	}
}
