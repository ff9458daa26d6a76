package crmstore

import (
	"context"
	"errors"
	"time"
)

var errStub = errors.New("crmstore: not built yet")

// ---- lists.go ----

// List is a static list: members are added and removed by hand and stay through delete and restore.
type List struct {
	Number int        `json:"number"`
	Name   string     `json:"name"`
	Object ObjectType `json:"object"`
}

// CreateList makes an empty static list; ErrExists.
func (s *Store) CreateList(ctx context.Context, o ObjectType, name string, c Cause, at time.Time) (List, error) {
	return List{}, errStub
}

// Lists returns the static lists of an object type by name.
func (s *Store) Lists(ctx context.Context, o ObjectType) (map[string]List, error) {
	return nil, errStub
}

// AddToList adds records (unknown ids are returned in missing); removing is the same with member false.
func (s *Store) SetMembers(ctx context.Context, l List, ids []ID, member bool, c Cause, at time.Time) (changed int, missing []ID, err error) {
	return 0, nil, errStub
}

// ---- audit.go ----

// Event is one audit event. IDs holds one record for a deletion or a restore, many for an import.
type Event struct {
	At     time.Time  `json:"at"`
	Op     string     `json:"op"` // delete, restore, create, update, import, publish, switch-on, switch-off, set-tier, …
	Object ObjectType `json:"object,omitempty"`
	IDs    []ID       `json:"ids,omitempty"`
	Detail string     `json:"detail,omitempty"`
	Cause
}

// AuditFilter narrows Audit; zero fields do not.
type AuditFilter struct {
	Object ObjectType // "" = all, and the account's own events
	Record ID
	Run    string
	Limit  int
}

// Audit calls fn for events, oldest first within a partition, then sorted by time over all.
func (s *Store) Audit(ctx context.Context, f AuditFilter, fn func(Event) error) error { return errStub }

// ---- doctor.go ----

// Problem is one thing Doctor found.
type Problem struct {
	Code     string `json:"code"` // column, slot, count, archived, email, list, enrollment, record
	Object   ObjectType
	ID       ID     `json:"id,omitempty"`
	Detail   string `json:"detail"`
	Repaired bool   `json:"repaired"`
}

// Doctor compares derived data with records over all partitions and repairs it when asked.
func (s *Store) Doctor(ctx context.Context, o ObjectType, repair bool, fn func(Problem) error) error {
	return errStub
}
