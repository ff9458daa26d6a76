package crmstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The account remembers the latest time that its store showed to a process whose own clock agreed. Alone that does not tell a leap
// from a week in which nobody used the account. So each host leaves a mark: the store's time and the host's steady count
// since it was started, which runs on while it sleeps and which nobody can set. From a mark of its own a later process on that host
// knows exactly how much time has passed. Where there is no mark, as after a restart of the host, the agreement of the process's own
// clock is believed for leaps of up to idleMost, but that time is not counted for what is removed for good.

const (
	// leapMost is how much more may have passed by the store's time than by a host's count: a day, and what clocks may differ.
	leapMost = 24*time.Hour - MostApart
	// idleMost is for how long nobody may have used an account whose hosts were all started anew.
	idleMost = 30 * 24 * time.Hour
	// clockEvery is how often what was seen is written down.
	clockEvery = 5 * time.Second
	// marksMost is how many hosts' marks are kept, the newest.
	marksMost = 32
)

// clockMark is the store's time at a host's steady count, both in ms.
type clockMark struct{ store, count int64 }

// clockRecord is what the account knows of its store's time; times are in ms. The zero value knows nothing.
type clockRecord struct {
	version         uint64
	seen            int64 // the latest time; 0 = none
	lag             int64 // how much of it is not counted
	state           string
	found, expected int64
	marks           map[string]clockMark
	lost            bool // it is not there, and the account remembers that it was, and the latest time
}

// sighting is what one process sees at one moment.
type sighting struct {
	now     int64 // the store's time
	agrees  bool  // the process's own clock agrees with those of all servers
	witness string
	count   int64 // of the witness
}

func (r clockRecord) uncounted() time.Duration { return time.Duration(r.lag) * time.Millisecond }

// judge is the record after a sighting. What went back or leapt stays so.
func (r clockRecord) judge(o sighting) clockRecord {
	if r.state != "" {
		return r
	}
	if r.lost {
		return r.stopped(ClockForgotten, o.now, r.seen)
	}
	mark, known := r.marks[o.witness]
	passed := o.count - mark.count
	known = known && passed >= 0
	leap := int64(0)
	switch {
	case r.seen == 0:
	case o.now < r.seen-MostApart.Milliseconds():
		return r.stopped(ClockWentBack, o.now, r.seen)
	case known:
		leap = o.now - mark.store - passed
		if leap > leapMost.Milliseconds() {
			return r.stopped(ClockLeapt, o.now, mark.store+passed)
		}
	case o.agrees:
		leap = o.now - r.seen
		if leap > idleMost.Milliseconds() {
			return r.stopped(ClockLeapt, o.now, r.seen)
		}
		if leap <= leapMost.Milliseconds() {
			leap = 0 // a day's growth
		}
	}
	if !o.agrees {
		return r
	}
	next := r.advanced(o)
	if leap > MostApart.Milliseconds() {
		next.lag += leap
	}
	return next
}

// stopped is the record once the store's time is not to be trusted.
func (r clockRecord) stopped(state string, found, expected int64) clockRecord {
	r.state, r.found, r.expected = state, found, expected
	return r
}

// advanced is the record that has seen what the process sees. What is not counted shrinks by as much as has passed.
func (r clockRecord) advanced(o sighting) clockRecord {
	if mark, known := r.marks[o.witness]; known && r.lag > 0 {
		r.lag -= min(r.lag, max(min(o.now-r.seen, o.count-mark.count), 0))
	}
	r.seen = max(r.seen, o.now)
	r.marks = marked(r.marks, o)
	return r
}

// marked is the newest of the marks with that of the sighting.
func marked(marks map[string]clockMark, o sighting) map[string]clockMark {
	all := map[string]clockMark{o.witness: {o.now, o.count}}
	var names []string
	for name := range marks {
		if name != o.witness {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return int(marks[b].store - marks[a].store) })
	for _, name := range names[:min(len(names), marksMost-1)] {
		all[name] = marks[name]
	}
	return all
}

// accepted is the record after a person has said that the store's time is right. Other hosts' marks speak of another time.
func (r clockRecord) accepted(o sighting) clockRecord {
	r.lag = max(r.lag+o.now-r.expected, 0) // back again after a leap: that much less is not counted
	r.state, r.found, r.expected = "", 0, 0
	r.seen, r.marks = o.now, map[string]clockMark{o.witness: {o.now, o.count}}
	return r
}

// news reports whether the record should be written, given what stands there.
func (r clockRecord) news(before clockRecord) bool {
	for name := range r.marks {
		if _, known := before.marks[name]; !known {
			return true
		}
	}
	return r.state != before.state || r.seen-before.seen >= clockEvery.Milliseconds()
}

// keyClock is the record: v, seen, lag, state, found, expected, and m:<witness> → its mark.
func (s *Store) keyClock() string { return s.accountKey("clock") }

const markField = "m:"

// accountClock is the field of the account that has the latest time as well.
const accountClock = "clock"

func (s *Store) clockRecord(ctx context.Context) (clockRecord, error) {
	fields, err := s.db.Redis.HGetAll(ctx, s.keyClock()).Result()
	if err != nil {
		return clockRecord{}, fmt.Errorf("read what account %s knows of the time: %w", s.account, s.db.Explain(err))
	}
	r, err := parseClock(fields)
	if err != nil {
		return r, fmt.Errorf("what account %s knows of the time is damaged: %w", s.account, err)
	}
	if len(fields) > 0 {
		return r, nil
	}
	switch r.seen, err = s.db.Redis.HGet(ctx, s.keyAccount(), accountClock).Int64(); {
	case errors.Is(err, redis.Nil):
		return r, nil
	case err != nil:
		return r, fmt.Errorf("read when account %s was used last: %w", s.account, s.db.Explain(err))
	}
	r.lost = true
	return r, nil
}

func parseClock(fields map[string]string) (r clockRecord, err error) {
	number := func(text string) (n int64) {
		if text == "" {
			return 0
		}
		n, e := strconv.ParseInt(text, 10, 64)
		if e != nil && err == nil {
			err = e
		}
		return n
	}
	r = clockRecord{
		version: uint64(number(fields["v"])), seen: number(fields["seen"]), lag: number(fields["lag"]), state: fields["state"],
		found: number(fields["found"]), expected: number(fields["expected"]), marks: map[string]clockMark{},
	}
	for field, text := range fields {
		if name, ok := strings.CutPrefix(field, markField); ok {
			store, count, _ := strings.Cut(text, " ")
			r.marks[name] = clockMark{number(store), number(count)}
		}
	}
	return r, err
}

// clockEvent is what the audit log gets; the zero value is nothing.
type clockEvent struct {
	op     string
	facts  []byte
	detail string
}

var scriptSaveClock = mustLuaScript("save_clock")

// saveClock writes the record unless another process wrote it since: then it is false. It is true, and nothing is written, when
// there is no account.
func (s *Store) saveClock(ctx context.Context, before, r clockRecord, e clockEvent) (bool, error) {
	gone := 0
	args := []any{
		strconv.FormatUint(before.version, 10), s.wall(), e.facts, e.op, e.detail, 0,
	}
	var fields []any
	for name := range before.marks {
		if _, stays := r.marks[name]; !stays {
			gone++
			fields = append(fields, markField+name)
		}
	}
	args[5] = gone
	fields = append(fields, "seen", r.seen, "lag", r.lag, "state", r.state, "found", r.found, "expected", r.expected)
	for name, m := range r.marks {
		if was, same := before.marks[name]; !same || was != m {
			fields = append(fields, markField+name, strconv.FormatInt(m.store, 10)+" "+strconv.FormatInt(m.count, 10))
		}
	}
	done, err := s.db.Run(ctx, scriptSaveClock, []string{s.keyClock(), s.keyAccountLog(), s.keyAccount()}, append(args, fields...)...)
	if err != nil {
		return false, fmt.Errorf("note what time it is in account %s: %w", s.account, err)
	}
	return done == int64(1), nil
}

// witness is this host since its last start, and how long ago that was; where a host does not say, it is this process. The name
// says nothing of the host to somebody who does not know it.
func (s *Store) witness() (string, time.Duration) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	up, upErr := os.ReadFile("/proc/uptime")
	if err == nil && upErr == nil {
		text, _, _ := strings.Cut(string(up), " ")
		if seconds, err := strconv.ParseFloat(text, 64); err == nil {
			sum := sha256.Sum256(boot)
			return hex.EncodeToString(sum[:8]), time.Duration(seconds * float64(time.Second))
		}
	}
	return s.steady.name, time.Since(s.steady.began)
}

// newWitness is the name of this process as a witness.
func newWitness() string { return "p" + rand.Text()[:15] }
