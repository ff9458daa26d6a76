package crmstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// MostPerSecond is the highest limit on deletions per second that can be set.
const MostPerSecond = 1_000_000

const (
	// paceAhead is how long before its turn somebody may be let through: room for a queue of 60 that wait for half a second's worth each.
	paceAhead = 30 * time.Second
	// paceSlack is the lateness of a caller that is made up for, so that timers and round trips do not lower the rate.
	paceSlack = 100 * time.Millisecond
	// paceKept is how long after the last deletion the limits are remembered; by then everything is paid for.
	paceKept = time.Minute
)

// Rate is a limit on deletions per second.
type Rate struct {
	Workflow  string // "" = of all runs and deletions by hand of the account together
	PerSecond int    // 1 to MostPerSecond
}

func (r Rate) field() string {
	if r.Workflow == "" {
		return "all"
	}
	return "w:" + r.Workflow
}

var scriptPace = mustLuaScript("pace")

// Pace asks at the instant at to delete n records under all of the rates, which hold for all processes together. When it is
// granted, the caller deletes them after wait, at most half a minute; they are charged whether it does or not, so n
// should be at most half a second's worth, or 1. Otherwise nothing is charged, and the caller asks again after wait.
// Under one rate the records of any span of time are those of the rate, of a tenth of a second more, and n. By as much as the
// clocks of callers differ, that is more once, and who is behind waits longer; who is off by more than half a minute
// is not waited for: then each caller may have one n a second, and as much again is let through elsewhere, beyond the rate.
func (s *Store) Pace(ctx context.Context, n int, at time.Time, rates ...Rate) (wait time.Duration, granted bool, err error) {
	if err := s.require(ctx, ""); err != nil {
		return 0, false, err
	}
	if len(rates) == 0 || n <= 0 {
		return 0, true, nil
	}
	args := []any{
		at.UnixMilli(), n, paceAhead.Milliseconds(), paceSlack.Milliseconds(), int64(paceKept / time.Second),
	}
	for _, r := range rates {
		if r.PerSecond < 1 {
			return 0, false, fmt.Errorf("ask to delete %d records: a limit of %d per second", n, r.PerSecond)
		}
		args = append(args, r.field(), r.PerSecond)
	}
	reply, err := s.db.Run(ctx, scriptPace, []string{s.keyPace()}, args...)
	if err != nil {
		return 0, false, fmt.Errorf("ask to delete %d records: %w", n, err)
	}
	ms, _ := reply.(int64)
	if ms < 0 {
		return time.Duration(-ms) * time.Millisecond, false, nil
	}
	return time.Duration(ms) * time.Millisecond, true, nil
}

// DeletionsPerSecond reads the account's setting deletions_per_second; 0 = no limit.
func (s *Store) DeletionsPerSecond(ctx context.Context) (int, error) {
	if err := s.require(ctx, ""); err != nil {
		return 0, err
	}
	value, err := s.db.Redis.HGet(ctx, s.keySettings(), SettingDeletions).Result()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read setting %s: %w", SettingDeletions, s.db.Explain(err))
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("setting %s %q: want a number", SettingDeletions, value)
	}
	return n, nil
}
