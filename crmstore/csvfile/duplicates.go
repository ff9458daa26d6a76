package csvfile

import (
	"crypto/sha256"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// seen remembers which line of the file had which record id and e-mail address: 16 bytes of a hash and
// a line number for each address, an id and a line number for each id, 25 to 45 bytes apiece in a Go map.
type seen struct {
	ids    map[record.ID]uint32
	emails map[[16]byte]uint32
}

func newSeen() *seen {
	return &seen{ids: make(map[record.ID]uint32), emails: make(map[[16]byte]uint32)}
}

// add remembers an entry. When an earlier one has the same id or address it is not remembered, and the finding
// names the earlier line.
func (s *seen) add(e *entry) *Finding {
	var key [16]byte
	f := Finding{Line: e.line, Help: "keep one of the lines, or let the later line win with --allow-duplicates"}
	if e.upsert.ID != 0 {
		if line := s.ids[e.upsert.ID]; line != 0 {
			f.Code, f.Message = DuplicateID, fmt.Sprintf("the record id %s stands on line %d already", e.upsert.ID, line)
			return &f
		}
	}
	if e.email != "" {
		sum := sha256.Sum256([]byte(e.email))
		key = [16]byte(sum[:16])
		if line := s.emails[key]; line != 0 {
			f.Code, f.Message = DuplicateEmail, fmt.Sprintf("the e-mail address %s stands on line %d already", quote(e.email), line)
			return &f
		}
		s.emails[key] = uint32(e.line)
	}
	if e.upsert.ID != 0 {
		s.ids[e.upsert.ID] = uint32(e.line)
	}
	return nil
}
