package csvfile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

func TestHeader(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		header   string
		o        Options
		columns  []string
		findings []string
	}{
		"names, labels, snake case": {
			"Record ID,email,Create Date,last_activity_date,LIFECYCLE STAGE",
			Options{},
			[]string{"Record ID: id", "email: property email", "Create Date: property createdate", "last_activity_date: property notes_last_updated", "LIFECYCLE STAGE: property lifecyclestage"},
			nil,
		},
		"id by other names":    {"hs_object_id,firstname", Options{}, []string{"hs_object_id: id", "firstname: property firstname"}, nil},
		"id in any case":       {"RECORD ID,firstname", Options{}, []string{"RECORD ID: id", "firstname: property firstname"}, nil},
		"id of the object":     {"Record ID - Contact,Email", Options{}, []string{"Record ID - Contact: id", "Email: property email"}, nil},
		"plain id, asked":      {"id,Email", Options{IDColumn: "id"}, []string{"id: id", "Email: property email"}, nil},
		"set by the store":     {"Email,Last Modified Date", Options{}, []string{"Email: property email", "Last Modified Date: ignored"}, nil},
		"id column":            {"Customer,id,Email", Options{IDColumn: "customer"}, []string{"Customer: id", "id: ignored", "Email: property email"}, nil},
		"id column exact":      {"CUSTOMER X,customer x", Options{IDColumn: "customer x"}, nil, []string{"header-twice 1 customer x", "header-unknown 1 CUSTOMER X"}},
		"by e-mail alone":      {"id,Email", Options{IDColumn: "email"}, []string{"id: ignored", "Email: property email"}, nil},
		"spaces":               {` Email ," First Name "`, Options{}, []string{"Email: property email", "First Name: property firstname"}, nil},
		"ignore unknown":       {"Email,Shoe Size,", Options{IgnoreUnknown: true}, []string{"Email: property email", "Shoe Size: ignored", ": ignored"}, nil},
		"mac line ends":        {"Email,First Name\rjane@example.com,Jane", Options{}, []string{"Email: property email", "First Name: property firstname"}, nil},
		"separator at the end": {"Email,First Name,", Options{}, []string{"Email: property email", "First Name: property firstname", ": ignored"}, nil},
		"pipes":                {"Email|First Name, as said|", Options{IgnoreUnknown: true}, []string{"Email: property email", "First Name, as said: ignored", ": ignored"}, nil},
		"create only":          {"First Name", Options{Mode: crmstore.CreateOnly}, []string{"First Name: property firstname"}, nil},

		"unknown":              {"Email,Shoe Size,Fist Name", Options{}, nil, []string{"header-unknown 1 Shoe Size", "header-unknown 1 Fist Name"}},
		"removed":              {"Email,gone", Options{}, nil, []string{"header-unknown 1 gone"}},
		"empty":                {"Email,,firstname", Options{}, nil, []string{"header-empty 1"}},
		"empty, create":        {"Email,,x", Options{CreateProperties: true}, nil, []string{"header-empty 1"}},
		"twice":                {"Email,email", Options{}, nil, []string{"header-twice 1 email"}},
		"twice unknown":        {"Email,x,X", Options{IgnoreUnknown: true}, nil, []string{"header-twice 1 X"}},
		"one property twice":   {"Email,Create Date,createdate", Options{}, nil, []string{"header-twice 1 createdate"}},
		"ambiguous":            {"Email,Note,note_a", Options{}, nil, []string{"header-ambiguous 1 Note"}},
		"two ids":              {"Record ID,hs_object_id,Email", Options{}, nil, []string{"id-column 1 hs_object_id"}},
		"plain id":             {"Id,Email", Options{}, nil, []string{"header-unknown 1 Id"}},
		"plain id, no key":     {"id,firstname", Options{IgnoreUnknown: true}, nil, []string{"no-key-column 1"}},
		"no such id column":    {"Email,Customer", Options{IDColumn: "Custmer", IgnoreUnknown: true}, nil, []string{"id-column 1"}},
		"no key":               {"First Name", Options{}, nil, []string{"no-key-column 1"}},
		"no key, update only":  {"First Name", Options{Mode: crmstore.UpdateOnly}, nil, []string{"no-key-column 1"}},
		"everything at once":   {"x,y,Note,Email,email", Options{}, nil, []string{"header-twice 1 email", "header-unknown 1 x", "header-unknown 1 y", "header-ambiguous 1 Note"}},
		"nul":                  {"E\x00m\x00a\x00i\x00l\x00", Options{}, nil, []string{"header-text 1"}},
		"not utf-8":            {"Émail,F\xfcr", Options{Encoding: "utf-8"}, nil, []string{"header-text 1"}},
		"broken over lines":    {"Email,\"Shoe\r\nSize\"", Options{}, nil, []string{"header-unknown 1 Shoe Size"}},
		"too many":             {strings.Repeat(",", maxColumns), Options{}, nil, []string{"header-text 1"}},
		"too long":             {"Email," + strings.Repeat("x", maxHeader+1), Options{}, nil, []string{"header-text 1"}},
		"mixed line ends":      {"Email,firstname\rjane@example.com,Jane\n", Options{}, nil, []string{"header-text 1"}},
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
				if file != c.header && (c.findings == nil || strings.Contains(name, "nothing") || name == "open quote") {
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
		"ambiguous":  {"Email,note", Options{}, `line 1: "note": is the label of several properties: note_a, note_b (write the internal name, or say which one with --map "note=NAME")`},
		"id column":  {"Email,Customer No", Options{IDColumn: "Custmer No", IgnoreUnknown: true}, `line 1: there is no column "Custmer No" to take record ids from (did you mean Customer No?)`},
		"plain id":   {"Email,Id", Options{}, `line 1: "Id": may be the id of another system, so it is not taken for the record id (keep it as a property with --create-properties, leave it out with --ignore-unknown, or say with --id-column "Id" that these are this account's ids)`},
		"id columns": {"Record ID,record_id", Options{}, `line 1: "record_id": both "Record ID" and "record_id" may hold the record ids (say which one with --id-column)`},
		"no key":     {"First Name", Options{}, `line 1: no column holds record ids or e-mail addresses (name the column Email, or say with --id-column which one holds record ids; without both, lines can only make new contacts, with --mode create)`},
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
