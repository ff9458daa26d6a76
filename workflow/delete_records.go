package workflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// UndeletableError refuses a deletion because of ids that cannot be deleted. Nothing was deleted.
type UndeletableError struct {
	Object    record.ObjectType
	Asked     int                             // how many ids were given
	Unknown   []record.ID                     // no such record, sorted
	Deleted   []record.ID                     // in the recycle bin already, sorted
	Held      []crmstore.Hold                 // on legal hold, by id
	Elsewhere map[record.ID]record.ObjectType // of Unknown, those that are ids of another object type
}

// shownUndeletable bounds how many ids of each kind an error names.
const shownUndeletable = 10

// Error names the ids and what is wrong with each; of many the first few.
func (e *UndeletableError) Error() string {
	var parts []string
	say := func(ids []record.ID, word func(record.ID) string) {
		for _, id := range ids[:min(len(ids), shownUndeletable)] {
			parts = append(parts, word(id))
		}
		if more := len(ids) - shownUndeletable; more > 0 {
			parts = append(parts, fmt.Sprintf("and %d more", more))
		}
	}
	say(e.Unknown, func(id record.ID) string {
		text := fmt.Sprintf("there is no %s %s", e.Object, id)
		if other, ok := e.Elsewhere[id]; ok {
			text += fmt.Sprintf(", but there is a %s %s", other, id)
		}
		return text
	})
	say(e.Deleted, func(id record.ID) string { return fmt.Sprintf("%s %s is in the recycle bin already", e.Object, id) })
	if len(e.Held) > 0 {
		parts = append(parts, (&crmstore.HeldError{Object: e.Object, Holds: e.Held}).Error())
	}
	return "nothing was deleted: " + strings.Join(parts, "; ")
}

// idsAtOnce is how many records are read at a time to see whether they are there.
const idsAtOnce = 4096

// Deletable is the ids, sorted and each once, if all of them are live records of the object type, else an
// *UndeletableError. With skip, those that are unknown or deleted already are left out instead.
func Deletable(ctx context.Context, store *crmstore.Store, o record.ObjectType, ids []record.ID, skip bool) ([]record.ID, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	live := make([]record.ID, 0, len(ids))
	bad := UndeletableError{Object: o, Asked: len(ids)}
	for part := range slices.Chunk(ids, idsAtOnce) {
		recs, err := store.Get(ctx, o, part)
		if err != nil {
			return nil, err
		}
		at := 0
		for _, id := range part {
			switch {
			case at == len(recs) || recs[at].ID != id:
				bad.Unknown = append(bad.Unknown, id)
				continue
			case recs[at].Deletion != nil:
				bad.Deleted = append(bad.Deleted, id)
			default:
				live = append(live, id)
			}
			at++
		}
	}
	for part := range slices.Chunk(live, idsAtOnce) {
		held, err := store.HoldsOf(ctx, o, part)
		if err != nil {
			return nil, err
		}
		bad.Held = append(bad.Held, held...)
	}
	live = slices.DeleteFunc(live, func(id record.ID) bool {
		return slices.ContainsFunc(bad.Held, func(h crmstore.Hold) bool { return h.ID == id })
	})
	if skip || len(bad.Unknown)+len(bad.Deleted)+len(bad.Held) == 0 {
		return live, nil
	}
	var err error
	if bad.Elsewhere, err = elsewhere(ctx, store, o, bad.Unknown[:min(len(bad.Unknown), shownUndeletable)]); err != nil {
		return nil, err
	}
	return nil, &bad
}

// elsewhere finds ids among the records of the other object types.
func elsewhere(ctx context.Context, store *crmstore.Store, o record.ObjectType, ids []record.ID) (map[record.ID]record.ObjectType, error) {
	found := map[record.ID]record.ObjectType{}
	objects, err := store.ObjectTypes(ctx)
	if err != nil {
		return nil, err
	}
	for _, other := range objects {
		if other == o || len(ids) == 0 {
			continue
		}
		recs, err := store.Get(ctx, other, ids)
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			if _, taken := found[r.ID]; !taken && r.Deletion == nil {
				found[r.ID] = other
			}
		}
	}
	return found, nil
}

// DeleteRecord soft-deletes one live record, without a run: `restore` brings it back. Errors: *UndeletableError, a
// *RefusedError when the account's ceiling leaves no room and the user is no super admin, crmstore.ErrConflict when others keep
// changing it.
func DeleteRecord(ctx context.Context, store *crmstore.Store, o record.ObjectType, id record.ID, c record.Cause, at time.Time) error {
	if _, err := Deletable(ctx, store, o, []record.ID{id}, false); err != nil {
		return err
	}
	done, err := setOneAside(ctx, store, o, id, at)
	if err != nil {
		return err
	}
	if err := deleteRecord(ctx, store, o, id, c, at); err != nil {
		return errors.Join(err, store.Settle(context.WithoutCancel(ctx), done, at)) // gives the room back
	}
	done.Deleted = 1
	return store.Settle(ctx, done, at)
}

// setOneAside sets the deletion of one record by hand aside, so that many of them do not pass the account's ceiling. It returns how
// the deletion is counted once it is done. A super admin's is counted only.
func setOneAside(ctx context.Context, store *crmstore.Store, o record.ObjectType, id record.ID, at time.Time) (crmstore.Settlement, error) {
	fail := func(err error) (crmstore.Settlement, error) {
		return crmstore.Settlement{}, fmt.Errorf("delete %s %s: %w", o, id, err)
	}
	lifts, err := store.May(ctx, "", crmstore.IsSuperAdmin)
	if err != nil {
		return fail(err)
	}
	if lifts {
		return crmstore.Settlement{Object: o}, nil
	}
	counts, err := store.Count(ctx, o)
	if err != nil {
		return fail(err)
	}
	a, err := readAllowance(ctx, store, &definition.Definition{Object: o}, counts.Live, at)
	if err != nil {
		return fail(err)
	}
	one := "one/" + id.String()
	room, err := store.Reserve(ctx, crmstore.Reservation{Object: o, Run: one, Records: 1, Most: -1, MostAll: a.account.Ceiling(a.live)}, at)
	if err != nil {
		return fail(err)
	}
	if !room.Granted {
		a.approved = true
		return crmstore.Settlement{}, &RefusedError{
			Reason:  RefusedCeiling,
			Message: "nothing was deleted: " + cmp.Or(a.over(plan{count: 1}).text(), "other deletions took the room that was left"),
			Help:    "a super admin can delete it, or raise the ceiling with: workflow account set " + crmstore.SettingPerDay + " N",
		}
	}
	return crmstore.Settlement{Object: o, Run: one, Final: true}, nil
}

// deleteRecord is DeleteRecord once there is room.
func deleteRecord(ctx context.Context, store *crmstore.Store, o record.ObjectType, id record.ID, c record.Cause, at time.Time) error {
	partitions, err := store.Partitions(ctx)
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", o, id, err)
	}
	order := crmstore.ArchiveOrder{Object: o, Cause: c, At: at}
	for range maxTries {
		if _, err := Deletable(ctx, store, o, []record.ID{id}, false); err != nil {
			return err
		}
		recs, err := store.Get(ctx, o, []record.ID{id})
		if err != nil {
			return fmt.Errorf("delete %s %s: %w", o, id, err)
		}
		if len(recs) == 0 || recs[0].Deletion != nil {
			continue // it went between the two reads; the first one says it better
		}
		target := crmstore.Target{ID: id, Slot: recs[0].Slot, Version: recs[0].Version}
		out, err := store.Archive(ctx, order, []crmstore.Archive{{Partition: id.Partition(partitions), Targets: []crmstore.Target{target}}})
		if err != nil {
			return fmt.Errorf("delete %s %s: %w", o, id, err)
		}
		if out[0][0] == crmstore.Archived {
			return nil
		}
	}
	return fmt.Errorf("delete %s %s: %w", o, id, record.ErrConflict)
}
