package record

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ID identifies a record within its object type and account. It is a positive number, as in
// HubSpot; the zero ID means "none". IDs are never used again.
type ID uint64

// MaxID is the largest ID: every ID fits a signed 64-bit integer, so that any client can hold it.
const MaxID ID = 1<<63 - 1

// MaxGivenID is the largest ID that a new record may bring along: what programs that read numbers as JavaScript does
// hold exactly. Above it the store gives IDs itself, so that no file can use all of them up.
const MaxGivenID ID = 1<<53 - 1

// String is the ID in decimal.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// ParseID reads a decimal ID between 1 and MaxID.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil || n == 0 || ID(n) > MaxID {
		return 0, fmt.Errorf("record id %q: want a whole number from 1 to %d", s, uint64(MaxID))
	}
	return ID(n), nil
}

// Partition is the partition, of the given number of partitions, that holds the record. The bits
// of the id are mixed first (the finaliser of SplitMix64), so that any pattern in ids spreads evenly.
func (id ID) Partition(partitions int) int {
	x := uint64(id)
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	x ^= x >> 31
	return int(x % uint64(partitions))
}

// Bytes is the id as it stands in hash fields and in the ids column: 8 bytes, little-endian.
func (id ID) Bytes() [8]byte {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(id))
	return b
}

// IDFromBytes reads what [ID.Bytes] wrote; b must hold at least 8 bytes.
func IDFromBytes(b []byte) ID { return ID(binary.LittleEndian.Uint64(b)) }

// PartitionIDs names records of one partition.
type PartitionIDs struct {
	Partition int
	IDs       []ID
}

// Ref names a record of any object type.
type Ref struct {
	Object ObjectType `json:"object"`
	ID     ID         `json:"id"`
}

// String is the record for people: "contact 4711".
func (r Ref) String() string { return string(r.Object) + " " + r.ID.String() }

// CompareRefs orders records by object type, then by id: -1, 0 or 1.
func CompareRefs(a, b Ref) int {
	return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.ID, b.ID))
}

// PackIDs is the ids as scripts take them: 8 bytes each.
func PackIDs(ids []ID) []byte {
	b := make([]byte, 0, 8*len(ids))
	for _, id := range ids {
		one := id.Bytes()
		b = append(b, one[:]...)
	}
	return b
}

// ByPartition groups ids by their partition, in an account of so many. Groups are in the order of partitions, the ids of one in the
// order given.
func ByPartition(ids []ID, partitions int) []PartitionIDs {
	var groups []PartitionIDs
	at := map[int]int{}
	for _, id := range ids {
		p := id.Partition(partitions)
		i, ok := at[p]
		if !ok {
			i = len(groups)
			at[p] = i
			groups = append(groups, PartitionIDs{Partition: p})
		}
		groups[i].IDs = append(groups[i].IDs, id)
	}
	slices.SortFunc(groups, func(a, b PartitionIDs) int { return a.Partition - b.Partition })
	return groups
}
