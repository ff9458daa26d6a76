package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Deletions are counted by minute, of each object type: those of each workflow, those by hand, and all. A run sets aside
// what it may delete before it begins; when it stops, what it deleted is counted in the minute in which it
// stopped, in place of that. So a deletion is never counted too early, nor forgotten before 24 hours have passed since
// it was done. Restoring takes nothing away. A minute counts until 24 hours after its end.
const (
	// MostPerDay is the highest ceiling on deletions in 24 hours that can be set.
	MostPerDay = 1_000_000_000
	// RepeatedAllowed is how many contacts a run may delete that were restored or deleted before, unless the account says otherwise.
	RepeatedAllowed = 10

	minutesOfDay   = 24 * 60
	deletedKept    = minutesOfDay + 60                                     // minutes: clocks that differ find what they look for
	deletedMost    = minutesOfDay + 160                                    // minutes that a hash has before it is cleaned
	deletedSeconds = int64((3 * minutesOfDay * time.Minute) / time.Second) // after the last deletion nothing is left
)

// minuteOf is the minute of an instant, and firstMinute the first one that counts then.
func minuteOf(at time.Time) int64    { return at.Unix() / 60 }
func firstMinute(at time.Time) int64 { return minuteOf(at) - minutesOfDay }

var (
	scriptReserve = mustLuaScript("reserve")
	scriptSettle  = mustLuaScript("settle")
)

// Reservation asks to set deletions aside for a run.
type Reservation struct {
	Object   record.ObjectType
	Run      string
	Workflow string // "" = a deletion by hand
	Records  int64  // how many the run deletes at most, with those that it has deleted already
	Most     int64  // of the workflow in 24 hours; below 0 = any number
	MostAll  int64  // of all workflows and by hand in 24 hours; below 0 = any number
}

// Room is the answer to a Reservation.
type Room struct {
	Granted   bool
	Own       int64 // other deletions of the workflow in the last 24 hours, with what its runs have set aside
	OfAccount int64 // the same of all workflows and by hand
}

// Reserve sets deletions aside for a run, if they have room in the 24 hours before the instant at: the question and the
// answer are one step, whoever else asks. What the run had set aside before is replaced; without room it is taken
// away. Records of a run that are counted already ([Store.Settle]) are not counted twice.
func (s *Store) Reserve(ctx context.Context, r Reservation, at time.Time) (Room, error) {
	if err := s.require(ctx, r.Object, CanDelete); err != nil {
		return Room{}, err
	}
	keys := []string{s.keyAside(r.Object), s.keyDeleted(r.Object), s.keyDeletedBy(r.Object, r.Workflow), s.keyCounted()}
	names, err := s.deleters(ctx)
	if err != nil {
		return Room{}, fmt.Errorf("set deletions of run %s aside: %w", r.Run, err)
	}
	runs, err := s.deletedByRuns(ctx, r.Object, at)
	if err != nil {
		return Room{}, fmt.Errorf("set deletions of run %s aside: %w", r.Run, err)
	}
	args := []any{r.Run, r.Workflow, r.Records, firstMinute(at), r.Most, r.MostAll, runs[r.Workflow]}
	for _, name := range names {
		if name != r.Workflow {
			keys, args = append(keys, s.keyDeletedBy(r.Object, name)), append(args, runs[name])
		}
	}
	reply, err := s.db.Run(ctx, scriptReserve, keys, args...)
	if err != nil {
		return Room{}, fmt.Errorf("set deletions of run %s aside: %w", r.Run, err)
	}
	answer, _ := reply.([]any)
	if len(answer) != 3 {
		return Room{}, fmt.Errorf("set deletions of run %s aside: %w", r.Run, redisdb.ErrOddReply)
	}
	granted, _ := answer[0].(int64)
	room := Room{Granted: granted == 1}
	room.Own, _ = answer[1].(int64)
	room.OfAccount, _ = answer[2].(int64)
	return room, nil
}

// deleters are the names under which deletions are counted: the account's workflows, and "" for deletions by hand.
func (s *Store) deleters(ctx context.Context) ([]string, error) {
	names, err := s.db.Redis.HKeys(ctx, s.keyWorkflows()).Result()
	return append(names, ""), s.db.Explain(err)
}

// witnessesMost is how many runs are asked at most what they deleted lately, the newest.
const witnessesMost = 256

// deletedByRuns is what runs of an object type deleted, by workflow ("" = by hand), that are over and did it all in the 24 hours
// before an instant. They are the witnesses of what is counted by minute: that may be more, never less.
func (s *Store) deletedByRuns(ctx context.Context, o record.ObjectType, at time.Time) (map[string]int64, error) {
	first := 60_000 * (firstMinute(at) + 1)
	// By rank and not by score: a restricted user of an older version may call ZREVRANGE alone.
	newest, err := s.db.Redis.ZRevRangeWithScores(ctx, s.keyRuns(), 0, witnessesMost-1).Result()
	if err != nil {
		return nil, s.db.Explain(err)
	}
	var ids []string
	for _, run := range newest {
		if id, ok := run.Member.(string); ok && run.Score >= float64(first) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = s.keyRun(id)
	}
	texts, err := s.db.Redis.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, s.db.Explain(err)
	}
	deleted := map[string]int64{}
	for i, text := range texts {
		text, _ := text.(string)
		r, err := parseRun(ids[i], text)
		if err == nil && r.Object == o && r.State.Over() && r.Deleted > 0 {
			deleted[r.Workflow] += r.Deleted
		}
	}
	return deleted, nil
}

// Settlement is what a run deleted until it stopped, or what was deleted without a run.
type Settlement struct {
	Object   record.ObjectType
	Run      string // "" = none
	Workflow string // "" = by hand
	Deleted  int64  // by the run in all, also before it was settled last
	Final    bool   // the run never goes on
	Version  uint64 // of the run as it was read or saved: one that went on since is left to its carrier; 0 = any
}

// Settle counts deletions in the minute of the instant at, in place of what the run had set aside. It may be
// repeated, and counts nothing of a run that never set anything aside, or that is carried on.
func (s *Store) Settle(ctx context.Context, n Settlement, at time.Time) error {
	if err := s.require(ctx, n.Object, CanDelete); err != nil {
		return err
	}
	final, version := 0, ""
	if n.Final || n.Run == "" {
		final = 1
	}
	if n.Version > 0 {
		version = strconv.FormatUint(n.Version, 10)
	}
	keys := []string{
		s.keyAside(n.Object), s.keyDeleted(n.Object), s.keyDeletedBy(n.Object, n.Workflow), s.keyCounted(), s.keyRun(n.Run),
	}
	_, err := s.db.Run(ctx, scriptSettle, keys,
		n.Run, n.Deleted, minuteOf(at), final, firstMinute(at), deletedSeconds, version, minuteOf(at)-deletedKept, deletedMost)
	if err != nil {
		return fmt.Errorf("count %d deletions of run %s: %w", n.Deleted, n.Run, err)
	}
	return nil
}

// Lately is what was deleted of an object type in 24 hours, and what runs have set aside.
type Lately struct {
	All  Counted
	By   map[string]Counted // by workflow, those that deleted something or are about to; "" = by hand
	Open []Aside            // runs that have set something aside, by name

	// Nobodys is how many of All are counted of no workflow, and not by hand: that count was lost. They count against each workflow.
	Nobodys int64
}

// Of is what counts against the limits of a workflow.
func (l Lately) Of(workflow string) Counted {
	c := l.By[workflow]
	c.Forgotten += l.Nobodys
	return c
}

// Forgotten is how many deletions are not counted any more where they must be, since the server lost counts.
func (l Lately) Forgotten() int64 {
	own := l.Nobodys
	for _, c := range l.By {
		own += c.Forgotten
	}
	return max(l.All.Forgotten, own)
}

// Aside is what one run has set aside.
type Aside struct {
	Run, Workflow string
	Records       int64
}

// Counted are deletions of 24 hours.
type Counted struct {
	Deleted int64
	Aside   int64         // set aside for runs that act
	Minutes []MinuteCount // what Deleted is made of, oldest first

	Forgotten int64 // deletions whose count was lost; other counts, or runs, know of them
}

// MinuteCount is how many were deleted in one minute.
type MinuteCount struct {
	Minute time.Time
	Count  int64
}

// Sum is what was deleted, also where its count was lost, and what is set aside.
func (c Counted) Sum() int64 { return c.Deleted + c.Forgotten + c.Aside }

// RoomFrom is the instant from which n more are within most, when nothing else is deleted until then. Zero when that never is,
// or depends on what is set aside. It is not after at when there is room at once.
func (c Counted) RoomFrom(n, most int64, at time.Time) time.Time {
	left := most - n - c.Sum()
	if left >= 0 {
		return at
	}
	for _, m := range c.Minutes {
		if left += m.Count; left >= 0 {
			return m.Minute.Add((minutesOfDay + 1) * time.Minute)
		}
	}
	return time.Time{}
}

// DeletedLately reads what was deleted of an object type in the 24 hours before the instant at. Every user of the account may.
func (s *Store) DeletedLately(ctx context.Context, o record.ObjectType, at time.Time) (Lately, error) {
	if err := s.require(ctx, ""); err != nil {
		return Lately{}, err
	}
	names, err := s.deleters(ctx)
	if err != nil {
		return Lately{}, fmt.Errorf("read what was deleted lately: %w", err)
	}
	runs, err := s.deletedByRuns(ctx, o, at)
	if err != nil {
		return Lately{}, fmt.Errorf("read what was deleted lately: %w", err)
	}
	pipe := s.db.Redis.Pipeline()
	aside, all := pipe.HGetAll(ctx, s.keyAside(o)), pipe.HGetAll(ctx, s.keyDeleted(o))
	each := make([]*redis.MapStringStringCmd, len(names))
	for i, name := range names {
		each[i] = pipe.HGetAll(ctx, s.keyDeletedBy(o, name))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return Lately{}, fmt.Errorf("read what was deleted lately: %w", s.db.Explain(err))
	}
	lately := Lately{By: map[string]Counted{}}
	if lately.All, err = counted(all.Val(), at); err != nil {
		return Lately{}, err
	}
	for i, name := range names {
		c, err := counted(each[i].Val(), at)
		if err != nil {
			return Lately{}, err
		}
		if c.Deleted > 0 {
			lately.By[name] = c
		}
	}
	for run, text := range aside.Val() {
		number, name, _ := strings.Cut(text, " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return Lately{}, fmt.Errorf("what run %s has set aside is damaged: %w", run, err)
		}
		c := lately.By[name]
		c.Aside += n
		lately.By[name] = c
		lately.All.Aside += n
		lately.Open = append(lately.Open, Aside{run, name, n})
	}
	findForgotten(&lately, runs)
	slices.SortFunc(lately.Open, func(a, b Aside) int { return strings.Compare(a.Run, b.Run) })
	return lately, nil
}

// findForgotten finds out what was forgotten: no run deleted more than is counted, and what all deleted is the sum of what each did.
func findForgotten(l *Lately, runs map[string]int64) {
	for name, n := range runs {
		c := l.By[name]
		if c.Forgotten = max(n-c.Deleted-c.Aside, 0); c.Forgotten > 0 {
			l.By[name] = c
		}
	}
	each := int64(0)
	for _, c := range l.By {
		each += c.Deleted + c.Forgotten
	}
	l.All.Forgotten, l.Nobodys = max(each-l.All.Deleted, 0), max(l.All.Deleted-each, 0)
}

// counted sums up the minutes that count at an instant.
func counted(minutes map[string]string, at time.Time) (c Counted, err error) {
	first := firstMinute(at)
	for text, count := range minutes {
		if text == "t" || text == "f" { // the sum, for scripts
			continue
		}
		minute, err := strconv.ParseInt(text, 10, 64)
		n, err2 := strconv.ParseInt(count, 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return c, fmt.Errorf("the count of deletions of a minute is damaged: %w", err)
		}
		if minute >= first {
			c.Deleted += n
			c.Minutes = append(c.Minutes, MinuteCount{time.Unix(60*minute, 0).UTC(), n})
		}
	}
	slices.SortFunc(c.Minutes, func(a, b MinuteCount) int { return a.Minute.Compare(b.Minute) })
	return c, nil
}

// DeletionLimits are the account's settings about how much may be deleted.
type DeletionLimits struct {
	PerDay   int64 // deletions_per_day; 0 = it is not set
	Repeated int64 // repeat_deletions
}

// DeletionLimits reads them. Every user of the account may.
func (s *Store) DeletionLimits(ctx context.Context) (DeletionLimits, error) {
	if err := s.require(ctx, ""); err != nil {
		return DeletionLimits{}, err
	}
	limits := DeletionLimits{Repeated: RepeatedAllowed}
	values, err := s.db.Redis.HMGet(ctx, s.keySettings(), SettingPerDay, SettingRepeated).Result()
	if err != nil {
		return limits, fmt.Errorf("read the limits on deletions: %w", s.db.Explain(err))
	}
	for i, to := range []*int64{&limits.PerDay, &limits.Repeated} {
		text, there := values[i].(string)
		if !there {
			continue
		}
		if *to, err = strconv.ParseInt(text, 10, 64); err != nil || *to < 0 {
			return limits, fmt.Errorf("a limit on deletions is %q: want a number", text)
		}
	}
	return limits, nil
}

// Ceiling is how many of live records may be deleted in 24 hours: what is set, or 20 % and at least 1,000.
func (l DeletionLimits) Ceiling(live int64) int64 {
	if l.PerDay > 0 {
		return l.PerDay
	}
	return max(live/5, 1000)
}
