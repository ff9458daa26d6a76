package crmstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// tie is one pair during an operation.
type tie struct {
	first, second record.Ref // see the comment in associations.go
	items         []int
	doing         byte       // what step 1 began: beingAdded, beingRemoved or onlySecond; 0 = nothing
	undo          bool       // step 2 was refused in this attempt
	why           byte       // what refused it: refusedBinned, refusedGone or refusedFull; 0 = nothing
	by            record.Ref // the record that refused it
	outcome       PairOutcome

	states [2]byte // of the records, as look saw them
	marks  [2]byte // of the entries, likewise
}

// What scripts say of a half; see the headers of lua/associate_*.lua.
const (
	nothingToDo   = '0'
	beingAdded    = '1'
	beingRemoved  = '2'
	refusedBinned = '3'
	refusedGone   = '4'
	refusedFull   = '5'
	onlySecond    = '6' // not of a script: the first record is gone for good, and only the second half may be left

	stateLive = '1'
	stateGone = '4'
	noEntry   = 255 // the mark of an entry that is not there
)

// The kinds of marks; see lua/lib/associations.lua.
const (
	markAdding   = 1
	markRemoving = 2
	markTags     = 64
)

func (t *tie) refuse(by record.Ref, why byte) { t.why, t.by = why, by }

func (t *tie) result() PairResult {
	r := PairResult{Outcome: t.outcome, Record: t.by}
	switch t.why {
	case refusedBinned:
		r.Outcome = PairInBin
	case refusedGone:
		r.Outcome = PairMissing
	case refusedFull:
		r.Outcome, r.Other = PairFull, t.first.Object
		if t.by == t.first {
			r.Other = t.second.Object
		}
	}
	return r
}

var (
	scriptAssociateBegin = mustLuaScript("associate_begin")
	scriptAssociateOther = mustLuaScript("associate_other")
	scriptAssociateEnd   = mustLuaScript("associate_end")
	scriptAssociateLook  = mustLuaScript("associate_look")
)

// tying carries ties through the steps.
type tying struct {
	store      *Store
	partitions int
	facts      []byte // nil: no audit events
	mode       string // of associate_begin
	tag        byte   // of this attempt's marks
}

// How often a pair is tried again that others change at the same time, and after which pause.
const (
	tyingTries = 200
	tyingPause = 5 * time.Millisecond
)

// run carries the ties through all steps, and those again that somebody else got in between.
func (w *tying) run(ctx context.Context, ties []*tie) error {
	for tries := 0; len(ties) > 0; tries++ {
		if tries > tyingTries {
			return fmt.Errorf("%s and %s: %w", ties[0].first, ties[0].second, record.ErrConflict)
		}
		if tries > 0 {
			pause := time.Duration(1+rand.IntN(min(tries, 10))) * tyingPause
			if err := redisdb.Sleep(ctx, pause); err != nil {
				return err
			}
			if w.facts = nil; w.mode != "dissolve" {
				w.mode = "again"
			}
		}
		if err := w.begin(ctx, ties); err != nil {
			return err
		}
		if err := w.other(ctx, ties); err != nil {
			return err
		}
		var err error
		if ties, err = w.end(ctx, ties); err != nil {
			return err
		}
	}
	return nil
}

func (w *tying) mark(kind byte) []byte { return []byte{4*w.tag + kind} }

// begin is step 1: it marks the first halves.
func (w *tying) begin(ctx context.Context, ties []*tie) error {
	w.tag = byte(rand.IntN(markTags))
	return w.each(ctx, ties, step{
		build: func(h *half) redisdb.Call {
			return redisdb.Call{Script: scriptAssociateBegin, Keys: []string{h.keys.rec(), h.keys.assoc()}, Args: []any{
				w.mode, w.mark(markAdding), w.mark(markRemoving), MaxAssociations, string(h.other), h.pairs(),
			}}
		},
		size: 1,
		use: func(t *tie, told []byte) {
			t.doing, t.undo = 0, false
			switch {
			case told[0] == nothingToDo:
				t.outcome = PairAsItWas
			case told[0] == beingAdded || told[0] == beingRemoved:
				if t.doing = told[0]; t.outcome == 0 {
					t.outcome = PairChanged
				}
			case w.mode == "add":
				t.refuse(t.first, told[0])
			case told[0] == refusedGone:
				t.doing = onlySecond
			}
		},
	})
}

// other is step 2: it writes or takes out the second halves.
func (w *tying) other(ctx context.Context, ties []*tie) error {
	under := slices.DeleteFunc(slices.Clone(ties), func(t *tie) bool { return t.doing == 0 })
	return w.each(ctx, under, step{
		second: true,
		class: func(t *tie) string {
			switch {
			case t.doing != beingAdded:
				return "remove"
			case w.mode == "add":
				return "add"
			}
			return "complete"
		},
		build: func(h *half) redisdb.Call {
			return redisdb.Call{Script: scriptAssociateOther, Keys: []string{h.keys.rec(), h.keys.assoc(), h.keys.log()}, Args: []any{
				h.class, MaxAssociations, string(h.other), h.pairs(), w.store.wall(), w.facts,
			}}
		},
		size: 1,
		use: func(t *tie, told []byte) {
			if t.undo = told[0] != beingAdded; t.undo && w.mode == "add" {
				t.refuse(t.second, told[0])
			}
		},
	})
}

// end is step 3: it takes the marks off. It returns the ties that somebody else has marked anew.
func (w *tying) end(ctx context.Context, ties []*tie) (overtaken []*tie, err error) {
	marked := slices.DeleteFunc(slices.Clone(ties), func(t *tie) bool { return t.doing == 0 || t.doing == onlySecond })
	const settle, drop, undo = "settle", "drop", "undo"
	err = w.each(ctx, marked, step{
		class: func(t *tie) string {
			switch {
			case t.doing == beingRemoved:
				return drop
			case t.undo:
				return undo
			}
			return settle
		},
		build: func(h *half) redisdb.Call {
			mark, end, facts := w.mark(markAdding), h.class, w.facts
			switch h.class {
			case drop:
				mark = w.mark(markRemoving)
			case undo:
				end, facts = drop, nil
			}
			return redisdb.Call{Script: scriptAssociateEnd, Keys: []string{h.keys.assoc(), h.keys.log()}, Args: []any{mark, end, string(h.other), h.pairs(), w.store.wall(), facts}}
		},
		size: 1,
		use: func(t *tie, told []byte) {
			if told[0] != '1' {
				overtaken = append(overtaken, t)
			}
		},
	})
	return overtaken, err
}

// look fills in how the first (or second) halves stand, and their records.
func (w *tying) look(ctx context.Context, ties []*tie, second bool) error {
	at := 0
	if second {
		at = 1
	}
	return w.each(ctx, ties, step{
		second: second,
		build: func(h *half) redisdb.Call {
			return redisdb.Call{Script: scriptAssociateLook, Keys: []string{h.keys.rec(), h.keys.assoc()}, Args: []any{string(h.other), h.pairs()}}
		},
		size: 2,
		use:  func(t *tie, told []byte) { t.states[at], t.marks[at] = told[0], told[1] },
	})
}

// lookForBinned refuses what was associated before, but is not seen since the second record is in the bin.
func (w *tying) lookForBinned(ctx context.Context, ties []*tie) error {
	same := slices.DeleteFunc(slices.Clone(ties), func(t *tie) bool { return t.outcome != PairAsItWas || t.why != 0 })
	if err := w.look(ctx, same, true); err != nil {
		return err
	}
	for _, t := range same {
		if t.states[1] == refusedBinned || t.states[1] == stateGone {
			t.refuse(t.second, t.states[1])
		}
	}
	return nil
}
