package crmstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Enrollments reads enrollments of a workflow, in the order asked. Where the store has lost enrollments, that is a *LostError.
func (s *Store) Enrollments(ctx context.Context, o record.ObjectType, workflow string, want []record.PartitionIDs) ([][]record.Enrollment, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	found := make([][]record.Enrollment, len(want))
	starts := windowStarts(want)
	err := redisdb.InWindows(ctx, len(starts)-1, 1, func(ctx context.Context, w, _ int) error {
		from, to := starts[w], starts[w+1]
		var err error
		if to > from {
			err = s.enrollments(ctx, o, workflow, want[from:to], found[from:to])
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read enrollments of workflow %s: %w", workflow, err)
	}
	return found, nil
}

func (s *Store) enrollments(ctx context.Context, o record.ObjectType, workflow string, want []record.PartitionIDs, found [][]record.Enrollment) error {
	var commands [][]any
	for i := range want {
		found[i] = make([]record.Enrollment, len(want[i].IDs))
		if len(want[i].IDs) == 0 {
			continue
		}
		ids := record.PackIDs(want[i].IDs)
		args := append(make([]any, 0, 2+len(want[i].IDs)), "hmget", s.partition(o, want[i].Partition).enr(workflow))
		for at := 0; at < len(ids); at += 8 {
			args = append(args, ids[at:at+8])
		}
		k := s.partition(o, want[i].Partition)
		name := enrollmentCounter(workflow)
		commands = append(commands, args, []any{"hkeys", k.enr(workflow)}, []any{"hmget", k.cnt(), countLive, name, countSum + name})
	}
	answers := make([]redisdb.RawReply, len(commands))
	if err := s.db.Ask(ctx, commands, answers); err != nil {
		return err
	}
	next := 0
	var values [][]byte
	var last []byte // records of one run have the same enrollment
	var same record.Enrollment
	for i := range want {
		if len(want[i].IDs) == 0 {
			continue
		}
		var err error
		if values, err = answers[next].Values(values[:0]); err != nil || len(values) != len(want[i].IDs) {
			return cmp.Or(err, redisdb.ErrOddReply)
		}
		if good, err := enrolledWhole(answers[next+1], answers[next+2]); err != nil {
			return err
		} else if !good {
			if values, err = s.enrolledSteadily(ctx, o, workflow, want[i]); err != nil {
				return err
			}
		}
		next += 3
		for j, v := range values {
			if v == nil {
				continue
			}
			if last == nil || !bytes.Equal(v, last) {
				if same, err = record.ParseEnrollment(string(v)); err != nil {
					return fmt.Errorf("%s %s: %w", o, want[i].IDs[j], err)
				}
				last = v
			}
			found[i][j] = same
		}
	}
	return nil
}

// enrolledWhole reports whether a partition's enrollments in a workflow are those that its counters say.
func enrolledWhole(ids, counters redisdb.RawReply) (bool, error) {
	all, err := ids.Values(nil)
	values, err2 := counters.Values(nil)
	if err != nil || err2 != nil || len(values) != 3 {
		return false, cmp.Or(err, err2, redisdb.ErrOddReply)
	}
	counted := values[0] != nil || values[1] != nil
	return counted && addUp(values[1], values[2], int64(len(all)), sumOfIDs(all)), nil
}

// enrolledSteadily reads enrollments of one partition in one transaction; a *LostError when they do not add up even so.
func (s *Store) enrolledSteadily(ctx context.Context, o record.ObjectType, workflow string, want record.PartitionIDs) (values [][]byte, err error) {
	var found, counters *redis.SliceCmd
	var records *redis.IntCmd
	var ids *redis.StringSliceCmd
	k := s.partition(o, want.Partition)
	name := enrollmentCounter(workflow)
	err = s.steadily(ctx, o, []string{name}, func(pipe redis.Pipeliner) {
		found = pipe.HMGet(ctx, k.enr(workflow), idFields(want.IDs)...)
		ids, records = pipe.HKeys(ctx, k.enr(workflow)), pipe.HLen(ctx, k.rec())
		counters = pipe.HMGet(ctx, k.cnt(), countLive, name, countSum+name)
	}, func() bool {
		live, count, sum := counters.Val()[0], counters.Val()[1], counters.Val()[2]
		return (live != nil || count != nil || records.Val() == 0) && addUp(count, sum, int64(len(ids.Val())), sumOfIDs(ids.Val()))
	})
	if err != nil {
		return nil, err
	}
	return texts(found.Val()), nil
}

// EnrolledBy lists the records of partitions from ≤ p < to whose enrollment under a name is of one run: whom it deleted. It reads all
// enrollments of that name. Partitions without any are left out. Where the store has lost enrollments, that is a *LostError.
func (s *Store) EnrolledBy(ctx context.Context, o record.ObjectType, name, run string, from, to int) ([]record.PartitionIDs, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	var found []record.PartitionIDs
	err := inChunks(from, to, redisdb.ColumnsPerWindow, func(from, to int) error {
		pipe := s.db.Redis.Pipeline()
		replies, counters := make([]*redis.MapStringStringCmd, 0, to-from), make([]*redis.SliceCmd, 0, to-from)
		read := func(pipe redis.Pipeliner, p int) (*redis.MapStringStringCmd, *redis.SliceCmd) {
			k := s.partition(o, p)
			return pipe.HGetAll(ctx, k.enr(name)), pipe.HMGet(ctx, k.cnt(), enrollmentCounter(name), countSum+enrollmentCounter(name))
		}
		for p := from; p < to; p++ {
			reply, counter := read(pipe, p)
			replies, counters = append(replies, reply), append(counters, counter)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return s.db.Explain(err)
		}
		for i, reply := range replies {
			part, counter := record.PartitionIDs{Partition: from + i}, counters[i]
			good := func() bool {
				sum := int64(0)
				for field := range reply.Val() {
					sum += markOfID(field)
				}
				return addUp(counter.Val()[0], counter.Val()[1], int64(len(reply.Val())), sum)
			}
			if !good() {
				again := func(pipe redis.Pipeliner) { reply, counter = read(pipe, from+i) }
				if err := s.steadily(ctx, o, []string{enrollmentCounter(name)}, again, good); err != nil {
					return err
				}
			}
			for field, text := range reply.Val() {
				e, err := record.ParseEnrollment(text)
				if err != nil {
					return err
				}
				if e.Run == run && len(field) == 8 {
					part.IDs = append(part.IDs, record.IDFromBytes([]byte(field)))
				}
			}
			if len(part.IDs) > 0 {
				slices.Sort(part.IDs)
				found = append(found, part)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read whom run %s deleted: %w", run, err)
	}
	return found, nil
}

// Enrolling are records that may have enrollments in a workflow.
type Enrolling struct {
	Workflow string
	Want     []record.PartitionIDs // by ascending partition, each once
}

// EnrollmentsOf is [Store.Enrollments] of several workflows. A partition in which none of them has ever enrolled
// anybody costs one question for all.
func (s *Store) EnrollmentsOf(ctx context.Context, o record.ObjectType, all []Enrolling) ([][][]record.Enrollment, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	used, err := s.anyEnrolled(ctx, o, all)
	if err != nil {
		return nil, fmt.Errorf("read enrollments of %d workflows: %w", len(all), err)
	}
	found := make([][][]record.Enrollment, len(all))
	for i, e := range all {
		found[i] = make([][]record.Enrollment, len(e.Want))
		var some []record.PartitionIDs
		var places []int
		for j, w := range e.Want {
			if used[w.Partition] {
				some, places = append(some, w), append(places, j)
			} else {
				found[i][j] = make([]record.Enrollment, len(w.IDs))
			}
		}
		read, err := s.Enrollments(ctx, o, e.Workflow, some)
		if err != nil {
			return nil, err
		}
		for k, j := range places {
			found[i][j] = read[k]
		}
	}
	return found, nil
}

// anyEnrolled says in which partitions any of the workflows has enrolled anybody. For one workflow it is not worth asking.
func (s *Store) anyEnrolled(ctx context.Context, o record.ObjectType, all []Enrolling) (map[int]bool, error) {
	keys := map[int][]string{}
	for _, e := range all {
		for _, w := range e.Want {
			keys[w.Partition] = append(keys[w.Partition], s.partition(o, w.Partition).enr(e.Workflow))
		}
	}
	used := make(map[int]bool, len(keys))
	pipe := s.db.Redis.Pipeline()
	counts, counters := make(map[int]*redis.IntCmd), make(map[int]*redis.SliceCmd)
	for p, list := range keys {
		if used[p] = true; len(list) > 1 {
			counts[p] = pipe.Exists(ctx, list...)
			k := s.partition(o, p)
			names := make([]string, 0, 2*len(list))
			for _, key := range list {
				name := strings.TrimPrefix(key, string(k))
				names = append(names, name, countSum+name)
			}
			counters[p] = pipe.HMGet(ctx, k.cnt(), names...)
		}
	}
	if len(counts) == 0 {
		return used, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, s.db.Explain(err)
	}
	for p, count := range counts {
		used[p] = count.Val() > 0 || slices.ContainsFunc(counters[p].Val(), func(v any) bool { return !addsUp(v, 0) })
	}
	return used, nil
}

// idFields is the ids as fields of a hash.
func idFields(ids []record.ID) []string {
	fields := make([]string, len(ids))
	for i, id := range ids {
		b := id.Bytes()
		fields[i] = string(b[:])
	}
	return fields
}

var scriptEnrollExisting = mustLuaScript("enroll_existing")

// MarkExisting enrolls records as Existing, unless they have an enrollment already or are not there.
func (s *Store) MarkExisting(ctx context.Context, o record.ObjectType, workflow string, revision int, ids []record.PartitionIDs) error {
	if err := s.require(ctx, o, CanView, CanManageWorkflows); err != nil {
		return err
	}
	value := (&record.Enrollment{State: record.Existing, Revision: revision}).Encode()
	var calls []redisdb.Call
	for _, group := range ids {
		for at := 0; at < len(group.IDs); at += recordsPerCall {
			part := group.IDs[at:min(at+recordsPerCall, len(group.IDs))]
			keys := s.partition(o, group.Partition)
			calls = append(calls, redisdb.Call{Script: scriptEnrollExisting, Keys: []string{keys.enr(workflow), keys.rec(), keys.cnt()}, Args: []any{value, record.PackIDs(part)}})
		}
	}
	err := redisdb.InWindows(ctx, len(calls), redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		_, err := s.db.RunAll(ctx, calls[from:to])
		return err
	})
	if err != nil {
		return fmt.Errorf("enroll existing %s in workflow %s: %w", o.Plural(), workflow, err)
	}
	return nil
}
