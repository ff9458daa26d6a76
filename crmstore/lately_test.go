package crmstore_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// A minute counts until 24 hours after its end, and room is told to the minute.
func TestCounted_RoomFrom(t *testing.T) {
	t.Parallel()
	minute := func(m int) time.Time { return noon.Add(time.Duration(m) * time.Minute) }
	day := 24*60 + 1
	c := crmstore.Counted{Deleted: 60, Minutes: []crmstore.MinuteCount{{minute(-600), 10}, {minute(-300), 20}, {minute(-1), 30}}}
	busy := c
	busy.Aside = 50
	for name, tt := range map[string]struct {
		in      crmstore.Counted
		n, most int64
		want    time.Time
	}{
		"at once":                  {c, 40, 100, noon},
		"one too many":             {c, 41, 100, minute(-600 + day)},
		"the first makes just":     {c, 50, 100, minute(-600 + day)},
		"the second is needed":     {c, 51, 100, minute(-300 + day)},
		"all must be gone":         {c, 100, 100, minute(-1 + day)},
		"never":                    {c, 101, 100, time.Time{}},
		"aside stays in the way":   {busy, 50, 100, minute(-1 + day)},
		"aside is too much for it": {busy, 51, 100, time.Time{}},
		"nothing was deleted":      {crmstore.Counted{}, 100, 100, noon},
	} {
		if got := tt.in.RoomFrom(tt.n, tt.most, noon); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestCeiling(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ set, live, want int64 }{
		{0, 0, 1000},
		{0, 4999, 1000},
		{0, 5000, 1000},
		{0, 5005, 1001},
		{0, 23570, 4714},
		{0, 1_000_000, 200_000},
		{3, 1_000_000, 3},
		{50_000, 10, 50_000},
	} {
		if got := (crmstore.DeletionLimits{PerDay: tt.set}).Ceiling(tt.live); got != tt.want {
			t.Errorf("set to %d, %d live: %d, want %d", tt.set, tt.live, got, tt.want)
		}
	}
}

// What the last 24 hours hold: to the minute, of the workflow and of all, with what is set aside.
func TestReserveAndSettle(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		s := storetest.OpenWith(t, o)
		at := noon
		reserve := func(run, workflow string, n, most, all int64, want bool) {
			t.Helper()
			room, err := s.Reserve(t.Context(), crmstore.Reservation{
				Object: record.Contact, Run: run, Workflow: workflow, Records: n, Most: most, MostAll: all,
			}, at)
			if err != nil || room.Granted != want {
				t.Fatalf("reserve %d for %s at %s: %+v, %v; want %v", n, run, at, room, err, want)
			}
		}
		settle := func(run, workflow string, deleted int64, final bool) {
			t.Helper()
			err := s.Settle(t.Context(), crmstore.Settlement{
				Object: record.Contact, Run: run, Workflow: workflow, Deleted: deleted, Final: final,
			}, at)
			if err != nil {
				t.Fatal(err)
			}
		}
		want := func(deleted, aside int64) {
			t.Helper()
			got, err := s.DeletedLately(t.Context(), record.Contact, at)
			if err != nil || got.All.Deleted != deleted || got.All.Aside != aside {
				t.Fatalf("at %s: %d deleted and %d aside, %v; want %d and %d", at, got.All.Deleted, got.All.Aside, err, deleted, aside)
			}
		}
		reserve("a1", "a", 3, 3, 10, true)
		reserve("a1", "a", 3, 3, 10, true) // again, after a crash: nothing is counted twice
		want(0, 3)
		reserve("a2", "a", 1, 3, 10, false) // the workflow's own limit
		reserve("b1", "b", 8, 100, 10, false)
		reserve("b1", "b", 7, 100, 10, true)
		reserve("c1", "c", 1, 100, 10, false) // the account's
		reserve("h1", "", 100, -1, -1, true)  // a typed number is counted, and never refused
		want(0, 110)
		settle("h1", "", 100, true)
		settle("h1", "", 100, true) // again
		want(100, 10)
		settle("b1", "b", 2, false) // it stopped: what it did not delete is given back
		want(102, 3)
		reserve("b1", "b", 7, 7, -1, true) // and goes on: what it did is not counted twice
		want(102, 8)
		settle("b1", "b", 6, true)
		want(106, 3)
		settle("never", "c", 5, true) // set nothing aside, so did nothing
		want(106, 3)
		settle("", "", 1, false) // one by hand
		want(107, 3)
		at = noon.Add(24 * time.Hour)
		want(107, 3)
		at = noon.Add(24*time.Hour + time.Minute)
		want(0, 3) // what a run has set aside does not grow old
		settle("a1", "a", 3, true)
		want(3, 0)
		other, err := s.DeletedLately(t.Context(), record.Deal, at)
		if err != nil || other.All.Sum() != 0 {
			t.Errorf("deals: %+v, %v; each type has its own", other, err)
		}
	})
}

// A settlement that comes late leaves alone what somebody set aside who took the run on.
func TestSettle_LeavesTheRunToWhoTookItOn(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	run, err := s.CreateRun(t.Context(), crmstore.Run{
		ID: "w@1", Workflow: "w", Object: record.Contact, State: crmstore.RunRunning, StartedAt: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := crmstore.Reservation{Object: record.Contact, Run: run.ID, Workflow: "w", Records: 10, Most: -1, MostAll: -1}
	if _, err := s.Reserve(t.Context(), r, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SaveRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	late := crmstore.Settlement{Object: record.Contact, Run: run.ID, Workflow: "w", Deleted: 4, Version: run.Version}
	if err := s.Settle(t.Context(), late, noon); err != nil {
		t.Fatal(err)
	}
	got, err := s.DeletedLately(t.Context(), record.Contact, noon)
	if err != nil || got.All.Aside != 10 || got.All.Deleted != 0 {
		t.Errorf("%+v, %v; want 10 aside still", got.All, err)
	}
}

// However many ask at once, never more is granted than there is room for.
func TestReserve_AtOnce(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	granted := int64(0)
	for i := range 40 {
		group.Go(func() {
			room, err := s.Reserve(t.Context(), crmstore.Reservation{
				Object: record.Contact, Run: fmt.Sprint("r", i), Workflow: fmt.Sprint("w", i%20), Records: 100, Most: 150, MostAll: 1250,
			}, noon)
			if err != nil {
				t.Error(err)
			}
			if room.Granted {
				mu.Lock()
				granted += 100
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if granted != 1200 {
		t.Errorf("%d were granted to 40 runs, want 1,200 of 1,250", granted)
	}
}

// modelRun is a run as a plain list knows it.
type modelRun struct {
	workflow         string
	records          int64
	deleted, counted int64
	open, over       bool
}

type modelDeletion struct {
	workflow string
	at       time.Time
	n        int64
}

// Random runs that begin, stop, go on, crash and repeat themselves, against a plain list of deletions: no 24 hours ever hold more
// than a limit, and what the store says is what the list says.
func TestProperty_Lately(t *testing.T) {
	t.Parallel()
	const most, all = 40, 90
	rapid.Check(t, func(rt *rapid.T) {
		s := storetest.OpenWith(t, storetest.Options{Partitions: 1})
		for _, name := range []string{"a", "b", "c"} { // deletions of workflows that the account does not have are counted against all
			if _, err := s.SaveWorkflow(t.Context(), crmstore.Workflow{Name: name, Object: record.Contact}, nil, "publish", someone, noon); err != nil {
				rt.Fatal(err)
			}
		}
		at := noon
		var runs []*modelRun
		var done []modelDeletion
		within := func(workflow string, every bool) (n int64) {
			from := at.Truncate(time.Minute).Add(-24 * time.Hour)
			for _, d := range done {
				if (every || d.workflow == workflow) && !d.at.Truncate(time.Minute).Before(from) {
					n += d.n
				}
			}
			return n
		}
		aside := func(but *modelRun, workflow string, every bool) (n int64) {
			for _, r := range runs {
				if r != but && r.open && (every || r.workflow == workflow) {
					n += r.records - r.counted
				}
			}
			return n
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"begin", "begin", "end", "stop", "later", "again"}).Draw(rt, "step") {
			case "later":
				at = at.Add(time.Duration(rapid.IntRange(1, 14*3600).Draw(rt, "seconds")) * time.Second)
				continue
			case "begin":
				runs = append(runs, &modelRun{workflow: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "workflow")})
				runs[len(runs)-1].records = int64(rapid.IntRange(1, 30).Draw(rt, "records"))
			}
			if len(runs) == 0 {
				continue
			}
			i := len(runs) - 1
			if rapid.Bool().Draw(rt, "another") {
				i = rapid.IntRange(0, i).Draw(rt, "which")
			}
			r := runs[i]
			name := fmt.Sprint("run", i)
			if r.over {
				continue
			}
			if !r.open {
				want := r.records - r.counted
				fits := want == 0 || within(r.workflow, false)+aside(r, r.workflow, false)+want <= most && within("", true)+aside(r, "", true)+want <= all
				room, err := s.Reserve(t.Context(), crmstore.Reservation{
					Object: record.Contact, Run: name, Workflow: r.workflow, Records: r.records, Most: most, MostAll: all,
				}, at)
				if err != nil || room.Granted != fits {
					rt.Fatalf("%+v at %s: granted %v, %v; want %v", r, at, room.Granted, err, fits)
				}
				r.open = fits
				continue
			}
			final := rapid.Bool().Draw(rt, "final")
			r.deleted = min(r.records, r.deleted+int64(rapid.IntRange(0, 20).Draw(rt, "deleted")))
			for range rapid.IntRange(1, 2).Draw(rt, "repeated") {
				err := s.Settle(t.Context(), crmstore.Settlement{
					Object: record.Contact, Run: name, Workflow: r.workflow, Deleted: r.deleted, Final: final,
				}, at)
				if err != nil {
					rt.Fatal(err)
				}
			}
			done = append(done, modelDeletion{r.workflow, at, r.deleted - r.counted})
			r.counted, r.open, r.over = r.deleted, false, final
			got, err := s.DeletedLately(t.Context(), record.Contact, at)
			if err != nil {
				rt.Fatal(err)
			}
			want := []int64{within("", true), aside(nil, "", true)}
			if d := cmp.Diff(want, []int64{got.All.Deleted, got.All.Aside}); d != "" || want[0] > all {
				rt.Fatalf("deleted and aside of all (-list +store):\n%s", d)
			}
		}
	})
}

// Deletions whose count was lost are counted by the limits all the same: each key of the counts has another one or the runs as
// its witness. Doctor says how many were lost, until a person accepts it.
func TestForgottenDeletions(t *testing.T) {
	t.Parallel()
	const all, stale, other = "deleted:contact", "deleted:contact:stale", "deleted:contact:other"
	for what, c := range map[string]struct {
		lost          []string
		forgotten     int64
		own, together int64 // what a third workflow's run is told
	}{
		"nothing":               {nil, 0, 0, 12},
		"the sum of all":        {[]string{all}, 12, 0, 12},
		"a workflow's":          {[]string{stale}, 5, 0, 12},
		"those by hand":         {[]string{"deleted:contact:"}, 4, 4, 12}, // nobody knows whose they are
		"all, and a workflow's": {[]string{all, stale}, 12, 0, 12},
		"of all workflows":      {[]string{all, stale, other}, 12, 0, 12},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, o storetest.Options) {
				ctx := t.Context()
				d := ward(t, o)
				at := d.Now()
				for _, name := range []string{"other", "third"} {
					if _, err := d.SaveWorkflow(ctx, crmstore.Workflow{Name: name, Object: record.Contact}, nil, "publish", someone, noon); err != nil {
						t.Fatal(err)
					}
				}
				for name, n := range map[string]int64{"stale": 5, "other": 3} {
					run, err := d.CreateRun(ctx, crmstore.Run{ID: name + "@1", Workflow: name, Object: record.Contact, State: crmstore.RunRunning, StartedAt: at, Now: at})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := d.Reserve(ctx, crmstore.Reservation{Object: record.Contact, Run: run.ID, Workflow: name, Records: n, Most: -1, MostAll: -1}, at); err != nil {
						t.Fatal(err)
					}
					run.State, run.Deleted = crmstore.RunDone, n
					if _, err := d.SaveRun(ctx, run); err != nil {
						t.Fatal(err)
					}
					if err := d.Settle(ctx, crmstore.Settlement{Object: record.Contact, Run: run.ID, Workflow: name, Deleted: n, Final: true}, at); err != nil {
						t.Fatal(err)
					}
				}
				if err := d.Settle(ctx, crmstore.Settlement{Object: record.Contact, Deleted: 4}, at); err != nil {
					t.Fatal(err)
				}
				for _, name := range c.lost {
					crmstore.Raw(d.Store).Del(ctx, strings.TrimSuffix(crmstore.KeyAccountLog(d.Store), "log")+name)
				}
				lately, err := d.DeletedLately(ctx, record.Contact, at)
				if err != nil || lately.Forgotten() != c.forgotten || lately.All.Sum() != c.together || lately.Of("third").Sum() != c.own {
					t.Errorf("%+v, %v: forgotten %d of %d, third has %d", lately, err, lately.Forgotten(), lately.All.Sum(), lately.Of("third").Sum())
				}
				if n := lately.Of("stale").Sum(); n < 5 {
					t.Errorf("of 5 deletions the limit of stale knows %d", n)
				}
				ask := func(workflow string, most, mostAll int64) crmstore.Room {
					room, err := d.Reserve(ctx, crmstore.Reservation{Object: record.Contact, Run: "r@1", Workflow: workflow, Records: 1, Most: most, MostAll: mostAll}, at)
					if err != nil {
						t.Fatal(err)
					}
					return room
				}
				if room := ask("third", c.own, c.together); room.Granted || room.Own != c.own || room.OfAccount != c.together {
					t.Errorf("without room for one more: %+v", room)
				}
				if room := ask("third", c.own+1, c.together+1); !room.Granted {
					t.Errorf("with room for one more: %+v", room)
				}
				if room := ask("stale", 5, 1000); room.Granted {
					t.Errorf("a sixth of 5 by stale: %+v", room)
				}
				losses, _ := d.examine(crmstore.DoctorOrder{Repair: true})
				want := []string(nil)
				if c.forgotten > 0 {
					want = []string{fmt.Sprintf("lost %d: the counts for the limits of 24 hours have lost %d of 12 deletions of contacts; the limits count them all the same, until the 24 hours are over", c.forgotten, c.forgotten)}
				}
				if diff := cmp.Diff(want, losses); diff != "" {
					t.Errorf("doctor (-want +got):\n%s", diff)
				}
				d.examine(crmstore.DoctorOrder{AcceptLoss: true})
				if losses, _ := d.examine(crmstore.DoctorOrder{}); len(losses) != len(want) || len(want) > 0 && !strings.HasPrefix(losses[0], "accepted ") {
					t.Errorf("accepted: %q", losses)
				}
			})
		})
	}
}
