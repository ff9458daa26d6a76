package csvfile

import (
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func TestParseValue(t *testing.T) {
	t.Parallel()
	schema := record.NewSchema(record.Contact, 0, record.DefaultProperties(record.Contact))
	for _, c := range []struct{ property, text, want, wrong string }{
		{"email", " Ada@Example.com ", "ada@example.com", ""},
		{"email", "ada", "", `email: "ada" is not an e-mail address (write one address`},
		{"createdate", "2026-01-31 10:00", "2026-01-31T10:00:00Z", ""},
		{"createdate", "01/02/2026", "", "createdate: "},
		{"lifecyclestage", "Lead", "lead", ""},
		{"lifecyclestage", "leed", "", `"leed" is not an option (did you mean lead?`},
		{"firstname", "", "", ""},
	} {
		v, err := ParseValue(schema.Find(c.property)[0], c.text, nil)
		if v.String() != c.want || (err == nil) != (c.wrong == "") {
			t.Errorf("%s %q: got %q, %v", c.property, c.text, v, err)
		}
		if err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s %q: got %v, want %s", c.property, c.text, err, c.wrong)
		}
	}
	company := record.NewSchema(record.Company, 0, record.DefaultProperties(record.Company))
	if v, err := ParseValue(company.Find("domain")[0], "example.com", nil); err != nil || v.Text() != "example.com" {
		t.Errorf("a company's domain, which has the number of a contact's e-mail: %q, %v", v, err)
	}
}
