package workflow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// Review is what publishing or running a definition would do. Making one writes nothing.
type Review struct {
	Workflow string
	Object   record.ObjectType
	Now      time.Time

	Live            int64 // live records of the object type
	Evaluated       int64 // live records looked at
	Matched         int64 // a trigger is true
	Suppressed      int64 // of these, kept out by a suppression
	AlreadyEnrolled int64 // of the rest, enrolled before
	Damaged         int64 // could not be read, and so were not tested
	OnHold          int64 // of the rest, on legal hold
	Existing        int64 // of the rest, matching at publish of a workflow with `existing: false`: they will never be deleted
	WouldDelete     int64 // what remains
	RestoredBefore  int64 // of these, how many were in the recycle bin before, and restored
	DeletedBefore   int64 // of the others, those whose address belonged to a contact that was deleted

	Contacts    []record.ID     // the records that a run at Now would delete, sorted; WouldDelete of them
	OverLimit   string          // why the run would be held by its file's limits or as a repetition; "" = it would not
	OverCeiling string          // why it would be held by the account's ceiling, so that only a super admin could approve it; "" = it would not
	RoomFrom    time.Time       // when there is room for it in both, if nothing else is deleted until then; zero when that is not known
	Ceiling     int64           // how many records of the type the account may delete in 24 hours
	Lately      crmstore.Lately // what was deleted in the last 24 hours, which counts towards the limits

	Published  crmstore.Workflow // zero when there is none of this name
	Unfinished crmstore.Run      // its run that is not over, under way or held; zero when there is none
	Same       bool              // the file is the current revision, byte for byte, and asks the same lists
	Newly      []record.ID       // match now and did not match by the published revision, sorted
	NoLonger   []record.ID       // matched by the published revision and do not now, sorted

	Lists []ListSize // the lists that the triggers and suppressions ask, also through active ones, by name

	Approval ApprovalRules // who must approve a run that is held

	NextRuns []time.Time // the next three slots; fewer when there is no schedule
	Warnings diag.List
}

// MakeReview evaluates the definition at the instant now and compares it with the published revision.
// It only reads.
func MakeReview(ctx context.Context, store *crmstore.Store, d *definition.Definition, now time.Time) (*Review, error) {
	counts, err := store.Count(ctx, d.Object)
	if err != nil {
		return nil, fmt.Errorf("review workflow %s: %w", d.Name, err)
	}
	r := &Review{Workflow: d.Name, Object: d.Object, Now: now, Live: counts.Live}
	current, err := r.findPublished(ctx, store, d)
	if err != nil {
		return nil, fmt.Errorf("review workflow %s: %w", d.Name, err)
	}
	matched, err := r.evaluate(ctx, store, d)
	if err != nil {
		return nil, fmt.Errorf("review workflow %s: %w", d.Name, err)
	}
	if marksExisting(d, r.Published, r.Same) {
		r.Existing, r.Contacts = int64(len(r.Contacts)), nil
		r.RestoredBefore, r.DeletedBefore = 0, 0
	}
	r.WouldDelete = int64(len(r.Contacts))
	if err := r.limit(ctx, store, d); err != nil {
		return nil, fmt.Errorf("review workflow %s: %w", d.Name, err)
	}
	if current != nil {
		if err := r.compare(ctx, store, current, matched); err != nil {
			return nil, fmt.Errorf("review workflow %s: %w", d.Name, err)
		}
	}
	if r.Lists, err = ListSizes(ctx, store, d.Trigger.Vocabulary, d.Trigger.Lists(), now); err != nil {
		return nil, fmt.Errorf("review workflow %s: %w", d.Name, err)
	}
	if r.Approval, err = ReadApprovalRules(ctx, store); err != nil {
		return nil, fmt.Errorf("review workflow %s: %w", d.Name, err)
	}
	r.NextRuns = nextRuns(d, now, 3)
	r.Warnings = append(r.Warnings, everyone(d, r.Matched)...)
	return r, nil
}

// limit says whether a run would be held, by what was deleted until now.
func (r *Review) limit(ctx context.Context, store *crmstore.Store, d *definition.Definition) error {
	a, err := readAllowance(ctx, store, d, r.Live, store.Now())
	if err != nil {
		return err
	}
	e := a.over(plan{count: r.WouldDelete, restored: r.RestoredBefore, address: r.DeletedBefore})
	others := slices.DeleteFunc(e.reasons, func(reason string) bool { return reason == e.ceiling })
	r.OverLimit, r.OverCeiling, r.RoomFrom = strings.Join(others, "; "), e.ceiling, e.room
	r.Ceiling, r.Lately = a.account.Ceiling(r.Live), a.lately
	return nil
}

// findPublished reads the published workflow of the same name, and its definition when that differs from d.
func (r *Review) findPublished(ctx context.Context, store *crmstore.Store, d *definition.Definition) (*definition.Definition, error) {
	w, err := store.Workflow(ctx, d.Name)
	if errors.Is(err, record.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.Published = w
	if r.Unfinished, err = unfinished(ctx, store, w.Name); err != nil {
		return nil, err
	}
	revision, err := store.Revision(ctx, w.Name, w.Revision)
	if err != nil {
		return nil, err
	}
	if r.Same = bytes.Equal(revision.Source, d.Source) && samePins(revision, &d.Trigger); r.Same {
		return nil, nil
	}
	current, err := LoadRevision(ctx, store, w.Name, w.Revision)
	if findings, ok := errors.AsType[*FindingsError](err); ok {
		// The published revision no longer loads: there is nothing to compare with, and runs fail until this one is published.
		r.Warnings = append(r.Warnings, findings.List...)
		return nil, nil
	}
	return current, err
}

// evaluate fills in the counts and Contacts and returns all matches, enrolled before or not, sorted.
func (r *Review) evaluate(ctx context.Context, store *crmstore.Store, d *definition.Definition) ([]record.ID, error) {
	var totals crmstore.Totals
	var matched []record.ID
	all := &scan{def: d, now: r.Now, found: func(_ context.Context, found scanResult) error {
		add(&totals, found.totals)
		matched = appendIDs(matched, found.matched)
		r.Contacts = appendIDs(r.Contacts, found.enroll)
		return nil
	}}
	err := all.run(ctx, store)
	r.Evaluated, r.Matched = totals.Evaluated, totals.Matched
	r.Suppressed, r.AlreadyEnrolled, r.OnHold = totals.Suppressed, totals.AlreadyEnrolled, totals.OnHold
	r.Damaged = totals.Damaged
	r.RestoredBefore, r.DeletedBefore = totals.RestoredBefore, totals.DeletedBefore
	slices.Sort(matched)
	slices.Sort(r.Contacts)
	return matched, err
}

// compare fills in the records that newly match and those that no longer do.
func (r *Review) compare(ctx context.Context, store *crmstore.Store, current *definition.Definition, matched []record.ID) error {
	before, err := matchesOf(ctx, store, current, r.Now)
	r.Newly, r.NoLonger = without(matched, before), without(before, matched)
	return err
}

func appendIDs(to []record.ID, parts []record.PartitionIDs) []record.ID {
	for _, p := range parts {
		to = append(to, p.IDs...)
	}
	return to
}

// without is what a holds and b does not; both are sorted.
func without(a, b []record.ID) []record.ID {
	var out []record.ID
	for _, id := range a {
		for len(b) > 0 && b[0] < id {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != id {
			out = append(out, id)
		}
	}
	return out
}

// marksExisting reports whether publishing d enrolls all that match then as existing, so that they are never deleted:
// with `existing: false`, when there is a new revision or the workflow is switched on.
func marksExisting(d *definition.Definition, published crmstore.Workflow, same bool) bool {
	return !d.Existing && (!same || !published.On)
}

func nextRuns(d *definition.Definition, now time.Time, n int) []time.Time {
	var slots []time.Time
	for at := now; d.Schedule != nil && len(slots) < n; {
		at = d.Schedule.Next(at)
		if at.IsZero() {
			break
		}
		slots = append(slots, at)
	}
	return slots
}

// everyone warns of triggers that enroll every record, with the count.
func everyone(d *definition.Definition, matched int64) diag.List {
	var list diag.List
	for i, e := range d.Trigger.Any {
		if value, constant := e.Constant(); constant && value {
			list = append(list, diag.Finding{
				Code: diag.AlwaysTrue, File: d.File,
				Message: fmt.Sprintf("trigger %d is true for everyone: %s %s match", i+1, diag.Thousands(matched), d.Object.Plural()),
				Help:    "narrow it down unless all of them are meant",
			})
		}
	}
	return list
}
