package crmstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// EraseOrder says who deletes contacts permanently, and why. There is no way back.
type EraseOrder struct {
	Cause    record.Cause // Run names the act, in the audit log and on the tombstones; "" = one is made from At
	At       time.Time
	Progress func(done, total int64) // contacts; nil = nobody is told
}

// EraseOutcome says what became of one contact.
type EraseOutcome uint8

// The outcomes of a permanent deletion.
const (
	Erased       EraseOutcome = iota + 1
	ErasedBefore              // there is a tombstone already
	NothingThere              // no such contact: never was, or purged
	ErasureHeld               // it was put on legal hold while the deletion was under way, and stays
)

// EraseResult is one contact's result.
type EraseResult struct {
	ID      record.ID    `json:"id"`
	Outcome EraseOutcome `json:"-"`
	Blocked bool         `json:"blocked"`          // its e-mail address is on the block list
	Holder  record.ID    `json:"holder,omitempty"` // another, live contact has the same address, which is therefore not blocked
}

// EraseReport is what a permanent deletion did, and what it left for a person to do.
type EraseReport struct {
	Run      string        `json:"run"`
	Results  []EraseResult `json:"results"`  // in the order asked
	Mentions []Mention     `json:"mentions"` // what still names one of the contacts
	Changed  int           `json:"changed"`  // audit events about others in which an address or a whole name was overwritten

	// File says whether servers write their append-only files anew, which hold the contacts until then.
	File FileRewrite `json:"append_only_file,omitempty"`

	Confirmation Confirmation `json:"-"` // zero when nothing was erased
}

// Mention is something that people wrote and that holds the name, the e-mail address or the phone number of a contact
// that was deleted permanently. It is left as it is: changing it would change what it does.
type Mention struct {
	Kind string `json:"kind"` // workflow, list, run, user, setting or mail; MentionHeld
	Name string `json:"name"`
}

// MentionHeld is the kind of a record in the bin that is on legal hold, and that was deleted for a reason that names one of the contacts. It
// keeps its bytes; the reason goes with the record once the hold ends.
const MentionHeld = "legal-hold"

// erasedAtOnce is how many contacts are erased together: the logs are looked through once for all of them.
const erasedAtOnce = 256

// maxErased is how many contacts one order may name: its intents are saved in one command.
const maxErased = 100000

// Erase deletes contacts permanently, live ones and those in the bin: record, columns, list bits, associations,
// enrollments, and in the audit log all events about the contact alone; in all other events, in the reasons for which
// records in the bin were deleted, and in ended runs its e-mail address and its whole name are overwritten. What stays is a tombstone and one audit event, with id, time, user
// and run. The e-mail address goes onto the block list. Results are in the order of ids.
//
// The intent is saved first. When the machine fails half-way, or the process dies, the next call, [Store.FinishErasures]
// or [Store.Doctor] with repair finishes it. When one of the contacts is on legal hold, or associated with a record that is, it is a
// *HeldError and nothing is deleted. It needs the permission permanently-delete, and no other.
func (s *Store) Erase(ctx context.Context, o EraseOrder, ids []record.ID) (EraseReport, error) {
	if err := s.require(ctx, record.Contact, CanPermanentlyDelete); err != nil {
		return EraseReport{}, err
	}
	report := EraseReport{Run: o.Cause.Run, Results: make([]EraseResult, len(ids)), Mentions: []Mention{}}
	if report.Run == "" {
		report.Run = "permanent@" + o.At.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	earlier, err := s.FinishErasures(ctx)
	if err != nil {
		return report, err
	}
	by := s.by(o.Cause)
	intent := erasureIntent{
		Run: report.Run, At: o.At.UnixMilli(), Actor: by.Actor, From: by.From, Reason: o.Cause.Reason, Order: rand.Text()[:8],
	}
	unique := slices.Clone(ids)
	slices.Sort(unique)
	unique = slices.Compact(unique)
	results := make(map[record.ID]EraseResult, len(unique))
	intent, there, err := s.beginErasure(ctx, intent, unique, results)
	if err == nil {
		err = s.refuseHeld(ctx, intent, there)
	}
	done := int64(len(unique) - len(there))
	if err == nil {
		report.Confirmation, err = s.carryOut(ctx, intent, there, func(e *erasure) {
			maps.Copy(results, e.results)
			report.Mentions = addMentions(report.Mentions, e.mentions)
			report.Changed += e.changed
			if done += int64(len(e.ids)); o.Progress != nil {
				o.Progress(done, int64(len(unique)))
			}
		})
	}
	if err != nil {
		return report, fmt.Errorf("delete %s permanently: %w", record.Contact.Plural(), err)
	}
	for i, id := range ids {
		report.Results[i] = results[id]
	}
	if report.File = earlier.File; len(there) > 0 {
		report.File, _ = s.rewriteFiles(ctx) // the deletion itself is done; the report says that the file was not written
	}
	return report, nil
}

// beginErasure saves the intent for all contacts that are there, at once, so that whoever finishes it has all of them;
// and judges the others. From then on the reason is without what names any of them.
func (s *Store) beginErasure(ctx context.Context, intent erasureIntent, ids []record.ID, results map[record.ID]EraseResult) (erasureIntent, []record.ID, error) {
	if len(ids) > maxErased {
		return intent, nil, fmt.Errorf("%d in one order: at most %d", len(ids), maxErased)
	}
	var there []record.ID
	for part := range slices.Chunk(ids, erasedAtOnce) {
		e := s.newErasure(intent, part)
		found, err := e.look(ctx)
		if err != nil {
			return intent, nil, err
		}
		if e.schema, err = e.store.Schema(ctx, record.Contact); err != nil {
			return intent, nil, err
		}
		maps.Copy(results, e.results)
		intent.Reason, _ = newNeedles(e.schema, found).overwrite(intent.Reason)
		for _, r := range found {
			there = append(there, r.ID)
		}
	}
	return intent, there, s.newErasure(intent, there).saveIntents(ctx)
}

// refuseHeld takes an order back whose intent is saved when any of its contacts is on legal hold, or is associated with a record that is.
// It asks after the intent was saved, and who puts a record on hold is not late before that.
func (s *Store) refuseHeld(ctx context.Context, intent erasureIntent, ids []record.ID) error {
	e := s.newErasure(intent, ids)
	held, err := e.store.holdsOf(ctx, record.Contact, ids)
	if err != nil {
		return err
	}
	ties, err := e.store.heldTies(ctx, record.Contact, ids)
	if err != nil || len(held)+len(ties) == 0 {
		return err
	}
	return errors.Join(&HeldError{record.Contact, held, ties}, e.dropIntents(ctx))
}

// carryOut erases all contacts of an order, some at a time, queues the confirmation and drops the intent.
func (s *Store) carryOut(ctx context.Context, intent erasureIntent, ids []record.ID, each func(*erasure)) (Confirmation, error) {
	if len(ids) == 0 {
		return Confirmation{}, nil
	}
	for part := range slices.Chunk(ids, erasedAtOnce) {
		e := s.newErasure(intent, part)
		if err := e.all(ctx); err != nil {
			return Confirmation{}, err
		}
		each(e)
	}
	whole := s.newErasure(intent, ids)
	c, err := whole.confirm(ctx)
	if err != nil {
		return c, err
	}
	return c, whole.dropIntents(ctx)
}

// erasureIntent is what is saved before anything is removed: enough to finish, and nothing about who the contact is.
type erasureIntent struct {
	Run    string `json:"run"`
	At     int64  `json:"at"` // ms
	Actor  string `json:"actor"`
	From   string `json:"from,omitempty"` // the process in which it was asked for
	Reason string `json:"reason,omitempty"`
	Order  string `json:"order,omitempty"` // tells orders apart that have the same run
}

// keyErasing is a hash: id (decimal) → intent (JSON).
func (s *Store) keyErasing() string { return s.accountKey("erasing") }

// FinishedErasures is what became of permanent deletions that had been interrupted.
type FinishedErasures struct {
	Contacts int         // whose deletion was finished
	File     FileRewrite // as in [EraseReport]; "" also when there were none
}

// FinishErasures finishes permanent deletions that were interrupted, under the names of those who began them, and says
// how many contacts that were, and whether servers write their append-only files anew. It costs one small call when there
// are none. It needs the permission permanently-delete; of the people who began them it is not asked again.
func (s *Store) FinishErasures(ctx context.Context) (finished FinishedErasures, err error) {
	if err := s.require(ctx, "", CanPermanentlyDelete); err != nil {
		return finished, err
	}
	texts, err := s.db.Redis.HGetAll(ctx, s.keyErasing()).Result()
	if err != nil {
		return finished, fmt.Errorf("read interrupted permanent deletions: %w", s.db.Explain(err))
	}
	acts := map[erasureIntent][]record.ID{}
	for name, text := range texts {
		id, err := record.ParseID(name)
		var intent erasureIntent
		if err == nil {
			err = json.Unmarshal([]byte(text), &intent)
		}
		if err != nil {
			return finished, fmt.Errorf("read interrupted permanent deletion of contact %s: %w", name, err)
		}
		acts[intent] = append(acts[intent], id)
	}
	for intent, ids := range acts {
		slices.Sort(ids)
		if _, err := s.carryOut(ctx, intent, ids, func(e *erasure) { finished.Contacts += len(e.ids) }); err != nil {
			return finished, fmt.Errorf("finish permanent deletion %s: %w", intent.Run, err)
		}
	}
	if finished.Contacts > 0 {
		finished.File, _ = s.rewriteFiles(ctx) // the deletions are done; the caller says that the file was not written
	}
	return finished, nil
}

// erasure carries the permanent deletion of some contacts through.
type erasure struct {
	store    *Store // acts under the name of who began it, and is not asked for permissions
	intent   erasureIntent
	ids      []record.ID
	schema   *record.Schema
	results  map[record.ID]EraseResult
	mentions []Mention
	changed  int // audit events about others
}

func (s *Store) newErasure(intent erasureIntent, ids []record.ID) *erasure {
	return &erasure{
		store: &Store{base: s.base, user: intent.Actor, system: true}, intent: intent, ids: ids,
		results: make(map[record.ID]EraseResult, len(ids)),
	}
}

// eraseTries is how often contacts are read again because somebody changes them all the time.
const eraseTries = 50

// all does everything, in an order in which each step needs only what the steps before it have left. The records go
// last: as long as one is there, all that is to be looked for elsewhere can be read from it.
func (e *erasure) all(ctx context.Context) error {
	var err error
	if e.schema, err = e.store.Schema(ctx, record.Contact); err != nil {
		return err
	}
	there, err := e.look(ctx)
	if err != nil {
		return err
	}
	e.intent.Reason, _ = newNeedles(e.schema, there).overwrite(e.intent.Reason) // one may have got another name since
	for tries := 0; len(there) > 0; tries++ {
		if tries == eraseTries {
			return fmt.Errorf("contact %s: %w", there[0].ID, record.ErrConflict)
		}
		if there, err = e.leaveHeld(ctx, there); err != nil {
			return err
		}
		if there, err = e.binAll(ctx, there); err != nil {
			return err
		}
		if err := e.block(ctx, there); err != nil {
			return err
		}
		if err := e.clean(ctx, there); err != nil {
			return err
		}
		if err := e.remove(ctx, there); err != nil {
			return err
		}
		if there, err = e.look(ctx); err != nil {
			return err
		}
		if there, err = e.leaveHeld(ctx, there); err != nil {
			return err
		}
	}
	return nil
}

// leaveHeld takes out contacts that were put on legal hold after the deletion had begun.
func (e *erasure) leaveHeld(ctx context.Context, there []*record.Record) ([]*record.Record, error) {
	ids := make([]record.ID, len(there))
	for i, r := range there {
		ids[i] = r.ID
	}
	held, err := e.store.holdsOf(ctx, record.Contact, ids)
	for _, h := range held {
		e.results[h.ID] = EraseResult{ID: h.ID, Outcome: ErasureHeld}
		there = slices.DeleteFunc(there, func(r *record.Record) bool { return r.ID == h.ID })
	}
	return there, err
}

// look reads the contacts that are there still, and judges those that are not.
func (e *erasure) look(ctx context.Context) ([]*record.Record, error) {
	there, err := e.store.Get(ctx, record.Contact, e.ids)
	if err != nil {
		return nil, err
	}
	is := make(map[record.ID]bool, len(there))
	for _, r := range there {
		is[r.ID] = true
	}
	tombs, err := e.store.tombstones(ctx, record.Contact, e.ids)
	if err != nil {
		return nil, err
	}
	for _, id := range e.ids {
		if is[id] {
			continue
		}
		result := e.results[id]
		result.ID, result.Outcome = id, NothingThere
		if t, ok := tombs[id]; ok {
			if result.Outcome = ErasedBefore; t.Run == e.intent.Run {
				result.Outcome = Erased
			}
		}
		e.results[id] = result
	}
	return there, nil
}

func (e *erasure) saveIntents(ctx context.Context) error {
	if len(e.ids) == 0 {
		return nil
	}
	text, err := json.Marshal(e.intent)
	if err != nil {
		return err
	}
	args := make([]any, 0, 2*len(e.ids))
	for _, id := range e.ids {
		args = append(args, id.String(), text)
	}
	if err := e.store.db.Redis.HSet(ctx, e.store.keyErasing(), args...).Err(); err != nil {
		return fmt.Errorf("save the intent: %w", e.store.db.Explain(err))
	}
	return nil
}

func (e *erasure) dropIntents(ctx context.Context) error {
	names := make([]string, len(e.ids))
	for i, id := range e.ids {
		names[i] = id.String()
	}
	if err := e.store.db.Redis.HDel(ctx, e.store.keyErasing(), names...).Err(); err != nil {
		return fmt.Errorf("drop the intent: %w", e.store.db.Explain(err))
	}
	return nil
}

// cause is the cause of all that the erasure does.
func (e *erasure) cause() record.Cause {
	return record.Cause{Actor: e.intent.Actor, Run: e.intent.Run, Reason: e.intent.Reason, From: e.intent.From}
}

func (e *erasure) at() time.Time { return time.UnixMilli(e.intent.At).UTC() }

// binAll puts live contacts into the bin, so that nobody changes them any more, and returns all of them as they are then.
// The reason is not written down here: it may name somebody.
func (e *erasure) binAll(ctx context.Context, there []*record.Record) ([]*record.Record, error) {
	partitions, err := e.store.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	var batches []Archive
	for _, r := range there {
		if r.Deletion == nil {
			batches = append(batches, Archive{Partition: r.ID.Partition(partitions), Targets: []Target{{ID: r.ID, Slot: r.Slot, Version: r.Version}}})
		}
	}
	if len(batches) > 0 {
		order := ArchiveOrder{Object: record.Contact, Cause: record.Cause{Actor: e.intent.Actor, Run: e.intent.Run}, At: e.at()}
		if _, err := e.store.Archive(ctx, order, batches); err != nil {
			return nil, err
		}
	}
	ids := make([]record.ID, len(there))
	for i, r := range there {
		ids[i] = r.ID
	}
	now, err := e.store.Get(ctx, record.Contact, ids)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(now, func(r *record.Record) bool { return r.Deletion == nil }), nil // restored meanwhile: in the next try
}

// remove removes the contacts that are still as they were when all else was cleaned.
func (e *erasure) remove(ctx context.Context, there []*record.Record) error {
	var targets binTargets
	for _, r := range there {
		targets.list = append(targets.list, Target{ID: r.ID, Slot: r.Slot, Version: r.Version})
		if run := r.Deletion.Run; run != "" && !slices.Contains(targets.runs, run) {
			targets.runs = append(targets.runs, run)
		}
	}
	if len(targets.list) == 0 {
		return nil
	}
	_, err := e.store.forget(ctx, record.Contact, targets, forgetting{
		event: opErase, facts: record.AppendFacts(nil, e.at(), e.cause()),
		tombstone: record.AppendFacts(nil, e.at(), record.Cause{Actor: e.intent.Actor, Run: e.intent.Run}), // why stays in the log, where it can be cleaned
	})
	return err
}

// opErase is the audit event that stays of a permanent deletion.
const opErase = "permanent-delete"

func addMentions(list, more []Mention) []Mention {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b Mention) int {
		return strings.Compare(a.Kind+"\x00"+a.Name, b.Kind+"\x00"+b.Name)
	})
	return list
}

// unfinished are the contacts whose permanent deletion was begun and is not finished.
func (s *Store) unfinished(ctx context.Context) ([]record.ID, error) {
	names, err := s.db.Redis.HKeys(ctx, s.keyErasing()).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read interrupted permanent deletions: %w", s.db.Explain(err))
	}
	var ids []record.ID
	for _, name := range names {
		if id, err := record.ParseID(name); err == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}
