package workflow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// What publishing and switching is called in the audit log.
const (
	opPublish   = "publish"
	opSwitchOn  = "switch-on"
	opSwitchOff = "switch-off"
	opTakeOver  = "take-over"
)

// Publication is a workflow as publishing left it, and what publishing changed.
type Publication struct {
	crmstore.Workflow
	NewRevision bool       // the file, or a list that it asks, is another than that of the revision before, or there was none
	SwitchedOn  bool       // it was off or not there
	ActedAs     string     // the acting user before, when another user published it again; "" = the same user
	Superseded  Superseded // the run of the revision before that was not over
	Existing    int64      // matches now, found by a workflow with `existing: false`: they will never be deleted
}

// Changed reports whether publishing changed anything: false when the very same file was on already.
func (p Publication) Changed() bool { return p.NewRevision || p.SwitchedOn || p.ActedAs != "" }

// FindingsError says that a published file no longer loads, because properties, lists or this program changed since.
type FindingsError struct {
	Workflow string
	Revision int
	List     diag.List
}

// Error names the workflow, the revision and the first finding that stops it.
func (e *FindingsError) Error() string {
	return fmt.Sprintf("workflow %s revision %d no longer loads: %s", e.Workflow, e.Revision, e.first())
}

// first is the first finding that stops it, and how many more do.
func (e *FindingsError) first() string {
	first, more := "", -1
	for _, f := range e.List {
		if f.Code.Severity == diag.Error {
			if first == "" {
				first = f.Message
			}
			more++
		}
	}
	if more > 0 {
		first += fmt.Sprintf(" (and %d more)", more)
	}
	return first
}

// Publish asks the gate, freezes the file as a new revision when it differs from the current one, and switches the
// workflow on. From then on the workflow acts with the permissions of the store's user. The user needs them all now:
// manage-workflows, view and delete of the object, and view of the object types whose associated records the trigger asks about. Publishing an unchanged file takes the workflow over. A new revision
// holds a running run of the one before, and cancels a held one unless the options keep it: when Publish has returned,
// neither deletes anything more. With `existing: false` all records that match at the instant at are first enrolled as
// existing. Errors: *crmstore.PermissionError; *RefusedError; crmstore.ErrConflict when another user published or switched
// the workflow at the same time.
func Publish(ctx context.Context, store *crmstore.Store, d *definition.Definition, at time.Time) (Publication, error) {
	return PublishWith(ctx, store, d, PublishOptions{}, at)
}

// PublishWith is [Publish] with options.
func PublishWith(ctx context.Context, store *crmstore.Store, d *definition.Definition, o PublishOptions, at time.Time) (Publication, error) {
	if err := checkPublisher(ctx, store, d.Object); err != nil {
		return Publication{}, err
	}
	for _, related := range d.Trigger.Related() {
		if err := store.Check(ctx, related, crmstore.CanView); err != nil {
			return Publication{}, err
		}
	}
	account, err := store.Account(ctx)
	if err != nil {
		return Publication{}, fmt.Errorf("publish workflow %s: %w", d.Name, err)
	}
	if err := CheckGate(account); err != nil {
		return Publication{}, err
	}
	if err := checkActions(d); err != nil {
		return Publication{}, err
	}
	before, same, err := published(ctx, store, d)
	if err != nil {
		return Publication{}, fmt.Errorf("publish workflow %s: %w", d.Name, err)
	}
	p := Publication{Workflow: before, NewRevision: !same, SwitchedOn: !before.On}
	if before.PublishedBy != store.User() {
		p.ActedAs = before.PublishedBy
	}
	if !p.Changed() {
		return p, nil
	}
	number := before.Revision
	if p.NewRevision {
		number++
	}
	if marksExisting(d, before, same) {
		if p.Existing, err = markExisting(ctx, store, d, number, at); err != nil {
			return Publication{}, fmt.Errorf("publish workflow %s: %w", d.Name, err)
		}
	}
	p.Workflow, err = saveWorkflow(ctx, store, publishing(p, d, number, store.User(), at))
	if err != nil {
		return Publication{}, fmt.Errorf("publish workflow %s: %w", d.Name, err)
	}
	if p.NewRevision {
		if p.Superseded, err = supersede(ctx, store, p.Workflow, o, at); err != nil {
			return p, fmt.Errorf("revision %d of %s is published, but what became of its earlier run is not known (see: workflow runs --workflow %s): %w", p.Revision, d.Name, d.Name, err)
		}
	}
	return p, nil
}

// publishing is the change that a publication makes.
func publishing(p Publication, d *definition.Definition, number int, by string, at time.Time) saveOrder {
	o := saveOrder{before: p.Workflow, op: opTakeOver, at: at}
	if p.ActedAs != "" {
		o.reason = fmt.Sprintf("acts as %s from now on, as %s before", by, p.ActedAs)
	}
	if p.SwitchedOn {
		o.op = opSwitchOn
	}
	if p.NewRevision {
		o.op = opPublish
		o.revision = &crmstore.Revision{Number: number, Source: d.Source, At: at, By: by, Lists: pins(&d.Trigger)}
	}
	o.change = func(w *crmstore.Workflow) {
		w.PublishedBy = by
		if p.NewRevision {
			w.Revision, w.PublishedAt, w.Object = number, at, d.Object
		}
		if p.SwitchedOn {
			w.On, w.SwitchedAt = true, at
		}
	}
	return o
}

// published reads the workflow of the definition's name (with Version 0 when there is none) and
// reports whether its current revision is the definition's file, published with the lists that are there now.
func published(ctx context.Context, store *crmstore.Store, d *definition.Definition) (crmstore.Workflow, bool, error) {
	w, err := store.Workflow(ctx, d.Name)
	if errors.Is(err, record.ErrNotFound) {
		return crmstore.Workflow{Name: d.Name, Object: d.Object}, false, nil
	}
	if err != nil {
		return w, false, err
	}
	revision, err := store.Revision(ctx, w.Name, w.Revision)
	if err != nil {
		return w, false, err
	}
	return w, bytes.Equal(revision.Source, d.Source) && samePins(revision, &d.Trigger), nil
}

// markExisting enrolls all that match at the instant as existing. It is done before the workflow is saved, so that no run
// comes in between. Should the save then fail, a contact stays that could have been deleted, never the other way round.
func markExisting(ctx context.Context, store *crmstore.Store, d *definition.Definition, revision int, at time.Time) (int64, error) {
	var count int64
	all := &scan{def: d, now: at, found: func(ctx context.Context, found scanResult) error {
		for _, part := range found.enroll {
			count += int64(len(part.IDs))
		}
		return store.MarkExisting(ctx, d.Object, d.Name, revision, found.enroll)
	}}
	err := all.run(ctx, store)
	return count, err
}

// Switch turns a published workflow on or off. Switching on asks the gate and checks that the frozen file still loads
// (*FindingsError), and with `existing: false` enrolls all that match now as existing; what is on already and acts as
// another user is taken over, as [Publish] does it. Switching off holds a run that is under way: when Switch has
// returned, nothing more is deleted by it. Switching to what it is already changes nothing. Errors: *RefusedError,
// crmstore.ErrNotFound, crmstore.ErrConflict.
func Switch(ctx context.Context, store *crmstore.Store, name string, on bool, at time.Time) (crmstore.Workflow, error) {
	if on {
		d, w, err := LoadPublished(ctx, store, name)
		if err != nil || w.On && w.PublishedBy == store.User() {
			return w, err
		}
		p, err := Publish(ctx, store, d, at)
		return p.Workflow, err
	}
	w, err := store.Workflow(ctx, name)
	if err != nil {
		return w, fmt.Errorf("switch workflow %s off: %w", name, err)
	}
	if w.On {
		change := func(w *crmstore.Workflow) { w.On, w.SwitchedAt = false, at }
		w, err = saveWorkflow(ctx, store, saveOrder{before: w, change: change, op: opSwitchOff, at: at})
		if err != nil {
			return w, fmt.Errorf("switch workflow %s off: %w", name, err)
		}
	} else if err := store.Check(ctx, w.Object, crmstore.CanManageWorkflows); err != nil {
		return w, err
	}
	if err := stopRuns(ctx, store.AsSystem(), w, store.Now()); err != nil {
		return w, fmt.Errorf("workflow %s is off, but its run may go on (repeat the command): %w", name, err)
	}
	return w, nil
}

// LoadPublished compiles the frozen current revision against the account's properties and lists as they are now.
// A revision that speaks of what is no longer there is a *FindingsError, never a silent match. Also crmstore.ErrNotFound.
func LoadPublished(ctx context.Context, store *crmstore.Store, name string) (*definition.Definition, crmstore.Workflow, error) {
	w, err := store.Workflow(ctx, name)
	if err != nil {
		return nil, w, fmt.Errorf("load workflow %s: %w", name, err)
	}
	d, err := LoadRevision(ctx, store, name, w.Revision)
	return d, w, err
}

// LoadRevision compiles a frozen revision against the account's properties and lists as they are now. A revision that speaks of
// what is no longer there is a *FindingsError. Also crmstore.ErrNotFound.
func LoadRevision(ctx context.Context, store *crmstore.Store, name string, number int) (*definition.Definition, error) {
	revision, err := store.Revision(ctx, name, number)
	if err != nil {
		return nil, fmt.Errorf("load workflow %s revision %d: %w", name, number, err)
	}
	vocabulary, err := definition.AccountVocabulary(ctx, store)
	if err != nil {
		return nil, fmt.Errorf("load workflow %s revision %d: %w", name, number, err)
	}
	file := fmt.Sprintf("%s (revision %d)", name, number)
	d, list := definition.Load(file, revision.Source, vocabulary)
	if d != nil {
		list = replaced(file, revision.Lists, &d.Trigger)
	}
	if d == nil || len(list) > 0 {
		return nil, &FindingsError{Workflow: name, Revision: number, List: list}
	}
	return d, nil
}

// saveOrder is one change of a workflow.
type saveOrder struct {
	before   crmstore.Workflow // as it was when the change was decided
	change   func(*crmstore.Workflow)
	revision *crmstore.Revision
	op       string
	reason   string
	at       time.Time
}

// saveWorkflow saves the change unless another user published or switched the workflow since. A daemon that only saved a
// run or a slot in between is no conflict.
func saveWorkflow(ctx context.Context, store *crmstore.Store, o saveOrder) (crmstore.Workflow, error) {
	w := o.before
	for range 20 {
		next := w
		o.change(&next)
		saved, err := store.SaveWorkflow(ctx, next, o.revision, o.op, record.Cause{Workflow: w.Name, Reason: o.reason}, o.at)
		if !errors.Is(err, record.ErrConflict) {
			return saved, err
		}
		now, readErr := store.Workflow(ctx, w.Name)
		if readErr != nil {
			return w, readErr
		}
		if now.Revision != o.before.Revision || now.On != o.before.On || now.PublishedBy != o.before.PublishedBy || !now.SwitchedAt.Equal(o.before.SwitchedAt) {
			return w, fmt.Errorf("another user published or switched it at the same time (now at revision %d); review it again: %w", now.Revision, err)
		}
		w = now
	}
	return w, record.ErrConflict
}
