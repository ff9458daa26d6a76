package crmstore

import (
	"context"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// examineErasures finds permanent deletions that were begun and not finished, and finishes them.
func (d *doctor) examineErasures(ctx context.Context) error {
	if d.object != record.Contact {
		return nil
	}
	ids, err := d.store.unfinished(ctx)
	if err != nil || len(ids) == 0 {
		return err
	}
	detail := "its permanent deletion was interrupted"
	if d.repair {
		finished, err := d.store.FinishErasures(ctx)
		if err != nil {
			return err
		}
		if why := finished.File.StillHeld(); why != "" {
			detail += "; Redis's append-only file still holds it: " + why + "; run: redis-cli BGREWRITEAOF"
		}
	}
	for _, id := range ids {
		p := Problem{Code: problemErasure, ID: id, Detail: detail, Repaired: d.repair}
		if err := d.report(p); err != nil {
			return err
		}
	}
	return nil
}

// compareTombs finds records that were deleted permanently and are there all the same. Who they are is for a person to
// find out: deleting one again is no repair.
func (x *examination) compareTombs() {
	for _, name := range x.tombs {
		if _, ok := x.body.records[name]; ok && len(name) == 8 {
			x.foundf(problemRecord, record.IDFromBytes(record.BytesOf(name)), "it was deleted permanently, and is there all the same")
		}
	}
}
