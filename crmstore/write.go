package crmstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Upsert creates or updates one record. With ID 0 a contact is found by its e-mail if Set has one, else made new.
type Upsert struct {
	ID  record.ID
	Set []record.Assignment

	// SameEmail refuses the upsert, with *OtherEmailError, when the contact that has the ID holds another e-mail address than
	// Set assigns, none being another one too: the ID may be one of another system, and the contact somebody else.
	SameEmail bool

	// SpareHeld refuses the upsert, with *HeldError, when it would change a record that is on legal hold: it comes from a file, and no
	// person has looked at that record.
	SpareHeld bool

	packed packedSet // instead of Set, see Packer
}

// Assigns reports whether the upsert gives the property a value.
func (u *Upsert) Assigns(p *record.Property) bool {
	if u.packed.schema != nil {
		r := record.OfFields(u.packed.schema, u.packed.fields)
		return r.Value(p.Number).Known()
	}
	return slices.ContainsFunc(u.Set, func(a record.Assignment) bool { return a.Property == p.Number && a.Value.Known() })
}

// WriteOutcome says what became of one Upsert.
type WriteOutcome uint8

// The outcomes of an upsert.
const (
	Created WriteOutcome = iota + 1
	Updated
	Unchanged // the values were the same; nothing written
	Refused   // see Err
)

// WriteResult is one Upsert's result.
type WriteResult struct {
	ID      record.ID // 0 when refused before it had one
	Outcome WriteOutcome
	Moved   bool  // an e-mail address that the contact had was changed or cleared
	Err     error // with Refused: *EmailTakenError, *OtherEmailError, *BlockedError, *HeldError, ErrArchived, ErrErased, ErrNotFound (UpdateOnly), ErrExists (CreateOnly), ErrConflict, or what is wrong with an assignment
}

// ErrArchived refuses a change to a record that is in the bin.
var ErrArchived = errors.New("record is in the bin; restore it first")

// OtherEmailError refuses an upsert with SameEmail.
type OtherEmailError struct {
	ID    record.ID
	Has   string // what the contact has; "" = none
	Wants string // what the upsert assigns; "" = none
}

// Error names the contact and both addresses.
func (e *OtherEmailError) Error() string {
	say := func(email string) string {
		if email == "" {
			return "no e-mail address"
		}
		return email
	}
	return fmt.Sprintf("contact %s has %s, not %s", e.ID, say(e.Has), say(e.Wants))
}

// ErrErased refuses a record whose id was deleted permanently: that id is never used again.
var ErrErased = errors.New("record was deleted permanently; its id is never used again")

// WriteMode narrows an upsert.
type WriteMode uint8

// The write modes.
const (
	UpsertAny  WriteMode = iota
	CreateOnly           // refuse records that exist
	UpdateOnly           // refuse records that do not
)

// Bounds of Write.
const (
	upsertsPerRound = 1 << 16 // so that a partition's share makes large scripts, no claim is pending for long, and memory stays flat
	recordsPerCall  = 256     // one insert or update script

	// What is contended is refused after so many rounds without any progress. An address that another process is
	// taking is waited for until that process is done or, having died, its claim is dead.
	contendedTries, contendedPause = 25, 4 * time.Millisecond
	waitingTries, waitingPause     = int(claimPatience/waitingPause) * 5 / 4, 200 * time.Millisecond // each try asks for every address again
	saidTries                      = int(time.Second / waitingPause)                                 // after which the caller is told of it
)

// Write upserts a batch: grouped by partition, one script per partition and act, pipelined. Results are in batch
// order, and are what writing one upsert after the other would give: a record named twice is changed twice, a second
// contact with the same e-mail and no ID is a change of the first. Each record is written wholly or not at all; the
// batch as a whole is not atomic. createdate (unless set) and lastmodifieddate are set to at. One audit event per
// partition batch, holding the ids. An error means the machine failed: some of the batch may be written then.
func (s *Store) Write(ctx context.Context, o record.ObjectType, mode WriteMode, batch []Upsert, c record.Cause, at time.Time) ([]WriteResult, error) {
	if err := s.require(ctx, o, CanEdit); err != nil {
		return nil, err
	}
	w, err := s.newWriter(ctx, o, mode, c, at)
	if err != nil {
		return nil, err
	}
	w.batch, w.results = batch, make([]WriteResult, len(batch))
	if err := w.run(ctx, nil); err != nil {
		return nil, fmt.Errorf("write %s: %w", o.Plural(), err)
	}
	return w.results, nil
}

// writer carries one Write through. Its rounds each plan some upserts in memory, in order, and then write the
// records that came out of it.
type writer struct {
	store      *Store
	object     record.ObjectType
	mode       WriteMode
	schema     *record.Schema
	partitions int
	cause      record.Cause
	at         time.Time
	facts      []byte       // both, for the audit events
	now        record.Value // for createdate and lastmodifieddate
	created    *record.Property
	modified   *record.Property
	email      *record.Property // nil when the object type has no unique e-mail
	columns    columnSet
	batch      []Upsert
	results    []WriteResult
	written    func(*round) // told of each round that was written; nil = nobody is
	waiting    func()       // told once when addresses are waited for; nil = nobody is
	alike      formsAlike
	careful    bool // the last round did not write all that it meant to, so the next one is not hopeful

	mu     sync.Mutex         // guards erased while scripts are sent two windows at a time
	erased map[record.ID]bool // ids of the batch that were deleted permanently
}

func (s *Store) newWriter(ctx context.Context, o record.ObjectType, mode WriteMode, c record.Cause, at time.Time) (*writer, error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	schema, err := s.schema(ctx, o)
	if err != nil {
		return nil, err
	}
	w := &writer{
		store: s, object: o, mode: mode, schema: schema, partitions: partitions,
		cause: c, at: at, facts: record.AppendFacts(nil, at, s.by(c)), now: record.DateTimeValue(at),
		created: schema.Number(record.PropertyCreated), modified: schema.Number(record.PropertyModified),
		email: emailProperty(schema), columns: newColumnSet(schema),
	}
	if w.created == nil || w.modified == nil {
		return nil, fmt.Errorf("the schema of %s lacks the create or the last modified date", o)
	}
	if err := record.CheckValue(w.created, w.now); err != nil {
		return nil, fmt.Errorf("write %s: the time of the change: %w", o.Plural(), err)
	}
	return w, nil
}

// run goes on in rounds until every upsert has its result. Upserts that another process got in the way of are
// planned again from what is there then.
// The first round may have been planned before; nil = not.
// Properties that an import made stay from then on when the batch gave them values, since they are used.
func (w *writer) run(ctx context.Context, planned *round) error {
	if err := w.runRounds(ctx, planned); err != nil {
		return err // what is in all the same is found by whoever takes the properties back
	}
	return w.keepUsed(ctx)
}

func (w *writer) runRounds(ctx context.Context, planned *round) error {
	todo := w.all()
	for tries := 0; len(todo) > 0; {
		r := planned
		if planned = nil; r == nil {
			var err error
			if r, err = w.plan(ctx, w.part(todo)); err != nil {
				return err
			}
		}
		again, err := r.commit(ctx)
		if err != nil {
			return err
		}
		if w.written != nil {
			w.written(r)
		}
		w.careful = len(again) > 0 || r.waits // while it waits too, or each second round would be contended and not waiting
		rest := slices.Concat(again, todo[r.planned:])
		limit, pause := contendedTries, contendedPause
		if r.waits {
			limit, pause = waitingTries, waitingPause
			if tries == saidTries && w.waiting != nil {
				w.waiting()
				w.waiting = nil
			}
		}
		if tries++; len(rest) < len(todo) {
			tries = 0
		} else if tries > limit {
			rest = w.giveUp(rest, max(len(again), 1))
			tries = 0
		} else if err := redisdb.Sleep(ctx, pause); err != nil {
			return err
		}
		todo = rest
	}
	return nil
}

// all are the places of all upserts of the batch.
func (w *writer) all() []int {
	todo := make([]int, len(w.batch))
	for i := range todo {
		todo[i] = i
	}
	return todo
}

// part is what one round takes on of them.
func (*writer) part(todo []int) []int { return todo[:min(len(todo), upsertsPerRound)] }

// giveUp refuses the first n upserts of todo: others keep changing what they want to change.
func (w *writer) giveUp(todo []int, n int) []int {
	for _, i := range todo[:n] {
		w.refuse(i, w.batch[i].ID, record.ErrConflict)
	}
	return todo[n:]
}

func (w *writer) refuse(i int, id record.ID, err error) {
	w.results[i] = WriteResult{ID: id, Outcome: Refused, Err: err}
}

// columnSet knows which properties have columns, by number.
type columnSet struct {
	byNumber []*record.Property // nil: no column
}

func newColumnSet(s *record.Schema) columnSet {
	var c columnSet
	for i := range s.Properties {
		p := &s.Properties[i]
		if p.Removed || !p.Columnar() {
			continue
		}
		for len(c.byNumber) <= p.Number {
			c.byNumber = append(c.byNumber, nil)
		}
		c.byNumber[p.Number] = p
	}
	return c
}

// property is the property of the number if it has a column, else nil.
func (c *columnSet) property(number int) *record.Property {
	if number < len(c.byNumber) {
		return c.byNumber[number]
	}
	return nil
}
