package crmstore

import (
	"context"
	"encoding/binary"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// ClaimOf is where the claim to an address stands.
func ClaimOf(s *Store, address string, partitions int) (key, field string) {
	p := s.placer(partitions).place(address)
	return s.keyClaims(p.bucket, p.part), p.field
}

// ClaimFor is a claim as one stands in the store, taken at now (ms) for a contact at that version.
func ClaimFor(id record.ID, version uint64, now int64) string { return newClaim(id, version, now) }

// KeysClaims are the keys of a bucket of e-mail claims.
func KeysClaims(s *Store, bucket int) []string {
	keys := make([]string, claimParts)
	for part := range keys {
		keys[part] = s.keyClaims(bucket, part)
	}
	return keys
}

// AgeClaims makes all claims to e-mail addresses an hour older: a purge is the work of months, a test's of milliseconds.
func AgeClaims(ctx context.Context, s *Store, buckets int) error {
	for bucket := range buckets {
		for _, key := range KeysClaims(s, bucket) {
			claims, err := s.db.Redis.HGetAll(ctx, key).Result()
			if err != nil {
				return err
			}
			var aged []any
			for field, claim := range claims {
				if isBlock(claim) {
					continue
				}
				b := []byte(claim)
				stamp := binary.LittleEndian.Uint64(b[8:])
				binary.LittleEndian.PutUint64(b[8:], stamp-3_600_000<<stampMillis)
				aged = append(aged, field, b)
			}
			if len(aged) == 0 {
				continue
			}
			if err := s.db.Redis.HSet(ctx, key, aged...).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}
