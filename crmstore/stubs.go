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

// ---- archive.go ----

// Target is a record as it was when it was tested.
type Target struct {
	ID      ID
	Slot    uint32
	Version uint64
	Reason  string // goes into Cause.Reason of this record
}

// Archive is a soft delete of records of one partition: one script.
type Archive struct {
	Partition int
	Targets   []Target
}

// ArchiveOrder is what all batches of one archive have in common.
type ArchiveOrder struct {
	Object ObjectType
	Cause  Cause
	At     time.Time
	Enroll string // workflow whose enrollment is finished in the same script; "" = none
	Fence  uint64 // with Cause.Run: refused with ErrFenced when a higher one has been seen in the partition
}

// ArchiveOutcome says what became of one target.
type ArchiveOutcome uint8

// The outcomes of an archive.
const (
	Archived        ArchiveOutcome = iota + 1
	AlreadyByRun                   // this run archived it before (a repeat after a crash); counts as done
	AlreadyArchived                // somebody else did
	VersionChanged                 // read and test it again
	Gone                           // no such record
)

// Archive soft-deletes batches, pipelined over partitions. Per record, all in one script: version compared, header
// rewritten with the deletion facts, archived-at cell set, one audit event, counters, enrollment finished.
// Outcomes are in the order of batches and targets.
func (s *Store) Archive(ctx context.Context, o ArchiveOrder, batches []Archive) ([][]ArchiveOutcome, error) {
	return nil, errStub
}

// RestoreOutcome says what became of one record to restore.
type RestoreOutcome uint8

// The outcomes of a restore.
const (
	Restored     RestoreOutcome = iota + 1
	NotArchived                 // live already
	NotThere                    // no such record (never was, or purged)
	EmailTaken                  // a live contact holds its e-mail: see Holder
	NotByThatRun                // OnlyRun was given and another run or person archived it
)

// RestoreResult is one record's result.
type RestoreResult struct {
	ID      ID
	Outcome RestoreOutcome
	Holder  ID
}

// RestoreOrder says why records are restored and narrows which.
type RestoreOrder struct {
	Object  ObjectType
	Cause   Cause
	At      time.Time
	OnlyRun string // restore only what this run archived; "" = any
}

// Restore brings records back exactly as they were, e-mail claim first; batched per partition. Results in order.
func (s *Store) Restore(ctx context.Context, o RestoreOrder, ids []ID) ([]RestoreResult, error) {
	return nil, errStub
}

// ---- enroll.go ----

// EnrollmentState is where a record stands in a workflow.
type EnrollmentState byte

// The enrollment states.
const (
	NotEnrolled EnrollmentState = 0
	Completed   EnrollmentState = 'c' // the actions were done
	Existing    EnrollmentState = 'x' // matched when a workflow with `existing: false` was published; never enrolls
)

// Enrollment is a record's enrollment in one workflow; the zero Enrollment means none.
type Enrollment struct {
	State    EnrollmentState
	Revision int
	Run      string
}

// Enrollments reads enrollments of a workflow, in the order asked.
func (s *Store) Enrollments(ctx context.Context, o ObjectType, workflow string, want []PartitionIDs) ([][]Enrollment, error) {
	return nil, errStub
}

// MarkExisting enrolls records as Existing, unless they have an enrollment already.
func (s *Store) MarkExisting(ctx context.Context, o ObjectType, workflow string, revision int, ids []PartitionIDs) error {
	return errStub
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
