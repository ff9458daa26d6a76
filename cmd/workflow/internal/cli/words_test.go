package cli

import (
	"testing"
	"time"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 11908: "11,908", -1234567: "-1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %s, want %s", n, got, want)
		}
	}
	if got := counted(1, "contact", "contacts") + ", " + counted(2000, "contact", "contacts"); got != "1 contact, 2,000 contacts" {
		t.Error(got)
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part, whole int64
		want        string
	}{{0, 0, "0 %"}, {0, 10, "0 %"}, {1, 250, "0.4 %"}, {11908, 23570, "51 %"}, {5, 5, "100 %"}, {999, 10000, "10.0 %"}} {
		if got := percent(c.part, c.whole); got != c.want {
			t.Errorf("percent(%d, %d) = %s, want %s", c.part, c.whole, got, c.want)
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Time{}, ""},
		{now, "just now"},
		{now.Add(-time.Minute), "1 minute ago"},
		{now.Add(-50 * time.Hour), "2 days ago"},
		{now.Add(3*time.Hour + time.Minute), "in 3 hours"},
	} {
		if got := ago(c.at, now); got != c.want {
			t.Errorf("ago(%v) = %q, want %q", c.at, got, c.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1998-07-01": "1998-07-01T00:00:00Z", "1998-07-01T02:00:00+02:00": "1998-07-01T00:00:00Z", "2026-01-31T10:00:00.25Z": "2026-01-31T10:00:00.25Z",
	} {
		got, err := parseTime("--now", text)
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("parseTime(%s) = %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "now", "1998-02-30", "0000-01-01", "01/07/1998", "1998-07-01 10:00"} {
		if _, err := parseTime("--now", text); err == nil {
			t.Errorf("parseTime(%q) is accepted", text)
		}
	}
}
