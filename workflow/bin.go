package workflow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
)

// BinFilter says which records in the recycle bin are meant. Zero fields leave nothing out.
type BinFilter struct {
	Object   record.ObjectType // not empty
	Run      string            // deleted by this run
	Workflow string            // deleted by this workflow
	User     string            // deleted by this user
	Since    time.Time         // deleted at this instant or later
	Until    time.Time         // deleted before this instant
	Where    *triggers.Matcher // of a trigger on Object, which is true for the record as it was when it was deleted
}

// Deleted is one record in the recycle bin.
type Deleted struct {
	ID record.ID
	At time.Time // when it was deleted
}

// binAtOnce is how many records in the bin are looked at together.
const binAtOnce = 4096

// InBin hands the records in the recycle bin that the filter means to fn, by partition. Only a filter on more than the
// time reads the records; without one their archived-at cells say all. A *crmstore.DamagedError names in the end the records in the
// bin that could not be read and are left out.
func InBin(ctx context.Context, store *crmstore.Store, f BinFilter, fn func([]Deleted) error) error {
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return fmt.Errorf("read the recycle bin: %w", err)
	}
	reader := binReader{store: store, filter: f, byCells: f.Run+f.Workflow+f.User == "" && f.Where == nil, fn: fn}
	if f.Where != nil {
		reader.filter.Where = f.Where.InBin()
	}
	err = store.ReadColumns(ctx, f.Object, 0, partitions, crmstore.Want{IDs: true}, func(c *crmstore.Columns) error {
		reader.gather(c)
		if reader.gathered < binAtOnce {
			return nil
		}
		return reader.flush(ctx)
	})
	if err == nil {
		err = reader.flush(ctx)
	}
	if err == nil && len(reader.damaged) > 0 {
		return &record.DamagedError{Object: f.Object, IDs: reader.damaged}
	}
	if err != nil {
		return fmt.Errorf("read the recycle bin: %w", err)
	}
	return nil
}

// binReader reads through the bin once.
type binReader struct {
	store   *crmstore.Store
	filter  BinFilter
	byCells bool // nothing is asked that the cells do not say
	fn      func([]Deleted) error

	waiting  []record.PartitionIDs // in the bin, and deleted in the filter's time
	at       [][]time.Time         // when, of each of waiting
	gathered int
	damaged  []record.ID // could not be read
}

// gather takes up a partition's records that were deleted in the filter's time.
func (l *binReader) gather(c *crmstore.Columns) {
	part, times := record.PartitionIDs{Partition: c.Partition}, []time.Time(nil)
	for i := 0; i+8 <= len(c.Archived) && i+8 <= len(c.IDs); i += 8 {
		cell := binary.LittleEndian.Uint64(c.Archived[i:])
		id := record.IDFromBytes(c.IDs[i:])
		if cell == 0 || cell == record.FreeCell || id == 0 {
			continue
		}
		at := record.CellTime(cell)
		if at.Before(l.filter.Since) || !l.filter.Until.IsZero() && !at.Before(l.filter.Until) {
			continue
		}
		part.IDs, times = append(part.IDs, id), append(times, at)
	}
	if len(part.IDs) > 0 {
		l.waiting, l.at = append(l.waiting, part), append(l.at, times)
		l.gathered += len(part.IDs)
	}
}

// flush hands over those of the gathered records that the filter means.
func (l *binReader) flush(ctx context.Context) error {
	var found []Deleted
	var err error
	next := 0
	take := func(recs []*record.Record, verdicts []triggers.Verdict) {
		for i, r := range recs {
			if r != nil && l.means(r) && (i >= len(verdicts) || verdicts[i].Enrolls()) {
				found = append(found, Deleted{r.ID, l.at[next][i]})
			}
		}
		next++
	}
	switch {
	case len(l.waiting) == 0:
	case l.byCells:
		for i, part := range l.waiting {
			for j, id := range part.IDs {
				found = append(found, Deleted{id, l.at[i][j]})
			}
		}
	case l.filter.Where == nil:
		err = l.store.ReadRecords(ctx, l.filter.Object, l.waiting, func(_ int, recs []*record.Record) error {
			take(recs, nil)
			return nil
		})
	default:
		err = l.filter.Where.Test(ctx, l.store, l.filter.Object, l.waiting, func(_ int, recs []*record.Record, v []triggers.Verdict) error {
			take(recs, v)
			return nil
		})
	}
	l.waiting, l.at, l.gathered = l.waiting[:0], l.at[:0], 0
	if damaged, ok := errors.AsType[*record.DamagedError](err); ok {
		l.damaged, err = append(l.damaged, damaged.IDs...), nil // their deletion cannot be read
	}
	if err != nil || len(found) == 0 {
		return err
	}
	return l.fn(found)
}

// means reports whether the filter's run, workflow and user are those of the record's deletion.
func (l *binReader) means(r *record.Record) bool {
	d, f := r.Deletion, &l.filter
	if d == nil {
		return false // restored since
	}
	return (f.Run == "" || d.Run == f.Run) && (f.Workflow == "" || d.Workflow == f.Workflow) && (f.User == "" || d.Actor == f.User)
}

// RestoreReport says what a restore did.
type RestoreReport struct {
	Restored    int64
	NotRestored []crmstore.RestoreResult
}

// Restore brings records back, some thousands at a time. A batch that was begun is finished when the context ends; what
// is restored then stays so, and the same call goes on from there.
func (r *Runner) Restore(ctx context.Context, order crmstore.RestoreOrder, ids []record.ID) (RestoreReport, error) {
	var report RestoreReport
	done := int64(0)
	for part := range slices.Chunk(ids, binAtOnce) {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		results, err := r.Store.Restore(context.WithoutCancel(ctx), order, part)
		if err != nil {
			return report, err
		}
		for _, res := range results {
			if res.Outcome == crmstore.Restored {
				report.Restored++
			} else {
				report.NotRestored = append(report.NotRestored, res)
			}
		}
		if done += int64(len(part)); r.Progress != nil {
			r.Progress("restore", done, int64(len(ids)))
		}
	}
	return report, nil
}

// Gone counts the records that the workflow's runs of a time deleted and that cannot be restored any more, because they
// were purged or deleted permanently since. Runs that are older than their matches are kept count with all they deleted.
func Gone(ctx context.Context, store *crmstore.Store, name string, since, until time.Time) (int64, error) {
	runs, err := store.Runs(ctx, crmstore.RunFilter{Workflow: name})
	if err != nil {
		return 0, err
	}
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return 0, err
	}
	gone := int64(0)
	for _, run := range runs {
		if run.Deleted == 0 || run.Beat.Before(since) || !until.IsZero() && !run.StartedAt.Before(until) {
			continue
		}
		n, err := goneOf(ctx, store, run, partitions)
		if err != nil {
			return 0, fmt.Errorf("count what run %s deleted: %w", run.ID, err)
		}
		gone += n
	}
	return gone, nil
}

// goneOf counts what one run deleted and what is not there any more.
func goneOf(ctx context.Context, store *crmstore.Store, run crmstore.Run, partitions int) (int64, error) {
	known, gone := 0, int64(0)
	for from := 0; from < partitions; from += rangePartitions {
		saved, err := store.Matches(ctx, run.Object, run.ID, from, min(from+rangePartitions, partitions))
		if err != nil {
			return 0, err
		}
		known += len(saved)
		want := make([]record.PartitionIDs, len(saved))
		for i, m := range saved {
			want[i] = record.PartitionIDs{Partition: m.Partition, IDs: m.IDs}
		}
		err = store.ReadRecords(ctx, run.Object, want, func(_ int, recs []*record.Record) error {
			for _, r := range recs {
				if r == nil {
					gone++
				}
			}
			return nil
		})
		if damaged, ok := errors.AsType[*record.DamagedError](err); ok {
			gone, err = gone-int64(len(damaged.IDs)), nil
		}
		if err != nil {
			return 0, err
		}
	}
	if known == 0 {
		return run.Deleted, nil
	}
	return min(gone, run.Deleted), nil
}
