package crmstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Target is a record as it was when it was tested.
type Target struct {
	ID      record.ID
	Slot    uint32
	Version uint64
	Reason  string // goes into Cause.Reason of this record; "" = the order's
}

// Archive is a soft delete of records of one partition.
type Archive struct {
	Partition int
	Targets   []Target
}

// ArchiveOrder is what all batches of one archive have in common.
type ArchiveOrder struct {
	Object record.ObjectType
	Cause  record.Cause
	At     time.Time
	Enroll string // workflow whose enrollment is finished in the same script; "" = none
	Fence  uint64 // with Cause.Run: refused with ErrFenced when a higher one has been seen in the partition, or the run has no matches there; 0 = none
	Total  int64  // of an order by hand that is carried out in several calls: how many records it is about; 0 = this call's
}

// permissions is what the acting user needs for the order: a workflow's needs manage-workflows, another one that is
// about more than one record bulk-delete.
func (o *ArchiveOrder) permissions(batches []Archive) []Permission {
	if o.Cause.Workflow != "" {
		return []Permission{CanDelete, CanManageWorkflows}
	}
	records := 0
	for _, b := range batches {
		records += len(b.Targets)
	}
	if max(o.Total, int64(records)) > 1 {
		return []Permission{CanDelete, CanBulkDelete}
	}
	return []Permission{CanDelete}
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
	OnHold                         // it is on legal hold
)

// targetsPerCall is the most records that one archive or restore script takes, so that it ends soon.
const targetsPerCall = 64

var scriptArchive = mustLuaScript("archive")

// Archive soft-deletes batches, pipelined over partitions; a batch of more than 64 targets takes several scripts.
// Per record, all in one script: version compared, header rewritten with the deletion facts, archived-at cell set,
// audit event, counters, enrollment finished. A record that has an enrollment of the very run (Cause.Run) is
// AlreadyByRun, even when it was restored since: so a run that is repeated after a crash deletes nothing twice.
// Outcomes are in the order of batches and targets. With an error (ErrFenced or a failed machine) some batches may
// have been carried out. So with a *LostError: of a partition whose enrollments in the workflow are not all there,
// nothing is deleted. It needs delete, and manage-workflows for a workflow's order (Cause.Workflow) or bulk-delete
// for more than one record by hand.
func (s *Store) Archive(ctx context.Context, o ArchiveOrder, batches []Archive) ([][]ArchiveOutcome, error) {
	if err := s.require(ctx, o.Object, o.permissions(batches)...); err != nil {
		return nil, err
	}
	o.Cause = s.by(o.Cause)
	a := archiver{store: s, order: o, enrollment: ""}
	if o.Enroll != "" {
		a.enrollment = (&record.Enrollment{State: record.Completed, Revision: o.Cause.Revision, Run: o.Cause.Run}).Encode()
	}
	all := make([][]ArchiveOutcome, len(batches))
	var parts []archivePart
	for i, b := range batches {
		all[i] = make([]ArchiveOutcome, len(b.Targets))
		for at := 0; at < len(b.Targets); at += targetsPerCall {
			end := min(at+targetsPerCall, len(b.Targets))
			parts = append(parts, archivePart{b.Partition, b.Targets[at:end], all[i][at:end]})
		}
	}
	err := redisdb.InWindows(ctx, len(parts), redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		return a.send(ctx, parts[from:to])
	})
	if err == nil && o.Cause.Run != "" && o.Enroll == "" {
		err = a.recogniseOwn(ctx, parts)
	}
	if err != nil {
		return nil, fmt.Errorf("delete %s: %w", o.Object.Plural(), err)
	}
	return all, nil
}

// archiver carries one Archive through.
type archiver struct {
	store      *Store
	order      ArchiveOrder
	enrollment string // as it is stored; "" = none
}

// archivePart is what one script takes on.
type archivePart struct {
	partition int
	targets   []Target
	outcomes  []ArchiveOutcome
}

func (a *archiver) send(ctx context.Context, parts []archivePart) error {
	calls := make([]redisdb.Call, len(parts))
	for i := range parts {
		var err error
		if calls[i], err = a.call(&parts[i]); err != nil {
			return err
		}
	}
	replies, err := a.store.db.RunAll(ctx, calls)
	if err != nil {
		return err
	}
	for i, reply := range replies {
		if reply == int64(-1) {
			return record.ErrFenced
		}
		if reply == int64(-2) {
			return cmp.Or(a.store.lost(ctx, a.order.Object, enrollmentCounter(a.order.Enroll)), record.ErrConflict)
		}
		text, err := redisdb.Outcomes(reply, len(parts[i].targets))
		if err != nil {
			return err
		}
		for j := range text {
			parts[i].outcomes[j] = ArchiveOutcome(text[j] - '0')
		}
	}
	return nil
}

func (a *archiver) call(part *archivePart) (redisdb.Call, error) {
	keys := a.store.partition(a.order.Object, part.partition)
	targets := make([]byte, 0, 18*len(part.targets))
	args := make([]any, 6, 9)
	numbers := make(map[string]int, 4) // of the facts, by reason
	for _, t := range part.targets {
		n, ok := numbers[t.Reason]
		if !ok {
			cause := a.order.Cause
			cause.From = "" // for the events alone
			if t.Reason != "" {
				cause.Reason = t.Reason
			}
			facts := record.AppendFacts(nil, a.order.At, cause)
			if len(facts) > record.MaxFacts {
				return redisdb.Call{}, fmt.Errorf("reason for %s %s: its facts take %d bytes, want at most %d", a.order.Object, t.ID, len(facts), record.MaxFacts)
			}
			n = len(numbers)
			numbers[t.Reason] = n
			args = append(args, facts)
		}
		id := t.ID.Bytes()
		targets = append(targets, id[:]...)
		targets = binary.LittleEndian.AppendUint64(targets, t.Version)
		targets = binary.LittleEndian.AppendUint16(targets, uint16(n))
	}
	fence := ""
	if a.order.Fence > 0 && a.order.Cause.Run != "" {
		fence = strconv.FormatUint(a.order.Fence, 10)
	}
	cell := binary.LittleEndian.AppendUint64(nil, record.TimeCell(a.order.At.UnixMilli()))
	args[0], args[1], args[2], args[3], args[4], args[5] = a.store.wall(), cell, a.enrollment, fence, record.FromFact(a.order.Cause.From), targets
	return redisdb.Call{Script: scriptArchive, Keys: []string{
		keys.rec(), keys.arch(), keys.cnt(), keys.log(),
		keys.enr(a.order.Enroll), keys.run(a.order.Cause.Run), keys.hold(),
	}, Args: args}, nil
}

// recogniseOwn finds the records in the bin that this very run put there. With an enrollment the script knows by
// itself; without, the deletion facts tell.
func (a *archiver) recogniseOwn(ctx context.Context, parts []archivePart) error {
	var want []record.PartitionIDs
	var places []*ArchiveOutcome
	for _, part := range parts {
		group := record.PartitionIDs{Partition: part.partition}
		for j, outcome := range part.outcomes {
			if outcome == AlreadyArchived {
				group.IDs = append(group.IDs, part.targets[j].ID)
				places = append(places, &part.outcomes[j])
			}
		}
		if len(group.IDs) > 0 {
			want = append(want, group)
		}
	}
	err := a.store.readRecords(ctx, a.order.Object, want, func(_ int, recs []*record.Record) error {
		for j, r := range recs {
			if r != nil && r.Deletion != nil && r.Deletion.Run == a.order.Cause.Run {
				*places[j] = AlreadyByRun
			}
		}
		places = places[len(recs):]
		return nil
	})
	if errors.Is(err, record.ErrDamaged) {
		return nil // they stay AlreadyArchived
	}
	return err
}
