package crmstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// A blocked e-mail address is one with a claim that is nobody's, so that the block list costs no look-up of its own:
//
//	[0:8)  all ones, which no id is
//	[8:16) when it was blocked (ms), little-endian
//
// The claim's place follows from the address under the account's key; the address itself is kept nowhere.
const blockMark = record.ID(math.MaxUint64)

func newBlock(now int64) string {
	b := blockMark.Bytes()
	return string(binary.LittleEndian.AppendUint64(b[:], uint64(now)))
}

func isBlock(claim string) bool {
	return len(claim) == claimSize && record.IDFromBytes(record.BytesOf(claim)) == blockMark
}

func blockedSince(claim string) time.Time {
	return time.UnixMilli(int64(binary.LittleEndian.Uint64(record.BytesOf(claim)[8:]))).UTC()
}

// BlockResult says how one address stands on the block list.
type BlockResult struct {
	Email   string    `json:"email"` // as it was asked
	Blocked bool      `json:"blocked"`
	Changed bool      `json:"changed"`          // by this call
	Since   time.Time `json:"since,omitzero"`   // when it was blocked
	Holder  record.ID `json:"holder,omitempty"` // the live contact that has it, and keeps it from being blocked
}

// BlockAddresses puts e-mail addresses (in any case) onto the block list, whether or not a contact ever had them: no
// contact can have them from then on. An address that a live contact has is not blocked: see Holder. It needs the
// permission permanently-delete. The audit log learns how many, never which.
func (s *Store) BlockAddresses(ctx context.Context, emails []string, c record.Cause, at time.Time) ([]BlockResult, error) {
	return s.changeBlocks(ctx, emails, blockChange{add: true, cause: c, at: at})
}

// UnblockAddresses takes addresses off the block list; otherwise as BlockAddresses.
func (s *Store) UnblockAddresses(ctx context.Context, emails []string, c record.Cause, at time.Time) ([]BlockResult, error) {
	return s.changeBlocks(ctx, emails, blockChange{cause: c, at: at})
}

// CheckAddresses says which addresses are on the block list; the empty text is not. ErrNoAddress. Whoever may edit contacts may ask, and whoever may delete
// them permanently.
func (s *Store) CheckAddresses(ctx context.Context, emails []string) ([]BlockResult, error) {
	if may, err := s.May(ctx, record.Contact, CanPermanentlyDelete); err != nil {
		return nil, err
	} else if !may {
		if err := s.require(ctx, record.Contact, CanEdit); err != nil {
			return nil, err
		}
	}
	for _, email := range emails {
		if _, err := record.NormalAddress(email); err != nil {
			return nil, fmt.Errorf("%q: %w", email, err)
		}
	}
	list, err := s.claimsTo(ctx, emails)
	if err != nil {
		return nil, err
	}
	results := make([]BlockResult, len(emails))
	for i, a := range list {
		if results[i].Email = emails[i]; isBlock(a.claim) {
			results[i].Blocked, results[i].Since = true, blockedSince(a.claim)
		}
	}
	return results, nil
}

type blockChange struct {
	add   bool
	cause record.Cause
	at    time.Time
}

var scriptNote = mustLuaScript("note")

func (s *Store) changeBlocks(ctx context.Context, emails []string, ch blockChange) ([]BlockResult, error) {
	if err := s.require(ctx, record.Contact, CanPermanentlyDelete); err != nil {
		return nil, err
	}
	texts := make([]string, len(emails))
	for i, email := range emails {
		text, err := record.NormalAddress(email)
		if err == nil && text == "" {
			err = record.ErrNoAddress
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", email, err)
		}
		texts[i] = text
	}
	found, err := s.setBlocks(ctx, texts, ch)
	if err != nil {
		return nil, fmt.Errorf("change the block list: %w", err)
	}
	results, changed := make([]BlockResult, len(emails)), 0
	for i, text := range texts {
		results[i] = found[text]
		results[i].Email = emails[i]
	}
	for _, one := range found {
		if one.Changed {
			changed++
		}
	}
	if changed == 0 {
		return results, nil
	}
	op, detail := "block", fmt.Sprintf("%d e-mail addresses", changed)
	if changed == 1 {
		detail = "1 e-mail address"
	}
	if !ch.add {
		op = "unblock"
	}
	_, err = s.db.Run(ctx, scriptNote, []string{s.keyAccountLog()}, s.wall(), op, record.AppendFacts(nil, ch.at, s.by(ch.cause)), detail)
	return results, err
}

// setBlocks changes blocks, and waits where another process is just taking an address. The texts are normalised.
func (s *Store) setBlocks(ctx context.Context, texts []string, ch blockChange) (map[string]BlockResult, error) {
	w, err := s.newWriter(ctx, record.Contact, UpdateOnly, ch.cause, ch.at)
	if err != nil {
		return nil, err
	}
	results := make(map[string]BlockResult, len(texts))
	todo := slices.Compact(slices.Sorted(slices.Values(texts)))
	for tries := 0; len(todo) > 0; tries++ {
		if tries > waitingTries {
			return nil, fmt.Errorf("an address is being taken all the time: %w", record.ErrConflict)
		}
		if tries > 0 {
			if err := redisdb.Sleep(ctx, waitingPause); err != nil {
				return nil, err
			}
		}
		r := &round{writer: w, byID: make(map[record.ID]*draft), addresses: make(map[string]*address)}
		if err := r.lookUp(ctx, todo); err != nil {
			return nil, err
		}
		if todo, err = r.setBlocks(ctx, todo, ch, results); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// setBlocks is one try; it returns the addresses that others got in the way of.
func (r *round) setBlocks(ctx context.Context, todo []string, ch blockChange, results map[string]BlockResult) (again []string, err error) {
	var swaps []swap
	var wanted []string
	for _, text := range todo {
		a := r.addresses[text]
		switch {
		case a.busy:
			again = append(again, text)
		case a.holder != nil:
			results[text] = BlockResult{Holder: a.holder.id}
		case a.blocked && ch.add:
			results[text] = BlockResult{Blocked: true, Since: blockedSince(a.claim)}
		case !a.blocked && !ch.add:
			results[text] = BlockResult{}
		default:
			one := swap{place: a.place, old: a.claim}
			if ch.add {
				one.new = newBlock(ch.at.UnixMilli())
			}
			swaps, wanted = append(swaps, one), append(wanted, text)
		}
	}
	if err := r.store.swapClaims(ctx, r.partitions, swaps); err != nil {
		return nil, err
	}
	for i, text := range wanted {
		switch {
		case !swaps[i].done:
			again = append(again, text)
		case ch.add:
			results[text] = BlockResult{Blocked: true, Changed: true, Since: time.UnixMilli(ch.at.UnixMilli()).UTC()}
		default:
			results[text] = BlockResult{Changed: true}
		}
	}
	return again, nil
}
