package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
)

// The last field of a record's properties is their checksum: CRC-32C of all property bytes before the field, begun with a
// number made of the record's id, so that one record's properties are not good under another's id. Scripts that write another header copy the properties as they are, and so the
// checksum stays good. A record of an older version has none until it is written again.
const (
	sumNumber = 1<<29 - 1 // the highest field number there is; properties never have it
	sumTag    = "\xfd\xff\xff\xff\x0f"
	SumSize   = len(sumTag) + 4
)

// ErrChecksum is an ErrDamaged of bytes that can be read and have another checksum.
var ErrChecksum = fmt.Errorf("%w: their checksum is another one", ErrDamaged)

// checksum is the checksum of a record's properties.
func checksum(id ID, fields []byte) uint32 {
	seed := uint32(uint64(id) * 0x9e3779b97f4a7c15 >> 32)
	return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), fields)
}

// NoChecksum is room for a checksum.
var NoChecksum [SumSize]byte

// WriteChecksum writes the checksum of a record, which is known when its id is, into the room at its end.
func WriteChecksum(record []byte, id ID) {
	end := len(record) - SumSize
	sum := checksum(id, record[HeaderSize:end])
	binary.LittleEndian.PutUint32(append(record[:end], sumTag...)[end+len(sumTag):len(record)], sum)
}

// Unseal is a record's properties without their checksum. Where that is not theirs, it is errChecksum as well.
func Unseal(id ID, fields []byte) ([]byte, error) {
	end := len(fields) - SumSize
	if end < 0 || string(fields[end:end+len(sumTag)]) != sumTag {
		return fields, nil // of an older version
	}
	if binary.LittleEndian.Uint32(fields[end+len(sumTag):]) != checksum(id, fields[:end]) {
		return fields[:end:end], ErrChecksum
	}
	return fields[:end:end], nil
}

// DamagedError names the records that were left out since their bytes cannot be trusted. All others were read.
type DamagedError struct {
	Object ObjectType
	IDs    []ID // in ascending order; 0 for a record whose id is damaged
}

// namedDamaged is how many damaged records an error names.
const namedDamaged = 20

// Error names the records, and what to do.
func (e *DamagedError) Error() string {
	names := make([]string, 0, namedDamaged)
	for _, id := range e.IDs[:min(len(e.IDs), namedDamaged)] {
		names = append(names, id.String())
	}
	more := ""
	if n := len(e.IDs) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	what := string(e.Object)
	if len(e.IDs) > 1 {
		what = e.Object.Plural()
	}
	return fmt.Sprintf("%s %s%s: damaged, and left out; see `workflow doctor`; `workflow doctor --quarantine` moves what is damaged aside",
		what, strings.Join(names, ", "), more)
}

// Unwrap makes it an ErrDamaged.
func (e *DamagedError) Unwrap() error { return ErrDamaged }

// AsDamaged is the error for damaged records; nil when there are none.
func AsDamaged(o ObjectType, ids []ID) error {
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return &DamagedError{Object: o, IDs: slices.Compact(ids)}
}
