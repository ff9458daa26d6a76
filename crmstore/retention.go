package crmstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
)

// AuditDays is how long the audit log reaches back when the account's setting audit_retention_days says nothing.
const AuditDays = 400

// maxAuditDays is the longest retention: a hundred years.
const maxAuditDays = 36500

// Trimmed counts what [Store.TrimHistory] removed.
type Trimmed struct {
	Events int64 // entries of the audit log; deletions and restores of one script share one
	Runs   int
	Mails  int
	More   bool // the limit was reached: there is more
}

// Bounds of TrimHistory.
const (
	eventsPerTrim = 1000 // of one stream in one command, so that the server answers others in between
	runsPerTrim   = 100  // read at a time
)

var (
	scriptForgetRun = mustLuaScript("forget_run")
	scriptTrimLog   = mustLuaScript("trim_log")
)

// TrimHistory removes what is older than the account's audit retention at now: audit events by when they were recorded (but none of a
// partition in which a record is on legal hold),
// runs that are over with their matches (not before 100 days, for undo), and mails that were sent or given up. It stops
// at roughly limit events or runs; repeat it while More. Nothing of this is audited: the log would never be empty. Only
// a super admin, and the program itself.
func (s *Store) TrimHistory(ctx context.Context, now time.Time, limit int64) (t Trimmed, err error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return t, err
	}
	days, err := s.auditDays(ctx)
	if err != nil {
		return t, err
	}
	before := now.Add(-time.Duration(days) * 24 * time.Hour)
	if err := s.trimLogs(ctx, before, limit, &t); err != nil {
		return t, fmt.Errorf("trim audit log: %w", err)
	}
	if finished := now.Add(-matchesKept); finished.Before(before) {
		err = s.trimRuns(ctx, finished, limit, &t)
	} else {
		err = s.trimRuns(ctx, before, limit, &t)
	}
	if err != nil {
		return t, fmt.Errorf("trim runs: %w", err)
	}
	t.Mails, err = s.trimMails(ctx, before)
	return t, err
}

// auditDays is the account's audit retention.
func (s *Store) auditDays(ctx context.Context) (int, error) {
	text, err := s.db.Redis.HGet(ctx, s.keySettings(), SettingAuditDays).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return AuditDays, nil
	case err != nil:
		return 0, fmt.Errorf("read audit retention: %w", s.db.Explain(err))
	}
	days, err := strconv.Atoi(text)
	if err != nil || days < 1 || days > maxAuditDays {
		return 0, fmt.Errorf("audit retention %q: want 1 to %d days", text, maxAuditDays)
	}
	return days, nil
}

// trimLogs trims each stream in steps until it holds nothing older, or the limit is reached.
func (s *Store) trimLogs(ctx context.Context, before time.Time, limit int64, t *Trimmed) error {
	logs, err := s.auditLogs(ctx, AuditFilter{})
	if err != nil {
		return err
	}
	oldest := strconv.FormatInt(before.UnixMilli(), 10)
	return inChunks(0, len(logs), redisdb.ReadsPerWindow, func(from, to int) (err error) {
		for todo := logs[from:to]; len(todo) > 0; {
			if t.Events >= limit {
				t.More = true
				return nil
			}
			if todo, err = s.trimStep(ctx, todo, oldest, t); err != nil {
				return err
			}
		}
		return nil
	})
}

// trimStep takes one bounded step in each stream, and says which have more. Whole nodes of a stream go first, which costs
// next to nothing; what is left then is less than a node.
func (s *Store) trimStep(ctx context.Context, logs []*auditLog, oldest string, t *Trimmed) ([]*auditLog, error) {
	removed, err := s.trimEach(ctx, logs, oldest, strconv.Itoa(eventsPerTrim))
	if err != nil {
		return nil, err
	}
	var more, rest []*auditLog
	for i, l := range logs {
		if n := removed[i]; n > 0 {
			t.Events += n
			more = append(more, l)
		} else {
			rest = append(rest, l)
		}
	}
	if len(rest) == 0 {
		return more, nil
	}
	if removed, err = s.trimEach(ctx, rest, oldest, ""); err != nil {
		return nil, err
	}
	for _, n := range removed {
		t.Events += n
	}
	return more, nil
}

// trimEach trims each stream, whole nodes of at most so many events or else all that is older, and says how many events went.
func (s *Store) trimEach(ctx context.Context, logs []*auditLog, oldest, most string) ([]int64, error) {
	calls := make([]redisdb.Call, len(logs))
	for i, l := range logs {
		calls[i] = redisdb.Call{Script: scriptTrimLog, Keys: []string{l.key, countersOf(l.key), holdsBeside(l.key)}, Args: []any{oldest, most}}
	}
	replies, err := s.db.RunAll(ctx, calls)
	removed := make([]int64, len(logs))
	for i, reply := range replies {
		removed[i], _ = reply.(int64)
	}
	return removed, err
}

// trimRuns removes runs that started before an instant and are over, oldest first.
func (s *Store) trimRuns(ctx context.Context, before time.Time, limit int64, t *Trimmed) error {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return err
	}
	for kept := int64(0); ; {
		ids, err := s.db.Redis.ZRangeByScore(ctx, s.keyRuns(), &redis.ZRangeBy{
			Min: "-inf", Max: "(" + strconv.FormatInt(before.UnixMilli(), 10), Offset: kept, Count: runsPerTrim,
		}).Result()
		if err != nil {
			return s.db.Explain(err)
		}
		for _, id := range ids {
			if int64(t.Runs) >= limit {
				t.More = true
				return nil
			}
			gone, err := s.forgetRun(ctx, id, partitions)
			if err != nil {
				return err
			}
			if !gone {
				kept++
				continue
			}
			t.Runs++
		}
		if len(ids) < runsPerTrim {
			return nil
		}
	}
}

// forgetRun removes one run with its matches, if it is over.
func (s *Store) forgetRun(ctx context.Context, id string, partitions int) (bool, error) {
	text, err := s.db.Redis.Get(ctx, s.keyRun(id)).Result()
	if err != nil {
		return false, fmt.Errorf("read run %s: %w", id, s.db.Explain(err))
	}
	r, err := parseRun(id, text)
	if err != nil || !r.State.Over() {
		return false, err
	}
	err = inChunks(0, partitions, matchesAtOnce, func(from, to int) error {
		pipe := s.db.Redis.Pipeline()
		for p := from; p < to; p++ {
			keys := s.partition(r.Object, p)
			pipe.Unlink(ctx, keys.run(id))
			if r.Kind == RunDelete {
				pipe.Unlink(ctx, keys.enr(r.EnrollsIn())) // only the run itself asks for them
			}
		}
		_, err := pipe.Exec(ctx)
		return s.db.Explain(err)
	})
	if err != nil {
		return false, fmt.Errorf("remove matches of run %s: %w", id, err)
	}
	reply, err := s.db.Run(ctx, scriptForgetRun, []string{s.keyRun(id), s.keyRuns(), s.keyRunsLike(&r), s.keyFence(id), s.keyCounted()},
		id, strconv.FormatUint(r.Version, 10))
	return reply == int64(1), err
}
