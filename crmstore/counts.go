package crmstore

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// A partition's counters (cnt) say how many entries each of its counted keys must hold: lists, the enrollments of
// workflows, and the audit log. Scripts change a counter together with what it counts (lua/lib/counts.lua). The server
// may lose a key, by eviction or by a hand that deletes it; the counter tells that from a key that never held anything.
// A key that has no counter is of an older version of this program, or what a run by hand keeps under its own name.

// countersOf is the hash that counts the events of the stream at a log's key.
func countersOf(log string) string { return strings.TrimSuffix(log, "log") + "cnt" }

// holdsBeside is the key of the holds that stand beside a log; that of the account has none.
func holdsBeside(log string) string { return strings.TrimSuffix(log, "log") + "hold" }

// The names of counters: that of a key is what follows its hash tag.
const (
	countList       = "list:"
	countEnrollment = "enr:"
	countLog        = "log"
	countHold       = "hold"    // records on legal hold
	countLive       = "live"    // there from the first record on
	countAccepted   = "lost:"   // before the name of a counter: how many entries were lost, and a person said so be it
	countRecords    = "records" // only after countAccepted
	countSum        = "sum:"    // before the name of the counter of a list, of enrollments or of holds: the sum of their marks
)

func listCounter(number int) string        { return countList + strconv.Itoa(number) }
func enrollmentCounter(name string) string { return countEnrollment + name }

// LostError refuses to rely on a list, or on the enrollments in a workflow, since the store does not hold all that was
// put there. Nothing was changed.
type LostError struct {
	Object     record.ObjectType
	What       string // such as: list "keep"
	Entries    string // what it holds: members, enrollments
	Want       int64  // how many entries there must be, in all partitions
	Missing    int64  // of these
	Surplus    int64  // entries that nobody put there
	Moved      int    // partitions that hold as many members as were put there, but not the same ones
	Uncounted  int    // partitions that have lost their counters, or this one, so that nobody knows
	Partitions int    // partitions in which something is wrong
}

// Error says what was lost, how much of it, and what to do.
func (e *LostError) Error() string {
	var b strings.Builder
	switch {
	case e.Missing > 0:
		fmt.Fprintf(&b, "%s of %s has lost %d of its %d %s", e.What, e.Object.Plural(), e.Missing, e.Want, e.Entries)
	case e.Moved > 0:
		fmt.Fprintf(&b, "%s of %s holds as many %s as were put there, but in %d partitions not the same ones", e.What, e.Object.Plural(), e.Entries, e.Moved)
	case e.Surplus > 0:
		fmt.Fprintf(&b, "%s of %s holds %d %s that nobody put there", e.What, e.Object.Plural(), e.Surplus, e.Entries)
	default:
		fmt.Fprintf(&b, "%s of %s may have lost %s: the counters of %d partitions are lost", e.What, e.Object.Plural(), e.Entries, e.Uncounted)
	}
	b.WriteString("; nothing that asks it is carried out. See `workflow doctor`, put back what is missing, and accept the rest with `workflow account accept-loss`")
	return b.String()
}

// addsUp reports whether a key with so many entries holds what its counter says; nil is no counter.
func addsUp(counter any, size int64) bool {
	switch text := counter.(type) {
	case nil:
		return true
	case string:
		return text == strconv.FormatInt(size, 10)
	case []byte:
		return text == nil || string(text) == strconv.FormatInt(size, 10)
	}
	return false
}

// bitCount is how many bits are set.
func bitCount(b []byte) int64 {
	n := 0
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56)
	}
	for _, one := range b {
		n += bits.OnesCount8(one)
	}
	return int64(n)
}

// markOfNumber makes a number below 2^24 of a larger one; lua/lib/counts.lua says the same, and so do the two marks below.
func markOfNumber(n uint64) int64 {
	x := (n%16777213*2654435 + 12345) & (1<<24 - 1)
	return int64(x * x >> 12 & (1<<24 - 1))
}

// markOf is the number that stands for a byte of a list, 0 for one without members.
func markOf(at int, value byte) int64 {
	if value == 0 {
		return 0
	}
	return markOfNumber(uint64(at)<<8 | uint64(value))
}

// markOfID is the number that stands for the enrollment or the legal hold of an id (8 bytes), 0 for a name that is none.
func markOfID[T ~string | ~[]byte](name T) int64 {
	if len(name) != 8 {
		return 0
	}
	id := uint64(0)
	for i := range 8 {
		id |= uint64(name[i]) << (8 * i)
	}
	return markOfNumber(id)
}

// sumOfIDs is the sum of enrollments or of legal holds.
func sumOfIDs[T ~string | ~[]byte](names []T) (sum int64) {
	for _, name := range names {
		sum += markOfID(name)
	}
	return sum
}

// sumOf is the sum of a list, by which a member that was lost is noticed where another one was gained.
func sumOf(list []byte) (sum int64) {
	for at, value := range list {
		sum += markOf(at, value)
	}
	return sum
}

// addUp reports whether what a key holds is what its counter and its sum say. A sum whose counter is lost still tells.
func addUp(counter, sum any, size, is int64) bool { return addsUp(counter, size) && addsUp(sum, is) }

// lost looks through all partitions for what is wrong with a counted key, by the name of its counter. It is nil when
// everything adds up: then somebody was writing a moment ago.
func (s *Store) lost(ctx context.Context, o record.ObjectType, name string) error {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return err
	}
	e := LostError{Object: o}
	err = inChunks(0, partitions, redisdb.ColumnsPerWindow, func(from, to int) error {
		for p := from; p < to; p++ {
			if err := s.lostIn(ctx, s.partition(o, p), name, &e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || e.Partitions == 0 {
		return err
	}
	switch number, isList := strings.CutPrefix(name, countList); {
	case isList:
		e.What, e.Entries = "list number "+number, "members"
		lists, err := s.lists(ctx, o)
		if err != nil {
			return err
		}
		for _, l := range lists {
			if strconv.Itoa(l.Number) == number {
				e.What = fmt.Sprintf("list %q", l.Name)
			}
		}
	case name == countHold:
		e.What, e.Entries = "the register of legal holds", "holds"
	default:
		e.What, e.Entries = "workflow "+strings.TrimPrefix(name, countEnrollment), "enrollments"
	}
	return &e
}

// lostIn adds what is wrong in one partition.
func (s *Store) lostIn(ctx context.Context, k partitionKeys, name string, e *LostError) error {
	var counters *redis.SliceCmd
	var records *redis.IntCmd
	var read func() (size, sum int64)
	err := s.atOnce(ctx, func(pipe redis.Pipeliner) error {
		counters, records = pipe.HMGet(ctx, k.cnt(), countLive, name, countSum+name), pipe.HLen(ctx, k.rec())
		read = readCounted(ctx, pipe, k, name)
		return nil
	})
	if err != nil {
		return err
	}
	size, is := read()
	live, text, sum := counters.Val()[0], counters.Val()[1], counters.Val()[2]
	if live == nil && text == nil && records.Val() > 0 || text == nil && !addsUp(sum, is) {
		e.Uncounted++
		e.Partitions++
		return nil
	}
	if text == nil {
		return nil
	}
	want, err := strconv.ParseInt(text.(string), 10, 64)
	if err != nil {
		e.Uncounted++
		e.Partitions++
		return nil //nolint:nilerr // it is what was asked for
	}
	e.Want += want
	if want == size && !addsUp(sum, is) {
		e.Partitions++
		e.Moved++
	}
	if missing := want - size; missing != 0 {
		e.Partitions++
		e.Missing += max(missing, 0)
		e.Surplus += max(-missing, 0)
	}
	return nil
}

// readCounted asks for a key by the name of its counter. The answer says how many entries it holds, and what their sum is.
func readCounted(ctx context.Context, pipe redis.Pipeliner, k partitionKeys, name string) func() (size, sum int64) {
	if strings.HasPrefix(name, countList) {
		list := pipe.GetRange(ctx, string(k)+name, 0, -1)
		return func() (int64, int64) {
			bits := record.BytesOf(list.Val())
			return bitCount(bits), sumOf(bits)
		}
	}
	ids := pipe.HKeys(ctx, string(k)+name)
	return func() (int64, int64) { return int64(len(ids.Val())), sumOfIDs(ids.Val()) }
}

// atOnce sends commands in one transaction. Its error is in words.
func (s *Store) atOnce(ctx context.Context, fn func(redis.Pipeliner) error) error {
	sent, err := s.db.Redis.TxPipelined(ctx, fn)
	return s.db.Explain(whyOf(sent, err))
}

// whyOf is the first error of the commands of a transaction, which itself says only that it was given up.
func whyOf(sent []redis.Cmder, err error) error {
	for _, command := range sent {
		if why := command.Err(); err != nil && why != nil && !errors.Is(why, redis.Nil) {
			return why
		}
	}
	return err
}

// steadyTries is how often a partition is read again that did not add up because somebody was writing.
const steadyTries = 3

// steadily reads with read, in one transaction, until what it returns adds up, and returns what is lost when it does
// not.
func (s *Store) steadily(ctx context.Context, o record.ObjectType, names []string, read func(pipe redis.Pipeliner), good func() bool) error {
	for range steadyTries {
		if err := s.atOnce(ctx, func(pipe redis.Pipeliner) error { read(pipe); return nil }); err != nil {
			return err
		}
		if good() {
			return nil
		}
		for _, name := range names {
			if err := s.lost(ctx, o, name); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("read %s: %w", strings.Join(names, ", "), record.ErrConflict)
}

// counterNames are the counters of the asked lists.
func (w *Want) counterNames() []string {
	names := make([]string, len(w.Lists))
	for i, number := range w.Lists {
		names[i] = listCounter(number)
	}
	return names
}

// counterCommand asks for the partition's counters of the asked lists, and whether it has counters at all.
func (w *Want) counterCommand(k partitionKeys) []any {
	args := append(make([]any, 0, 3+2*len(w.Lists)), "hmget", k.cnt(), countLive)
	for _, number := range w.Lists {
		args = append(args, listCounter(number), countSum+listCounter(number))
	}
	return args
}

// whole reports whether the lists among values, as command asks for them, hold what the counters say.
func (w *Want) whole(values, counters [][]byte) bool {
	if len(counters) != 1+2*len(w.Lists) || counters[0] == nil && len(values[0]) > 0 {
		return false
	}
	lists := values[len(values)-len(w.Lists):]
	for i, bits := range lists {
		if counter, sum := counters[1+2*i], counters[2+2*i]; !addsUp(counter, bitCount(bits)) || sum != nil && !addsUp(sum, sumOf(bits)) {
			return false
		}
	}
	return true
}

// readSteadily is what command and counterCommand ask of one partition, read in one transaction; a *LostError when the
// lists do not add up even so.
func (s *Store) readSteadily(ctx context.Context, o record.ObjectType, p int, w *Want) (values [][]byte, err error) {
	var columns, counters *redis.Cmd
	k := s.partition(o, p)
	err = s.steadily(ctx, o, w.counterNames(), func(pipe redis.Pipeliner) {
		columns, counters = pipe.Do(ctx, w.command(k)...), pipe.Do(ctx, w.counterCommand(k)...)
	}, func() bool {
		values = texts(columns.Val())
		return w.whole(values, texts(counters.Val()))
	})
	return values, err
}

// texts is an array of texts as the client decoded it; nil stands for one that is not there.
func texts(reply any) [][]byte {
	list, _ := reply.([]any)
	all := make([][]byte, len(list))
	for i, one := range list {
		if text, ok := one.(string); ok {
			all[i] = slices.Clone(record.BytesOf(text))
		}
	}
	return all
}
