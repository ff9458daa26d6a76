package crmstore

import (
	"testing"
	"time"
)

const (
	secondMS = int64(1000)
	hourMS   = 3600 * secondMS
	dayMS    = 24 * hourMS
	yearMS   = 365 * dayMS
)

// What a process makes of the store's time, given what the account has seen and how much time has passed on the process's host.
func TestClockRecord_Judge(t *testing.T) {
	t.Parallel()
	const noon = int64(1_800_000_000_000)
	seen := clockRecord{seen: noon, marks: map[string]clockMark{"here": {store: noon, count: 50 * dayMS}}}
	for _, c := range []struct {
		name    string
		witness string // "here" left a mark; another host did not
		passed  int64  // on the host, since the mark
		jumps   int64  // of the store's time, beyond what passed
		differs bool
		state   string
		lag     int64
		moved   bool
	}{
		{name: "a second later", witness: "here", passed: secondMS, moved: true},
		{name: "5 s ahead", witness: "here", passed: secondMS, jumps: 5 * secondMS, moved: true},
		{name: "5 s behind", witness: "here", passed: 10 * secondMS, jumps: -5 * secondMS, moved: true},
		{name: "90 s ahead", witness: "here", passed: secondMS, jumps: 90 * secondMS, lag: 90 * secondMS, moved: true},
		{name: "90 s behind", witness: "here", passed: secondMS, jumps: -90 * secondMS, state: ClockWentBack},
		{name: "a day ahead", witness: "here", passed: secondMS, jumps: dayMS, state: ClockLeapt},
		{name: "a day behind", witness: "here", passed: secondMS, jumps: -dayMS, state: ClockWentBack},
		{name: "ten years ahead", witness: "here", passed: secondMS, jumps: 10 * yearMS, state: ClockLeapt},
		{name: "ten years behind", witness: "here", passed: secondMS, jumps: -10 * yearMS, state: ClockWentBack},
		{name: "a day ahead, seen by a process whose clock differs", witness: "here", passed: secondMS, jumps: dayMS, differs: true, state: ClockLeapt},
		{name: "90 s ahead, seen by a process whose clock differs", witness: "here", passed: secondMS, jumps: 90 * secondMS, differs: true},
		{name: "a week in which nobody came, on a host that was up", witness: "here", passed: 7 * dayMS, moved: true},
		{name: "a year in which nobody came, on a host that was up", witness: "here", passed: yearMS, moved: true},
		{name: "a day later, another host", witness: "there", jumps: 23 * hourMS, moved: true},
		{name: "a week later, another host", witness: "there", jumps: 7 * dayMS, lag: 7 * dayMS, moved: true},
		{name: "a week later, another host whose clock differs", witness: "there", jumps: 7 * dayMS, differs: true},
		{name: "two hundred days later, another host", witness: "there", jumps: 200 * dayMS, state: ClockLeapt},
		{name: "90 s before, another host", witness: "there", jumps: -90 * secondMS, state: ClockWentBack},
		{name: "the host was started anew under the same name", witness: "here", passed: -49 * dayMS, jumps: 49*dayMS + hourMS, moved: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now := noon + c.passed + c.jumps
			got := seen.judge(sighting{now: now, agrees: !c.differs, witness: c.witness, count: 50*dayMS + c.passed})
			if got.state != c.state || got.lag != c.lag {
				t.Errorf("state %q, %d ms not counted; want %q, %d", got.state, got.lag, c.state, c.lag)
			}
			want := noon
			if c.moved {
				want = max(noon, now)
			}
			if got.seen != want {
				t.Errorf("seen moved by %d ms, want %d", got.seen-noon, want-noon)
			}
			if again := got.judge(sighting{now: noon + hourMS, agrees: true, witness: "here", count: 50*dayMS + hourMS}); c.state != "" && again.state != c.state {
				t.Errorf("after a while the state is %q, want that a person has to accept it", again.state)
			}
		})
	}
}

// A leap that was accepted is not counted at once for what is removed for good, but by a day a day.
func TestClockRecord_Accepted(t *testing.T) {
	t.Parallel()
	const noon = int64(1_800_000_000_000)
	at := func(now, count int64) sighting {
		return sighting{now: now, agrees: true, witness: "here", count: count}
	}
	r := clockRecord{}.judge(at(noon, 0)).judge(at(noon+200*dayMS, secondMS))
	if r.state != ClockLeapt {
		t.Fatalf("state %q", r.state)
	}
	r = r.accepted(at(noon+200*dayMS, secondMS))
	if want := 200*dayMS - secondMS; r.state != "" || r.lag != want {
		t.Errorf("state %q, %d ms not counted, want %d", r.state, r.lag, want)
	}
	r = r.judge(at(noon+203*dayMS, 3*dayMS+secondMS))
	if want := 197*dayMS - secondMS; r.state != "" || r.lag != want {
		t.Errorf("three days later: state %q, %d ms not counted, want %d", r.state, r.lag, want)
	}
	back := r.judge(at(noon+4*dayMS, 4*dayMS))
	if back = back.accepted(at(noon+4*dayMS, 4*dayMS)); back.lag != 0 || back.seen != noon+4*dayMS {
		t.Errorf("back again: %d ms not counted, seen %d", back.lag, back.seen-noon)
	}
}

// Only the newest marks are kept.
func TestClockRecord_Marks(t *testing.T) {
	t.Parallel()
	r := clockRecord{}
	for i := range int64(2 * marksMost) {
		r = r.judge(sighting{now: i * secondMS * 60, agrees: true, witness: time.UnixMilli(i).String(), count: 1})
	}
	if _, first := r.marks[time.UnixMilli(0).String()]; len(r.marks) != marksMost || first {
		t.Errorf("%d marks, the first still there: %v", len(r.marks), first)
	}
}
