package crmstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// An e-mail address belongs to at most one live contact. What says so is the claim to the address, which stands in
// a hash slot of its own. A claim is taken (pending) before the contact is written and settled afterwards:
//
//	[0:8)  id of the claimant, little-endian
//	[8:16) stamp, little-endian: when it was taken (ms) << 20 | random bits << 1 | 1 while pending
//
// A claim is dead when its claimant is not live with that address, unless it is pending and young: then the
// claimant may be about to be written, and everybody waits, who wants to write that very contact too (a test of many
// writers showed why: the one that comes too late would give up the claim of the one that came first). A dead
// claim is taken over by compare-and-set on all 16 bytes. No two claims have the same bytes, so a claim that was given
// up and taken again in between is noticed. That is why nobody deletes a claim when a contact changes its
// address or goes into the bin: the claim dies by that alone.
const (
	claimSize     = 16
	stampMillis   = 20
	stampPending  = 1
	claimPatience = 30 * time.Second // after this a pending claim whose claimant does not hold the address is dead
)

// emailProperty is the property that is unique among live records of the type; nil when there is none.
func emailProperty(s *Schema) *Property {
	if s.Object != Contact {
		return nil
	}
	if p := s.Number(PropertyEmail); p != nil && !p.Removed && p.Type == String {
		return p
	}
	return nil
}

// normalAddress is the form of an address in which it is unique.
func normalAddress(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// newClaim is a pending claim.
func newClaim(id ID, now int64) string {
	stamp := uint64(now)<<stampMillis | uint64(rand.Uint32N(1<<(stampMillis-1)))<<1 | stampPending
	b := id.Bytes()
	return string(binary.LittleEndian.AppendUint64(b[:], stamp))
}

// settled is the claim once its contact is written.
func settled(claim string) string {
	b := []byte(claim)
	b[8] &^= stampPending
	return string(b)
}

// readClaim takes a claim apart; id 0 when there is none (or it is damaged, which is the same).
func readClaim(claim string) (id ID, pending bool, taken time.Time) {
	if len(claim) != claimSize {
		return 0, false, time.Time{}
	}
	stamp := binary.LittleEndian.Uint64(view(claim)[8:])
	return IDFromBytes(view(claim)), stamp&stampPending != 0, time.UnixMilli(int64(stamp >> stampMillis))
}

// undecided reports whether the claim's contact may be about to be written at the moment now (ms).
func undecided(claim string, now int64) bool {
	_, pending, taken := readClaim(claim)
	return pending && time.UnixMilli(now).Sub(taken).Abs() < claimPatience // clocks differ; a stamp far ahead is damage
}

// address is one normalised e-mail address during a round.
type address struct {
	text     string
	bucket   int
	field    string
	claim    string // as it was read; "" = none
	claimant ID
	busy     bool   // the claimant may be about to be written
	holder   *draft // the live contact that holds it in the store; nil = none
	now      *draft // the contact that holds it after the upserts so far
	taken    string // our own claim
}

// leaving reports whether the stored holder gives the address up in this round.
func (a *address) leaving() bool { return a.now == nil && a.holder != nil }

// addressOf is the normalised e-mail address of a live record; "" when it has none or is in the bin.
func (w *writer) addressOf(r *Record) string {
	if w.email == nil || r.Deletion != nil {
		return ""
	}
	return normalAddress(r.Value(w.email.Number).Text())
}

// wantedAddress is the address that the changes assign, and whether they assign one (or clear it) at all.
func (w *writer) wantedAddress(changes []change) (wanted string, sets bool) {
	if w.email == nil {
		return "", false
	}
	for _, c := range changes {
		if c.property == w.email {
			return normalAddress(c.value.Text()), true
		}
	}
	return "", false
}

// assignedAddresses are the addresses that upserts assign.
func (r *round) assignedAddresses(todo []int) []string {
	texts := make([]string, 0, len(todo))
	for _, i := range todo {
		for _, a := range r.batch[i].Set {
			if a.Property == r.email.Number {
				texts = append(texts, normalAddress(a.Value.Text()))
			}
		}
	}
	return texts
}

// lookUp finds out who holds the normalised addresses; empty ones are passed over.
func (r *round) lookUp(ctx context.Context, texts []string) error {
	list, all := make([]*address, 0, len(texts)), make([]address, len(texts))
	for i, text := range texts {
		if text == "" || r.addresses[text] != nil {
			continue
		}
		one := &all[i]
		one.text = text
		one.bucket, one.field = addressKey(text, r.partitions)
		r.addresses[text] = one
		list = append(list, one)
	}
	if err := r.store.readClaims(ctx, r.partitions, list); err != nil {
		return err
	}
	var ids []ID
	for _, a := range list {
		if a.claimant != 0 {
			ids = append(ids, a.claimant)
		}
	}
	if err := r.load(ctx, ids); err != nil {
		return err
	}
	now := wall()
	for _, a := range list {
		d := r.byID[a.claimant]
		switch {
		case d != nil && (d.address == a.text || d.damaged != nil):
			a.holder, a.now = d, d
		case undecided(a.claim, now):
			a.busy = true
		}
	}
	return nil
}

// readClaims fills in the claims of addresses, pipelined by bucket.
func (s *Store) readClaims(ctx context.Context, buckets int, list []*address) error {
	g := groupBy(len(list), buckets, func(i int) int { return list[i].bucket })
	used := g.used()
	return inWindows(ctx, len(used), readsPerWindow, func(ctx context.Context, from, to int) error {
		pipe := s.rdb.Pipeline()
		commands := make([]*redis.SliceCmd, 0, to-from)
		for _, bucket := range used[from:to] {
			fields := make([]string, 0, 32)
			for _, i := range g.of(bucket) {
				fields = append(fields, list[i].field)
			}
			commands = append(commands, pipe.HMGet(ctx, s.keyClaims(bucket), fields...))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("read e-mail claims: %w", s.trouble(err))
		}
		for j, command := range commands {
			for k, i := range g.of(used[from+j]) {
				list[i].claim, _ = command.Val()[k].(string)
				list[i].claimant, _, _ = readClaim(list[i].claim)
			}
		}
		return nil
	})
}

// swap is one compare-and-set of a claim; "" stands for no claim.
type swap struct {
	bucket   int
	field    string
	old, new string
	done     bool
}

var scriptClaims = mustScript("claims")

// swapClaims carries out the swaps, each on its own, in scripts per bucket. No address stands in swaps twice.
func (s *Store) swapClaims(ctx context.Context, buckets int, swaps []swap) error {
	g := groupBy(len(swaps), buckets, func(i int) int { return swaps[i].bucket })
	var parts [][]int
	for _, bucket := range g.used() {
		parts = slices.AppendSeq(parts, slices.Chunk(g.of(bucket), recordsPerCall))
	}
	return inWindows(ctx, len(parts), callsPerWindow, func(ctx context.Context, from, to int) error {
		calls := make([]call, 0, to-from)
		for _, part := range parts[from:to] {
			calls = append(calls, s.claimsCall(part, swaps))
		}
		replies, err := s.runAll(ctx, calls)
		if err != nil {
			return fmt.Errorf("change e-mail claims: %w", err)
		}
		for j, reply := range replies {
			mine := parts[from+j]
			done, err := outcomes(reply, len(mine))
			if err != nil {
				return err
			}
			for k, i := range mine {
				swaps[i].done = done[k] == '1'
			}
		}
		return nil
	})
}

// claimsCall makes the script for the swaps of one bucket that part names.
func (s *Store) claimsCall(part []int, swaps []swap) call {
	var from, to, fields []byte
	for _, i := range part {
		from = appendClaim(from, swaps[i].old)
		to = appendClaim(to, swaps[i].new)
		fields = append(fields, swaps[i].field...)
	}
	return call{scriptClaims, []string{s.keyClaims(swaps[part[0]].bucket)}, []any{len(part), to, from, fields}}
}

// appendClaim appends a claim of any damaged size as one of the right size that no claim has.
func appendClaim(b []byte, claim string) []byte {
	var fixed [claimSize]byte
	copy(fixed[:], claim)
	return append(b, fixed[:]...)
}

// FindByEmail is the live contact that holds the address (any case); ErrNotFound.
func (s *Store) FindByEmail(ctx context.Context, email string) (ID, error) {
	ids, err := s.FindByEmails(ctx, []string{email})
	if err != nil {
		return 0, err
	}
	if ids[0] == 0 {
		return 0, fmt.Errorf("contact with that e-mail: %w", ErrNotFound)
	}
	return ids[0], nil
}

// FindByEmails finds the live contacts that hold the addresses (any case), in the order asked; 0 where nobody does.
func (s *Store) FindByEmails(ctx context.Context, emails []string) ([]ID, error) {
	partitions, err := s.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]*address, len(emails))
	for i, email := range emails {
		list[i] = &address{text: normalAddress(email)}
		list[i].bucket, list[i].field = addressKey(list[i].text, partitions)
	}
	if err := s.readClaims(ctx, partitions, list); err != nil {
		return nil, err
	}
	claimants := make([]ID, 0, len(list))
	for _, a := range list {
		if a.claimant != 0 {
			claimants = append(claimants, a.claimant)
		}
	}
	recs, err := s.Get(ctx, Contact, claimants)
	if err != nil {
		return nil, err
	}
	holds := make(map[ID]string, len(recs))
	for _, r := range recs {
		if r.Deletion == nil {
			holds[r.ID] = normalAddress(r.Value(PropertyEmail).Text())
		}
	}
	ids := make([]ID, len(list))
	for i, a := range list {
		if text := holds[a.claimant]; text != "" && text == a.text {
			ids[i] = a.claimant
		}
	}
	return ids, nil
}
