package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// List is a static list: members are added and removed by hand and stay through delete and restore.
type List struct {
	Number int        `json:"number"`
	Name   string     `json:"name"`
	Object ObjectType `json:"object"`
}

// maxListName is the longest name of a list, in bytes.
const maxListName = 200

var (
	scriptCreateList = mustScript("create_list")
	scriptMembers    = mustScript("members")
)

// CreateList makes an empty static list; ErrExists. Audited in the account's log.
func (s *Store) CreateList(ctx context.Context, o ObjectType, name string, c Cause, at time.Time) (List, error) {
	if name = strings.TrimSpace(name); name == "" || len(name) > maxListName || !utf8.ValidString(name) {
		return List{}, fmt.Errorf("list name %q: want 1 to %d bytes of text", name, maxListName)
	}
	if _, err := s.Schema(ctx, o); err != nil { // the account and the object type are there
		return List{}, err
	}
	reply, err := s.run(ctx, scriptCreateList, []string{s.keyLists(o), s.keyAccountLog()},
		name, wall(), appendFacts(nil, at, s.by(c)), string(o)+": "+name)
	if err != nil {
		return List{}, fmt.Errorf("create list %q: %w", name, err)
	}
	number, _ := reply.(int64)
	if number == 0 {
		return List{}, fmt.Errorf("list %q: %w", name, ErrExists)
	}
	return List{Number: int(number), Name: name, Object: o}, nil
}

// Lists returns the static lists of an object type by name.
func (s *Store) Lists(ctx context.Context, o ObjectType) (map[string]List, error) {
	fields, err := s.rdb.HGetAll(ctx, s.keyLists(o)).Result()
	if err != nil {
		return nil, fmt.Errorf("read lists of %s: %w", o.Plural(), s.trouble(err))
	}
	lists := make(map[string]List, len(fields))
	for name, text := range fields {
		if name == "" {
			continue // counts them
		}
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			return nil, fmt.Errorf("read list %q: its number is damaged", name)
		}
		lists[name] = List{Number: number, Name: name, Object: o}
	}
	return lists, nil
}

// SetMembers puts records on the list (member) or takes them off; archived ones too. It says for how many that was
// a change, and which ids are unknown. Each changed record gets a new version; one audit event per partition batch.
func (s *Store) SetMembers(ctx context.Context, l List, ids []ID, member bool, c Cause, at time.Time) (changed int, missing []ID, err error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return 0, nil, err
	}
	if l.Number < 1 {
		return 0, nil, errors.New("change members of a list that has no number")
	}
	unique := slices.Clone(ids)
	slices.Sort(unique)
	want, _ := byPartition(slices.Compact(unique), partitions)
	facts := appendFacts(nil, at, s.by(c))
	bit := "0"
	if member {
		bit = "1"
	}
	var calls []call
	var parts [][]ID
	for _, group := range want {
		keys := s.partition(l.Object, group.Partition)
		for part := range slices.Chunk(group.IDs, recordsPerCall) {
			parts = append(parts, part)
			calls = append(calls, call{
				scriptMembers,
				[]string{keys.rec(), keys.list(l.Number), keys.log()},
				[]any{wall(), facts, l.Name, bit, packIDs(part)},
			})
		}
	}
	told := make([]string, len(calls))
	err = inWindows(ctx, len(calls), callsPerWindow, func(ctx context.Context, from, to int) error {
		replies, err := s.runAll(ctx, calls[from:to])
		for i := from; i < to && err == nil; i++ {
			told[i], err = outcomes(replies[i-from], len(parts[i]))
		}
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("change members of list %q: %w", l.Name, err)
	}
	for i, text := range told {
		for j := range text {
			switch text[j] {
			case '1':
				changed++
			case '2':
				missing = append(missing, parts[i][j])
			}
		}
	}
	slices.Sort(missing)
	return changed, missing, nil
}
