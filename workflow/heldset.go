package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// HeldSet is the records that a run would delete if it went on: the matches that it saved, and what changed since.
type HeldSet struct {
	Run        crmstore.Run
	Definition *definition.Definition // of the run's own revision, or of what a deletion by hand was asked for
	Records    []record.ID            // matches without an outcome, sorted; an approval acts on these alone
	Changed    []record.ID            // of these, those that no longer match: they stay; sorted
	OnHold     []record.ID            // of Records, those on legal hold: they stay; sorted
	Gone       []record.ID            // of these, those that are no longer live; sorted
	Current    crmstore.Workflow      // the workflow as it is now; zero for a deletion by hand
	Superseded bool                   // Current has another revision than the run
	NotCurrent []record.ID            // of Records, those that the current revision would not enroll at the run's instant; nil unless Superseded
	Broken     string                 // why the current revision cannot be compared; "" = it was
}

// MakeHeldSet reads the records that a run would delete if it went on. It writes nothing, and needs view of the run's
// object. A run that has not saved its matches yet has none. Errors: crmstore.ErrNotFound, *FindingsError when the run's own
// revision no longer loads.
func MakeHeldSet(ctx context.Context, store *crmstore.Store, id string) (*HeldSet, error) {
	run, err := store.Run(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("look into run %s: %w", id, err)
	}
	h := &HeldSet{Run: run}
	parts, err := openMatchesOf(ctx, store, run)
	if err != nil {
		return nil, fmt.Errorf("look into run %s: %w", id, err)
	}
	h.Records = appendIDs(nil, parts)
	slices.Sort(h.Records)
	holds, err := store.HoldsOf(ctx, run.Object, h.Records)
	if err != nil {
		return nil, fmt.Errorf("look into run %s: %w", id, err)
	}
	for _, hold := range holds {
		h.OnHold = append(h.OnHold, hold.ID)
	}
	slices.Sort(h.OnHold)
	load := loadWorkflow
	if run.Kind == crmstore.RunDelete {
		load = loadByHand
	}
	if h.Definition, err = load(ctx, store.AsSystem(), run); err != nil {
		return nil, err
	}
	err = h.test(ctx, store, h.Definition, run.Now, parts, func(id record.ID, live, enrolls bool) {
		switch {
		case !live:
			h.Gone = append(h.Gone, id)
		case !enrolls:
			h.Changed = append(h.Changed, id)
		}
	})
	if err == nil && run.Kind != crmstore.RunDelete {
		err = h.compare(ctx, store, parts)
	}
	if err != nil {
		return nil, fmt.Errorf("look into run %s: %w", id, err)
	}
	slices.Sort(h.Gone)
	slices.Sort(h.Changed)
	return h, nil
}

// compare finds the records that the workflow's current revision would not enroll, if the run has another revision.
func (h *HeldSet) compare(ctx context.Context, store *crmstore.Store, parts []record.PartitionIDs) error {
	var err error
	if h.Current, err = store.Workflow(ctx, h.Run.Workflow); err != nil {
		return err
	}
	if h.Superseded = h.Current.Revision != h.Run.Revision; !h.Superseded {
		return nil
	}
	current, err := LoadRevision(ctx, store, h.Current.Name, h.Current.Revision)
	if findings, ok := errors.AsType[*FindingsError](err); ok {
		h.Broken = findings.Error()
		return nil
	}
	if err != nil {
		return err
	}
	err = h.test(ctx, store, current, h.Run.Now, parts, func(id record.ID, _, enrolls bool) {
		if !enrolls {
			h.NotCurrent = append(h.NotCurrent, id)
		}
	})
	slices.Sort(h.NotCurrent)
	return err
}

// heldAtOnce is how many records of a held set are read at a time.
const heldAtOnce = 5000

// test calls fn for each record: whether it is live, and whether the definition enrolls it at an instant.
func (h *HeldSet) test(ctx context.Context, store *crmstore.Store, d *definition.Definition, now time.Time, parts []record.PartitionIDs, fn func(id record.ID, live, enrolls bool)) error {
	matcher, err := d.Trigger.At(now)
	if err != nil {
		return err
	}
	for len(parts) > 0 {
		n, total := 0, 0
		for n < len(parts) && total < heldAtOnce {
			total += len(parts[n].IDs)
			n++
		}
		batch := parts[:n]
		parts = parts[n:]
		next := 0
		err := matcher.Test(ctx, store, d.Object, batch, func(_ int, recs []*record.Record, verdicts []triggers.Verdict) error {
			for j, id := range batch[next].IDs {
				live := recs[j] != nil && recs[j].Deletion == nil
				fn(id, live, live && verdicts[j].Enrolls())
			}
			next++
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openMatchesOf are the run's matches that have no outcome yet.
func openMatchesOf(ctx context.Context, store *crmstore.Store, run crmstore.Run) ([]record.PartitionIDs, error) {
	if run.Stage == stageEvaluate {
		return nil, nil // the saved matches may not be all, and are replaced
	}
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	matches, err := store.Matches(ctx, run.Object, run.ID, 0, partitions)
	if err != nil {
		return nil, err
	}
	var open []record.PartitionIDs
	for _, m := range matches {
		if !m.Done && len(m.IDs) > 0 {
			open = append(open, record.PartitionIDs{Partition: m.Partition, IDs: m.IDs})
		}
	}
	deleted, err := completed(ctx, store.AsSystem(), run, open)
	if err != nil {
		return nil, err
	}
	for i := range open {
		open[i].IDs = slices.DeleteFunc(open[i].IDs, func(id record.ID) bool { return deleted[i][id] })
	}
	return slices.DeleteFunc(open, func(p record.PartitionIDs) bool { return len(p.IDs) == 0 }), nil
}
