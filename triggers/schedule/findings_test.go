package schedule

import (
	"archive/zip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/robfig/cron/v3"

	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

func TestParse_Findings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ spec, want, help string }{
		{"", "WF301 1-1 the schedule is empty", fiveFields},
		{"   ", "WF301 1-4 the schedule is empty", fiveFields},
		{strings.Repeat("0,", 300) + "0 * * * *", "WF301 1-610 the schedule has 609 characters, more than 500", fiveFields},
		{"TZ=0", `WF302 1-5 the time zone "TZ=0" does not belong in cron`, "write the zone as a key of its own: `timezone: 0`"},
		{"CRON_TZ=", `WF302 1-9 the time zone "CRON_TZ=" does not belong in cron`, "write the zone as a key of its own, such as `timezone: Europe/Amsterdam`"},
		{"  TZ=Europe/Paris", `WF302 3-18 the time zone "TZ=Europe/Paris" does not belong in cron`, "write the zone as a key of its own: `timezone: Europe/Paris`"},
		{"cron_tz=UTC 0 3 * * *", `WF302 1-12 the time zone "cron_tz=UTC" does not belong in cron`, "write the zone as a key of its own: `timezone: UTC`"},
		{"@reboot", `WF303 1-8 "@reboot" has no slots at all`, fiveFields},
		{"@every 30s", `WF303 1-11 "@every 30s" has no fixed slots`, `a workflow runs at most once a minute: write "* * * * *"`},
		{"@every 0s", `WF303 1-10 "@every 0s" has no fixed slots`, fiveFields},
		{"@every", `WF303 1-7 "@every" has no fixed slots`, fiveFields},
		{"@every 5m", `WF303 1-10 "@every 5m" has no fixed slots`, `write "*/5 * * * *"`},
		{"@every 7m", `WF303 1-10 "@every 7m" has no fixed slots`, fiveFields},
		{"@every 1h", `WF303 1-10 "@every 1h" has no fixed slots`, `write "@hourly"`},
		{"@every 6h", `WF303 1-10 "@every 6h" has no fixed slots`, `write "0 */6 * * *"`},
		{"@every 24h", `WF303 1-11 "@every 24h" has no fixed slots`, `write "@daily", or "0 3 * * *" for every day at 03:00`},
		{"@dayly", `WF301 1-7 unknown schedule "@dayly"`, `did you mean "@daily"?`},
		{"@", `WF301 1-2 unknown schedule "@"`, "known are @hourly, @daily, @weekly, @monthly, @yearly"},
		{"@daily 3", `WF301 8-9 "3" after @daily`, "leave it out"},
		{"0 3 * *", "WF301 1-8 4 fields; a schedule has five", fiveFields},
		{"3", "WF301 1-2 1 field; a schedule has five", fiveFields},
		{"0 0 3 * * *", "WF304 1-12 6 fields; a schedule has five, without seconds and years", `did you mean "0 3 * * *"?`},
		{"0 0 3 * * ? 2026", "WF304 1-17 7 fields; a schedule has five, without seconds and years", `did you mean "0 3 * * ?"?`},
		{"60 3 * * *", "WF301 1-3 minute 60 is not within 0-59", "minute is *, a number from 0 to 59, a range such as 1-5 or a step such as */2"},
		{"0 24 * * *", "WF301 3-5 hour 24 is not within 0-23", "hour is *, a number from 0 to 23, a range such as 1-5 or a step such as */2"},
		{"0 3 0 * *", "WF301 5-6 day of month 0 is not within 1-31", "day of month is *, a number from 1 to 31, a range such as 2-6 or a step such as */2"},
		{"0 3 * jam *", `WF301 7-10 "jam" is not a value of month`, "month is *, a number from 1 to 12, one of jan feb mar apr may jun jul aug sep oct nov dec, or a range such as feb-may"},
		{"0 3 * * 8", "WF301 9-10 day of week 8 is not within 0-7", "day of week is *, a number from 0 to 7, one of sun mon tue wed thu fri sat, or a range such as mon-thu"},
		{"0,1,,2 3 * * *", "WF301 5-5 a value of minute is missing", "minute is *, a number from 0 to 59, a range such as 1-5 or a step such as */2"},
		{"0 +3 * * *", `WF301 3-5 "+3" is not a value of hour`, "hour is *, a number from 0 to 23, a range such as 1-5 or a step such as */2"},
		{"0 *-5 * * *", `WF301 3-6 "*" is not a value of hour`, "hour is *, a number from 0 to 23, a range such as 1-5 or a step such as */2"},
		{"? 3 * * *", `WF301 1-2 "?" is not a value of minute`, "minute is *, a number from 0 to 59, a range such as 1-5 or a step such as */2"},
		{"1-2-3 3 * * *", `WF301 1-6 "2-3" is not a value of minute`, "minute is *, a number from 0 to 59, a range such as 1-5 or a step such as */2"},
		{"*/0 3 * * *", `WF301 1-4 step "0" of minute is not a number from 1 on`, "a step is written as in */15"},
		{"*/5/3 3 * * *", `WF301 1-6 step "5/3" of minute is not a number from 1 on`, "a step is written as in */15"},
		{"*/99999999999999999999 3 * * *", `WF301 1-23 step "99999999999999999999" of minute is not a number from 1 on`, "a step is written as in */15"},
		{"0 3 * * fri-mon", `WF301 9-16 range "fri-mon" of day of week runs backwards`, "write two ranges: 5-6,0-1"},
		{"0 3 * * 7-2", `WF301 9-12 range "7-2" of day of week runs backwards`, "Sunday at the start of a range is 0: write 0-2"},
		{"0 22-4 * * *", `WF301 3-7 range "22-4" of hour runs backwards`, "write two ranges: 22-23,0-4"},
		{"*/70 * * * *", "WF305 1-5 step 70 of minute is larger than its range 0-59: only 0 would fit", "write 0 if that is meant"},
		{"*/60 * * * *", "WF305 1-5 step 60 of minute is larger than its range 0-59: only 0 would fit", "write 0 if that is meant"},
		{"5,10-20/15 3 * * *", "WF305 3-11 step 15 of minute is larger than its range 10-20: only 10 would fit", "write 10 if that is meant"},
		{"0 */24 * * *", "WF305 3-7 step 24 of hour is larger than its range 0-23: only 0 would fit", "write 0 if that is meant"},
		{"0 3 * * */7", "WF305 9-12 step 7 of day of week is larger than its range 0-6: only 0 would fit", "write 0 if that is meant"},
		{"0 0 31 2 *", "WF306 5-9 month 2 has no day 31: it would never run", "for the end of each month, write the first day of the next one: `0 0 1 * *`"},
		{"0 0 30-31 feb *", "WF306 5-14 month feb has no day 30-31: it would never run", "for the end of each month, write the first day of the next one: `0 0 1 * *`"},
		{"0 3 13 * 5", "WF309 10-11 runs when day of month is 13 and also when day of week is 5, not only when both fit", "give one of the two, and write * for the other"},
		{"* 3 * * *", "WF310 1-2 every minute of hour 3: 60 runs an hour", `once an hour is "0 3 * * *"`},
		{"*/45 * * * *", "WF311 1-5 minute */45 is not every 45: after 45 comes 0, 15 later", ""},
		{"0 */5 * * *", "WF311 3-6 hour */5 is not every 5: after 20 comes 0, 4 later", ""},
		{"0 0-23/5 * * *", "WF311 3-9 hour 0-23/5 is not every 5: after 20 comes 0, 4 later", ""},
		{"5/25 * * * *", "WF311 1-5 minute 5/25 is not every 25: after 55 comes 5, 10 later", ""},
		{"5/20 * * * *", "", ""},
		{"10-40/7 * * * *", "", ""},
		{"0 3 */2 * *", "WF311 5-8 day of month */2 is not every 2: after the month's last day comes 1, whatever its length", ""},
		{"0 3 2-31/3 * *", "WF311 5-11 day of month 2-31/3 is not every 3: after the month's last day comes 2, whatever its length", ""},
		{"0 3 1-15/2 * *", "", ""},
		{"0 3 1 */5 *", "WF311 7-10 month */5 is not every 5: after 11 comes 1, 2 later", ""},
		{"0 3 1 */3 *", "", ""},
		{"0 3 * * */2", "WF311 9-12 day of week */2 is not every 2: after 6 comes 0, 1 later", ""},
		{"0 3 * * 1-7/2", "WF311 9-14 day of week 1-7/2 is not every 2: after 0 comes 1, 1 later", ""},
		{"0 3 31 * *", "WF313 5-7 5 months a year (February, April, June, September and November) have no day 31: it does not run then", endOfMonth},
		{"0 3 30 * *", "WF313 5-7 February has no day 30: it does not run then", endOfMonth},
		{"0 3 30,31 feb-mar *", "WF313 5-10 February has no day 30,31: it does not run then", endOfMonth},
		{"0 3 29 * *", "WF313 5-7 February has a day 29 in leap years only: it does not run in the others", endOfMonth},
		{"0 3 29 2 *", "WF313 5-7 February has a day 29 in leap years only: it does not run in the others", endOfMonth},
		{"0 3 31 1,3,12 *", "", ""},
		{"0 3 28-31 * *", "", ""},
		{"0 3 28 * *", "", ""},
		{"*/15 */6 * * 1-5", "", ""},
		{"59/1 3 * * *", "", ""},
		{"0 3 * * 7", "", ""},
	} {
		s, findings := parse(c.spec, "")
		if (s == nil) != findings.HasErrors() {
			t.Errorf("%q: schedule %v with findings %v", c.spec, s, findings)
		}
		var got, help []string
		for _, f := range findings {
			got = append(got, strings.Join([]string{f.Code.ID, columns(f), f.Message}, " "))
			help = append(help, f.Help)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%q:\n%s", c.spec, diff)
		}
		if diff := cmp.Diff(c.help, strings.Join(help, "; ")); diff != "" {
			t.Errorf("%q, help:\n%s", c.spec, diff)
		}
	}
}

const endOfMonth = "for the end of each month, write the first day of the next one: `0 0 1 * *`"

func TestParse_FixedOffsets(t *testing.T) {
	t.Parallel()
	for zone, want := range map[string]string{
		"EST":             "EST has no summer time: New York is an hour ahead of it in summer | write America/New_York, or UTC if no place is meant",
		"GMT":             "GMT has no summer time: London is an hour ahead of it in summer | write Europe/London, or UTC if no place is meant",
		"Etc/GMT+5":       "Etc/GMT+5 is 5 hours behind UTC, and has no summer time | write a city's zone, such as Europe/Amsterdam; the other side of UTC is Etc/GMT-5",
		"Etc/GMT-1":       "Etc/GMT-1 is 1 hour ahead of UTC, and has no summer time | write a city's zone, such as Europe/Amsterdam; the other side of UTC is Etc/GMT+1",
		"America/Phoenix": "", "UTC": "", "Etc/UTC": "", "Zulu": "", "CET": "", "EST5EDT": "", "Singapore": "",
	} {
		s, findings := parse("0 3 * * *", zone)
		got := ""
		for _, f := range findings {
			got += f.Message + " | " + f.Help
		}
		if s == nil || got != want || want != "" && findings[0].Code.ID != "WF312" {
			t.Errorf("%s: schedule %v, got %q, want %q", zone, s, got, want)
		}
	}
}

// Each zone that is no place and has no summer time is warned of, or says outright that it is UTC.
func TestParse_EveryZoneWithoutAPlaceIsKnown(t *testing.T) {
	t.Parallel()
	places := strings.Fields("Hongkong Iceland Israel Jamaica Japan Kwajalein Libya Navajo PRC ROC ROK Singapore Turkey W-SU Iran UCT UTC Universal Zulu Etc/UCT Etc/UTC Etc/Universal Etc/Zulu")
	for zone := range strings.FieldsSeq(zoneList) {
		if strings.Contains(zone, "/") && !strings.HasPrefix(zone, "Etc/") || slices.Contains(places, zone) {
			continue
		}
		location, findings := parseZone(diag.NewText("", zone, nil))
		_, winter := time.Date(2035, 1, 1, 0, 0, 0, 0, location).Zone()
		_, summer := time.Date(2035, 7, 1, 0, 0, 0, 0, location).Zone()
		if winter == summer && len(findings) == 0 {
			t.Errorf("%s has no summer time and is no place, and nobody says so", zone)
		}
	}
}

func columns(f diag.Finding) string {
	return strconv.Itoa(f.Pos.Col) + "-" + strconv.Itoa(f.End.Col)
}

func TestParse_FindsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	_, findings := parse("61 25 * 13 8,9", "Europe/Amsterdm")
	if len(findings) != 6 {
		t.Errorf("got %d findings, want 6: %v", len(findings), findings)
	}
}

func TestParse_Zones(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, help string }{
		{"Europe/Amsterdm", `did you mean "Europe/Amsterdam"?`},
		{"europe/amsterdam", `did you mean "Europe/Amsterdam"?`},
		{"Amsterdam", `did you mean "Europe/Amsterdam"?`},
		{"new york", `did you mean "America/New_York"?`},
		{"America/New York", `did you mean "America/New_York"?`},
		{"Amsterdm", `did you mean "Europe/Amsterdam"?`},
		{"buenos aires", `did you mean "America/Argentina/Buenos_Aires"?`},
		{"utc", `did you mean "UTC"?`},
		{"PST", "a zone is named after a city, such as Europe/Amsterdam or America/New_York, or is UTC"},
		{"Local", "a zone is named after a city, such as Europe/Amsterdam or America/New_York, or is UTC"},
		{"+01:00", "a fixed offset misses daylight saving: write a city's zone, such as Europe/Amsterdam, or UTC"},
		{"UTC+2", "a fixed offset misses daylight saving: write a city's zone, such as Europe/Amsterdam, or UTC"},
		{"../../etc/passwd", "a zone is named after a city, such as Europe/Amsterdam or America/New_York, or is UTC"},
		{strings.Repeat("x", 200), "a zone is named after a city, such as Europe/Amsterdam or America/New_York, or is UTC"},
	} {
		s, findings := parse("@daily", c.zone)
		if s != nil || len(findings) != 1 || findings[0].Code.ID != "WF307" {
			t.Errorf("%q: schedule %v, findings %v; want one WF307", c.zone, s, findings)
			continue
		}
		if findings[0].Help != c.help {
			t.Errorf("%q: got %q, want %q", c.zone, findings[0].Help, c.help)
		}
	}
}

func TestZones_AreThoseOfTheEmbeddedData(t *testing.T) {
	t.Parallel()
	zones := strings.Fields(zoneList)
	for _, zone := range zones {
		if _, err := time.LoadLocation(zone); err != nil {
			t.Errorf("%s: %v", zone, err)
		}
	}
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("there is no go command to ask where Go is")
	}
	archive, err := zip.OpenReader(strings.TrimSpace(string(root)) + "/lib/time/zoneinfo.zip")
	if err != nil {
		t.Skip("the Go installation has no zone data to compare with")
	}
	defer archive.Close()
	have := map[string]bool{}
	for _, zone := range zones {
		have[zone] = true
	}
	for _, file := range archive.File {
		if !strings.HasSuffix(file.Name, "/") && file.Name != "Factory" && !have[file.Name] {
			t.Errorf("zones.txt misses %s", file.Name)
		}
	}
}

// TestParse_AgreesWithTheLibrary holds that a spec has the slots that the library's own parser reads from it. The library
// knows no Sunday 7, so a spec that has one is given to the library in other words.
func TestParse_AgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	library := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	for _, c := range []struct{ spec, library string }{
		{"*/7 1-5/2 */3 feb-nov/2 mon,wed-fri", ""},
		{"1,3,5/9 22,23 1,31 12 0-7", "1,3,5/9 22,23 1,31 12 0-6"},
		{"0 0 ? * *", ""},
		{"0 3 ? * 5-7/2", "0 3 ? * 5,0"},
		{"0 0-23/1 1 1 sun", ""},
		{"* */1 */1 */1 */1", ""},
		{"*,5 *,5 *,5 *,5 *,5", ""},
		{"59/1 23/1 31/1 12/1 6/1", ""},
		{"0 3 * * 7", "0 3 * * 0"},
		{"0 3 * * fri-sun", "0 3 * * 0,5,6"},
		{"@weekly", "0 0 * * 0"},
	} {
		s, findings := parse(c.spec, "")
		if s == nil {
			t.Errorf("%q: %v", c.spec, findings)
			continue
		}
		if c.library == "" {
			c.library = c.spec
		}
		other, err := library.Parse(c.library)
		if err != nil {
			t.Fatal(err)
		}
		want, is := other.(*cron.SpecSchedule)
		if !is {
			t.Fatalf("%q: the library returns a %T", c.spec, other)
		}
		want.Location = time.UTC
		if s.spec != *want {
			t.Errorf("%q: the library reads %+v, we read %+v", c.spec, *want, s.spec)
		}
	}
}

func TestSchedule_Describe(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"0 3 * * *":         "every day at 03:00 Europe/Amsterdam",
		"@daily":            "every day at 00:00 Europe/Amsterdam",
		"30 3,15 * * *":     "every day at 03:30 and 15:30 Europe/Amsterdam",
		"0 1,2,3 * * 0-6":   "every day at 01:00, 02:00 and 03:00 Europe/Amsterdam",
		"* * * * *":         "every minute Europe/Amsterdam",
		"*/15 * * * *":      "every 15 minutes Europe/Amsterdam",
		"*/15 * * * 1-5":    "every 15 minutes, every weekday (Monday to Friday), Europe/Amsterdam",
		"5 * * * *":         "every hour at :05 Europe/Amsterdam",
		"0 */6 * * *":       "every 6 hours from 00:00 Europe/Amsterdam",
		"0 3 * * 1":         "every Monday at 03:00 Europe/Amsterdam",
		"0 3 * * mon-fri":   "every weekday (Monday to Friday) at 03:00 Europe/Amsterdam",
		"0 3 * * 1,4":       "every Monday and Thursday at 03:00 Europe/Amsterdam",
		"0 3 1 * *":         "on the 1st of every month at 03:00 Europe/Amsterdam",
		"0 3 22 * *":        "on the 22nd of every month at 03:00 Europe/Amsterdam",
		"0 3 13 * ?":        "on the 13th of every month at 03:00 Europe/Amsterdam",
		"@yearly":           "every year on 1 January at 00:00 Europe/Amsterdam",
		"0 3 1 1-6 *":       `cron "0 3 1 1-6 *" Europe/Amsterdam`,
		"7,9 3 * * *":       `cron "7,9 3 * * *" Europe/Amsterdam`,
		"0 3 13 * 5":        `cron "0 3 13 * 5" Europe/Amsterdam`,
		"0 1,3,5,7,9 * * *": `cron "0 1,3,5,7,9 * * *" Europe/Amsterdam`,
	} {
		if got := mustSchedule(t, spec, "Europe/Amsterdam").Describe(); got != want {
			t.Errorf("%q: got %q, want %q", spec, got, want)
		}
	}
}
