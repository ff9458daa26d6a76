package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// List is a named set of records of one object type. A static list has members, which are put on it and taken off by
// hand and stay through delete and restore. An active list has an expression instead: who is on it is whoever the
// expression is true for at the moment of asking. This package keeps the expression and does not read it.
type List struct {
	Number int               `json:"number"` // of the object type; never given out again, and so it names this list and no later one
	Name   string            `json:"name"`
	Object record.ObjectType `json:"object"`
	Where  string            `json:"where,omitempty"` // the expression of an active list; "" = a static list. It never changes
}

// Active reports whether an expression says who is on the list.
func (l List) Active() bool { return l.Where != "" }

// The largest list, in bytes.
const (
	maxListName  = 200
	maxListWhere = 4096
)

var (
	scriptCreateList = mustLuaScript("create_list")
	scriptDeleteList = mustLuaScript("delete_list")
	scriptMembers    = mustLuaScript("members")
)

// ListOrder says which list to make.
type ListOrder struct {
	Object record.ObjectType
	Name   string // 1 to 200 bytes
	Where  string // the expression of an active list; "" = a static list
	Cause  record.Cause
	At     time.Time
}

// CreateList makes an empty static list; ErrExists. Audited in the account's log.
func (s *Store) CreateList(ctx context.Context, o record.ObjectType, name string, c record.Cause, at time.Time) (List, error) {
	return s.AddList(ctx, ListOrder{Object: o, Name: name, Cause: c, At: at})
}

// AddList makes a list, static or active; ErrExists when there is one of that name, of either kind. Whether the expression
// means anything is for the caller to check. Audited in the account's log.
func (s *Store) AddList(ctx context.Context, order ListOrder) (List, error) {
	if err := s.require(ctx, order.Object, CanEdit); err != nil {
		return List{}, err
	}
	name, where := strings.TrimSpace(order.Name), strings.TrimSpace(order.Where)
	if name == "" || len(name) > maxListName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return List{}, fmt.Errorf("list name %q: want 1 to %d bytes of text on one line", name, maxListName)
	}
	if err := record.CheckSeen("list name", name); err != nil {
		return List{}, err
	}
	if len(where) > maxListWhere || !utf8.ValidString(where) || (where == "") != (order.Where == "") {
		return List{}, fmt.Errorf("expression of list %q: want 1 to %d bytes of text", name, maxListWhere)
	}
	if _, err := s.schema(ctx, order.Object); err != nil { // the account and the object type are there
		return List{}, err
	}
	reply, err := s.db.Run(ctx, scriptCreateList, []string{s.keyLists(order.Object), s.keyAccountLog()},
		name, s.wall(), record.AppendFacts(nil, order.At, s.by(order.Cause)), listDetail(order.Object, name, where), where)
	if err != nil {
		return List{}, fmt.Errorf("create list %q: %w", name, err)
	}
	number, _ := reply.(int64)
	if number == 0 {
		return List{}, fmt.Errorf("list %q: %w", name, record.ErrExists)
	}
	return List{Number: int(number), Name: name, Object: order.Object, Where: where}, nil
}

// listDetail names a list in the audit log.
func listDetail(o record.ObjectType, name, where string) string {
	if where == "" {
		return string(o) + ": " + name
	}
	return string(o) + ": " + name + " where " + where
}

// Lists returns the lists of an object type, static and active, by name.
func (s *Store) Lists(ctx context.Context, o record.ObjectType) (map[string]List, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	return s.lists(ctx, o)
}

func (s *Store) lists(ctx context.Context, o record.ObjectType) (map[string]List, error) {
	fields, err := s.db.Redis.HGetAll(ctx, s.keyLists(o)).Result()
	if err != nil {
		return nil, fmt.Errorf("read lists of %s: %w", o.Plural(), s.db.Explain(err))
	}
	lists := make(map[string]List, len(fields))
	for name, text := range fields {
		if name == "" {
			continue // counts them
		}
		digits, where, _ := strings.Cut(text, " ")
		number, err := strconv.Atoi(digits)
		if err != nil || number < 1 {
			return nil, fmt.Errorf("read list %q: its number is damaged", name)
		}
		lists[name] = List{Number: number, Name: name, Object: o, Where: where}
	}
	return lists, nil
}

// SetMembers puts records on the list (member) or takes them off; archived ones too. It says for how many that was
// a change, and which ids are unknown. Each changed record gets a new version; one audit event per partition batch.
// ErrNotFound when the list was deleted, also while this was at work: then nothing is left of it.
func (s *Store) SetMembers(ctx context.Context, l List, ids []record.ID, member bool, c record.Cause, at time.Time) (changed int, missing []record.ID, err error) {
	if err := s.require(ctx, l.Object, CanEdit); err != nil {
		return 0, nil, err
	}
	return s.setMembers(ctx, l, ids, member, record.AppendFacts(nil, at, s.by(c)))
}

func (s *Store) setMembers(ctx context.Context, l List, ids []record.ID, member bool, facts []byte) (changed int, missing []record.ID, err error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return 0, nil, err
	}
	if err := s.isStatic(ctx, l); err != nil {
		return 0, nil, err
	}
	unique := slices.Clone(ids)
	slices.Sort(unique)
	want, _ := byPartition(slices.Compact(unique), partitions)
	bit := "0"
	if member {
		bit = "1"
	}
	var calls []redisdb.Call
	var parts [][]record.ID
	for _, group := range want {
		keys := s.partition(l.Object, group.Partition)
		for part := range slices.Chunk(group.IDs, recordsPerCall) {
			parts = append(parts, part)
			calls = append(calls, redisdb.Call{
				Script: scriptMembers,
				Keys:   []string{keys.rec(), keys.list(l.Number), keys.log(), keys.cnt()},
				Args:   []any{s.wall(), facts, l.Name, bit, record.PackIDs(part)},
			})
		}
	}
	told := make([]string, len(calls))
	err = redisdb.InWindows(ctx, len(calls), redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		replies, err := s.db.RunAll(ctx, calls[from:to])
		for i := from; i < to && err == nil; i++ {
			told[i], err = redisdb.Outcomes(replies[i-from], len(parts[i]))
		}
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("change members of list %q: %w", l.Name, err)
	}
	if err := s.isStatic(ctx, l); err != nil {
		if errors.Is(err, record.ErrNotFound) { // bits that were set behind the back of its deletion
			err = errors.Join(err, s.dropMembers(ctx, l.Object, l.Number))
		}
		return 0, nil, err
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
