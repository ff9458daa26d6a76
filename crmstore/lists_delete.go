package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// keysPerWindow is how many keys are removed in one round trip.
const keysPerWindow = 512

// DeleteList deletes a list; its records stay as they are. ErrNotFound when there is no list of that name and number.
// The name goes first, in one step with the audit event: from then on the list is not there. Its members' bits are
// removed after that, partition by partition; what an interruption leaves is removed by the next DeleteList of the
// object type, or by [Store.Doctor] with repair, and can do no harm, because the number is never given out again.
func (s *Store) DeleteList(ctx context.Context, l List, c record.Cause, at time.Time) error {
	if err := s.require(ctx, l.Object, CanEdit); err != nil {
		return err
	}
	if err := s.unname(ctx, l, c, at); err != nil {
		return err
	}
	left, err := s.unlisted(ctx, l.Object)
	if err != nil {
		return err
	}
	return s.dropUnlisted(ctx, l.Object, left)
}

var scriptDropCounted = mustLuaScript("drop_counted")

// unname takes the list's name away, which is the first step of its deletion.
func (s *Store) unname(ctx context.Context, l List, c record.Cause, at time.Time) error {
	reply, err := s.db.Run(ctx, scriptDeleteList, []string{s.keyLists(l.Object), s.keyUnlisted(l.Object), s.keyAccountLog()},
		l.Name, strconv.Itoa(l.Number), s.wall(), record.AppendFacts(nil, at, s.by(c)), listDetail(l.Object, l.Name, l.Where))
	if err != nil {
		return fmt.Errorf("delete list %q: %w", l.Name, err)
	}
	if reply != int64(1) {
		return fmt.Errorf("list %q of %s: %w", l.Name, l.Object.Plural(), record.ErrNotFound)
	}
	return nil
}

// unlisted are the numbers of deleted lists that have bits left.
func (s *Store) unlisted(ctx context.Context, o record.ObjectType) ([]int, error) {
	texts, err := s.db.Redis.SMembers(ctx, s.keyUnlisted(o)).Result()
	if err != nil {
		return nil, fmt.Errorf("read deleted lists of %s: %w", o.Plural(), s.db.Explain(err))
	}
	numbers := make([]int, 0, len(texts))
	for _, t := range texts {
		n, err := strconv.Atoi(t)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("read deleted lists of %s: the number %q is damaged", o.Plural(), t)
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// dropUnlisted removes what is left of deleted lists.
func (s *Store) dropUnlisted(ctx context.Context, o record.ObjectType, numbers []int) error {
	for _, n := range numbers {
		if err := s.dropMembers(ctx, o, n); err != nil {
			return err
		}
		if err := s.db.Redis.SRem(ctx, s.keyUnlisted(o), strconv.Itoa(n)).Err(); err != nil {
			return fmt.Errorf("remove list %d of %s: %w", n, o.Plural(), s.db.Explain(err))
		}
	}
	return nil
}

// dropMembers removes a list's bits from every partition, a bounded number at a time.
func (s *Store) dropMembers(ctx context.Context, o record.ObjectType, number int) error {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return err
	}
	err = redisdb.InWindows(ctx, partitions, keysPerWindow, func(ctx context.Context, from, to int) error {
		calls := make([]redisdb.Call, 0, to-from)
		for p := from; p < to; p++ {
			keys := s.partition(o, p)
			calls = append(calls, redisdb.Call{Script: scriptDropCounted, Keys: []string{keys.list(number), keys.cnt()}, Args: nil})
		}
		_, err := s.db.RunAll(ctx, calls)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove the members of list %d of %s: %w", number, o.Plural(), s.db.Explain(err))
	}
	return nil
}

// isStatic is nil when that very list is there and has members.
func (s *Store) isStatic(ctx context.Context, l List) error {
	text, err := s.db.Redis.HGet(ctx, s.keyLists(l.Object), l.Name).Result()
	switch {
	case l.Number < 1 || l.Active():
		return fmt.Errorf("list %q of %s has no members of its own: its expression says who is on it", l.Name, l.Object.Plural())
	case errors.Is(err, redis.Nil), err == nil && text != strconv.Itoa(l.Number):
		return fmt.Errorf("list %q of %s: %w", l.Name, l.Object.Plural(), record.ErrNotFound)
	case err != nil:
		return fmt.Errorf("read list %q of %s: %w", l.Name, l.Object.Plural(), s.db.Explain(err))
	}
	return nil
}
