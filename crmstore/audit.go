package crmstore

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Event is one audit event. IDs holds one record for a deletion or a restore (whose records share one entry in the
// log), many for an import.
type Event struct {
	At     time.Time  `json:"at"`
	Op     string     `json:"op"` // delete, restore, create, update, list-add, list-remove, publish, switch-on, switch-off, set-tier, …
	Object ObjectType `json:"object,omitempty"`
	IDs    []ID       `json:"ids,omitempty"`
	Detail string     `json:"detail,omitempty"`
	With   ObjectType `json:"with,omitempty"`     // of associate and dissociate: the other records' type
	Others []ID       `json:"with_ids,omitempty"` // and those records, in the order of IDs
	Cause
}

// AuditFilter narrows Audit; zero fields do not.
type AuditFilter struct {
	Object ObjectType // "" = all, and the account's own events
	Record ID
	Run    string
	Limit  int // the newest so many
}

func (f *AuditFilter) lets(e *Event) bool {
	return (f.Run == "" || e.Run == f.Run) && (f.Record == 0 || slices.Contains(e.IDs, f.Record))
}

// Audit calls fn for events, oldest first: in the order in which they were recorded, which is not that of their At
// when a run was given an instant in the past. With a Limit these are the newest ones. Memory stays bounded by the
// number of partitions (and the Limit), however many events there are.
func (s *Store) Audit(ctx context.Context, f AuditFilter, fn func(Event) error) error {
	logs, err := s.auditLogs(ctx, f)
	if err != nil {
		return err
	}
	m := &merge{store: s, backwards: f.Limit > 0, logs: logs}
	if err := m.open(ctx); err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	var newest []Event
	for {
		e, ok, err := m.next(ctx)
		if err != nil {
			return fmt.Errorf("read audit log: %w", err)
		}
		if !ok || f.Limit > 0 && len(newest) == f.Limit {
			break
		}
		if !f.lets(&e) {
			continue
		}
		e.narrow(f.Record)
		if f.Limit > 0 {
			newest = append(newest, e)
		} else if err := fn(e); err != nil {
			return err
		}
	}
	for _, e := range slices.Backward(newest) {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// auditLogs are the streams that may hold what the filter lets through.
func (s *Store) auditLogs(ctx context.Context, f AuditFilter) ([]*auditLog, error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	var logs []*auditLog
	objects := []ObjectType{f.Object}
	if f.Object == "" {
		if objects, err = s.objectTypes(ctx); err != nil {
			return nil, err
		}
		if f.Record == 0 {
			logs = append(logs, &auditLog{key: s.keyAccountLog()})
		}
	}
	for _, o := range objects {
		if f.Record != 0 {
			logs = append(logs, &auditLog{key: s.partition(o, f.Record.Partition(partitions)).log(), object: o})
			continue
		}
		for p := range partitions {
			logs = append(logs, &auditLog{key: s.partition(o, p).log(), object: o})
		}
	}
	for i, log := range logs {
		log.place = i
	}
	return logs, nil
}

// eventsPerPage is how many events of one stream are read at a time.
const eventsPerPage = 64

// auditLog is one stream during a merge.
type auditLog struct {
	key    string
	object ObjectType
	place  int // breaks ties
	page   []redis.XMessage
	at     int64  // when the first of page was recorded (ms)
	ended  bool   // nothing after page
	first  *Event // the first of page, as far as it has not been handed out; nil = it has not been looked at
}

// forEachRecord reports whether an entry of the op, which may hold many records, is handed out as an event for each.
func forEachRecord(op string) bool { return op == "delete" || op == "restore" }

// event is the next event, and whether it was the last one of its entry.
func (l *auditLog) event(backwards bool) (e Event, last bool, err error) {
	if l.first == nil {
		entry, err := eventOf(l.object, l.page[0].Values)
		if err != nil {
			return Event{}, false, err
		}
		l.first = &entry
	}
	e = *l.first
	n := len(e.IDs)
	if n < 2 || !forEachRecord(e.Op) {
		l.first = nil
		return e, true, nil
	}
	if backwards {
		e.IDs, l.first.IDs = e.IDs[n-1:], e.IDs[:n-1]
	} else {
		e.IDs, l.first.IDs = e.IDs[:1:1], e.IDs[1:]
	}
	return e, false, nil
}

// merge reads streams in the order in which their events were recorded, or backwards. It is a heap of the streams
// that have events left.
type merge struct {
	store     *Store
	backwards bool
	logs      []*auditLog
}

func (m *merge) Len() int { return len(m.logs) }
func (m *merge) Less(i, j int) bool {
	a, b := m.logs[i], m.logs[j]
	if a.at == b.at {
		return (a.place < b.place) != m.backwards
	}
	return (a.at < b.at) != m.backwards
}
func (m *merge) Swap(i, j int) { m.logs[i], m.logs[j] = m.logs[j], m.logs[i] }

// Push is part of heap.Interface; streams are never added.
func (m *merge) Push(x any) { m.logs = append(m.logs, x.(*auditLog)) }

// Pop is part of heap.Interface.
func (m *merge) Pop() any {
	last := m.logs[len(m.logs)-1]
	m.logs = m.logs[:len(m.logs)-1]
	return last
}

// open reads the first page of every stream.
func (m *merge) open(ctx context.Context) error {
	err := inWindows(ctx, len(m.logs), readsPerWindow, func(ctx context.Context, from, to int) error {
		return m.read(ctx, m.logs[from:to])
	})
	m.logs = slices.DeleteFunc(m.logs, func(l *auditLog) bool { return len(l.page) == 0 })
	heap.Init(m)
	return err
}

// read reads the next page of streams, after the last event that they have.
func (m *merge) read(ctx context.Context, logs []*auditLog) error {
	pipe := m.store.rdb.Pipeline()
	commands := make([]*redis.XMessageSliceCmd, len(logs))
	for i, l := range logs {
		from := "-"
		if m.backwards {
			from = "+"
		}
		if len(l.page) > 0 {
			from = "(" + l.page[len(l.page)-1].ID
		}
		if m.backwards {
			commands[i] = pipe.XRevRangeN(ctx, l.key, from, "-", eventsPerPage)
		} else {
			commands[i] = pipe.XRangeN(ctx, l.key, from, "+", eventsPerPage)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return m.store.trouble(err)
	}
	for i, l := range logs {
		l.page = commands[i].Val()
		l.ended = len(l.page) < eventsPerPage
		if err := l.look(); err != nil {
			return err
		}
	}
	return nil
}

// look finds out when the next event was recorded.
func (l *auditLog) look() error {
	if len(l.page) == 0 {
		return nil
	}
	ms, _, _ := strings.Cut(l.page[0].ID, "-")
	var err error
	if l.at, err = strconv.ParseInt(ms, 10, 64); err != nil {
		return errors.New("the id of an event is damaged")
	}
	return nil
}

// next is the next event of all streams; false at the end.
func (m *merge) next(ctx context.Context) (Event, bool, error) {
	if len(m.logs) == 0 {
		return Event{}, false, nil
	}
	l := m.logs[0]
	e, last, err := l.event(m.backwards)
	if err != nil || !last {
		return e, err == nil, err
	}
	if len(l.page) == 1 && !l.ended {
		err = m.read(ctx, m.logs[:1])
	} else {
		l.page = l.page[1:]
		err = l.look()
	}
	if err != nil {
		return Event{}, false, err
	}
	if len(l.page) == 0 {
		heap.Pop(m)
	} else {
		heap.Fix(m, 0)
	}
	return e, true, nil
}
