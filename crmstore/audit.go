package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// AuditFilter narrows Audit; zero fields do not.
type AuditFilter struct {
	Object   record.ObjectType // "" = all, and the account's own events
	Record   record.ID
	User     string // who did it
	Run      string
	Workflow string
	Ops      []string  // any of them
	Since    time.Time // events whose At is not before it …
	Until    time.Time // … and before this one
	Limit    int       // the newest so many
	After    string    // with a Limit: those that come next, further back, after the page that ended with this [AuditPage.Next]
}

func (f *AuditFilter) lets(e *record.Event) bool {
	return (f.Record == 0 || slices.Contains(e.IDs, f.Record)) &&
		(f.User == "" || e.Actor == f.User) && (f.Run == "" || e.Run == f.Run) && (f.Workflow == "" || e.Workflow == f.Workflow) &&
		(len(f.Ops) == 0 || slices.Contains(f.Ops, e.Op)) &&
		(f.Since.IsZero() || !e.At.Before(f.Since)) && (f.Until.IsZero() || e.At.Before(f.Until))
}

// Audit calls fn for events, oldest first: in the order in which they were recorded, which is not that of their At
// when a run was given an instant in the past. With a Limit these are the newest ones. Memory stays bounded by the
// number of partitions (and the Limit), however many events there are.
func (s *Store) Audit(ctx context.Context, f AuditFilter, fn func(record.Event) error) error {
	if f.Limit > 0 {
		page, err := s.AuditPage(ctx, f)
		for i := 0; i < len(page.Events) && err == nil; i++ {
			err = fn(page.Events[i])
		}
		return err
	}
	m, err := s.openAudit(ctx, f)
	if err != nil {
		return err
	}
	for {
		e, ok, err := m.next(ctx)
		if err != nil {
			return fmt.Errorf("read audit log: %w", err)
		}
		if !ok {
			return nil
		}
		if f.lets(&e) {
			e.Narrow(f.Record)
			if err := fn(e); err != nil {
				return err
			}
		}
	}
}

// AuditPage is one page of the audit log.
type AuditPage struct {
	Events []record.Event `json:"events"`         // oldest first
	Next   string         `json:"next,omitempty"` // for [AuditFilter.After]; "" = nothing is further back
}

// ErrPlace says that a page cannot be continued since the place where it ended is not in what is asked for.
var ErrPlace = errors.New("not a place in these events (it is given with each page of the same question)")

// AuditPage reads the newest events, or with After the page behind an earlier one. What is recorded between two pages
// moves nothing: no event comes twice or is left out.
func (s *Store) AuditPage(ctx context.Context, f AuditFilter) (AuditPage, error) {
	page := AuditPage{Events: []record.Event{}}
	if f.Limit < 1 {
		return page, fmt.Errorf("read audit log: a page of %d events: want 1 or more", f.Limit)
	}
	m, err := s.openAudit(ctx, f)
	if err != nil {
		return page, err
	}
	last := ""
	for {
		e, ok, err := m.next(ctx)
		if err != nil {
			return page, fmt.Errorf("read audit log: %w", err)
		}
		if ok && !f.lets(&e) {
			continue
		}
		if ok && len(page.Events) == f.Limit {
			page.Next = last
			ok = false
		}
		if !ok {
			slices.Reverse(page.Events)
			return page, nil
		}
		e.Narrow(f.Record)
		page.Events = append(page.Events, e)
		last = m.place.String()
	}
}

// requireAudit: events of records need view of their object type, since updates hold values. Those of the account
// itself every user who may view everything may read.
func (s *Store) requireAudit(ctx context.Context, f AuditFilter) error {
	if f.Object != "" {
		return s.require(ctx, f.Object, CanView)
	}
	objects, err := s.objectTypes(ctx)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := s.require(ctx, o, CanView); err != nil {
			return err
		}
	}
	return nil
}

// openAudit is the merge of all streams that the filter may find events in, at its first event.
func (s *Store) openAudit(ctx context.Context, f AuditFilter) (*merge, error) {
	if err := s.requireAudit(ctx, f); err != nil {
		return nil, err
	}
	logs, err := s.auditLogs(ctx, f)
	if err != nil {
		return nil, err
	}
	m := &merge{store: s, backwards: f.Limit > 0, logs: logs}
	if f.After != "" {
		if err := m.goBehind(f.After); err != nil {
			return nil, err
		}
	}
	if err := m.open(ctx); err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return m, nil
}

// auditLogs are the streams that may hold what the filter lets through.
func (s *Store) auditLogs(ctx context.Context, f AuditFilter) ([]*auditLog, error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	var logs []*auditLog
	objects := []record.ObjectType{f.Object}
	if f.Object == "" {
		if objects, err = s.objectTypes(ctx); err != nil {
			return nil, err
		}
		if f.Record == 0 {
			logs = append(logs, &auditLog{key: s.keyAccountLog(), name: "account"})
		}
	}
	for _, o := range objects {
		if f.Record != 0 {
			logs = append(logs, s.auditLog(o, f.Record.Partition(partitions)))
			continue
		}
		for p := range partitions {
			logs = append(logs, s.auditLog(o, p))
		}
	}
	for i, log := range logs {
		log.place = i
	}
	return logs, nil
}

func (s *Store) auditLog(o record.ObjectType, p int) *auditLog {
	return &auditLog{key: s.partition(o, p).log(), name: string(o) + "/" + strconv.Itoa(p), object: o}
}
