package csvfile

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func TestCreateProperties(t *testing.T) {
	t.Parallel()
	file := "Email,Number of Orders,Zip-Code,Tel.,Card,First Order,Seen,VIP,Nothing,Mixed,Größe,2nd,???,foo bar,New-One,Code,Paid,Note\n" +
		"a@b, 1 ,01234,+31612345678,1234567890123456,1997-01-01,1997-01-01,TRUE,,1,1,1,1,1,1,1E5,1.50,x\n" +
		"c@d,-20,12345,+31,1,Jan 2 2006,1997-01-01 10:00,false,,x,2,2,2,2,2,2E4,.5,y\n" +
		"bad,x,x,x,x,x,x,x,x,x,x\n" + // the wrong number of cells: does not count
		"e@f,,,,,,,,,,,,,,,,,\n"
	want := []CreatedProperty{
		{"number_of_orders", "Number of Orders", record.Number, 2},
		{"zip_code", "Zip-Code", record.String, 2},
		{"tel", "Tel.", record.String, 2},
		{"card", "Card", record.String, 2},
		{"first_order", "First Order", record.Date, 2},
		{"seen", "Seen", record.DateTime, 2},
		{"vip", "VIP", record.Bool, 2},
		{"nothing", "Nothing", record.String, 0},
		{"mixed", "Mixed", record.String, 2},
		{"groe", "Größe", record.Number, 2},
		{"p_2nd", "2nd", record.Number, 2},
		{"column_13", "???", record.Number, 2},
		{"new_one", "New-One", record.Number, 2},
		{"code", "Code", record.String, 2},
		{"paid", "Paid", record.Number, 2},
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
	for order, want := range map[DateOrder]record.PropertyType{NoOrder: record.Date, MonthDay: record.String, DayMonth: record.Date} {
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
