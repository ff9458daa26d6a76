package csvfile_test

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// Each export goes in with at most one flag, and what is in the store is what an independent reader finds in each cell.
func TestImport_exports(t *testing.T) {
	t.Parallel()
	dayFirst := func(o *csvfile.Options) { o.DateOrder = csvfile.DayMonth }
	none := func(*csvfile.Options) {}
	for file, c := range map[string]struct {
		source  string
		decoder encoding.Encoding
		comma   rune
		flag    func(*csvfile.Options)
		lines   int
		ignored []string // headers whose cells are not kept as they are
	}{
		"hubspot":               {"hubspot", encoding.Nop, ',', creating, 40, []string{"Associated Company IDs", "Associated Deal IDs"}},
		"hubdup":                {"hubspot", encoding.Nop, ',', none, 1, nil},
		"salesforce-dataloader": {"salesforce", encoding.Nop, ',', none, 20, []string{"IsDeleted"}},
		"salesforce-report":     {"salesforce", charmap.ISO8859_1, ',', dayFirst, 10, nil},
		"mailchimp":             {"mailchimp", encoding.Nop, ',', none, 20, nil},
		"mailchimp-unsub":       {"mailchimp", encoding.Nop, ',', none, 20, nil},
		"google":                {"google", encoding.Nop, ',', none, 15, nil},
		"outlook":               {"outlook", unicode.UTF8BOM, ',', none, 15, nil},
		"eu-german-cp1252":      {"", charmap.Windows1252, ';', creating, 15, nil},
		"eu-semi-utf8":          {"", unicode.UTF8BOM, ';', creating, 15, nil},
		"eu-utf16-tab":          {"", unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM), '\t', creating, 15, nil},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("testdata", "exports", file+".csv"))
			if err != nil {
				t.Fatal(err)
			}
			s := storetest.Open(t)
			r := mustImport(t, s, string(text), options(c.flag))
			if r.FindingsTotal > 0 || r.Created != c.lines || r.Source != c.source {
				t.Fatalf("%s from %q, findings %v; want %d created from %q", tally(r), r.Source, r.Findings, c.lines, c.source)
			}
			again := mustImport(t, s, string(text), options(c.flag))
			if again.FindingsTotal > 0 || again.Unchanged != c.lines || len(again.CreatedProperties) > 0 {
				t.Errorf("again: %s, made %v; want nothing to change", tally(again), again.CreatedProperties)
			}
			plain, err := c.decoder.NewDecoder().Bytes(text)
			if err != nil {
				t.Fatal(err)
			}
			compareCells(t, s, r, independent(t, plain, c.comma), c.ignored)
		})
	}
}

// independent is a file as encoding/csv reads it, without what ends it.
func independent(t *testing.T, text []byte, comma rune) [][]string {
	t.Helper()
	in := csv.NewReader(bytes.NewReader(text))
	in.Comma, in.FieldsPerRecord = comma, -1
	rows, err := in.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(rows, func(row []string) bool { return len(row) != len(rows[0]) || strings.Join(row, "") == "" })
}

// compareCells compares every cell with the property that the report names for its column.
func compareCells(t *testing.T, s *crmstore.Store, r *csvfile.Report, rows [][]string, ignored []string) {
	t.Helper()
	schema, err := s.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	key := slices.IndexFunc(r.Columns, func(c csvfile.Column) bool { return c.Property == "email" })
	emails := make([]string, len(rows)-1)
	for i, row := range rows[1:] {
		first, _, _ := strings.Cut(row[key], ":::")
		emails[i] = strings.ToLower(strings.TrimSpace(first))
	}
	ids, err := s.FindByEmails(t.Context(), emails)
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.Get(t.Context(), record.Contact, ids)
	if err != nil || len(records) != len(emails) {
		t.Fatalf("%d contacts of %d lines, %v", len(records), len(emails), err)
	}
	byID := make(map[record.ID]*record.Record)
	for _, x := range records {
		byID[x.ID] = x
	}
	compared := 0
	for i, row := range rows[1:] {
		x := byID[ids[i]]
		for j, cell := range row {
			column := r.Columns[j]
			if column.Header != strings.TrimSpace(rows[0][j]) {
				t.Fatalf("column %d is %q, want %q", j, column.Header, rows[0][j])
			}
			switch p := schema.Named(column.Property); {
			case column.Use == csvfile.UseID:
				if x.ID.String() != cell {
					t.Errorf("line %d: the contact has id %s, want %s", i+2, x.ID, cell)
				}
			case p == nil:
				if cell != "" && !slices.Contains(ignored, column.Header) {
					t.Fatalf("line %d: %q of column %q is lost: %+v", i+2, cell, column.Header, column)
				}
			default:
				if got, want := strings.ReplaceAll(x.Value(p.Number).String(), "\r\n", "\n"), meant(t, p, cell); got != want {
					t.Errorf("line %d, column %q: %s is %q, want %q", i+2, column.Header, p.Name, got, want)
				}
				compared++
			}
		}
	}
	if compared < 5*len(emails) {
		t.Errorf("only %d cells were compared", compared)
	}
}

var (
	notInNumbers = regexp.MustCompile(`[^0-9.,-]`)
	isDecimal    = regexp.MustCompile(`[.,]([0-9]{1,2}|[0-9]{4,})$`)
)

// meant is what a cell says, read in another way than the import does.
func meant(t *testing.T, p *record.Property, cell string) string {
	t.Helper()
	trimmed := strings.TrimSpace(cell)
	switch {
	case trimmed == "" || trimmed == "0/0/00":
		return ""
	case p.Name == "email":
		first, _, _ := strings.Cut(trimmed, ":::")
		return strings.ToLower(strings.TrimSpace(first))
	case p.Type == record.Number:
		digits, fraction := notInNumbers.ReplaceAllString(trimmed, ""), ""
		if at := isDecimal.FindStringIndex(digits); at != nil {
			digits, fraction = digits[:at[0]], "."+digits[at[0]+1:]
		}
		n, err := strconv.ParseFloat(strings.NewReplacer(".", "", ",", "").Replace(digits)+fraction, 64)
		if err != nil {
			t.Fatal(err)
		}
		return strconv.FormatFloat(n, 'f', -1, 64)
	case p.Type == record.Bool:
		return strconv.FormatBool(slices.Contains([]string{"1", "true", "yes"}, strings.ToLower(trimmed)))
	case p.Type == record.Date || p.Type == record.DateTime:
		for _, layout := range []string{
			"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2/1/2006", "02.01.2006 15:04", "2006-01-02T15:04:05.000Z0700", "2006-01-02T15:04:05.000-0700",
		} {
			if at, err := time.Parse(layout, trimmed); err == nil && p.Type == record.Date {
				return at.Format(time.DateOnly)
			} else if err == nil {
				return at.UTC().Format(time.RFC3339)
			}
		}
		t.Fatalf("no date: %q", trimmed)
	case p.Type == record.Enumeration:
		for _, o := range p.Options {
			plain := strings.ReplaceAll(strings.ToLower(o.Value), "_", " ")
			if strings.EqualFold(o.Label, trimmed) || plain == strings.ToLower(trimmed) {
				return o.Value
			}
		}
	}
	return cell
}

// What the tables of sources promise beyond one property for one column.
func TestImport_sources(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file    string
		o       func(*csvfile.Options)
		tally   string
		source  string
		columns []string
		want    string
	}{
		"Mailchimp opt-outs": {
			"Email Address,MEMBER_RATING,UNSUB_TIME\na@x.example,3,2024-02-11 08:00:00\nb@x.example,2,\n", func(*csvfile.Options) {}, "2: 2 created 0 updated 0 unchanged 0 refused", "mailchimp",
			[]string{"hs_email_optout", "hs_email_optout_date"},
			"1,true,2024-02-11T08:00:00Z\n2,,\n",
		},
		"Mailchimp cleaned": {
			"Email Address,CLEAN_TIME\na@x.example,2024-02-11 08:00:00\n", func(*csvfile.Options) {}, "1: 1 created 0 updated 0 unchanged 0 refused", "mailchimp",
			[]string{"hs_email_bad_address"},
			"1,true\n",
		},
		"Google, several addresses": {
			"First Name,Labels,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Value\nAnn,,,a@x.example ::: b@x.example ::: c@x.example,d@x.example\n", func(*csvfile.Options) {},
			"1: 1 created 0 updated 0 unchanged 0 refused", "google",
			[]string{"email", "other_emails", "google_e_mail_2_value"},
			"1,a@x.example,b@x.example; c@x.example,d@x.example\n",
		},
		"Google, older": {
			"Name,Given Name,Family Name,Group Membership,E-mail 1 - Type,E-mail 1 - Value,Organization 1 - Name,Phone 1 - Value\nAnn Lee,Ann,Lee,* My,Work,a@x.example,Acme,+1 5\n",
			func(*csvfile.Options) {}, "1: 1 created 0 updated 0 unchanged 0 refused", "google",
			[]string{"firstname", "lastname", "company", "phone"},
			"1,Ann,Lee,Acme,+1 5\n",
		},
		"Outlook, no date": {
			"First Name,Title,E-mail Address,E-mail 2 Address,Birthday,Business Phone\nAnn,Ms.,a@x.example,,0/0/00,7\nBob,Mr.,b@x.example,,3/25/1980,8\n", func(*csvfile.Options) {},
			"2: 2 created 0 updated 0 unchanged 0 refused", "outlook",
			[]string{"birthdate", "salutation", "phone"},
			"1,,Ms.,7\n2,1980-03-25,Mr.,8\n",
		},
		"Salesforce, deleted there": {
			"Id,IsDeleted,LastName,Email\n003A,true,Lee,a@x.example\n003B,false,Ray,b@x.example\n", func(*csvfile.Options) {}, "1: 1 created 0 updated 0 unchanged 0 refused", "salesforce",
			[]string{"salesforce_id", "lastname"},
			"1,003B,Ray\n",
		},
		"Salesforce in capitals": {
			"ID,LASTNAME,EMAIL,OWNERID\n003B,Ray,b@x.example,005\n", func(*csvfile.Options) {}, "1: 1 created 0 updated 0 unchanged 0 refused", "salesforce",
			[]string{"salesforce_id", "lastname", "salesforce_owner_id"},
			"1,003B,Ray,005\n",
		},
		"Salesforce leads": {
			"Lead Owner,Last Name,Email,Lead Status,Company / Account\nEve,Ray,b@x.example,Open - Not Contacted,Acme\n", func(*csvfile.Options) {}, "1: 1 created 0 updated 0 unchanged 0 refused", "salesforce",
			[]string{"hubspot_owner_id", "hs_lead_status", "company"},
			"1,Eve,OPEN,Acme\n",
		},
		"HubSpot, twins": {
			"Record ID,Email,Email hard bounce reason,Email hard bounce reason\n7,a@x.example,550 no such user,Unknown user\n", func(*csvfile.Options) {}, "1: 1 created 0 updated 0 unchanged 0 refused", "hubspot",
			[]string{"hs_email_hard_bounce_reason", "hs_email_hard_bounce_reason_enum"},
			"7,550 no such user,UNKNOWN_USER\n",
		},
		"HubSpot, twins the other way": {
			"Record ID,Email,Email hard bounce reason,Email hard bounce reason\n7,a@x.example,Unknown user,550 no such user\n", func(*csvfile.Options) {}, "1: 1 created 0 updated 0 unchanged 0 refused", "hubspot",
			[]string{"hs_email_hard_bounce_reason", "hs_email_hard_bounce_reason_enum"},
			"7,550 no such user,UNKNOWN_USER\n",
		},
		"HubSpot, one of the twins": {
			"Record ID,Email,Email hard bounce reason\n7,a@x.example,550 no such user\n", func(*csvfile.Options) {}, "1: 1 created 0 updated 0 unchanged 0 refused", "hubspot",
			[]string{"hs_email_hard_bounce_reason", "hs_email_hard_bounce_reason_enum"},
			"7,550 no such user,\n",
		},
		"HubSpot, twins of the account's own": {
			"Record ID,Email,Lead Status,Hobby,Hobby\n7,a@x.example,,Golf,Chess\n", creating, "1: 1 created 0 updated 0 unchanged 0 refused", "hubspot",
			[]string{"hobby", "hobby_2"},
			"7,Golf,Chess\n",
		},
		"HubSpot, older ids": {
			"Contact ID,Email,Lifecycle Stage,Original Source\n7,a@x.example,lead,social media\n", func(*csvfile.Options) {}, "1: 1 created 0 updated 0 unchanged 0 refused", "hubspot",
			[]string{"lifecyclestage", "hs_analytics_source"},
			"7,lead,SOCIAL_MEDIA\n",
		},
		"HubSpot, internal names": {
			"hs_object_id,email,lifecyclestage,hs_persona\n7,a@x.example,lead,persona_1\n", func(*csvfile.Options) {}, "1: 1 created 0 updated 0 unchanged 0 refused", "hubspot",
			[]string{"lifecyclestage", "hs_persona"},
			"7,lead,persona_1\n",
		},
		"none": {
			"Email Address,MEMBER_RATING,UNSUB_TIME\na@x.example,3,2024-02-11 08:00:00\n", func(o *csvfile.Options) {
				o.Source, o.CreateProperties, o.Mode = csvfile.NoSource, true, crmstore.CreateOnly
			},
			"1: 1 created 0 updated 0 unchanged 0 refused", "",
			[]string{"hs_email_optout", "member_rating", "unsub_time"},
			"1,,3,2024-02-11T08:00:00Z\n",
		},
		"said": {
			"Email,NOTES\na@x.example,hi\n", func(o *csvfile.Options) { o.Source = "mailchimp" }, "1: 1 created 0 updated 0 unchanged 0 refused", "mailchimp", []string{"mailchimp_notes"}, "1,hi\n",
		},
		"mapped": {
			"E-mail 1 - Value,Vorname,Umsatz,Nein,X,X\na@x.example,Ann,\"1,5\",no,first,second\n", func(o *csvfile.Options) {
				o.Map = map[string]string{"e-mail 1 - value": "Email", "Vorname": "firstname", "UMSATZ": "Total Revenue", "nein": "", "X#2": "city", "X": "country"}
			}, "1: 1 created 0 updated 0 unchanged 0 refused", "google", []string{"firstname", "total_revenue", "city", "country"}, "1,Ann,1.5,second,first\n",
		},
		"mapped to a new property": {
			"Email,Hut\na@x.example,7\n", func(o *csvfile.Options) { o.Map, o.CreateProperties = map[string]string{"Hut": "Hat Size"}, true }, "1: 1 created 0 updated 0 unchanged 0 refused", "",
			[]string{"hat_size"},
			"1,7\n",
		},
		"mapped to nothing": {
			"Email,Hut\na@x.example,7\n", func(o *csvfile.Options) { o.Map = map[string]string{"Hut": "hatsize", "Hat": "x"} }, "0: 0 created 0 updated 0 unchanged 0 refused, header-unknown 1, header-unknown 1", "",
			[]string{"email"},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			r := mustImport(t, s, c.file, options(c.o))
			wantTally(t, r, c.tally)
			if r.FindingsTotal == 0 && r.Source != c.source {
				t.Errorf("taken for %q, want %q", r.Source, c.source)
			}
			_, got, _ := strings.Cut(sorted(export(t, s, csvfile.ExportOptions{Properties: c.columns})), "\n")
			if got != c.want {
				t.Errorf("the store holds\n%s\nwant\n%s", got, c.want)
			}
			if r.FindingsTotal == 0 {
				if again := mustImport(t, s, c.file, options(c.o, func(o *csvfile.Options) { o.Mode = crmstore.UpsertAny })); c.source != "" && (again.Unchanged != r.Created || len(again.CreatedProperties) > 0) {
					t.Errorf("again: %s, made %v", tally(again), again.CreatedProperties)
				}
			}
		})
	}
}

// Associated records that are here are associated, and the others are counted and named.
func TestImport_associations(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	company := options(func(o *csvfile.Options) { o.Object = record.Company })
	mustImport(t, s, "Record ID,name\n9001,Firm\n9002,Farm\n", company)
	file := "Record ID,Email,Associated Company,Associated Company IDs,Associated Deal IDs\n1,a@x.example,Firm,9001;9002,\n2,b@x.example,,9001; 9003,701\n"
	for i, want := range []int{3, 0} {
		r := mustImport(t, s, file, options())
		if r.FindingsTotal > 0 || r.Associated != want || r.Unassociated != 2 || strings.Join(r.NotHere, ", ") != "company 9003, deal 701" {
			t.Errorf("import %d: %s, %d associated, %d not: %v", i+1, tally(r), r.Associated, r.Unassociated, r.NotHere)
		}
	}
	lines := "Record ID - Contact,Email,Record ID - Company,Company name\n5,e@x.example,9001,Firm\n5,e@x.example,9002,Farm\n"
	if r := mustImport(t, s, lines, options()); r.Created != 1 || r.Unchanged != 1 || r.FindingsTotal > 0 || r.Associated != 2 {
		t.Errorf("a line for each association: %s, %d associated", tally(r), r.Associated)
	}
	dry := mustImport(t, s, file, options(func(o *csvfile.Options) { o.DryRun = true }))
	if dry.Associated != 0 || dry.FindingsTotal > 0 {
		t.Errorf("a dry run: %s, %d associated", tally(dry), dry.Associated)
	}
	wantTally(t, mustImport(t, s, "Record ID,Email,Associated Company IDs\n3,c@x.example,Firm\n", options()), "1: 0 created 0 updated 0 unchanged 1 refused, bad-id 2")
}

// Every table can be read, and each of its lines is of use.
func TestSources(t *testing.T) {
	t.Parallel()
	contact := record.NewSchema(record.Contact, 1, record.DefaultProperties(record.Contact))
	for _, s := range csvfile.Sources() {
		if s.Name == "" || s.Title == "" || len(s.Recognise) == 0 || len(s.Columns) == 0 {
			t.Errorf("source %+v lacks something", s)
		}
		for _, r := range s.Columns {
			made := r.Type != "" || r.Keep || r.ID || r.Deleted || r.Associates != ""
			forContacts := len(r.Objects) == 0 || slices.Contains(r.Objects, record.Contact)
			if forContacts && !made && contact.Named(r.To) == nil {
				t.Errorf("%s: %v goes to %q, which no contact has, and no type is given to make it", s.Name, r.Header, r.To)
			}
			for name, value := range r.Sets {
				if p := contact.Named(name); p == nil {
					t.Errorf("%s: %v sets %q, which no contact has", s.Name, r.Header, name)
				} else if _, err := csvfile.ParseValue(p, value, nil); err != nil {
					t.Errorf("%s: %v sets %s: %v", s.Name, r.Header, name, err)
				}
			}
			for word, value := range r.Words {
				if _, err := csvfile.ParseValue(contact.Named(r.To), value, nil); err != nil || word != strings.ToLower(word) {
					t.Errorf("%s: %v: %q means %q: %v", s.Name, r.Header, word, value, err)
				}
			}
		}
	}
}

// A key is said to be the id or the e-mail address alone.
func TestImport_key(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	mustImport(t, s, "Record ID,Email,city\n7,a@x.example,Ulm\n", options())
	key := func(k csvfile.Key) csvfile.Options { return options(func(o *csvfile.Options) { o.Key = k }) }
	wantTally(t, mustImport(t, s, "Record ID,Email,city\n9,a@x.example,Bonn\n", key(csvfile.KeyEmail)), "1: 0 created 1 updated 0 unchanged 0 refused")
	wantTally(t, mustImport(t, s, "Record ID,Email,city\n7,a@x.example,Kiel\n,a@x.example,Jena\n", key(csvfile.KeyID)), "2: 0 created 1 updated 0 unchanged 1 refused, key-missing 3")
	wantTally(t, mustImport(t, s, "Email,city\na@x.example,Jena\n", key(csvfile.KeyID)), "0: 0 created 0 updated 0 unchanged 0 refused, no-key-column 1")
	wantTally(t, mustImport(t, s, "Record ID,city\n7,Jena\n", key(csvfile.KeyEmail)), "0: 0 created 0 updated 0 unchanged 0 refused, no-key-column 1")
	if got := export(t, s, csvfile.ExportOptions{Properties: []string{"email", "city"}}); got != "Record ID,email,city\n7,a@x.example,Kiel\n" {
		t.Errorf("the store holds\n%s", got)
	}
}
