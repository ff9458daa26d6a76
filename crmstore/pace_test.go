package crmstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// ask is one question: at how many milliseconds, how many records, and the answer: +wait is granted, -wait is not.
type ask struct {
	at, n int64
	want  int64
}

func TestPace(t *testing.T) {
	t.Parallel()
	ten, all := crmstore.Rate{Workflow: "w", PerSecond: 10}, crmstore.Rate{PerSecond: 2}
	for name, c := range map[string]struct {
		rates []crmstore.Rate
		asks  []ask
	}{
		"no limit":               {nil, []ask{{0, 1e6, 0}, {0, 1e6, 0}}},
		"the first is let":       {[]crmstore.Rate{ten}, []ask{{0, 5, 0}}},
		"then one after another": {[]crmstore.Rate{ten}, []ask{{0, 5, 0}, {0, 5, 400}, {0, 5, 900}, {100, 5, 1300}}},
		"late is made up for":    {[]crmstore.Rate{ten}, []ask{{0, 5, 0}, {450, 5, 0}, {950, 5, 0}, {1000, 5, 400}}},
		"but not what was slept": {[]crmstore.Rate{ten}, []ask{{0, 5, 0}, {20_000, 5, 0}, {20_000, 5, 400}}},
		"one a second":           {[]crmstore.Rate{{PerSecond: 1}}, []ask{{0, 1, 0}, {0, 1, 900}, {0, 1, 1900}}},
		"the slower one counts":  {[]crmstore.Rate{ten, all}, []ask{{0, 1, 0}, {0, 1, 400}, {0, 1, 900}}},
		"who waits too long is sent away": {
			[]crmstore.Rate{ten},
			[]ask{{0, 200, 0}, {0, 105, 19_900}, {0, 5, -400}, {0, 5, -400}, {399, 5, -1}, {400, 5, 30_000}},
		},
		// A clock is three seconds behind: it waits until then, and keeps its place.
		"behind": {[]crmstore.Rate{ten}, []ask{{3000, 5, 0}, {0, 5, 3400}, {3000, 5, 900}, {3400, 5, 1000}}},
		// A clock was ahead by an hour, and is gone: the first who is right waits a second, and then everybody goes by theirs.
		"wrong": {[]crmstore.Rate{ten}, []ask{{3_600_000, 5, 0}, {0, 5, 1000}, {0, 5, 1500}, {1000, 5, 1000}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o storetest.Options) {
				s := storetest.OpenWith(t, o)
				for i, a := range c.asks {
					wait, granted, err := s.Pace(t.Context(), int(a.n), noon.Add(time.Duration(a.at)*time.Millisecond), c.rates...)
					got := wait.Milliseconds()
					if !granted {
						got = -got
					}
					if err != nil || got != a.want {
						t.Errorf("question %d (%+v): %d, %v", i, a, got, err)
					}
				}
			})
		})
	}
	s := storetest.Open(t)
	// The account's limit refuses: that must not have cost the workflow anything.
	for i := range 3 {
		if _, granted, err := s.Pace(t.Context(), 31, noon, ten, crmstore.Rate{PerSecond: 1}); err != nil || granted != (i == 0) {
			t.Errorf("question %d: granted %v, %v", i, granted, err)
		}
	}
	if wait, _, err := s.Pace(t.Context(), 1, noon, ten); wait != 3000*time.Millisecond || err != nil {
		t.Errorf("the workflow waits %s (%v), want what the 31 cost", wait, err)
	}
	if _, _, err := s.Pace(t.Context(), 1, noon, crmstore.Rate{}); err == nil || !strings.Contains(err.Error(), "0 per second") {
		t.Errorf("a limit of nothing: %v", err)
	}
	if _, _, err := s.As("stranger").Pace(t.Context(), 1, noon, ten); err == nil {
		t.Error("a stranger was let through")
	}
}

// Any number of processes, with clocks that differ, stay below the rate together, and use it up.
func TestPace_ProcessesShareARate(t *testing.T) {
	t.Parallel()
	const perSecond, seconds = 200, 20
	for _, lead := range []time.Duration{0, 300 * time.Millisecond, 4 * time.Second, time.Hour} {
		t.Run(lead.String(), func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			type caller struct {
				next     time.Duration // when it asks again, by the right clock
				Prefetch time.Duration
				got      int
			}
			// Four goroutines of two processes; the clock of one process is ahead.
			callers := []*caller{{}, {}, {Prefetch: lead}, {Prefetch: lead}}
			let := map[int]int{} // records by second
			for {
				c := slices.MinFunc(callers, func(a, b *caller) int { return int(a.next - b.next) })
				if c.next >= seconds*time.Second {
					break
				}
				wait, granted, err := s.Pace(t.Context(), perSecond/2, noon.Add(c.next+c.Prefetch), crmstore.Rate{Workflow: "w", PerSecond: perSecond})
				noError(t, err)
				c.next += wait
				if granted && c.next < seconds*time.Second {
					c.got += perSecond / 2
					let[int(c.next/time.Second)] += perSecond / 2
				}
				c.next += 3 * time.Millisecond // it deletes
			}
			total, shares := 0, ""
			for _, c := range callers {
				total += c.got
				shares += fmt.Sprint(" ", c.got)
			}
			most := perSecond*(seconds+1) + int(min(lead, time.Minute).Seconds()*perSecond)
			if lead > time.Minute { // about a round for each caller and second more
				most += seconds * len(callers) * perSecond
			}
			if total > most || total < perSecond*(seconds-1) {
				t.Errorf("%d records in %d s (of each caller:%s), want %d to %d; by second: %v", total, seconds, shares, perSecond*(seconds-1), most, let)
			}
			for _, c := range callers {
				if fair := total / len(callers); c.got < fair*9/10 && lead == 0 || c.got == 0 {
					t.Errorf("a caller got too little of its share; of each:%s", shares)
				}
			}
		})
	}
}

func TestDeletionsPerSecond(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		s := storetest.OpenWith(t, o)
		for _, c := range []struct {
			value string
			want  int
		}{{"", 0}, {"250", 250}, {"1000000", 1e6}, {"", 0}} {
			_, err := s.SetSetting(t.Context(), crmstore.SettingDeletions, c.value, someone, noon)
			noError(t, err)
			if got, err := s.DeletionsPerSecond(t.Context()); got != c.want || err != nil {
				t.Errorf("%q: %d, %v", c.value, got, err)
			}
		}
	})
}
