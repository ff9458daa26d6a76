package triggers

import (
	"testing"
	"time"
)

type values = map[string]string

// TestSemantics holds what expressions mean, in words that doc.go promises.
func TestSemantics(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-06-15T12:00:00Z")
	some := values{
		"email": "Ann@Example.com", "lifecyclestage": "lead", "notes_last_updated": "2026-06-10T12:00:00Z", "closedate": "2026-06-15",
		"num_associated_deals": "3", "hs_email_optout": "false", "company": "Acme",
	}
	with := func(name, value string) values { return values{name: value} }
	for _, test := range []struct {
		source string
		record values
		want   Answer
	}{
		{`contact.lifecyclestage in ["subscriber", "lead"]`, some, True},
		{`contact.lifecyclestage not in ["subscriber", "lead"]`, some, False},
		{`contact.lifecyclestage == "customer"`, some, False},
		{`contact.lifecyclestage != "customer"`, some, True},
		{`contact["Lifecycle Stage"] == "lead" && contact.last_activity_date < now`, some, True},

		// unknown is not a match, nor is its negation
		{`contact.lifecyclestage == "lead"`, nil, Unknown},
		{`!(contact.lifecyclestage == "lead")`, nil, Unknown},
		{`contact.lifecyclestage not in ["lead"]`, nil, Unknown},
		{`contact.city contains "x" || contact.lifecyclestage == "lead"`, some, True},
		{`contact.city contains "x" && contact.lifecyclestage == "lead"`, some, Unknown},
		{`contact.city contains "x" && contact.lifecyclestage == "customer"`, some, False},
		{`contact.hs_email_optout`, some, False},
		{`!contact.hs_email_optout`, some, True},
		{`!contact.bounced`, some, Unknown},
		{`contact.bounced ?? false`, some, False},
		{`!(contact.bounced ?? false)`, some, True},
		{`contact.bounced == false`, some, Unknown},
		{`contact.hs_email_optout == false`, some, True},
		{`known(contact.email) && unknown(contact.city)`, some, True},
		{`!known(contact.city)`, some, True},
		{`(contact.city ?? contact.company) == "Acme"`, some, True},
		{`(contact.city ?? "none") == "none"`, some, True},
		{`(contact.city ?? contact.phone_home) == "none"`, some, Unknown},
		{`((contact.city == "x") ?? true) && known(contact.email)`, some, True},

		// conditional
		{`contact.num_associated_deals > 2 ? contact.lifecyclestage == "lead" : false`, some, True},
		{`contact.num_associated_deals > 3 ? contact.lifecyclestage == "lead" : false`, some, False},
		{`contact.bounced ? true : true`, some, Unknown},
		{`!(contact.bounced ? true : true)`, some, Unknown},
		{`(known(contact.city) ? contact.num_associated_deals : 7) == 7`, some, True},
		{`(contact.hs_email_optout ? contact.city : contact.company) == "Acme"`, some, True},
		{`contact.hs_email_optout ? contact.city == "x" : contact.company == "Acme"`, some, True},

		// time
		{`daysSince(contact.last_activity_date) == 5`, some, True},
		{`daysSince(contact.last_activity_date) > 5`, some, False},
		{`daysSince(contact.last_activity_date) > 4`, with("notes_last_updated", "2026-06-10T12:00:00.001Z"), False},
		{`daysSince(contact.last_activity_date) == -1`, with("notes_last_updated", "2026-06-15T12:00:00.001Z"), True},
		{`daysUntil(contact.last_activity_date) == 0`, with("notes_last_updated", "2026-06-16T11:59:59Z"), True},
		{`daysUntil(contact.last_activity_date) == 1`, with("notes_last_updated", "2026-06-16T12:00:00Z"), True},
		{`contact.last_activity_date == daysAgo(5)`, some, True},
		{`contact.last_activity_date <= daysAgo(contact.num_associated_deals)`, some, True},
		{`contact.last_activity_date == now - duration("5d")`, some, True},
		{`contact.last_activity_date + duration("5d") == now()`, some, True},
		{`now - contact.last_activity_date == duration("120h")`, some, True},
		{`now - contact.last_activity_date > duration("1w")`, some, False},
		{`contact.closedate == today`, some, True},
		{`contact.closedate < now && contact.closedate >= today()`, some, True},
		{`contact.closedate == date("2026-06-15")`, some, True},
		{`contact.closedate == date("2026-06-15T00:00:00Z")`, some, True},
		{`contact.closedate in [date("2026-06-14"), today]`, some, True},
		{`contact.last_activity_date > contact.closedate`, some, False},
		{`contact.last_activity_date >= date("2026-06-10T14:00:00+02:00")`, some, True},

		{`monthsSince(contact.last_activity_date) == 0 && monthsSince(contact.createdate) == 4`, values{"notes_last_updated": "2026-05-15T12:00:00.001Z", "createdate": "2026-01-31T12:00:00Z"}, True},
		{`monthsSince(contact.last_activity_date) == 1`, with("notes_last_updated", "2026-05-15T12:00:00Z"), True},
		{`monthsSince(contact.last_activity_date) == -1`, with("notes_last_updated", "2026-06-15T12:00:00.001Z"), True},
		{`monthsSince(contact.last_activity_date) > 24`, with("notes_last_updated", "2024-05-15T12:00:00.001Z"), False},
		{`monthsSince(contact.last_activity_date) > 24 && contact.last_activity_date < monthsAgo(24)`, with("notes_last_updated", "2024-05-15T12:00:00Z"), True},
		{`contact.last_activity_date == yearsAgo(2) && contact.last_activity_date == monthsAgo(24)`, with("notes_last_updated", "2024-06-15T12:00:00Z"), True},
		{`contact.last_activity_date == monthsAgo(-1)`, with("notes_last_updated", "2026-07-15T12:00:00Z"), True},
		{`contact.last_activity_date == monthsAgo(contact.num_associated_deals / 2)`, values{"notes_last_updated": "2026-05-15T12:00:00Z", "num_associated_deals": "3"}, True},
		{`contact.last_activity_date < monthsAgo(contact.num_associated_deals * 1e200)`, some, Unknown},
		{`monthsSince(contact.closedate) > 0`, nil, Unknown},
		{`daysBetween(contact.last_activity_date, now) == 5 && daysBetween(now, contact.last_activity_date) == -5`, with("notes_last_updated", "2026-06-10T23:59:59Z"), True},
		{`daysBetween(contact.closedate, contact.last_activity_date) == -5`, some, True},
		{`daysBetween(contact.closedate, contact.createdate) == 0`, some, Unknown},
		{`dayOf(contact.last_activity_date) == date("2026-06-10") && dayOf(now) == today`, some, True},
		{`dayOf(contact.createdate) == today`, some, Unknown},

		// numbers
		{`contact.num_associated_deals * 2 + 1 == 7`, some, True},
		{`-contact.num_associated_deals < 0`, some, True},
		{`contact.num_associated_deals % 2 == 1`, some, True},
		{`1 < contact.num_associated_deals < 4`, some, True},
		{`contact.num_associated_deals in [1, 3]`, some, True},
		{`1 / (contact.num_associated_deals - 3) > 0`, some, Unknown},
		{`!(1 / (contact.num_associated_deals - 3) > 0)`, some, Unknown},
		{`((1 / (contact.num_associated_deals - 3)) ?? 9) == 9`, some, True},
		{`unknown(1 / (contact.num_associated_deals - 3))`, some, True},
		{`contact.num_associated_deals * 1e308 > 0`, some, Unknown},

		// texts
		{`contact.email endsWith "@example.com"`, some, True},
		{`contact.email endsWith "@EXAMPLE.com"`, some, True},
		{`lower(contact.email) endsWith "@EXAMPLE.com"`, some, True},
		{`contact.email == "ANN@example.COM" && contact.email != "bob@example.com"`, some, True},
		{`"mailto:ann@example.com" == contact.email`, some, True},
		{`contact.email in ["x@example.com", "Ann@example.com;"]`, some, True},
		{`contact.email contains "ANN@" && contact.email startsWith "ANN"`, some, True},
		{`contact.email matches "^ann@.*COM$"`, some, True},
		{`(contact.email ?? "none") == "ANN@EXAMPLE.COM"`, some, True},
		{`(contact.hs_email_optout ? contact.city : contact.email) endsWith "@EXAMPLE.COM"`, some, True},
		{`contact.email startsWith "ann@example.c."`, some, False},
		{`contact.company == "acme" || contact.company endsWith "ME" || contact.company matches "acme"`, some, False},
		{`contact.email | lower() startsWith "ann"`, some, True},
		{`contact.email matches "(?i)^ann@"`, some, True},
		{`contact.email not matches "z"`, some, True},
		{`contact.email contains "Ex"`, some, True},
		{`contact.company == contact.city`, some, Unknown},

		{`domain(contact.email) == "example.com" && domain(contact.email) in ["x.example", "EXAMPLE.com"]`, some, True},
		{`domain(contact.email) endsWith ".com" && domain(contact.email) != contact.company`, some, True},
		{`domain(contact.email) == contact.city`, values{"email": "ann@bücher.example", "city": "BÜCHER.example"}, True},
		{`domain(contact.email) == "bücher.example"`, with("email", "ann@xn--bcher-kva.example"), True},
		{`domain(contact.company) == "x.example"`, with("company", "Ann Lee <Ann@X.example>"), True},
		{`domain(contact.company) == "acme.example"`, some, Unknown},
		{`unknown(domain(contact.company)) && (domain(contact.company) ?? "none") == "none"`, some, True},
		{`number(contact.zip) == 1234.5 && number(contact.zip) == number(contact.zip, "point")`, with("zip", " 1,234.50 "), True},
		{`number(contact.zip, "comma") == 1234.5`, with("zip", "1.234,50"), True},
		{`number(contact.zip, "comma") == -1234567`, with("zip", "-1.234.567"), True},
		{`number(contact.zip) == 1500 && number(contact.zip) > contact.num_associated_deals`, values{"zip": "1.5e3", "num_associated_deals": "3"}, True},
		{`number(contact.zip) > 0`, with("zip", "1.234,50"), Unknown},
		{`number(contact.zip, "comma") > 0`, with("zip", "1,234.50"), Unknown},
		{`number(contact.zip) < 100 || number(contact.zip) >= 100`, with("zip", "12 people"), Unknown},
		{`(number(contact.zip) ?? 0) == 0`, with("zip", "n/a"), True},
		{`number(contact.zip) > 0`, with("zip", "1e999"), Unknown},

		// lists: the record is a member of keep, not of vip
		{`inList("keep")`, nil, True},
		{`!inList("keep")`, nil, False},
		{`inList("vip") || contact.city == "x"`, nil, Unknown},
		{`true`, nil, True},
		{`false`, nil, False},
	} {
		v := testVocabulary()
		e := mustCompile(t, test.source, v)
		env := newEnv(v, now, pZip)
		r := recordOf(t, v.Schema, test.record)
		r.Slot = 9
		env.lists = map[int][]byte{1: {0, 0b0100_0000}, 3: {0xff, 0b1011_1111}}
		env.setRecord(r)
		if got := e.test(env); got != test.want {
			t.Errorf("%s is %s, want %s", test.source, got, test.want)
		}
		normal := mustCompile(t, e.Normal(), v)
		if got := normal.test(env); got != answer(test.want == True) {
			t.Errorf("%s, the normal form of %s, is %s, want %t", e.Normal(), test.source, got, test.want == True)
		}
	}
}

// TestZones holds that days begin when the zone's calendar says so.
func TestZones(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ zone, now, close, source string }{
		{"America/New_York", "2026-06-15T03:59:59Z", "2026-06-14", `contact.closedate == today`},
		{"America/New_York", "2026-06-15T04:00:00Z", "2026-06-15", `contact.closedate == today && contact.closedate == now`},
		{"Pacific/Kiritimati", "2026-06-14T10:00:00Z", "2026-06-15", `contact.closedate == now`},
		{"Europe/Amsterdam", "2026-03-29T12:00:00Z", "2026-03-29", `contact.closedate == date("2026-03-28T23:00:00Z")`},
		{"Europe/Amsterdam", "2026-03-30T12:00:00Z", "2026-03-30", `contact.closedate == date("2026-03-29T22:00:00Z")`},
		// 23 hours lie between these two midnights, so less than a whole day
		{"Europe/Amsterdam", "2026-03-29T22:00:00Z", "2026-03-29", `daysSince(contact.closedate) == 0`},
		{"Europe/Amsterdam", "2026-10-25T23:00:00Z", "2026-10-25", `daysSince(contact.closedate) == 1`},
		// the calendar sees yesterday in them, whatever the hour
		{"Europe/Amsterdam", "2026-03-29T22:00:00Z", "2026-03-29", `daysBetween(contact.closedate, now) == 1 && dayOf(contact.closedate) == contact.closedate`},
		{"Europe/Amsterdam", "2026-10-25T22:59:59Z", "2026-10-24", `daysBetween(contact.closedate, today) == 1 && daysBetween(now, contact.closedate) == -1`},
		{"Europe/Amsterdam", "2026-03-31T21:30:00Z", "2026-02-28", `contact.closedate == dayOf(monthsAgo(1)) && monthsSince(contact.closedate) == 1 && contact.closedate < monthsAgo(1)`},
		{"Europe/Amsterdam", "2028-02-29T12:00:00Z", "2027-02-28", `contact.closedate == dayOf(yearsAgo(1)) && monthsSince(contact.closedate) == 12`},
		{"America/New_York", "2026-03-31T03:30:00Z", "2026-02-28", `monthsSince(contact.closedate) == 1 && daysBetween(contact.closedate, now) == 30`},
		// the clock leaves 02:30 out a month ago, so 03:00 is meant
		{"Europe/Amsterdam", "2026-04-29T00:30:00Z", "2026-03-29", `monthsAgo(1) == date("2026-03-29T01:00:00Z") && daysBetween(contact.closedate, monthsAgo(1)) == 0`},
		// no midnight on the day that summer time begins
		{"America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-04", `contact.closedate == now && today == now`},
	} {
		v := testVocabulary()
		v.Zone = zone(t, test.zone)
		e := mustCompile(t, test.source, v)
		env := newEnv(v, at(t, test.now), pZip)
		env.setRecord(recordOf(t, v.Schema, values{"closedate": test.close}))
		if got := e.test(env); got != True {
			t.Errorf("%s at %s in %s: %s is %s", test.close, test.now, test.zone, test.source, got)
		}
	}
}

// TestStartOfDay compares with the definition: the first instant that shows the day or a later one.
func TestStartOfDay(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"America/Sao_Paulo", "Europe/Amsterdam", "Africa/Cairo", "Asia/Beirut", "Pacific/Apia", "America/Havana", "Asia/Kolkata", "America/St_Johns"} {
		z := zone(t, name)
		for _, first := range []string{"2018-10-28", "2011-12-27", "1999-10-01", "2006-11-01", "2023-03-20", "2026-10-20"} {
			day, _ := time.Parse(time.DateOnly, first)
			last := int64(0)
			for range 12 {
				got := firstShown(day.UnixMilli(), z)
				if want := slowStartOfDay(day, z); got != want {
					t.Errorf("%s begins at %s in %s, want %s", day.Format(time.DateOnly), time.UnixMilli(got).UTC(), name, time.UnixMilli(want).UTC())
				}
				if got < last {
					t.Errorf("%s begins before the day before it in %s", day.Format(time.DateOnly), name)
				}
				last, day = got, day.AddDate(0, 0, 1)
			}
		}
	}
}

// slowStartOfDay goes through the minutes.
func slowStartOfDay(day time.Time, z *time.Location) int64 {
	for m := day.Add(-30 * time.Hour); ; m = m.Add(time.Minute) {
		y, mo, d := m.In(z).Date()
		if !time.Date(y, mo, d, 0, 0, 0, 0, time.UTC).Before(day) {
			return m.UnixMilli()
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{
		"365d": 365 * dayMilli, "2w": 14 * dayMilli, "36h": 1.5 * dayMilli, "1h30m": 5_400_000, "1.5d": 1.5 * dayMilli, "-2s": -2000, "10ms": 10, "0s": 0,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", "d", "5", "5y", "5 d", "1d-2h", "--1d", "1.2.3d", "99999999w", "1e3d", "0x1d", "∞d"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", text, got)
		}
	}
}
