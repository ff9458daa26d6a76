package crmstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// An association says that two records belong together, such as a contact and a company. It has no direction. It stands
// twice, at either record, so that both find the other; the two halves are in partitions of their own, which may be on
// different servers, and no script can write both. So that a crash between the scripts does no harm:
//
//	adding    1. the first half is marked as being added   2. the second half is written   3. the mark is taken off
//	removing  1. the first half is marked as being removed  2. the second half goes         3. the first half goes
//
// The first half is the one at the record whose object type's name, then id, is lower: everybody who changes a pair
// begins at the same place. That half is the truth; the second one follows it. A mark holds a random number, so that
// step 3 (compare and set) notices that somebody else has begun anew between its steps. Then the second half may be
// either's, and whoever notices brings it in line with the first one, with a mark of his own ("again"), until nobody is
// in the way. When all are through the halves agree: the last of all writes to the second half was followed by a step 3
// that was carried out, or by another write, which contradicts it being the last; and a step 3 that was carried out
// proves that between steps 1 and 3 nobody else changed the first half, so that both halves are of the same operation.
//
// Who dies between the steps leaves a mark, or (when two were at the same pair) halves that differ; [Store.Doctor] and
// the next one who changes the pair finish it. Until then both records show the same: an association is seen when both
// of its halves are there, marked or not. It is seen only while both records are live, and is kept while one is in the
// bin: deleting and restoring do not touch it. No version changes by it, so that a run does not pass a contact
// over since somebody gave it a company.
//
// A record's fields in the associations of its partition are its id (8 bytes) and the name of the others' object type;
// lua/lib/associations.lua knows their bytes. [Store.dissolve] takes all halves of a record out, before it goes for good.

// MaxAssociations is the most records of one object type that a record can be associated with.
const MaxAssociations = 50_000

// Pair is two records. Which is A and which is B means nothing.
type Pair struct{ A, B record.Ref }

// PairOutcome says what became of a pair.
type PairOutcome uint8

// The outcomes of [Store.Associate].
const (
	PairChanged PairOutcome = iota + 1 // they were associated, or taken apart
	PairAsItWas                        // they were (or were not) associated already
	PairMissing                        // Record is not there
	PairInBin                          // Record is in the bin
	PairFull                           // Record has MaxAssociations with records of the other's type
	PairSelf                           // it is one record twice
)

// PairResult is one pair's result.
type PairResult struct {
	Outcome PairOutcome
	Record  record.Ref // the one that is in the way, when one is
	Other   record.ObjectType
}

// Reason says why the pair was refused; "" when it was not.
func (r PairResult) Reason() string {
	switch r.Outcome {
	case PairMissing:
		return "there is no " + r.Record.String()
	case PairInBin:
		return r.Record.String() + " is in the recycle bin"
	case PairFull:
		return fmt.Sprintf("%s has %d %s already, which is the most", r.Record, MaxAssociations, r.Other.Plural())
	case PairSelf:
		return r.Record.String() + " cannot be associated with itself"
	}
	return ""
}

// pairsPerRound is how many pairs are carried through the three steps together.
const pairsPerRound = 8192

// Associate associates the records of each pair (add), or takes them apart. Adding wants both records live. Results are
// in the order of pairs; each pair stands for itself. From the first association of two object types on, a number property
// num_associated_<plural> counts them. A repeat changes nothing, and finishes what a crash left
// half-done. With an error some pairs may be done, or half-done. Both records' audit logs tell. Needs edit on the
// object types of all pairs. *UnknownObjectError; ErrConflict when others keep changing the same pairs.
func (s *Store) Associate(ctx context.Context, pairs []Pair, add bool, c record.Cause, at time.Time) ([]PairResult, error) {
	if err := s.requirePairs(ctx, pairs); err != nil {
		return nil, err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	mode := "remove"
	if add {
		mode = "add"
		if err := s.countPairs(ctx, pairs, c, at); err != nil {
			return nil, err
		}
	}
	facts := record.AppendFacts(nil, at, s.by(c))
	results := make([]PairResult, len(pairs))
	for from := 0; from < len(pairs); from += pairsPerRound {
		to := min(from+pairsPerRound, len(pairs))
		ties := tiesOf(pairs[from:to], results[from:to])
		work := tying{store: s, partitions: partitions, facts: facts, mode: mode}
		if err := work.run(ctx, ties); err != nil {
			return nil, fmt.Errorf("change associations: %w", err)
		}
		if add {
			if err := work.lookForBinned(ctx, ties); err != nil {
				return nil, fmt.Errorf("change associations: %w", err)
			}
		}
		for _, t := range ties {
			for n, i := range t.items {
				results[from+i] = t.result()
				if n > 0 && t.outcome == PairChanged {
					results[from+i].Outcome = PairAsItWas // named twice
				}
			}
		}
	}
	return results, nil
}

// requirePairs asks for edit on each object type of the pairs, once, and for the account to have it.
func (s *Store) requirePairs(ctx context.Context, pairs []Pair) error {
	asked := map[record.ObjectType]bool{}
	for i := range pairs {
		for _, o := range []record.ObjectType{pairs[i].A.Object, pairs[i].B.Object} {
			if asked[o] {
				continue
			}
			asked[o] = true
			if err := s.require(ctx, o, CanEdit); err != nil {
				return err
			}
			if _, err := s.Schema(ctx, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// tiesOf makes a tie of each pair, one for pairs that are the same; a record with itself is refused at once.
func tiesOf(pairs []Pair, results []PairResult) []*tie {
	ties := make([]*tie, 0, len(pairs))
	seen := make(map[Pair]*tie, len(pairs))
	for i, p := range pairs {
		if p.A == p.B {
			results[i] = PairResult{Outcome: PairSelf, Record: p.A}
			continue
		}
		if record.CompareRefs(p.A, p.B) > 0 {
			p.A, p.B = p.B, p.A
		}
		t := seen[p]
		if t == nil {
			t = &tie{first: p.A, second: p.B}
			seen[p] = t
			ties = append(ties, t)
		}
		t.items = append(t.items, i)
	}
	return ties
}

// Associations reads the records that each of the records is associated with, by object type and id: those that are
// live, as must be the record itself, and of object types that the acting user may view. Results are in the order asked.
func (s *Store) Associations(ctx context.Context, o record.ObjectType, ids []record.ID) ([][]record.Ref, error) {
	if err := s.require(ctx, o, CanView); err != nil {
		return nil, err
	}
	types, err := s.objectTypes(ctx)
	if err != nil {
		return nil, err
	}
	var visible []record.ObjectType
	for _, other := range types {
		may, err := s.May(ctx, other, CanView)
		if err != nil {
			return nil, err
		}
		if may {
			visible = append(visible, other)
		}
	}
	found, err := s.associations(ctx, o, ids, visible, true)
	if err != nil {
		return nil, fmt.Errorf("read associations of %s: %w", o.Plural(), err)
	}
	return found, nil
}

// ReadAssociated reads the live records of the other object types that each of the records is associated with, by object type and id.
// Results are in the order asked. The records themselves are not looked at: they may be live or in the recycle bin. Needs view on o and
// on each of the others: what a user may not see is refused, since an answer without it would say that there is nothing.
func (s *Store) ReadAssociated(ctx context.Context, o record.ObjectType, ids []record.ID, others []record.ObjectType) ([][]record.Ref, error) {
	for _, asked := range append([]record.ObjectType{o}, others...) {
		if err := s.require(ctx, asked, CanView); err != nil {
			return nil, err
		}
	}
	found, err := s.associations(ctx, o, ids, others, false)
	if err != nil {
		return nil, fmt.Errorf("read associations of %s: %w", o.Plural(), err)
	}
	return found, nil
}

// associations reads the live records that records are associated with. Own says that the records themselves must be live too.
func (s *Store) associations(ctx context.Context, o record.ObjectType, ids []record.ID, types []record.ObjectType, own bool) ([][]record.Ref, error) {
	halves, err := s.readHalves(ctx, o, ids, types)
	if err != nil {
		return nil, err
	}
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	work := tying{store: s, partitions: partitions}
	if err := work.look(ctx, halves, true); err != nil {
		return nil, err
	}
	if own {
		if err := work.look(ctx, halves, false); err != nil {
			return nil, err
		}
	}
	others := make(map[record.ID][]record.Ref, len(ids))
	for _, t := range halves {
		if (!own || t.states[0] == stateLive) && t.states[1] == stateLive && t.marks[0] != noEntry && t.marks[1] != noEntry {
			others[t.first.ID] = append(others[t.first.ID], t.second)
		}
	}
	found := make([][]record.Ref, len(ids))
	for i, id := range ids {
		slices.SortFunc(others[id], record.CompareRefs)
		found[i] = others[id]
	}
	return found, nil
}
