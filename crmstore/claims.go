package crmstore

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// An e-mail address belongs to at most one live contact. What says so is the claim to the address, which stands in
// a hash slot of its own. A claim is taken before the contact is written, and is never touched again for that:
//
//	[0:8)  id of the claimant, little-endian
//	[8:16) stamp, little-endian: when it was taken (ms) << 20 | random bits << 12 | version
//
// The version is the one (its last 12 bits) that the claimant's record has while it is not written yet, 0 for a record
// that is still to be made. Every write is a compare-and-set on that version, so the record itself says what became
// of the write: as long as it stands at that version (or is not there, for 0) the write may still come; once it is past
// it, the write was carried out or never will be. Therefore a claim, together with a record read after it, is
//
//   - held, when the record is live with that address;
//   - undecided, when it is not, stands at the claim's version still and the claim is young: everybody waits, who wants
//     to write that very contact too (a test of many writers showed why: the one that comes too late would give up
//     the claim of the one that came first);
//   - dead otherwise.
//
// A claim was also taken by a process that died before it wrote: that one is dead when it is no longer young. The
// process that is merely slow does not write with a claim half that old (inTime), and looks whether its claims are its
// own still when writing took that long (checkClaims). A record read a little before its claim does no harm: seen at an
// older version than the claim's it is undecided too.
//
// A dead claim is taken over by compare-and-set on all 16 bytes. No two claims have the same bytes, so a claim that was
// given up and taken again in between is noticed. That is why nobody deletes a claim when a contact changes its
// address or goes into the bin: the claim dies by that alone.
const (
	claimSize     = 16
	stampMillis   = 20
	stampVersion  = 12
	claimPatience = 30 * time.Second // after this a claim that is still undecided is dead
)

// newClaim is the claim for a write of the contact that stands at version now (ms); version 0: it is not there yet.
func newClaim(id record.ID, version uint64, now int64) string {
	random := uint64(rand.Uint32N(1 << (stampMillis - stampVersion)))
	stamp := uint64(now)<<stampMillis | random<<stampVersion | version%(1<<stampVersion)
	b := id.Bytes()
	return string(binary.LittleEndian.AppendUint64(b[:], stamp))
}

// claimantOf is whose claim it is; 0 when there is none (or it is damaged, which is the same), or the address is blocked.
func claimantOf(claim string) record.ID {
	if len(claim) != claimSize || isBlock(claim) {
		return 0
	}
	return record.IDFromBytes(record.BytesOf(claim))
}

// undecided reports whether the claim's contact, which does not hold the address and was seen at that version (0: not
// there), may be about to be written at the moment now (ms).
func undecided(claim string, seen uint64, now int64) bool {
	if len(claim) != claimSize {
		return false
	}
	stamp := binary.LittleEndian.Uint64(record.BytesOf(claim)[8:])
	ahead := (stamp - seen) % (1 << stampVersion) // how far the claim's version is; more than half of the range is behind
	taken := time.UnixMilli(int64(stamp >> stampMillis))
	return ahead < 1<<(stampVersion-1) && time.UnixMilli(now).Sub(taken).Abs() < claimPatience // clocks differ; a stamp far ahead is damage
}

// claimPlace is where the claim to an address stands: in which bucket, in which part of it, and in which field.
type claimPlace struct {
	bucket, part int
	field        string
}

// claimParts is how many hashes a bucket is cut into. They share a hash tag. Servers keep a hash of few entries in a
// compact list, which takes half the memory but is searched from its start: at a million contacts in 1024 partitions such
// a list has 60 claims.
const claimParts = 16

// fieldSize is the size of a field in bytes.
const fieldSize = 16

// placer says where claims stand, in as many buckets as there are partitions. Places follow from a key that is the
// account's own (HMAC-SHA256), so that nobody can tell from a claim that stays behind whose address it was by trying
// addresses on it elsewhere. It is not safe for concurrent use.
type placer struct {
	mac     hash.Hash
	buckets int
	sum     [sha256.Size]byte
}

// placer needs what [Store.Partitions] has read.
func (s *Store) placer(buckets int) *placer {
	return &placer{mac: hmac.New(sha256.New, s.key.Load()[:]), buckets: buckets}
}

// place says where the claim to a normalised address stands.
func (p *placer) place(address string) claimPlace {
	p.mac.Reset()
	_, _ = p.mac.Write(record.BytesOf(address)) // a hash never fails
	sum := p.mac.Sum(p.sum[:0])
	return claimPlace{
		bucket: int(binary.LittleEndian.Uint64(sum[16:24]) % uint64(p.buckets)),
		part:   int(sum[24]) % claimParts,
		field:  string(sum[:fieldSize]),
	}
}

// keyClaims is one part of a bucket of e-mail claims: a hash of 16 bytes of the address's hash → claim.
func (s *Store) keyClaims(bucket, part int) string {
	return "crm:{" + s.account + "/" + string(record.Contact) + "/email/" + strconv.Itoa(bucket) + "}:claims:" + strconv.Itoa(part)
}

// inOneCall cuts n places into lists for one script each: of one bucket, part after part.
func inOneCall(n, buckets int, place func(i int) *claimPlace) [][]int {
	g := redisdb.GroupBy(n, buckets*claimParts, func(i int) int { return place(i).bucket*claimParts + place(i).part })
	var calls [][]int
	for b := range buckets {
		from, to := g.Start[b*claimParts], g.Start[(b+1)*claimParts]
		calls = slices.AppendSeq(calls, slices.Chunk(g.Order[from:to], recordsPerCall))
	}
	return calls
}

// inParts is what a script on claims begins with: the keys of the parts, how many fields are in each, and the fields.
func (s *Store) inParts(list []int, place func(i int) *claimPlace) (keys []string, counts, fields []byte) {
	fields = make([]byte, 0, fieldSize*len(list))
	last, n := -1, 0
	end := func() {
		if n > 0 {
			counts = binary.LittleEndian.AppendUint16(counts, uint16(n))
		}
	}
	for _, i := range list {
		p := place(i)
		if p.part != last {
			end()
			last, n = p.part, 0
			keys = append(keys, s.keyClaims(p.bucket, p.part))
		}
		n++
		fields = append(fields, p.field...)
	}
	end()
	return keys, counts, fields
}

var (
	scriptFindClaims = mustLuaScript("find_claims")
	scriptClaims     = mustLuaScript("claims")
	scriptTakeClaims = mustLuaScript("take_claims")
)

// readClaims fills in the claims of addresses, pipelined by bucket.
func (s *Store) readClaims(ctx context.Context, buckets int, list []*address) error {
	place := func(i int) *claimPlace { return &list[i].place }
	parts := inOneCall(len(list), buckets, place)
	return redisdb.InWindows(ctx, len(parts), redisdb.ReadsPerWindow, func(ctx context.Context, from, to int) error {
		calls := make([]redisdb.Call, 0, to-from)
		for _, part := range parts[from:to] {
			keys, counts, fields := s.inParts(part, place)
			calls = append(calls, redisdb.Call{Script: scriptFindClaims, Keys: keys, Args: []any{counts, fields}})
		}
		replies, err := s.db.RunAll(ctx, calls)
		if err != nil {
			return fmt.Errorf("read e-mail claims: %w", err)
		}
		for j, reply := range replies {
			mine := parts[from+j]
			text, err := redisdb.Outcomes(reply, claimSize*len(mine))
			if err != nil {
				return err
			}
			for k, i := range mine {
				if claim := text[claimSize*k : claimSize*(k+1)]; claim != noClaim {
					list[i].claim, list[i].claimant = claim, claimantOf(claim)
				}
			}
		}
		return nil
	})
}

// noClaim is how scripts say that there is none.
const noClaim = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// swap is one compare-and-set of a claim; "" stands for no claim.
type swap struct {
	place    claimPlace
	old, new string
	done     bool
}

// takes reports whether the swap only takes a claim, where there is none.
func (s *swap) takes() bool { return s.old == "" && s.new != "" }

// swapClaims carries out the swaps, each on its own, in scripts per bucket. No address stands in swaps twice.
func (s *Store) swapClaims(ctx context.Context, buckets int, swaps []swap) error {
	var take, change []int
	for i := range swaps {
		if swaps[i].takes() {
			take = append(take, i)
		} else {
			change = append(change, i)
		}
	}
	for _, some := range [][]int{take, change} {
		if err := s.swapSome(ctx, buckets, swaps, some); err != nil {
			return fmt.Errorf("change e-mail claims: %w", err)
		}
	}
	return nil
}

// swapSome carries out some of the swaps, which either all take a claim where there is none, or all do not.
func (s *Store) swapSome(ctx context.Context, buckets int, swaps []swap, some []int) error {
	place := func(i int) *claimPlace { return &swaps[some[i]].place }
	parts := inOneCall(len(some), buckets, place)
	return redisdb.InWindows(ctx, len(parts), redisdb.CallsPerWindow, func(ctx context.Context, from, to int) error {
		calls := make([]redisdb.Call, 0, to-from)
		for _, part := range parts[from:to] {
			calls = append(calls, s.swapCall(swaps, some, part, place))
		}
		replies, err := s.db.RunAll(ctx, calls)
		if err != nil {
			return err
		}
		for j, reply := range replies {
			mine := parts[from+j]
			done, err := redisdb.Outcomes(reply, len(mine))
			if err != nil {
				return err
			}
			for k, i := range mine {
				swaps[some[i]].done = done[k] == '1'
			}
		}
		return nil
	})
}

func (s *Store) swapCall(swaps []swap, some, part []int, place func(i int) *claimPlace) redisdb.Call {
	keys, counts, fields := s.inParts(part, place)
	after := make([]byte, 0, claimSize*len(part))
	for _, i := range part {
		after = appendClaim(after, swaps[some[i]].new)
	}
	if swaps[some[part[0]]].takes() {
		return redisdb.Call{Script: scriptTakeClaims, Keys: keys, Args: []any{counts, fields, after}}
	}
	before := make([]byte, 0, claimSize*len(part))
	for _, i := range part {
		before = appendClaim(before, swaps[some[i]].old)
	}
	return redisdb.Call{Script: scriptClaims, Keys: keys, Args: []any{counts, fields, before, after}}
}

// appendClaim appends a claim of any damaged size as one of the right size that no claim has.
func appendClaim(b []byte, claim string) []byte {
	var fixed [claimSize]byte
	copy(fixed[:], claim)
	return append(b, fixed[:]...)
}
