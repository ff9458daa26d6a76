package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// One clock counts for an account: that of its store, which answers TIME. A process counts on from what it measured last by its own
// steady count, which nobody can set, and measures again all the time. What is too old, due or silent, and when something was
// done, is judged by this one clock. A process whose own clock is elsewhere, or whose store's time jumped, acts on nothing.

// MostApart is by how much the clocks of a process and of the store's servers may differ. It is room for slow answers and for clocks
// that nobody keeps in step, and far below everything that is judged by a clock.
const MostApart = time.Minute

// slowAnswer is how long an answer may take before the time in it is asked for again, at most measureMost times.
const (
	slowAnswer  = 2 * time.Second
	measureMost = 3
)

// The states of a [Clock].
const (
	ClockGood        = "good"
	ClockDiffers     = "differs"         // the process's own clock and the store's differ by more than MostApart
	ClockServers     = "servers-differ"  // the clocks of the store's servers do
	ClockWentBack    = "went-back"       // the store's time is before a time that the account has seen; until a person accepts it
	ClockLeapt       = "leapt"           // the store's time is more than a day after what has passed; until a person accepts it
	ClockForgotten   = "forgotten"       // what the account knew of the store's time is lost; until a person accepts it
	ClockUnconfirmed = "not-all-counted" // good, but not all of the time that passed is counted for what is removed for good
)

// ServerTime is what one of the store's servers says.
type ServerTime struct {
	Server string        `json:"server"` // its address; the store's where there is only one
	Time   time.Time     `json:"time"`
	Ahead  time.Duration `json:"-"` // of the server, before this process's own clock
	round  time.Duration // how long the answer took: half of it is in doubt
}

// Clock is the store's time and what is wrong with it.
type Clock struct {
	Time    time.Time // the store's: of the server that has the account
	Own     time.Time // this process's, at the same moment
	Servers []ServerTime

	State    string    // one of the Clock constants
	Hidden   string    // went-back or leapt, where State speaks of clocks that differ; else ""
	Seen     time.Time // the latest store time that an agreeing process saw, up to some seconds ago; zero = none yet
	Expected time.Time // of went-back and leapt: what the store's time should have been when it was found; zero otherwise
	Found    time.Time // of went-back and leapt: what it was then

	// Uncounted is how much of the store's time nobody has seen pass: after a leap that was accepted, or while nothing ran on any
	// host that was up all the time. What is removed for good by its age is judged as if it had not passed. It shrinks by a day a day.
	Uncounted time.Duration
}

// Counted is the instant by which is judged what is old enough to be removed for good.
func (c Clock) Counted() time.Time { return c.Time.Add(-c.Uncounted) }

// Ahead is how far this process's own clock is before that server's which it differs from most; negative when it is behind.
func (c Clock) Ahead() time.Duration {
	var most time.Duration
	for _, s := range c.Servers {
		if s.Ahead.Abs() > most.Abs() {
			most = -s.Ahead
		}
	}
	return most
}

// Agrees reports whether the process's own clock and those of all servers agree.
func (c Clock) Agrees() bool { return c.State != ClockDiffers && c.State != ClockServers }

// May is nil when a process with this clock may act, else a *ClockError.
func (c Clock) May() error {
	if c.State == ClockGood || c.State == ClockUnconfirmed {
		return nil
	}
	return &ClockError{Clock: c}
}

// Troubles are all reasons that the clock gives for acting on nothing; none when it is good.
func (c Clock) Troubles() []Trouble {
	var found []Trouble
	for _, state := range []string{c.State, c.Hidden} {
		c.State = state
		if wrong, ok := errors.AsType[*ClockError](c.May()); ok && state != "" {
			found = append(found, Trouble{Code: "clock-" + state, Message: wrong.Error(), Help: wrong.Help()})
		}
	}
	return found
}

// ClockError refuses to act because of a clock.
type ClockError struct{ Clock Clock }

// Error says which clock, and by how much.
func (e *ClockError) Error() string {
	c := e.Clock
	switch c.State {
	case ClockServers:
		return fmt.Sprintf("the clocks of the store's servers differ by more than %d s: %s", int(MostApart.Seconds()), c.serversText())
	case ClockWentBack:
		return fmt.Sprintf("the store's time went back: it was %s where it had been %s before", instantText(c.Found), instantText(c.Expected))
	case ClockForgotten:
		return fmt.Sprintf("what the account knew of the store's time is lost: nobody can tell whether it went back or leapt; it was seen last at %s, it was %s when the loss was found",
			instantText(c.Expected), instantText(c.Found))
	case ClockLeapt:
		return fmt.Sprintf("the store's time leapt by %s: it was %s where %s was expected",
			durationText(c.Found.Sub(c.Expected)), instantText(c.Found), instantText(c.Expected))
	}
	ahead := c.Ahead()
	word := "ahead of"
	if ahead < 0 {
		word = "behind"
	}
	return fmt.Sprintf("this machine's clock is %s %s the store's (here %s, there %s)", durationText(ahead.Abs()), word, instantText(c.Own), instantText(c.Own.Add(-ahead)))
}

// Help says what to do about it.
func (e *ClockError) Help() string {
	switch e.Clock.State {
	case ClockForgotten:
		return "find out why the key was lost, look at the server's clock, and go on with: workflow account clock --accept"
	case ClockWentBack, ClockLeapt:
		return "set the server's clock right; when it is right, go on with: workflow account clock --accept"
	case ClockServers:
		return "set the servers' clocks right (chrony or systemd-timesyncd keep them so); see: workflow account clock"
	}
	return "set the clock that is wrong (chrony or systemd-timesyncd keep it right); see: workflow account clock"
}

func (c Clock) serversText() string {
	parts := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		parts[i] = s.Server + " " + instantText(s.Time)
	}
	return strings.Join(parts, ", ")
}

func instantText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// durationText is a duration for people: days and hours, or to the second.
func durationText(d time.Duration) string {
	d = d.Round(time.Second)
	days := int64(d / (24 * time.Hour))
	switch {
	case days >= 2:
		return fmt.Sprintf("%d days", days)
	case days == 1:
		return fmt.Sprintf("1 day %d hours", int64((d-24*time.Hour)/time.Hour))
	}
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}

// steady is what this process knows of the store's time: what it was at a moment of the process's own steady count.
type steady struct {
	ahead time.Duration // what this process's own clock is taken to show too much; see Config
	name  string        // of this process as a witness, on hosts that are none
	began time.Time     // of its count
	last  atomic.Pointer[reading]
	clock atomic.Pointer[Clock] // as looked at last
	mu    sync.Mutex            // one process writes what it saw once at a time
}

// reading is one measurement.
type reading struct {
	store time.Time // without a steady count
	at    time.Time // the process's own, with one
}

// own is this process's own clock. The steady count stays in it.
func (s *Store) own() time.Time { return time.Now().Add(s.steady.ahead) }

// Now is the store's time, counted on from what was measured last: at Open, by [Store.Clock] and by [Store.KeepClock]. It asks
// nobody. A time that is not to be trusted is not taken over: then it counts on from the last one that was.
func (s *Store) Now() time.Time {
	r := s.steady.last.Load()
	if r == nil {
		return s.own().UTC().Round(0)
	}
	return r.store.Add(s.own().Sub(r.at)).UTC()
}

// wall is Now in milliseconds.
func (s *Store) wall() int64 { return s.Now().UnixMilli() }

// Time asks the store for its time, and counts on from there. Of a cluster it is the time of the server that has the account.
func (s *Store) Time(ctx context.Context) (time.Time, error) {
	m, err := s.measure(ctx)
	if err != nil {
		return time.Time{}, err
	}
	s.steady.last.Store(&m.reading)
	return m.store.UTC(), nil
}

// measurement is what all of the store's servers say at about the same moment.
type measurement struct {
	reading
	servers []ServerTime
}

// measure asks every server, again when the answer is slow, and keeps what was answered fastest.
func (s *Store) measure(ctx context.Context) (best measurement, err error) {
	for n := range measureMost {
		m, round, err := s.measureOnce(ctx)
		if err != nil {
			return m, fmt.Errorf("ask the store for its time: %w", s.db.Explain(err))
		}
		if n == 0 || round < slowest(best.servers) {
			best = m
		}
		if round < slowAnswer {
			break
		}
	}
	return best, nil
}

func slowest(servers []ServerTime) (most time.Duration) {
	for _, s := range servers {
		most = max(most, s.round)
	}
	return most
}

func (s *Store) measureOnce(ctx context.Context) (m measurement, round time.Duration, err error) {
	c, many := s.db.Redis.(*redis.ClusterClient)
	if !many {
		server, r, err := s.askTime(ctx, s.db.Redis, s.db.Place)
		return measurement{r, []ServerTime{server}}, server.round, err
	}
	main, err := c.MasterForKey(ctx, s.keyClock())
	if err != nil {
		return m, 0, err
	}
	var mu sync.Mutex
	err = c.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		address := master.Options().Addr
		server, r, err := s.askTime(ctx, master, address)
		mu.Lock()
		defer mu.Unlock()
		if m.servers = append(m.servers, server); address == main.Options().Addr || m.at.IsZero() {
			m.reading = r
		}
		return err
	})
	slices.SortFunc(m.servers, func(a, b ServerTime) int { return strings.Compare(a.Server, b.Server) })
	return m, slowest(m.servers), err
}

// askTime asks one server. Its answer is taken to be from the middle of the time that it took.
func (s *Store) askTime(ctx context.Context, server redis.Cmdable, name string) (ServerTime, reading, error) {
	before := s.own()
	told, err := server.Time(ctx).Result()
	round := s.own().Sub(before)
	middle := before.Add(round / 2)
	return ServerTime{Server: name, Time: told.UTC(), Ahead: told.Sub(middle.Round(0)), round: round}, reading{store: told, at: middle}, err
}

// apart says what is wrong among the clocks of the process and the servers, beyond what is in doubt; "" when nothing is.
func (m measurement) apart() string {
	low, high := m.servers[0], m.servers[0]
	for _, s := range m.servers {
		if s.Ahead < low.Ahead {
			low = s
		}
		if s.Ahead > high.Ahead {
			high = s
		}
	}
	switch {
	case high.Ahead-low.Ahead-(high.round+low.round)/2 > MostApart:
		return ClockServers
	case high.Ahead-high.round/2 > MostApart, -low.Ahead-low.round/2 > MostApart:
		return ClockDiffers
	}
	return ""
}

// Clock asks the servers for their time and the account for what it has seen, and says what is wrong. It writes nothing.
func (s *Store) Clock(ctx context.Context) (Clock, error) {
	c, _, _, err := s.lookAtClock(ctx)
	return c, err
}

// KeepClock is [Store.Clock] for those that are about to act: the account also remembers what was seen, at most every
// clockEvery, and at once what is wrong with the store's time. Before there is an account nothing is remembered.
func (s *Store) KeepClock(ctx context.Context) (Clock, error) {
	s.steady.mu.Lock()
	defer s.steady.mu.Unlock()
	for range 5 {
		c, before, after, err := s.lookAtClock(ctx)
		if err != nil || !after.news(before) {
			return c, err
		}
		if saved, err := s.saveClock(ctx, before, after, clockEvent{}); saved || err != nil {
			return c, nil // the store that takes no writes refuses what the caller is about to do as well
		}
	}
	c, _, _, err := s.lookAtClock(ctx) // others write it down all the time
	return c, err
}

// LastClock is the clock as this process looked at it last; zero when it did not. It asks nobody.
func (s *Store) LastClock() Clock {
	if c := s.steady.clock.Load(); c != nil {
		return *c
	}
	return Clock{}
}

// lookAtClock measures and judges; it returns the account's record as it is and as it should be.
func (s *Store) lookAtClock(ctx context.Context) (c Clock, before, after clockRecord, err error) {
	if before, err = s.clockRecord(ctx); err != nil {
		return c, before, after, err
	}
	m, err := s.measure(ctx)
	if err != nil {
		return c, before, after, err
	}
	apart := m.apart()
	name, count := s.witness()
	after = before.judge(sighting{now: m.store.UnixMilli(), agrees: apart == "", witness: name, count: count.Milliseconds()})
	c = Clock{Time: m.store.UTC(), Own: m.at.UTC().Round(0), Servers: m.servers, State: apart, Uncounted: after.uncounted()}
	if before.seen > 0 {
		c.Seen = time.UnixMilli(before.seen).UTC()
	}
	if after.state != "" {
		c.Found, c.Expected = time.UnixMilli(after.found).UTC(), time.UnixMilli(after.expected).UTC()
	}
	switch {
	case apart != "":
		c.Hidden = after.state
	case after.state != "":
		c.State = after.state
	case c.Uncounted > 0:
		c.State = ClockUnconfirmed
	default:
		c.State = ClockGood
	}
	s.steady.clock.Store(&c)
	if after.state == "" && apart == "" || s.steady.last.Load() == nil {
		s.steady.last.Store(&m.reading)
	}
	return c, before, after, nil
}

// AcceptClock confirms that the store's time is right after it went back or leapt. What passed in the leap is not counted for what is
// removed for good; see [Clock]. It is audited. Only a super admin, and not on a machine whose own clock differs: *ClockError.
func (s *Store) AcceptClock(ctx context.Context, cause record.Cause) (Clock, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return Clock{}, err
	}
	for range 5 {
		c, before, judged, err := s.lookAtClock(ctx)
		if err != nil {
			return c, err
		}
		if !c.Agrees() {
			return c, c.May()
		}
		if judged.state == "" {
			return c, nil
		}
		detail := fmt.Sprintf("%s: from %s to %s", judged.state, instantText(time.UnixMilli(judged.expected)), instantText(c.Time))
		name, count := s.witness()
		after := judged.accepted(sighting{now: c.Time.UnixMilli(), agrees: true, witness: name, count: count.Milliseconds()})
		at := c.Time
		if saved, err := s.saveClock(ctx, before, after, clockEvent{"accept-clock", record.AppendFacts(nil, at, s.by(cause)), detail}); err != nil || saved {
			if err != nil {
				return c, err
			}
			return s.Clock(ctx)
		}
	}
	return Clock{}, fmt.Errorf("accept the store's time: %w", record.ErrConflict)
}

// CountTime counts all of the store's time again for what is removed for good, after a person has seen how much that is. Only a
// super admin; it is audited when there was something to count.
func (s *Store) CountTime(ctx context.Context, cause record.Cause) error {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return err
	}
	for range 5 {
		c, before, after, err := s.lookAtClock(ctx)
		if err != nil {
			return err
		}
		if err := c.May(); err != nil || after.lag == 0 {
			return err
		}
		detail := durationText(c.Uncounted)
		after.lag = 0
		if saved, err := s.saveClock(ctx, before, after, clockEvent{"count-time", record.AppendFacts(nil, c.Time, s.by(cause)), detail}); err != nil || saved {
			return err
		}
	}
	return fmt.Errorf("count the store's time: %w", record.ErrConflict)
}
