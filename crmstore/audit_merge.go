package crmstore

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// eventsPerPage is how many events of one stream are read at a time.
const eventsPerPage = 64

// auditLog is one stream during a merge.
type auditLog struct {
	key    string
	name   string // for people who page: "account", or object type and partition
	object record.ObjectType
	place  int    // breaks ties
	from   string // where to begin, as the first argument of XRANGE or XREVRANGE; "" = at its end
	page   []redis.XMessage
	at     int64 // when the first of page was recorded (ms)
	ended  bool  // nothing after page
}

// merge reads streams in the order in which their events were recorded, or backwards. It is a heap of the streams
// that have events left.
type merge struct {
	store     *Store
	backwards bool
	logs      []*auditLog
	rest      []record.Event // of the entry that next read last, when it holds several
	place     auditPlace     // of the event that next gave last
	skip      auditPlace     // see goBehind
	schemas   map[record.ObjectType]*record.Schema
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
	err := redisdb.InWindows(ctx, len(m.logs), redisdb.ReadsPerWindow, func(ctx context.Context, from, to int) error {
		return m.read(ctx, m.logs[from:to])
	})
	m.logs = slices.DeleteFunc(m.logs, func(l *auditLog) bool { return len(l.page) == 0 })
	heap.Init(m)
	return err
}

// read reads the next page of streams, after the last event that they have.
func (m *merge) read(ctx context.Context, logs []*auditLog) error {
	pipe := m.store.db.Redis.Pipeline()
	commands := make([]*redis.XMessageSliceCmd, len(logs))
	for i, l := range logs {
		from := "-"
		if m.backwards {
			from = "+"
		}
		if l.from != "" {
			from = l.from
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
		return m.store.db.Explain(err)
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
func (m *merge) next(ctx context.Context) (record.Event, bool, error) {
	for len(m.rest) == 0 {
		if len(m.logs) == 0 {
			return record.Event{}, false, nil
		}
		if err := m.take(ctx); err != nil {
			return record.Event{}, false, err
		}
	}
	e := m.rest[0]
	m.rest = m.rest[1:]
	if m.place.part++; m.backwards {
		m.place.part = len(m.rest)
	}
	return e, true, nil
}

// take reads the next entry of all streams into rest.
func (m *merge) take(ctx context.Context) error {
	l := m.logs[0]
	entry := l.page[0]
	e, err := record.ParseEvent(l.object, entry.Values)
	if err != nil {
		return err
	}
	if changes, _ := entry.Values["c"].(string); changes != "" {
		if e.Changes, err = m.changes(ctx, l.object, changes); err != nil {
			return err
		}
	}
	m.rest, m.place = eachOf(e), auditPlace{entry: entry.ID, part: -1, log: l.name}
	if m.backwards {
		slices.Reverse(m.rest)
	}
	if m.skip.entry == entry.ID && m.skip.log == l.name {
		m.rest = m.rest[max(len(m.rest)-m.skip.part, 0):]
	}
	if len(l.page) == 1 && !l.ended {
		err = m.read(ctx, m.logs[:1])
	} else {
		l.page = l.page[1:]
		err = l.look()
	}
	if err != nil {
		return err
	}
	if len(l.page) == 0 {
		heap.Pop(m)
	} else {
		heap.Fix(m, 0)
	}
	return nil
}

func (m *merge) changes(ctx context.Context, o record.ObjectType, text string) ([]record.Change, error) {
	if m.schemas[o] == nil {
		schema, err := m.store.Schema(ctx, o)
		if err != nil {
			return nil, err
		}
		if m.schemas == nil {
			m.schemas = map[record.ObjectType]*record.Schema{}
		}
		m.schemas[o] = schema
	}
	return record.ParseChanges(m.schemas[o], text)
}

// eachOf is an event for each record of an entry that stands for several deletions or restores; otherwise the event.
func eachOf(e record.Event) []record.Event {
	if len(e.IDs) < 2 || e.Op != "delete" && e.Op != "restore" {
		return []record.Event{e}
	}
	events := make([]record.Event, len(e.IDs))
	for i := range events {
		events[i] = e
		events[i].IDs = e.IDs[i : i+1 : i+1]
	}
	return events
}

// auditPlace says where an event stands: its stream, its entry there, and which event of that entry it is.
type auditPlace struct {
	entry string
	part  int
	log   string
}

// String is the place as text for callers: <entry>.<part>@<stream>.
func (p auditPlace) String() string {
	return p.entry + "." + strconv.Itoa(p.part) + "@" + p.log
}

var auditPlaceText = regexp.MustCompile(`^([0-9]{1,15})-([0-9]{1,15})\.([0-9]{1,6})@([a-z0-9_/-]*)$`)

// goBehind lets a merge that reads backwards begin behind a place. Streams come in one order where instants are equal.
func (m *merge) goBehind(text string) error {
	parts := auditPlaceText.FindStringSubmatch(text)
	if parts == nil {
		return fmt.Errorf("%q: %w", text, ErrPlace)
	}
	ms, entry := parts[1], parts[1]+"-"+parts[2]
	part, err := strconv.Atoi(parts[3])
	if err != nil {
		return fmt.Errorf("%q: %w", text, ErrPlace)
	}
	here := slices.IndexFunc(m.logs, func(l *auditLog) bool { return l.name == parts[4] })
	if here < 0 {
		return fmt.Errorf("%q: %w", text, ErrPlace)
	}
	for i, l := range m.logs {
		switch {
		case i < here:
			l.from = ms // with whatever stands behind the hyphen
		case i > here:
			l.from = "(" + ms + "-0"
		case part == 0:
			l.from = "(" + entry
		default:
			l.from = entry
			m.skip = auditPlace{entry: entry, part: part, log: l.name}
		}
	}
	return nil
}
