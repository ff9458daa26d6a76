package csvfile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

func TestDates(t *testing.T) {
	t.Parallel()
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		in    string
		order DateOrder
		zone  *time.Location
		want  string // of a datetime; "" = refused
		day   string // of a date
	}{
		{in: "2006-01-02", want: "2006-01-02T00:00:00Z", day: "2006-01-02"},
		{in: "2006/01/02", want: "2006-01-02T00:00:00Z", day: "2006-01-02"},
		{in: "2006-1-2", want: "2006-01-02T00:00:00Z", day: "2006-01-02"},
		{in: " 2006-01-02 ", want: "2006-01-02T00:00:00Z", day: "2006-01-02"},
		{in: "2006-01-02 15:04", want: "2006-01-02T15:04:00Z", day: "2006-01-02"},
		{in: "2006-01-02 15:04:05", want: "2006-01-02T15:04:05Z", day: "2006-01-02"},
		{in: "2006-01-02T15:04:05", want: "2006-01-02T15:04:05Z", day: "2006-01-02"},
		{in: "2006-01-02T15:04:05Z", want: "2006-01-02T15:04:05Z", day: "2006-01-02"},
		{in: "2006-01-02 15:04:05 UTC", want: "2006-01-02T15:04:05Z", day: "2006-01-02"},
		{in: "2006-01-02T15:04:05.1234Z", want: "2006-01-02T15:04:05.123Z", day: "2006-01-02"},
		{in: "2006-01-02T23:04:05-05:00", want: "2006-01-03T04:04:05Z", day: "2006-01-02"},
		{in: "2006-01-02T00:30:00+0200", want: "2006-01-01T22:30:00Z", day: "2006-01-02"},
		{in: "2006-01-02 00:30:00+02", want: "2006-01-01T22:30:00Z", day: "2006-01-02"},
		{in: "1136214245678", want: "2006-01-02T15:04:05.678Z", day: "2006-01-02"},
		{in: "852076800000", want: "1997-01-01T00:00:00Z", day: "1997-01-01"},
		{in: "-852076800000", want: "1943-01-01T00:00:00Z", day: "1943-01-01"},
		{in: "Jan 2, 2006", want: "2006-01-02T00:00:00Z", day: "2006-01-02"},
		{in: "january 2 2006", want: "2006-01-02T00:00:00Z", day: "2006-01-02"},
		{in: "2 Jan 2006", want: "2006-01-02T00:00:00Z", day: "2006-01-02"},
		{in: "Jan 2, 2006 3:04 PM", want: "2006-01-02T15:04:00Z", day: "2006-01-02"},
		{in: "Jan 2, 2006 12:04 AM", want: "2006-01-02T00:04:00Z", day: "2006-01-02"},
		{in: "Jan 2, 2006, 12:04:05pm", want: "2006-01-02T12:04:05Z", day: "2006-01-02"},
		{in: "01/02/2006", order: MonthDay, want: "2006-01-02T00:00:00Z", day: "2006-01-02"},
		{in: "01/02/2006", order: DayMonth, want: "2006-02-01T00:00:00Z", day: "2006-02-01"},
		{in: "1.2.2006 15:04", order: DayMonth, want: "2006-02-01T15:04:00Z", day: "2006-02-01"},
		{in: "31-01-2006", order: DayMonth, want: "2006-01-31T00:00:00Z", day: "2006-01-31"},
		{in: "0001-01-01", want: "0001-01-01T00:00:00Z", day: "0001-01-01"},
		{in: "9999-12-31T23:59:59Z", want: "9999-12-31T23:59:59Z", day: "9999-12-31"},
		{in: "2024-02-29", want: "2024-02-29T00:00:00Z", day: "2024-02-29"},

		{in: "2006-01-02", zone: amsterdam, want: "2006-01-01T23:00:00Z", day: "2006-01-02"},
		{in: "2006-07-02 15:04", zone: amsterdam, want: "2006-07-02T13:04:00Z", day: "2006-07-02"},
		{in: "2006-07-02T15:04Z", zone: amsterdam, want: "2006-07-02T15:04:00Z", day: "2006-07-02"},
		{in: "1136214245678", zone: amsterdam, want: "2006-01-02T15:04:05.678Z", day: "2006-01-02"},
		{in: "0001-01-01", zone: amsterdam, want: "", day: "0001-01-01"}, // in UTC it lies before year 1

		{in: "2023-02-29"},
		{in: "2006-13-01"},
		{in: "2006-00-01"},
		{in: "2006-01-00"},
		{in: "2006-04-31"},
		{in: "0000-01-01"},
		{in: "10000-01-01"},
		{in: "-62135596800001"},
		{in: "253402300800000"},
		{in: "01/02/2006"},
		{in: "13/02/2006"},
		{in: "13/02/2006", order: MonthDay},
		{in: "1/2/06"},
		{in: "1/2/206", order: MonthDay},
		{in: "202611201030"},
		{in: "20261320103000"},
		{in: "99999999999999"},
		{in: "1/2-2006", order: MonthDay},
		{in: "20060102"},
		{in: "1136214245"},
		{in: "2006"},
		{in: "2006-01"},
		{in: "2006-01-02T"},
		{in: "2006-01-02 24:00"},
		{in: "2006-01-02 15:60"},
		{in: "2006-01-02 15:04:60"},
		{in: "2006-01-02 5"},
		{in: "2006-01-02 15:04 CET"},
		{in: "2006-01-02 15:04 +24:00"},
		{in: "2006-01-02 13:04 PM"},
		{in: "2006-01-02 15:04:05.1234567890"},
		{in: "2006-01-02x"},
		{in: "2006/01-02"},
		{in: "Foo 2, 2006"},
		{in: "Jan 2"},
		{in: "Jan 2, 06"},
		{in: "Jan 32, 2006"},
		{in: "soon"},
		{in: "-"},
		{in: "--12-01-02"},
		{in: "1"},
		{in: "//"},
		{in: "２００６-01-02"},
		{in: "2006‐01‐02"},
	}
	cases = append(cases, []struct {
		in    string
		order DateOrder
		zone  *time.Location
		want  string
		day   string
	}{
		{in: "1/2/06", order: MonthDay, want: "2006-01-02T00:00:00Z", day: "2006-01-02"},
		{in: "5/7/24 10:26", order: DayMonth, want: "2024-07-05T10:26:00Z", day: "2024-07-05"},
		{in: "5.7.69", order: DayMonth, want: "1969-07-05T00:00:00Z", day: "1969-07-05"},
		{in: "20261120103000", want: "2026-11-20T10:30:00Z", day: "2026-11-20"},
		{in: "1795170600000", want: "2026-11-20T10:30:00Z", day: "2026-11-20"},
		{in: "946684800000", want: "2000-01-01T00:00:00Z", day: "2000-01-01"},
	}...)
	for _, c := range cases {
		zone := c.zone
		if zone == nil {
			zone = time.UTC
		}
		for _, want := range []struct {
			typ  record.PropertyType
			text string
		}{{record.DateTime, c.want}, {record.Date, c.day}} {
			p := &record.Property{Type: want.typ}
			v, bad := reading{order: c.order, zone: zone}.value(p, optionIndex{}, c.in)
			if (bad != nil) != (want.text == "") || v.String() != want.text {
				t.Errorf("%s %q (order %q, zone %s) = %q, %+v; want %q", want.typ, c.in, c.order, zone, v, bad, want.text)
			}
			if bad != nil && (bad.code != BadDate || !strings.Contains(bad.message, quote(strings.TrimSpace(c.in)))) {
				t.Errorf("%s %q: finding %+v does not quote it", want.typ, c.in, bad)
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	good := map[string]float64{
		"0": 0, "-0": 0, "1": 1, "+1": 1, "-1.5": -1.5, ".5": .5, "5.": 5, " 12 ": 12, "1e3": 1000, "1.5E-3": 0.0015,
		"12%": 12, "€5": 5, "1 000": 1000, "-$5": -5, "$-5": -5, "($5.25)": -5.25, "5 EUR": 5, "1'000'000": 1e6, "\u22125": -5, "CHF 20.-": 20, "0.5 %": .5, "% 5": 5,
		"9007199254740992": 9007199254740992, "100000000000000000000": 1e20, "36028797018963968": 1 << 55, "36028797018963970": 1 << 55, "0.12345678901234567890": 0.12345678901234567890,
	}
	p := &record.Property{Type: record.Number}
	for in, want := range good {
		if v, bad := (reading{}).value(p, optionIndex{}, in); bad != nil || v != record.NumberValue(want) {
			t.Errorf("number %q = %v, %+v; want %v", in, v, bad, want)
		}
	}
	bad := map[string]string{ // text → what the help says
		"1,234.50": "thousands separators", "12,5": "decimal point", "NaN": "like 1234.5", "Inf": "like 1234.5", "-infinity": "like 1234.5",
		"0x10": "like 1234.5", "1_000": "like 1234.5", "€5£": "like 1234.5", "12%%": "like 1234.5", "1 00": "like 1234.5", "5 pieces": "like 1234.5", "--5 €": "like 1234.5", "1-2": "like 1234.5",
		"-": "like 1234.5", "e": "like 1234.5", ".": "like 1234.5", "1e999": "1.8e308", "-1e999": "1.8e308", "9007199254740993": "text property",
		"12345678901234567890": "text property", "007": "text property", "-02139": "text property", "00": "text property",
	}
	for in, help := range bad {
		v, f := reading{}.value(p, optionIndex{}, in)
		if v.Known() || f == nil || f.code != BadNumber || !strings.Contains(f.help, help) {
			t.Errorf("number %q = %v, %+v; want a finding with help %q", in, v, f, help)
		}
	}
}

func TestBools(t *testing.T) {
	t.Parallel()
	p := &record.Property{Type: record.Bool}
	for in, want := range map[string]string{
		"true": "true", "TRUE": "true", "Yes": "true", "1": "true", " no ": "false", "False": "false", "0": "false",
		"": "", "  ": "", "y": "bad", "2": "bad", "on": "bad",
	} {
		v, bad := reading{}.value(p, optionIndex{}, in)
		if got := v.String(); (bad != nil) != (want == "bad") || bad == nil && got != want {
			t.Errorf("bool %q = %q, %+v; want %s", in, got, bad, want)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	p := &record.Property{Type: record.Enumeration, Options: []record.Option{
		{Number: 1, Value: "lead", Label: "Lead"},
		{Number: 2, Value: "customer", Label: "Paying Customer"},
		{Number: 3, Value: "Lead Two", Label: "customer"},
		{Number: 4, Value: "a", Label: "Twin"},
		{Number: 5, Value: "b", Label: "Twin"},
		{Number: 6, Value: "old", Label: "Old", Removed: true},
		{Number: 7, Value: "A", Label: "Upper"},
		{Number: 8, Value: "nameless"},
	}}
	x := indexOptions(p)
	for in, want := range map[string]string{
		"lead": "lead", "LEAD": "lead", " Lead ": "lead", "paying customer": "customer", "customer": "customer", "lead two": "Lead Two",
		"lead_two": "Lead Two", "LEAD-TWO": "Lead Two", "Paying_Customer": "customer",
		"a": "a", "A": "A", "upper": "A", "b": "b", "nameless": "nameless",
	} {
		if v, bad := (reading{}).value(p, x, in); bad != nil || v != record.EnumValue(want) {
			t.Errorf("option %q = %v, %+v; want %s", in, v, bad, want)
		}
	}
	for in, want := range map[string]string{
		"leed": "did you mean lead?", "old": "the options are lead, customer", "twin": "the options are", "lead;customer": "the options are",
		"zzzzzzzzz": "the options are lead, customer, Lead Two, a, b, A, nameless",
	} {
		v, bad := reading{}.value(p, x, in)
		if v.Known() || bad == nil || bad.code != BadOption || !strings.Contains(bad.help, want) {
			t.Errorf("option %q = %v, %+v; want help %q", in, v, bad, want)
		}
	}
	if v, bad := (reading{}).value(p, x, strings.Repeat("x", 1<<20)); v.Known() || bad == nil || len(bad.message) > 200 {
		t.Errorf("a long cell gives %d bytes of message, want a short one", len(bad.message))
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	p := &record.Property{Type: record.String}
	for _, in := range []string{" a ", "=1+1", "line\r\nbreak", "  ", "é", strings.Repeat("é", maxText)} {
		if v, bad := (reading{}).value(p, optionIndex{}, in); bad != nil || v.Text() != in {
			t.Errorf("text %s is not kept exactly: %+v", quote(in), bad)
		}
	}
	if _, bad := (reading{}).value(p, optionIndex{}, strings.Repeat("é", maxText+1)); bad == nil || bad.code != TextTooLong {
		t.Errorf("a text that is one character too long gives %+v", bad)
	}
}

func TestEmails(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{" Jane@Example.com ": "jane@example.com", "a\u00a0@b": "a@b", "Jane <mailto:Jane@Example.com>;": "jane@example.com", "a@b": "a@b", "jané@exämple.de": "jané@exämple.de", "": "", "  ": ""} {
		if v, bad := emailValue(in); bad != nil || v.Text() != want {
			t.Errorf("e-mail %q = %q, %+v; want %q", in, v.Text(), bad, want)
		}
	}
	for _, in := range []string{"jane", "@example.com", "jane@", "a@b@c", "jane doe@example.com", "a@b\nc", "a@b,c@d", "a@b\tc"} {
		if v, bad := emailValue(in); v.Known() || bad == nil || bad.code != BadEmail {
			t.Errorf("e-mail %q = %v, %+v; want a finding", in, v, bad)
		}
	}
}

// One number of a column that is plain, a currency or a percent sign says how the others are written.
func TestNumbers_asPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cells []string
		o     Options
		want  string // values, joined by blanks; "" = refused
		found string
		note  string
	}{
		"euro":              {[]string{"€ 1.234,50", "1.234 €", "\u00a012,5 €"}, Options{}, "1234.5 1234 12.5", "", "the numbers are kept without their € (3)"},
		"dollar":            {[]string{"$1,234.50", "$1,234", "($5.5)"}, Options{}, "1234.5 1234 -5.5", "", "the numbers are kept without their $ (3)"},
		"each is plain":     {[]string{"$1,234.50", "€ 1.234,50", "1200"}, Options{}, "1234.5 1234.5 1200", "", "the numbers are kept without $ (1), € (1), and are not converted"},
		"percent":           {[]string{"12,5 %", "7%"}, Options{}, "12.5 7", "", "the numbers are kept without their % (2)"},
		"blanks":            {[]string{"1 234,5", "1\u202f234\u202f567,8"}, Options{}, "1234.5 1234567.8", "", ""},
		"asked once":        {[]string{"1.234 €", "5.678 €", "7"}, Options{}, "7", `"1.234 €" can be read in two ways, as 1 more cell of the column (say --decimal point (1,234.5) or --decimal comma (1.234,5))`, "the numbers are kept without their € (2)"},
		"said":              {[]string{"1.234 €", "5,5"}, Options{Decimal: DecimalComma}, "1234 5.5", "", "the numbers are kept without their € (1)"},
		"said, and not all": {[]string{"1,234.50", "2,345.60", "1,5"}, Options{Decimal: DecimalComma}, "1.5", `"1,234.50" is not written with a decimal comma, as 1 more cell of the column (write all numbers of the column in the same way, or leave --decimal out, so that each is read as it is written)`, ""},
	} {
		file := "Email;Total Revenue\n"
		for i, cell := range c.cells {
			file += fmt.Sprintf("a%d@x.example;%s\n", i, cell)
		}
		got, im, _ := readFile(t, strings.NewReader(file), testSchema(), c.o)
		var values []string
		for _, u := range got.Upserts {
			values = append(values, strings.TrimPrefix(u[strings.LastIndex(u, " "):], " total_revenue="))
		}
		if strings.Join(values, " ") != c.want {
			t.Errorf("%s: %q, want %s", name, values, c.want)
		}
		if c.found == "" && len(im.found.list) > 0 || c.found != "" && (len(im.found.list) != 1 || !strings.Contains(im.found.list[0].String(), c.found)) {
			t.Errorf("%s: findings %v, want %s", name, im.found.list, c.found)
		}
		if note := im.surveyed[1].unitNote(); note != c.note {
			t.Errorf("%s: note %q, want %q", name, note, c.note)
		}
	}
}

// The dates of a column decide together, and one finding says what is not certain or does not fit.
func TestDates_ofAColumn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cells []string
		o     Options
		want  string
		found string
	}{
		"one is plain":           {[]string{"01/02/2024", "13/02/2024"}, Options{}, "2024-02-01 2024-02-13", ""},
		"none is plain":          {[]string{"01/02/2024", "03/02/2024"}, Options{}, "", `"01/02/2024" does not say which number is the day, as 1 more cell of the column (say --date-order mdy or --date-order dmy`},
		"they do not agree":      {[]string{"25/02/2024", "02/25/2024", "01/02/2024"}, Options{}, "", "as 2 more cells of the column"},
		"two digits, US":         {[]string{"3/25/24", "1/2/24"}, Options{}, "2024-03-25 2024-01-02", ""},
		"two digits, old":        {[]string{"25/03/85", "01/02/24"}, Options{}, "1985-03-25 2024-02-01", ""},
		"two digits, asked":      {[]string{"25/03/24", "01/02/24"}, Options{}, "", `"25/03/24" does not say which number is the day and which is the year, as 1 more cell of the column (say --date-order`},
		"two digits, said":       {[]string{"25/03/24", "01/02/70"}, Options{DateOrder: DayMonth}, "2024-03-25 1970-02-01", ""},
		"the flag does not fit":  {[]string{"25/03/2024", "26/03/2024", "01/02/2024"}, Options{DateOrder: MonthDay}, "2024-01-02", `"25/03/2024" is no date, where the month comes first, as 1 more cell of the column (say --date-order dmy if all`},
		"names of months":        {[]string{"5-Mar-2024", "05. March 2024", "Mar 5 2024"}, Options{}, "2024-03-05 2024-03-05 2024-03-05", ""},
		"names and short years":  {[]string{"5-Mar-24", "6-Mar-24"}, Options{}, "", "which is the year (say --date-order"},
		"names and years, said":  {[]string{"5-Mar-24", "Mar 6, 24"}, Options{DateOrder: DayMonth}, "2024-03-05 2024-03-06", ""},
		"short and long, agreed": {[]string{"13/02/2024", "25/03/24"}, Options{}, "2024-02-13 2024-03-25", ""},
	} {
		file := "Email;Birthday\n"
		for i, cell := range c.cells {
			file += fmt.Sprintf("a%d@x.example;%s\n", i, cell)
		}
		got, im, _ := readFile(t, strings.NewReader(file), testSchema(), c.o)
		var values []string
		for _, u := range got.Upserts {
			values = append(values, strings.TrimPrefix(u[strings.LastIndex(u, " "):], " birthday="))
		}
		if strings.Join(values, " ") != c.want {
			t.Errorf("%s: %q, want %s", name, values, c.want)
		}
		if c.found == "" && len(im.found.list) > 0 || c.found != "" && (len(im.found.list) != 1 || !strings.Contains(im.found.list[0].String(), c.found)) {
			t.Errorf("%s: findings %v, want %s", name, im.found.list, c.found)
		}
	}
}

// What becomes of a new column of numbers or dates as people write them.
func TestCreateProperties_asPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		comma string
		cells []string
		want  record.PropertyType
	}{
		"currency":          {",", []string{`"$1,234.50"`, "1200", `"€ 1.234,50"`}, record.Number},
		"percent":           {";", []string{"12,5 %", "7 %"}, record.Number},
		"both separators":   {",", []string{`"1.234,50"`, "7"}, record.Number},
		"decimal comma":     {";", []string{"12,5", "7"}, record.Number},
		"a list of choices": {",", []string{`"1,2"`, `"1,5"`}, record.String},
		"telephone":         {";", []string{"0 30 123", "+49 30 1"}, record.String},
		"telephone, blanks": {";", []string{"030 123 456", "1 234 567"}, record.String},
		"postal code":       {";", []string{"€ 01234"}, record.String},
		"words":             {";", []string{"€ 5", "five"}, record.String},
		"dates, one plain":  {";", []string{"01/02/2024", "13/02/2024"}, record.Date},
		"dates, none plain": {";", []string{"01/02/2024", "11/02/2024"}, record.String},
		"dates, US":         {";", []string{"3/25/24 3:04 PM", "1/2/24 15:04"}, record.DateTime},
	} {
		file := "Email" + c.comma + "New\n"
		for i, cell := range c.cells {
			file += fmt.Sprintf("a%d@x.example%s%s\n", i, c.comma, cell)
		}
		got, im, _ := readFile(t, strings.NewReader(file), testSchema(), Options{CreateProperties: true})
		if len(got.Made) != 1 || got.Made[0].Type != c.want || len(im.found.list) > 0 || len(got.Upserts) != len(c.cells) {
			t.Errorf("%s: made %v, %d lines, findings %v; want %s", name, got.Made, len(got.Upserts), im.found.list, c.want)
		}
	}
}
