package crmstore

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Raw is the client below a store, for tests that damage keys on purpose.
func Raw(s *Store) redis.UniversalClient { return s.db.Redis }

// KeyOf is the key of a partition that ends in name.
func KeyOf(s *Store, o record.ObjectType, partition int, name string) string {
	return string(s.partition(o, partition)) + name
}

// KeyNextID is the key of the counter that ids are taken from.
func KeyNextID(s *Store, o record.ObjectType) string { return s.keyNextID(o) }

// KeyRanges is the key of a run's ranges.
func KeyRanges(s *Store, run string) string { return s.keyRanges(run) }

// RowIDsOfChanging reads a partition as one that changes while it is read, and returns the ids by slot.
func RowIDsOfChanging(ctx context.Context, s *Store, o record.ObjectType, p int) ([]record.ID, error) {
	w := rowWindow{store: s, object: o, picks: []Pick{{Partition: p, Whole: true}}}
	var rows Rows
	if err := w.load(ctx); err != nil {
		return nil, err
	}
	err := w.changing(ctx, 0, &rows)
	return IDsOf(rows.Rows, func(r Row) record.ID { return r.ID }), err
}

// IDsOf lists what id says of each.
func IDsOf[T any](list []T, id func(T) record.ID) []record.ID {
	ids := make([]record.ID, len(list))
	for i := range list {
		ids[i] = id(list[i])
	}
	return ids
}

// Unname is the first step of a list's deletion, after which it was interrupted.
func Unname(ctx context.Context, s *Store, l List, c record.Cause, at time.Time) error {
	return s.unname(ctx, l, c, at)
}

// SetPatience says how long doctor waits before it believes that an association is half-written.
func SetPatience(s *Store, d time.Duration) { s.patience = d }

// AssociateUntil carries the pairs through the first so many scripts of an association's (or its removal's), as a process
// does that dies then.
func AssociateUntil(ctx context.Context, s *Store, pairs []Pair, add bool, steps int) error {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return err
	}
	w := tying{store: s, partitions: partitions, mode: "remove"}
	if add {
		w.mode = "add"
	}
	ties := tiesOf(pairs, make([]PairResult, len(pairs)))
	if steps > 0 {
		err = w.begin(ctx, ties)
	}
	if steps > 1 && err == nil {
		err = w.other(ctx, ties)
	}
	if steps > 2 && err == nil {
		_, err = w.end(ctx, ties)
	}
	return err
}

// Dissolve takes out the associations of records that are about to go for good.
func Dissolve(ctx context.Context, s *Store, o record.ObjectType, ids []record.ID) error {
	return s.dissolve(ctx, o, ids)
}

// KeyErasing is the hash of permanent deletions that are not finished.
func KeyErasing(s *Store) string { return s.keyErasing() }

// KeyAccountLog is the stream of the account's own audit events.
func KeyAccountLog(s *Store) string { return s.keyAccountLog() }

// KeyLists is the hash of an object type's lists.
func KeyLists(s *Store, o record.ObjectType) string { return s.keyLists(o) }

// ScriptInfo is a script for tests that send it by themselves.
type ScriptInfo struct {
	Name, SHA, Source string
	Types             []string // of the keys, from the header
	Text              string   // the script's own, without libraries
}

// Scripts are all scripts of the program, by the SHA under which they are sent.
func Scripts() map[string]ScriptInfo {
	all := map[string]ScriptInfo{}
	files, _ := fs.Glob(luaFiles, "lua/*.lua")
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "lua/"), ".lua")
		sc, text := mustLuaScript(name), redisdb.MustLua(luaFiles, file)
		all[sc.Sha] = ScriptInfo{name, sc.Sha, sc.Source, strings.Fields(redisdb.HeaderLine(text, "Types")), text}
	}
	return all
}

// SourceUnchecked is a script with another text of its own, and without the check that the type of a key is right (counted
// from 0; -1: all are asked).
func SourceUnchecked(info ScriptInfo, text string, key int) string {
	types := slices.Clone(info.Types)
	if key >= 0 {
		types[key] = "unasked"
	}
	check := redisdb.KeysCheck(strings.Join(types, " "))
	return redisdb.NewScript(luaFolder(), info.Name, text, check).Source
}

// ArchiveByScript is [Store.Archive] of one partition by another version's script, which takes so many of the keys.
func ArchiveByScript(ctx context.Context, s *Store, source string, keys int, o ArchiveOrder, b Archive) error {
	a := archiver{store: s, order: o, enrollment: (&record.Enrollment{State: record.Completed, Revision: o.Cause.Revision, Run: o.Cause.Run}).Encode()}
	c, err := a.call(&archivePart{b.Partition, b.Targets, make([]ArchiveOutcome, len(b.Targets))})
	if err != nil {
		return err
	}
	args := slices.Delete(slices.Clone(c.Args), 4, 5) // older versions did not say from where
	return s.db.Redis.Eval(ctx, source, c.Keys[:keys], args...).Err()
}

// SumOf is the sum of a list's members.
func SumOf(list []byte) int64 { return sumOf(list) }

// SumOfIDs is the sum of enrollments or legal holds of records.
func SumOfIDs(ids ...record.ID) int64 { return sumOfIDs(idFields(ids)) }
