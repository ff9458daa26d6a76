package crmstore

import "github.com/redis/go-redis/v9"

// Raw is the client below a store, for tests that damage keys on purpose.
func Raw(s *Store) redis.UniversalClient { return s.rdb }

// KeyOf is the key of a partition that ends in name.
func KeyOf(s *Store, o ObjectType, partition int, name string) string {
	return string(s.partition(o, partition)) + name
}

// ClaimOf is where the claim to an address stands.
func ClaimOf(s *Store, address string, partitions int) (key, field string) {
	bucket, field := addressKey(address, partitions)
	return s.keyClaims(bucket), field
}

// ClaimFor is a claim as one stands in the store, taken at now (ms).
func ClaimFor(id ID, now int64, pending bool) string {
	claim := newClaim(id, now)
	if !pending {
		claim = settled(claim)
	}
	return claim
}

// KeyNextID is the key of the counter that ids are taken from.
func KeyNextID(s *Store, o ObjectType) string { return s.keyNextID(o) }

// KeyClaims is the key of a bucket of e-mail claims.
func KeyClaims(s *Store, bucket int) string { return s.keyClaims(bucket) }
